//! What a body raised, on its way to those who wait for it.
//!
//! An `Exception` is shared, as it is: everybody raises the same object. What is more than that (a
//! `KeyboardInterrupt`, a cancellation) concerns its own caller alone: it unwinds through the core,
//! which frees the key, and somebody who waits runs the body instead.

use crate::raw::object::Object;
use pyo3::exceptions::{PyException, PyRuntimeError};
use pyo3::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// An exception that those who wait get as well.
#[derive(Clone)]
pub(crate) struct Failed(Object);

impl Failed {
    pub(crate) fn new(py: Python<'_>, error: PyErr) -> Self {
        Failed(error.into_value(py).into_bound(py).into_any().into())
    }

    pub(crate) fn into_error(self, py: Python<'_>) -> PyErr {
        PyErr::from_value(self.0.bind(py))
    }
}

/// Travels through the core as a panic does, and is raised at the other end.
struct Escaped(PyErr);

/// Whether an exception concerns those who wait, too.
pub(crate) fn is_shared(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyException>(py)
}

/// Takes the exception that is set; does not return if it is its caller's alone.
pub(crate) fn raised(py: Python<'_>) -> Failed {
    of(py, PyErr::fetch(py))
}

/// An exception of a body's; does not return if it is its caller's alone.
pub(crate) fn of(py: Python<'_>, error: PyErr) -> Failed {
    if !is_shared(py, &error) {
        escape(error);
    }
    Failed::new(py, error)
}

/// Ends the call with an exception that nobody else gets.
pub(crate) fn escape(error: PyErr) -> ! {
    resume_unwind(Box::new(Escaped(error)))
}

/// Runs something of the core's; what it raised as an error of Python's.
pub(crate) fn caught<T>(py: Python<'_>, run: impl FnOnce() -> Result<T, Failed>) -> PyResult<T> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(failed)) => Err(failed.into_error(py)),
        Err(payload) => Err(match payload.downcast::<Escaped>() {
            Ok(escaped) => escaped.0,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
                PyRuntimeError::new_err(format!(
                    "gecaso failed inside; please report it: {}",
                    text.unwrap_or("no message")
                ))
            }
        }),
    }
}
