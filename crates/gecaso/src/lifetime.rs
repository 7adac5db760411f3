//! How long entries are fresh: what users say of a cache, or of one entry.
//!
//! Used by `builder` and `call`. Reads no clock; when an entry ends is worked out by `memory`.

use std::sync::Arc;
use std::time::Duration;

/// How long one entry is fresh; what is not said here is as the cache says.
///
/// For [`CacheBuilder::lifetime`](crate::CacheBuilder::lifetime), which has an example.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[must_use]
pub struct Lifetime {
    pub(crate) ttl: Option<Duration>,
    pub(crate) tti: Option<Duration>,
}

impl Lifetime {
    /// As the cache says.
    pub fn new() -> Self {
        Self::default()
    }

    /// Time to live: from when it is stored, whatever happens. Zero: it is not stored.
    /// `Duration::MAX`: for ever.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Time to idle: from when it is stored, or was last asked for. Zero: it is not stored.
    /// `Duration::MAX`: for ever.
    pub fn tti(mut self, tti: Duration) -> Self {
        self.tti = Some(tti);
        self
    }

    /// Whether nothing is to be stored.
    #[inline]
    pub(crate) fn is_none(self) -> bool {
        self.ttl.is_some_and(|ttl| ttl.is_zero()) || self.tti.is_some_and(|tti| tti.is_zero())
    }

    /// What is not said is as `usual` says.
    fn or(self, usual: Lifetime) -> Lifetime {
        Lifetime { ttl: self.ttl.or(usual.ttl), tti: self.tti.or(usual.tti) }
    }
}

/// A lifetime that is worked out from a key and a value. Foreign code.
pub(crate) type Rule<K, V> = Arc<dyn Fn(&K, &V) -> Lifetime + Send + Sync>;

/// The lifetimes of one cache.
pub(crate) struct Lifetimes<K, V> {
    pub(crate) usual: Lifetime,
    pub(crate) rule: Option<Rule<K, V>>,
}

impl<K, V> Default for Lifetimes<K, V> {
    fn default() -> Self {
        Lifetimes { usual: Lifetime::new(), rule: None }
    }
}

impl<K, V> Lifetimes<K, V> {
    /// That of one entry. Runs foreign code.
    #[inline]
    pub(crate) fn of(&self, key: &K, value: &V) -> Lifetime {
        match &self.rule {
            None => self.usual,
            Some(rule) => rule(key, value).or(self.usual),
        }
    }

    /// What is said of an entry by hand counts before all else.
    pub(crate) fn given(&self, given: Lifetime) -> Lifetime {
        given.or(self.usual)
    }
}
