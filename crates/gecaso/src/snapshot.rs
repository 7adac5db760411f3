//! Comparing keys without holding a lock.
//!
//! A user's `Eq` is foreign code, and no lock is held while foreign code runs. So those who search a
//! locked table take a snapshot of what shares the 64-bit hash (nearly always nothing or one),
//! compare outside of the lock, and come back: if the lock's owner still holds the same ones, the
//! answer stands; otherwise there is a new snapshot to compare.
//!
//! Used by `flight` and `memory`; knows neither.

use std::sync::Arc;

/// Those that shared a hash a moment ago, and which of them has the key.
pub(crate) struct Snapshot<T> {
    seen: Vec<Arc<T>>,
    found: Option<usize>,
}

impl<T> Snapshot<T> {
    /// The guess to begin with: nothing shares the hash. Right for nearly every miss.
    pub(crate) fn vacant() -> Self {
        Snapshot { seen: Vec::new(), found: None }
    }

    /// A snapshot of `now`; nothing is compared yet.
    pub(crate) fn of(now: impl Iterator<Item = Arc<T>>) -> Self {
        Snapshot { seen: now.collect(), found: None }
    }

    /// Compares, outside of every lock.
    pub(crate) fn resolve(mut self, matches: impl Fn(&T) -> bool) -> Self {
        self.found = self.seen.iter().position(|one| matches(one));
        self
    }

    /// Whether `now` holds exactly those that were seen, in any order.
    pub(crate) fn still_holds(&self, now: impl Iterator<Item = *const T>) -> bool {
        let mut count = 0;
        for one in now {
            count += 1;
            if !self.seen.iter().any(|seen| std::ptr::eq(Arc::as_ptr(seen), one)) {
                return false;
            }
        }
        count == self.seen.len()
    }

    /// The one that has the key.
    pub(crate) fn found(&self) -> Option<&Arc<T>> {
        self.found.map(|at| &self.seen[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_stands_only_while_the_same_ones_are_there() {
        let (a, b, c) = (Arc::new(1), Arc::new(2), Arc::new(1));
        let snapshot = Snapshot::of([a.clone(), b.clone()].into_iter()).resolve(|n| *n == 2);
        assert!(Arc::ptr_eq(snapshot.found().unwrap(), &b));
        let ptr = Arc::as_ptr;
        assert!(snapshot.still_holds([ptr(&b), ptr(&a)].into_iter()));
        assert!(!snapshot.still_holds([ptr(&a)].into_iter()));
        assert!(!snapshot.still_holds([ptr(&c), ptr(&b)].into_iter()), "equal is not the same");
        assert!(!snapshot.still_holds([ptr(&a), ptr(&b), ptr(&c)].into_iter()));
        assert!(Snapshot::<i32>::vacant().still_holds(std::iter::empty()));
    }
}
