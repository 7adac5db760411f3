//! When to leave a storage alone: after some failures in a row of one kind of operation nobody asks
//! for that any more, until it has been answered to somebody whom no caller waits for.
//!
//! Called by `object`, and by the caretaker, who asks. One for each kind, which nothing but an
//! operation of that kind closes: a full disk gets and removes. Knows no storage and no clock.

use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// Failures in a row that open it.
pub(super) const FAILURES: u32 = 5;

/// The methods of a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Set,
    Remove,
}

impl Method {
    pub(super) fn name(self) -> &'static str {
        match self {
            Method::Get => "get",
            Method::Set => "set",
            Method::Remove => "remove",
        }
    }
}

#[derive(Default)]
pub(super) struct Breakers([Breaker; 3]);

impl Breakers {
    pub(super) fn of(&self, method: Method) -> &Breaker {
        &self.0[method as usize]
    }

    pub(super) fn is_any_open(&self) -> bool {
        self.0.iter().any(Breaker::is_open)
    }
}

#[derive(Default)]
pub(super) struct Breaker {
    failures: AtomicU32,
    is_open: AtomicBool,
}

impl Breaker {
    /// Whether nobody asks.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Relaxed)
    }

    /// An operation was answered; whether some had failed before it.
    pub(super) fn answered(&self) -> bool {
        let had_failed = self.failures.load(Relaxed) != 0;
        if had_failed {
            self.failures.store(0, Relaxed);
        }
        had_failed
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
            assert!(!breaker.answered());
            assert!((1..FAILURES).all(|_| !breaker.failed()));
            assert!(breaker.answered());
        }
        let opened: Vec<bool> = (0..FAILURES + 2).map(|_| breaker.failed()).collect();
        assert_eq!(opened.iter().filter(|opened| **opened).count(), 1);
        assert!(opened[FAILURES as usize - 1] && breaker.is_open());
        breaker.close();
        assert!(!breaker.is_open());
        assert!(!breaker.failed(), "it counts from the beginning");
    }
}
