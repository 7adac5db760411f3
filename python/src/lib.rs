//! The extension module `gecaso._gecaso`: gecaso's core, as the Python package `gecaso` sees it.

#![forbid(unsafe_op_in_unsafe_fn)]

mod awaiting;
mod chain;
mod codec;
mod failed;
mod function;
mod identity;
mod lru_cache;
mod near;
mod parking;
#[allow(unsafe_code)]
mod raw;

use pyo3::prelude::*;

/// What `gecaso/__init__.py` is made of. Private: names may change with any version.
#[pymodule(gil_used = true)]
fn _gecaso(module: &Bound<'_, PyModule>) -> PyResult<()> {
    parking::register(module)?;
    raw::ready::register(module)?;
    awaiting::register(module)?;
    function::register(module)?;
    lru_cache::register(module)?;
    near::register(module)?;
    codec::register(module)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
