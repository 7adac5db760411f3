//! How the types with parts become keys.
//!
//! Called by implementations of `Key`. Pointers are looked through; what has no order of its own is
//! ordered by its encoding.

use super::{Key, KeyEncoder, tag};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

macro_rules! pointers {
    ($($pointer:ty),*) => { $(
        impl<K: Key + ?Sized> Key for $pointer {
            #[inline]
            fn encode(&self, to: &mut KeyEncoder) {
                (**self).encode(to);
            }
        }
    )* };
}
pointers!(&K, Box<K>, Rc<K>, Arc<K>);

impl<B: Key + ToOwned + ?Sized> Key for Cow<'_, B> {
    fn encode(&self, to: &mut KeyEncoder) {
        (**self).encode(to);
    }
}

/// `None` has a form of its own; `Some` is what it holds, unless that is an `Option` whose form
/// would be taken for another one's.
impl<K: Key> Key for Option<K> {
    fn encode(&self, to: &mut KeyEncoder) {
        match self {
            None => to.open(tag::NONE),
            Some(key) => to.some(key),
        }
    }
}

impl<K: Key, E: Key> Key for Result<K, E> {
    fn encode(&self, to: &mut KeyEncoder) {
        match self {
            Ok(key) => {
                to.open(tag::OK);
                to.child(key);
            }
            Err(error) => {
                to.open(tag::ERR);
                to.child(error);
            }
        }
    }
}

/// Items one after the other; those of bytes are bytes.
impl<K: Key> Key for [K] {
    #[inline]
    fn encode(&self, to: &mut KeyEncoder) {
        K::encode_slice(self, to);
    }
}

impl<K: Key, const N: usize> Key for [K; N] {
    fn encode(&self, to: &mut KeyEncoder) {
        self.as_slice().encode(to);
    }
}

impl<K: Key> Key for Vec<K> {
    #[inline]
    fn encode(&self, to: &mut KeyEncoder) {
        self.as_slice().encode(to);
    }
}

/// A list, also of bytes: it lies in two pieces.
impl<K: Key> Key for VecDeque<K> {
    fn encode(&self, to: &mut KeyEncoder) {
        to.list(self);
    }
}

impl<K: Key> Key for BTreeSet<K> {
    fn encode(&self, to: &mut KeyEncoder) {
        to.set(self);
    }
}

impl<K: Key, S> Key for HashSet<K, S> {
    fn encode(&self, to: &mut KeyEncoder) {
        to.set(self);
    }
}

impl<K: Key, V: Key> Key for BTreeMap<K, V> {
    fn encode(&self, to: &mut KeyEncoder) {
        to.map(self);
    }
}

impl<K: Key, V: Key, S> Key for HashMap<K, V, S> {
    fn encode(&self, to: &mut KeyEncoder) {
        to.map(self);
    }
}

/// The empty tuple.
impl<T: ?Sized> Key for PhantomData<T> {
    fn encode(&self, to: &mut KeyEncoder) {
        to.tuple(0);
    }
}

macro_rules! tuples {
    ($($name:ident)*) => {
        tuples!(@ [] $($name)*);
    };
    (@ [$($name:ident)*] $($rest:ident)*) => {
        impl<$($name: Key),*> Key for ($($name,)*) {
            #[allow(non_snake_case)]
            #[inline]
            fn encode(&self, to: &mut KeyEncoder) {
                let ($($name,)*) = self;
                to.tuple(<[&str]>::len(&[$(stringify!($name)),*]));
                $(to.child($name);)*
            }
        }
        tuples!(@@ [$($name)*] $($rest)*);
    };
    (@@ [$($name:ident)*] $next:ident $($rest:ident)*) => {
        tuples!(@ [$($name)* $next] $($rest)*);
    };
    (@@ [$($name:ident)*]) => {};
}
tuples!(A B C D E F G H I J K L);
