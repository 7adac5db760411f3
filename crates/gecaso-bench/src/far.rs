//! What a hit in a storage outside of the process costs above that storage's own time: over a map in
//! memory, with values of 100 bytes.
//!
//! Called by `main`. No rival has a part that could be told from its client.

use crate::harness::{Effort, Lane, Pool, interleave};
use crate::table::{Cell, Table};
use gecaso::{Params, Storage, cached};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::{Arc, LazyLock, RwLock};
use std::task::{Context, Poll, Waker};

pub(crate) const GROUP: &str = "far";

/// Keys asked for, in turn.
const KEYS: u64 = 1_000;

/// A map that answers at once.
#[derive(Default)]
struct Elsewhere(RwLock<HashMap<String, Vec<u8>>>);

impl Storage for Elsewhere {
    async fn get(&self, key: &str) -> gecaso::Result<Option<Vec<u8>>> {
        Ok(self.0.read().expect("nothing panics").get(key).cloned())
    }
    async fn set(&self, key: &str, value: &[u8], _: &Params) -> gecaso::Result<()> {
        self.0.write().expect("nothing panics").insert(key.to_owned(), value.to_vec());
        Ok(())
    }
    async fn remove(&self, keys: &[&str]) -> gecaso::Result<()> {
        let mut entries = self.0.write().expect("nothing panics");
        keys.iter().for_each(|key| drop(entries.remove(*key)));
        Ok(())
    }
}

static STORAGE: LazyLock<Elsewhere> = LazyLock::new(Elsewhere::default);

/// 100 bytes as MessagePack, names of fields included.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Report {
    id: u64,
    title: String,
    score: f64,
    pages: u32,
    is_final: bool,
}

fn report(id: u64) -> Report {
    let title = "The annual report of an average company".into();
    Report { id: id + 1_000_000, title, score: 0.5, pages: 300, is_final: true }
}

#[cached(&STORAGE)]
fn sync(id: u64) -> Report {
    report(id)
}

#[cached(&STORAGE)]
async fn asynchronous(id: u64) -> Report {
    report(id)
}

fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("the storage answers at once"),
    }
}

pub(crate) fn table(effort: Effort) -> Table {
    for id in 0..KEYS {
        assert_eq!((sync(id), ready(asynchronous(id))), (report(id), report(id)));
    }
    let held: Vec<Vec<u8>> = {
        let entries = STORAGE.0.read().expect("nothing panics");
        entries.values().cloned().collect()
    };
    // The same look-ups, without gecaso: keys as long, values as large.
    let keys: Arc<Vec<String>> = Arc::new((0..KEYS).map(|id| format!("{id:064x}_")).collect());
    for (key, value) in keys.iter().zip(&held) {
        ready(STORAGE.set(key, value, &Params::new())).expect("it cannot fail");
    }
    let own = move |id: u64| {
        black_box(ready(STORAGE.get(&keys[id as usize])).expect("it cannot fail"));
    };
    type Call = Arc<dyn Fn(u64) + Send + Sync>;
    let rows: [(&str, Call); 3] = [
        ("the storage alone", Arc::new(own)),
        ("gecaso, async", Arc::new(|id| drop(black_box(ready(asynchronous(id)))))),
        ("gecaso, sync", Arc::new(|id| drop(black_box(sync(id))))),
    ];
    let pool = Pool::new(1);
    let mut lanes: Vec<Lane<'_>> = rows
        .iter()
        .map(|(_, call)| {
            let (call, pool) = (call.clone(), &pool);
            let run = move |calls: usize| {
                let call = call.clone();
                let slice = move |_| {
                    (0..calls as u64).for_each(|at| call(at % KEYS));
                    0
                };
                pool.run(1, Arc::new(slice))
            };
            Lane { run: Box::new(run) }
        })
        .collect();
    let figures = interleave(&mut lanes, 1, effort);
    let title = "hit in a far storage that is a map in memory, values of 100 bytes".to_string();
    let mut table = Table::new(GROUP, title);
    table.columns.push("1k keys, 1t");
    for ((name, _), figure) in rows.iter().zip(figures) {
        let (value, min) = (figure.quoted, figure.min);
        let cell = Cell { value, min, compared: true, note: String::new() };
        table.rows.push((*name, vec![Some(cell)]));
    }
    let bodies = sync::stats().loads + asynchronous::stats().loads;
    assert_eq!(bodies, 2 * KEYS, "every call that was measured was a hit");
    table
}
