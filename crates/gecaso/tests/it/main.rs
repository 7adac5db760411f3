//! Behaviour of the library as its users meet it: one binary, one file per behaviour.
//!
//! What each test proves is listed in `docs/contract.md`. `GECASO_STRESS=n` makes the tests that
//! repeat themselves do so n times as often.

mod event;
mod runtime;
mod storages;

mod allocations;
mod borrowed;
mod bounds;
mod churn;
mod contract;
mod expiry;
mod foreign_code;
mod futures_are_send;
mod hashers;
mod hit_ratio;
mod hits_and_misses;
mod invalidation;
mod keys;
mod layers;
mod lifetimes;
mod linearizable;
mod model;
mod panic_and_cancel;
mod panicking_types;
mod reentry;
mod removals;
mod shared_and_dropped;
mod shared_bound;
mod stampede;
mod statistics;
mod torn;
mod walks;
mod weights;

#[cfg(feature = "macros")]
mod macro_arguments;
#[cfg(feature = "macros")]
mod macro_entries;
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

#[cfg(feature = "far")]
mod elsewhere;
#[cfg(feature = "far")]
mod envelopes;
#[cfg(feature = "far")]
mod samples;
#[cfg(feature = "far")]
mod scripted;
#[cfg(feature = "testing")]
mod targets;

#[cfg(feature = "far")]
mod far_calls;
#[cfg(feature = "far")]
mod far_codec;
#[cfg(feature = "far")]
mod far_drift;
#[cfg(feature = "far")]
mod far_failures;
#[cfg(feature = "far")]
mod far_hostile;
#[cfg(feature = "far")]
mod far_invalidation;
#[cfg(feature = "far")]
mod far_keys;
#[cfg(all(feature = "far", feature = "macros"))]
mod far_macro;
#[cfg(feature = "far")]
mod far_python;
#[cfg(all(feature = "far", feature = "macros"))]
mod seed_readme;

#[cfg(feature = "testing")]
mod far_chaos;
#[cfg(feature = "testing")]
mod far_conformance;
#[cfg(feature = "testing")]
mod far_fuzz;
#[cfg(feature = "testing")]
mod far_health;
#[cfg(feature = "testing")]
mod far_linearizable;
#[cfg(feature = "testing")]
mod far_lru;
#[cfg(feature = "testing")]
mod far_storm;
