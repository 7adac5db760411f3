//! One shard of a storage in memory: an index from hash to slot, the slots, and their order.
//!
//! Plain data behind the lock that `engine` keeps around it. Entries are held untyped, because
//! functions of different types share one storage; `table` knows their types. Nothing here runs
//! foreign code: what is removed is handed out, and dropped by the caller after the lock.

use super::policy::{Policy, SlotId};
use crate::time::{NEVER, Nanos};
use hashbrown::HashTable;
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// An entry of any type.
pub(super) type Held = Arc<dyn Any + Send + Sync>;

/// Whose entry it is: the number of a table within its engine.
pub(super) type Owner = u32;

struct Slot {
    hash: u64,
    expires: Nanos,
    owner: Owner,
    /// Hit since the policy last asked. Written by readers, and only when it changes.
    hit: AtomicBool,
    /// Empty slots are in `free`.
    entry: Option<Held>,
}

pub(super) struct Shard {
    index: HashTable<SlotId>,
    slots: Vec<Slot>,
    free: Vec<SlotId>,
    /// None: this storage has no bound and evicts nothing.
    policy: Option<Box<dyn Policy>>,
    /// Where the search for expired entries goes on.
    sweep: usize,
}

impl Shard {
    pub(super) fn new(policy: Option<Box<dyn Policy>>) -> Self {
        Shard { index: HashTable::new(), slots: Vec::new(), free: Vec::new(), policy, sweep: 0 }
    }

    /// The slot of an owner's entry that `is` the wanted one.
    #[inline]
    pub(super) fn find(
        &self,
        hash: u64,
        owner: Owner,
        mut is: impl FnMut(&Held) -> bool,
    ) -> Option<SlotId> {
        let found = self.index.find(hash, |&slot| {
            let slot = &self.slots[slot as usize];
            slot.hash == hash && slot.owner == owner && slot.entry.as_ref().is_some_and(&mut is)
        });
        found.copied()
    }

    /// All of an owner's slots with this hash.
    pub(super) fn same_hash(&self, hash: u64, owner: Owner) -> impl Iterator<Item = SlotId> {
        self.index.iter_hash(hash).copied().filter(move |&slot| {
            let slot = &self.slots[slot as usize];
            slot.hash == hash && slot.owner == owner
        })
    }

    #[inline]
    pub(super) fn entry(&self, slot: SlotId) -> &Held {
        self.slots[slot as usize].entry.as_ref().expect("a slot in the index has an entry")
    }

    #[inline]
    pub(super) fn expires(&self, slot: SlotId) -> Nanos {
        self.slots[slot as usize].expires
    }

    /// Notes a hit without the exclusive lock.
    #[inline]
    pub(super) fn mark(&self, slot: SlotId) {
        let hit = &self.slots[slot as usize].hit;
        if !hit.load(Relaxed) {
            crate::sync::tally::add(crate::sync::tally::Kind::Atomic);
            hit.store(true, Relaxed);
        }
    }

    /// Notes a hit in a policy whose hits move things.
    #[inline]
    pub(super) fn touch(&mut self, slot: SlotId) {
        if let Some(policy) = &mut self.policy {
            policy.touch(slot);
        }
    }

    pub(super) fn insert(&mut self, hash: u64, owner: Owner, expires: Nanos, entry: Held) {
        let new = Slot { hash, expires, owner, hit: AtomicBool::new(false), entry: Some(entry) };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = new;
                slot
            }
            None => {
                let slot = SlotId::try_from(self.slots.len()).expect("a shard has under 2^32 slots");
                self.slots.push(new);
                slot
            }
        };
        let slots = &self.slots;
        self.index.insert_unique(hash, slot, |&slot| slots[slot as usize].hash);
        if let Some(policy) = &mut self.policy {
            policy.insert(slot);
        }
    }

    /// Puts another entry into a slot, which counts as a hit.
    pub(super) fn replace(&mut self, slot: SlotId, expires: Nanos, entry: Held) -> Held {
        self.touch(slot);
        self.mark(slot);
        let slot = &mut self.slots[slot as usize];
        slot.expires = expires;
        slot.entry.replace(entry).expect("a slot in the index has an entry")
    }

    pub(super) fn remove(&mut self, slot: SlotId) -> Held {
        if let Some(policy) = &mut self.policy {
            policy.remove(slot);
        }
        self.vacate(slot).1
    }

    /// Makes room by the policy's choice; `None` if the shard is empty.
    pub(super) fn evict(&mut self) -> Option<(Owner, Held)> {
        let slots = &mut self.slots;
        let policy = self.policy.as_mut()?;
        let slot = policy.evict(&mut |slot| {
            std::mem::take(slots[slot as usize].hit.get_mut())
        })?;
        Some(self.vacate(slot))
    }

    /// Looks at the next slot in turn and removes its entry if that has expired. Called once or twice
    /// per insertion, this bounds the expired entries that nobody asks for without ever scanning.
    pub(super) fn sweep(&mut self, now: Nanos) -> Option<(Owner, Held)> {
        self.sweep = if self.sweep + 1 < self.slots.len() { self.sweep + 1 } else { 0 };
        let slot = self.slots.get(self.sweep)?;
        if slot.entry.is_none() || slot.expires > now {
            return None;
        }
        let (at, owner) = (SlotId::try_from(self.sweep).ok()?, slot.owner);
        Some((owner, self.remove(at)))
    }

    /// Removes every entry of an owner.
    pub(super) fn clear(&mut self, owner: Owner) -> Vec<Held> {
        let of_owner = |(at, slot): (usize, &Slot)| {
            (slot.owner == owner && slot.entry.is_some()).then_some(at as SlotId)
        };
        let slots: Vec<SlotId> = self.slots.iter().enumerate().filter_map(of_owner).collect();
        let removed = slots.into_iter().map(|slot| self.remove(slot)).collect();
        if self.index.is_empty() {
            // Nobody is left: give the memory back.
            self.index = HashTable::new();
            self.slots = Vec::new();
            self.free = Vec::new();
        }
        removed
    }

    /// Empties a slot that the policy has already forgotten.
    fn vacate(&mut self, slot: SlotId) -> (Owner, Held) {
        let hash = self.slots[slot as usize].hash;
        if let Ok(indexed) = self.index.find_entry(hash, |&at| at == slot) {
            indexed.remove();
        }
        self.free.push(slot);
        let vacated = &mut self.slots[slot as usize];
        vacated.expires = NEVER;
        (vacated.owner, vacated.entry.take().expect("a slot in the index has an entry"))
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Checks that index, slots, free list and policy agree. Empties the shard.
    #[cfg(any(test, shuttle))]
    pub(super) fn check(&mut self) {
        assert_eq!(self.index.len() + self.free.len(), self.slots.len(), "no slot is lost");
        let full = self.slots.iter().filter(|slot| slot.entry.is_some()).count();
        assert_eq!(full, self.index.len(), "full slots are indexed, and no others");
        for (at, slot) in self.slots.iter().enumerate() {
            let at = at as SlotId;
            let indexed = self.index.find(slot.hash, |&other| other == at).is_some();
            assert_eq!(indexed, slot.entry.is_some(), "a slot is indexed under its own hash");
        }
        if self.policy.is_some() {
            let mut evicted = 0;
            while self.evict().is_some() {
                evicted += 1;
            }
            assert_eq!(evicted, full, "the policy knows every entry once");
        }
    }
}
