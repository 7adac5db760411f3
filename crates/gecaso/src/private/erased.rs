//! The unsafe part: a list of caches of different types, and calls through erased argument types.
//!
//! Called by `slot` and `method` only. Must not know what the caches are for.

#![allow(unsafe_code)]

use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::slot::{AnyCache, Id};

/// What the nodes of a list have in common; the cache lies behind it in the same allocation.
struct Head {
    id: TypeId,
    /// The node pushed before this one, or null; never changed once the node is published.
    next: *const Head,
    any: unsafe fn(*const Head) -> &'static dyn AnyCache,
}

/// `repr(C)`: a pointer to the node is a pointer to its head.
#[repr(C)]
struct Node<C> {
    head: Head,
    cache: C,
}

/// Caches by id, the last one opened first. Nothing is ever removed or freed: it lives in statics.
/// Read without a lock; most functions have one cache, found at the first comparison.
pub(crate) struct List {
    first: AtomicPtr<Head>,
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("List")
    }
}

impl List {
    pub(crate) const fn new() -> Self {
        Self { first: AtomicPtr::new(ptr::null_mut()) }
    }

    /// The cache with this id.
    #[inline]
    pub(crate) fn find<C>(&'static self, id: Id<C>) -> Option<&'static C> {
        let mut at = self.first.load(Ordering::Acquire).cast_const();
        loop {
            // SAFETY: `at` is null or a node that `push` leaked: never freed, never borrowed
            // mutably. It is seen initialised: it is the first, which `push` published (release;
            // the load above acquires), or a `next`, which whoever pushed the node before it had
            // acquired just so, and published with that node.
            let head = unsafe { at.as_ref() }?;
            // SAFETY: as above.
            let cache = unsafe { Self::cache(at, id) };
            if cache.is_some() {
                return cache;
            }
            at = head.next;
        }
    }

    /// The same, if it was opened last.
    #[inline]
    pub(crate) fn last<C>(&'static self, id: Id<C>) -> Option<&'static C> {
        let at = self.first.load(Ordering::Acquire).cast_const();
        // SAFETY: null, or as in `find`.
        (!at.is_null()).then(|| unsafe { Self::cache(at, id) })?
    }

    /// The cache of a node, if it has this id.
    ///
    /// # Safety
    ///
    /// `at` points to the head of a node that `push` has leaked, and is seen initialised.
    #[inline]
    unsafe fn cache<C>(at: *const Head, id: Id<C>) -> Option<&'static C> {
        // SAFETY: equal ids mean equal `C`: `push` stored the id of an `Id<C>`, and an `Id<C>`
        // holds the `TypeId` of a tuple with `C` in it (`C: 'static`, so that no lifetime was
        // erased from it). So `at` points to the head of a `Node<C>`, which is `repr(C)` with the
        // head first, and the pointer came from the whole node (see `push`).
        unsafe { ((*at).id == id.get()).then(|| &(*at.cast::<Node<C>>()).cache) }
    }

    /// Puts a cache in front. The caller holds a lock over this and over its own look for the id:
    /// of two pushes at once one would be lost (and leaked), and an id may be there only once.
    /// `opened` is told of the cache before anybody can find it.
    pub(crate) fn push<C: AnyCache + 'static>(
        &'static self,
        id: Id<C>,
        cache: C,
        opened: impl FnOnce(&'static C),
    ) -> &'static C {
        /// # Safety
        ///
        /// `head` points to the head of a leaked `Node<C>`, with provenance of the whole node.
        unsafe fn any<C: AnyCache + 'static>(head: *const Head) -> &'static dyn AnyCache {
            // SAFETY: the contract above.
            unsafe { &(*head.cast::<Node<C>>()).cache }
        }
        // Acquire: see `find`. The lock would do, but nothing here should depend on it.
        let next = self.first.load(Ordering::Acquire).cast_const();
        let head = Head { id: id.get(), next, any: any::<C> };
        let node = Box::into_raw(Box::new(Node { head, cache }));
        // SAFETY: leaked just now, and only ever shared from here on.
        let cache: &'static C = unsafe { &(*node).cache };
        opened(cache);
        self.first.store(node.cast(), Ordering::Release);
        cache
    }

    /// Every cache.
    pub(crate) fn iter(&'static self) -> impl Iterator<Item = &'static dyn AnyCache> {
        let mut at = self.first.load(Ordering::Acquire).cast_const();
        std::iter::from_fn(move || {
            // SAFETY: as in `find`.
            let head = unsafe { at.as_ref() }?;
            // SAFETY: `head.any` was made by `push` for the type of this very node, and `at` is the
            // pointer that `push` published.
            let cache = unsafe { (head.any)(at) };
            at = head.next;
            Some(cache)
        })
    }
}

/// A function from arguments to a result `K`, the arguments' type erased.
pub(crate) struct KeyFn<K> {
    args: TypeId,
    /// Moves the arguments out of the pointee.
    call: unsafe fn(*const ()) -> K,
}

impl<K: 'static> KeyFn<K> {
    /// Erases `f`.
    ///
    /// # Safety
    ///
    /// `f` must accept `Args` whatever its lifetimes are: it is called with arguments that have
    /// the type `Args` up to lifetimes.
    pub(crate) unsafe fn new<Args, C: Fn(Args) -> K + Copy>(_: C) -> Self {
        const { assert!(size_of::<C>() == 0, "the key of a call must come from its arguments") };
        /// # Safety
        ///
        /// `args` points to an `Args` that the caller gives away, and a `C` exists.
        unsafe fn call<Args, C: Fn(Args) -> K + Copy, K>(args: *const ()) -> K {
            // SAFETY: a `C` without size needs no memory, a dangling pointer is aligned, and one
            // was given to `new`; as `C: Copy`, there may be another.
            let f = unsafe { ptr::NonNull::<C>::dangling().as_ref() };
            // SAFETY: the contract above.
            f(unsafe { args.cast::<Args>().read() })
        }
        Self { args: typeid::of::<Args>(), call: call::<Args, C, K> }
    }

    /// The result for `args`; `None` if they are of another type.
    pub(crate) fn call(&self, args: Given<'_>) -> Option<K> {
        (args.id == self.args).then(|| {
            args.taken.set(true);
            // SAFETY: the ids are equal, so the pointee is an `Args` up to its lifetimes, which
            // `new` was promised not to matter. It is given away: `Given` is consumed here, and
            // whoever made it sees `taken`.
            unsafe { (self.call)(args.pointer) }
        })
    }
}

/// Arguments on their way to a [`KeyFn`], their type erased.
pub(crate) struct Given<'a> {
    id: TypeId,
    pointer: *const (),
    taken: &'a std::cell::Cell<bool>,
    lifetime: PhantomData<&'a ()>,
}

/// Hands `args` to `f`, erased; drops them if nobody took them.
pub(crate) fn give<Args, R>(args: Args, f: impl FnOnce(Given<'_>) -> R) -> R {
    struct Rest<Args>(ManuallyDrop<Args>, std::cell::Cell<bool>);
    impl<Args> Drop for Rest<Args> {
        fn drop(&mut self) {
            if !self.1.get() {
                // SAFETY: not taken, so still there; dropped once, here.
                unsafe { ManuallyDrop::drop(&mut self.0) };
            }
        }
    }
    let rest = Rest(ManuallyDrop::new(args), std::cell::Cell::new(false));
    f(Given {
        id: typeid::of::<Args>(),
        pointer: ptr::from_ref(&rest.0).cast(),
        taken: &rest.1,
        lifetime: PhantomData,
    })
}

/// A place for an `Option<R>`, its type erased: how a returned value crosses the registry.
pub(crate) struct Place<'a> {
    id: TypeId,
    pointer: *mut (),
    lifetime: PhantomData<&'a mut ()>,
}

impl<'a> Place<'a> {
    pub(crate) fn new<R>(value: &'a mut Option<R>) -> Self {
        Self { id: typeid::of::<R>(), pointer: ptr::from_mut(value).cast(), lifetime: PhantomData }
    }

    /// The place as one for `R`; `None` if it is for another type.
    ///
    /// # Safety
    ///
    /// The caller must not rely on lifetimes in `R`: they may be others than those of the place.
    pub(crate) unsafe fn of<R>(self) -> Option<&'a mut Option<R>> {
        // SAFETY: made from a `&'a mut Option<R>` up to lifetimes in `R`, as the ids are equal, and
        // the caller does not rely on those.
        (self.id == typeid::of::<R>()).then(|| unsafe { &mut *self.pointer.cast::<Option<R>>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn arguments_are_taken_or_dropped_but_never_both() {
        let witness = Arc::new(());
        // SAFETY: the closure does not care for lifetimes: there are none.
        let key =
            unsafe { KeyFn::new(|(witness, n): (Arc<()>, u8)| (Arc::strong_count(&witness), n)) };
        assert_eq!(give((witness.clone(), 7_u8), |args| key.call(args)), Some((2, 7)));
        assert_eq!(Arc::strong_count(&witness), 1);
        assert_eq!(give((witness.clone(), 7_u16), |args| key.call(args)), None);
        assert_eq!(Arc::strong_count(&witness), 1);
    }

    #[test]
    fn lifetimes_do_not_matter_to_an_erased_call() {
        // SAFETY: the closure takes a `&str` of any lifetime.
        let key = unsafe { KeyFn::new(|(text,): (&str,)| text.len()) };
        let text = String::from("abc");
        assert_eq!(give((text.as_str(),), |args| key.call(args)), Some(3));
    }

    #[test]
    fn a_place_is_of_one_type() {
        let mut value = Some(3_u8);
        // SAFETY: no lifetimes.
        assert!(unsafe { Place::new(&mut value).of::<u16>() }.is_none());
        // SAFETY: no lifetimes.
        assert_eq!(unsafe { Place::new(&mut value).of::<u8>() }.and_then(Option::take), Some(3));
    }
}
