//! What CPython calls of a function under `lru_cache`.

use super::arguments::{Borrowed, Call, Given, Key, Parts, as_given};
use super::calling;
use super::compare::mix;
use super::object::Object;
use crate::lru_cache::{Inner, LruCache};
use gecaso::face::calls;
use pyo3::ffi;
use pyo3::prelude::*;
use std::cell::Cell;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::Relaxed;

/// A call.
///
/// # Safety
///
/// Called by CPython, through the pointer of an `LruCache`.
pub(crate) unsafe extern "C" fn call(
    function: Borrowed,
    args: *const Borrowed,
    flags: usize,
    names: Borrowed,
) -> Borrowed {
    // SAFETY: called by CPython: the lock is held, and `function` is an `LruCache`.
    unsafe {
        let py = Python::assume_attached();
        let bound = pyo3::Borrowed::<'_, '_, PyAny>::from_ptr(py, function);
        let function = bound.cast_unchecked::<LruCache>();
        let inner = function.get().inner();
        let given = Given { args, count: flags & !ffi::PY_VECTORCALL_ARGUMENTS_OFFSET, names };
        if inner.is_off {
            inner.misses.fetch_add(1, Relaxed);
            return call_body(inner, given);
        }
        let mut parts = Parts::new();
        let single = as_given(given, &inner.marker, inner.typed, &mut parts);
        // What is hashed and compared may let go of the function.
        let _kept = (!single).then(|| Object::from_borrowed(bound.as_ptr()));
        let Some(hash) = hash(&parts) else { return null_mut() };
        let raised = Cell::new(false);
        // A bare key is a string or an integer, and never the same as one that is not bare.
        if single {
            let call =
                Call::<true, true> { hash, parts: parts.as_slice(), single, raised: &raised };
            look(function, given, &call)
        } else {
            let call =
                Call::<false, true> { hash, parts: parts.as_slice(), single, raised: &raised };
            look(function, given, &call)
        }
    }
}

#[inline]
unsafe fn look<const PLAIN: bool>(
    function: pyo3::Borrowed<'_, '_, LruCache>,
    given: Given,
    call: &Call<'_, PLAIN, true>,
) -> Borrowed {
    let inner = function.get().inner();
    // SAFETY: the caller's.
    unsafe {
        let found = calls::find(&inner.cache, call);
        if call.raised.get() {
            return null_mut();
        }
        if let Ok(value) = found {
            inner.hits.fetch_add(1, Relaxed);
            return value.into_ptr();
        }
        inner.misses.fetch_add(1, Relaxed);
        // The body may let go of the function.
        let _kept = Object::from_borrowed(function.as_ptr());
        let value = call_body(inner, given);
        if !value.is_null() {
            drop(calls::insert::<_, Key<true>, _>(
                &inner.cache,
                call,
                Object::from_borrowed(value),
            ));
            if call.raised.get() {
                ffi::Py_DECREF(value);
                return null_mut();
            }
        }
        value
    }
}

unsafe fn call_body(inner: &Inner, given: Given) -> Borrowed {
    // SAFETY: the caller's.
    unsafe { calling::vectorcall(inner.body.as_ptr(), given.args, given.count, given.names) }
}

/// By Python's own hashes: equal keys may be of different types.
#[inline]
unsafe fn hash(parts: &Parts) -> Option<u64> {
    let mut all = parts.as_slice().len() as u64;
    for &part in parts.as_slice() {
        // SAFETY: the parts are valid.
        let hash = unsafe { calling::hash(part) };
        if hash == -1 {
            return None;
        }
        all = mix(all, hash as u64);
    }
    Some(all)
}
