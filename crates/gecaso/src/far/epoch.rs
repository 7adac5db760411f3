//! Since when the entries of a function are believed: the rules of the epoch, as pure data.
//!
//! `clear` begins a new epoch. Its number is the stamp of that moment, so that the later of two
//! wins, whoever began it; it is kept in the storage, where other processes find it. An entry says
//! of which epoch it is, and is believed in that one alone.
//!
//! Called by `part`, under its lock. Asks no storage and reads no clock.

use crate::time::{Nanos, Stamp, after};
use std::time::Duration;

/// How old what is known may be: so much later a `clear` of another process counts here, too.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// An epoch so far in the future was not begun by a clock that is any good.
const FAR_FUTURE: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Default)]
pub(super) struct Epoch {
    /// 0: not known yet.
    value: Stamp,
    asked: Nanos,
    is_asking: bool,
    /// Whether the storage does not know it yet.
    owes: bool,
}

/// Whether the storage has to be asked for the epoch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ask {
    No,
    /// It is known; whether it has changed is to be asked without keeping the caller waiting.
    Behind,
    /// Nothing can be believed before.
    First,
}

impl Epoch {
    pub(super) fn value(&self) -> Stamp {
        self.value
    }

    pub(super) fn is_known(&self) -> bool {
        self.value != 0
    }

    pub(super) fn owes(&self) -> bool {
        self.owes
    }

    /// Whether an entry of epoch `of`, whose load began at `begun`, is believed. One that was put
    /// in before the epoch was known says 0, and counts by its time alone.
    pub(super) fn admits(&self, of: Stamp, begun: Stamp) -> bool {
        self.is_known() && begun > self.value && (of == self.value || of == 0)
    }

    /// Whether to ask; if so, the caller does.
    pub(super) fn ask(&mut self, now: Nanos) -> Ask {
        if !self.is_known() {
            return Ask::First;
        }
        if self.is_asking || now < after(self.asked, ASK_AGAIN) {
            return Ask::No;
        }
        self.is_asking = true;
        Ask::Behind
    }

    /// Whether to ask because it is not known yet; if so, the caller does.
    pub(super) fn ask_ahead(&mut self) -> bool {
        !self.is_known() && !std::mem::replace(&mut self.is_asking, true)
    }

    /// The storage could not be asked.
    pub(super) fn asked_in_vain(&mut self, now: Nanos) {
        self.is_asking = false;
        self.asked = now;
    }

    /// The storage has been asked, and said this. Where it says nothing, what was there before may
    /// have been cleared by whoever has lost the record: then `otherwise` is the epoch. Whether the
    /// storage is to be told.
    pub(super) fn learn(
        &mut self,
        said: Option<Stamp>,
        otherwise: Stamp,
        now: Nanos,
        stamp: Stamp,
    ) -> bool {
        self.is_asking = false;
        self.asked = now;
        match said.filter(|said| *said < after(stamp, FAR_FUTURE)) {
            Some(said) if said >= self.value => {
                self.value = said;
                self.owes = false;
            }
            _ => {
                self.value = self.value.max(otherwise);
                self.owes = true;
            }
        }
        self.owes
    }

    /// Begins a new one.
    pub(super) fn begin(&mut self, value: Stamp) {
        self.value = value;
        self.owes = true;
    }

    /// The storage has been told of an epoch.
    pub(super) fn told(&mut self, value: Stamp) {
        self.owes &= self.value != value;
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn the_later_epoch_wins_whoever_began_it() {
        let mut epoch = Epoch::default();
        assert_eq!(epoch.ask(0), Ask::First);
        assert!(!epoch.learn(Some(50), 40, 0, 60));
        assert_eq!(epoch.value(), 50);
        epoch.begin(70);
        assert!(epoch.learn(Some(60), 40, 0, 80), "an older one was written after ours: once more");
        assert_eq!(epoch.value(), 70);
        epoch.told(70);
        assert!(!epoch.learn(Some(90), 40, 0, 95));
        assert_eq!(epoch.value(), 90);
    }

    #[test]
    fn a_storage_that_knows_none_or_nonsense_gets_a_new_one() {
        for said in [None, Some(Stamp::MAX)] {
            let mut epoch = Epoch::default();
            assert!(epoch.learn(said, 40, 0, 60));
            assert_eq!(epoch.value(), 40);
        }
    }

    #[test]
    fn an_entry_is_believed_in_its_own_epoch_alone() {
        let mut epoch = Epoch::default();
        assert!(!epoch.admits(0, 10), "nothing is before it is known");
        epoch.begin(50);
        assert!(epoch.admits(50, 51) && epoch.admits(0, 51));
        assert!(!epoch.admits(40, 51) && !epoch.admits(0, 50) && !epoch.admits(50, 50));
    }

    #[test]
    fn it_is_asked_again_once_a_second_by_one_at_a_time() {
        let second = 1_000_000_000;
        let mut epoch = Epoch::default();
        epoch.learn(Some(50), 40, 0, 60);
        assert_eq!(epoch.ask(second - 1), Ask::No);
        assert_eq!(epoch.ask(second), Ask::Behind);
        assert_eq!(epoch.ask(second), Ask::No);
        epoch.asked_in_vain(second);
        assert_eq!(epoch.ask(second + 1), Ask::No);
        assert_eq!(epoch.ask(2 * second), Ask::Behind);
    }
}
