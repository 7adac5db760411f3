//! Which Python values are the same argument: equal, and of the same type, also inside of tuples
//! and frozen sets. So `1`, `1.0`, `True` and `"1"` are four keys.
//!
//! Called by `arguments` (to hash) and by keys (to compare). *Plain* values are those that are
//! hashed and compared without running anything of a user's: they may be compared under a lock.

use super::calling;
use pyo3::ffi;
use std::ptr::addr_of_mut;

type Borrowed = *mut ffi::PyObject;

/// Python's own bound on recursion is for its frames; deeper tuples than this are refused.
const DEEPEST: u32 = 500;

/// What is known of a value once it has been hashed.
#[derive(Clone, Copy)]
pub(crate) struct Hashed {
    pub(crate) hash: u64,
    /// See the head of this file.
    pub(crate) is_plain: bool,
}

/// An exception is set.
#[derive(Debug)]
pub(crate) struct Raised;

#[inline]
pub(crate) fn mix(hash: u64, part: u64) -> u64 {
    (hash ^ part).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31)
}

#[inline]
fn is_exact(type_: *mut ffi::PyTypeObject, of: *mut ffi::PyTypeObject) -> bool {
    std::ptr::eq(type_, of)
}

macro_rules! type_of {
    ($name:ident) => {
        addr_of_mut!(ffi::$name)
    };
}

/// Whether objects of this type are compared and hashed by their identity.
#[inline]
pub(crate) unsafe fn is_by_identity(type_: *mut ffi::PyTypeObject) -> bool {
    // SAFETY: types and their slots are only written with the interpreter's lock held.
    unsafe {
        let base = type_of!(PyBaseObject_Type);
        // Both are CPython's own, which has one of each.
        let hash = |type_: *mut ffi::PyTypeObject| (*type_).tp_hash.map(|slot| slot as usize);
        let compare =
            |type_: *mut ffi::PyTypeObject| (*type_).tp_richcompare.map(|slot| slot as usize);
        hash(type_) == hash(base) && compare(type_) == compare(base)
    }
}

/// The hash of a text or a whole number, which nearly all arguments are; nothing of other values.
///
/// # Safety
///
/// A valid object, and the interpreter's lock is held.
#[inline]
pub(crate) unsafe fn hash_atom(object: Borrowed) -> Option<u64> {
    // SAFETY: the caller's; these types' own hashes do not fail.
    unsafe {
        let type_ = ffi::Py_TYPE(object);
        let is_atom =
            is_exact(type_, type_of!(PyLong_Type)) || is_exact(type_, type_of!(PyUnicode_Type));
        // What `PyObject_Hash` calls, after it has looked whether there is one.
        let hash = if is_atom { (*type_).tp_hash } else { None };
        hash.map(|hash| hash(object) as u64)
    }
}

/// Hashes a value by itself and its type.
///
/// # Safety
///
/// A valid object, and the interpreter's lock is held.
#[inline]
pub(crate) unsafe fn hash(object: Borrowed) -> Result<Hashed, Raised> {
    // SAFETY: the caller's.
    unsafe {
        match hash_atom(object) {
            Some(hash) => Ok(Hashed { hash, is_plain: true }),
            None => hash_other(object, ffi::Py_TYPE(object), 0),
        }
    }
}

unsafe fn hash_other(
    object: Borrowed,
    type_: *mut ffi::PyTypeObject,
    depth: u32,
) -> Result<Hashed, Raised> {
    // SAFETY: the caller's.
    unsafe {
        let plain = |hash: u64| Ok(Hashed { hash: mix(hash, type_ as u64), is_plain: true });
        if is_exact(type_, type_of!(PyFloat_Type)) {
            // By its bits: a NaN is found again, and 0.0 is not -0.0.
            return plain(ffi::PyFloat_AS_DOUBLE(object).to_bits());
        }
        if object == ffi::Py_None() || is_exact(type_, type_of!(PyBool_Type)) {
            return plain(object as u64);
        }
        if is_exact(type_, type_of!(PyLong_Type))
            || is_exact(type_, type_of!(PyUnicode_Type))
            || is_exact(type_, type_of!(PyBytes_Type))
        {
            return plain(ffi::PyObject_Hash(object) as u64);
        }
        if is_exact(type_, type_of!(PyTuple_Type)) {
            return hash_tuple(object, depth + 1);
        }
        if is_exact(type_, type_of!(PyFrozenSet_Type)) {
            return hash_set(object, depth + 1);
        }
        let hash = calling::hash(object);
        if hash == -1 {
            return Err(Raised);
        }
        Ok(Hashed { hash: mix(hash as u64, type_ as u64), is_plain: is_by_identity(type_) })
    }
}

unsafe fn hash_tuple(tuple: Borrowed, depth: u32) -> Result<Hashed, Raised> {
    // SAFETY: the caller's: an exact tuple, whose length and items do not change.
    unsafe {
        check_depth(depth)?;
        let length = ffi::PyTuple_GET_SIZE(tuple);
        let mut all = Hashed { hash: mix(length as u64, 0x7_u64), is_plain: true };
        for at in 0..length {
            let item = ffi::PyTuple_GET_ITEM(tuple, at);
            let one = hash_other(item, ffi::Py_TYPE(item), depth)?;
            all.hash = mix(all.hash, one.hash);
            all.is_plain &= one.is_plain;
        }
        Ok(all)
    }
}

unsafe fn hash_set(set: Borrowed, depth: u32) -> Result<Hashed, Raised> {
    // SAFETY: the caller's: an exact frozen set.
    unsafe {
        check_depth(depth)?;
        // Not plain: an iterator is allocated to compare them, which may begin a collection, and
        // that may call anything.
        let mut all = Hashed { hash: ffi::PySet_Size(set) as u64, is_plain: false };
        for item in items(set)? {
            let one = hash_other(item.0, ffi::Py_TYPE(item.0), depth)?;
            // In any order.
            all.hash = all.hash.wrapping_add(mix(one.hash, 0x5E7));
        }
        Ok(all)
    }
}

unsafe fn check_depth(depth: u32) -> Result<(), Raised> {
    if depth <= DEEPEST {
        return Ok(());
    }
    // SAFETY: the caller holds the interpreter's lock.
    unsafe {
        ffi::PyErr_SetString(ffi::PyExc_RecursionError, c"an argument is nested too deep".as_ptr());
    }
    Err(Raised)
}

struct Item(Borrowed);

impl Drop for Item {
    fn drop(&mut self) {
        // SAFETY: a reference of ours; the interpreter's lock is held in all of this file.
        unsafe { ffi::Py_DECREF(self.0) }
    }
}

/// The items of a set, each with a reference of its own.
unsafe fn items(set: Borrowed) -> Result<Vec<Item>, Raised> {
    // SAFETY: the caller's: a set.
    unsafe {
        let iterator = ffi::PyObject_GetIter(set);
        if iterator.is_null() {
            return Err(Raised);
        }
        let iterator = Item(iterator);
        let mut items = Vec::with_capacity(ffi::PySet_Size(set) as usize);
        loop {
            let item = ffi::PyIter_Next(iterator.0);
            if item.is_null() {
                break;
            }
            items.push(Item(item));
        }
        Ok(items)
    }
}

/// Whether two values are the same argument. `Err`: comparing raised.
///
/// # Safety
///
/// Valid objects, and the interpreter's lock is held.
#[inline]
pub(crate) unsafe fn same(a: Borrowed, b: Borrowed) -> Result<bool, Raised> {
    if std::ptr::eq(a, b) {
        return Ok(true);
    }
    // SAFETY: the caller's.
    unsafe {
        let type_ = ffi::Py_TYPE(a);
        if !std::ptr::eq(type_, ffi::Py_TYPE(b)) {
            return Ok(false);
        }
        same_of_type(a, b, type_)
    }
}

unsafe fn same_of_type(
    a: Borrowed,
    b: Borrowed,
    type_: *mut ffi::PyTypeObject,
) -> Result<bool, Raised> {
    // SAFETY: the caller's.
    unsafe {
        if is_exact(type_, type_of!(PyFloat_Type)) {
            let bits = |float| ffi::PyFloat_AS_DOUBLE(float).to_bits();
            return Ok(bits(a) == bits(b));
        }
        if is_exact(type_, type_of!(PyTuple_Type)) {
            let length = ffi::PyTuple_GET_SIZE(a);
            if length != ffi::PyTuple_GET_SIZE(b) {
                return Ok(false);
            }
            for at in 0..length {
                if !same(ffi::PyTuple_GET_ITEM(a, at), ffi::PyTuple_GET_ITEM(b, at))? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        if is_exact(type_, type_of!(PyFrozenSet_Type)) {
            return same_sets(a, b);
        }
        equal(a, b)
    }
}

/// Frozen sets whose items can be paired. Of the few that share a hash, so the square is small.
unsafe fn same_sets(a: Borrowed, b: Borrowed) -> Result<bool, Raised> {
    // SAFETY: the caller's.
    unsafe {
        if ffi::PySet_Size(a) != ffi::PySet_Size(b) {
            return Ok(false);
        }
        let mut others = items(b)?;
        for item in items(a)? {
            let mut at = None;
            for (index, other) in others.iter().enumerate() {
                if same(item.0, other.0)? {
                    at = Some(index);
                    break;
                }
            }
            let Some(at) = at else { return Ok(false) };
            others.swap_remove(at);
        }
        Ok(true)
    }
}

/// Python's `==`.
///
/// # Safety
///
/// As [`same`].
#[inline]
pub(crate) unsafe fn equal(a: Borrowed, b: Borrowed) -> Result<bool, Raised> {
    // SAFETY: the caller's.
    match unsafe { calling::equal(a, b) } {
        1 => Ok(true),
        0 => Ok(false),
        _ => Err(Raised),
    }
}
