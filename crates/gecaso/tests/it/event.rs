//! Events that tests wait for, blocking or not, and bounds on what could hang: instead of sleeps.
//!
//! Used by every other file of this binary; knows nothing of caches.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Longer than anything here takes on a busy machine: what is not there by then never comes.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A count that goes up; threads and tasks wait until it has got somewhere. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Count {
    state: Arc<(Mutex<Reached>, Condvar)>,
}

/// The count, and the tasks that wait for it.
type Reached = (usize, Vec<Waker>);

impl Count {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds one; returns how many there were before.
    pub(crate) fn up(&self) -> usize {
        let (lock, moved) = &*self.state;
        let mut state = lock.lock().unwrap();
        state.0 += 1;
        let before = state.0 - 1;
        let wakers = std::mem::take(&mut state.1);
        drop(state);
        moved.notify_all();
        wakers.into_iter().for_each(Waker::wake);
        before
    }

    pub(crate) fn now(&self) -> usize {
        self.state.0.lock().unwrap().0
    }

    /// Blocks until the count is `n`.
    #[track_caller]
    pub(crate) fn wait_for(&self, n: usize) {
        let (lock, moved) = &*self.state;
        let short = |state: &mut (usize, Vec<Waker>)| state.0 < n;
        let (state, out) = moved.wait_timeout_while(lock.lock().unwrap(), LIMIT, short).unwrap();
        let now = state.0;
        drop(state);
        assert!(!out.timed_out(), "waited for {n}, only {now} came");
    }

    /// Ready once the count is `n`.
    pub(crate) async fn reaches(&self, n: usize) {
        poll_fn(|cx| {
            let mut state = self.state.0.lock().unwrap();
            if state.0 >= n {
                return Poll::Ready(());
            }
            state.1.push(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Adds one and waits until all `n` are there, all at once.
    #[track_caller]
    pub(crate) fn meet(&self, n: usize) {
        self.up();
        self.wait_for(n);
    }

    /// As [`meet`](Self::meet), for tasks.
    pub(crate) async fn meets(&self, n: usize) {
        self.up();
        self.reaches(n).await;
    }
}

/// Runs `act` on a thread of its own, and fails if it hangs.
#[track_caller]
pub(crate) fn within_limit<R: Send + 'static>(act: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, ended) = mpsc::channel();
    let worker = std::thread::spawn(move || {
        let result = act();
        let _ = done.send(());
        result
    });
    match ended.recv_timeout(LIMIT) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("hangs"),
        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        },
    }
}

/// Spins, leaving the core to others, until `reached`.
#[track_caller]
pub(crate) fn until(mut reached: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !reached() {
        assert!(begun.elapsed() < LIMIT, "never came");
        std::thread::yield_now();
    }
}

/// Leaves the core to others for a while. Where it matters that they use it, a test must say how it
/// would notice if they did not.
pub(crate) fn pause() {
    (0..100).for_each(|_| std::thread::yield_now());
}

/// A future driven step by step, so that a test decides who is polled when.
pub(crate) struct Driven<'a, T> {
    future: Option<Pin<Box<dyn Future<Output = T> + 'a>>>,
    woken: Arc<Woken>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl<'a, T> Driven<'a, T> {
    pub(crate) fn new(future: impl Future<Output = T> + 'a) -> Self {
        Driven { future: Some(Box::pin(future)), woken: Arc::new(Woken(AtomicBool::new(false))) }
    }

    /// Polls once.
    pub(crate) fn poll(&mut self) -> Poll<T> {
        self.woken.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(self.woken.clone());
        let future = self.future.as_mut().expect("neither ready before nor cancelled");
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_ready() {
            self.future = None;
        }
        polled
    }

    /// Polls once, and is pending.
    #[track_caller]
    pub(crate) fn pends(&mut self) {
        assert!(self.poll().is_pending(), "should wait");
    }

    /// Polls once, and is ready.
    #[track_caller]
    pub(crate) fn ready(&mut self) -> T {
        match self.poll() {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("should be ready"),
        }
    }

    /// Whether somebody woke it since it was last polled.
    pub(crate) fn is_woken(&self) -> bool {
        self.woken.0.load(Ordering::SeqCst)
    }

    /// Whether it was ready, or cancelled.
    pub(crate) fn is_done(&self) -> bool {
        self.future.is_none()
    }

    /// Drops the future.
    pub(crate) fn cancel(&mut self) {
        drop(self.future.take());
    }

    /// Leaks the future, as a task that is never polled again.
    pub(crate) fn forget(&mut self) {
        std::mem::forget(self.future.take());
    }
}

/// How often a test that repeats itself does so: `quick`, times `GECASO_STRESS`.
pub(crate) fn rounds(quick: usize) -> usize {
    let times = std::env::var("GECASO_STRESS").ok().and_then(|n| n.parse().ok());
    quick * times.unwrap_or(1)
}

/// A small generator of numbers for the tests that want disorder: splitmix64.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}
