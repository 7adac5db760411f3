//! Values that are no plain data, by Python's own pickle: only for who asks for it, and only bytes
//! that were signed with the same secret.
//!
//! The value of such an envelope is a signature of 32 bytes, then the pickle; its codec is 2, so
//! that nobody takes it for anything else. Called by users. Must not unpickle before it has
//! compared the signature.

use super::fault::{UnpackError, refused};
use super::pack::{bytes_of, open, read_params, stamp, write_params};
use gecaso::face::format::{Entry, Secret};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

/// The codec of such an envelope.
pub(super) const PICKLE: u8 = 2;
const SIGNATURE: usize = 32;
/// The shortest secret, in bytes.
const SHORTEST: usize = 32;
/// Keeps these signatures apart from whatever else may be made with the same secret. Frozen.
const PURPOSE: &str = "gecaso 2026-11-22 entries that hold a pickle";

/// `pack` and `unpack` for values that only pickle can write.
///
/// Unpickling runs whatever the bytes say, so that bytes are only unpickled if they were signed
/// with the same secret: whoever can write into the storage, and does not have it, is refused.
/// Whoever has it can run anything here. The secret has at least 32 bytes, which nobody can guess:
/// make one with `secrets.token_bytes(32)`, and keep it where you keep passwords.
///
/// A signature is of the parameters and of the function and arguments that the value was stored
/// for, too; whether these are the right ones is not looked at: who can write into the storage can
/// put an old entry back, or one in the place of another.
///
/// Raises `ValueError` if the secret is too short.
#[pyclass(frozen, module = "gecaso")]
pub(super) struct PickleCodec {
    secret: Secret,
    dumps: Py<PyAny>,
    loads: Py<PyAny>,
}

#[pymethods]
impl PickleCodec {
    #[new]
    fn new(py: Python<'_>, secret: &[u8]) -> PyResult<Self> {
        if secret.len() < SHORTEST {
            return Err(PyValueError::new_err(format!(
                "the secret has {} bytes, and needs {SHORTEST}: make one with \
                 `secrets.token_bytes({SHORTEST})`",
                secret.len()
            )));
        }
        let pickle = py.import("pickle")?;
        Ok(PickleCodec {
            secret: Secret::new(PURPOSE, secret),
            dumps: pickle.getattr("dumps")?.unbind(),
            loads: pickle.getattr("loads")?.unbind(),
        })
    }

    /// Makes bytes of a value and its parameters: what `unpack` of a codec with the same secret
    /// takes apart. Raises what pickle raises.
    #[pyo3(signature = (value, /, **params))]
    fn pack<'py>(
        &self,
        value: &Bound<'py, PyAny>,
        params: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let py = value.py();
        let (params, ttl) = write_params(params)?;
        let pickled = self.dumps.bind(py).call1((value, 5))?.cast_into::<PyBytes>()?;
        let mut entry = Entry::new(PICKLE, params, pickled.as_bytes().to_vec());
        stamp(value, &mut entry, ttl)?;
        let signature = entry.signature(&self.secret);
        entry.value = [&signature, &*entry.value].concat().into();
        let bytes = entry.seal().map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Takes bytes apart that `pack` made with the same secret: a tuple of the value and its
    /// parameters. Raises `gecaso.UnpackError`, a `ValueError`, for all others, before it has
    /// unpickled anything; and what pickle raises for a class that has gone.
    #[pyo3(signature = (data, /))]
    fn unpack<'py>(&self, data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
        let py = data.py();
        let data = bytes_of(data)?;
        let mut entry = open(data.as_bytes(), PICKLE)?;
        let value = entry.value.into_owned();
        let (signature, pickled) = value
            .split_first_chunk::<SIGNATURE>()
            .ok_or_else(|| refused("these bytes are not signed"))?;
        entry.value = pickled.into();
        if !entry.is_signed(&self.secret, signature) {
            return Err(UnpackError::new_err(
                "these bytes were signed with another secret, or have changed since",
            ));
        }
        let params = read_params(py, &entry)?;
        let value = self.loads.bind(py).call1((PyBytes::new(py, pickled),))?;
        PyTuple::new(py, [value, params.into_any()])
    }
}
