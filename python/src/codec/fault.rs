//! What is wrong with a value or with bytes, and where inside of them.
//!
//! Used by all of the codec. Knows no format.

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyMemoryError, PyTypeError, PyValueError};
use pyo3::prelude::*;

create_exception!(
    gecaso,
    UnpackError,
    PyValueError,
    "Bytes that `unpack` does not take: not packed by gecaso, damaged, beyond the limits, or a\n\
     value of a class that this process does not have as it was."
);

/// Why a value cannot be written.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is not plain data, or too much of it.
    Refused {
        /// From the inside out: `.conn`, `['user']`.
        place: Vec<String>,
        why: String,
        error: Refusal,
    },
    /// Code of the value's own class has raised.
    Raised(PyErr),
}

/// Symbols of a place, at most: as deep as a list lies in itself there is nothing to see.
const MOST: usize = 160;

/// Which error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A `TypeError`: no value of this type can be written.
    Type,
    /// A `ValueError`: this one is too large, or nested too deep.
    Value,
}

impl Fault {
    #[cold]
    pub(super) fn type_(why: impl Into<String>) -> Self {
        Fault::Refused { place: Vec::new(), why: why.into(), error: Refusal::Type }
    }

    #[cold]
    pub(super) fn value(why: impl Into<String>) -> Self {
        Fault::Refused { place: Vec::new(), why: why.into(), error: Refusal::Value }
    }

    /// A value of a type that is not known.
    #[cold]
    pub(super) fn unknown(value: &Bound<'_, PyAny>) -> Self {
        Self::type_(format!("it is {}", name_of(value)))
    }

    /// The same, one level further out.
    #[cold]
    pub(super) fn within(mut self, step: impl FnOnce() -> String) -> Self {
        if let Fault::Refused { place, .. } = &mut self {
            place.push(step());
        }
        self
    }

    /// The exception: what `root` is called, what cannot be done, and what to do instead.
    #[cold]
    pub(super) fn raise(self, root: &str, cannot: &str, advice: &str) -> PyErr {
        match self {
            Fault::Raised(error) => error,
            Fault::Refused { place, why, error } => {
                let mut place: String = place.iter().rev().map(String::as_str).collect();
                if place.chars().nth(MOST).is_some() {
                    place = place.chars().take(MOST).chain("...".chars()).collect();
                }
                match error {
                    Refusal::Type => PyTypeError::new_err(format!(
                        "{root}{place} cannot {cannot}: {why}; {advice}"
                    )),
                    Refusal::Value => {
                        PyValueError::new_err(format!("{root}{place} cannot {cannot}: {why}"))
                    }
                }
            }
        }
    }
}

impl From<PyErr> for Fault {
    #[cold]
    fn from(error: PyErr) -> Self {
        Fault::Raised(error)
    }
}

/// Adds a step to the place of a fault; costs nothing where there is none.
pub(super) trait Within<T> {
    fn within(self, step: impl FnOnce() -> String) -> Result<T, Fault>;
}

impl<T> Within<T> for Result<T, Fault> {
    #[inline]
    fn within(self, step: impl FnOnce() -> String) -> Result<T, Fault> {
        self.map_err(|fault| fault.within(step))
    }
}

/// What a value is, for people: `a socket.socket`.
pub(super) fn name_of(value: &Bound<'_, PyAny>) -> String {
    let name = value.get_type().fully_qualified_name().map(|name| name.to_string());
    format!("a `{}`", name.unwrap_or_else(|_| "?".to_owned()))
}

/// The step to the value under a key of a dict.
pub(super) fn step_to(key: &Bound<'_, PyAny>) -> String {
    // Foreign classes' `repr` is not ours to call, and may be long.
    match super::kind::is_brief(key).then(|| key.repr()) {
        Some(Ok(text)) => format!("[{text}]"),
        _ => format!("[<{}>]", name_of(key)),
    }
}

/// Bytes that are refused.
#[cold]
pub(super) fn refused(why: impl Into<String>) -> PyErr {
    UnpackError::new_err(why.into())
}

/// What went wrong while a value was put together is the fault of its bytes.
#[cold]
pub(super) fn blamed(py: Python<'_>, what: &str, error: PyErr) -> PyErr {
    let is_ours = error.is_instance_of::<UnpackError>(py);
    if is_ours
        || error.is_instance_of::<PyMemoryError>(py)
        || !error.is_instance_of::<PyException>(py)
    {
        return error;
    }
    let blamed = refused(format!("the packed value has {what} that is none"));
    blamed.set_cause(py, Some(error));
    blamed
}
