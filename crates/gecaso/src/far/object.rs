//! A far storage as this process uses it: its deadline, its breakers, its counters.
//!
//! `Far` is the handle that users hold; functions attach their `part`s to it. What has failed is
//! repeated by the `caretaker`. Knows no call, no flight, and no type of keys and values.

use super::Storage;
use super::breaker::{Breakers, Method};
use super::erased::{Erased, Operation};
use super::part::Part;
use super::stats::{Count, Counters, FarStats};
use crate::codec::limits::Limits;
use crate::error::BoxError;
use crate::reentry;
use crate::runner;
use crate::sync::atomic::{AtomicBool, Ordering::SeqCst};
use crate::sync::{self, Mutex};
use crate::time::{Clock, ManualClock, Nanos, after};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

mod caretaker;

/// A storage outside of the process, whatever its type: with choices of its own, shared by as many
/// functions as you like.
///
/// A storage may be given to a cache as it is; then it has all of this by default. Take a `Far` to
/// choose the storage at run time, to set its deadline, or to share it: functions that use clones
/// of one `Far` share what is known about the storage's health. Each function has entries of its
/// own.
///
/// A `Far` is best the outermost of what is put around a storage: `Far::new(LruStorage::over(
/// storage, 1_000)).deadline(..)`. With a `Far` inside of [`LruStorage::over`], of
/// `testing::Chaos` or of another `Far`, its choices hold for the whole, unless the outer one
/// makes others; its figures do not: they are those of the outermost, or of the cache. Inside of a
/// storage of your own it is the storage that it was made of, and its choices are not used.
///
/// [`LruStorage::over`]: crate::LruStorage::over
///
/// ```
/// # use gecaso::{Params, Result, Storage};
/// # use std::{collections::HashMap, sync::Mutex};
/// # #[derive(Default)]
/// # struct Elsewhere(Mutex<HashMap<String, Vec<u8>>>);
/// # impl Storage for Elsewhere {
/// #     async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
/// #         Ok(self.0.lock().unwrap().get(key).cloned())
/// #     }
/// #     async fn set(&self, key: &str, value: &[u8], _: &Params) -> Result<()> {
/// #         self.0.lock().unwrap().insert(key.to_owned(), value.to_vec());
/// #         Ok(())
/// #     }
/// #     async fn remove(&self, keys: &[&str]) -> Result<()> {
/// #         keys.iter().for_each(|key| drop(self.0.lock().unwrap().remove(*key)));
/// #         Ok(())
/// #     }
/// # }
/// use gecaso::{Cache, Far};
/// use std::time::Duration;
///
/// let far = Far::new(Elsewhere::default()).deadline(Duration::from_millis(20));
/// let names: Cache<u64, String> = Cache::builder().storage(far.clone()).name("names").build();
/// let sizes: Cache<String, u64> = Cache::builder().storage(far.clone()).name("sizes").build();
/// names.get_with(&1, || "one".into());
/// sizes.get_with("one", || 3);
/// assert_eq!((names.stats().far.sets, sizes.stats().far.sets), (2, 2)); // an epoch and an entry
/// assert_eq!(far.stats().sets, 4);
/// ```
#[derive(Clone)]
pub struct Far {
    object: Arc<Object>,
}

pub(super) struct Object {
    storage: Arc<dyn Erased>,
    options: Options,
    breakers: Breakers,
    counters: Counters,
    parts: Mutex<Vec<Weak<Part>>>,
    /// Parts that owe something, kept until it is paid even if no cache uses them any more.
    owing: Mutex<Vec<Arc<Part>>>,
    /// Whether a caretaker is at work.
    is_tended: AtomicBool,
    /// Whether something was answered after failures, which the caretaker has not seen yet.
    has_recovered: AtomicBool,
    /// Whether it has been told what a synchronous call may hold up.
    has_hinted: AtomicBool,
    /// Whether standard error has been told that the storage is given up.
    has_told: AtomicBool,
}

#[derive(Clone)]
struct Options {
    clock: Clock,
    deadline: Duration,
    limits: Limits,
    listener: Option<Listener>,
}

type Listener = Arc<dyn Fn(&Trouble<'_>) + Send + Sync>;

/// Something that a far storage, or a value on its way there, did not do. Calls go on without it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Trouble<'a> {
    /// An operation failed.
    Failed {
        /// `"get"`, `"set"` or `"remove"`.
        operation: &'static str,
        /// What the storage said, or that it took too long.
        error: &'a (dyn std::error::Error + 'static),
    },
    /// So many operations of this kind in a row have failed that the storage is not asked for them
    /// until it answers again. A full disk takes no `set`, and goes on with `get` and `remove`.
    Opened {
        /// The last one.
        operation: &'static str,
        /// Why that failed.
        error: &'a (dyn std::error::Error + 'static),
    },
    /// The storage answers again.
    Closed {
        /// What it was not asked for meanwhile.
        operation: &'static str,
    },
    /// A value cannot be kept far away: it cannot be encoded, or is too large. Reported once for
    /// each function.
    Unencodable {
        /// The name of the cache.
        function: &'a str,
        /// Why.
        error: &'a (dyn std::error::Error + 'static),
    },
}

impl fmt::Display for Trouble<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Failed { operation, error } => write!(f, "`{operation}` failed: {error}"),
            Trouble::Opened { operation, error } => write!(
                f,
                "`{operation}` has failed so often that the storage is not asked for it until it \
                 answers; the last time: {error}"
            ),
            Trouble::Closed { operation } => write!(f, "`{operation}` is answered again"),
            Trouble::Unencodable { function, error } => {
                write!(f, "a value of `{function}` cannot be kept outside of the process: {error}")
            }
        }
    }
}

/// Where an operation is driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// By whoever awaits it.
    Here,
    /// By this thread at first, and by one of gecaso's if it has to wait: the caller parks.
    Apart,
}

/// Why an operation brought nothing.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    Said(String),
    TimedOut(Duration),
    /// As `TimedOut`, and its caller may have held up what would have answered.
    HeldUp(Duration),
    /// It was not tried.
    Skipped,
}

impl Failure {
    /// The storage's own error as a text, at once: showing and dropping it is foreign code, which
    /// may even panic.
    pub(super) fn said(error: BoxError) -> Failure {
        let text = catch_unwind(AssertUnwindSafe(move || error.to_string()));
        Failure::Said(text.unwrap_or_else(|_| "an error that panics when it is shown".into()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Said(error) => write!(f, "{error}"),
            Failure::TimedOut(limit) => write!(f, "no answer within {limit:?}"),
            Failure::HeldUp(limit) => write!(
                f,
                "no answer within {limit:?} to a synchronous call: if the thread of that call \
                 drives the runtime in which the storage's connection was made, it has held up \
                 its own answer; call from `spawn_blocking`, or await an `async fn`"
            ),
            Failure::Skipped => f.write_str("it has failed too often and was not asked"),
        }
    }
}

impl std::error::Error for Failure {}

/// How long one call may wait for the storage, all its operations together.
pub(crate) struct Budget {
    pub(super) left: Duration,
}

impl Far {
    /// How long one call waits for the storage at most, unless told otherwise.
    pub const DEFAULT_DEADLINE: Duration = Duration::from_millis(100);

    /// A storage with the choices of this type: all of them by default, or those of a `Far` inside.
    pub fn new<S: Storage>(storage: S) -> Self {
        let default = || Options {
            clock: Clock::System,
            deadline: Self::DEFAULT_DEADLINE,
            limits: Limits::default(),
            listener: None,
        };
        let inside = storage.as_far().map(|far| far.object.options.clone());
        Self::with(Arc::new(storage), inside.unwrap_or_else(default))
    }

    /// The choices of this one around another storage, which this is inside of.
    pub(crate) fn around<S: Storage>(&self, storage: S) -> Self {
        Self::with(Arc::new(storage), self.object.options.clone())
    }

    fn with(storage: Arc<dyn Erased>, options: Options) -> Self {
        let object = Object {
            storage,
            options,
            breakers: Breakers::default(),
            counters: Counters::default(),
            parts: Mutex::new(Vec::new()),
            owing: Mutex::new(Vec::new()),
            is_tended: AtomicBool::new(false),
            has_recovered: AtomicBool::new(false),
            has_hinted: AtomicBool::new(false),
            has_told: AtomicBool::new(false),
        };
        Far { object: Arc::new(object) }
    }

    /// What a storage expression gives: a `Far` stays what it is.
    pub(super) fn of<S: Storage>(storage: S) -> Self {
        storage.as_far().unwrap_or_else(|| Far::new(storage))
    }

    fn but(self, change: impl FnOnce(&mut Options)) -> Self {
        let mut options = self.object.options.clone();
        change(&mut options);
        Self::with(self.object.storage.clone(), options)
    }

    /// How long one call waits for the storage at most, all operations together; then it goes on
    /// without. By default [`Far::DEFAULT_DEADLINE`]. This and the other choices make another
    /// `Far` over the same storage: choose first, then share.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        self.but(|options| options.deadline = deadline)
    }

    /// The most that a value may take, in bytes: 16 MiB by default. Larger ones are not stored, and
    /// what claims to be larger is not read.
    #[must_use]
    pub fn max_value(self, bytes: usize) -> Self {
        self.but(|options| options.limits.value = bytes)
    }

    /// Is told of what goes wrong, in the thread where it does; must not block. Without a listener
    /// values that cannot be stored, the first time that the storage is given up, and the first
    /// time-out of a synchronous call are told on standard error.
    #[must_use]
    pub fn on_trouble(self, listener: impl Fn(&Trouble<'_>) + Send + Sync + 'static) -> Self {
        self.but(|options| options.listener = Some(Arc::new(listener)))
    }

    /// On a clock in a test's hand: deadlines, lifetimes and what is tried again follow it.
    #[must_use]
    pub fn with_clock(self, clock: &ManualClock) -> Self {
        self.but(|options| options.clock = Clock::Manual(clock.clone()))
    }

    /// What was asked of the storage so far, by all who share this `Far`.
    pub fn stats(&self) -> FarStats {
        let owed = self.object.parts().iter().map(|part| part.owed()).sum();
        self.object.counters.snapshot(owed)
    }

    /// Whether the storage is left alone for now, because it has failed too often: not asked for
    /// one of `get`, `set` and `remove` at least.
    pub fn is_given_up(&self) -> bool {
        self.object.breakers.is_any_open()
    }

    pub(super) fn object(&self) -> &Arc<Object> {
        &self.object
    }

    /// Whether anything is still to be done in the background.
    #[cfg(all(test, shuttle))]
    pub(crate) fn is_busy(&self) -> bool {
        let owes = |part: &Arc<Part>| part.owes();
        let is_tended = self.object.is_tended.load(SeqCst);
        is_tended || self.is_writing() || self.object.parts().iter().any(owes)
    }

    /// Whether a write is under way, or waits.
    #[cfg(all(test, shuttle))]
    pub(crate) fn is_writing(&self) -> bool {
        self.object.parts().iter().any(|part| part.is_writing())
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.object.options.clock
    }
}

impl fmt::Debug for Far {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("Far");
        f.field("deadline", &self.object.options.deadline).field("stats", &self.stats()).finish()
    }
}

/// As the storage itself, past deadline and breaker: so that something can be put around it.
impl Storage for Far {
    async fn get(&self, key: &str) -> crate::Result<Option<Vec<u8>>> {
        self.object.storage.clone().get(key.into()).await
    }
    async fn set(&self, key: &str, value: &[u8], params: &crate::Params) -> crate::Result<()> {
        self.object.storage.clone().set(key.into(), value.into(), Arc::new(params.clone())).await
    }
    async fn remove(&self, keys: &[&str]) -> crate::Result<()> {
        let keys = keys.iter().map(|key| Arc::from(*key)).collect();
        self.object.storage.clone().remove(keys).await
    }
    fn as_far(&self) -> Option<Far> {
        Some(self.clone())
    }
}

impl Object {
    pub(super) fn storage(&self) -> Arc<dyn Erased> {
        self.storage.clone()
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.options.clock
    }

    pub(super) fn deadline(&self) -> Duration {
        self.options.deadline
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.options.limits
    }

    pub(super) fn count(&self, what: Count) {
        self.counters.add(what);
    }

    /// Whether operations of this kind are tried.
    pub(super) fn takes(&self, method: Method) -> bool {
        !self.breakers.of(method).is_open()
    }

    /// The parts of the functions that use this storage.
    fn parts(&self) -> Vec<Arc<Part>> {
        sync::lock(&self.parts).iter().filter_map(Weak::upgrade).collect()
    }

    /// The part of this name, shared by all who attach under it.
    pub(super) fn part(
        &self,
        is: impl Fn(&Part) -> bool,
        make: impl FnOnce() -> Part,
    ) -> Arc<Part> {
        let mut parts = sync::lock(&self.parts);
        parts.retain(|part| part.strong_count() > 0);
        let found = parts.iter().filter_map(Weak::upgrade).find(|part| is(part));
        found.unwrap_or_else(|| {
            let part = Arc::new(make());
            parts.push(Arc::downgrade(&part));
            part
        })
    }

    /// Reads, within the budget of a call.
    pub(super) async fn read(
        self: &Arc<Self>,
        operation: Operation<Option<Vec<u8>>>,
        mode: Mode,
        budget: &mut Budget,
    ) -> Result<Option<Vec<u8>>, Failure> {
        if !self.takes(Method::Get) || budget.left.is_zero() {
            return Err(Failure::Skipped);
        }
        let (begun, limit, chain) = (self.clock().now(), budget.left, operation.chain());
        let alarm = self.clock().alarm(after(begun, limit));
        let read = match mode {
            Mode::Here => alarm.unless(operation).await,
            Mode::Apart => match runner::begin(operation) {
                Ok(read) => Some(read),
                Err(apart) => alarm.unless(apart.brought()).await,
            },
        };
        let took = budget.spend(begun, self.clock().now());
        let outcome = match read {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => Err(Failure::said(error)),
            None if mode == Mode::Apart && self.hints() => Err(Failure::HeldUp(limit)),
            None => Err(Failure::TimedOut(limit)),
        };
        // One that blocks the thread is not cut off: its answer counts, and it is as slow as if it
        // had been. The listener is foreign code, which cannot wait for this flight.
        let _inside = chain.map(reentry::enter);
        let late = Failure::TimedOut(limit);
        self.judge(
            Method::Get,
            match &outcome {
                Ok(_) if took > limit => Some(&late),
                outcome => outcome.as_ref().err(),
            },
        );
        outcome
    }

    /// Whether a time-out of a synchronous call is to say what may be the reason: the first one,
    /// if the caller may be it.
    fn hints(&self) -> bool {
        runner::may_hold_up_a_runtime() && !self.has_hinted.swap(true, SeqCst)
    }

    /// An operation has ended.
    pub(super) fn judge(self: &Arc<Self>, method: Method, failure: Option<&Failure>) {
        let breaker = self.breakers.of(method);
        let Some(error) = failure else {
            if breaker.answered() {
                self.has_recovered.store(true, SeqCst);
            }
            return;
        };
        if matches!(error, Failure::Skipped) {
            return;
        }
        let operation = method.name();
        let failed = Trouble::Failed { operation, error };
        match error {
            Failure::HeldUp(_) if self.options.listener.is_none() => tell(&failed),
            _ => self.report(&failed),
        }
        if breaker.failed() {
            self.report(&Trouble::Opened { operation, error });
            self.begin_to_tend();
        }
    }

    pub(super) fn report(&self, trouble: &Trouble<'_>) {
        match (&self.options.listener, trouble) {
            (Some(listener), trouble) => {
                // One that panics is its owner's business; the panic hook has reported it.
                let _ = catch_unwind(AssertUnwindSafe(|| listener(trouble)));
            }
            (None, Trouble::Failed { .. } | Trouble::Closed { .. }) => {}
            (None, Trouble::Opened { .. }) if self.has_told.swap(true, SeqCst) => {}
            (None, trouble) => tell(trouble),
        }
    }

    /// Sees to it that what a part owes is paid.
    pub(super) fn tend(self: &Arc<Self>, part: &Arc<Part>) {
        let mut owing = sync::lock(&self.owing);
        if !owing.iter().any(|other| Arc::ptr_eq(other, part)) {
            owing.push(part.clone());
        }
        drop(owing);
        self.begin_to_tend();
    }

    /// Sees to it that a caretaker is at work.
    fn begin_to_tend(self: &Arc<Self>) {
        if !self.is_tended.swap(true, SeqCst) {
            runner::spawn(Box::pin(caretaker::tend(Arc::downgrade(self))));
        }
    }

    /// What an operation brings that no caller waits for, and whether it was in time: one that
    /// blocks the thread is not cut off by the alarm.
    async fn background<T>(&self, operation: Operation<T>) -> Result<(T, bool), Failure> {
        let (begun, limit) = (self.clock().now(), self.options.deadline);
        let until = after(begun, limit);
        match self.clock().alarm(until).unless(operation).await {
            Some(Ok(brought)) => Ok((brought, self.clock().now() <= until)),
            Some(Err(error)) => Err(Failure::said(error)),
            None => Err(Failure::TimedOut(limit)),
        }
    }
}

impl Budget {
    pub(super) fn new(left: Duration) -> Self {
        Budget { left }
    }

    /// Takes off what an operation took, which it says.
    fn spend(&mut self, begun: Nanos, now: Nanos) -> Duration {
        let took = Duration::from_nanos(now.saturating_sub(begun));
        self.left = self.left.saturating_sub(took);
        took
    }
}

#[allow(clippy::disallowed_macros)] // the one place
fn tell(trouble: &Trouble<'_>) {
    eprintln!("gecaso: {trouble}");
}
