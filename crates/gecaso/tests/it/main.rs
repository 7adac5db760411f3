//! Behaviour of the library as its users meet it: one binary, one file per behaviour.
//!
//! What each test proves is listed in `docs/contract.md`. `GECASO_STRESS=n` makes the tests that
//! repeat themselves do so n times as often.

mod event;
mod runtime;
mod storages;

mod allocations;
mod bounds;
mod contract;
mod expiry;
mod foreign_code;
mod futures_are_send;
mod hit_ratio;
mod hits_and_misses;
mod invalidation;
mod keys;
mod layers;
mod linearizable;
mod model;
mod panic_and_cancel;
mod panicking_types;
mod reentry;
mod shared_and_dropped;
mod shared_bound;
mod stampede;
mod statistics;

#[cfg(feature = "macros")]
mod macro_arguments;
#[cfg(feature = "macros")]
mod macro_handles;
#[cfg(feature = "macros")]
mod macro_neighbours;
#[cfg(feature = "macros")]
mod macro_results;
#[cfg(feature = "macros")]
mod macro_shapes;
#[cfg(feature = "macros")]
mod macro_words;
