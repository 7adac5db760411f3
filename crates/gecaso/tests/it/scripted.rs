//! A storage outside of the process that does what a test says: it counts what it is asked, waits
//! where it is told to, and fails when it is told to.

use crate::elsewhere::Elsewhere;
use crate::event::Count;
use gecaso::{Params, Result, Storage};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
pub(crate) struct Scripted {
    pub(crate) inner: Elsewhere,
    pub(crate) gets: Count,
    pub(crate) sets: Count,
    pub(crate) removes: Count,
    does: Arc<Does>,
    /// How many sets came before each removal.
    pub(crate) removed_after: Arc<Mutex<Vec<usize>>>,
    /// What the sets were told.
    pub(crate) told: Arc<Mutex<Vec<(String, Params)>>>,
    /// What was to be set, whether it was or not.
    pub(crate) sent: Arc<Mutex<Vec<Vec<u8>>>>,
}

#[derive(Default)]
struct Does {
    fails: AtomicBool,
    fails_sets: AtomicBool,
    fails_removes: AtomicBool,
    panics: AtomicBool,
    stalls_gets: AtomicBool,
    stalls_writes: AtomicBool,
    /// Takes so many removals at once; 0: any number.
    most: AtomicUsize,
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

    /// From now on it takes no sets, as a full disk, or takes them again.
    pub(crate) fn fails_sets(&self, fails: bool) {
        self.does.fails_sets.store(fails, SeqCst);
    }

    pub(crate) fn fails_removes(&self, fails: bool) {
        self.does.fails_removes.store(fails, SeqCst);
    }

    /// From now on so many keys may be removed at once, and more are too many.
    pub(crate) fn removes_at_most(&self, most: usize) {
        self.does.most.store(most, SeqCst);
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
        self.told.lock().unwrap().push((key.to_owned(), params.clone()));
        self.sent.lock().unwrap().push(value.to_vec());
        // Who waits for it finds the rest written down.
        if !key.ends_with("epoch") {
            self.sets.up();
        }
        self.act(self.does.stalls_writes.load(SeqCst)).await?;
        if self.does.fails_sets.load(SeqCst) {
            return Err("no space left".into());
        }
        self.inner.set(key, value, params).await
    }

    async fn remove(&self, keys: &[&str]) -> Result<()> {
        self.removes.up();
        self.removed_after.lock().unwrap().push(self.sets.now());
        let most = self.does.most.load(SeqCst);
        if most > 0 && keys.len() > most {
            return Err("too many".into());
        }
        self.act(self.does.stalls_writes.load(SeqCst)).await?;
        if self.does.fails_removes.load(SeqCst) {
            return Err("read only".into());
        }
        self.inner.remove(keys).await
    }
}
