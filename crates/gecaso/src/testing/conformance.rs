//! The conformance suite: asks a storage for everything that gecaso relies on.
//!
//! Users call it in the tests of their own storages. This file leads through the promises; what
//! they are is in `promises` and `together`, how a storage is asked in `probe`. Knows no storage.

mod probe;
mod promises;
mod together;

use crate::blocking::block_on;
use crate::far::Storage;
use crate::sync::{Mutex, lock};
use probe::{Broken, Probe, Promise};
use std::any::type_name;
use std::collections::BTreeSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::time::Duration;

/// An operation that has not answered by then hangs.
const LIMIT: Duration = Duration::from_secs(10);

/// Asks a storage of yours for everything that gecaso relies on, in one line of a plain test.
///
/// - What was set is found, byte by byte, until it is replaced or removed; what was never set or
///   was removed is not found.
/// - Keys that differ in anything, case and length included, are different keys: those of 65
///   symbols, those that people can read, and those that gecaso keeps for itself.
/// - Operations at the same time, on several threads, do not disturb each other, and no value is
///   ever found torn or mixed.
/// - An operation may be dropped midway.
/// - Lifetimes and extra parameters are accepted, and nothing ends before its lifetime does.
///
/// Give it a storage with room for 500 entries and 4 MiB. It uses keys of its own, other ones each
/// time, and removes them in the end: other entries, and other runs at the same time, do no harm.
/// It needs no runtime. If your storage needs one, take [`check_storage_async`].
///
/// ```
/// # #[derive(Default)]
/// # struct MyStorage(std::sync::Mutex<std::collections::HashMap<String, Vec<u8>>>);
/// # impl gecaso::Storage for MyStorage {
/// #     async fn get(&self, key: &str) -> gecaso::Result<Option<Vec<u8>>> {
/// #         Ok(self.0.lock().unwrap().get(key).cloned())
/// #     }
/// #     async fn set(&self, key: &str, value: &[u8], _: &gecaso::Params) -> gecaso::Result<()> {
/// #         self.0.lock().unwrap().insert(key.to_owned(), value.to_vec());
/// #         Ok(())
/// #     }
/// #     async fn remove(&self, keys: &[&str]) -> gecaso::Result<()> {
/// #         keys.iter().for_each(|key| drop(self.0.lock().unwrap().remove(*key)));
/// #         Ok(())
/// #     }
/// # }
/// // #[test]
/// fn my_storage_keeps_its_promises() {
///     gecaso::testing::check_storage(MyStorage::default());
/// }
/// # my_storage_keeps_its_promises();
/// ```
///
/// # Panics
///
/// If a promise is broken: with a report that says which one, what was done, what came back, and
/// what to do. An operation that has not answered after 10 seconds breaks it, too.
#[track_caller]
pub fn check_storage(storage: impl Storage) {
    if let Err(report) = Run::new(&storage, LIMIT).on_threads() {
        panic!("{report}");
    }
}

/// As [`check_storage`], for storages that need the runtime they are called in. Here operations
/// that run at the same time do so on one task.
///
/// ```
/// # #[derive(Default)]
/// # struct MyStorage(tokio::sync::Mutex<std::collections::HashMap<String, Vec<u8>>>);
/// # impl gecaso::Storage for MyStorage {
/// #     async fn get(&self, key: &str) -> gecaso::Result<Option<Vec<u8>>> {
/// #         Ok(self.0.lock().await.get(key).cloned())
/// #     }
/// #     async fn set(&self, key: &str, value: &[u8], _: &gecaso::Params) -> gecaso::Result<()> {
/// #         self.0.lock().await.insert(key.to_owned(), value.to_vec());
/// #         Ok(())
/// #     }
/// #     async fn remove(&self, keys: &[&str]) -> gecaso::Result<()> {
/// #         let mut entries = self.0.lock().await;
/// #         keys.iter().for_each(|key| drop(entries.remove(*key)));
/// #         Ok(())
/// #     }
/// # }
/// // #[tokio::test]
/// async fn my_storage_keeps_its_promises() {
///     gecaso::testing::check_storage_async(&MyStorage::default()).await;
/// }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap()
/// #     .block_on(my_storage_keeps_its_promises());
/// ```
///
/// # Panics
///
/// As [`check_storage`].
///
/// # Cancellation
///
/// Dropped midway, it leaves keys of its own behind.
pub async fn check_storage_async(storage: &impl Storage) {
    if let Err(report) = Run::new(storage, LIMIT).on_this_task().await {
        panic!("{report}");
    }
}

/// One run of the suite.
struct Run<'a, S> {
    storage: &'a S,
    limit: Duration,
    /// What tells the keys of this run from those of others: 32 hex digits.
    hex: String,
    /// Every key that was set: to be removed in the end.
    used: Mutex<BTreeSet<String>>,
}

impl<'a, S: Storage> Run<'a, S> {
    fn new(storage: &'a S, limit: Duration) -> Self {
        let random = RandomState::new();
        let hex = format!("{:016x}{:016x}", random.hash_one(1), random.hash_one(2));
        Run { storage, limit, hex, used: Mutex::default() }
    }

    fn key(&self, what: impl fmt::Display) -> String {
        format!("{}_{what}", self.hex)
    }

    async fn on_this_task(&self) -> Result<(), String> {
        let kept = match promises::all(self).await {
            Ok(()) => together::on_this_task(self).await,
            broken => broken,
        };
        self.end(kept).await
    }

    fn on_threads(&self) -> Result<(), String> {
        let kept = block_on(pin!(promises::all(self)))
            .and_then(|()| block_on(pin!(together::on_this_task(self))))
            .and_then(|()| together::on_threads(self));
        block_on(pin!(self.end(kept)))
    }

    /// Removes what the run has left, and makes a report of what it found.
    async fn end(&self, kept: Result<(), Broken>) -> Result<(), String> {
        static CLEAN: Promise = Promise {
            says: "several keys are removed at once",
            advice: "Let `remove` forget every key it is given, however many.",
        };
        let used: Vec<String> = lock(&self.used).iter().cloned().collect();
        let keys: Vec<&str> = used.iter().map(|key| &**key).collect();
        let removed = Probe::new(self, &CLEAN).remove(&keys).await;
        let broken = match kept.and(removed) {
            Ok(()) => return Ok(()),
            Err(broken) => broken,
        };
        let name = type_name::<S>();
        Err(format!("`{name}` does not do what gecaso relies on.\n\n{broken}\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Params;
    use std::future::pending;

    struct Silent;

    impl Storage for Silent {
        async fn get(&self, _: &str) -> crate::Result<Option<Vec<u8>>> {
            pending().await
        }

        async fn set(&self, _: &str, _: &[u8], _: &Params) -> crate::Result<()> {
            pending().await
        }

        async fn remove(&self, _: &[&str]) -> crate::Result<()> {
            pending().await
        }
    }

    #[test]
    fn a_storage_that_never_answers_is_reported() {
        let report = Run::new(&Silent, Duration::from_millis(1)).on_threads().unwrap_err();
        assert!(report.contains("came back:  nothing, within 1ms"), "{report}");
        assert!(report.contains("Silent"), "{report}");
    }
}
