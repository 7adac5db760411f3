//! What people write themselves: `RwLock<HashMap>` in a `LazyLock`, all of the standard library.
//! It has no bound, so it takes no part where entries are evicted.

use super::{Peer, Task};
use crate::work::{Failed, body_f, body_g, body_h, body_slow, body_slow_async};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, LazyLock, RwLock};

type Map<K, V> = LazyLock<RwLock<HashMap<K, V>>>;

static F: Map<u64, u64> = LazyLock::new(RwLock::default);
static G: Map<String, Arc<str>> = LazyLock::new(RwLock::default);
static H: Map<(String, u32), String> = LazyLock::new(RwLock::default);
static ASYNC_F: Map<u64, u64> = LazyLock::new(RwLock::default);
static SLOW: Map<u64, u64> = LazyLock::new(RwLock::default);

fn look<K: Hash + Eq + std::borrow::Borrow<Q>, Q: ?Sized + Hash + Eq, V: Clone>(
    map: &Map<K, V>,
    key: &Q,
) -> Option<V> {
    map.read().expect("no body runs under the lock").get(key).cloned()
}

fn store<K: Hash + Eq, V: Clone>(map: &Map<K, V>, key: K, value: V) -> V {
    map.write().expect("no body runs under the lock").insert(key, value.clone());
    value
}

fn g(s: &str) -> Arc<str> {
    look(&G, s).unwrap_or_else(|| store(&G, s.to_owned(), body_g(s)))
}

fn h(a: &str, b: u32) -> Result<String, Failed> {
    let key = (a.to_owned(), b);
    match look(&H, &key) {
        Some(value) => Ok(value),
        None => Ok(store(&H, key, body_h(a, b)?)),
    }
}

async fn slow_async(id: u64) -> u64 {
    match look(&SLOW, &id) {
        Some(value) => value,
        None => {
            let value = body_slow_async(id).await;
            store(&SLOW, id, value)
        }
    }
}

pub(super) fn peer() -> Peer {
    let mut peer = Peer::new("RwLock<HashMap>")
        .ids(Task::F, |id| look(&F, &id).unwrap_or_else(|| store(&F, id, body_f(id))))
        .texts(Task::G, |s| g(s).len())
        .texts(Task::H, |s| h(s, 7).map_or(0, |text| text.len()))
        .polled(Task::AsyncF, |id| async move {
            look(&ASYNC_F, &id).unwrap_or_else(|| store(&ASYNC_F, id, body_f(id)))
        });
    peer.slow = Some(|id| look(&SLOW, &id).unwrap_or_else(|| store(&SLOW, id, body_slow(id))));
    peer.slow_task = Some(|id| Box::pin(slow_async(id)));
    peer
}
