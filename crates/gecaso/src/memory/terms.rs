//! On which terms one function keeps its entries: what they weigh, who is told when they leave, how
//! keys are hashed.
//!
//! Filled in by `builder`; used by `table`. All of it is foreign code, and runs under no lock.

use super::removal::Listener;
use crate::key::Query;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

/// What an entry weighs.
pub(crate) type Weigher<K, V> = Arc<dyn Fn(&K, &V) -> usize + Send + Sync>;

pub(crate) struct Terms<K, V> {
    /// `None`: each entry weighs 1.
    pub(crate) weigher: Option<Weigher<K, V>>,
    pub(crate) listener: Option<Listener<K, V>>,
    /// `None`: ours.
    pub(crate) hasher: Option<Theirs>,
}

impl<K, V> Default for Terms<K, V> {
    fn default() -> Self {
        Terms { weigher: None, listener: None, hasher: None }
    }
}

/// A user's hasher, whatever its type.
pub(crate) type Theirs = Arc<dyn AnyHasher>;

pub(crate) trait AnyHasher: Send + Sync {
    /// Hashes what `feed` feeds.
    fn hash(&self, feed: &dyn Fn(&mut dyn Hasher)) -> u64;
}

impl<S> AnyHasher for S
where
    S: BuildHasher + Send + Sync,
{
    fn hash(&self, feed: &dyn Fn(&mut dyn Hasher)) -> u64 {
        let mut state = self.build_hasher();
        feed(&mut state);
        state.finish()
    }
}

/// Hashes by our own hasher. Which shard, which bucket and which sample a key belongs to is told by
/// different bits of the hash, so no pattern of the keys may show in any of them.
///
/// Of one number foldhash makes one multiplication by a secret of the process. By some secrets,
/// long runs of numbers in a row then go to one shard or into the sample, and long runs do not:
/// shadows and shards see another workload than there is. The first round of the finalizer below,
/// a bijection, ends that; a whole one would make hits slower and spread no better.
#[inline]
pub(super) fn hash_seeded<K, Q: Query<K>>(ours: &impl BuildHasher, query: &Q) -> u64 {
    let mut state = ours.build_hasher();
    query.hash_into(&mut state);
    let hash = state.finish();
    (hash ^ hash >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9)
}

/// Hashes by a user's hasher. All bits must depend on all of what the hasher says, as above.
#[cold]
pub(super) fn hash_by<K, Q: Query<K>>(theirs: &dyn AnyHasher, query: &Q) -> u64 {
    let hash = theirs.hash(&|mut state| query.hash_into(&mut state));
    // The finalizer of splitmix64 (Steele, Lea and Flood, OOPSLA 2014): a bijection.
    let hash = (hash ^ hash >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let hash = (hash ^ hash >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    hash ^ hash >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::ByRef;
    use foldhash::{SharedSeed, fast::SeedableRandomState};

    /// Keys in a row; of 2^`BITS` of them, one is expected to have zeros there.
    const WINDOW: u64 = 128;
    const WINDOWS: usize = 50;
    const BITS: u32 = 3;

    /// How much more the number of keys with zeros in these bits differs from one window to the
    /// next than by chance: 1 if it is as random.
    fn dispersion(hasher: &SeedableRandomState, step: u64, from_bit: u32) -> f64 {
        let expected = (WINDOW >> BITS) as f64;
        let is_zero = |n: &u64| {
            let hash = hash_seeded::<u64, _>(hasher, &ByRef::new(&(n * step)));
            hash >> from_bit & ((1 << BITS) - 1) == 0
        };
        let differences = (0..WINDOWS as u64).map(|window| {
            let keys = window * WINDOW..(window + 1) * WINDOW;
            (keys.filter(is_zero).count() as f64 - expected).powi(2)
        });
        differences.sum::<f64>() / expected / WINDOWS as f64
    }

    #[test]
    fn numbers_in_a_row_are_spread_over_shards_and_sample_whatever_the_secret() {
        for seed in 0..100 {
            // It wants a secret that lives as long as the process.
            let secret = Box::leak(Box::new(SharedSeed::from_u64(seed)));
            let hasher = SeedableRandomState::with_seed(seed, secret);
            for (step, from_bit) in [(1, 32), (1, 44), (2, 32), (2, 44)] {
                let dispersion = dispersion(&hasher, step, from_bit);
                assert!(
                    dispersion < 3.0,
                    "{dispersion} by secret {seed}, every {step}. number, from bit {from_bit}"
                );
            }
        }
    }
}
