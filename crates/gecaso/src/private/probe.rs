//! Which marker a return type gets: told by type, so that aliases of `Result` and `Option` count.
//!
//! Called by generated code as `(&&&&Probe::<R>::NEW).gecaso_token()`: method resolution takes the
//! candidate that needs the fewest references, so the order of the impls below is their rank.
//! Must not know what the markers do.

use std::marker::PhantomData;

use crate::outcome::{OkPrivate, OkShared, Outcome, SharedRest, SomeOnly, Value, Whole};

/// Carries the return type through method resolution.
#[derive(Debug)]
pub struct Probe<R>(PhantomData<fn() -> R>);

impl<R> Probe<R> {
    /// The only value.
    pub const NEW: Self = Self(PhantomData);
}

/// A return type with the marker that was found for it.
pub struct Token<R, M>(PhantomData<fn() -> (R, M)>);

impl<R, M> Token<R, M> {
    const NEW: Self = Self(PhantomData);
}

impl<R, M> Clone for Token<R, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R, M> Copy for Token<R, M> {}

impl<R, M> std::fmt::Debug for Token<R, M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

/// First choice: a `Result` whose error can be given to those who wait.
pub trait ResultShared {
    /// The return type.
    type Of;
    /// The marker, found.
    fn gecaso_token(&self) -> Token<Self::Of, OkShared> {
        Token::NEW
    }
}
impl<T: Value, E: Clone + Send + Sync + 'static> ResultShared for &&&Probe<Result<T, E>> {
    type Of = Result<T, E>;
}

/// Second choice: any other `Result`, and every `Option`.
pub trait Partial {
    /// The return type.
    type Of;
    /// The marker's type.
    type Marker;
    /// The marker, found.
    fn gecaso_token(&self) -> Token<Self::Of, Self::Marker> {
        Token::NEW
    }
}
impl<T: Value, E> Partial for &&Probe<Result<T, E>> {
    type Of = Result<T, E>;
    type Marker = OkPrivate;
}
impl<T: Value> Partial for &&Probe<Option<T>> {
    type Of = Option<T>;
    type Marker = SomeOnly;
}

/// Third choice, and first for `cache_err` and `cache_none`: the whole value.
pub trait Plain {
    /// The return type.
    type Of;
    /// The marker, found.
    fn gecaso_token(&self) -> Token<Self::Of, Whole> {
        Token::NEW
    }
    /// The marker, without looking at what the value is.
    fn gecaso_whole(&self) -> Token<Self::Of, Whole> {
        Token::NEW
    }
}
impl<R: Value> Plain for &Probe<R> {
    type Of = R;
}

/// Last choice: a type that cannot be cached; never reached by a program that compiles. The only
/// error is to be that of [`is_value`].
pub trait Vain {
    /// The return type.
    type Of;
    /// No marker.
    fn gecaso_token(&self) -> Token<Self::Of, Refused> {
        Token::NEW
    }
    /// No marker.
    fn gecaso_whole(&self) -> Token<Self::Of, Refused> {
        Token::NEW
    }
}
impl<R> Vain for Probe<R> {
    type Of = R;
}

/// Marker of a type that cannot be cached.
#[derive(Debug, Clone, Copy)]
pub struct Refused;

impl<R> Outcome<Refused> for R {
    type Value = ();
    type Rest = R;

    fn split(self) -> Result<(), R> {
        Err(self)
    }
    fn from_value((): ()) -> Self {
        unreachable!("the compiler refused this result")
    }
    fn from_rest(rest: R) -> Self {
        rest
    }
    fn share(_: &R) -> Option<SharedRest> {
        None
    }
    fn unshare(_: &SharedRest) -> Option<R> {
        None
    }
}

/// What would be stored of a return type, for [`is_value`].
pub trait StoredPartially {
    /// The type of the `Ok` or the `Some`.
    type Stored;
    /// Names it.
    fn gecaso_stored(&self) -> PhantomData<Self::Stored> {
        PhantomData
    }
}
impl<T, E> StoredPartially for &Probe<Result<T, E>> {
    type Stored = T;
}
impl<T> StoredPartially for &Probe<Option<T>> {
    type Stored = T;
}

/// The same for all other types.
pub trait StoredAsAWhole {
    /// The type.
    type Stored;
    /// Names it.
    fn gecaso_stored(&self) -> PhantomData<Self::Stored> {
        PhantomData
    }
}
impl<R> StoredAsAWhole for Probe<R> {
    type Stored = R;
}

impl<T, E> Probe<Result<T, E>> {
    /// Whether only a part of the type is stored; see [`WholeElse`] for all other types.
    pub const IS_PARTIAL: bool = true;
}
impl<T> Probe<Option<T>> {
    /// As above.
    pub const IS_PARTIAL: bool = true;
}

/// The same for all other types: an inherent constant is found before that of a trait.
pub trait WholeElse {
    /// Whether only a part of the type is stored.
    const IS_PARTIAL: bool = false;
}
impl<R> WholeElse for Probe<R> {}

/// A type of which a part is stored.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no `Result` and no `Option`, although its name ends like that",
    note = "what is stored of it cannot be told in a generic signature: use `peek`"
)]
pub trait Partly {
    /// That of the `Ok` or the `Some`.
    type Stored: 'static;
}
impl<T: 'static, E> Partly for Result<T, E> {
    type Stored = T;
}
impl<T: 'static> Partly for Option<T> {
    type Stored = T;
}

/// A return type and its [`IS_PARTIAL`](WholeElse::IS_PARTIAL), for [`Shown`].
#[derive(Debug)]
pub struct Seen<R, const IS_PARTIAL: bool>(PhantomData<fn() -> R>);

/// What is stored of a return type, for signatures: in a type no method can be resolved, but a
/// constant can.
pub trait Shown {
    /// The type.
    type Stored;
}
impl<R> Shown for Seen<R, false> {
    type Stored = R;
}
impl<R: Partly> Shown for Seen<R, true> {
    type Stored = R::Stored;
}

/// Asks for a type that can be cached: the one place whose error a user is to see.
pub fn is_value<T: Value>(_: PhantomData<T>) {}

#[cfg(test)]
#[allow(clippy::needless_borrow)] // The expansion cannot know how many it needs.
mod tests {
    use super::{Partial as _, Plain as _, Probe, ResultShared as _, Token};
    use crate::outcome::{OkPrivate, OkShared, SomeOnly, Whole};

    type Alias<T> = Result<T, String>;
    struct NotClone;

    #[test]
    fn the_type_decides_not_the_token() {
        let _: Token<Alias<u8>, OkShared> = (&&&&Probe::<Alias<u8>>::NEW).gecaso_token();
        let _: Token<Result<u8, NotClone>, OkPrivate> =
            (&&&&Probe::<Result<u8, NotClone>>::NEW).gecaso_token();
        let _: Token<Option<u8>, SomeOnly> = (&&&&Probe::<Option<u8>>::NEW).gecaso_token();
        let _: Token<Vec<u8>, Whole> = (&&&&Probe::<Vec<u8>>::NEW).gecaso_token();
        let _: Token<Option<u8>, Whole> = (&&Probe::<Option<u8>>::NEW).gecaso_whole();
    }
}
