//! One shard of a table: an index from hash to slot, the slots, and their order.
//!
//! Plain data behind the lock that `table` keeps around it. Nothing here runs foreign code: what is
//! removed is handed out, and dropped by the caller after the lock.

use super::policy::{AnyPolicy, MOST_HITS, Policy, Rule, SlotId, Slots};
use crate::sync::tally;
use crate::time::{NEVER, Nanos};
use hashbrown::HashTable;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// What is stored: the key, for exact comparison, and the value.
pub(crate) struct Entry<K, V> {
    pub(crate) key: K,
    pub(crate) value: V,
}

/// An entry in its slot.
pub(crate) enum Stored<K, V> {
    /// Key and value are plain types of the standard library: compared and cloned in place.
    Plain(Entry<K, V>),
    /// Comparing or cloning may run foreign code: that happens outside of the lock.
    Foreign(Arc<Entry<K, V>>),
}

impl<K, V> Stored<K, V> {
    pub(crate) fn new(key: K, value: V, plain: bool) -> Self {
        let entry = Entry { key, value };
        if plain { Stored::Plain(entry) } else { Stored::Foreign(Arc::new(entry)) }
    }

    pub(crate) fn entry(&self) -> &Entry<K, V> {
        match self {
            Stored::Plain(entry) => entry,
            Stored::Foreign(entry) => entry,
        }
    }
}

pub(super) struct Slot<K, V> {
    hash: u64,
    expires: Nanos,
    /// When it came in (or, in LRU order, was last used), in a storage that several functions
    /// share.
    stamp: u64,
    /// Hits since the policy last asked, up to `MOST_HITS`. Written by readers, and only when it
    /// changes; of two at once one may be lost.
    hits: AtomicU8,
    /// Empty slots are in `free`.
    stored: Option<Stored<K, V>>,
}

pub(super) struct Shard<K, V> {
    index: HashTable<SlotId>,
    slots: Vec<Slot<K, V>>,
    free: Vec<SlotId>,
    policy: AnyPolicy,
    /// Where the search for expired entries goes on.
    sweep: usize,
    pub(super) evictions: u64,
    pub(super) expirations: u64,
}

impl<K, V> Slots for Vec<Slot<K, V>> {
    #[inline]
    fn hash(&self, slot: SlotId) -> u64 {
        self[slot as usize].hash
    }

    #[inline]
    fn take_hits(&mut self, slot: SlotId) -> u8 {
        std::mem::take(self[slot as usize].hits.get_mut())
    }

    #[inline]
    fn put_back(&mut self, slot: SlotId, hits: u8) {
        *self[slot as usize].hits.get_mut() = hits;
    }
}

const FULL: &str = "a slot in the index has an entry";

impl<K, V> Shard<K, V> {
    pub(super) fn new(policy: AnyPolicy) -> Self {
        Shard {
            index: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            policy,
            sweep: 0,
            evictions: 0,
            expirations: 0,
        }
    }

    /// The slot with this hash whose entry `is` the wanted one.
    #[inline]
    pub(super) fn find(
        &self,
        hash: u64,
        mut is: impl FnMut(&Stored<K, V>) -> bool,
    ) -> Option<SlotId> {
        let found = self.index.find(hash, |&slot| {
            let slot = &self.slots[slot as usize];
            slot.hash == hash && slot.stored.as_ref().is_some_and(&mut is)
        });
        found.copied()
    }

    /// All slots with this hash.
    pub(super) fn same_hash(&self, hash: u64) -> impl Iterator<Item = SlotId> {
        self.index
            .iter_hash(hash)
            .copied()
            .filter(move |&slot| self.slots[slot as usize].hash == hash)
    }

    #[inline]
    pub(super) fn stored(&self, slot: SlotId) -> &Stored<K, V> {
        self.slots[slot as usize].stored.as_ref().expect(FULL)
    }

    #[inline]
    pub(super) fn expires(&self, slot: SlotId) -> Nanos {
        self.slots[slot as usize].expires
    }

    /// Notes a hit without the exclusive lock.
    #[inline]
    pub(super) fn mark(&self, slot: SlotId) {
        let hits = &self.slots[slot as usize].hits;
        let so_far = hits.load(Relaxed);
        if so_far < MOST_HITS {
            tally::add(tally::Kind::Atomic);
            hits.store(so_far + 1, Relaxed);
        }
    }

    /// Notes a hit in a policy whose hits move things.
    #[inline]
    pub(super) fn touch(&mut self, slot: SlotId, stamp: u64) {
        self.slots[slot as usize].stamp = stamp;
        self.policy.touch(slot);
    }

    /// The policy goes on by this rule.
    #[inline]
    pub(super) fn follow(&mut self, rule: Rule) {
        self.policy.follow(rule);
    }

    /// Puts an entry into a slot of its own. It is moved part by part from where the caller has it:
    /// a slot that is made elsewhere and then copied waits for its own stores.
    #[inline]
    pub(super) fn insert(
        &mut self,
        hash: u64,
        expires: Nanos,
        stamp: u64,
        stored: &mut Option<Stored<K, V>>,
    ) {
        let slot = match self.free.pop() {
            Some(slot) => {
                let at = &mut self.slots[slot as usize];
                at.hash = hash;
                at.expires = expires;
                at.stamp = stamp;
                *at.hits.get_mut() = 0;
                std::mem::swap(&mut at.stored, stored);
                slot
            }
            None => {
                let slot =
                    SlotId::try_from(self.slots.len()).expect("a shard has under 2^32 slots");
                let hits = AtomicU8::new(0);
                self.slots.push(Slot { hash, expires, stamp, hits, stored: stored.take() });
                slot
            }
        };
        let slots = &self.slots;
        self.index.insert_unique(hash, slot, |&slot| slots[slot as usize].hash);
        self.policy.insert(slot, &mut self.slots);
    }

    /// Exchanges the entry of a slot, which counts as a hit.
    pub(super) fn replace(
        &mut self,
        slot: SlotId,
        expires: Nanos,
        stamp: u64,
        stored: &mut Option<Stored<K, V>>,
    ) {
        self.touch(slot, stamp);
        self.mark(slot);
        let slot = &mut self.slots[slot as usize];
        slot.expires = expires;
        std::mem::swap(&mut slot.stored, stored);
    }

    pub(super) fn remove(&mut self, slot: SlotId) -> Stored<K, V> {
        self.policy.remove(slot);
        let mut removed = None;
        self.vacate(slot, &mut removed);
        removed.expect(FULL)
    }

    /// Makes room by the policy's choice, and moves what was there to where the caller wants it;
    /// false if the shard is empty.
    pub(super) fn evict(&mut self, to: &mut Option<Stored<K, V>>) -> bool {
        let Some(slot) = self.policy.evict(&mut self.slots) else { return false };
        self.evictions += 1;
        self.vacate(slot, to);
        true
    }

    /// The stamp of the entry that is next to go.
    pub(super) fn oldest(&self) -> Option<u64> {
        let slot = self.policy.candidate()?;
        Some(self.slots[slot as usize].stamp)
    }

    /// Looks at the next slot in turn and removes its entry if that has expired. Called once or
    /// twice per insertion, this bounds the expired entries that nobody asks for without ever
    /// scanning.
    pub(super) fn sweep(&mut self, now: Nanos) -> Option<Stored<K, V>> {
        self.sweep = if self.sweep + 1 < self.slots.len() { self.sweep + 1 } else { 0 };
        let slot = self.slots.get(self.sweep)?;
        if slot.stored.is_none() || slot.expires > now {
            return None;
        }
        self.expirations += 1;
        Some(self.remove(self.sweep as SlotId))
    }

    /// Takes everything out and gives the memory back with it.
    pub(super) fn clear(&mut self) -> Vec<Slot<K, V>> {
        self.policy.clear();
        self.index = HashTable::new();
        self.free = Vec::new();
        std::mem::take(&mut self.slots)
    }

    /// Empties a slot that the policy has already forgotten. `to` is empty.
    #[inline]
    fn vacate(&mut self, slot: SlotId, to: &mut Option<Stored<K, V>>) {
        let vacated = &mut self.slots[slot as usize];
        let hash = vacated.hash;
        vacated.expires = NEVER;
        std::mem::swap(&mut vacated.stored, to);
        if let Ok(indexed) = self.index.find_entry(hash, |&at| at == slot) {
            indexed.remove();
        }
        self.free.push(slot);
    }

    /// Every entry, in no order.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry<K, V>> {
        self.slots.iter().filter_map(|slot| slot.stored.as_ref()).map(Stored::entry)
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Checks that index, slots, free list and policy agree. Empties the shard.
    #[cfg(all(test, shuttle))]
    pub(super) fn check(&mut self) {
        assert_eq!(self.index.len() + self.free.len(), self.slots.len(), "no slot is lost");
        let full = self.slots.iter().filter(|slot| slot.stored.is_some()).count();
        assert_eq!(full, self.index.len(), "full slots are indexed, and no others");
        for (at, slot) in (0..).zip(&self.slots) {
            let indexed = self.index.find(slot.hash, |&other: &SlotId| other == at).is_some();
            assert_eq!(indexed, slot.stored.is_some(), "a slot is indexed under its own hash");
        }
        if !matches!(self.policy, AnyPolicy::None) {
            let mut evicted = 0;
            while self.evict(&mut None) {
                evicted += 1;
            }
            assert_eq!(evicted, full, "the policy knows every entry once");
        }
    }
}
