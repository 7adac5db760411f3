//! Where the cache of a function lives: a static, filled at the first call, one entry for each
//! instantiation of a generic function.
//!
//! Called by generated code. Must not know what a hit or a miss is.

use std::any::TypeId;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use super::{Words, erased::List, probe::Token};
use crate::key::NearKey;
use crate::outcome::{Outcome, Value};
use crate::{Cache, IntoTier, Receipt, Stats};

/// Whatever tells the type of a function's keys.
pub trait TellsKey {
    /// The type.
    type Key: NearKey;
}

impl<Q: super::arg::Parts> TellsKey for &Q {
    type Key = Q::Key;
}

/// Where there are no arguments: a closure that would make a key of them, and is never called.
#[derive(Debug)]
pub struct ByArguments<A, K>(PhantomData<fn(A) -> K>);

impl<A, K: NearKey> ByArguments<A, K> {
    /// Looks at the closure's type.
    pub fn of(_: impl FnOnce(A) -> super::method::Keyed<K>) -> Self {
        Self(PhantomData)
    }
}

impl<A, K: NearKey> TellsKey for ByArguments<A, K> {
    type Key = K;
}

/// What can be asked of a cache without knowing its types.
pub(crate) trait AnyCache: Send + Sync {
    fn clear_all(&self) -> Receipt;
    fn figures(&self) -> Stats;
}

impl<K: NearKey, V: Value> AnyCache for Cache<K, V> {
    fn clear_all(&self) -> Receipt {
        self.clear()
    }
    fn figures(&self) -> Stats {
        self.stats()
    }
}

/// The caches of one function.
#[derive(Debug)]
pub struct Slots {
    list: List,
    /// Held while a cache is opened: its expressions are evaluated once, whoever comes first, and
    /// the list has one writer.
    opening: Mutex<()>,
}

/// An instantiation, as a type: it is told apart by its `TypeId`, lifetimes erased.
#[derive(Debug)]
pub struct Instance<I: ?Sized>(PhantomData<fn(PhantomData<I>)>);

impl<I: ?Sized> Clone for Instance<I> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I: ?Sized> Copy for Instance<I> {}

/// The instantiation named by a type.
#[inline]
#[must_use]
pub const fn instance<I: ?Sized>() -> Instance<I> {
    Instance(PhantomData)
}

/// The instantiation a closure was made in: its type carries every parameter in scope.
#[inline]
pub fn instance_of<C: Fn()>(_: &C) -> Instance<C> {
    Instance(PhantomData)
}

impl<I: ?Sized> Instance<I> {
    /// The same, told apart by the type of an `impl Trait` argument as well.
    #[inline]
    #[must_use]
    pub fn and<A: ?Sized>(self, _: &A) -> Instance<(Instance<I>, Instance<A>)> {
        Instance(PhantomData)
    }
}

thread_local! {
    /// The slots whose expressions this thread evaluates now, by address.
    static OPENING: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Forgets that a slot is being opened, also when its expression panics.
struct Opening;

impl Drop for Opening {
    fn drop(&mut self) {
        OPENING.with_borrow_mut(|open| open.pop());
    }
}

impl Default for Slots {
    fn default() -> Self {
        Self::new()
    }
}

impl Slots {
    /// Nothing is opened yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { list: List::new(), opening: Mutex::new(()) }
    }

    /// The cache of one instantiation; opened now, from `words`, if this is its first call.
    ///
    /// `by` and `token` are asked for their types only. `opened` is told of a new cache.
    #[inline]
    pub fn get<I, B, O, M, S, T>(
        &'static self,
        _: Instance<I>,
        _by: B,
        _token: Token<O, M>,
        words: impl FnOnce() -> Words<S, O::Value>,
        opened: impl FnOnce(&'static Cache<B::Key, O::Value>),
    ) -> &'static Cache<B::Key, O::Value>
    where
        I: ?Sized,
        B: TellsKey,
        O: Outcome<M>,
        S: IntoTier<B::Key, O::Value, T>,
    {
        let id = id_of::<I, Cache<B::Key, O::Value>>();
        match self.list.find(id) {
            Some(cache) => cache,
            None => {
                let instance = std::any::type_name::<I>();
                self.open(id, words, opened, hides_an_outcome::<O, M>(), instance)
            }
        }
    }

    /// The cache of one instantiation, if it is the one that was opened last: as it is for
    /// functions without parameters.
    #[inline]
    pub fn last<I, B, O, M>(
        &'static self,
        _: Instance<I>,
        _by: B,
        _token: Token<O, M>,
    ) -> Option<&'static Cache<B::Key, O::Value>>
    where
        I: ?Sized,
        B: TellsKey,
        O: Outcome<M>,
    {
        self.list.last(id_of::<I, Cache<B::Key, O::Value>>())
    }

    #[cold]
    #[inline(never)]
    fn open<K, V, S, T>(
        &'static self,
        id: Id<Cache<K, V>>,
        words: impl FnOnce() -> Words<S, V>,
        opened: impl FnOnce(&'static Cache<K, V>),
        hides: Option<&'static str>,
        instance: &'static str,
    ) -> &'static Cache<K, V>
    where
        K: NearKey,
        V: Value,
        S: IntoTier<K, V, T>,
    {
        let words = words();
        if let (Some(hidden), false) = (hides, words.whole) {
            panic!(
                "`{}` returns a type parameter that stands for `{hidden}` here, which its \
                 attribute could not see: errors would be stored. Write `cache_err` to store them, \
                 or name the type in the signature",
                words.name
            );
        }
        let address = std::ptr::from_ref(self).addr();
        let again = OPENING.with_borrow_mut(|open| {
            let again = open.contains(&address);
            open.push(address);
            again
        });
        let _opening = Opening;
        assert!(!again, "the storage expression of `{}` calls that function itself", words.name);
        let _guard = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cache) = self.list.find(id) {
            return cache;
        }
        let (identity, is_named) = (words.identity(instance), words.is_named);
        let cache = words.open(instance);
        if cache.has_far() {
            claim(identity, is_named, (address, id.get()));
        }
        self.list.push(id, cache, opened)
    }

    /// Empties every cache that was opened.
    pub fn clear(&'static self) -> Receipt {
        self.list.iter().fold(Receipt::ready(), |done, cache| done.and(cache.clear_all()))
    }

    /// The figures of every cache that was opened, added up.
    pub fn stats(&'static self) -> Stats {
        self.list.iter().fold(Stats::default(), |sum, cache| sum + cache.figures())
    }
}

/// Notes whose an identity is. Entries far away are found by it, so two functions, or two
/// instantiations of one, must not share one. (Two functions that were given one name mean to.)
///
/// # Panics
///
/// If it is another one's, or could be in another process: closures have no names of their own.
fn claim(identity: String, is_named: bool, owner: (usize, TypeId)) {
    let arguments = identity.find('<').map_or("", |at| &identity[at..]);
    assert!(
        !arguments.contains("{{closure}}"),
        "`{identity}` is instantiated with a closure, which has no name by which its entries could \
         be found in a storage outside of the process: use a `fn`, or a type that has a name"
    );
    static OWNERS: Mutex<BTreeMap<String, (usize, TypeId)>> = Mutex::new(BTreeMap::new());
    let key = if is_named { format!("{identity}@{}", owner.0) } else { identity.clone() };
    let mut owners = OWNERS.lock().unwrap_or_else(PoisonError::into_inner);
    let known = *owners.entry(key).or_insert(owner);
    drop(owners);
    assert!(
        known == owner,
        "two functions, or two types that one is instantiated with, go by `{identity}`, by which \
         their entries would be found in a storage outside of the process: give one of the \
         functions a name, with the word `name = \"..\"`, or one of the types another one"
    );
}

/// The identity of a cache `C` in a list: its instantiation and, so that a look-up can give back a
/// `&C`, its own type. Made by [`id_of`] alone.
pub(crate) struct Id<C>(TypeId, PhantomData<fn() -> C>);

impl<C> Clone for Id<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Id<C> {}

impl<C> Id<C> {
    #[inline]
    pub(crate) fn get(self) -> TypeId {
        self.0
    }
}

/// The type that a whole value turns out to be, if only a part of it should have been stored: the
/// return type is a parameter, and what it stands for is known here for the first time.
fn hides_an_outcome<O, M>() -> Option<&'static str> {
    let name = std::any::type_name::<O>();
    let partial = ["core::result::Result<", "core::option::Option<"];
    let whole = typeid::of::<M>() == TypeId::of::<crate::outcome::Whole>();
    (whole && partial.iter().any(|outcome| name.starts_with(outcome))).then_some(name)
}

#[inline]
fn id_of<I: ?Sized, C: 'static>() -> Id<C> {
    Id(typeid::of::<(Instance<I>, C)>(), PhantomData)
}

#[cfg(test)]
#[allow(clippy::extra_unused_type_parameters)] // What the test is about.
mod tests {
    use super::*;

    fn by_closure<T, const N: usize>() -> TypeId {
        fn of<C: Fn()>(_: Instance<C>) -> TypeId {
            typeid::of::<C>()
        }
        of(instance_of(&|| ()))
    }

    struct S<T>(T);
    impl<T> S<T> {
        fn id(&self) -> TypeId {
            fn of<C: Fn()>(_: Instance<C>) -> TypeId {
                typeid::of::<C>()
            }
            of(instance_of(&|| ()))
        }
    }

    #[test]
    fn a_closure_carries_every_parameter_in_scope() {
        assert_eq!(by_closure::<u8, 1>(), by_closure::<u8, 1>());
        assert_ne!(by_closure::<u8, 1>(), by_closure::<u16, 1>());
        assert_ne!(by_closure::<u8, 1>(), by_closure::<u8, 2>());
        assert_ne!(S(1_u8).id(), S(1_u16).id());
        let text = String::from("x");
        assert_eq!(S("static").id(), S(text.as_str()).id());
    }
}
