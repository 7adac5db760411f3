//! In the place of `far` where far storages are left out: there are none, and the compiler knows,
//! so that the path of a call is written once.

use crate::error::Error;
use crate::receipt::Receipt;
use crate::reentry::Chain;
use std::convert::Infallible;
use std::marker::PhantomData;
use std::time::Duration;

/// What a cache would say of itself.
#[derive(Debug, Clone, Default)]
pub struct FarWords;

/// Nothing has it: the words that need it are refused by the compiler.
#[diagnostic::on_unimplemented(
    message = "this word is for storages outside of the process, which need gecaso's feature `far`",
    label = "gecaso was built without its feature `far`"
)]
pub trait NeedsFar {}

impl FarWords {
    /// Refused.
    #[must_use]
    pub fn param<T: NeedsFar>(self, _: &str, _: T) -> Self {
        self
    }

    /// Refused.
    #[must_use]
    pub fn hash_key<T: NeedsFar>(self, _: T) -> Self {
        self
    }

    /// Refused.
    #[must_use]
    pub fn deadline<T: NeedsFar>(self, _: T) -> Self {
        self
    }
}

pub(crate) struct Plan<K, V>(Infallible, PhantomData<(K, V)>);
pub(crate) struct FarTier<K, V>(Infallible, PhantomData<fn(K, V)>);
pub(crate) struct Visit<'a, K, V>(Infallible, PhantomData<&'a FarTier<K, V>>);
pub(crate) struct Sealed(Infallible);
pub(crate) struct Leftover(Infallible);
pub(crate) struct Change(Infallible);

#[derive(Clone, Copy)]
pub(crate) enum Mode {
    Here,
    Apart,
}

#[allow(dead_code)] // nobody fetches
pub(crate) enum Fetched<V> {
    Found(V),
    Nothing,
    Failed(Error),
}

impl<K, V> Plan<K, V> {
    pub(crate) fn open(self, _: &str, _: u32, _: Option<Duration>, _: FarWords) -> FarTier<K, V> {
        match self.0 {}
    }
}

impl<K, V> FarTier<K, V> {
    pub(crate) fn visit(&self, _: &K, _: Option<Chain>) -> Visit<'_, K, V> {
        match self.0 {}
    }
    pub(crate) fn clear(&self) -> Change {
        match self.0 {}
    }
}

impl<K, V> Visit<'_, K, V> {
    #[allow(clippy::unused_async)]
    pub(crate) async fn prepare(&mut self, _: Mode) {
        match self.0 {}
    }
    #[allow(clippy::unused_async)]
    pub(crate) async fn find(&mut self, _: Mode) -> Fetched<V> {
        match self.0 {}
    }
    pub(crate) fn begin(&mut self) {
        match self.0 {}
    }
    pub(crate) fn seal(&self, _: &V, _: Option<Duration>) -> Result<Sealed, Error> {
        match self.0 {}
    }
    pub(crate) fn queue(&self, _: Option<&Sealed>) -> Option<Leftover> {
        match self.0 {}
    }
    pub(crate) fn change(&self, _: Option<&Sealed>) -> Option<Change> {
        match self.0 {}
    }
}

impl Leftover {
    #[allow(clippy::unused_async)]
    pub(crate) async fn write(self) {
        match self.0 {}
    }
}

impl Change {
    pub(crate) fn tell(self) -> Receipt {
        match self.0 {}
    }
}
