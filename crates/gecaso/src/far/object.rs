//! A far storage as this process uses it: its deadline, its breaker, its counters, and the
//! caretaker that repeats in the background what has failed.
//!
//! `Far` is the handle that users hold; functions attach their `part`s to it. Knows no call, no
//! flight, and no type of keys and values.

use super::Storage;
use super::breaker::Breaker;
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
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// A storage outside of the process, whatever its type: with choices of its own, shared by as many
/// functions as you like.
///
/// A storage may be given to a cache as it is; then it has all of this by default. Take a `Far` to
/// choose the storage at run time, to set its deadline, or to share it: functions that use clones
/// of one `Far` share what is known about the storage's health. Each function has entries of its
/// own.
///
/// A `Far` is the outermost of what is put around a storage: `Far::new(LruStorage::over(storage,
/// 1_000)).deadline(..)`. Inside of another storage it is the storage that it was made of, and its
/// deadline, its listener and its figures are not used.
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
    reads: Breaker,
    writes: Breaker,
    counters: Counters,
    parts: Mutex<Vec<Weak<Part>>>,
    /// Parts that owe something, kept until it is paid even if no cache uses them any more.
    owing: Mutex<Vec<Arc<Part>>>,
    /// Whether a caretaker is at work.
    is_tended: AtomicBool,
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
    /// So many operations in a row have failed that the storage is left alone until it answers
    /// again.
    Opened {
        /// The last one.
        operation: &'static str,
        /// Why that failed.
        error: &'a (dyn std::error::Error + 'static),
    },
    /// The storage answers again.
    Closed,
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
                "`{operation}` has failed so often that the storage is left alone until it \
                 answers; the last time: {error}"
            ),
            Trouble::Closed => f.write_str("the storage answers again"),
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
            Failure::Skipped => f.write_str("it has failed too often and was not asked"),
        }
    }
}

impl std::error::Error for Failure {}

/// How long one call may wait for the storage, all its operations together.
pub(crate) struct Budget {
    pub(super) left: Duration,
}

/// How often the caretaker tries.
const PAUSE: Duration = Duration::from_millis(200);
/// The key that the caretaker asks for.
const PROBE: &str = "gecaso_probe";

impl Far {
    /// How long one call waits for the storage at most, unless told otherwise.
    pub const DEFAULT_DEADLINE: Duration = Duration::from_millis(100);

    /// A storage with the choices of this type, all of them by default.
    pub fn new<S: Storage>(storage: S) -> Self {
        let options = Options {
            clock: Clock::System,
            deadline: Self::DEFAULT_DEADLINE,
            limits: Limits::default(),
            listener: None,
        };
        Self::with(Arc::new(storage), options)
    }

    fn with(storage: Arc<dyn Erased>, options: Options) -> Self {
        let object = Object {
            storage,
            options,
            reads: Breaker::default(),
            writes: Breaker::default(),
            counters: Counters::default(),
            parts: Mutex::new(Vec::new()),
            owing: Mutex::new(Vec::new()),
            is_tended: AtomicBool::new(false),
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
    /// values that cannot be stored, and the first time that the storage is given up, are told on
    /// standard error.
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

    /// Whether the storage is left alone for now, because it has failed too often.
    pub fn is_given_up(&self) -> bool {
        self.object.reads.is_open() || self.object.writes.is_open()
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

    /// Whether writes are tried.
    pub(super) fn takes_writes(&self) -> bool {
        !self.writes.is_open()
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
        if self.reads.is_open() || budget.left.is_zero() {
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
            None => Err(Failure::TimedOut(limit)),
        };
        // One that blocks the thread is not cut off: its answer counts, and it is as slow as if it
        // had been. The listener is foreign code, which cannot wait for this flight.
        let _inside = chain.map(reentry::enter);
        match &outcome {
            Ok(_) if took > limit => {
                self.judge(&self.reads, "get", Some(&Failure::TimedOut(limit)))
            }
            outcome => self.judge(&self.reads, "get", outcome.as_ref().err()),
        }
        outcome
    }

    /// A write has ended.
    pub(super) fn wrote(self: &Arc<Self>, operation: &'static str, failure: Option<&Failure>) {
        self.judge(&self.writes, operation, failure);
    }

    fn judge(
        self: &Arc<Self>,
        breaker: &Breaker,
        operation: &'static str,
        failure: Option<&Failure>,
    ) {
        let Some(error) = failure else { return breaker.answered() };
        if matches!(error, Failure::Skipped) {
            return;
        }
        self.report(&Trouble::Failed { operation, error });
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
            (None, Trouble::Failed { .. } | Trouble::Closed) => {}
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
            runner::spawn(Box::pin(caretaker(Arc::downgrade(self))));
        }
    }

    /// One round of the caretaker. Whether there is more to do.
    async fn care(self: &Arc<Self>) -> bool {
        if self.reads.is_open() {
            let probe = Operation::new(self.storage().get(PROBE.into()), None);
            if let Ok((_, true)) = self.background(probe).await {
                self.reads.close();
                self.report(&Trouble::Closed);
            }
        }
        if self.writes.is_open() {
            let probe = Operation::new(self.storage().remove(vec![PROBE.into()]), None);
            if let Ok((_, true)) = self.background(probe).await {
                self.writes.close();
                self.report(&Trouble::Closed);
            }
        }
        let owing = sync::lock(&self.owing).clone();
        for part in owing {
            if self.takes_writes() {
                part.pay().await;
            }
        }
        self.has_work()
    }

    /// Whether something is left for the caretaker. Lets go of the parts that have paid.
    fn has_work(&self) -> bool {
        let (paid, owes): (Vec<_>, Vec<_>) =
            mem::take(&mut *sync::lock(&self.owing)).into_iter().partition(|part| !part.owes());
        let has_work = !owes.is_empty() || self.reads.is_open() || self.writes.is_open();
        sync::lock(&self.owing).extend(owes);
        drop(paid);
        has_work
    }

    /// Removes, in the background.
    pub(super) async fn remove(&self, keys: Vec<Arc<str>>) -> Result<(), Failure> {
        let remove = Operation::new(self.storage().remove(keys), None);
        self.background(remove).await.map(|(done, _)| done)
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

/// Repeats in the background what has failed, until nothing is left to do or nobody uses the
/// storage any more.
async fn caretaker(object: Weak<Object>) {
    loop {
        let Some(clock) = object.upgrade().map(|object| object.clock().clone()) else { return };
        clock.alarm(after(clock.now(), PAUSE)).await;
        let Some(object) = object.upgrade() else { return };
        if !object.care().await {
            object.is_tended.swap(false, SeqCst);
            // What failed in between has seen a caretaker at work.
            if !object.has_work() || object.is_tended.swap(true, SeqCst) {
                return;
            }
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
