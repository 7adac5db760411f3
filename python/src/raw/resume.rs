//! One step of a coroutine.

use super::arguments::Borrowed;
use super::{calling, entry};
use pyo3::exceptions::{PyStopIteration, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::ptr::null_mut;

/// What a coroutine did when it was resumed.
pub(crate) enum Step<'py> {
    /// It waits for this; whoever drives the loop knows what that means.
    Yielded(Bound<'py, PyAny>),
    Returned(Bound<'py, PyAny>),
}

/// Sends a value into a coroutine.
pub(crate) fn send<'py>(
    coroutine: &Bound<'py, PyAny>,
    value: &Bound<'py, PyAny>,
) -> PyResult<Step<'py>> {
    let py = coroutine.py();
    let mut result = null_mut();
    // SAFETY: both are valid, and the lock is held, as `py` says; the result is ours.
    unsafe {
        match calling::send(coroutine.as_ptr(), value.as_ptr(), &mut result) {
            ffi::PySendResult::PYGEN_NEXT => Ok(Step::Yielded(Bound::from_owned_ptr(py, result))),
            ffi::PySendResult::PYGEN_RETURN => {
                Ok(Step::Returned(Bound::from_owned_ptr(py, result)))
            }
            ffi::PySendResult::PYGEN_ERROR => Err(PyErr::fetch(py)),
        }
    }
}

/// Raises an exception in a coroutine, where it waits.
pub(crate) fn throw<'py>(
    coroutine: &Bound<'py, PyAny>,
    error: Bound<'py, PyAny>,
) -> PyResult<Step<'py>> {
    let py = coroutine.py();
    let result = entry::call_one(&coroutine.getattr("throw")?, error);
    // SAFETY: the result is ours, or null and an exception.
    match unsafe { Bound::from_owned_ptr_or_err(py, result) } {
        Ok(on) => Ok(Step::Yielded(on)),
        Err(error) if error.is_instance_of::<PyStopIteration>(py) => {
            error.value(py).getattr("value").map(Step::Returned)
        }
        Err(error) => Err(error),
    }
}

/// Ends a coroutine where it waits.
pub(crate) fn close(coroutine: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = coroutine.py();
    let Some(close) = coroutine.getattr_opt("close")? else { return Ok(()) };
    // SAFETY: valid, and the lock is held; the result is ours, or null and an exception.
    unsafe {
        let result = calling::vectorcall(close.as_ptr(), std::ptr::null(), 0, null_mut());
        Bound::from_owned_ptr_or_err(py, result).map(drop)
    }
}

/// What drives a body, of what it returned: itself, or what `await` would ask it for.
pub(crate) fn awaited<'py>(body: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: only asks for the type.
    let is_itself = unsafe {
        ffi::PyCoro_CheckExact(body.as_ptr()) != 0 || ffi::PyGen_CheckExact(body.as_ptr()) != 0
    };
    if is_itself {
        return Ok(body);
    }
    match body.get_type().getattr_opt("__await__")? {
        Some(get) => get.call1((&body,)),
        None => Err(PyTypeError::new_err(format!(
            "object {} can't be used in 'await' expression",
            body.get_type().name()?
        ))),
    }
}

/// How an instance of a class is resumed, by a value that is sent in.
pub(crate) type Resumed = for<'py> fn(&Bound<'py, PyAny>, Bound<'py, PyAny>) -> PyResult<Step<'py>>;

/// A class that may have the slot by which whoever drives its instances gets their results without
/// an exception; PyO3 knows no such slot.
pub(crate) trait Resumable {
    const RESUMED: Resumed;
}

/// Puts the slot in.
pub(crate) fn install<T: Resumable>(class: &Bound<'_, PyType>) {
    // SAFETY: a heap type that nobody has an instance of yet, whose slots are its own; the lock is
    // held.
    unsafe {
        let slots = (*class.as_type_ptr()).tp_as_async;
        assert!(!slots.is_null(), "it has `__await__`");
        (*slots).am_send = Some(send_slot::<T>);
        ffi::PyType_Modified(class.as_type_ptr());
    }
}

unsafe extern "C" fn send_slot<T: Resumable>(
    coroutine: Borrowed,
    value: Borrowed,
    result: *mut Borrowed,
) -> ffi::PySendResult {
    // Tells PyO3 that the lock is held, as it is where CPython calls.
    Python::attach(|py| {
        // SAFETY: called by CPython, with an instance of `T` and a value.
        let (coroutine, value) = unsafe {
            (Bound::from_borrowed_ptr(py, coroutine), Bound::from_borrowed_ptr(py, value))
        };
        let (sent, object) = match T::RESUMED(&coroutine, value) {
            Ok(Step::Yielded(on)) => (ffi::PySendResult::PYGEN_NEXT, on.into_ptr()),
            Ok(Step::Returned(value)) => (ffi::PySendResult::PYGEN_RETURN, value.into_ptr()),
            Err(error) => {
                error.restore(py);
                (ffi::PySendResult::PYGEN_ERROR, null_mut())
            }
        };
        // SAFETY: as above.
        unsafe { *result = object };
        sent
    })
}
