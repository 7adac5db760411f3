//! A storage object: its bound, its order, its clock, and the tables that share them.
//!
//! The bound is exact at every moment: places are reserved before an entry goes in, as many as it
//! weighs, and who finds none left takes entries out first. Where several functions share a
//! storage, each has a table of its own, and stamps say which of them holds the oldest entry. No
//! two locks of this folder are held at once.

use super::policy::FILLING;
use super::removal::Evicted;
use super::tuner::Tuner;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{self, RwLock};
use crate::time::{Clock, Nanos};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};

/// How a storage orders its entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// True least-recently-used order, kept by one shard.
    Lru,
    /// By the rule that fits the workload best; hits take no lock.
    Adaptive,
}

/// Entries per shard at which it is worth having another shard: fewer make eviction too local. Of
/// 64 places, some shards have far more keys than others, and what is best for one is not for all.
const ENTRIES_PER_SHARD: usize = if cfg!(shuttle) { 1 } else { 512 };
/// Shards per core: threads rarely meet on a lock.
const SHARDS_PER_CORE: usize = 4;
/// What an entry is supposed to weigh, where weights are bounded, until it is known better.
const SUPPOSED_WEIGHT: usize = if cfg!(shuttle) { 1 } else { 1024 };

/// Slots that `reclaim` looks at under one lock.
const RECLAIMED: usize = 256;

/// What is bounded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Limit {
    None,
    /// The number of entries: each takes one place.
    Entries(usize),
    /// What they weigh together: each takes as many places as it weighs.
    Weight(usize),
}

pub(super) struct Bound {
    pub(super) limit: Limit,
    /// Places: no more are taken at any moment. `None`: no bound.
    pub(super) capacity: Option<usize>,
    /// About how many entries that is; 0: not known yet.
    expected: AtomicU64,
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
    /// Takes out what has expired in this shard, and counts down how many slots it may look at.
    /// Places are the caller's.
    fn expire(self: Arc<Self>, shard: usize, now: Nanos, looks: &mut usize) -> Option<Evicted>;
    /// Entries now, and what they weigh.
    fn len_and_weight(&self) -> (usize, usize);
    /// Checks and empties every shard.
    #[cfg(all(test, shuttle))]
    fn check(&self);
    /// Locks every shard against changes; how many places its entries take.
    #[cfg(shuttle)]
    fn hold(&self) -> (usize, Box<dyn Held + '_>);
}

/// Locks that are kept until this is dropped.
#[cfg(shuttle)]
pub(super) trait Held {}
#[cfg(shuttle)]
impl<T> Held for T {}

impl Bound {
    pub(super) fn new(limit: Limit, order: Order, clock: Clock) -> Self {
        let (capacity, entries) = match limit {
            Limit::None => (None, None),
            Limit::Entries(most) => (Some(most), Some(most)),
            Limit::Weight(most) => (Some(most), Some(most / SUPPOSED_WEIGHT)),
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let most = (SHARDS_PER_CORE * cores).next_power_of_two();
        let shards = match (order, entries) {
            (Order::Lru, _) => 1,
            (Order::Adaptive, None) => most,
            (Order::Adaptive, Some(n)) => {
                let wanted = (n / ENTRIES_PER_SHARD).clamp(1, most);
                (wanted + 1).next_power_of_two() / 2
            }
        };
        let known = if let Limit::Entries(most) = limit { most as u64 } else { 0 };
        Bound {
            limit,
            capacity,
            expected: AtomicU64::new(known),
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

    pub(super) fn entries(&self) -> Option<usize> {
        match self.limit {
            Limit::Entries(most) => Some(most),
            Limit::None | Limit::Weight(_) => None,
        }
    }

    pub(super) fn weight_limit(&self) -> Option<usize> {
        match self.limit {
            Limit::Weight(most) => Some(most),
            Limit::None | Limit::Entries(_) => None,
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

    /// Who holds some places takes as many more as an entry needs, if they are free; whether that
    /// is enough now.
    #[inline]
    pub(super) fn top_up(&self, held: &mut usize, needed: usize) -> bool {
        if *held < needed && self.reserve(needed - *held) {
            *held = needed;
        }
        *held >= needed
    }

    /// Takes so many places, if as many are free.
    #[inline]
    fn reserve(&self, places: usize) -> bool {
        let Some(capacity) = self.capacity else { return true };
        let Some(most) = capacity.checked_sub(places) else { return false };
        // A full storage stays full: look before writing a line that all threads share.
        self.taken.load(Ordering::Relaxed) <= most && self.take(places, most)
    }

    #[inline(never)]
    fn take(&self, places: usize, most: usize) -> bool {
        let taken = |taken| (taken <= most).then_some(taken + places);
        self.taken.fetch_update(Ordering::AcqRel, Ordering::Relaxed, taken).is_ok()
    }

    #[inline]
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
            match self.expected.load(Relaxed) as usize {
                0 if capacity > 0 && fills() => self.expect(capacity),
                0 => {}
                entries => self.tuner.miss(hash, entries, fills),
            }
        }
    }

    /// How many entries fit is told by those that are there when the storage begins to fill.
    #[cold]
    fn expect(&self, capacity: usize) {
        let taken = self.taken.load(Ordering::Relaxed).max(1);
        let fit = self.len() as u128 * capacity as u128 / taken as u128;
        self.expected.store(fit.max(1) as u64, Relaxed);
    }

    fn members(&self) -> Vec<Arc<dyn Member>> {
        sync::read(&self.members).iter().filter_map(Weak::upgrade).collect()
    }

    /// Evicts the oldest entry that any table holds in this shard; its place is the caller's.
    fn evict_oldest(&self, shard: usize) -> Option<Evicted> {
        let members = self.members();
        let with_stamp = |member: &Arc<dyn Member>| Some((member.oldest(shard)?, member.clone()));
        let (_, oldest) = members.iter().filter_map(with_stamp).min_by_key(|(stamp, _)| *stamp)?;
        oldest.evict(shard)
    }

    /// Takes out an entry where room can be made: the oldest of this shard if several tables have a
    /// say in it; else one of another shard; or what there is.
    pub(super) fn evict_oldest_from(&self, home: usize) -> Option<Evicted> {
        let here = if self.is_shared() { self.evict_oldest(home) } else { None };
        here.or_else(|| self.evict_anywhere(home))
    }

    /// Evicts from whichever shard has an entry, this one last.
    fn evict_anywhere(&self, home: usize) -> Option<Evicted> {
        let mut others = (home + 1..=home + self.shards).map(|shard| shard % self.shards);
        others.find_map(|shard| self.evict_oldest(shard))
    }

    /// Entries of all tables together. Shards are counted one after the other, so an entry that
    /// goes while another comes could be counted beside it: never more than fit are reported.
    pub(super) fn len(&self) -> usize {
        let counted = self.members().iter().map(|member| member.len_and_weight().0).sum();
        self.capacity.map_or(counted, |capacity| capacity.min(counted))
    }

    /// What they weigh together, counted likewise.
    pub(super) fn weight(&self) -> usize {
        let counted = self.members().iter().map(|member| member.len_and_weight().1).sum();
        self.capacity.map_or(counted, |capacity| capacity.min(counted))
    }

    /// Takes out what has expired in a shard of each table, looking at so many slots in each;
    /// whether there may be more.
    pub(super) fn expire(&self, shard: usize, now: Nanos, looks: usize) -> (Vec<Evicted>, bool) {
        let (mut expired, mut more) = (Vec::new(), false);
        for member in self.members() {
            let mut looks = looks;
            expired.extend(member.expire(shard, now, &mut looks));
            more |= looks == 0;
        }
        self.give_back(expired.iter().map(|evicted| evicted.weight).sum());
        (expired, more)
    }

    /// Takes out, in small steps, all that has expired, and tells the listeners; how many entries
    /// that were.
    pub(super) fn reclaim(&self) -> usize {
        let (now, mut reclaimed) = (self.clock.now(), 0);
        for shard in 0..self.shards {
            let mut more = true;
            while more {
                let expired;
                (expired, more) = self.expire(shard, now, RECLAIMED);
                reclaimed += expired.iter().map(|expired| expired.count).sum::<usize>();
                expired.into_iter().for_each(|expired| expired.gone.tell());
            }
        }
        reclaimed
    }

    /// Places that the entries of all tables take together, counted at one moment.
    #[cfg(shuttle)]
    pub(super) fn len_at_once(&self) -> usize {
        let members = self.members();
        let held: Vec<_> = members.iter().map(|member| member.hold()).collect();
        held.iter().map(|(places, _)| places).sum()
    }

    /// Checks every table and the bound; empties the storage.
    #[cfg(all(test, shuttle))]
    pub(super) fn check(&self) {
        let weight = self.weight();
        if let Some(capacity) = self.capacity {
            assert!(self.len() <= capacity, "{} entries in a storage of {capacity}", self.len());
            let taken = self.taken.load(Ordering::SeqCst);
            assert_eq!(taken, weight, "every place taken has its entry");
        }
        for member in self.members() {
            member.check();
        }
        self.give_back(weight);
    }
}
