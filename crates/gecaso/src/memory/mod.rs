//! Storages in this process: typed values, synchronous, infallible.
//!
//! `MemoryStorage` and `LruStorage` are cheap handles on a `bound`; each function that uses one
//! attaches its own typed `table`. Bound and order belong to the storage, so functions that share
//! one share its places. Knows nothing of flights or calls.

mod bound;
mod entry;
mod policy;
mod raw;
mod table;
mod tuner;

pub(crate) use entry::{Entry, Stored};
pub(crate) use table::{Displaced, Incoming, Table};

use crate::key::NearKey;
use crate::outcome::Value;
use crate::time::{Clock, ManualClock};
use bound::{Bound, Order};
use std::fmt;
use std::sync::Arc;

/// A storage in memory whose hits share the lock: the default.
///
/// Bounded storages keep what is asked for again, and find out while they run what that is: keys
/// that are asked for often, those asked for lately, or a part of a loop that does not fit. Take
/// [`LruStorage`] where the exact order matters. Clones are the same storage; functions that share
/// one share its places, and none sees another's entries.
///
/// ```
/// use gecaso::{Cache, MemoryStorage};
///
/// let shared = MemoryStorage::bounded(1_000);
/// let names: Cache<u64, String> = Cache::new(shared.clone());
/// let sizes: Cache<String, u64> = Cache::new(shared.clone());
/// names.insert(1, "one".into());
/// sizes.insert("one".into(), 3);
/// assert_eq!(shared.len(), 2);
/// ```
#[derive(Clone)]
pub struct MemoryStorage {
    bound: Arc<Bound>,
}

impl MemoryStorage {
    /// The bound of [`MemoryStorage::default`], in entries: what `#[cached]` alone uses.
    pub const DEFAULT_CAPACITY: usize = 10_000;

    /// At most `capacity` entries, at every moment. With 0 it stores nothing.
    pub fn bounded(capacity: usize) -> Self {
        Self::with(Some(capacity), Clock::System)
    }

    /// Keeps nothing, and has the clock of what does.
    #[cfg(feature = "far")]
    pub(crate) fn none(clock: &Clock) -> Self {
        Self::with(Some(0), clock.clone())
    }

    /// As many entries as there are different calls. Only for functions with few of them.
    pub fn unbounded() -> Self {
        Self::with(None, Clock::System)
    }

    /// The same kind of storage, new and empty, on a clock in a test's hand.
    #[must_use]
    pub fn with_clock(self, clock: &ManualClock) -> Self {
        Self::with(self.bound.capacity, Clock::Manual(clock.clone()))
    }

    fn with(capacity: Option<usize>, clock: Clock) -> Self {
        MemoryStorage { bound: Arc::new(Bound::new(capacity, Order::Adaptive, clock)) }
    }

    /// Entries held now, of all functions together.
    pub fn len(&self) -> usize {
        self.bound.len()
    }

    /// As `len`, but counted at one moment.
    #[cfg(shuttle)]
    pub(crate) fn len_at_once(&self) -> usize {
        self.bound.len_at_once()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bound, in entries.
    pub fn capacity(&self) -> Option<usize> {
        self.bound.capacity
    }

    pub(crate) fn attach<K: NearKey, V: Value>(&self) -> Table<K, V> {
        Table::join(self.bound.clone())
    }
}

impl Default for MemoryStorage {
    /// Bounded by [`DEFAULT_CAPACITY`](Self::DEFAULT_CAPACITY).
    fn default() -> Self {
        Self::bounded(Self::DEFAULT_CAPACITY)
    }
}

impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("MemoryStorage");
        f.field("capacity", &self.capacity()).field("len", &self.len()).finish()
    }
}

/// A storage in memory in true least-recently-used order, never more than `capacity` entries.
///
/// One order over all its entries, so each hit takes its lock alone: for exactness, not for many
/// threads ([`MemoryStorage`] is for those). Clones are the same storage; functions that share one
/// share its places, and none sees another's entries.
///
/// ```
/// let cache: gecaso::Cache<u32, u32> = gecaso::Cache::new(gecaso::LruStorage::new(2));
/// cache.insert(1, 10);
/// cache.insert(2, 20);
/// cache.get(&1);          // 2 is now the least recently used
/// cache.insert(3, 30);
/// assert_eq!(cache.get(&2), None);
/// assert_eq!(cache.get(&1), Some(10));
/// ```
#[derive(Clone)]
pub struct LruStorage {
    bound: Arc<Bound>,
}

impl LruStorage {
    /// At most `capacity` entries, at every moment. With 0 it stores nothing.
    pub fn new(capacity: usize) -> Self {
        Self::with(capacity, Clock::System)
    }

    /// The same kind of storage, new and empty, on a clock in a test's hand.
    #[must_use]
    pub fn with_clock(self, clock: &ManualClock) -> Self {
        Self::with(self.capacity(), Clock::Manual(clock.clone()))
    }

    fn with(capacity: usize, clock: Clock) -> Self {
        LruStorage { bound: Arc::new(Bound::new(Some(capacity), Order::Lru, clock)) }
    }

    /// Entries held now, of all functions together.
    pub fn len(&self) -> usize {
        self.bound.len()
    }

    /// As `len`, but counted at one moment.
    #[cfg(shuttle)]
    pub(crate) fn len_at_once(&self) -> usize {
        self.bound.len_at_once()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bound, in entries.
    pub fn capacity(&self) -> usize {
        self.bound.capacity.unwrap_or(usize::MAX)
    }

    pub(crate) fn attach<K: NearKey, V: Value>(&self) -> Table<K, V> {
        Table::join(self.bound.clone())
    }
}

impl fmt::Debug for LruStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("LruStorage");
        f.field("capacity", &self.capacity()).field("len", &self.len()).finish()
    }
}
