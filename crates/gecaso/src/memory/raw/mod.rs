//! Entries that are read without a lock: the unsafe part of the storages in memory.
//!
//! ```text
//!   part --> lanes: who reads now              reader: goes inside, finds a place, copies what is
//!     `----> shards --> array --> buckets              in it, looks whether somebody wrote
//!                                              writer: lock; changes the place and its version;
//!                                                      drops what was there when all have left
//! ```
//!
//! What keeps it sound:
//!
//! - Who writes to a shard has its lock. What is in a place is believed if the version of its
//!   bucket is the same after reading as before.
//! - A place has an entry with nothing to drop, or a pointer to one. What was pointed to and cannot
//!   be found any more is dropped when everybody who was inside then has left, and nobody holds it
//!   (`lanes`). The same goes for an array that was replaced.
//! - No foreign code runs inside or under the lock, so neither lasts.
//!
//! `table` uses it, by functions that are safe. Knows no policy's rules and no clock.

mod array;
mod barrier;
mod buckets;
mod by_slot;
mod filling;
mod lanes;
#[cfg(all(test, gecaso_loom))]
mod loom_tests;
#[cfg(any(shuttle, gecaso_loom))]
mod modelled;
mod shard;
#[cfg(all(test, not(any(shuttle, gecaso_loom))))]
mod tests;
mod writing;

pub(super) use array::{First, Found};
pub(super) use buckets::may_lie_inline;
pub(super) use shard::{About, Held, Part, Reading};
pub(super) use writing::Writing;
