//! Storages in this process: typed values, synchronous, infallible.
//!
//! `MemoryStorage` and `LruStorage` are cheap handles on a `bound`; each function that uses one
//! attaches its own typed `table`. Bound and order belong to the storage, so functions that share
//! one share its places. Knows nothing of flights or calls.

mod bound;
mod entry;
mod lending;
mod lifetimes;
mod policy;
mod raw;
mod removal;
mod storing;
mod table;
mod terms;
mod tuner;
mod walk;
mod weights;
mod wheel;

pub use removal::RemovalCause;

pub(crate) use entry::{Entry, Stored};
pub(crate) use lifetimes::Life;
pub(crate) use removal::Displaced;
pub(crate) use storing::{Incoming, Seen};
pub(crate) use table::Table;
pub use table::Unfound;
#[cfg_attr(not(feature = "macros"), allow(unused_imports))]
pub(crate) use terms::{Terms, Weigher};
pub(crate) use walk::{Met, Walk};

use crate::key::NearKey;
use crate::outcome::Value;
use crate::time::{Clock, ManualClock};
use bound::{Bound, Limit, Order};
use std::fmt;
use std::sync::Arc;

/// A storage in memory whose hits take no lock: the default.
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
        Self::with(Limit::Entries(capacity), Clock::System)
    }

    /// Entries that weigh at most `max_weight` together, at every moment, in whatever unit the
    /// [weighers](crate::CacheBuilder::weigher) of its functions measure: bytes, rows, tokens. An
    /// entry that is too heavy for it is not stored, and pushes nothing out.
    ///
    /// ```
    /// use gecaso::{Cache, MemoryStorage};
    ///
    /// let storage = MemoryStorage::weighted(100);
    /// let pages =
    ///     Cache::<u32, String>::builder().storage(&storage).weigher(|_, page| page.len()).build();
    /// pages.insert(1, "x".repeat(60));
    /// pages.insert(2, "x".repeat(60)); // no room for both
    /// pages.insert(3, "x".repeat(101)); // and for this one never
    /// assert_eq!((storage.len(), storage.weight()), (1, 60));
    /// ```
    pub fn weighted(max_weight: usize) -> Self {
        Self::with(Limit::Weight(max_weight), Clock::System)
    }

    /// Keeps nothing, and has the clock of what does.
    #[cfg(feature = "far")]
    pub(crate) fn none(clock: &Clock) -> Self {
        Self::with(Limit::Entries(0), clock.clone())
    }

    /// As many entries as there are different calls. Only for functions with few of them.
    pub fn unbounded() -> Self {
        Self::with(Limit::None, Clock::System)
    }

    /// The same kind of storage, new and empty, on a clock in a test's hand.
    #[must_use]
    pub fn with_clock(self, clock: &ManualClock) -> Self {
        Self::with(self.bound.limit, Clock::Manual(clock.clone()))
    }

    fn with(limit: Limit, clock: Clock) -> Self {
        MemoryStorage { bound: Arc::new(Bound::new(limit, Order::Adaptive, clock)) }
    }

    /// The bound in entries; `None`: there is none, or it is one of weight.
    pub fn capacity(&self) -> Option<usize> {
        self.bound.entries()
    }

    /// The bound in weight; `None`: there is none, or it is one of entries.
    pub fn max_weight(&self) -> Option<usize> {
        self.bound.weight_limit()
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
        f.field("capacity", &self.capacity()).field("max_weight", &self.max_weight());
        f.field("len", &self.len()).finish()
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
        Self::with(Limit::Entries(capacity), Clock::System)
    }

    /// Entries that weigh at most `max_weight` together, at every moment; as
    /// [`MemoryStorage::weighted`].
    pub fn weighted(max_weight: usize) -> Self {
        Self::with(Limit::Weight(max_weight), Clock::System)
    }

    /// The same kind of storage, new and empty, on a clock in a test's hand.
    #[must_use]
    pub fn with_clock(self, clock: &ManualClock) -> Self {
        Self::with(self.bound.limit, Clock::Manual(clock.clone()))
    }

    fn with(limit: Limit, clock: Clock) -> Self {
        LruStorage { bound: Arc::new(Bound::new(limit, Order::Lru, clock)) }
    }

    /// The bound in entries; no bound at all, if it is one of weight.
    pub fn capacity(&self) -> usize {
        self.bound.entries().unwrap_or(usize::MAX)
    }

    /// The bound in weight; `None`: it is one of entries.
    pub fn max_weight(&self) -> Option<usize> {
        self.bound.weight_limit()
    }
}

impl fmt::Debug for LruStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("LruStorage");
        f.field("capacity", &self.capacity()).field("max_weight", &self.max_weight());
        f.field("len", &self.len()).finish()
    }
}

/// A storage that a function is to be attached to, on the function's own terms.
pub(crate) struct Attach(Arc<Bound>);

impl Attach {
    /// # Panics
    ///
    /// See [`Table::join`].
    pub(crate) fn on<K: NearKey, V: Value>(self, terms: Terms<K, V>) -> Table<K, V> {
        Table::join(self.0, terms)
    }
}

/// What both kinds of storage can do.
macro_rules! alike {
    ($($storage:ty),*) => { $(
        impl $storage {
            /// Entries held now, of all functions together; those that have expired and were not
            /// reclaimed yet included.
            pub fn len(&self) -> usize {
                self.bound.len()
            }

            /// As `len`, but counted at one moment, and in places.
            #[cfg(shuttle)]
            pub(crate) fn len_at_once(&self) -> usize {
                self.bound.len_at_once()
            }

            /// Whether nothing is held.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// What the entries of all functions weigh together now. Where the bound is one of
            /// entries, each weighs 1.
            pub fn weight(&self) -> usize {
                self.bound.weight()
            }

            /// Removes every entry that has expired, of all functions; how many there were.
            ///
            /// Never needed for a right answer, nor as long as functions store: each insertion of
            /// an entry that expires removes a few that have, found without looking at others. But
            /// a storage in which nothing is stored any more keeps what it has: call this, now and
            /// then, from wherever your program does such things, to have that memory back.
            ///
            /// ```
            /// use gecaso::{Cache, LruStorage, ManualClock};
            /// use std::time::Duration;
            ///
            /// let clock = ManualClock::new();
            /// let storage = LruStorage::new(16).with_clock(&clock);
            /// let cache: Cache<u32, u32> =
            ///     Cache::builder().storage(&storage).ttl(Duration::from_secs(60)).build();
            /// cache.insert(1, 10);
            /// clock.advance(Duration::from_secs(60));
            /// assert_eq!((cache.get(&1), storage.len()), (None, 1));
            /// assert_eq!((storage.reclaim(), storage.len()), (1, 0));
            /// ```
            pub fn reclaim(&self) -> usize {
                self.bound.reclaim()
            }

            pub(crate) fn attach(&self) -> Attach {
                Attach(self.bound.clone())
            }
        }
    )* };
}
alike!(MemoryStorage, LruStorage);
