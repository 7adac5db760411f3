//! How a synchronous caller waits: polls, and parks its thread meanwhile.
//!
//! Called by `call`, for another one's flight or a far storage, and by receipts. Knows neither
//! flights nor keys.

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::thread::{self, Thread};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// Wakes a parked thread.
struct Parker {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.thread.unpark();
        }
    }
}

/// How threads park in a process whose language has a lock of its own to let go of meanwhile.
#[cfg(not(shuttle))]
static PARK: std::sync::OnceLock<fn()> = std::sync::OnceLock::new();

/// From now on threads park by `park`, which may return at any time, for no reason, or unwind: then
/// the call that waits is over. Only the first one counts.
#[cfg(not(shuttle))]
pub(crate) fn park_by(park: fn()) {
    let _ = PARK.set(park);
}

fn park() {
    #[cfg(not(shuttle))]
    if let Some(park) = PARK.get() {
        return park();
    }
    thread::park();
}

/// Runs `future` to its end on this thread.
///
/// The first poll uses a waker that does nothing, because a flight may have landed by now: only
/// those who really wait pay for a waker. A future that is pending registers again at the second
/// poll, before the thread parks, so no wake-up is lost.
pub(crate) fn block_on<F: Future>(mut future: Pin<&mut F>) -> F::Output {
    if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        return output;
    }
    let parker = Arc::new(Parker { thread: thread::current(), woken: AtomicBool::new(false) });
    let waker = Waker::from(parker.clone());
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        while !parker.woken.swap(false, Ordering::AcqRel) {
            park();
        }
    }
}
