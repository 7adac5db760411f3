//! A storage outside of the process that does what a test says: it counts what it is asked, waits
//! where it is told to, and fails when it is told to.

use crate::elsewhere::Elsewhere;
use crate::event::Count;
use gecaso::{Params, Result, Storage};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
pub(crate) struct Scripted {
    pub(crate) inner: Elsewhere,
    pub(crate) gets: Count,
    pub(crate) sets: Count,
    pub(crate) removes: Count,
    does: Arc<Does>,
    /// What the sets were told.
    pub(crate) told: Arc<Mutex<Vec<(String, Params)>>>,
}

#[derive(Default)]
struct Does {
    fails: AtomicBool,
    panics: AtomicBool,
    stalls_gets: AtomicBool,
    stalls_writes: AtomicBool,
    go_on: Count,
}

impl Scripted {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// From now on everything fails, or nothing.
    pub(crate) fn fails(&self, fails: bool) {
        self.does.fails.store(fails, SeqCst);
    }

    pub(crate) fn panics(&self, panics: bool) {
        self.does.panics.store(panics, SeqCst);
    }

    /// From now on gets wait for `go_on`.
    pub(crate) fn stalls_gets(&self) {
        self.does.stalls_gets.store(true, SeqCst);
    }

    /// From now on sets and removes wait for `go_on`, and take effect after that.
    pub(crate) fn stalls_writes(&self) {
        self.does.stalls_writes.store(true, SeqCst);
    }

    /// Everything that waits goes on, and what comes later does not wait.
    pub(crate) fn goes_on(&self) {
        self.does.stalls_gets.store(false, SeqCst);
        self.does.stalls_writes.store(false, SeqCst);
        self.does.go_on.up();
    }

    async fn act(&self, stalls: bool) -> Result<()> {
        if stalls {
            let since = self.does.go_on.now();
            self.does.go_on.reaches(since + 1).await;
        }
        if self.does.panics.load(SeqCst) {
            std::panic::resume_unwind(Box::new("as the test says"));
        }
        if self.does.fails.load(SeqCst) {
            return Err("as the test says".into());
        }
        Ok(())
    }

    /// The entries, without those that are gecaso's own.
    pub(crate) fn entries(&self) -> Vec<String> {
        let is_call = |key: &String| !key.ends_with("epoch") && !key.contains("probe");
        self.inner.keys().into_iter().filter(is_call).collect()
    }
}

impl Storage for Scripted {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        if !key.ends_with("epoch") {
            self.gets.up();
        }
        self.act(self.does.stalls_gets.load(SeqCst) && !key.ends_with("epoch")).await?;
        self.inner.get(key).await
    }

    async fn set(&self, key: &str, value: &[u8], params: &Params) -> Result<()> {
        if !key.ends_with("epoch") {
            self.sets.up();
        }
        self.told.lock().unwrap().push((key.to_owned(), params.clone()));
        self.act(self.does.stalls_writes.load(SeqCst)).await?;
        self.inner.set(key, value, params).await
    }

    async fn remove(&self, keys: &[&str]) -> Result<()> {
        self.removes.up();
        self.act(self.does.stalls_writes.load(SeqCst)).await?;
        self.inner.remove(keys).await
    }
}
