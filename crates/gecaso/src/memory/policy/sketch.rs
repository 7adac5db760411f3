//! How often a hash was asked for lately, about: a count-min sketch that ages.
//!
//! Cormode and Muthukrishnan, "An improved data stream summary: the count-min sketch and its
//! applications", J. Algorithms 2005; counters of four bits that are halved at times as in
//! TinyLFU (Einziger et al., ACM ToS 2017). Part of `adaptive` and `shadows`; it errs by naming
//! keys too frequent, never too rare (but for the halving). Not for exact counts.

/// Four rows of 32 counters of four bits, in one cache line:
///
/// ```text
///   word   0       1     2       3     4       5     6       7
///        | row 0       | row 1       | row 2       | row 3       |
/// ```
#[repr(align(64))]
#[derive(Clone, Default)]
struct Block([u64; 8]);

/// Counters of a row per key that is expected, before rounding up to a power of two blocks.
const COUNTERS_PER_KEY: f64 = 0.5;
/// Blocks of the smallest sketch of a storage, 8 KiB: a small storage, too, must tell many more
/// keys apart than it can hold, and with one sized to its capacity it takes every key for frequent.
const FEWEST_BLOCKS: usize = 128;
/// Every count is halved once it has counted this many requests for each key expected.
const MEMORY: usize = 40;
/// What a counter holds at most.
const FULL: u64 = 15;

/// A sketch, or none yet: an empty one counts nothing.
#[derive(Default)]
pub(super) struct Sketch {
    blocks: Box<[Block]>,
    /// Additions since the last halving, and how many bring the next.
    added: usize,
    halve_at: usize,
}

impl Sketch {
    /// For so many keys, in one of `parts` sketches that share a storage.
    pub(super) fn new(keys: usize, parts: usize) -> Self {
        let blocks = (keys as f64 * COUNTERS_PER_KEY / 32.0) as usize;
        let blocks = blocks.max(FEWEST_BLOCKS / parts).max(1).next_power_of_two();
        let blocks = vec![Block::default(); blocks].into_boxed_slice();
        Sketch { blocks, added: 0, halve_at: keys.max(8) * MEMORY }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The block of a hash, and bits that say where its counters are in there.
    #[inline]
    fn block(&self, hash: u64) -> (usize, u64) {
        let mixed = (hash ^ hash >> 32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((mixed >> 32) as usize & (self.blocks.len() - 1), mixed >> 12)
    }

    /// Word and shift of the counter in each row.
    #[inline]
    fn counters(places: u64) -> impl Iterator<Item = (usize, u32)> {
        (0..4).map(move |row| {
            let place = places >> (5 * row) & 31;
            (2 * row + (place >> 4) as usize, (place as u32 & 15) * 4)
        })
    }

    #[inline]
    pub(super) fn count(&self, hash: u64) -> u8 {
        if self.is_empty() {
            return 0;
        }
        let (block, places) = self.block(hash);
        let block = &self.blocks[block].0;
        let mut least = FULL;
        for (word, shift) in Self::counters(places) {
            least = least.min(block[word] >> shift & FULL);
        }
        least as u8
    }

    /// So many requests for one hash.
    #[inline]
    pub(super) fn add(&mut self, hash: u64, times: u8) {
        if self.is_empty() {
            return;
        }
        let (block, places) = self.block(hash);
        let block = &mut self.blocks[block].0;
        let mut most = 0;
        for (word, shift) in Self::counters(places) {
            let room = FULL - (block[word] >> shift & FULL);
            let counted = room.min(u64::from(times));
            block[word] += counted << shift;
            most = most.max(counted);
        }
        self.added += most as usize;
        if self.added >= self.halve_at {
            self.halve();
        }
    }

    #[cold]
    fn halve(&mut self) {
        self.added /= 2;
        for word in self.blocks.iter_mut().flat_map(|block| &mut block.0) {
            *word = *word >> 1 & 0x7777_7777_7777_7777;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Sketch {
        pub(in super::super) fn bytes(&self) -> usize {
            size_of_val(&*self.blocks)
        }
    }

    fn hash(n: u64) -> u64 {
        (n + 1)
            .wrapping_mul(0xD6E8_FEB8_6659_FD93)
            .rotate_left(29)
            .wrapping_mul(0xA076_1D64_78BD_642F)
    }

    #[test]
    fn counts_what_was_added_and_no_less() {
        let mut sketch = Sketch::new(1000, 1);
        for n in 0..1000 {
            for _ in 0..n % 10 {
                sketch.add(hash(n), 1);
            }
        }
        let counts = (0..1000).map(|n| (u64::from(sketch.count(hash(n))), n % 10));
        assert!(counts.clone().all(|(count, added)| count >= added));
        let exact = counts.filter(|(count, added)| count == added).count();
        assert!(exact > 900, "{exact} of 1000 counts are exact");
    }

    #[test]
    fn halves_when_it_has_counted_enough() {
        let mut sketch = Sketch::new(8, 1);
        for _ in 0..10 {
            sketch.add(hash(1), 1);
        }
        for n in 0..8 * MEMORY as u64 - 11 {
            sketch.add(hash(100 + n), 1);
        }
        assert_eq!(sketch.count(hash(1)), 10);
        sketch.add(hash(2), 1);
        assert_eq!(sketch.count(hash(1)), 5);
    }

    #[test]
    fn a_count_stops_at_its_most_and_an_empty_sketch_counts_nothing() {
        let mut sketch = Sketch::new(100, 1);
        let mut none = Sketch::default();
        for _ in 0..100 {
            sketch.add(hash(1), 1);
            none.add(hash(1), 1);
        }
        assert_eq!((sketch.count(hash(1)), none.count(hash(1))), (15, 0));
    }
}
