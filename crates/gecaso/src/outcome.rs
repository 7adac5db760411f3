//! What a body returned, split into the value that may be stored and the rest that may not.
//!
//! Picked by type, not by token: the macro's probe (in `private`) chooses the marker `M`, so
//! aliases of `Result` are seen through. Knows nothing of storages or flights.

use std::any::Any;
use std::convert::Infallible;
use std::sync::Arc;

/// What a value must be to be cached: cloned for each caller, and free to travel between threads.
///
/// Implemented for every type that qualifies; there is nothing to write.
#[diagnostic::on_unimplemented(
    message = "a result of type `{Self}` cannot be cached",
    label = "this type is not `Clone + Send + Sync + 'static`",
    note = "every hit hands out a clone, in any thread: derive `Clone`, or return `Arc<{Self}>`"
)]
pub trait Value: Clone + Send + Sync + 'static {}
#[diagnostic::do_not_recommend]
impl<V: Clone + Send + Sync + 'static> Value for V {}

/// A rest (an `Err`) on its way from the leader of a flight to those who wait for it.
pub(crate) type SharedRest = Arc<dyn Any + Send + Sync>;

/// The return type of a body, seen through the marker `M`.
pub trait Outcome<M>: Sized {
    /// What is stored and cloned for every caller.
    type Value: Value;
    /// What a body returns instead of a value: an `Err`, a `None`; never stored.
    type Rest;

    /// The value to store, or the rest.
    fn split(self) -> Result<Self::Value, Self::Rest>;
    /// What a hit returns.
    fn from_value(value: Self::Value) -> Self;
    /// What a caller gets when there is no value.
    fn from_rest(rest: Self::Rest) -> Self;
    /// A copy for those who wait; `None` sends them to their own bodies.
    fn share(rest: &Self::Rest) -> Option<SharedRest>;
    /// One waiter's own copy; `None` if the leader's rest was of another type.
    fn unshare(shared: &SharedRest) -> Option<Self::Rest>;
}

/// Marker: the whole returned value is stored, whatever it is.
#[derive(Debug, Clone, Copy)]
pub struct Whole;
/// Marker: `Ok` is stored, and an `Err` is shared with those who wait.
#[derive(Debug, Clone, Copy)]
pub struct OkShared;
/// Marker: `Ok` is stored; the `Err` cannot be cloned or sent, so those who wait run their own
/// bodies.
#[derive(Debug, Clone, Copy)]
pub struct OkPrivate;
/// Marker: `Some` is stored, and a `None` is shared with those who wait.
#[derive(Debug, Clone, Copy)]
pub struct SomeOnly;

impl<V: Value> Outcome<Whole> for V {
    type Value = V;
    type Rest = Infallible;

    #[inline]
    fn split(self) -> Result<V, Infallible> {
        Ok(self)
    }
    #[inline]
    fn from_value(value: V) -> Self {
        value
    }
    fn from_rest(rest: Infallible) -> Self {
        match rest {}
    }
    fn share(rest: &Infallible) -> Option<SharedRest> {
        match *rest {}
    }
    fn unshare(_: &SharedRest) -> Option<Infallible> {
        None
    }
}

impl<T: Value, E: Clone + Send + Sync + 'static> Outcome<OkShared> for Result<T, E> {
    type Value = T;
    type Rest = E;

    #[inline]
    fn split(self) -> Result<T, E> {
        self
    }
    #[inline]
    fn from_value(value: T) -> Self {
        Ok(value)
    }
    fn from_rest(rest: E) -> Self {
        Err(rest)
    }
    fn share(rest: &E) -> Option<SharedRest> {
        Some(Arc::new(rest.clone()))
    }
    fn unshare(shared: &SharedRest) -> Option<E> {
        shared.downcast_ref::<E>().cloned()
    }
}

impl<T: Value, E> Outcome<OkPrivate> for Result<T, E> {
    type Value = T;
    type Rest = E;

    #[inline]
    fn split(self) -> Result<T, E> {
        self
    }
    #[inline]
    fn from_value(value: T) -> Self {
        Ok(value)
    }
    fn from_rest(rest: E) -> Self {
        Err(rest)
    }
    fn share(_: &E) -> Option<SharedRest> {
        None
    }
    fn unshare(_: &SharedRest) -> Option<E> {
        None
    }
}

impl<T: Value> Outcome<SomeOnly> for Option<T> {
    type Value = T;
    type Rest = ();

    #[inline]
    fn split(self) -> Result<T, ()> {
        self.ok_or(())
    }
    #[inline]
    fn from_value(value: T) -> Self {
        Some(value)
    }
    fn from_rest((): ()) -> Self {
        None
    }
    fn share((): &()) -> Option<SharedRest> {
        Some(Arc::new(()))
    }
    fn unshare(shared: &SharedRest) -> Option<()> {
        shared.downcast_ref::<()>().copied()
    }
}
