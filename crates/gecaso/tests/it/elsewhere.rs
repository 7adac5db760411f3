//! The plainest storage outside of the process there could be: a map, that a test can look into.

use gecaso::{Params, Result, Storage};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Keeps everything until it is removed. Clones are the same storage.
#[derive(Clone, Default)]
pub(crate) struct Elsewhere {
    entries: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl Elsewhere {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.lock().unwrap().len()
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.entries.lock().unwrap().keys().cloned().collect()
    }

    /// As if somebody else had set it.
    pub(crate) fn put(&self, key: &str, value: &[u8]) {
        self.entries.lock().unwrap().insert(key.to_owned(), value.to_vec());
    }

    /// As if somebody else had removed it.
    pub(crate) fn take(&self, key: &str) {
        self.entries.lock().unwrap().remove(key);
    }

    /// What is there, without asking as a cache does.
    pub(crate) fn look(&self, key: &str) -> Option<Vec<u8>> {
        self.entries.lock().unwrap().get(key).cloned()
    }
}

impl Storage for Elsewhere {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.look(key))
    }

    async fn set(&self, key: &str, value: &[u8], _: &Params) -> Result<()> {
        self.put(key, value);
        Ok(())
    }

    async fn remove(&self, keys: &[&str]) -> Result<()> {
        let mut entries = self.entries.lock().unwrap();
        keys.iter().for_each(|key| drop(entries.remove(*key)));
        Ok(())
    }
}
