//! Calls of what users wrote: bodies, hashes, comparisons.
//!
//! While the interpreter ends it stops threads that nobody waits for wherever they take its lock,
//! and before 3.14 it does so by unwinding them, as `pthread_exit` does. Frames of Rust must not be
//! unwound by that: a thread that would be stays where it is instead, for the little that is left
//! of the process. Called by the rest of this folder, for whatever a user's code may run in long.

use super::arguments::Borrowed;
use pyo3::ffi;
use std::hint::black_box;
use std::mem::{forget, transmute};

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
    ($function:expr, ($($argument:expr => $type:ty),*) -> $result:ty) => {{
        type Bound = unsafe extern "C" fn($($type),*) -> $result;
        type Unwinding = unsafe extern "C-unwind" fn($($type),*) -> $result;
        // SAFETY: the two differ in nothing but in what the caller is ready for.
        let function = unsafe { transmute::<Bound, Unwinding>($function) };
        // Else it is known to be the one that is declared not to unwind.
        let function = black_box(function);
        let stays = Stays;
        // SAFETY: the caller's.
        let result = unsafe { function($($argument),*) };
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
        callable => Borrowed, args => *const Borrowed, count => usize, names => Borrowed
    ) -> Borrowed)
}

/// `PyObject_Hash`.
#[inline]
pub(super) unsafe fn hash(object: Borrowed) -> ffi::Py_hash_t {
    staying!(ffi::PyObject_Hash, (object => Borrowed) -> ffi::Py_hash_t)
}

/// `PyObject_RichCompareBool`, for `==`.
#[inline]
pub(super) unsafe fn equal(a: Borrowed, b: Borrowed) -> std::ffi::c_int {
    use std::ffi::c_int;
    staying!(ffi::PyObject_RichCompareBool, (
        a => Borrowed, b => Borrowed, ffi::Py_EQ => c_int
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
        iterator => Borrowed, value => Borrowed, result => *mut Borrowed
    ) -> ffi::PySendResult)
}
