//! Least recently used, around any far storage: itself a storage.
//!
//! Users wrap their storages in it. It keeps the order of the keys it has seen, in this process,
//! and removes the oldest from the storage inside. Knows no call, no flight and no value. Holds no
//! lock while the storage runs.
//!
//! A key counts from before the storage is told to keep it until after the storage has forgotten
//! it. So whatever is dropped or fails on the way, and whoever comes in between: an entry that this
//! process has put there is never out of the bound. The other way round, a key may count for a
//! while that is not there any more.

mod index;

use super::{Far, Storage};
use crate::codec::key::is_reserved;
use crate::error::Result;
use crate::memory::LruStorage;
use crate::params::Params;
use crate::sync::{Mutex, MutexGuard, lock};
use index::Index;
use std::fmt;
use std::sync::Arc;

/// Any far storage, kept to a number of entries by removing the least recently used: what
/// [`LruStorage::over`] returns.
///
/// **It bounds what it has seen**: the entries that this process has set or found. Those that were
/// there before are left alone until they are found; what other processes set, too. So after a
/// restart the storage may for a while hold more than `capacity` entries, and several processes
/// over one storage keep `capacity` each.
///
/// - A set of a new key first removes the least recently used, then sets. If room cannot be made,
///   nothing is set, and the set fails.
/// - A look-up counts as a use. If it finds an entry that was not known, that entry takes a place,
///   as if it had just been set; if no room can be made for it, it stays unknown.
/// - Removed entries, and those that a look-up does not find any more, give their places back.
/// - A set that fails takes no place. One that is dropped midway keeps its place, because it may
///   have taken effect; what is over the bound then goes with the next set.
/// - With `capacity` 0 nothing is kept: a set removes what is there, and nothing is ever found.
/// - The keys that gecaso keeps for itself do not count and are never removed.
///
/// While several operations run at the same time there may be a few entries more, by the number of
/// those operations. Once they have ended there are not.
///
/// Clones are the same storage. The index takes memory for each key it counts, and costs nothing
/// beside the storage inside.
///
/// ```
/// use gecaso::{LruStorage, Params, Storage};
/// # use gecaso::Result;
/// # use std::{collections::HashMap, sync::{Arc, Mutex}};
/// # #[derive(Clone, Default)]
/// # struct MyStorage(Arc<Mutex<HashMap<String, Vec<u8>>>>);
/// # impl Storage for MyStorage {
/// #     async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
/// #         Ok(self.0.lock().unwrap().get(key).cloned())
/// #     }
/// #     async fn set(&self, key: &str, value: &[u8], _: &Params) -> Result<()> {
/// #         self.0.lock().unwrap().insert(key.to_owned(), value.to_vec());
/// #         Ok(())
/// #     }
/// #     async fn remove(&self, keys: &[&str]) -> Result<()> {
/// #         keys.iter().for_each(|key| drop(self.0.lock().unwrap().remove(*key)));
/// #         Ok(())
/// #     }
/// # }
/// # pollster::block_on(async {
///
/// let inside = MyStorage::default();
/// let storage = LruStorage::over(inside.clone(), 2);
/// storage.set("a", b"1", &Params::new()).await?;
/// storage.set("b", b"2", &Params::new()).await?;
/// storage.get("a").await?; // "b" is now the least recently used
/// storage.set("c", b"3", &Params::new()).await?;
/// assert_eq!(storage.len(), 2);
/// assert_eq!(inside.get("b").await?, None);
/// assert!(inside.get("a").await?.is_some());
/// # Ok::<_, gecaso::BoxError>(())
/// # }).unwrap();
/// ```
pub struct LruOver<S> {
    shared: Arc<Shared<S>>,
}

struct Shared<S> {
    storage: S,
    capacity: usize,
    index: Mutex<Index>,
}

impl LruStorage {
    /// Least recently used around a storage outside of this process: at most `capacity` of the
    /// entries that were set or found through what is returned. See [`LruOver`].
    pub fn over<S: Storage>(storage: S, capacity: usize) -> LruOver<S> {
        LruOver { shared: Arc::new(Shared { storage, capacity, index: Mutex::default() }) }
    }
}

impl<S> LruOver<S> {
    /// Entries that count: those that this process has set or found, and knows of no end.
    pub fn len(&self) -> usize {
        self.index().len()
    }

    /// Whether none counts.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bound, in entries.
    pub fn capacity(&self) -> usize {
        self.shared.capacity
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        lock(&self.shared.index)
    }

    /// The key counts from now on and is not evicted while the seat is held.
    fn board(&self, key: &str) -> Seat<'_, S> {
        let (key, is_new) = self.index().board(key);
        Seat { lru: self, key, is_new, may_be_there: false }
    }
}

impl<S: Storage> LruOver<S> {
    /// Removes the least recently used until no more than so many count. Those that are just being
    /// set stay, whatever their number.
    ///
    /// # Errors
    ///
    /// If the storage does not remove them. They count on, and are the first to go next time; as
    /// they are if the future is dropped.
    async fn make_room(&self, most: impl Fn(&Index) -> usize) -> Result<()> {
        loop {
            let claimed = {
                let mut index = self.index();
                let most = most(&index);
                index.claim_oldest(most)
            };
            let Some((claim, keys)) = claimed else { return Ok(()) };
            let leaving = Leaving { lru: self, claim, keys };
            let keys: Vec<&str> = leaving.keys.iter().map(|key| &**key).collect();
            self.shared.storage.remove(&keys).await.map_err(|error| {
                format!("LruStorage::over: the least recently used could not be removed: {error}")
            })?;
            self.index().gone(claim, &leaving.keys);
            // Somebody may have set one of them meanwhile: look again.
        }
    }
}

/// A key that is being set, or was just found.
struct Seat<'a, S> {
    lru: &'a LruOver<S>,
    key: Arc<str>,
    /// It takes a place that it did not have.
    is_new: bool,
    /// What the seat leaves behind, however it ends.
    may_be_there: bool,
}

impl<S> Drop for Seat<'_, S> {
    fn drop(&mut self) {
        self.lru.index().leave(&self.key, self.may_be_there);
    }
}

/// Keys whose removal is under way.
struct Leaving<'a, S> {
    lru: &'a LruOver<S>,
    claim: u64,
    keys: Vec<Arc<str>>,
}

impl<S> Drop for Leaving<'_, S> {
    fn drop(&mut self) {
        // Finds nothing left of the claim if they are gone.
        self.lru.index().stay(self.claim, &self.keys);
    }
}

impl<S: Storage> Storage for LruOver<S> {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        if is_reserved(key) {
            return self.shared.storage.get(key).await;
        }
        if self.shared.capacity == 0 {
            return Ok(None);
        }
        let mark = self.index().mark(key);
        let found = self.shared.storage.get(key).await?;
        if found.is_none() {
            self.index().forget(key, mark);
            return Ok(None);
        }
        let mut seat = self.board(key);
        seat.may_be_there = !seat.is_new || self.make_room(|_| self.capacity()).await.is_ok();
        Ok(found)
    }

    async fn set(&self, key: &str, value: &[u8], params: &Params) -> Result<()> {
        if is_reserved(key) {
            return self.shared.storage.set(key, value, params).await;
        }
        if self.shared.capacity == 0 {
            return self.shared.storage.remove(&[key]).await;
        }
        let mut seat = self.board(key);
        let room = self.make_room(|_| self.capacity()).await;
        if seat.is_new {
            room?;
        }
        seat.may_be_there = true;
        let done = self.shared.storage.set(key, value, params).await;
        seat.may_be_there = done.is_ok();
        drop(seat);
        // While others were being set, there may have been nobody who could go. Each that still is
        // will make room for itself. An eviction that fails now is tried again with the next set.
        let _ = self.make_room(|index| self.capacity() + index.seated()).await;
        done
    }

    /// With the choices of a `Far` that is inside.
    fn as_far(&self) -> Option<Far> {
        let inside = self.shared.storage.as_far();
        inside.map(|far| far.around(self.clone()))
    }

    async fn remove(&self, keys: &[&str]) -> Result<()> {
        let marks: Vec<_> = keys.iter().map(|key| self.index().mark(key)).collect();
        self.shared.storage.remove(keys).await?;
        let mut index = self.index();
        keys.iter().zip(marks).for_each(|(key, mark)| index.forget(key, mark));
        Ok(())
    }
}

impl<S> Clone for LruOver<S> {
    /// The same storage.
    fn clone(&self) -> Self {
        LruOver { shared: self.shared.clone() }
    }
}

impl<S> fmt::Debug for LruOver<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("LruOver");
        f.field("capacity", &self.capacity()).field("len", &self.len()).finish_non_exhaustive()
    }
}
