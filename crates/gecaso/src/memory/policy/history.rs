//! Which keys went lately: four bytes for each, of its hash.
//!
//! The ghost queue of 2Q (Johnson and Shasha, VLDB 1994), as a table of small queues. Part of
//! `segments`. Not exact: what is kept is about the newest, and two keys in 2^28 are taken for one.

/// Hashes in one queue: half of a cache line.
const DEPTH: usize = 8;

/// The newest hashes; a history that was never sized remembers nothing.
///
/// A hash has one bucket, by its upper half; its lower half is kept, newest first. 0: none.
#[derive(Default)]
pub(super) struct History {
    buckets: Box<[[u32; DEPTH]]>,
}

impl History {
    /// Of about so many keys.
    pub(super) fn new(keys: usize) -> Self {
        History { buckets: vec![[0; DEPTH]; keys.div_ceil(DEPTH).max(1)].into_boxed_slice() }
    }

    #[inline]
    fn bucket(&mut self, hash: u64) -> Option<&mut [u32; DEPTH]> {
        // Scales the upper half to the number of buckets, by its most significant bits.
        let at = (u128::from(hash >> 32) * self.buckets.len() as u128) >> 32;
        self.buckets.get_mut(at as usize)
    }

    #[inline]
    fn print(hash: u64) -> u32 {
        hash as u32 | 1
    }

    #[inline]
    pub(super) fn push(&mut self, hash: u64) {
        if let Some(bucket) = self.bucket(hash) {
            bucket.copy_within(..DEPTH - 1, 1);
            bucket[0] = Self::print(hash);
        }
    }

    /// Whether this hash went lately; forgets it.
    #[inline]
    pub(super) fn take(&mut self, hash: u64) -> bool {
        let Some(bucket) = self.bucket(hash) else { return false };
        let Some(at) = bucket.iter().position(|&print| print == Self::print(hash)) else {
            return false;
        };
        bucket[at] = 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
