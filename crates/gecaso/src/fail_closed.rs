//! Calls that fail where their storage cannot be asked, for those who would rather have an error
//! than every body at once.
//!
//! A view of a `Cache`. The path is in `call`.

use crate::cache::{Cache, all};
use crate::error::Error;
use crate::key::{ByRef, NearKey};
use crate::outcome::{OkShared, Value};
use std::borrow::Borrow;
use std::future::Future;
use std::hash::Hash;

/// A [`Cache`] whose calls fail if its storage outside of the process cannot be asked: the storage
/// failed, or did not answer in time, or is left alone because it has failed too often. From
/// [`Cache::fail_closed`].
///
/// For functions that must not be run by every caller at once when the storage is away. What could
/// not be *written* is no error: the result is there.
#[derive(Debug)]
pub struct FailClosed<'a, K: NearKey, V: Value> {
    cache: &'a Cache<K, V>,
}

impl<K: NearKey, V: Value> Cache<K, V> {
    /// A view of this cache whose calls fail if the storage outside of the process cannot be asked,
    /// instead of running their bodies.
    ///
    /// ```
    /// let cache: gecaso::Cache<u64, u64> = gecaso::Cache::new(gecaso::LruStorage::new(16));
    /// // In memory there is nothing that could fail.
    /// let found: Result<u64, gecaso::Error> = cache.fail_closed().try_get_with(&1, || Ok(10));
    /// assert_eq!(found.unwrap(), 10);
    /// ```
    pub fn fail_closed(&self) -> FailClosed<'_, K, V> {
        FailClosed { cache: self }
    }
}

impl<K: NearKey, V: Value> FailClosed<'_, K, V> {
    /// As [`Cache::try_get_with`].
    ///
    /// # Errors
    ///
    /// The body's own, or one that is made of the [`Error`] that says why the storage could not be
    /// asked.
    ///
    /// # Panics
    ///
    /// As [`Cache::get_with`].
    pub fn try_get_with<Q, E>(&self, key: &Q, body: impl FnOnce() -> Result<V, E>) -> Result<V, E>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        E: From<Error> + Clone + Send + Sync + 'static,
    {
        match self.cache.find(&ByRef::new(key)) {
            Ok(value) => Ok(value),
            Err(missed) => self.cache.load::<OkShared, _>(missed, all, body, Some(refuse)),
        }
    }

    /// As [`Cache::try_get_with_async`].
    ///
    /// # Errors
    ///
    /// As [`try_get_with`](Self::try_get_with).
    ///
    /// # Cancellation
    ///
    /// As [`Cache::get_with_async`].
    pub async fn try_get_with_async<Q, E>(
        &self,
        key: &Q,
        body: impl Future<Output = Result<V, E>>,
    ) -> Result<V, E>
    where
        K: Borrow<Q>,
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        E: From<Error> + Clone + Send + Sync + 'static,
    {
        let cache = self.cache;
        let found = cache.find(&ByRef::new(key));
        match found {
            Ok(value) => Ok(value),
            Err(missed) => cache.load_async::<OkShared, _>(missed, all, body, Some(refuse)).await,
        }
    }
}

fn refuse<V, E: From<Error>>(error: Error) -> Result<V, E> {
    Err(error.into())
}
