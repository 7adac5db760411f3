//! A storage in memory: shards under their locks, and the bound over all of them.
//!
//! Shared by the tables of every function that uses the storage. The bound is global and exact: a
//! place is reserved before an entry goes in, and who finds none left takes an entry out first. The
//! order of eviction is per shard. Lock order: a flight's shard, then one shard here; never two.

use super::policy::{Lru, Policy, Sieve, SlotId};
use super::shard::{Held, Owner, Shard};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{self, RwLock, thread};
use crate::time::{Clock, Nanos};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How a storage orders its entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// True least-recently-used order, kept by one shard.
    Lru,
    /// Marks and a hand; hits share the lock.
    Sieve,
}

/// Entries per shard at which it is worth having another shard: fewer make eviction too local.
const ENTRIES_PER_SHARD: usize = 64;
/// Shards per core: threads rarely meet on a lock.
const SHARDS_PER_CORE: usize = 4;

/// A shard on cache lines of its own.
#[repr(align(128))]
struct Guarded(RwLock<Shard>);

pub(super) struct Engine {
    shards: Box<[Guarded]>,
    /// The most entries at any moment; `None`: no bound.
    capacity: Option<usize>,
    /// Places taken: entries, and reservations of those about to insert. Unused without a bound.
    taken: AtomicUsize,
    pub(super) order: Order,
    pub(super) clock: Clock,
    /// What belongs to each table, by owner number.
    ledgers: sync::Mutex<Vec<Option<Arc<Ledger>>>>,
}

/// What an engine counts for one table.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) entries: AtomicU64,
    pub(super) evictions: AtomicU64,
    pub(super) expirations: AtomicU64,
}

/// What an insertion pushed out. Dropped by the caller when no lock is held.
#[derive(Default)]
pub(crate) struct Displaced {
    replaced: Option<Held>,
    evicted: Option<(Owner, Held)>,
    expired: [Option<(Owner, Held)>; 2],
}

/// An entry on its way in.
pub(super) struct Incoming<'a> {
    pub(super) hash: u64,
    pub(super) owner: Owner,
    pub(super) ledger: &'a Ledger,
    pub(super) entry: Held,
    pub(super) expires: Nanos,
    /// The time, if it was read.
    pub(super) now: Option<Nanos>,
}

impl Engine {
    pub(super) fn new(capacity: Option<usize>, order: Order, clock: Clock) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let most = (SHARDS_PER_CORE * cores).next_power_of_two();
        let count = match (order, capacity) {
            (Order::Lru, _) => 1,
            (Order::Sieve, None) => most,
            (Order::Sieve, Some(n)) => {
                let wanted = (n / ENTRIES_PER_SHARD).max(1);
                (wanted + 1).next_power_of_two() / 2
            }
        };
        let policy = || -> Option<Box<dyn Policy>> {
            capacity?;
            Some(match order {
                Order::Lru => Box::new(Lru::default()),
                Order::Sieve => Box::new(Sieve::default()),
            })
        };
        let shard = |_| Guarded(RwLock::new(Shard::new(policy())));
        Engine {
            shards: (0..count.clamp(1, most)).map(shard).collect(),
            capacity,
            taken: AtomicUsize::new(0),
            order,
            clock,
            ledgers: sync::Mutex::new(Vec::new()),
        }
    }

    /// Enters a table into the books.
    pub(super) fn open(&self) -> (Owner, Arc<Ledger>) {
        let ledger = Arc::new(Ledger::default());
        let mut ledgers = sync::lock(&self.ledgers);
        let at = ledgers.iter().position(Option::is_none).unwrap_or_else(|| {
            ledgers.push(None);
            ledgers.len() - 1
        });
        ledgers[at] = Some(ledger.clone());
        (Owner::try_from(at).expect("under 2^32 functions share a storage"), ledger)
    }

    /// Strikes a table that has been cleared and is used no more.
    pub(super) fn close(&self, owner: Owner) {
        sync::lock(&self.ledgers)[owner as usize] = None;
    }

    /// The shard of a hash. The table inside uses the lowest and highest bits; these are others.
    #[inline]
    pub(super) fn shard(&self, hash: u64) -> &RwLock<Shard> {
        &self.shards[self.shard_number(hash)].0
    }

    #[inline]
    fn shard_number(&self, hash: u64) -> usize {
        (hash >> 32) as usize & (self.shards.len() - 1)
    }

    /// Puts an entry in, if `look` finds the shard as expected.
    ///
    /// `look` gets the locked shard and says which slot has the key (`Ok(None)`: none), or gives up.
    /// What had to go is in `displaced` either way.
    pub(super) fn put<E>(
        &self,
        incoming: Incoming<'_>,
        displaced: &mut Displaced,
        look: impl Fn(&Shard) -> Result<Option<SlotId>, E>,
    ) -> Result<(), E> {
        let Incoming { hash, owner, ledger, entry, expires, now } = incoming;
        if self.capacity == Some(0) {
            return Ok(());
        }
        let home = self.shard_number(hash);
        let mut place = self.reserve();
        loop {
            let mut shard = sync::write(&self.shards[home].0);
            let found = match look(&shard) {
                Ok(found) => found,
                Err(changed) => {
                    drop(shard);
                    self.settle(owner, ledger, displaced, 0);
                    self.give_back(place);
                    return Err(changed);
                }
            };
            if let Some(slot) = found {
                let expired = now.is_some_and(|now| shard.expires(slot) <= now);
                displaced.replaced = Some(shard.replace(slot, expires, entry));
                drop(shard);
                ledger.expirations.fetch_add(expired.into(), Relaxed);
                self.settle(owner, ledger, displaced, 0);
                self.give_back(place);
                return Ok(());
            }
            if let Some(now) = now {
                for expired in displaced.expired.iter_mut().filter(|one| one.is_none()) {
                    *expired = shard.sweep(now);
                    if expired.is_some() {
                        self.give_back(std::mem::replace(&mut place, true));
                    }
                }
            }
            if !place {
                displaced.evicted = shard.evict();
                place = displaced.evicted.is_some();
            }
            if place {
                shard.insert(hash, owner, expires, entry);
                drop(shard);
                self.settle(owner, ledger, displaced, 1);
                return Ok(());
            }
            // Full, and this shard is empty: take a place from another one, then look again.
            drop(shard);
            (place, displaced.evicted) = self.evict_elsewhere(home);
        }
    }

    /// Takes a place if one is free.
    fn reserve(&self) -> bool {
        let Some(capacity) = self.capacity else { return true };
        let one_more = |taken| (taken < capacity).then_some(taken + 1);
        // A full storage stays full: look before writing a line that all threads share.
        self.taken.load(Ordering::Relaxed) < capacity
            && self.taken.fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_more).is_ok()
    }

    fn give_back(&self, place: bool) {
        if place && self.capacity.is_some() {
            self.taken.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Evicts from any other shard; its place is the caller's.
    fn evict_elsewhere(&self, home: usize) -> (bool, Option<(Owner, Held)>) {
        let count = self.shards.len();
        for other in (home + 1..home + count).map(|at| at % count) {
            if let Some(evicted) = sync::write(&self.shards[other].0).evict() {
                return (true, Some(evicted));
            }
        }
        // Every place is in the hands of threads about to insert; they hold no lock we need.
        thread::yield_now();
        (self.reserve(), None)
    }

    /// Removes the entry that `look` finds.
    pub(super) fn take<E>(
        &self,
        hash: u64,
        ledger: &Ledger,
        look: impl Fn(&Shard) -> Result<Option<SlotId>, E>,
    ) -> Result<Option<Held>, E> {
        let mut shard = sync::write(self.shard(hash));
        let Some(slot) = look(&shard)? else { return Ok(None) };
        let removed = shard.remove(slot);
        drop(shard);
        self.give_back(true);
        ledger.entries.fetch_sub(1, Relaxed);
        Ok(Some(removed))
    }

    /// Removes every entry of a table, shard by shard.
    pub(super) fn clear(&self, owner: Owner, ledger: &Ledger) {
        for shard in &self.shards {
            let removed = sync::write(&shard.0).clear(owner);
            for _ in &removed {
                self.give_back(true);
            }
            ledger.entries.fetch_sub(removed.len() as u64, Relaxed);
            drop(removed); // foreign drops, outside of the lock
        }
    }

    /// Books what came in and what was pushed out. In the usual case, one of this table's entries for
    /// another, the count of entries is not written.
    fn settle(&self, owner: Owner, ledger: &Ledger, displaced: &Displaced, added: u64) {
        let mut removed = 0;
        let mut book = |of: Owner, count: fn(&Ledger) -> &AtomicU64| {
            if of == owner {
                removed += 1;
                count(ledger).fetch_add(1, Relaxed);
            } else if let Some(Some(other)) = sync::lock(&self.ledgers).get(of as usize) {
                other.entries.fetch_sub(1, Relaxed);
                count(other).fetch_add(1, Relaxed);
            }
        };
        if let Some((of, _)) = &displaced.evicted {
            book(*of, |ledger| &ledger.evictions);
        }
        for (of, _) in displaced.expired.iter().flatten() {
            book(*of, |ledger| &ledger.expirations);
        }
        if added != removed {
            ledger.entries.fetch_add(added.wrapping_sub(removed), Relaxed);
        }
    }

    /// Entries of all tables together.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| sync::read(&shard.0).len()).sum()
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        self.capacity
    }

    /// Checks every shard and the books; empties the storage.
    #[cfg(any(test, shuttle))]
    pub(super) fn check(&self) {
        let len = self.len();
        if let Some(capacity) = self.capacity {
            assert!(len <= capacity, "{len} entries in a storage of {capacity}");
            assert_eq!(self.taken.load(Ordering::SeqCst), len, "every place taken has its entry");
        }
        let booked: u64 = sync::lock(&self.ledgers)
            .iter()
            .flatten()
            .map(|ledger| ledger.entries.load(Relaxed))
            .sum();
        assert_eq!(booked, len as u64, "the books agree with the shards");
        for shard in &self.shards {
            sync::write(&shard.0).check();
        }
    }
}
