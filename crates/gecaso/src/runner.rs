//! Threads that drive what nobody else drives: the far operations of synchronous callers, and those
//! that go on when the call that began them has ended.
//!
//! Called by `far`. Knows no storage: it gets futures. With the feature `tokio` the threads are
//! those of a tokio runtime of gecaso's own, so that clients which need one find it; without it
//! they are a few plain threads, begun when they are needed.

use crate::signal::Signal;
use crate::sync::{self, Mutex};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// A future on its way to another thread.
pub(crate) type Job<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What may be driven in the background.
pub(crate) trait Drivable: Future<Output: Send> + Unpin + Send + 'static {}
impl<F: Future<Output: Send> + Unpin + Send + 'static> Drivable for F {}

/// Drives a future to its end, in the background.
pub(crate) fn spawn(job: Job<()>) {
    threads::spawn(job);
}

/// Polls once, here, which is all that a future needs that does not wait. What waits goes to the
/// background, where `Err` waits for it.
pub(crate) fn begin<F: Drivable>(mut future: F) -> Result<F::Output, Apart<F>> {
    match poll_here(&mut future) {
        Poll::Ready(brought) => Ok(brought),
        Poll::Pending => Err(Apart::drive(future)),
    }
}

/// As [`begin`], where nobody waits for the end.
pub(crate) fn detach<F: Drivable<Output = ()>>(mut future: F) {
    if poll_here(&mut future).is_pending() {
        spawn(Box::pin(future));
    }
}

fn poll_here<F: Drivable>(future: &mut F) -> Poll<F::Output> {
    threads::inside(|| Pin::new(future).poll(&mut Context::from_waker(Waker::noop())))
}

/// Polls in the caller's own runtime, if it is in one, else in ours.
pub(crate) fn in_some_runtime<T>(act: impl FnOnce() -> T) -> T {
    threads::inside_some(act)
}

/// Waits for a future that is driven in the background.
///
/// Cancellation: dropped, it drops the future there.
pub(crate) struct Apart<F: Future> {
    shared: Arc<Shared<F>>,
}

struct Shared<F: Future> {
    state: Mutex<State<F>>,
    done: Signal<()>,
}

struct State<F: Future> {
    /// Taken out while it is polled: foreign code, outside of the lock.
    future: Option<F>,
    brought: Option<F::Output>,
    /// Wakes the thread that drives it, to see that nobody waits any more; `None` once nobody does.
    driver: Option<Waker>,
}

impl<F: Drivable> Apart<F> {
    fn drive(future: F) -> Self {
        let driver = Some(Waker::noop().clone());
        let state = State { future: Some(future), brought: None, driver };
        let shared = Arc::new(Shared { state: Mutex::new(state), done: Signal::new() });
        let driven = shared.clone();
        spawn(Box::pin(std::future::poll_fn(move |cx| driven.poll(cx))));
        Apart { shared }
    }

    /// What it brings.
    pub(crate) async fn brought(self) -> F::Output {
        self.shared.done.heard().await;
        let brought = sync::lock(&self.shared.state).brought.take();
        brought.expect("said when it is there, and asked for once")
    }
}

impl<F: Drivable> Shared<F> {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let (future, replaced) = {
            let mut state = sync::lock(&self.state);
            let is_wanted = state.driver.is_some();
            let replaced = is_wanted.then(|| state.driver.replace(waker));
            (state.future.take(), replaced)
        };
        drop(replaced);
        let Some(mut future) = future else { return Poll::Ready(()) };
        let polled = Pin::new(&mut future).poll(cx);
        let mut state = sync::lock(&self.state);
        match polled {
            Poll::Pending if state.driver.is_some() => {
                state.future = Some(future);
                return Poll::Pending;
            }
            Poll::Pending => {}
            Poll::Ready(brought) => state.brought = Some(brought),
        }
        drop(state);
        drop(future);
        self.done.say(());
        Poll::Ready(())
    }
}

impl<F: Future> Drop for Apart<F> {
    fn drop(&mut self) {
        let (future, driver) = {
            let mut state = sync::lock(&self.shared.state);
            (state.future.take(), state.driver.take())
        };
        drop(future);
        if let Some(driver) = driver {
            sync::wake(driver);
        }
    }
}

/// Whether a synchronous caller, while it waits, may hold up a runtime: one that is driven by its
/// thread alone. Without tokio nothing says that it is none.
pub(crate) fn may_hold_up_a_runtime() -> bool {
    threads::may_hold_up()
}

#[cfg(all(feature = "tokio", not(shuttle)))]
mod threads {
    use super::Job;
    use std::sync::OnceLock;
    use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};

    pub(super) fn may_hold_up() -> bool {
        Handle::try_current()
            .is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::CurrentThread)
    }

    /// Of the process, and never shut down: what is under way at its end ends with it.
    fn runtime() -> &'static Runtime {
        static RUNTIME: OnceLock<Runtime> = OnceLock::new();
        RUNTIME.get_or_init(|| {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(2).thread_name("gecaso-far").enable_all();
            builder.build().expect("a thread and a poller can be had")
        })
    }

    pub(super) fn spawn(job: Job<()>) {
        runtime().spawn(job);
    }

    /// In our runtime, even if the caller is in one of its own: a connection that is made now would
    /// be driven by that one, which waits for this call, or ends before the connection is done
    /// with.
    pub(super) fn inside<T>(act: impl FnOnce() -> T) -> T {
        let _ours = runtime().enter();
        act()
    }

    pub(super) fn inside_some<T>(act: impl FnOnce() -> T) -> T {
        let _ours = Handle::try_current().is_err().then(|| runtime().enter());
        act()
    }
}

#[cfg(shuttle)]
mod threads {
    use super::Job;

    pub(super) fn spawn(job: Job<()>) {
        crate::sync::thread::spawn(move || crate::blocking::block_on(std::pin::pin!(job)));
    }

    pub(super) fn inside<T>(act: impl FnOnce() -> T) -> T {
        act()
    }

    pub(super) fn may_hold_up() -> bool {
        true
    }

    pub(super) fn inside_some<T>(act: impl FnOnce() -> T) -> T {
        act()
    }
}

#[cfg(all(not(feature = "tokio"), not(shuttle)))]
mod threads {
    use super::Job;
    use crate::sync::{self, Condvar, Mutex};
    use std::collections::VecDeque;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::{Arc, OnceLock, PoisonError};
    use std::task::{Context, Wake, Waker};

    /// So many at most: one more is begun if work comes and none is free, since a storage may
    /// block the thread that polls it.
    const THREADS: usize = 8;

    struct Pool {
        queue: Mutex<Queue>,
        more: Condvar,
    }

    #[derive(Default)]
    struct Queue {
        tasks: VecDeque<Arc<Task>>,
        threads: usize,
        free: usize,
    }

    struct Task {
        state: Mutex<TaskState>,
    }

    struct TaskState {
        /// Taken out while it is polled: foreign code, outside of the lock.
        job: Option<Job<()>>,
        turn: Turn,
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Turn {
        /// Waits to be woken.
        Rests,
        /// In the queue.
        Waits,
        /// A thread polls it.
        Runs,
        /// A thread polls it, and it was woken meanwhile: it is queued again after that.
        RunsAndIsWoken,
    }

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            let mut state = sync::lock(&self.state);
            match state.turn {
                Turn::Waits | Turn::RunsAndIsWoken => {}
                Turn::Runs => state.turn = Turn::RunsAndIsWoken,
                Turn::Rests => {
                    state.turn = Turn::Waits;
                    drop(state);
                    pool().push(self);
                }
            }
        }
    }

    fn pool() -> &'static Pool {
        static POOL: OnceLock<Pool> = OnceLock::new();
        POOL.get_or_init(|| Pool { queue: Mutex::default(), more: Condvar::new() })
    }

    pub(super) fn spawn(job: Job<()>) {
        let state = TaskState { job: Some(job), turn: Turn::Waits };
        pool().push(Arc::new(Task { state: Mutex::new(state) }));
    }

    pub(super) fn inside<T>(act: impl FnOnce() -> T) -> T {
        act()
    }

    pub(super) fn may_hold_up() -> bool {
        true
    }

    pub(super) fn inside_some<T>(act: impl FnOnce() -> T) -> T {
        act()
    }

    impl Pool {
        fn push(&'static self, task: Arc<Task>) {
            let mut queue = sync::lock(&self.queue);
            queue.tasks.push_back(task);
            let wants_one = queue.free < queue.tasks.len() && queue.threads < THREADS;
            queue.threads += usize::from(wants_one);
            drop(queue);
            self.more.notify_one();
            if wants_one {
                let run = move || self.run();
                let begun = std::thread::Builder::new().name("gecaso-far".into()).spawn(run);
                if begun.is_err() {
                    // Fewer threads, then; with none at all, callers are freed by their deadlines.
                    sync::lock(&self.queue).threads -= 1;
                }
            }
        }

        fn run(&self) {
            let mut queue = sync::lock(&self.queue);
            loop {
                if let Some(task) = queue.tasks.pop_front() {
                    drop(queue);
                    poll(task);
                    queue = sync::lock(&self.queue);
                } else {
                    queue.free += 1;
                    queue = self.more.wait(queue).unwrap_or_else(PoisonError::into_inner);
                    queue.free -= 1;
                }
            }
        }
    }

    fn poll(task: Arc<Task>) {
        let job = {
            let mut state = sync::lock(&task.state);
            state.turn = Turn::Runs;
            state.job.take()
        };
        let Some(mut job) = job else { return };
        let waker = Waker::from(task.clone());
        let mut context = Context::from_waker(&waker);
        let polled = catch_unwind(AssertUnwindSafe(|| job.as_mut().poll(&mut context)));
        // One that has panicked has ended. Its drop is foreign code, too.
        if !polled.is_ok_and(|polled| polled.is_pending()) {
            let _ = catch_unwind(AssertUnwindSafe(|| drop(job)));
            return;
        }
        let mut state = sync::lock(&task.state);
        state.job = Some(job);
        let is_woken = state.turn == Turn::RunsAndIsWoken;
        state.turn = if is_woken { Turn::Waits } else { Turn::Rests };
        drop(state);
        if is_woken {
            pool().push(task);
        }
    }
}
