//! The path of a call for a face whose functions are not known to Rust's compiler.
//!
//! Called by the crate of another language, which holds a [`Cache`] for each function. What the
//! macro's code gets from `private`, with the kind of result fixed: a value, or a failure that is
//! not stored and shared with those who wait.

pub use crate::call::Missed;
pub use crate::key::Query;

use crate::cache::{Cache, all};
use crate::key::NearKey;
use crate::outcome::{OkShared, Value};
use crate::receipt::Receipt;
use std::future::Future;

/// What a body may fail with: shared with those who wait for it.
pub trait Failure: Clone + Send + Sync + 'static {}
impl<E: Clone + Send + Sync + 'static> Failure for E {}

/// Threads that wait for another one's body park by `park` from now on, in the whole process: so
/// that a lock of the language can be let go of. It may return early; if it unwinds, the waiting
/// call is over. Only the first one counts.
pub fn park_by(park: fn()) {
    crate::blocking::park_by(park);
}

/// In a child process, before anything else: the timer's thread is not there, nor are the threads
/// that wait. Then [`forget_flights`] of every cache.
pub fn after_fork() {
    crate::lane::after_fork();
    crate::time::after_fork();
    crate::reentry::after_fork();
}

/// Forgets the flights of a cache, and who was reading it: those threads are of another process.
pub fn forget_flights<K: NearKey, V: Value>(cache: &Cache<K, V>) {
    cache.near.after_fork();
    drop(cache.flights.forget_all());
}

/// The calls that the running code is part of.
#[derive(Clone)]
pub struct Chain(crate::reentry::Chain);

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Chain")
    }
}

/// The calls that the running code is part of; `None` outside of every body.
pub fn chain() -> Option<Chain> {
    crate::reentry::current().map(Chain)
}

/// Runs something as part of these calls, as [`scope_fn`](crate::scope_fn) does.
pub fn within<T>(chain: &Chain, run: impl FnOnce() -> T) -> T {
    let _inside = crate::reentry::enter(chain.0.clone());
    run()
}

/// The hit path: the value, or the owned key of a miss.
#[inline]
pub fn find<Q, K, V>(cache: &Cache<K, V>, query: &Q) -> Result<V, Missed<K>>
where
    Q: Query<K>,
    K: NearKey,
    V: Value,
{
    cache.find(query)
}

/// The owned key of a call that runs the body whatever is stored.
pub fn missed<Q, K, V>(cache: &Cache<K, V>, query: &Q) -> Missed<K>
where
    Q: Query<K>,
    K: NearKey,
    V: Value,
{
    cache.missed(query)
}

/// The miss path.
///
/// # Errors
///
/// The body's own.
#[inline]
pub fn load<K, V, E>(
    cache: &Cache<K, V>,
    missed: Missed<K>,
    body: impl FnOnce() -> Result<V, E>,
) -> Result<V, E>
where
    K: NearKey,
    V: Value,
    E: Failure,
{
    cache.load::<OkShared, _>(missed, all, body, None)
}

/// The miss path of a body that is awaited.
///
/// # Errors
///
/// The body's own.
pub async fn load_async<K, V, E>(
    cache: &Cache<K, V>,
    missed: Missed<K>,
    body: impl Future<Output = Result<V, E>>,
) -> Result<V, E>
where
    K: NearKey,
    V: Value,
    E: Failure,
{
    cache.load_async::<OkShared, _>(missed, all, body, None).await
}

/// Runs the body now, and replaces the entry.
///
/// # Errors
///
/// The body's own.
pub fn reload<K, V, E>(
    cache: &Cache<K, V>,
    missed: Missed<K>,
    body: impl FnOnce() -> Result<V, E>,
) -> Result<V, E>
where
    K: NearKey,
    V: Value,
    E: Failure,
{
    cache.reload::<OkShared, _>(missed, all, body)
}

/// As [`reload`], awaited.
///
/// # Errors
///
/// The body's own.
pub async fn reload_async<K, V, E>(
    cache: &Cache<K, V>,
    missed: Missed<K>,
    body: impl Future<Output = Result<V, E>>,
) -> Result<V, E>
where
    K: NearKey,
    V: Value,
    E: Failure,
{
    cache.reload_async::<OkShared, _>(missed, all, body).await
}

/// The stored value, if it is fresh; counts nothing and changes nothing.
pub fn peek<Q, K, V>(cache: &Cache<K, V>, query: &Q) -> Option<V>
where
    Q: Query<K>,
    K: NearKey,
    V: Value,
{
    cache.peek_query(query)
}

/// Stores a value, whatever runs now.
pub fn insert<Q, K, V>(cache: &Cache<K, V>, query: &Q, value: V) -> Receipt
where
    Q: Query<K>,
    K: NearKey,
    V: Value,
{
    cache.insert_query(query, value)
}

/// Removes an entry, whatever runs now.
pub fn invalidate<Q, K, V>(cache: &Cache<K, V>, query: &Q) -> Receipt
where
    Q: Query<K>,
    K: NearKey,
    V: Value,
{
    cache.invalidate_query(query)
}

/// Shows every entry that nobody changes at this moment; false if one was left out. `show` runs
/// under our locks and must do next to nothing.
pub fn show_entries<K, V>(cache: &Cache<K, V>, show: impl FnMut(&K, &V)) -> bool
where
    K: NearKey,
    V: Value,
{
    cache.near.show_entries(show)
}
