//! The choices of a `Cache` by hand, their defaults, and nothing else.

use crate::cache::{Cache, Settings};
use crate::key::NearKey;
use crate::memory::MemoryStorage;
use crate::outcome::Value;
use crate::storage::{IntoTier, Tier};
use std::time::Duration;

/// Builds a [`Cache`]. From [`Cache::builder`].
///
/// ```
/// use gecaso::{Cache, MemoryStorage};
/// use std::time::Duration;
///
/// let cache: Cache<String, u64> = Cache::builder()
///     .storage(MemoryStorage::bounded(500))
///     .ttl(Duration::from_secs(90))
///     .name("sizes")
///     .build();
/// assert_eq!(cache.name(), "sizes");
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct CacheBuilder<K: NearKey, V: Value> {
    tier: Option<Tier<K, V>>,
    settings: Settings,
}

impl<K: NearKey, V: Value> CacheBuilder<K, V> {
    pub(crate) fn new() -> Self {
        CacheBuilder { tier: None, settings: Settings::default() }
    }

    /// Where entries are kept; by default a bounded [`MemoryStorage`] of its own.
    pub fn storage<S: IntoTier<K, V, M>, M>(mut self, storage: S) -> Self {
        self.tier = Some(storage.into_tier());
        self
    }

    /// How long an entry is fresh; by default until it is evicted. Zero: results are shared between
    /// callers that wait for the same body, and never stored.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.settings.ttl = Some(ttl);
        self
    }

    /// Names the cache in figures and messages. Over a storage outside of the process it must have
    /// a name: its entries are found by it, also by other processes.
    pub fn name(mut self, name: &'static str) -> Self {
        self.settings.name = name;
        self
    }

    /// The version of what the bodies return; entries of another version are not this cache's.
    pub fn version(mut self, version: u32) -> Self {
        self.settings.version = version;
        self
    }

    /// How long a caller waits for another one's body before it runs its own; by default
    /// [`Cache::DEFAULT_MAX_WAIT`]. It frees bodies that wait for themselves by ways nobody can see
    /// (see [`scope`](crate::scope)), so keep it above what a body takes.
    pub fn max_wait(mut self, max_wait: Duration) -> Self {
        self.settings.max_wait = Some(max_wait);
        self
    }

    /// One more extra parameter that a storage outside of the process is told with every set.
    #[cfg(feature = "far")]
    pub fn param(mut self, name: impl Into<String>, value: impl Into<crate::Param>) -> Self {
        let params = std::mem::take(&mut self.settings.far.params);
        self.settings.far.params = params.with(name, value);
        self
    }

    /// Whether keys in a storage outside of the process have 65 symbols, whatever the arguments: 32
    /// hexadecimal digits, `_`, and 32 more (the default); or are readable, and up to 200 long.
    #[cfg(feature = "far")]
    pub fn hash_key(mut self, hash_key: bool) -> Self {
        self.settings.far.hash_key = hash_key;
        self
    }

    /// How long one call waits for a storage outside of the process, all its operations together;
    /// then it goes on without. By default what the storage says:
    /// [`Far::DEFAULT_DEADLINE`](crate::Far::DEFAULT_DEADLINE).
    #[cfg(feature = "far")]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.far.deadline = Some(deadline);
        self
    }

    /// The cache.
    ///
    /// # Panics
    ///
    /// If the storage is outside of the process, and the cache has no name.
    pub fn build(self) -> Cache<K, V> {
        let tier = self.tier.unwrap_or_else(|| MemoryStorage::default().into_tier());
        Cache::open(tier, self.settings)
    }
}
