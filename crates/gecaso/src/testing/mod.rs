//! For the tests of your own storages, and of what you build on them: feature `testing`.
//!
//! [`check_storage`] asks a storage for everything that gecaso relies on; [`Chaos`] wraps any
//! storage and makes it fail, stall, lie and panic by probability and seed. Nothing else of the
//! library uses this module.

mod chaos;
mod conformance;
#[doc(hidden)]
pub mod fuzz;

pub use chaos::{Chaos, ChaosCounts, Operation};
pub use conformance::{check_storage, check_storage_async};
