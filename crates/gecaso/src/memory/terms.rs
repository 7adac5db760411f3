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

/// Hashes by a user's hasher. Which shard, which bucket and which sample a key belongs to is told
/// by different bits of the hash, so all of them must depend on all of what the hasher says.
#[cold]
pub(super) fn hash_by<K, Q: Query<K>>(theirs: &dyn AnyHasher, query: &Q) -> u64 {
    let hash = theirs.hash(&|mut state| query.hash_into(&mut state));
    // The finalizer of splitmix64 (Steele, Lea and Flood, OOPSLA 2014): a bijection.
    let hash = (hash ^ hash >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let hash = (hash ^ hash >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    hash ^ hash >> 31
}
