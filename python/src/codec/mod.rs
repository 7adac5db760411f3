//! How Python's values become bytes: keys of far storages, and what lies under them.
//!
//! `key` makes canonical keys of arguments; `write` and `read` are values as MessagePack, of which
//! `extension` draws what is Python's own; `pack` puts them into envelopes. `docs/format.md`
//! describes all of it for other languages.
//!
//! Called by whatever speaks to a storage, and by users through `pack` and `unpack`. Must not know
//! functions, storages or event loops.

mod array;
mod class;
mod extension;
mod fault;
mod identity;
mod key;
mod kind;
mod lifetime;
mod moment;
mod pack;
mod pickle;
mod read;
mod sealing;
mod write;

#[allow(unused_imports)] // what the crate may use
pub(crate) use {
    identity::Identity,
    key::encode_arguments,
    lifetime::lifetime,
    sealing::{Sealing, sealing_for, sealing_for_epoch},
};

use pyo3::prelude::*;

/// Adds what Python sees of it. Imports what unpacking will need: unpacking itself imports nothing.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    kind::load(module.py())?;
    sealing::load(module.py())?;
    module.add("UnpackError", module.py().get_type::<fault::UnpackError>())?;
    module.add_class::<pickle::PickleCodec>()?;
    module.add_class::<Sealing>()?;
    module.add_class::<identity::Keys>()?;
    module.add_function(wrap_pyfunction!(pack::pack, module)?)?;
    module.add_function(wrap_pyfunction!(pack::unpack, module)?)?;
    module.add_function(wrap_pyfunction!(pack::_checksum, module)?)?;
    module.add_function(wrap_pyfunction!(key::_encode_arguments, module)?)?;
    module.add_function(wrap_pyfunction!(identity::_storage_key, module)?)?;
    module.add_function(wrap_pyfunction!(identity::_epoch_key, module)?)?;
    module.add_function(wrap_pyfunction!(sealing::_sealing, module)?)?;
    module.add_function(wrap_pyfunction!(sealing::_sealing_epoch, module)?)
}
