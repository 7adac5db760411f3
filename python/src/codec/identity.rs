//! Who a key belongs to, and the keys that a storage sees.
//!
//! Called by whatever speaks to a storage. Must not know arguments: it gets their bytes.

use gecaso::face::format;
use pyo3::prelude::*;

/// The name and the version of a function.
#[derive(Debug, Clone)]
pub(crate) struct Identity(pub(super) format::Identity);

impl Identity {
    pub(crate) fn new(name: &str, version: u32) -> Self {
        Identity(format::Identity::new(name, version))
    }

    /// The key of a call: 65 symbols, or a readable one.
    pub(crate) fn storage_key(&self, arguments: &[u8], hash_key: bool) -> String {
        self.0.storage_key(arguments, hash_key)
    }

    /// The key under which Rust keeps since when entries count.
    pub(crate) fn epoch_key(&self, hash_key: bool) -> String {
        self.0.epoch_key(hash_key)
    }
}

/// The keys of one function's calls.
#[pyclass(frozen, module = "gecaso._gecaso", name = "_Keys")]
pub(super) struct Keys {
    identity: Identity,
    hash_key: bool,
}

#[pymethods]
impl Keys {
    #[new]
    fn new(name: &str, version: u32, hash_key: bool) -> Self {
        Keys { identity: Identity::new(name, version), hash_key }
    }

    /// `Identity::storage_key`.
    #[pyo3(signature = (arguments, /))]
    fn of(&self, arguments: &[u8]) -> String {
        self.identity.storage_key(arguments, self.hash_key)
    }
}

/// `Identity::storage_key` for Python.
#[pyfunction]
#[pyo3(signature = (name, version, arguments, hash_key = true))]
pub(super) fn _storage_key(name: &str, version: u32, arguments: &[u8], hash_key: bool) -> String {
    Identity::new(name, version).storage_key(arguments, hash_key)
}

/// `Identity::epoch_key` for Python.
#[pyfunction]
#[pyo3(signature = (name, version, hash_key = true))]
pub(super) fn _epoch_key(name: &str, version: u32, hash_key: bool) -> String {
    Identity::new(name, version).epoch_key(hash_key)
}
