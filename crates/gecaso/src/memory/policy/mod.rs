//! Which entry goes when a place is needed.
//!
//! A policy sees slot numbers, and whether a slot was hit; it knows no key, value, clock or lock.
//! One file per algorithm. Called by `shard` alone, under its lock.

mod list;
mod lru;
mod sieve;

pub(super) use lru::Lru;
pub(super) use sieve::Sieve;

/// A slot of a shard.
pub(super) type SlotId = u32;

/// An order of eviction over the slots of one shard.
pub(super) trait Policy {
    /// A slot has got an entry.
    fn insert(&mut self, slot: SlotId);

    /// A slot was hit, under the exclusive lock. Policies whose hits move nothing ignore it: they
    /// see hits as marks, later, in `evict`.
    fn touch(&mut self, slot: SlotId);

    /// A slot has lost its entry.
    fn remove(&mut self, slot: SlotId);

    /// The slot that `evict` looks at first.
    fn candidate(&self) -> Option<SlotId>;

    /// Picks the slot to empty, and forgets it. `take_mark` says whether a slot was hit since it
    /// was last asked about.
    fn evict(&mut self, take_mark: impl FnMut(SlotId) -> bool) -> Option<SlotId>;
}

/// The policy of a shard, chosen with its storage.
pub(super) enum AnyPolicy {
    /// A storage without a bound evicts nothing.
    None,
    Lru(Lru),
    Sieve(Sieve),
}

impl AnyPolicy {
    /// Forgets every slot, and gives the memory back.
    pub(super) fn clear(&mut self) {
        match self {
            AnyPolicy::None => {}
            AnyPolicy::Lru(lru) => *lru = Lru::default(),
            AnyPolicy::Sieve(sieve) => *sieve = Sieve::default(),
        }
    }
}

impl Policy for AnyPolicy {
    #[inline]
    fn insert(&mut self, slot: SlotId) {
        match self {
            AnyPolicy::None => {}
            AnyPolicy::Lru(lru) => lru.insert(slot),
            AnyPolicy::Sieve(sieve) => sieve.insert(slot),
        }
    }

    #[inline]
    fn touch(&mut self, slot: SlotId) {
        match self {
            AnyPolicy::None => {}
            AnyPolicy::Lru(lru) => lru.touch(slot),
            AnyPolicy::Sieve(sieve) => sieve.touch(slot),
        }
    }

    #[inline]
    fn remove(&mut self, slot: SlotId) {
        match self {
            AnyPolicy::None => {}
            AnyPolicy::Lru(lru) => lru.remove(slot),
            AnyPolicy::Sieve(sieve) => sieve.remove(slot),
        }
    }

    fn candidate(&self) -> Option<SlotId> {
        match self {
            AnyPolicy::None => None,
            AnyPolicy::Lru(lru) => lru.candidate(),
            AnyPolicy::Sieve(sieve) => sieve.candidate(),
        }
    }

    #[inline]
    fn evict(&mut self, take_mark: impl FnMut(SlotId) -> bool) -> Option<SlotId> {
        match self {
            AnyPolicy::None => None,
            AnyPolicy::Lru(lru) => lru.evict(take_mark),
            AnyPolicy::Sieve(sieve) => sieve.evict(take_mark),
        }
    }
}
