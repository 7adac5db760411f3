//! How keys and values become bytes, for storages outside of the process.
//!
//! Called by whatever speaks to such a storage. Knows no storage, no call and no flight.

pub(crate) mod envelope;
pub(crate) mod key;
pub(crate) mod limits;
pub(crate) mod msgpack;
mod pack;
mod value;

pub use pack::{pack, unpack};
pub use value::FarValue;
