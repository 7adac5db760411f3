//! Context variables, by the functions of C: by methods they cost as much as the call around them.

use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::CStr;
use std::ptr::null_mut;

/// A variable, which is nothing where it was not set.
pub(crate) struct Variable(Py<PyAny>);

impl Variable {
    pub(crate) fn new(py: Python<'_>, name: &CStr) -> PyResult<Self> {
        // SAFETY: the lock is held; the result is ours, or null and an exception.
        let variable = unsafe {
            let variable = ffi::PyContextVar_New(name.as_ptr(), null_mut());
            Bound::from_owned_ptr_or_err(py, variable)?
        };
        Ok(Variable(variable.unbind()))
    }

    #[inline]
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let mut value = null_mut();
        // SAFETY: a variable; the value is ours, or null.
        unsafe {
            if ffi::PyContextVar_Get(self.0.as_ptr(), null_mut(), &mut value) != 0 {
                ffi::PyErr_Clear(); // no memory for a context, so nothing is in it
            }
            Bound::from_owned_ptr_or_opt(py, value)
        }
    }

    /// What takes the value out again. An exception is none of the caller's.
    pub(crate) fn set(&self, value: &Bound<'_, PyAny>) -> Option<Py<PyAny>> {
        let py = value.py();
        // SAFETY: a variable and a valid value; the token is ours, or null and an exception.
        unsafe {
            let token = ffi::PyContextVar_Set(self.0.as_ptr(), value.as_ptr());
            Bound::from_owned_ptr_or_err(py, token).ok().map(Bound::unbind)
        }
    }

    /// In another context than that of `set` there is nothing to take out.
    pub(crate) fn reset(&self, _: Python<'_>, token: &Py<PyAny>) {
        // SAFETY: a variable and a token of its own; the lock is held.
        unsafe {
            if ffi::PyContextVar_Reset(self.0.as_ptr(), token.as_ptr()) != 0 {
                ffi::PyErr_Clear();
            }
        }
    }
}
