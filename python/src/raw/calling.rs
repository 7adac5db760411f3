//! Calls of what users wrote: bodies, hashes, comparisons.
//!
//! While the interpreter ends it stops threads that nobody waits for wherever they take its lock,
//! and before 3.14 it does so by unwinding them, as `pthread_exit` does. Frames of Rust must not be
//! unwound by that: a thread that would be stays where it is instead, for the little that is left
//! of the process. Called by the rest of this folder, for whatever a user's code may run in long.

use super::arguments::Borrowed;
use pyo3::ffi;
use std::ffi::c_int;
use std::hint::black_box;
use std::mem::forget;

/// Ends a thread by keeping it; see the head of this file. Forgotten where a call returns.
struct Stays;

impl Drop for Stays {
    fn drop(&mut self) {
        loop {
            std::thread::park();
        }
    }
}

/// Calls a function of CPython's as one that may unwind, as nothing but the end of a thread does.
macro_rules! staying {
    ($function:path, ($($argument:ident: $type:ty = $value:expr),*) -> $result:ty) => {{
        // It is declared not to unwind, so its frame has nothing to be run on the way.
        unsafe extern "C-unwind" fn plain($($argument: $type),*) -> $result {
            // SAFETY: the caller's.
            unsafe { $function($($argument),*) }
        }
        type Unwinding = unsafe extern "C-unwind" fn($($type),*) -> $result;
        // Else it is known what is called, and that it cannot unwind.
        let function = black_box(plain as Unwinding);
        let stays = Stays;
        // SAFETY: the caller's.
        let result = unsafe { function($($value),*) };
        forget(stays);
        result
    }};
}

/// `PyObject_Vectorcall`.
///
/// # Safety
///
/// As that; so for all in here.
#[inline]
pub(super) unsafe fn vectorcall(
    callable: Borrowed,
    args: *const Borrowed,
    count: usize,
    names: Borrowed,
) -> Borrowed {
    staying!(ffi::PyObject_Vectorcall, (
        callable: Borrowed = callable,
        args: *const Borrowed = args,
        count: usize = count,
        names: Borrowed = names
    ) -> Borrowed)
}

/// `PyObject_Hash`.
#[inline]
pub(super) unsafe fn hash(object: Borrowed) -> ffi::Py_hash_t {
    staying!(ffi::PyObject_Hash, (object: Borrowed = object) -> ffi::Py_hash_t)
}

/// `PyObject_RichCompareBool`, for `==`.
#[inline]
pub(super) unsafe fn equal(a: Borrowed, b: Borrowed) -> c_int {
    staying!(ffi::PyObject_RichCompareBool, (
        a: Borrowed = a, b: Borrowed = b, how: c_int = ffi::Py_EQ
    ) -> c_int)
}

/// `PyIter_Send`.
#[inline]
pub(super) unsafe fn send(
    iterator: Borrowed,
    value: Borrowed,
    result: *mut Borrowed,
) -> ffi::PySendResult {
    staying!(ffi::PyIter_Send, (
        iterator: Borrowed = iterator,
        value: Borrowed = value,
        result: *mut Borrowed = result
    ) -> ffi::PySendResult)
}
