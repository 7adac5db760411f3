//! What went through a `Chaos`, so that it can lie credibly: other keys' values, and older ones.
//!
//! Used by `chaos` alone. The bytes mean nothing to it.

use super::faults::Dice;
use std::collections::BTreeMap;

/// Keys that are remembered: enough to lie, and a bound.
const KEYS: usize = 256;

/// Older values that are remembered for each key.
const OLDER: usize = 3;

/// What was seen of each key. In order, so that the same seed chooses the same lie.
#[derive(Default)]
pub(super) struct Past {
    keys: BTreeMap<String, Seen>,
}

#[derive(Default)]
struct Seen {
    /// What was last set and not removed since.
    now: Option<Vec<u8>>,
    /// The newest first.
    older: Vec<Vec<u8>>,
}

impl Past {
    /// This key has this value from now on, or none.
    pub(super) fn note(&mut self, key: &str, value: Option<&[u8]>) {
        if !self.keys.contains_key(key) {
            if value.is_none() || self.keys.len() == KEYS {
                return;
            }
            self.keys.insert(key.to_owned(), Seen::default());
        }
        let Some(seen) = self.keys.get_mut(key) else { return };
        if seen.now.as_deref() == value {
            return;
        }
        if let Some(old) = std::mem::replace(&mut seen.now, value.map(<[u8]>::to_vec)) {
            seen.older.insert(0, old);
            seen.older.truncate(OLDER);
        }
    }

    /// Another value that was found under this key earlier, if there is one.
    pub(super) fn older(&self, key: &str, found: Option<&[u8]>, choice: u64) -> Option<Vec<u8>> {
        let older = self.keys.get(key)?.older.iter();
        let others: Vec<_> = older.filter(|old| Some(&***old) != found).collect();
        Some(others.get(Dice::of(choice, 0).below(others.len()))?.to_vec())
    }

    /// What is surely not `found`, nor any value that is known to have been under this key; `None`
    /// if nothing was found and there is no other key whose value could be shown instead.
    pub(super) fn corrupt(&self, key: &str, found: Option<&[u8]>, choice: u64) -> Option<Vec<u8>> {
        let mut dice = Dice::of(choice, 0);
        let foreign = self.foreign(key, &mut dice);
        let Some(found) = found else { return foreign };
        let damaged = match dice.below(4) {
            0 => foreign,
            1 => Some(found[..dice.below(found.len())].to_vec()),
            2 => Some((0..dice.below(2 * found.len() + 16)).map(|_| dice.next() as u8).collect()),
            _ => None,
        };
        let known = |bytes: &[u8]| bytes == found || self.was_here(key, bytes);
        Some(damaged.filter(|bytes| !known(bytes)).unwrap_or_else(|| {
            let mut flipped = found.to_vec();
            match flipped.len() {
                0 => flipped.push(dice.next() as u8),
                length => flipped[dice.below(length)] ^= 1 << dice.below(8),
            }
            while known(&flipped) {
                flipped.push(dice.next() as u8);
            }
            flipped
        }))
    }

    fn foreign(&self, key: &str, dice: &mut Dice) -> Option<Vec<u8>> {
        let others: Vec<&Vec<u8>> = self
            .keys
            .iter()
            .filter(|(other, _)| *other != key)
            .filter_map(|(_, seen)| seen.now.as_ref())
            .filter(|value| !self.was_here(key, value))
            .collect();
        Some(others.get(dice.below(others.len()))?.to_vec())
    }

    fn was_here(&self, key: &str, bytes: &[u8]) -> bool {
        let Some(seen) = self.keys.get(key) else { return false };
        seen.now.as_deref() == Some(bytes) || seen.older.iter().any(|old| old == bytes)
    }
}
