//! Who reads a table now: a lane for each thread, which it alone writes.
//!
//! ```text
//!   reader                                     writer, under the lock of a shard
//!   inside = odd                               takes an entry out of the index
//!   -------- barrier --------                  -------- barrier --------
//!   finds the entry in the index, reads it     waits until each lane was even once
//!   inside = even                              nobody reads the entry: drops it
//! ```
//!
//! Either the writer sees that the reader is inside, or the reader sees that the entry is gone. No
//! foreign code runs inside, so it lasts for nanoseconds, unless the system takes the thread off
//! its core. What must last longer *holds* one entry: it says which, and leaves.
//!
//! Used by `shard`. Knows no entry.

use super::barrier::Barrier;
use crate::lane;
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use crate::sync::{MODEL, tally, thread};
use std::marker::PhantomData;

/// Entries that a thread holds at once without a lock: a hit, inside of the comparison or the clone
/// of another.
const HOLDS: usize = 3;
/// Looks at a lane before a writer gives up for now.
const PATIENCE: usize = if MODEL { 2 } else { 200 };

pub(super) struct Lanes {
    lanes: Box<[Lane]>,
    barrier: Barrier,
    /// The hits of threads without a lane.
    hits: AtomicU64,
}

/// What one thread does in one table; on a cache line of its own.
#[repr(align(64))]
struct Lane {
    /// Odd while the thread is inside; half of it are the hits of its stays. Only it writes.
    inside: AtomicU64,
    /// Its other hits. Only it writes.
    hits: AtomicU64,
    /// Addresses of the entries it holds; 0: none.
    holds: [AtomicUsize; HOLDS],
}

impl Lanes {
    pub(super) fn new(barrier: Barrier) -> Self {
        let lane = |_| Lane {
            inside: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            holds: Default::default(),
        };
        let lanes = (0..lane::most()).map(lane).collect();
        Lanes { lanes, barrier, hits: AtomicU64::new(0) }
    }

    /// Goes inside; not without a lane of its own, and not if it is inside already.
    pub(super) fn enter(&self) -> Option<Inside<'_>> {
        if lane::known() >= self.lanes.len() {
            lane::number(); // it asks for one, if there is any
        }
        self.enter_known()
    }

    /// The same; not if this thread has no lane yet.
    #[inline]
    pub(super) fn enter_known(&self) -> Option<Inside<'_>> {
        let lane = self.lanes.get(lane::known())?;
        let before = lane.inside.load(Ordering::Relaxed);
        if before & 1 == 1 {
            return None; // an allocator's hook, say, that calls a cached function
        }
        self.barrier.announce(&lane.inside, before.wrapping_add(1));
        Some(Inside { lane, here: PhantomData })
    }

    /// Counts a hit that no stay counts.
    pub(super) fn count_hit(&self) {
        let (hits, alone) = match self.lanes.get(lane::number()) {
            Some(lane) => (&lane.hits, true),
            None => (&self.hits, false),
        };
        if alone {
            hits.store(hits.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        } else {
            tally::add(tally::Kind::Atomic);
            hits.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Hits so far.
    pub(super) fn hits(&self) -> u64 {
        let of = |lane: &Lane| {
            lane.inside.load(Ordering::Relaxed) / 2 + lane.hits.load(Ordering::Relaxed)
        };
        self.lanes.iter().map(of).sum::<u64>() + self.hits.load(Ordering::Relaxed)
    }

    /// Whether everybody who was inside has left, so that nobody can reach any more what was taken
    /// out of the index before. Waits a little for those who are just leaving.
    pub(super) fn all_left(&self) -> bool {
        self.barrier.look() && self.used().all(Lane::left)
    }

    /// In a child process: whoever else was inside or held something is not there.
    #[cfg(not(shuttle))]
    pub(super) fn after_fork(&self) {
        let mine = lane::known();
        for (_, lane) in self.lanes.iter().enumerate().filter(|&(number, _)| number != mine) {
            let inside = lane.inside.load(Ordering::Relaxed);
            lane.inside.store(inside & !1, Ordering::Release);
            lane.holds.iter().for_each(|hold| hold.store(0, Ordering::Release));
        }
    }

    /// The lanes of all threads that have one. Asked after the barrier.
    fn used(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter().take(lane::used())
    }

    /// Whether anything is held now. For what was taken out of the array before `all_left` said so,
    /// this and `held` tell all.
    pub(super) fn holds_any(&self) -> bool {
        self.held().next().is_some()
    }

    /// What is held now.
    pub(super) fn held(&self) -> impl Iterator<Item = usize> {
        let holds = self.used().flat_map(|lane| &lane.holds);
        // Acquire: who has let go is done with the entry.
        holds.map(|hold| hold.load(Ordering::Acquire)).filter(|&held| held != 0)
    }
}

impl Lane {
    fn left(&self) -> bool {
        // Acquire: what the reader did inside has happened.
        let first = self.inside.load(Ordering::Acquire);
        if first & 1 == 0 {
            return true;
        }
        for _ in 0..PATIENCE {
            // The same again may be another stay, if the last was no hit: a look too many.
            if self.inside.load(Ordering::Acquire) != first {
                return true;
            }
            if MODEL { thread::yield_now() } else { std::hint::spin_loop() }
        }
        false
    }
}

/// The calling thread is inside, until this is dropped.
pub(super) struct Inside<'a> {
    lane: &'a Lane,
    /// Stays in its thread.
    here: PhantomData<*const ()>,
}

impl<'a> Inside<'a> {
    /// Leaves; this stay was a hit.
    #[inline]
    pub(super) fn leave_with_hit(self) {
        std::mem::ManuallyDrop::new(self).leave(1);
    }

    #[inline]
    fn leave(&self, by: i64) {
        let inside = self.lane.inside.load(Ordering::Relaxed);
        self.lane.inside.store(inside.wrapping_add_signed(by), Ordering::Release);
    }

    /// Holds what lies at this address beyond the end of this; not if too much is held already.
    pub(super) fn hold(&self, address: usize) -> Option<Hold<'a>> {
        let free = |hold: &&AtomicUsize| hold.load(Ordering::Relaxed) == 0;
        let place = self.lane.holds.iter().find(free)?;
        // Seen by whoever sees that this thread has left (release there, acquire in `left`).
        // Release: who finds this here, and not what was held in this place before, sees that it
        // was let go.
        place.store(address, Ordering::Release);
        Some(Hold { place, here: PhantomData })
    }
}

impl Drop for Inside<'_> {
    #[inline]
    fn drop(&mut self) {
        self.leave(-1);
    }
}

/// What is held stays until this is dropped.
pub(super) struct Hold<'a> {
    place: &'a AtomicUsize,
    here: PhantomData<*const ()>,
}

impl Drop for Hold<'_> {
    #[inline]
    fn drop(&mut self) {
        // Then its owner looks whether somebody waits for it; who waits says so, passes a fence,
        // and looks at the holds. On x86 an exchange is a fence.
        self.place.swap(0, Ordering::SeqCst);
        if !cfg!(all(target_arch = "x86_64", not(gecaso_loom))) {
            fence(Ordering::SeqCst);
        }
    }
}

#[cfg(all(test, not(any(shuttle, gecaso_loom))))]
mod tests {
    use super::*;

    #[test]
    fn who_is_gone_after_a_fork_was_never_inside_and_holds_nothing() {
        let lanes = Lanes::new(Barrier::Own);
        let mine = lanes.enter().expect("a lane").hold(8).expect("a place");
        // As those are whom a fork has left behind: they never leave.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let inside = lanes.enter().expect("a lane");
                std::mem::forget(inside.hold(16));
                std::mem::forget(inside);
            });
        });
        assert!(!lanes.all_left());
        assert_eq!(lanes.held().collect::<Vec<_>>().len(), 2);
        lanes.after_fork();
        assert!(lanes.all_left());
        assert_eq!(lanes.held().collect::<Vec<_>>(), [8]);
        drop(mine);
        assert_eq!(lanes.held().next(), None);
    }
}
