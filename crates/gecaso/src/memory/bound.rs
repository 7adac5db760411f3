//! A storage object: its bound, its order, its clock, and the tables that share them.
//!
//! The bound is exact at every moment: a place is reserved before an entry goes in, and who finds
//! none left takes an entry out first. Where several functions share a storage, each has a table of
//! its own, and stamps say which of them holds the oldest entry. No two locks of this folder are
//! held at once.

use super::policy::FILLING;
use super::tuner::Tuner;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{self, RwLock};
use crate::time::Clock;
use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};

/// How a storage orders its entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// True least-recently-used order, kept by one shard.
    Lru,
    /// By the rule that fits the workload best; hits share the lock.
    Adaptive,
}

/// Entries per shard at which it is worth having another shard: fewer make eviction too local. Of
/// 64 places, some shards have far more keys than others, and what is best for one is not for all.
const ENTRIES_PER_SHARD: usize = if cfg!(shuttle) { 1 } else { 512 };
/// Shards per core: threads rarely meet on a lock.
const SHARDS_PER_CORE: usize = 4;

pub(super) struct Bound {
    /// The most entries at any moment; `None`: no bound.
    pub(super) capacity: Option<usize>,
    pub(super) order: Order,
    pub(super) clock: Clock,
    /// Shards of each table, a power of two.
    pub(super) shards: usize,
    /// Places taken: entries, and reservations of those about to insert. Unused without a bound.
    taken: AtomicUsize,
    members: RwLock<Vec<Weak<dyn Member>>>,
    /// Whether there was ever more than one member.
    shared: AtomicBool,
    /// The next stamp.
    stamps: AtomicU64,
    /// What the shards of every table follow. Unused without a bound and in LRU order.
    pub(super) tuner: Tuner,
}

/// A table, as the others that share its storage see it.
pub(super) trait Member: Send + Sync {
    /// The stamp of the entry that is next to go in this shard.
    fn oldest(&self, shard: usize) -> Option<u64>;
    /// Takes that entry out. Its place is the caller's.
    fn evict(self: Arc<Self>, shard: usize) -> Option<Evicted>;
    /// Entries now.
    fn len(&self) -> usize;
    /// Checks and empties every shard.
    #[cfg(all(test, shuttle))]
    fn check(&self);
    /// Locks every shard against changes; how many entries that are.
    #[cfg(shuttle)]
    fn hold(&self) -> (usize, Box<dyn Held + '_>);
}

/// Locks that are kept until this is dropped.
#[cfg(shuttle)]
pub(super) trait Held {}
#[cfg(shuttle)]
impl<T> Held for T {}

/// An entry of whatever type, to be dropped when no lock is held.
pub(super) type Evicted = Box<dyn Any + Send>;

impl Bound {
    pub(super) fn new(capacity: Option<usize>, order: Order, clock: Clock) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let most = (SHARDS_PER_CORE * cores).next_power_of_two();
        let shards = match (order, capacity) {
            (Order::Lru, _) => 1,
            (Order::Adaptive, None) => most,
            (Order::Adaptive, Some(n)) => {
                let wanted = (n / ENTRIES_PER_SHARD).clamp(1, most);
                (wanted + 1).next_power_of_two() / 2
            }
        };
        Bound {
            capacity,
            order,
            clock,
            shards,
            taken: AtomicUsize::new(0),
            members: RwLock::new(Vec::new()),
            shared: AtomicBool::new(false),
            stamps: AtomicU64::new(1),
            tuner: Tuner::new(),
        }
    }

    pub(super) fn join(&self, member: Weak<dyn Member>) {
        let mut members = sync::write(&self.members);
        members.retain(|member| member.strong_count() > 0);
        members.push(member);
        if members.len() > 1 {
            self.shared.store(true, Relaxed);
        }
    }

    #[inline]
    pub(super) fn is_shared(&self) -> bool {
        self.shared.load(Relaxed)
    }

    /// A stamp later than all before; 0 as long as nobody compares stamps.
    #[inline]
    pub(super) fn stamp(&self) -> u64 {
        if self.is_shared() { self.stamps.fetch_add(1, Relaxed) } else { 0 }
    }

    /// Takes a place if one is free.
    pub(super) fn reserve(&self) -> bool {
        let Some(capacity) = self.capacity else { return true };
        let one_more = |taken| (taken < capacity).then_some(taken + 1);
        // A full storage stays full: look before writing a line that all threads share.
        self.taken.load(Ordering::Relaxed) < capacity
            && self.taken.fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_more).is_ok()
    }

    pub(super) fn give_back(&self, places: usize) {
        if places > 0 && self.capacity.is_some() {
            self.taken.fetch_sub(places, Ordering::AcqRel);
        }
    }

    /// Tells the tuner of a miss. A storage that never fills has nothing to choose, and is left in
    /// peace.
    #[inline]
    pub(super) fn note_miss(&self, hash: u64) {
        if let (Order::Adaptive, Some(capacity)) = (self.order, self.capacity) {
            let fills = || self.taken.load(Ordering::Relaxed) >= capacity / FILLING;
            self.tuner.miss(hash, capacity, fills);
        }
    }

    fn members(&self) -> Vec<Arc<dyn Member>> {
        sync::read(&self.members).iter().filter_map(Weak::upgrade).collect()
    }

    /// Evicts the oldest entry that any table holds in this shard; its place is the caller's.
    pub(super) fn evict_oldest(&self, shard: usize) -> Option<Evicted> {
        let members = self.members();
        let with_stamp = |member: &Arc<dyn Member>| Some((member.oldest(shard)?, member.clone()));
        let (_, oldest) = members.iter().filter_map(with_stamp).min_by_key(|(stamp, _)| *stamp)?;
        oldest.evict(shard)
    }

    /// Evicts from whichever shard has an entry, this one last.
    pub(super) fn evict_anywhere(&self, home: usize) -> Option<Evicted> {
        let mut others = (home + 1..=home + self.shards).map(|shard| shard % self.shards);
        others.find_map(|shard| self.evict_oldest(shard))
    }

    /// Entries of all tables together. Shards are counted one after the other, so an entry that
    /// goes while another comes could be counted beside it: never more than fit are reported.
    pub(super) fn len(&self) -> usize {
        let counted = self.members().iter().map(|member| member.len()).sum();
        self.capacity.map_or(counted, |capacity| capacity.min(counted))
    }

    /// Entries of all tables together, counted at one moment.
    #[cfg(shuttle)]
    pub(super) fn len_at_once(&self) -> usize {
        let members = self.members();
        let held: Vec<_> = members.iter().map(|member| member.hold()).collect();
        held.iter().map(|(entries, _)| entries).sum()
    }

    /// Checks every table and the bound; empties the storage.
    #[cfg(all(test, shuttle))]
    pub(super) fn check(&self) {
        let len = self.len();
        if let Some(capacity) = self.capacity {
            assert!(len <= capacity, "{len} entries in a storage of {capacity}");
            assert_eq!(self.taken.load(Ordering::SeqCst), len, "every place taken has its entry");
        }
        for member in self.members() {
            member.check();
        }
        self.give_back(len);
    }
}
