//! One shard of a table: an index from hash to slot, the slots, and their order.
//!
//! Plain data behind the lock that `table` keeps around it. Nothing here runs foreign code: what is
//! removed is handed out, and dropped by the caller after the lock.

use super::lifetimes::{Life, Lifetimes};
use super::policy::{AnyPolicy, MOST_HITS, Policy, Rule, SlotId, Slots};
use super::weights::Weights;
use crate::sync::tally;
use crate::time::{NEVER, Nanos};
use hashbrown::HashTable;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

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
    pub(super) hash: u64,
    /// Put off by readers, where a hit does that.
    expires: AtomicU64,
    /// When it came in (or, in LRU order, was last used), in a storage that several functions
    /// share.
    stamp: u64,
    /// Hits since the policy last asked, up to `MOST_HITS`. Written by readers, and only when it
    /// changes; of two at once one may be lost.
    hits: AtomicU8,
    /// Empty slots are in `free`.
    pub(super) stored: Option<Stored<K, V>>,
}

pub(super) struct Shard<K, V> {
    pub(super) index: HashTable<SlotId>,
    pub(super) slots: Vec<Slot<K, V>>,
    pub(super) free: Vec<SlotId>,
    pub(super) policy: AnyPolicy,
    /// Made for the first entry that ends.
    pub(super) lifetimes: Option<Box<Lifetimes>>,
    /// `None`: every entry weighs 1.
    pub(super) weights: Option<Box<Weights>>,
    /// How often entries have moved to other slots.
    pub(super) moves: u64,
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
    pub(super) fn new(policy: AnyPolicy, weighs: bool) -> Self {
        Shard {
            index: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            policy,
            lifetimes: None,
            weights: weighs.then(Box::default),
            moves: 0,
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

    /// What is in a few slots, from this one on: slot, hash and entry.
    pub(super) fn occupied(
        &self,
        from: usize,
        most: usize,
    ) -> impl Iterator<Item = (SlotId, u64, &Stored<K, V>)> {
        let slots = (0..).zip(&self.slots).skip(from).take(most);
        slots.filter_map(|(at, slot)| Some((at, slot.hash, slot.stored.as_ref()?)))
    }

    #[inline]
    pub(super) fn stored(&self, slot: SlotId) -> &Stored<K, V> {
        self.slots[slot as usize].stored.as_ref().expect(FULL)
    }

    #[inline]
    pub(super) fn expires(&self, slot: SlotId) -> Nanos {
        self.slots[slot as usize].expires.load(Relaxed)
    }

    /// Whether there may be entries that end when nobody asks for them.
    #[inline]
    pub(super) fn puts_off(&self) -> bool {
        self.lifetimes.as_ref().is_some_and(|lifetimes| lifetimes.puts_off())
    }

    /// Notes that an entry that ends was asked for now, without the exclusive lock.
    #[inline]
    pub(super) fn put_off(&self, slot: SlotId, now: Nanos) {
        let Some(lifetimes) = &self.lifetimes else { return };
        let expires = &self.slots[slot as usize].expires;
        if let Some(new) = lifetimes.put_off(slot, expires.load(Relaxed), now) {
            tally::add(tally::Kind::Atomic);
            // Of two at once the later end stands.
            expires.fetch_max(new, Relaxed);
        }
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
        life: &Life,
        weight: usize,
        stamp: u64,
        stored: &mut Option<Stored<K, V>>,
    ) {
        let slot = match self.free.pop() {
            Some(slot) => {
                let at = &mut self.slots[slot as usize];
                at.hash = hash;
                *at.expires.get_mut() = life.ends;
                at.stamp = stamp;
                *at.hits.get_mut() = 0;
                std::mem::swap(&mut at.stored, stored);
                slot
            }
            None => {
                let slot =
                    SlotId::try_from(self.slots.len()).expect("a shard has under 2^32 slots");
                let (hits, expires) = (AtomicU8::new(0), AtomicU64::new(life.ends));
                self.slots.push(Slot { hash, expires, stamp, hits, stored: stored.take() });
                slot
            }
        };
        let slots = &self.slots;
        self.index.insert_unique(hash, slot, |&slot| slots[slot as usize].hash);
        self.policy.insert(slot, &mut self.slots);
        if life.ends != NEVER {
            self.begin(slot, life);
        }
        self.weigh(slot, weight);
    }

    /// A slot has got an entry of this weight, or lost it: 0. What it weighed before.
    #[inline]
    fn weigh(&mut self, slot: SlotId, weight: usize) -> usize {
        self.weights.as_mut().map_or(1, |weights| weights.set(slot, weight))
    }

    /// What the entry in a slot weighs.
    #[inline]
    pub(super) fn weight(&self, slot: SlotId) -> usize {
        self.weights.as_ref().map_or(1, |weights| weights.of(slot))
    }

    /// What all entries weigh together.
    pub(super) fn total_weight(&self) -> usize {
        self.weights.as_ref().map_or(self.len(), |weights| weights.total())
    }

    /// A slot has got an entry that ends.
    #[inline(never)]
    fn begin(&mut self, slot: SlotId, life: &Life) {
        self.lifetimes.get_or_insert_with(|| Box::new(Lifetimes::new())).begin(slot, *life);
    }

    /// A slot loses an entry that would have ended at `expires`.
    #[inline]
    fn end(&mut self, slot: SlotId, expires: Nanos) {
        if expires != NEVER
            && let Some(lifetimes) = &mut self.lifetimes
        {
            lifetimes.end(slot);
        }
    }

    /// Exchanges the entry of a slot, which counts as a hit.
    pub(super) fn replace(
        &mut self,
        slot: SlotId,
        life: &Life,
        weight: usize,
        stamp: u64,
        stored: &mut Option<Stored<K, V>>,
    ) {
        self.touch(slot, stamp);
        self.mark(slot);
        self.end(slot, self.expires(slot));
        let at = &mut self.slots[slot as usize];
        *at.expires.get_mut() = life.ends;
        std::mem::swap(&mut at.stored, stored);
        if life.ends != NEVER {
            self.begin(slot, life);
        }
        self.weigh(slot, weight);
    }

    /// Removes the entry of a slot: it, and its weight.
    pub(super) fn remove(&mut self, slot: SlotId) -> (Stored<K, V>, usize) {
        self.policy.remove(slot);
        let mut removed = None;
        let weight = self.vacate(slot, &mut removed);
        self.shrink_if_sparse();
        (removed.expect(FULL), weight)
    }

    /// Makes room by the policy's choice, and moves what was there to where the caller wants it;
    /// what that weighed, or `None` if the shard is empty.
    pub(super) fn evict(&mut self, to: &mut Option<Stored<K, V>>) -> Option<usize> {
        let slot = self.policy.evict(&mut self.slots)?;
        self.evictions += 1;
        Some(self.vacate(slot, to))
    }

    /// The stamp of the entry that is next to go.
    pub(super) fn oldest(&self) -> Option<u64> {
        let slot = self.policy.candidate()?;
        Some(self.slots[slot as usize].stamp)
    }

    /// Removes an entry that has expired, and counts down how many slots it may look at for that.
    pub(super) fn expire(
        &mut self,
        now: Nanos,
        looks: &mut usize,
    ) -> Option<(Stored<K, V>, usize)> {
        let (slots, lifetimes) = (&self.slots, self.lifetimes.as_mut()?);
        let slot = lifetimes.pop(now, looks, |slot| slots[slot as usize].expires.load(Relaxed))?;
        self.expirations += 1;
        Some(self.remove(slot))
    }

    /// Takes everything out and gives the memory back with it.
    pub(super) fn clear(&mut self) -> Vec<Slot<K, V>> {
        self.policy.clear();
        self.index = HashTable::new();
        self.free = Vec::new();
        self.lifetimes = None;
        if let Some(weights) = &mut self.weights {
            **weights = Weights::default();
        }
        std::mem::take(&mut self.slots)
    }

    /// Empties a slot that the policy has already forgotten; what its entry weighed. `to` is empty.
    #[inline]
    fn vacate(&mut self, slot: SlotId, to: &mut Option<Stored<K, V>>) -> usize {
        let vacated = &mut self.slots[slot as usize];
        let hash = vacated.hash;
        let expires = std::mem::replace(vacated.expires.get_mut(), NEVER);
        std::mem::swap(&mut vacated.stored, to);
        self.end(slot, expires);
        if let Ok(indexed) = self.index.find_entry(hash, |&at| at == slot) {
            indexed.remove();
        }
        self.free.push(slot);
        self.weigh(slot, 0)
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
        let ending =
            (0..self.slots.len()).filter(|&at| self.expires(at as SlotId) != NEVER).count();
        let timed = self.lifetimes.as_ref().map_or(0, |lifetimes| lifetimes.len());
        assert_eq!(ending, timed, "what ends is filed, and nothing else");
        for (at, slot) in (0..).zip(&self.slots) {
            let indexed = self.index.find(slot.hash, |&other: &SlotId| other == at).is_some();
            assert_eq!(indexed, slot.stored.is_some(), "a slot is indexed under its own hash");
        }
        let weighed = (0..self.slots.len()).map(|at| self.weight(at as SlotId)).sum::<usize>();
        if let Some(weights) = &self.weights {
            assert_eq!(weighed, weights.total(), "the sum of the weights");
        }
        if !matches!(self.policy, AnyPolicy::None) {
            let mut evicted = 0;
            while self.evict(&mut None).is_some() {
                evicted += 1;
            }
            assert_eq!(evicted, full, "the policy knows every entry once");
        }
    }
}
