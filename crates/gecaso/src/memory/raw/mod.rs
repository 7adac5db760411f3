//! Entries that are read without a lock: the unsafe part of the storages in memory.
//!
//! ```text
//!   part --> lanes: who reads now           reader: goes inside, follows index and slot
//!     `----> shards --> index --> slots     writer: lock; fills a slot, then links it; or unlinks
//!                                           it, waits until all have left, then empties it
//! ```
//!
//! What keeps it sound:
//!
//! - Who writes to a shard has its lock. A slot is filled while nobody can reach it, and its
//!   content is never changed.
//! - A slot is found by the index alone, inside or under the lock. A slot that was taken out of the
//!   index is emptied when everybody who was inside then has left, and nobody holds it (`lanes`).
//! - The same goes for an index that was replaced.
//! - No foreign code runs inside or under the lock, so neither lasts.
//!
//! `table` uses it, by functions that are safe. Knows entries as `T`: no key, no value, no clock.

mod barrier;
mod index;
mod lanes;
mod shard;
mod slab;
mod writing;

pub(super) use shard::{About, Found, Held, Part};
pub(super) use writing::Writing;
