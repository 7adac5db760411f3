//! Which keys count, and in which order they go: plain data behind one lock.
//!
//! Used by `lru`. Knows no storage and runs no foreign code.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The keys that count.
#[derive(Default)]
pub(super) struct Index {
    known: HashMap<Arc<str>, Known>,
    /// Those that may go, by their stamps: known, nobody sits on them, and not leaving already.
    order: BTreeMap<u64, Arc<str>>,
    /// How many are leaving.
    leaving: usize,
    /// The last stamp that was given out.
    last: u64,
}

struct Known {
    /// When it was last used. Changes with everything that may put an entry there: who sees the
    /// same stamp before and after he asked the storage knows that nothing came between.
    stamp: u64,
    /// How many set it now.
    seats: usize,
    /// Who removes it now.
    leaving: Option<u64>,
    /// Whether an entry may be there if nobody sets one.
    is_kept: bool,
}

impl Known {
    fn may_go(&self) -> bool {
        self.seats == 0 && self.leaving.is_none()
    }
}

impl Index {
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Those that somebody sits on.
    pub(super) fn seated(&self) -> usize {
        self.known.len() - self.order.len() - self.leaving
    }

    fn stamp(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Changes what is known of a key, with its place in the order.
    fn change(&mut self, key: &Arc<str>, change: impl FnOnce(&mut Known)) {
        let Some(known) = self.known.get_mut(&**key) else { return };
        self.order.remove(&known.stamp);
        self.leaving -= usize::from(known.leaving.is_some());
        change(known);
        self.leaving += usize::from(known.leaving.is_some());
        if known.may_go() {
            self.order.insert(known.stamp, key.clone());
        }
    }

    /// Somebody sits down on a key: it counts, as the most recently used, and stays. Whether it did
    /// not count before, as an entry that may be there.
    pub(super) fn board(&mut self, key: &str) -> (Arc<str>, bool) {
        let stamp = self.stamp();
        let key = match self.known.get_key_value(key) {
            Some((key, _)) => key.clone(),
            None => {
                let new = Known { stamp, seats: 0, leaving: None, is_kept: false };
                let key: Arc<str> = key.into();
                self.known.insert(key.clone(), new);
                key
            }
        };
        let mut is_new = true;
        self.change(&key, |known| {
            is_new = !known.is_kept;
            known.stamp = stamp;
            known.seats += 1;
            // The removal that is under way and the entry that comes may pass each other.
            known.leaving = None;
        });
        (key, is_new)
    }

    /// Stands up again.
    pub(super) fn leave(&mut self, key: &Arc<str>, may_be_there: bool) {
        let stamp = self.stamp();
        let mut is_empty = false;
        self.change(key, |known| {
            known.stamp = stamp;
            known.seats -= 1;
            known.is_kept |= may_be_there;
            is_empty = known.seats == 0 && !known.is_kept;
        });
        if is_empty {
            self.strike(key);
        }
    }

    /// What is to be shown to [`forget`](Self::forget), taken before the storage is asked.
    pub(super) fn mark(&self, key: &str) -> Option<u64> {
        self.known.get(key).map(|known| known.stamp)
    }

    /// The storage has no entry of this key, if nobody has used it since the mark.
    pub(super) fn forget(&mut self, key: &str, mark: Option<u64>) {
        if mark.is_some()
            && self.mark(key) == mark
            && self.known.get(key).is_some_and(|known| known.seats == 0)
        {
            self.strike(key);
        }
    }

    fn strike(&mut self, key: &str) {
        if let Some(known) = self.known.remove(key) {
            self.order.remove(&known.stamp);
            self.leaving -= usize::from(known.leaving.is_some());
        }
    }

    /// The least recently used beyond `most`, not counting those that are leaving. They leave from
    /// now on: the claim says by whose hand.
    pub(super) fn claim_oldest(&mut self, most: usize) -> Option<(u64, Vec<Arc<str>>)> {
        let over = (self.known.len() - self.leaving).saturating_sub(most);
        let keys: Vec<Arc<str>> = self.order.values().take(over).cloned().collect();
        if keys.is_empty() {
            return None;
        }
        let claim = self.stamp();
        keys.iter().for_each(|key| self.change(key, |known| known.leaving = Some(claim)));
        Some((claim, keys))
    }

    /// Those that still leave by this claim have left.
    pub(super) fn gone(&mut self, claim: u64, keys: &[Arc<str>]) {
        for key in keys {
            if self.leaves_by(claim, key) {
                self.strike(key);
            }
        }
    }

    /// Those that still leave by this claim have not, and are where they were in the order.
    pub(super) fn stay(&mut self, claim: u64, keys: &[Arc<str>]) {
        for key in keys {
            if self.leaves_by(claim, key) {
                self.change(key, |known| known.leaving = None);
            }
        }
    }

    fn leaves_by(&self, claim: u64, key: &str) -> bool {
        self.known.get(key).is_some_and(|known| known.leaving == Some(claim))
    }
}
