//! How an argument becomes a part of a key: viewed by reference on a hit, owned on a miss.
//!
//! Called by generated code, which strips the `&`s of an argument's type and chains one part per
//! argument into a [`Cons`] list. Must not know what is done with the key.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use super::bits::Bits;
use crate::key::{self, Query};

/// Marker: compared by the type's own `Eq`.
#[derive(Debug, Clone, Copy)]
pub struct ByEq;
/// Marker: floats, compared by their bits.
#[derive(Debug, Clone, Copy)]
pub struct ByBits;

/// A type that can be a part of a key; the marker `M` is always inferred.
///
/// `T: Hash + Eq` and `T: Bits` never hold together, so exactly one of the two impls applies.
pub trait Arg<M>: 'static {
    /// What the key stores.
    type Owned: Clone + Send + Sync + 'static;

    /// Feeds this part to `state`.
    fn hash_arg<H: Hasher>(&self, state: &mut H);
    /// Whether two parts are the same.
    fn same(&self, other: &Self) -> bool;
    /// A copy for the key.
    fn own(&self) -> Self::Owned;
    /// The stored part as a view again.
    fn view(owned: &Self::Owned) -> &Self;
}

#[diagnostic::do_not_recommend]
impl<T> Arg<ByEq> for T
where
    T: ?Sized + Hash + Eq + ToOwned + 'static,
    T::Owned: Clone + Send + Sync + 'static,
{
    type Owned = T::Owned;

    #[inline]
    fn hash_arg<H: Hasher>(&self, state: &mut H) {
        self.hash(state);
    }
    #[inline]
    fn same(&self, other: &Self) -> bool {
        self == other
    }
    #[inline]
    fn own(&self) -> T::Owned {
        self.to_owned()
    }
    #[inline]
    fn view(owned: &T::Owned) -> &T {
        owned.borrow()
    }
}

#[diagnostic::do_not_recommend]
impl<T> Arg<ByBits> for T
where
    T: ?Sized + Bits + ToOwned + 'static,
    T::Owned: Clone + Send + Sync + 'static,
{
    type Owned = T::Owned;

    #[inline]
    fn hash_arg<H: Hasher>(&self, state: &mut H) {
        self.hash_bits(state);
    }
    #[inline]
    fn same(&self, other: &Self) -> bool {
        self.same_bits(other)
    }
    #[inline]
    fn own(&self) -> T::Owned {
        self.to_owned()
    }
    #[inline]
    fn view(owned: &T::Owned) -> &T {
        owned.borrow()
    }
}

/// A part of a stored key.
pub struct Stored<A: ?Sized + Arg<M>, M>(A::Owned);

#[cfg(feature = "far")]
impl<A: ?Sized + Arg<M>, M> Stored<A, M> {
    #[inline]
    pub(super) fn owned(&self) -> &A::Owned {
        &self.0
    }
}

impl<A: ?Sized + Arg<M>, M> Clone for Stored<A, M> {
    #[inline]
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: ?Sized + Arg<M>, M> PartialEq for Stored<A, M> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        A::view(&self.0).same(A::view(&other.0))
    }
}

impl<A: ?Sized + Arg<M>, M> Eq for Stored<A, M> {}

impl<A: ?Sized + Arg<M>, M> Hash for Stored<A, M> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        A::view(&self.0).hash_arg(state);
    }
}

impl<A: ?Sized + Arg<M>, M> fmt::Debug for Stored<A, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::any::type_name::<A>())
    }
}

/// One part of a query.
pub trait Part {
    /// The same part in a stored key.
    type Stored: Hash + Eq + Clone + Send + Sync + 'static;

    /// Feeds the part to `state`.
    fn hash_part<H: Hasher>(&self, state: &mut H);
    /// Whether `stored` is this part.
    fn is(&self, stored: &Self::Stored) -> bool;
    /// The part, owned.
    fn store(&self) -> Self::Stored;
    /// Whether comparing and cloning it runs no foreign code.
    fn is_plain() -> bool;
}

/// A borrowed argument.
pub struct View<'a, A: ?Sized, M>(&'a A, PhantomData<fn() -> M>);

impl<'a, A: ?Sized + Arg<M>, M> View<'a, A, M> {
    /// Looks at `arg`.
    #[inline]
    pub fn new(arg: &'a A) -> Self {
        Self(arg, PhantomData)
    }
}

impl<A: ?Sized + Arg<M>, M: Send + Sync + 'static> Part for View<'_, A, M> {
    type Stored = Stored<A, M>;

    #[inline]
    fn hash_part<H: Hasher>(&self, state: &mut H) {
        self.0.hash_arg(state);
    }
    #[inline]
    fn is(&self, stored: &Self::Stored) -> bool {
        self.0.same(A::view(&stored.0))
    }
    #[inline]
    fn store(&self) -> Self::Stored {
        Stored(self.0.own())
    }
    #[inline]
    fn is_plain() -> bool {
        key::is_plain::<A::Owned>() && key::is_plain_view::<A, A::Owned>()
    }
}

/// An argument `Option<&A>`.
pub struct ViewOption<'a, A: ?Sized, M>(Option<&'a A>, PhantomData<fn() -> M>);

impl<'a, A: ?Sized + Arg<M>, M> ViewOption<'a, A, M> {
    /// Looks at `arg`.
    #[inline]
    pub fn new(arg: Option<&'a A>) -> Self {
        Self(arg, PhantomData)
    }
}

impl<A: ?Sized + Arg<M>, M: Send + Sync + 'static> Part for ViewOption<'_, A, M> {
    type Stored = Option<Stored<A, M>>;

    #[inline]
    fn hash_part<H: Hasher>(&self, state: &mut H) {
        // As the derived `Hash` of the stored `Option` does it.
        std::mem::discriminant(&self.0.map(|_| ())).hash(state);
        if let Some(arg) = self.0 {
            arg.hash_arg(state);
        }
    }
    #[inline]
    fn is(&self, stored: &Self::Stored) -> bool {
        match (self.0, stored) {
            (Some(arg), Some(stored)) => arg.same(A::view(&stored.0)),
            (None, None) => true,
            _ => false,
        }
    }
    #[inline]
    fn store(&self) -> Self::Stored {
        self.0.map(|arg| Stored(arg.own()))
    }
    #[inline]
    fn is_plain() -> bool {
        key::is_plain::<A::Owned>() && key::is_plain_view::<A, A::Owned>()
    }
}

/// An argument `&[&A]`.
pub struct ViewSlice<'a, A: ?Sized, M>(&'a [&'a A], PhantomData<fn() -> M>);

impl<'a, A: ?Sized + Arg<M>, M> ViewSlice<'a, A, M> {
    /// Looks at `arg`.
    #[inline]
    pub fn new(arg: &'a [&'a A]) -> Self {
        Self(arg, PhantomData)
    }
}

impl<A: ?Sized + Arg<M>, M: Send + Sync + 'static> Part for ViewSlice<'_, A, M> {
    type Stored = Vec<Stored<A, M>>;

    #[inline]
    fn hash_part<H: Hasher>(&self, state: &mut H) {
        // As a slice of the stored parts does it: the length first, so that no two slices merge.
        self.0.len().hash(state);
        for arg in self.0 {
            arg.hash_arg(state);
        }
    }
    #[inline]
    fn is(&self, stored: &Self::Stored) -> bool {
        self.0.len() == stored.len()
            && self.0.iter().zip(stored).all(|(arg, stored)| arg.same(A::view(&stored.0)))
    }
    #[inline]
    fn store(&self) -> Self::Stored {
        self.0.iter().map(|arg| Stored(arg.own())).collect()
    }
    #[inline]
    fn is_plain() -> bool {
        key::is_plain::<A::Owned>() && key::is_plain_view::<A, A::Owned>()
    }
}

/// The end of a list of parts, in a query as in a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Nil;

/// A part and those after it, in a query as in a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cons<P, R>(pub P, pub R);

/// A list of parts, with the key that it stands for.
pub trait Parts: Query<Self::Key> {
    /// The stored key.
    type Key: key::NearKey + Hash;
}

impl Parts for Nil {
    type Key = Nil;
}

impl<P: Part, R: Parts> Parts for Cons<P, R> {
    type Key = Cons<P::Stored, R::Key>;
}

impl Query<Nil> for Nil {
    #[inline]
    fn hash_into<H: Hasher>(&self, _: &mut H) {}
    #[inline]
    fn matches(&self, _: &Nil) -> bool {
        true
    }
    #[inline]
    fn to_key(&self) -> Nil {
        Nil
    }
    #[inline]
    fn is_plain() -> bool {
        true
    }
}

impl<P: Part, R: Parts> Query<Cons<P::Stored, R::Key>> for Cons<P, R> {
    #[inline]
    fn hash_into<H: Hasher>(&self, state: &mut H) {
        self.0.hash_part(state);
        self.1.hash_into(state);
    }
    #[inline]
    fn matches(&self, key: &Cons<P::Stored, R::Key>) -> bool {
        self.0.is(&key.0) && self.1.matches(&key.1)
    }
    #[inline]
    fn to_key(&self) -> Cons<P::Stored, R::Key> {
        Cons(self.0.store(), self.1.to_key())
    }
    #[inline]
    fn is_plain() -> bool {
        P::is_plain() && R::is_plain()
    }
}

/// A value of the word `key`: a reference is looked through, anything else looked at.
///
/// Generated code calls `gecaso_peel`; the inherent one wins where it applies.
#[derive(Debug)]
pub struct Peel<T>(pub T);

impl<'a, T: ?Sized> Peel<&'a T> {
    /// The referent.
    #[inline]
    pub fn gecaso_peel(&self) -> &'a T {
        self.0
    }
}

/// The second choice of [`Peel`].
pub trait PeelValue {
    /// The value's type.
    type Value;
    /// The value.
    fn gecaso_peel(&self) -> &Self::Value;
}

impl<T> PeelValue for Peel<T> {
    type Value = T;
    #[inline]
    fn gecaso_peel(&self) -> &T {
        &self.0
    }
}

/// An argument, to be asked for its part: `(&&&Look(arg)).gecaso_part()`.
///
/// Method resolution takes the first of [`LookByEq`], [`LookByBits`] and [`LookInVain`] that
/// applies. The last one lets a function type-check whose argument was refused, so that the refusal
/// (a check of its own, in the expansion) is the only error.
#[derive(Debug)]
pub struct Look<'a, A: ?Sized>(pub &'a A);
/// The same for an `Option<&A>`.
#[derive(Debug)]
pub struct LookOption<'a, A: ?Sized>(pub Option<&'a A>);
/// The same for a `&[&A]`.
#[derive(Debug)]
pub struct LookSlice<'a, A: ?Sized>(pub &'a [&'a A]);

/// First choice: a type that is `Eq`.
pub trait LookByEq {
    /// The part.
    type Part: Part;
    /// Makes the part.
    fn gecaso_part(&self) -> Self::Part;
}

/// Second choice: floats.
pub trait LookByBits {
    /// The part.
    type Part: Part;
    /// Makes the part.
    fn gecaso_part(&self) -> Self::Part;
}

/// Last choice: there is no part; never reached by a program that compiles.
pub trait LookInVain {
    /// Makes none.
    fn gecaso_part(&self) -> Refused {
        Refused
    }
}

macro_rules! look {
    ($($look:ident $view:ident),*) => { $(
        impl<'a, A: ?Sized + Arg<ByEq>> LookByEq for &&$look<'a, A> {
            type Part = $view<'a, A, ByEq>;
            #[inline]
            fn gecaso_part(&self) -> Self::Part {
                $view::new(self.0)
            }
        }
        impl<'a, A: ?Sized + Arg<ByBits>> LookByBits for &$look<'a, A> {
            type Part = $view<'a, A, ByBits>;
            #[inline]
            fn gecaso_part(&self) -> Self::Part {
                $view::new(self.0)
            }
        }
        impl<A: ?Sized> LookInVain for $look<'_, A> {}
    )* };
}
look!(Look View, LookOption ViewOption, LookSlice ViewSlice);

/// The part of an argument that was refused.
#[derive(Debug)]
pub struct Refused;

impl Part for Refused {
    type Stored = ();

    fn hash_part<H: Hasher>(&self, _: &mut H) {
        unreachable!("the compiler refused this argument")
    }
    fn is(&self, (): &()) -> bool {
        unreachable!("the compiler refused this argument")
    }
    fn store(&self) {
        unreachable!("the compiler refused this argument")
    }
    fn is_plain() -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::{Cons, Nil, Parts, View, ViewOption, ViewSlice};
    use crate::key::Query;
    use std::hash::{DefaultHasher, Hash, Hasher};

    fn agrees<Q: Parts>(query: Q) {
        let key = query.to_key();
        let (mut a, mut b) = (DefaultHasher::new(), DefaultHasher::new());
        query.hash_into(&mut a);
        key.hash(&mut b);
        assert_eq!(a.finish(), b.finish());
        assert!(query.matches(&key));
    }

    #[test]
    fn a_query_and_its_key_hash_alike() {
        agrees(Cons(View::new("a"), Cons(View::new(&1.5_f64), Nil)));
        agrees(Cons(ViewOption::new(Some("a")), Cons(ViewOption::new(None::<&str>), Nil)));
        agrees(Cons(ViewSlice::new(&["a", "b"]), Cons(View::new(&[1.0_f32][..]), Nil)));
    }

    #[test]
    fn moving_a_boundary_between_parts_makes_another_key() {
        let key = Cons(ViewSlice::new(&["ab", ""]), Nil).to_key();
        assert!(!Cons(ViewSlice::new(&["a", "b"]), Nil).matches(&key));
        assert!(!Cons(ViewSlice::new(&["ab"]), Nil).matches(&key));
        let some = Cons(ViewOption::new(Some("")), Nil);
        let none = Cons(ViewOption::new(None::<&str>), Nil);
        assert!(!some.matches(&none.to_key()) && !none.matches(&some.to_key()));
    }
}
