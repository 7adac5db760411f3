//! What the expansion of `#[cached]` may name: slots, argument views, return type markers and the
//! registry behind [`handle`](crate::handle).
//!
//! Called by generated code only; no promise is made about anything in here. Must not know any
//! storage or policy: it speaks to `Cache`, `Query` and `Outcome`.

pub mod arg;
#[cfg(feature = "far")]
mod arg_key;
pub mod bits;
pub mod erased;
pub mod method;
pub mod probe;
pub mod slot;

pub use crate::cache::all;
#[cfg(feature = "far")]
pub use crate::codec::key::{Key, KeyEncoder};
pub use crate::far::FarWords;
#[cfg(not(feature = "far"))]
pub use crate::far::NeedsFar;
pub use crate::memory::{MemoryStorage, Unfound};
pub use crate::outcome::Outcome;
pub use crate::receipt::Receipt;
pub use crate::stats::Stats;
pub use std::time::Duration;

use std::any::{Any, TypeId, type_name};
use std::pin::Pin;
use std::sync::Arc;

use crate::cache::{Cache, Settings};
use crate::call::Missed;
use crate::key::NearKey;
use crate::lifetime::{Lifetime, Lifetimes, Rule};
use crate::memory::{Terms, Weigher};
use crate::outcome::Value;
use crate::storage::IntoTier;

/// The value `returned` would have left behind, or `None` if nothing would have been stored.
#[inline]
fn storable<O, M>(returned: O, keep: fn(&O::Value) -> bool) -> Option<O::Value>
where
    O: Outcome<M>,
{
    returned.split().ok().filter(keep)
}

/// Stores `value`, for as long as `ttl` says if it does; without a value, removes the entry.
fn put<Q, K, V>(cache: &Cache<K, V>, query: &Q, value: Option<V>, ttl: Option<Duration>) -> Receipt
where
    Q: crate::key::Query<K>,
    K: NearKey,
    V: Value,
{
    match value {
        Some(value) => cache.put(query, value, ttl.map(|ttl| Lifetime::new().ttl(ttl))),
        None => cache.invalidate_query(query),
    }
}

/// What `insert` of a handle does, and `insert_with_ttl`: stores what a call would have stored, or
/// removes the entry.
pub fn insert<Q, K, O, M>(
    cache: &Cache<K, O::Value>,
    query: &Q,
    returned: O,
    ttl: Option<Duration>,
    keep: fn(&O::Value) -> bool,
    _: probe::Token<O, M>,
) -> Receipt
where
    Q: crate::key::Query<K>,
    K: NearKey,
    O: Outcome<M>,
{
    put(cache, query, storable(returned, keep), ttl)
}

/// What `invalidate` of a handle does.
pub fn invalidate<Q, K, V>(cache: &Cache<K, V>, query: &Q) -> Receipt
where
    Q: crate::key::Query<K>,
    K: NearKey,
    V: Value,
{
    cache.invalidate_query(query)
}

/// What `peek` of a handle does: the entry as the function would have returned it.
pub fn peek<Q, K, O, M>(cache: &Cache<K, O::Value>, query: &Q, _: probe::Token<O, M>) -> Option<O>
where
    Q: crate::key::Query<K>,
    K: NearKey,
    O: Outcome<M>,
{
    cache.peek_query(query).map(O::from_value)
}

/// The twin of [`peek`] for an asynchronous function. Of the query the future holds nothing.
pub fn peek_async<'a, Q, K, O, M>(
    cache: &'a Cache<K, O::Value>,
    query: &Q,
    _: probe::Token<O, M>,
) -> impl Future<Output = Option<O>> + use<'a, Q, K, O, M>
where
    Q: crate::key::Query<K>,
    K: NearKey,
    O: Outcome<M>,
{
    let peeked = cache.peek_query_async(query);
    async move { peeked.await.map(O::from_value) }
}

/// What `with` of a handle does. `S` is what the signature says of the stored type.
///
/// # Panics
///
/// If `S` is another one: of a generic function that returns a `Result` or an `Option` by another
/// name, which the signature cannot tell.
pub fn with<Q, K, O, M, S, R>(
    cache: &Cache<K, O::Value>,
    query: &Q,
    read: impl FnOnce(&S) -> R,
    _: probe::Token<O, M>,
) -> Option<R>
where
    Q: crate::key::Query<K>,
    K: NearKey,
    O: Outcome<M>,
    S: 'static,
{
    // Folds to a constant in optimised builds.
    assert!(
        TypeId::of::<S>() == TypeId::of::<O::Value>(),
        "`{}` stores a `{}`, and its signature hides that: for `with`, return a `Result` or an \
         `Option` by that name",
        cache.name(),
        type_name::<O::Value>(),
    );
    let read = |value: &O::Value| (value as &dyn Any).downcast_ref::<S>().map(read);
    cache.with_query(query, read).flatten()
}

/// The hit path: what a hit returns, or the owned key of a miss. `may_end`: whether entries usually
/// do.
#[inline(always)] // see `Cache::find`
pub fn find<Q, K, O, M>(
    cache: &Cache<K, O::Value>,
    query: &Q,
    may_end: bool,
    _: probe::Token<O, M>,
) -> Result<O, Missed<K>>
where
    Q: crate::key::Query<K>,
    K: NearKey,
    O: Outcome<M>,
{
    let found = cache.near.look(query, may_end);
    found.or_else(|unfound| cache.find_longer(query, unfound)).map(O::from_value)
}

/// The hit path of a call that goes on elsewhere: what a hit returns. `may_end` as for [`find`].
#[inline(always)] // see `Cache::find`
pub fn look<Q, K, O, M>(
    cache: &Cache<K, O::Value>,
    query: &Q,
    may_end: bool,
    _: probe::Token<O, M>,
) -> Result<O, Unfound>
where
    Q: crate::key::Query<K>,
    K: NearKey,
    O: Outcome<M>,
{
    cache.near.look(query, may_end).map(O::from_value)
}

/// As [`find`], after a [`look`].
#[inline]
pub fn find_longer<Q, K, O, M>(
    cache: &Cache<K, O::Value>,
    query: &Q,
    unfound: Unfound,
    _: probe::Token<O, M>,
) -> Result<O, Missed<K>>
where
    Q: crate::key::Query<K>,
    K: NearKey,
    O: Outcome<M>,
{
    cache.find_longer(query, unfound).map(O::from_value)
}

/// The owned key of a call that runs the body whatever is stored.
pub fn missed<Q, K, V>(cache: &Cache<K, V>, query: &Q) -> Missed<K>
where
    Q: crate::key::Query<K>,
    K: NearKey,
    V: Value,
{
    cache.missed(query)
}

/// Runs the body of a miss; the token says which of a type's outcomes is meant.
#[inline]
pub fn load<K, O, M>(
    cache: &Cache<K, O::Value>,
    missed: Missed<K>,
    keep: fn(&O::Value) -> bool,
    body: impl FnOnce() -> O,
    _: probe::Token<O, M>,
    refuse: Option<fn(crate::Error) -> O>,
) -> O
where
    K: NearKey,
    O: Outcome<M>,
{
    cache.load(missed, keep, body, refuse)
}

/// The twin of [`load`] for a future.
///
/// Boxed, so that the future of a cached function stays small (56 bytes and its arguments, not
/// 920): every caller's own future contains it, while a flight is needed on a miss alone.
pub fn load_async<K, O, M, F>(
    cache: &Cache<K, O::Value>,
    missed: Missed<K>,
    keep: fn(&O::Value) -> bool,
    body: F,
    _: probe::Token<O, M>,
    refuse: Option<fn(crate::Error) -> O>,
) -> Pin<Box<impl Future<Output = O>>>
where
    K: NearKey,
    O: Outcome<M>,
    F: Future<Output = O>,
{
    Box::pin(cache.load_async(missed, keep, body, refuse))
}

/// Runs the body now and replaces the entry.
pub fn reload<K, O, M>(
    cache: &Cache<K, O::Value>,
    missed: Missed<K>,
    keep: fn(&O::Value) -> bool,
    body: impl FnOnce() -> O,
    _: probe::Token<O, M>,
) -> O
where
    K: NearKey,
    O: Outcome<M>,
{
    cache.reload(missed, keep, body)
}

/// The twin of [`reload`] for a future.
pub fn reload_async<K, O, M, F>(
    cache: &Cache<K, O::Value>,
    missed: Missed<K>,
    keep: fn(&O::Value) -> bool,
    body: F,
    _: probe::Token<O, M>,
) -> Pin<Box<impl Future<Output = O>>>
where
    K: NearKey,
    O: Outcome<M>,
    F: Future<Output = O>,
{
    Box::pin(cache.reload_async(missed, keep, body))
}

/// The predicate as an `fn` pointer, its argument's type found through the token.
#[inline]
pub fn keep<O: Outcome<M>, M>(
    _: probe::Token<O, M>,
    keep: fn(&O::Value) -> bool,
) -> fn(&O::Value) -> bool {
    keep
}

/// A closure over what is stored as an `fn` pointer, its argument's type found through the token.
#[inline]
pub fn by_value<O: Outcome<M>, M, R>(
    _: probe::Token<O, M>,
    closure: fn(&O::Value) -> R,
) -> fn(&O::Value) -> R {
    closure
}

/// What a function must return that is to fail when its storage cannot be asked.
#[diagnostic::on_unimplemented(
    message = "`fail_closed` needs a result that can say that the storage has failed",
    label = "expected a `Result` whose error is `From<gecaso::Error>`"
)]
pub trait Refusable {
    /// The answer of such a call.
    fn refused(error: crate::Error) -> Self;
}

#[diagnostic::do_not_recommend]
impl<T, E: From<crate::Error>> Refusable for Result<T, E> {
    fn refused(error: crate::Error) -> Self {
        Err(error.into())
    }
}

/// The answer of a call whose storage cannot be asked.
pub fn refuse<O: Refusable>(error: crate::Error) -> O {
    O::refused(error)
}

/// What the attribute's words say, each expression still to be evaluated.
///
/// They are `fn` pointers so that the compiler refuses an expression that captures an argument.
#[derive(Debug, Clone, Copy)]
pub struct Words<S, V> {
    /// The storage expression.
    pub storage: fn() -> S,
    /// The word `name`, or the function's path.
    pub name: &'static str,
    /// The word `version`.
    pub version: u32,
    /// The word `ttl`.
    pub ttl: Option<fn() -> std::time::Duration>,
    /// The same, worked out from the value.
    pub ttl_of: Option<fn(&V) -> std::time::Duration>,
    /// The word `tti`.
    pub tti: Option<fn() -> std::time::Duration>,
    /// The same, worked out from the value.
    pub tti_of: Option<fn(&V) -> std::time::Duration>,
    /// The word `weigher`.
    pub weigher: Option<fn(&V) -> usize>,
    /// Whether there is a word that asks for everything to be stored.
    pub whole: bool,
    /// The word `max_wait`.
    pub max_wait: Option<fn() -> std::time::Duration>,
    /// Whether there is a word `name`.
    pub is_named: bool,
    /// The path of a free function, by that of its handle; `None`: the instantiation names it.
    pub path: Option<fn() -> &'static str>,
    /// What far storages are told.
    pub far: fn() -> FarWords,
}

impl<S, V> Words<S, V> {
    /// Evaluates every expression, once, and opens the cache.
    ///
    /// `instance` is the name of the instantiation's type.
    fn open<K, I>(self, instance: &str) -> Cache<K, V>
    where
        K: NearKey,
        V: Value,
        S: IntoTier<K, V, I>,
    {
        let settings = Settings {
            name: self.name,
            version: self.version,
            lifetimes: self.lifetimes(),
            terms: Terms { weigher: self.weigher.map(weigher), ..Terms::default() },
            max_wait: self.max_wait.map(|max_wait| max_wait()),
            identity: Some(self.identity(instance)),
            far: (self.far)(),
        };
        Cache::open((self.storage)(), settings)
    }

    fn lifetimes<K>(&self) -> Lifetimes<K, V>
    where
        V: Value,
    {
        let usual = Lifetime { ttl: self.ttl.map(|ttl| ttl()), tti: self.tti.map(|tti| tti()) };
        let rule: Option<Rule<K, V>> = match (self.ttl_of, self.tti_of) {
            (None, None) => None,
            (ttl, tti) => Some(Arc::new(move |_: &K, value: &V| Lifetime {
                ttl: ttl.map(|ttl| ttl(value)),
                tti: tti.map(|tti| tti(value)),
            })),
        };
        Lifetimes { usual, rule }
    }

    /// Whose the entries in a far storage are: the function, by its name if it has been given one
    /// and else by its path, and the whole name of the instantiation where there may be several.
    pub(crate) fn identity(&self, instance: &str) -> String {
        let instance = instance.trim_end_matches("::{{closure}}");
        match (self.is_named, self.path) {
            (true, Some(_)) if instance == "()" => self.name.to_owned(),
            (true, Some(_)) => format!("{}{{{instance}}}", self.name),
            (false, Some(path)) if instance == "()" => path().to_owned(),
            (false, Some(path)) => format!("{}{{{instance}}}", path()),
            // Of a method; also where only `Self` tells instantiations apart.
            (true, None) if !instance.contains('<') => self.name.to_owned(),
            (true, None) => format!("{}{{{instance}}}", self.name),
            (false, None) => instance.to_owned(),
        }
    }
}

/// A weigher of values as one of entries.
fn weigher<K, V: Value>(of: fn(&V) -> usize) -> Weigher<K, V> {
    Arc::new(move |_, value| of(value))
}

#[cfg(test)]
mod tests {
    use super::{Duration, FarWords, Words};
    use crate::{Cache, Lifetime, LruStorage};

    #[test]
    fn an_identity_has_all_that_tells_instantiations_apart() {
        let words = |is_named: bool, path: Option<fn() -> &'static str>| Words {
            storage: || LruStorage::new(2),
            name: "given",
            version: 0,
            ttl: None,
            ttl_of: None,
            tti: None,
            tti_of: None,
            weigher: None::<fn(&u8) -> usize>,
            max_wait: None,
            whole: false,
            is_named,
            path,
            far: FarWords::default,
        };
        let path: Option<fn() -> &'static str> = Some(|| "a::f");
        let rows = [
            (true, path, "()", "given"),
            (false, path, "()", "a::f"),
            (
                false,
                path,
                "a::_::__GecasoInstance<'>', u8>",
                "a::f{a::_::__GecasoInstance<'>', u8>}",
            ),
            (true, path, "a::_::__GecasoInstance<u8>", "given{a::_::__GecasoInstance<u8>}"),
            (false, None, "a::S<u8>::f::{{closure}}", "a::S<u8>::f"),
            (true, None, "a::S::f::{{closure}}", "given"),
            (true, None, "<a::S as a::Tr>::f::{{closure}}", "given{<a::S as a::Tr>::f}"),
        ];
        for (is_named, path, instance, identity) in rows {
            assert_eq!(words(is_named, path).identity(instance), identity, "{instance}");
        }
    }

    #[test]
    fn words_become_the_settings_of_a_cache() {
        let words = Words {
            storage: || LruStorage::new(2),
            name: "people",
            version: 3,
            ttl: Some(|| Duration::from_secs(5)),
            ttl_of: None,
            tti: Some(|| Duration::from_secs(6)),
            tti_of: None,
            weigher: None,
            max_wait: Some(|| Duration::from_secs(7)),
            whole: false,
            is_named: true,
            path: None,
            far: FarWords::default,
        };
        let cache: Cache<u8, u8> = words.open("");
        assert_eq!((cache.name(), cache.version()), ("people", 3));
        let usual = Lifetime::new().ttl(Duration::from_secs(5)).tti(Duration::from_secs(6));
        assert_eq!(cache.lifetimes.usual, usual);
        assert_eq!(cache.max_wait, Duration::from_secs(7));
    }
}
