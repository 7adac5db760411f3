//! When to leave a storage alone: after some failures in a row nobody asks it any more, until it
//! has answered a question that no caller waits for.
//!
//! Called by `object`, which asks that question. One for reads and one for writes: a full disk
//! reads on. Knows no storage and no clock.

use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// Failures in a row that open it.
pub(super) const FAILURES: u32 = 5;

#[derive(Default)]
pub(super) struct Breaker {
    failures: AtomicU32,
    is_open: AtomicBool,
}

impl Breaker {
    /// Whether the storage is left alone.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Relaxed)
    }

    /// An operation was answered.
    pub(super) fn answered(&self) {
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
    }

    /// An operation failed; whether that opened it.
    pub(super) fn failed(&self) -> bool {
        self.failures.fetch_add(1, Relaxed) + 1 >= FAILURES && !self.is_open.swap(true, Relaxed)
    }

    /// The question was answered: everybody may ask again.
    pub(super) fn close(&self) {
        self.failures.store(0, Relaxed);
        self.is_open.store(false, Relaxed);
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_open_it_once_and_an_answer_between_them_does_not_count() {
        let breaker = Breaker::default();
        for _ in 0..10 {
            assert!((1..FAILURES).all(|_| !breaker.failed()));
            breaker.answered();
        }
        let opened: Vec<bool> = (0..FAILURES + 2).map(|_| breaker.failed()).collect();
        assert_eq!(opened.iter().filter(|opened| **opened).count(), 1);
        assert!(opened[FAILURES as usize - 1] && breaker.is_open());
        breaker.close();
        assert!(!breaker.is_open());
        assert!(!breaker.failed(), "it counts from the beginning");
    }
}
