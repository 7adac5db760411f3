//! A barrier between many who read and few who write, paid for by those who write.
//!
//! Each side stores, and then loads what the other side stores; at least one of the two must see
//! the other's store. Usually both need a fence in between. Where the system can make every thread
//! of the process pass a fence ([`heavy`], Linux's membarrier), a reader needs none.
//!
//! Used by `lanes`. Knows nothing of what is read.

use crate::sync::atomic::{AtomicU64, Ordering, compiler_fence, fence};

/// Whether this runs on a machine: what checks it has no memory barriers but fences.
const REAL: bool = !cfg!(any(miri, shuttle, gecaso_loom));

/// What a reader does between its store and its loads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Barrier {
    /// A fence.
    Own,
    /// Nothing: who writes calls [`heavy`].
    OfWriters,
}

impl Barrier {
    /// The best there is for readers, where those who write can wait.
    pub(super) fn of_writers() -> Self {
        if system::is_ready() { Barrier::OfWriters } else { Barrier::Own }
    }

    /// A reader stores `value`, where nobody else does, and passes the barrier. Who reads that
    /// value sees what the reader did before: a store by the same thread alone would not hand on
    /// what an earlier one released.
    #[inline]
    pub(super) fn announce(self, place: &AtomicU64, value: u64) {
        match self {
            Barrier::OfWriters => {
                place.store(value, Ordering::Release);
                compiler_fence(Ordering::SeqCst);
            }
            // On x86 an exchange is a fence, and cheaper than the instruction of that name.
            Barrier::Own if cfg!(target_arch = "x86_64") && REAL => {
                place.swap(value, Ordering::SeqCst);
                compiler_fence(Ordering::SeqCst);
            }
            Barrier::Own => {
                place.store(value, Ordering::Release);
                fence(Ordering::SeqCst);
            }
        }
    }

    /// Who writes passes the barrier; false if the system refused, and nothing is known of readers.
    pub(super) fn look(self) -> bool {
        fence(Ordering::SeqCst);
        self == Barrier::Own || system::heavy()
    }
}

#[cfg(all(target_os = "linux", not(any(miri, shuttle, gecaso_loom))))]
mod system {
    #![allow(unsafe_code)]

    use std::sync::OnceLock;

    fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: the system call takes numbers alone, and changes no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    /// Whether this process may call `heavy`; asks the system once.
    pub(super) fn is_ready() -> bool {
        static READY: OnceLock<bool> = OnceLock::new();
        *READY.get_or_init(|| {
            membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED as libc::c_int) && heavy()
        })
    }

    /// Every thread of this process that runs now passes a fence before this returns.
    pub(super) fn heavy() -> bool {
        membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED as libc::c_int)
    }
}

#[cfg(not(all(target_os = "linux", not(any(miri, shuttle, gecaso_loom)))))]
mod system {
    pub(super) fn is_ready() -> bool {
        false
    }

    pub(super) fn heavy() -> bool {
        false
    }
}
