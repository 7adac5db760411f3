//! Comparing keys without holding a lock.
//!
//! A user's `Eq` is foreign code, and no lock is held while foreign code runs. So those who search
//! a locked table take a snapshot of what shares the 64-bit hash (nearly always nothing or one),
//! compare outside of the lock, and come back: if the lock's owner still holds the same ones, the
//! answer stands; otherwise there is a new snapshot to compare.
//!
//! Used by `flight` and `memory`; knows neither.

use std::sync::Arc;

/// Those that shared a hash a moment ago, and which of them has the key.
pub(crate) struct Snapshot<T>(Option<Box<Several<T>>>);

/// At least one.
struct Several<T> {
    seen: Vec<Arc<T>>,
    found: Option<usize>,
}

impl<T> Snapshot<T> {
    /// The guess to begin with: nothing shares the hash. Right for nearly every miss.
    pub(crate) fn vacant() -> Self {
        Snapshot(None)
    }

    /// What is there now; nothing is compared yet.
    pub(crate) fn of(seen: Vec<Arc<T>>) -> Self {
        Snapshot((!seen.is_empty()).then(|| Box::new(Several { seen, found: None })))
    }

    /// Whether nothing was seen.
    pub(crate) fn is_vacant(&self) -> bool {
        self.0.is_none()
    }

    /// Compares, outside of every lock.
    pub(crate) fn resolve(mut self, matches: impl Fn(&T) -> bool) -> Self {
        if let Some(several) = &mut self.0 {
            several.found = several.seen.iter().position(|one| matches(one));
        }
        self
    }

    /// Whether `now` holds exactly those that were seen, in any order.
    pub(crate) fn still_holds<'a>(&self, now: impl Iterator<Item = &'a Arc<T>>) -> bool
    where
        T: 'a,
    {
        let seen = self.0.as_ref().map_or(&[][..], |several| &several.seen);
        let mut count = 0;
        for one in now {
            count += 1;
            if !seen.iter().any(|seen| Arc::ptr_eq(seen, one)) {
                return false;
            }
        }
        count == seen.len()
    }

    /// The one that has the key.
    pub(crate) fn found(&self) -> Option<&Arc<T>> {
        let several = self.0.as_ref()?;
        several.found.map(|at| &several.seen[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_stands_only_while_the_same_ones_are_there() {
        let (a, b, c) = (Arc::new(1), Arc::new(2), Arc::new(1));
        let snapshot = Snapshot::of(vec![a.clone(), b.clone()]).resolve(|n| *n == 2);
        assert!(Arc::ptr_eq(snapshot.found().unwrap(), &b));
        assert!(snapshot.still_holds([&b, &a].into_iter()));
        assert!(!snapshot.still_holds([&a].into_iter()));
        assert!(!snapshot.still_holds([&c, &b].into_iter()), "equal is not the same");
        assert!(!snapshot.still_holds([&a, &b, &c].into_iter()));
        assert!(Snapshot::<i32>::vacant().still_holds(std::iter::empty()));
    }
}
