//! Which entry goes when a place is needed.
//!
//! A policy sees slot numbers, their hashes, and how often a slot was hit; it knows no key, value,
//! clock or lock. One file per algorithm. `shard` calls a policy, under its lock; `tuner` feeds the
//! shadows that choose the rule which adaptive policies follow.

mod adaptive;
mod history;
mod list;
mod lru;
mod queues;
mod segments;
mod shadows;
mod sketch;

pub(super) use adaptive::Adaptive;
pub(super) use lru::Lru;
pub(super) use segments::Rule;
pub(super) use shadows::{Shadows, sampled_bits};

/// A slot of a shard.
pub(super) type SlotId = u32;

/// Hits are counted up to here.
pub(super) const MOST_HITS: u8 = 3;

/// Requests are counted and simulated from when one in so many places is taken: soon enough to know
/// what to evict, and functions with few different calls never pay for it.
pub(super) const FILLING: usize = 8;

/// What a policy may know and change of the slots it orders.
pub(super) trait Slots {
    /// The hash of the key in a slot.
    fn hash(&self, slot: SlotId) -> u64;

    /// How often a slot was hit, up to [`MOST_HITS`], and from now on no more.
    fn take_hits(&mut self, slot: SlotId) -> u8;

    /// Counts a slot as hit that often.
    fn put_back(&mut self, slot: SlotId, hits: u8);

    /// This slot will be looked at soon, unless it loses its entry meanwhile; it may have already.
    fn soon(&self, _: SlotId) {}
}

/// An order of eviction over the slots of one shard.
pub(super) trait Policy {
    /// A slot has got an entry, whose key has this hash: the one that `slots` would give.
    fn insert(&mut self, slot: SlotId, hash: u64, slots: &mut impl Slots);

    /// A slot was hit, under the exclusive lock. Policies whose hits move nothing ignore it: they
    /// see hits as counts, later, in `evict`.
    fn touch(&mut self, slot: SlotId);

    /// A slot has lost its entry.
    fn remove(&mut self, slot: SlotId);

    /// The slot that `evict` looks at first.
    fn candidate(&self) -> Option<SlotId>;

    /// Picks the slot to empty, and forgets it.
    fn evict(&mut self, slots: &mut impl Slots) -> Option<SlotId>;

    /// Every full slot has got another number at once, below `slots`. Keeps their order, and gives
    /// the memory of all other slots back.
    fn remap(&mut self, slots: usize, new: impl Fn(SlotId) -> SlotId);
}

/// The policy of a shard, chosen with its storage.
#[allow(clippy::large_enum_variant)] // one for each shard
pub(super) enum AnyPolicy {
    /// A storage without a bound evicts nothing.
    None,
    Lru(Lru),
    Adaptive(Adaptive),
}

impl AnyPolicy {
    /// Forgets every slot, and gives the memory back.
    pub(super) fn clear(&mut self) {
        match self {
            AnyPolicy::None => {}
            AnyPolicy::Lru(lru) => *lru = Lru::default(),
            AnyPolicy::Adaptive(adaptive) => adaptive.clear(),
        }
    }

    /// Goes on by this rule, if it is a policy that has any.
    #[inline]
    pub(super) fn follow(&mut self, rule: Rule) {
        if let AnyPolicy::Adaptive(adaptive) = self {
            adaptive.follow(rule);
        }
    }
}

impl Policy for AnyPolicy {
    #[inline]
    fn insert(&mut self, slot: SlotId, hash: u64, slots: &mut impl Slots) {
        match self {
            AnyPolicy::None => {}
            AnyPolicy::Lru(lru) => lru.insert(slot, hash, slots),
            AnyPolicy::Adaptive(adaptive) => adaptive.insert(slot, hash, slots),
        }
    }

    #[inline]
    fn touch(&mut self, slot: SlotId) {
        match self {
            AnyPolicy::None => {}
            AnyPolicy::Lru(lru) => lru.touch(slot),
            AnyPolicy::Adaptive(adaptive) => adaptive.touch(slot),
        }
    }

    #[inline]
    fn remove(&mut self, slot: SlotId) {
        match self {
            AnyPolicy::None => {}
            AnyPolicy::Lru(lru) => lru.remove(slot),
            AnyPolicy::Adaptive(adaptive) => adaptive.remove(slot),
        }
    }

    fn candidate(&self) -> Option<SlotId> {
        match self {
            AnyPolicy::None => None,
            AnyPolicy::Lru(lru) => lru.candidate(),
            AnyPolicy::Adaptive(adaptive) => adaptive.candidate(),
        }
    }

    #[inline]
    fn evict(&mut self, slots: &mut impl Slots) -> Option<SlotId> {
        match self {
            AnyPolicy::None => None,
            AnyPolicy::Lru(lru) => lru.evict(slots),
            AnyPolicy::Adaptive(adaptive) => adaptive.evict(slots),
        }
    }

    fn remap(&mut self, slots: usize, new: impl Fn(SlotId) -> SlotId) {
        match self {
            AnyPolicy::None => {}
            AnyPolicy::Lru(lru) => lru.remap(slots, new),
            AnyPolicy::Adaptive(adaptive) => adaptive.remap(slots, new),
        }
    }
}

/// For policies that must not ask.
#[cfg(test)]
pub(super) struct NoSlots;

#[cfg(test)]
impl Slots for NoSlots {
    fn hash(&self, _: SlotId) -> u64 {
        unreachable!("asked for a hash")
    }

    fn take_hits(&mut self, _: SlotId) -> u8 {
        unreachable!("asked for hits")
    }

    fn put_back(&mut self, _: SlotId, _: u8) {
        unreachable!("put hits back")
    }
}
