//! `Cache`: what users hold. Methods that delegate; the path is in `call`.

use crate::builder::CacheBuilder;
use crate::error::Error;
use crate::far::{Change, FarTier, FarWords};
use crate::flight::Flights;
use crate::key::{ByRef, NearKey, Query};
use crate::lifetime::{Lifetime, Lifetimes};
use crate::memory::{Entry, Met, Table, Terms, Walk};
use crate::outcome::{OkShared, Value, Whole};
use crate::receipt::Receipt;
use crate::stats::Stats;
use crate::storage::{IntoTier, Tier};
use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::time::Duration;

/// A cache to hold and pass around: what `#[cached]` does, by hand.
///
/// One body runs per key at a time; callers that come meanwhile wait and share its result. Share a
/// cache between threads by reference, in an `Arc` or in a `static` `LazyLock`.
///
/// ```
/// use gecaso::{Cache, LruStorage};
/// use std::time::Duration;
///
/// let users: Cache<u64, String> = Cache::builder()
///     .storage(LruStorage::new(1_000))
///     .ttl(Duration::from_secs(60))
///     .build();
///
/// let load = |id: u64| format!("user {id}");       // a slow query
/// assert_eq!(users.get_with(&7, || load(7)), "user 7");
/// assert_eq!(users.get_with(&7, || unreachable!("a hit")), "user 7");
/// users.invalidate(&7);
/// assert_eq!(users.get(&7), None);
/// ```
pub struct Cache<K: NearKey, V: Value> {
    pub(crate) near: Table<K, V>,
    pub(crate) far: Option<FarTier<K, V>>,
    pub(crate) flights: Flights<K, V>,
    pub(crate) counters: crate::stats::Counters,
    pub(crate) lifetimes: Lifetimes<K, V>,
    /// False if the lifetime or the bound is zero: then results are shared, and never stored.
    pub(crate) stores: bool,
    pub(crate) max_wait: Duration,
    name: &'static str,
    version: u32,
}

/// What a cache is, apart from its storage: filled in by the builder and by the macro.
pub(crate) struct Settings<K, V> {
    /// Names the cache in figures and messages.
    pub(crate) name: &'static str,
    /// Entries of another version are not this cache's.
    pub(crate) version: u32,
    /// How long entries are fresh.
    pub(crate) lifetimes: Lifetimes<K, V>,
    /// On which terms a storage in this process keeps them.
    pub(crate) terms: Terms<K, V>,
    /// How long a caller waits for another one's body.
    pub(crate) max_wait: Option<Duration>,
    /// Whose the entries in a far storage are; `None`: the cache's name says it.
    pub(crate) identity: Option<String>,
    /// What a far storage is told.
    pub(crate) far: FarWords,
}

impl<K, V> Default for Settings<K, V> {
    fn default() -> Self {
        Settings {
            name: "",
            version: 0,
            lifetimes: Lifetimes::default(),
            terms: Terms::default(),
            max_wait: None,
            identity: None,
            far: Default::default(),
        }
    }
}

impl<K: NearKey, V: Value> Cache<K, V> {
    /// How long a caller waits for another one's body before it runs its own, unless told
    /// otherwise.
    pub const DEFAULT_MAX_WAIT: Duration = Duration::from_secs(30);

    /// A cache over a storage, everything else by default.
    ///
    /// ```
    /// use gecaso::{Cache, MemoryStorage};
    /// let squares: Cache<u64, u64> = Cache::new(MemoryStorage::bounded(100));
    /// assert_eq!(squares.get_with(&4, || 16), 16);
    /// ```
    ///
    /// # Panics
    ///
    /// If the storage is outside of the process: a cache over it needs a name, from the
    /// [builder](Cache::builder).
    pub fn new<S: IntoTier<K, V, M>, M>(storage: S) -> Self {
        Self::open(storage, Settings::default())
    }

    /// A cache with choices: see [`CacheBuilder`].
    pub fn builder() -> CacheBuilder<K, V> {
        CacheBuilder::new()
    }

    pub(crate) fn open<S: IntoTier<K, V, M>, M>(storage: S, settings: Settings<K, V>) -> Self {
        let Settings { name, version, lifetimes, terms, max_wait, identity, far: words } = settings;
        let Tier { near, far } = storage.into_tier();
        let usual = lifetimes.usual;
        let far = far.map(|far| {
            let identity = identity.as_deref().unwrap_or(name);
            assert!(
                !identity.is_empty(),
                "a cache over a storage outside of the process needs a name, which its entries are \
                 found by: `Cache::builder().storage(..).name(\"users\")`"
            );
            assert!(
                usual.tti.is_none() && terms.listener.is_none(),
                "`tti` and `on_removal` are for storages in this process: one outside of it does \
                 not tell what is read and removed there. Leave them out of `{identity}`"
            );
            far.open(identity, version, usual.ttl, words)
        });
        let near = near.on(terms);
        let stores =
            (lifetimes.rule.is_some() || !usual.is_none()) && (near.has_places() || far.is_some());
        Cache {
            near,
            far,
            flights: Flights::new(),
            counters: Default::default(),
            lifetimes,
            stores,
            max_wait: max_wait.unwrap_or(Self::DEFAULT_MAX_WAIT),
            name,
            version,
        }
    }

    /// The stored value, if it is fresh. Counts as a hit or a miss. Over a storage outside of the
    /// process it parks the thread until that has answered; in an asynchronous function use
    /// [`get_async`](Self::get_async).
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.look(&ByRef::new(key))
    }

    /// As [`get`](Self::get), awaited.
    pub async fn get_async<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.look_async(ByRef::new(key)).await
    }

    /// What `read` makes of the stored value, if it is fresh: without cloning it, for values whose
    /// clone is dear, or is an `Arc`'s whose count many threads change. Counts as
    /// [`get`](Self::get).
    ///
    /// `read` may take its time and call this cache, or any other: nothing is locked. The value
    /// stays in memory until `read` returns, even if its entry is removed meanwhile; who removes
    /// it does not wait. A thread that is inside of several `read`s at once gets clones, and so
    /// do threads beyond four for each core, and all in an [`LruStorage`](crate::LruStorage) whose
    /// keys or values are not plain types of the standard library.
    ///
    /// Over a storage outside of the process it parks the thread until that has answered.
    ///
    /// # Panics
    ///
    /// If `read` does.
    ///
    /// ```
    /// use gecaso::{Cache, MemoryStorage};
    ///
    /// let pages: Cache<u32, Vec<String>> = Cache::new(MemoryStorage::bounded(100));
    /// pages.insert(1, vec!["first".into(), "second".into()]);
    /// assert_eq!(pages.with(&1, |lines| lines.len()), Some(2));
    /// assert_eq!(pages.with(&2, |lines| lines.len()), None);
    /// ```
    pub fn with<Q, R>(&self, key: &Q, read: impl FnOnce(&V) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.with_query(&ByRef::new(key), read)
    }

    /// The stored value, or what `body` returns; one body per key at a time.
    ///
    /// # Panics
    ///
    /// If `body` panics, in its own caller alone: one of those who wait runs its own body instead.
    pub fn get_with<Q>(&self, key: &Q, body: impl FnOnce() -> V) -> V
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.find(&ByRef::new(key))
            .unwrap_or_else(|missed| self.load::<Whole, _>(missed, all, body, None))
    }

    /// As [`get_with`](Self::get_with), for a body that may fail. An error is not stored; callers
    /// that wait for the failing body get a clone of it.
    ///
    /// # Errors
    ///
    /// The body's own. Wrap an error that is not `Clone` in an `Arc`.
    ///
    /// # Panics
    ///
    /// As [`get_with`](Self::get_with).
    ///
    /// ```
    /// let cache: gecaso::Cache<String, u16> = gecaso::Cache::new(gecaso::LruStorage::new(16));
    /// let parse = |s: &str| cache.try_get_with(s, || s.parse::<u16>());
    /// assert_eq!(parse("80"), Ok(80));
    /// assert!(parse("http").is_err());
    /// ```
    pub fn try_get_with<Q, E>(&self, key: &Q, body: impl FnOnce() -> Result<V, E>) -> Result<V, E>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        E: Clone + Send + Sync + 'static,
    {
        match self.find(&ByRef::new(key)) {
            Ok(value) => Ok(value),
            Err(missed) => self.load::<OkShared, _>(missed, all, body, None),
        }
    }

    /// As [`get_with`](Self::get_with), for an asynchronous body, on any runtime. A hit is ready at
    /// the first poll; the body is polled by the caller that leads.
    ///
    /// # Cancellation
    ///
    /// Dropping the future of the leader drops its body; one of those who wait leads then. Nobody
    /// else is cancelled.
    pub async fn get_with_async<Q>(&self, key: &Q, body: impl Future<Output = V>) -> V
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        let found = self.find(&ByRef::new(key)); // and not in the future any more
        match found {
            Ok(value) => value,
            Err(missed) => self.load_async::<Whole, _>(missed, all, body, None).await,
        }
    }

    /// As [`try_get_with`](Self::try_get_with), for an asynchronous body.
    ///
    /// # Errors
    ///
    /// The body's own.
    ///
    /// # Cancellation
    ///
    /// As [`get_with_async`](Self::get_with_async).
    pub async fn try_get_with_async<Q, E>(
        &self,
        key: &Q,
        body: impl Future<Output = Result<V, E>>,
    ) -> Result<V, E>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        E: Clone + Send + Sync + 'static,
    {
        let found = self.find(&ByRef::new(key));
        match found {
            Ok(value) => Ok(value),
            Err(missed) => self.load_async::<OkShared, _>(missed, all, body, None).await,
        }
    }

    /// Runs `body` now and stores what it returns; until then callers get the old value. Callers
    /// that miss meanwhile wait for this body.
    ///
    /// # Panics
    ///
    /// If `body` panics; the old value stays.
    pub fn refresh<Q>(&self, key: &Q, body: impl FnOnce() -> V) -> V
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.reload::<Whole, _>(self.missed(&ByRef::new(key)), all, body)
    }

    /// As [`refresh`](Self::refresh), for an asynchronous body.
    ///
    /// # Cancellation
    ///
    /// Dropping the future drops the body; the old value stays.
    pub async fn refresh_async<Q>(&self, key: &Q, body: impl Future<Output = V>) -> V
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        let missed = self.missed(&ByRef::new(key));
        self.reload_async::<Whole, _>(missed, all, body).await
    }

    /// As [`refresh`](Self::refresh), for a body that may fail: then the old value stays.
    ///
    /// # Errors
    ///
    /// The body's own.
    ///
    /// # Panics
    ///
    /// If `body` panics; the old value stays.
    pub fn try_refresh<Q, E>(&self, key: &Q, body: impl FnOnce() -> Result<V, E>) -> Result<V, E>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        E: Clone + Send + Sync + 'static,
    {
        self.reload::<OkShared, _>(self.missed(&ByRef::new(key)), all, body)
    }

    /// As [`try_refresh`](Self::try_refresh), for an asynchronous body.
    ///
    /// # Errors
    ///
    /// The body's own.
    ///
    /// # Cancellation
    ///
    /// Dropping the future drops the body; the old value stays.
    pub async fn try_refresh_async<Q, E>(
        &self,
        key: &Q,
        body: impl Future<Output = Result<V, E>>,
    ) -> Result<V, E>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        E: Clone + Send + Sync + 'static,
    {
        let missed = self.missed(&ByRef::new(key));
        self.reload_async::<OkShared, _>(missed, all, body).await
    }

    /// The stored value, if it is fresh, without counting and without changing what is evicted
    /// next. Over a storage outside of the process it parks the thread until that has answered.
    pub fn peek<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.peek_query(&ByRef::new(key))
    }

    /// As [`peek`](Self::peek), awaited.
    ///
    /// ```
    /// use gecaso::{Cache, MemoryStorage};
    ///
    /// # pollster::block_on(async {
    /// let squares: Cache<u64, u64> = Cache::new(MemoryStorage::bounded(100));
    /// squares.insert(4, 16);
    /// assert_eq!(squares.peek_async(&4).await, Some(16));
    /// assert_eq!(squares.stats().hits, 0);
    /// # });
    /// ```
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: it has only looked.
    pub async fn peek_async<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.peek_query_async(&ByRef::new(key)).await
    }

    /// Stores a value. Bodies that run now for this key do not overwrite it.
    pub fn insert(&self, key: K, value: V) -> Receipt
    where
        K: Hash,
    {
        self.insert_query(&ByRef::new(&key), value)
    }

    /// As [`insert`](Self::insert), with a time to live of its own instead of the cache's. Zero
    /// removes what is there and stores nothing; `Duration::MAX` stores it for ever.
    ///
    /// ```
    /// use gecaso::{Cache, LruStorage, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let tokens: Cache<String, u64> =
    ///     Cache::builder().storage(LruStorage::new(16).with_clock(&clock)).build();
    /// tokens.insert_with_ttl("guest".into(), 77, Duration::from_secs(30));
    /// clock.advance(Duration::from_secs(29));
    /// assert_eq!(tokens.get("guest"), Some(77));
    /// clock.advance(Duration::from_secs(1));
    /// assert_eq!(tokens.get("guest"), None);
    /// ```
    pub fn insert_with_ttl(&self, key: K, value: V, ttl: Duration) -> Receipt
    where
        K: Hash,
    {
        self.put(&ByRef::new(&key), value, Some(Lifetime::new().ttl(ttl)))
    }

    /// Removes the entry of a key. Callers from now on run the body anew; what bodies that run now
    /// bring goes to those who already wait for them, and is not stored.
    pub fn invalidate<Q>(&self, key: &Q) -> Receipt
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    {
        self.invalidate_query(&ByRef::new(key))
    }

    /// Removes all entries of this cache, and none of others on the same storage. Bodies that run
    /// now are not stored.
    pub fn clear(&self) -> Receipt {
        let clear = || (self.near.clear(), self.far.as_ref().map(|far| far.clear()));
        let (removed, change) = self.flights.supersede_all(clear);
        self.near.tell_cleared(removed); // foreign code: no lock is held here
        change.map_or_else(Receipt::ready, Change::tell)
    }

    /// Removes the entries for which `predicate` holds. Bodies that run now are not stored,
    /// whatever their key, since nobody can tell yet what they will bring; so when this returns, no
    /// call that starts later gets a value that was loaded before and that the predicate would have
    /// chosen.
    ///
    /// Goes through the entries in small steps, and stops nobody; the predicate runs under no lock,
    /// and may use this very cache. What comes in meanwhile, and was loaded after this began, may
    /// be looked at or not. It takes as long as looking at all entries takes.
    ///
    /// Entries in a storage outside of the process cannot be looked at: there the receipt says so,
    /// and [`clear`](Self::clear) is the way.
    ///
    /// ```
    /// use gecaso::{Cache, LruStorage};
    ///
    /// let pages: Cache<String, String> = Cache::new(LruStorage::new(100));
    /// pages.insert("/users/1".into(), "..".into());
    /// pages.insert("/users/2".into(), "..".into());
    /// pages.insert("/about".into(), "..".into());
    /// pages.invalidate_if(|path, _| path.starts_with("/users/"));
    /// assert_eq!(pages.len(), 1);
    /// ```
    ///
    /// # Panics
    ///
    /// If `predicate` panics: what was removed until then stays removed.
    pub fn invalidate_if(&self, predicate: impl Fn(&K, &V) -> bool) -> Receipt {
        self.flights.supersede_all(|| ());
        let mut walk = Walk::default();
        while let Some(met) = self.near.step(&mut walk) {
            for met in met {
                let Entry { key, value } = met.entry();
                if predicate(key, value) {
                    let removed = self.near.remove_met(met, &predicate);
                    self.near.tell(removed);
                }
            }
        }
        match self.has_far() {
            false => Receipt::ready(),
            true => Receipt::failed(Error::new(
                "entries outside of the process cannot be looked at: `clear` removes all of them",
            )),
        }
    }

    /// Entries held now in this process, those that have expired and were not reclaimed yet
    /// included.
    pub fn len(&self) -> usize {
        self.near.len_and_weight().0
    }

    /// Whether nothing is held in this process.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the entries of this cache weigh together; each weighs 1 if there is no
    /// [`weigher`](CacheBuilder::weigher).
    pub fn weight(&self) -> usize {
        self.near.len_and_weight().1
    }

    /// The fresh entries in this process, cloned a few at a time, in no order. Nobody is stopped by
    /// it, and it may be kept as long as you like: what is there all the time is met, what comes or
    /// goes meanwhile may be. (If most entries go while it is under way, or many come, it may
    /// meet some twice.) It counts nothing and prolongs nothing.
    ///
    /// ```
    /// use gecaso::{Cache, LruStorage};
    ///
    /// let squares: Cache<u32, u32> = Cache::new(LruStorage::new(100));
    /// (1..=3).for_each(|n| drop(squares.insert(n, n * n)));
    /// assert_eq!(squares.iter().map(|(_, square)| square).sum::<u32>(), 14);
    /// ```
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter { cache: self, walk: Walk::default(), met: Vec::new() }
    }

    /// How this cache has done so far.
    pub fn stats(&self) -> Stats {
        let (entries, evictions, expirations) = self.near.counts();
        let counted = self.counters.snapshot();
        #[cfg(feature = "far")]
        let far = self.far.as_ref().map(|far| far.stats()).unwrap_or_default();
        Stats {
            entries,
            evictions,
            expirations,
            #[cfg(feature = "far")]
            far,
            hits: counted.hits + self.near.hits_so_far(),
            ..counted
        }
    }

    /// The name given to the cache; of a `#[cached]` function its path.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The version given to the cache.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Whether entries are kept outside of the process.
    pub(crate) fn has_far(&self) -> bool {
        self.far.is_some()
    }

    pub(crate) fn peek_query<Q: Query<K>>(&self, query: &Q) -> Option<V> {
        self.peek_near(query).or_else(|| self.peek_far(|| query.to_key()))
    }

    /// What is here is looked at now: of the query, which need not be `Send`, the future holds
    /// nothing.
    pub(crate) fn peek_query_async<Q: Query<K>>(
        &self,
        query: &Q,
    ) -> impl Future<Output = Option<V>> + use<'_, Q, K, V> {
        let near = self.peek_near(query);
        let key = (near.is_none() && self.has_far()).then(|| query.to_key());
        async move {
            match key {
                Some(key) => self.peek_far_async(key).await,
                None => near,
            }
        }
    }

    fn peek_near<Q: Query<K>>(&self, query: &Q) -> Option<V> {
        let plain = Q::is_plain_with::<V>();
        self.near.peek(self.near.hash(query), plain, |key| query.matches(key))
    }

    pub(crate) fn insert_query<Q: Query<K>>(&self, query: &Q, value: V) -> Receipt {
        self.put(query, value, None)
    }

    pub(crate) fn invalidate_query<Q: Query<K>>(&self, query: &Q) -> Receipt {
        self.remove(query)
    }
}

impl<'a, K: NearKey, V: Value> IntoIterator for &'a Cache<K, V> {
    type Item = (K, V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Iter<'a, K, V> {
        self.iter()
    }
}

/// The fresh entries of a cache: see [`Cache::iter`].
pub struct Iter<'a, K: NearKey, V: Value> {
    cache: &'a Cache<K, V>,
    walk: Walk,
    /// Met, and not handed out yet.
    met: Vec<Met<K, V>>,
}

impl<K: NearKey, V: Value> Iterator for Iter<'_, K, V> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        while self.met.is_empty() {
            self.met = self.cache.near.step(&mut self.walk)?;
        }
        let Entry { key, value } = self.met.last()?.entry();
        let next = (key.clone(), value.clone()); // foreign code: no lock is held here
        self.met.pop();
        Some(next)
    }
}

impl<K: NearKey, V: Value> fmt::Debug for Iter<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").finish_non_exhaustive()
    }
}

/// The `keep` of those who store everything; expansions name it through `__private`.
pub fn all<V>(_: &V) -> bool {
    true
}

impl<K: NearKey, V: Value> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("Cache");
        f.field("name", &self.name)
            .field("lifetime", &self.lifetimes.usual)
            .field("stats", &self.stats())
            .finish()
    }
}
