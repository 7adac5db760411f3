//! What a far storage was asked, and what came of it: counters, and the figures that users read.
//!
//! Counted by `object` and `part`. Nothing is decided by them.

use std::ops::Add;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! figures {
    ($($(#[$about:meta])* $figure:ident $counted:ident)*) => {
        /// What was asked of a storage outside of the process, and what came of it.
        ///
        /// Of one cache in [`Stats::far`](crate::Stats::far), of all that share a
        /// [`Far`](crate::Far) from [`Far::stats`](crate::Far::stats).
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct FarStats {
            $($(#[$about])* pub $figure: u64,)*
            /// Removals that have failed and are to be repeated. Until then this process does not
            /// believe the storage about their keys.
            pub owed: u64,
        }

        impl Add for FarStats {
            type Output = FarStats;

            /// The figures of two caches together.
            fn add(self, other: FarStats) -> FarStats {
                FarStats {
                    $($figure: self.$figure + other.$figure,)*
                    owed: self.owed + other.owed,
                }
            }
        }

        /// What is counted.
        #[derive(Debug, Clone, Copy)]
        pub(super) enum Count {
            $($counted),*
        }

        #[derive(Default)]
        pub(super) struct Counters {
            counts: [AtomicU64; [$(Count::$counted),*].len()],
        }

        impl Counters {
            pub(super) fn add(&self, what: Count) {
                self.counts[what as usize].fetch_add(1, Relaxed);
            }

            pub(super) fn snapshot(&self, owed: usize) -> FarStats {
                let of = |what: Count| self.counts[what as usize].load(Relaxed);
                FarStats { $($figure: of(Count::$counted),)* owed: owed as u64 }
            }
        }
    };
}

figures! {
    /// Entries found, and believed.
    hits Hit
    /// Looks that found nothing.
    misses Miss
    /// Entries found whose time was over.
    expired Expired
    /// Entries found that were damaged: a bit, the end, or all of it.
    corrupt Corrupt
    /// What was found was no entry of this cache: something else's bytes, or another key's entry.
    foreign Foreign
    /// Entries found that another version of gecaso, of the function or of the value's type had
    /// written.
    outdated Outdated
    /// Entries found that had been removed or cleared before, or whose time of writing is yet to
    /// come.
    disbelieved Disbelieved
    /// Entries written.
    sets Set
    /// Removals done.
    removes Remove
    /// Values that could not be encoded, or were too large.
    unencodable Unencodable
    /// Operations that failed.
    errors Error
    /// Operations that took longer than the deadline.
    timeouts Timeout
    /// Operations that were not tried, because the storage had failed too often just before, or the
    /// deadline of the call had passed.
    skipped Skipped
}
