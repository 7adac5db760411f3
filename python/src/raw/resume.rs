//! One step of a coroutine.

use pyo3::ffi;
use pyo3::prelude::*;
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
        match ffi::PyIter_Send(coroutine.as_ptr(), value.as_ptr(), &mut result) {
            ffi::PySendResult::PYGEN_NEXT => Ok(Step::Yielded(Bound::from_owned_ptr(py, result))),
            ffi::PySendResult::PYGEN_RETURN => {
                Ok(Step::Returned(Bound::from_owned_ptr(py, result)))
            }
            ffi::PySendResult::PYGEN_ERROR => Err(PyErr::fetch(py)),
        }
    }
}
