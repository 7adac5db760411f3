//! gecaso caches the results of any function, sync or async, in one line.
//!
//! ```
//! # #[cfg(feature = "macros")] {
//! use gecaso::{LruStorage, cached};
//!
//! #[cached(LruStorage::new(16), ttl = 100)] // seconds
//! fn long_and_boring_function(time_to_sleep: u64) -> String {
//!     format!("I have slept for {time_to_sleep} second(s)!")
//! }
//!
//! long_and_boring_function(1); // runs the body
//! long_and_boring_function(1); // a hit
//! assert_eq!(long_and_boring_function::stats().hits, 1);
//! long_and_boring_function::invalidate(1);
//! # }
//! ```
//!
//! - `#[cached]` (feature `macros`, on by default) is the attribute; its page lists its words. A
//!   free function gets a handle of its own name; a method is found by `gecaso::handle`.
//! - [`Cache`] is the same by hand, to hold and pass around.
//! - [`MemoryStorage`] and [`LruStorage`] keep the entries. One storage may serve many functions,
//!   of different types, within one bound.
//! - `Storage` (feature `far`, on by default) is a storage of your own outside of the process, in
//!   three methods. `LruStorage::over` bounds it; `Far` puts it into a box with its own deadline.
//! - [`ManualClock`] stands in for time in tests.
//!
//! One body runs per key at a time; those who come meanwhile wait and share its result. What was
//! loaded before an invalidation is never given to a call that starts after it. A body that asks
//! for itself, by whatever way round, runs uncached instead of hanging. Nothing of yours runs
//! under a lock of ours.

#![forbid(unsafe_op_in_unsafe_fn)]
// Without the attribute, nobody calls what only its expansion needs.
#![cfg_attr(not(feature = "macros"), allow(dead_code, unreachable_pub))]
// The bans of clippy.toml are for what ships.
#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::disallowed_macros))]

#[cfg(all(feature = "macros", feature = "far"))]
pub use gecaso_macros::Key;
#[cfg(feature = "macros")]
pub use gecaso_macros::cached;

pub use crate::{
    builder::CacheBuilder,
    cache::{Cache, Iter},
    error::{BoxError, Error, Result},
    fail_closed::FailClosed,
    key::NearKey,
    lifetime::Lifetime,
    memory::{LruStorage, MemoryStorage, RemovalCause},
    outcome::Value,
    receipt::Receipt,
    reentry::{scope, scope_fn},
    stats::Stats,
    storage::IntoTier,
    time::ManualClock,
};

#[cfg(feature = "far")]
pub use crate::codec::{
    FarValue,
    key::{Key, KeyEncoder},
    pack, unpack,
};
#[cfg(feature = "far")]
pub use crate::far::{Far, FarStats, LruOver, Storage, Trouble};
#[cfg(feature = "far")]
pub use crate::params::{Param, Params};

#[cfg(feature = "macros")]
pub use crate::__private::method::{Handle, handle};

#[cfg(feature = "macros")]
#[doc(hidden)]
#[path = "private/mod.rs"]
pub mod __private;
mod blocking;
mod builder;
mod cache;
mod call;
#[cfg(feature = "far")]
mod codec;
mod error;
#[cfg(not(shuttle))]
#[doc(hidden)]
pub mod face;
mod fail_closed;
#[cfg_attr(not(feature = "far"), path = "far/off.rs")]
mod far;
mod flight;
mod key;
mod lane;
mod lifetime;
mod memory;
mod outcome;
#[cfg(feature = "far")]
mod params;
mod receipt;
mod reentry;
#[cfg(feature = "far")]
mod runner;
#[cfg(all(test, shuttle))]
mod shuttle_tests;
mod signal;
mod snapshot;
mod stats;
mod storage;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
// Stamps are for storages outside of the process.
#[cfg_attr(not(feature = "far"), allow(dead_code))]
mod time;

/// Compiles and runs every Rust block of the README.
#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// As [`Readme`], for the page about the old library.
#[cfg(all(doctest, feature = "macros", feature = "far"))]
#[doc = include_str!("../../../docs/from-python.md")]
struct FromPython;
