//! What CPython calls of a function under `lru_cache`.

use super::arguments::{Borrowed, Given, to_object};
use super::calling;
use super::compare::{self, Raised, mix};
use super::object::Object;
use super::recent::Absent;
use crate::lru_cache::{Inner, LruCache};
use pyo3::ffi;
use pyo3::prelude::*;
use std::ptr::null_mut;
use std::slice;

/// Parts that find room on the stack.
const ROOM: usize = 12;

type Function<'a, 'py> = pyo3::Borrowed<'a, 'py, LruCache>;

/// A call in search of its entry.
struct Asked<'a> {
    hash: u64,
    parts: &'a [Borrowed],
    /// Whether the key is the one part itself: a text or a whole number, and never the same as a
    /// tuple.
    bare: bool,
}

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
        let function = borrowed(&function);
        let given = given(args, flags, names);
        if given.count == 1
            && names.is_null()
            && !function.get().inner().typed
            && let Some(hash) = compare::hash_atom(*args)
        {
            let asked = Asked { hash, parts: slice::from_ref(&*args), bare: true };
            return look(function, given, &asked);
        }
        call_long(function, given)
    }
}

/// A call of a function whose results are not kept.
///
/// # Safety
///
/// As [`call`].
pub(crate) unsafe extern "C" fn call_unkept(
    function: Borrowed,
    args: *const Borrowed,
    flags: usize,
    names: Borrowed,
) -> Borrowed {
    // SAFETY: as in `call`. The body may let go of the function.
    unsafe {
        ffi::Py_INCREF(function);
        let inner = borrowed(&function).get().inner();
        inner.entries.count_miss();
        let value = call_body(inner, given(args, flags, names));
        ffi::Py_DECREF(function);
        value
    }
}

unsafe fn borrowed(function: &Borrowed) -> Function<'_, '_> {
    // SAFETY: the caller's: an `LruCache`, and the lock is held.
    unsafe {
        let py = Python::assume_attached();
        pyo3::Borrowed::<'_, '_, PyAny>::from_ptr(py, *function).cast_unchecked::<LruCache>()
    }
}

fn given(args: *const Borrowed, flags: usize, names: Borrowed) -> Given {
    Given { args, count: flags & !ffi::PY_VECTORCALL_ARGUMENTS_OFFSET, names }
}

#[inline(never)]
unsafe fn call_long(function: Function<'_, '_>, given: Given) -> Borrowed {
    // SAFETY: the caller's. What is hashed and compared may let go of the function.
    unsafe {
        ffi::Py_INCREF(function.as_ptr());
        let inner = function.get().inner();
        let named = match given.names.is_null() {
            true => 0,
            false => ffi::PyTuple_GET_SIZE(given.names) as usize,
        };
        let count = count_parts(given, named, inner.typed);
        let (mut room, mut more);
        let parts = if count == given.count && count > 0 {
            slice::from_raw_parts(given.args, count)
        } else if count <= ROOM {
            room = [null_mut(); ROOM];
            fill(&mut room[..count], given, named, inner);
            &room[..count]
        } else {
            more = vec![null_mut(); count];
            fill(&mut more, given, named, inner);
            &more
        };
        // What is hashed, compared and called may be what lets go of an argument's type.
        let types = if inner.typed { &parts[count - given.count - named..] } else { &[] };
        let _types: Vec<_> = types.iter().map(|&type_| Object::from_borrowed(type_)).collect();
        let value = match hash(parts) {
            Some(hash) => look(function, given, &Asked { hash, parts, bare: false }),
            None => null_mut(),
        };
        ffi::Py_DECREF(function.as_ptr());
        value
    }
}

/// How many parts a key has: the arguments, a marker and names if there are names, types if they
/// tell calls apart.
#[inline]
fn count_parts(given: Given, named: usize, typed: bool) -> usize {
    let names = if named > 0 { 1 + named } else { 0 };
    let values = given.count + named;
    values + names + if typed { values } else { 0 }
}

/// The parts of a key, as functools makes it: arguments as they are given, in their order.
#[inline]
unsafe fn fill(parts: &mut [Borrowed], given: Given, named: usize, inner: &Inner) {
    // SAFETY: the caller's: `count` arguments, then one for each name; and as many parts as
    // `count_parts` says.
    unsafe {
        let values: &[Borrowed] = match given.count + named {
            0 => &[], // there may be no pointer at all
            count => slice::from_raw_parts(given.args, count),
        };
        let (by_position, by_name) = values.split_at(given.count);
        let (first, mut rest) = parts.split_at_mut(given.count);
        first.copy_from_slice(by_position);
        if named > 0 {
            rest[0] = inner.marker.as_ptr();
            let (pairs, types) = rest[1..].split_at_mut(2 * named);
            for (at, pair) in pairs.chunks_exact_mut(2).enumerate() {
                pair[0] = ffi::PyTuple_GET_ITEM(given.names, at as ffi::Py_ssize_t);
                pair[1] = by_name[at];
            }
            rest = types;
        }
        for (type_, &value) in rest.iter_mut().zip(values) {
            *type_ = ffi::Py_TYPE(value).cast();
        }
    }
}

#[inline]
unsafe fn look(function: Function<'_, '_>, given: Given, asked: &Asked<'_>) -> Borrowed {
    // SAFETY: the caller's.
    unsafe {
        match function.get().inner().entries.get(asked.hash, |key| asked.is(key)) {
            Ok(Ok(value)) => value.into_ptr(),
            Ok(Err(absent)) => miss(function, given, asked, absent),
            Err(Raised) => null_mut(),
        }
    }
}

#[inline(never)]
unsafe fn miss(
    function: Function<'_, '_>,
    given: Given,
    asked: &Asked<'_>,
    absent: Absent,
) -> Borrowed {
    // SAFETY: the caller's. The body may let go of the function.
    unsafe {
        ffi::Py_INCREF(function.as_ptr());
        let inner = function.get().inner();
        let mut value = call_body(inner, given);
        if !value.is_null() {
            let key = to_object(asked.parts, asked.bare);
            let kept = Object::from_borrowed(value);
            let put = inner.entries.put(asked.hash, absent, |key| asked.is(key), key, kept);
            if put.is_err() {
                ffi::Py_DECREF(value);
                value = null_mut();
            }
        }
        ffi::Py_DECREF(function.as_ptr());
        value
    }
}

unsafe fn call_body(inner: &Inner, given: Given) -> Borrowed {
    // SAFETY: the caller's.
    unsafe { calling::vectorcall(inner.body.as_ptr(), given.args, given.count, given.names) }
}

/// By Python's own hashes: equal keys may be of different types.
#[inline]
unsafe fn hash(parts: &[Borrowed]) -> Option<u64> {
    let mut all = parts.len() as u64;
    for &part in parts {
        // SAFETY: the parts are valid.
        let hash = match unsafe { compare::hash_atom(part) } {
            Some(hash) => hash,
            // SAFETY: as above.
            None => match unsafe { calling::hash(part) } {
                -1 => return None,
                hash => hash as u64,
            },
        };
        all = mix(all, hash);
    }
    Some(all)
}

impl Asked<'_> {
    /// Whether a key is that of the call.
    #[inline]
    unsafe fn is(&self, key: Borrowed) -> Result<bool, Raised> {
        // SAFETY: valid objects, and the lock is held.
        unsafe {
            if self.bare {
                return equal(self.parts[0], key);
            }
            let is_tuple = std::ptr::eq(ffi::Py_TYPE(key), &raw const ffi::PyTuple_Type);
            if !is_tuple || ffi::PyTuple_GET_SIZE(key) as usize != self.parts.len() {
                return Ok(false);
            }
            for (at, &part) in self.parts.iter().enumerate() {
                if !equal(part, ffi::PyTuple_GET_ITEM(key, at as ffi::Py_ssize_t))? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
    }
}

/// Python's `==`, but the same object equals itself, as in a dict.
#[inline]
unsafe fn equal(part: Borrowed, other: Borrowed) -> Result<bool, Raised> {
    // SAFETY: the caller's.
    Ok(std::ptr::eq(part, other) || unsafe { compare::equal(part, other)? })
}
