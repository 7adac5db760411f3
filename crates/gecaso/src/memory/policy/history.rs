//! Which keys went lately: two bytes for each, of its hash.
//!
//! The ghost queue of 2Q (Johnson and Shasha, VLDB 1994), as a table of small queues. Part of
//! `segments`. Not exact: what is kept is about the newest, and one key in 8,000 that was never
//! there is taken for one that was.

/// Hashes in one queue.
const DEPTH: usize = (u128::BITS / PRINT_BITS) as usize;
const PRINT_BITS: u32 = u16::BITS;

/// The newest hashes; a history that was never sized remembers nothing.
///
/// A hash has one bucket, by its upper half; 16 other bits of it are kept, the newest lowest. 0:
/// none.
#[derive(Default)]
pub(super) struct History {
    buckets: Box<[u128]>,
}

impl History {
    /// Of about so many keys.
    pub(super) fn new(keys: usize) -> Self {
        History { buckets: vec![0; keys.div_ceil(DEPTH).max(1)].into_boxed_slice() }
    }

    #[inline]
    fn bucket(&mut self, hash: u64) -> Option<&mut u128> {
        // Scales the upper half to the number of buckets, by its most significant bits.
        let at = ((hash >> 32) * self.buckets.len() as u64) >> 32;
        self.buckets.get_mut(at as usize)
    }

    #[inline]
    fn print(hash: u64) -> u16 {
        ((hash >> PRINT_BITS) as u16).max(1)
    }

    #[inline]
    pub(super) fn push(&mut self, hash: u64) {
        if let Some(bucket) = self.bucket(hash) {
            *bucket = *bucket << PRINT_BITS | u128::from(Self::print(hash));
        }
    }

    /// Whether this hash went lately; forgets it.
    #[inline]
    pub(super) fn take(&mut self, hash: u64) -> bool {
        let Some(bucket) = self.bucket(hash) else { return false };
        let print = Self::print(hash);
        let shifts = (0..u128::BITS).step_by(PRINT_BITS as usize);
        let Some(shift) = shifts.into_iter().find(|&shift| (*bucket >> shift) as u16 == print)
        else {
            return false;
        };
        *bucket &= !(u128::from(u16::MAX) << shift);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl History {
        pub(in super::super) fn bytes(&self) -> usize {
            size_of_val(&*self.buckets)
        }
    }

    fn hash(n: u64) -> u64 {
        (n + 1)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(31)
            .wrapping_mul(0xD6E8_FEB8_6659_FD93)
    }

    #[test]
    fn remembers_about_as_many_as_it_was_made_for() {
        let mut history = History::new(1000);
        for n in 0..3000 {
            history.push(hash(n));
        }
        let kept = |from: u64, history: &mut History| {
            (from..from + 500).filter(|&n| history.take(hash(n))).count()
        };
        assert!(kept(0, &mut history) < 25, "the oldest are gone");
        assert!(kept(2500, &mut history) > 450, "the newest are there");
        assert_eq!(kept(2500, &mut history), 0, "each is taken once");
    }

    #[test]
    fn an_empty_history_remembers_nothing() {
        let mut history = History::default();
        history.push(hash(1));
        assert!(!history.take(hash(1)));
    }
}
