//! A small number for each thread, its own for as long as it lives: who writes to a place by this
//! number writes alone, and needs no atomic step for it.
//!
//! Used by `stats` (counters) and `memory` (who reads now); `face` says when a process has forked.
//! Knows none of them.

use crate::sync;
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// The same in model checks.
const IN_MODELS: usize = if cfg!(shuttle) { 3 } else { 2 };

/// So many threads have a number at once; the others have none, and take a slower way.
pub(crate) fn most() -> usize {
    if sync::MODEL {
        // Made before anybody panics: shuttle's statics do not survive being made on the way.
        drop(sync::lock(&NUMBERS));
        return IN_MODELS;
    }
    static MOST: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *MOST.get_or_init(|| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        (4 * cores).clamp(16, 256)
    })
}

/// In the place of a number: the thread is ending, and has none.
const ENDED: usize = usize::MAX;
/// It has none yet.
const NEW: usize = ENDED - 1;
/// It found all of them taken, and asks again after so many calls.
const PATIENCE: usize = 1_000;

sync::thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(NEW) };
    /// Gives the number back when the thread ends. Apart from it, because a thread local that has
    /// something to drop costs more to read.
    static OWNER: Cell<Option<Owner>> = const { Cell::new(None) };
}

/// Numbers from here on were never given out. Not one of `sync`'s: it lives in a static.
static USED: AtomicUsize = AtomicUsize::new(0);

/// Numbers below this may belong to threads. Who has a number had it before this was asked, or
/// whatever it does with it comes after the caller's last fence.
#[inline]
pub(crate) fn used() -> usize {
    if sync::MODEL { IN_MODELS } else { USED.load(SeqCst) }
}

sync::global! {
    /// The numbers that were given back.
    static NUMBERS: Mutex<Numbers>;
}

#[derive(Default)]
struct Numbers {
    /// Numbers from here on were never given out.
    next: usize,
    /// Given back.
    free: Vec<usize>,
}

impl Numbers {
    fn take(&mut self, most: usize) -> Option<usize> {
        let new = || (self.next < most).then_some(self.next);
        let number = self.free.pop().or_else(new)?;
        self.next = self.next.max(number + 1);
        Some(number)
    }

    /// Takes all back but one that is still in use, if there is one.
    #[cfg(not(shuttle))]
    fn keep(&mut self, one: usize) {
        self.free = (0..self.next).rev().filter(|&number| number != one).collect();
    }
}

struct Owner(usize);

impl Drop for Owner {
    fn drop(&mut self) {
        // What runs later in this thread, in other destructors, has none.
        set(ENDED);
        sync::lock(&NUMBERS).free.push(self.0);
    }
}

/// The calling thread's number, below [`most`]; something larger if it has none yet.
#[inline]
pub(crate) fn known() -> usize {
    NUMBER.try_with(Cell::get).unwrap_or(ENDED)
}

/// The calling thread's number, below [`most`]; something larger if it can have none.
#[inline]
pub(crate) fn number() -> usize {
    let number = known();
    if number < NEW - PATIENCE { number } else { without(number) }
}

/// In a child process: the other threads are not there, and give nothing back.
#[cfg(not(shuttle))]
pub(crate) fn after_fork() {
    sync::lock(&NUMBERS).keep(known());
}

fn set(number: usize) {
    // In a thread that is ending it may be gone, and nobody asks for it.
    let _ = NUMBER.try_with(|current| current.set(number));
}

/// The calling thread has this number, which no other has: in a model of memory, where taking one
/// would only add to the interleavings.
#[cfg(all(test, gecaso_loom))]
pub(crate) fn is(number: usize) {
    set(number);
}

#[cold]
fn without(number: usize) -> usize {
    if number < NEW {
        set(number + 1);
    } else if number == NEW {
        take();
        return NUMBER.try_with(Cell::get).unwrap_or(ENDED);
    }
    ENDED
}

fn take() {
    // Until it is known: what runs on the way here, an allocator's hook say, has none.
    set(ENDED);
    let most = most();
    let taken = sync::lock(&NUMBERS).take(most);
    let Some(taken) = taken else {
        set(NEW - PATIENCE);
        return;
    };
    USED.fetch_max(taken + 1, SeqCst);
    let owner = Owner(taken);
    // In a thread that is ending the number goes back at once.
    if OWNER.try_with(|place| place.set(Some(owner))).is_ok() {
        set(taken);
    }
}

#[cfg(all(test, not(any(shuttle, gecaso_loom))))]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_owner_at_a_time_and_is_given_again() {
        let mut numbers = Numbers::default();
        let taken: Vec<_> = std::iter::from_fn(|| numbers.take(4)).collect();
        assert_eq!(taken, [0, 1, 2, 3]);
        numbers.free.extend([2, 1]);
        assert_eq!([(); 3].map(|()| numbers.take(4)), [Some(1), Some(2), None]);
    }

    #[test]
    fn a_child_process_gives_the_numbers_of_those_who_are_not_there() {
        for (mine, others) in [(2, vec![0, 1, 3]), (ENDED, vec![0, 1, 2, 3])] {
            let mut numbers = Numbers { next: 4, free: vec![1] };
            numbers.keep(mine);
            let taken: Vec<_> = std::iter::from_fn(|| numbers.take(4)).collect();
            assert_eq!(taken, others);
        }
    }

    #[test]
    fn a_thread_keeps_its_number_and_gives_it_back_when_it_ends() {
        let look = || {
            let mine = number();
            assert!(mine < most());
            assert_eq!(number(), mine);
            mine
        };
        // Other tests may take and give back numbers meanwhile; many times as many as there are
        // would not be had if they were kept.
        for _ in 0..10 * most() {
            std::thread::spawn(look).join().unwrap();
        }
    }
}
