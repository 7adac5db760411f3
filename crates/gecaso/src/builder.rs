//! The choices of a `Cache` by hand, their defaults, and nothing else.

use crate::cache::{Cache, Settings};
use crate::key::NearKey;
use crate::lifetime::Lifetime;
use crate::memory::{MemoryStorage, RemovalCause};
use crate::outcome::Value;
use crate::storage::{IntoTier, Tier};
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;
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
#[must_use = "a builder does nothing until `build`"]
pub struct CacheBuilder<K: NearKey, V: Value> {
    tier: Option<Tier<K, V>>,
    settings: Settings<K, V>,
}

impl<K: NearKey, V: Value> fmt::Debug for CacheBuilder<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { name, lifetimes, .. } = &self.settings;
        let mut f = f.debug_struct("CacheBuilder");
        f.field("name", name).field("lifetime", &lifetimes.usual).finish_non_exhaustive()
    }
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

    /// Time to live: how long an entry is fresh, whatever happens; by default until it is evicted.
    /// Zero: results are shared between callers that wait for the same body, and never stored.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.settings.lifetimes.usual.ttl = Some(ttl);
        self
    }

    /// Time to idle: an entry that nobody asks for that long is not fresh any more. Every hit
    /// begins it anew (`peek` does not); as that is noted in steps of a 128th, an entry may go by
    /// so much too early, and never too late. With [`ttl`](Self::ttl), whichever ends first counts.
    /// Only for storages in this process.
    ///
    /// ```
    /// use gecaso::{Cache, LruStorage, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let sessions: Cache<u64, String> = Cache::builder()
    ///     .storage(LruStorage::new(1_000).with_clock(&clock))
    ///     .tti(Duration::from_secs(600))
    ///     .build();
    /// sessions.insert(1, "somebody".into());
    /// clock.advance(Duration::from_secs(500));
    /// assert!(sessions.get(&1).is_some()); // 600 seconds from here
    /// clock.advance(Duration::from_secs(500));
    /// assert!(sessions.get(&1).is_some());
    /// clock.advance(Duration::from_secs(600));
    /// assert!(sessions.get(&1).is_none());
    /// ```
    pub fn tti(mut self, tti: Duration) -> Self {
        self.settings.lifetimes.usual.tti = Some(tti);
        self
    }

    /// A lifetime for each entry, worked out when it is stored, from its key and value. What it
    /// does not say is as [`ttl`](Self::ttl) and [`tti`](Self::tti) say. Outside of the process
    /// only the time to live counts.
    ///
    /// ```
    /// use gecaso::{Cache, Lifetime, LruStorage, ManualClock};
    /// use std::time::Duration;
    ///
    /// #[derive(Clone)]
    /// struct Token { secret: u64, lives: Duration }
    ///
    /// let clock = ManualClock::new();
    /// let tokens = Cache::<u64, Token>::builder()
    ///     .storage(LruStorage::new(1_000).with_clock(&clock))
    ///     .lifetime(|_user, token| Lifetime::new().ttl(token.lives))
    ///     .build();
    /// let login = || Token { secret: 77, lives: Duration::from_secs(30) };
    /// assert_eq!(tokens.get_with(&1, login).secret, 77);
    /// clock.advance(Duration::from_secs(30));
    /// assert!(tokens.get(&1).is_none());
    /// ```
    pub fn lifetime(
        mut self,
        lifetime: impl Fn(&K, &V) -> Lifetime + Send + Sync + 'static,
    ) -> Self {
        self.settings.lifetimes.rule = Some(Arc::new(lifetime));
        self
    }

    /// What an entry weighs, in the unit of the storage's bound; at least 1 is counted. For
    /// storages that are bounded by weight, [`MemoryStorage::weighted`] and
    /// [`LruStorage::weighted`](crate::LruStorage::weighted), and needed there. Asked once, when an
    /// entry is stored: a weight that changes later is not noticed.
    ///
    /// ```
    /// use gecaso::{Cache, LruStorage};
    ///
    /// let pages = Cache::<String, Vec<u8>>::builder()
    ///     .storage(LruStorage::weighted(64 << 20)) // 64 MiB
    ///     .weigher(|url, page| url.len() + page.len() + 100)
    ///     .build();
    /// assert_eq!(pages.get_with("https://example.org", || vec![0; 1_000]).len(), 1_000);
    /// ```
    pub fn weigher(mut self, weigher: impl Fn(&K, &V) -> usize + Send + Sync + 'static) -> Self {
        self.settings.terms.weigher = Some(Arc::new(weigher));
        self
    }

    /// Called with every entry that leaves, and [why](RemovalCause). It runs in the thread that
    /// removed the entry, when that has happened and callers that waited have been answered; under
    /// no lock, so it may use this very cache. What it takes, the operation takes. If it panics,
    /// nobody else notices. Of one key, two removals by two threads may be told in either order.
    /// Nothing is told when the cache is dropped. Only for storages in this process.
    ///
    /// ```
    /// use gecaso::{Cache, LruStorage, RemovalCause};
    /// use std::sync::mpsc;
    ///
    /// let (tell, told) = mpsc::channel();
    /// let files = Cache::<u32, String>::builder()
    ///     .storage(LruStorage::new(1))
    ///     .on_removal(move |key, path, cause| {
    ///         tell.send((*key, path.clone(), cause)).unwrap(); // or remove the file
    ///     })
    ///     .build();
    /// files.insert(1, "one".into());
    /// files.insert(2, "two".into());
    /// files.invalidate(&2);
    /// assert_eq!(told.try_recv(), Ok((1, "one".into(), RemovalCause::Evicted)));
    /// assert_eq!(told.try_recv(), Ok((2, "two".into(), RemovalCause::Invalidated)));
    /// ```
    pub fn on_removal(
        mut self,
        listener: impl Fn(&K, &V, RemovalCause) + Send + Sync + 'static,
    ) -> Self {
        self.settings.terms.listener = Some(Arc::new(listener));
        self
    }

    /// Hashes keys by this instead of the default, which is seeded anew for each cache, so that
    /// nobody outside can choose keys that collide. Take one that resists that as well (as
    /// `std::hash::RandomState` does), unless all keys are your own. A default hash is as fast as
    /// they come; this one costs three indirect calls on top of its own work.
    ///
    /// ```
    /// use gecaso::Cache;
    /// use std::hash::RandomState;
    ///
    /// let cache: Cache<u64, u64> = Cache::builder().hasher(RandomState::new()).build();
    /// assert_eq!(cache.get_with(&7, || 49), 49);
    /// ```
    pub fn hasher(mut self, hasher: impl BuildHasher + Send + Sync + 'static) -> Self {
        self.settings.terms.hasher = Some(Arc::new(hasher));
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
    /// If the storage is outside of the process and the cache has no name, or has a `tti` or a
    /// listener; if entries are weighed and the storage is not bounded by weight, or the other way
    /// round.
    pub fn build(self) -> Cache<K, V> {
        let tier = self.tier.unwrap_or_else(|| MemoryStorage::default().into_tier());
        Cache::open(tier, self.settings)
    }
}
