//! The clock: the only module that reads it, and the timer that wakes those who wait with a bound.
//!
//! Time is monotonic, in nanoseconds since the machine or the process began; it says nothing about
//! the wall. What other processes must understand is stamped with the time on the wall instead.
//! `machine` reads the machine's clocks; a manual clock stands in for them in tests. Used by
//! storages (expiry), `flight` (bounded waits) and `call` (how long loads take); knows none of
//! them.

use crate::sync;
use crate::sync::atomic::{AtomicU64, Ordering::SeqCst};
use crate::sync::{Condvar, Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

mod machine;

/// A moment: nanoseconds on a clock. 584 years fit.
pub(crate) type Nanos = u64;

/// A moment that other processes know, too: nanoseconds since 1970. See [`Clock::stamp`].
pub(crate) type Stamp = u64;

/// When a manual clock was made, on the wall: in 2006.
const MANUAL: Stamp = 1 << 60;

/// Not one of `sync`'s: it lives in a static, and no decision hangs on a moment between two stamps.
type LastStamp = std::sync::atomic::AtomicU64;

/// The moment that never comes.
pub(crate) const NEVER: Nanos = Nanos::MAX;

/// A moment on the wall: whole seconds since 1970, before it negative, and the nanoseconds that
/// have passed since then.
#[cfg(feature = "far")]
pub(crate) fn since_1970(moment: std::time::SystemTime) -> (i128, u32) {
    match moment.duration_since(std::time::UNIX_EPOCH) {
        Ok(after) => (after.as_secs().into(), after.subsec_nanos()),
        Err(error) => {
            let before = error.duration();
            match (-i128::from(before.as_secs()), before.subsec_nanos()) {
                (seconds, 0) => (seconds, 0),
                (seconds, nanoseconds) => (seconds - 1, 1_000_000_000 - nanoseconds),
            }
        }
    }
}

/// `moment + span`, where too much is never.
pub(crate) fn after(moment: Nanos, span: Duration) -> Nanos {
    moment.saturating_add(Nanos::try_from(span.as_nanos()).unwrap_or(NEVER))
}

/// A clock that stands still until it is told to move: for tests of what expires.
///
/// ```
/// use gecaso::{Cache, LruStorage, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let cache: Cache<u32, u32> = Cache::builder()
///     .storage(LruStorage::new(16).with_clock(&clock))
///     .ttl(Duration::from_secs(60))
///     .build();
/// assert_eq!(cache.get_with(&1, || 10), 10);
/// clock.advance(Duration::from_secs(59));
/// assert_eq!(cache.get_with(&1, || 11), 10);
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(cache.get_with(&1, || 12), 12);
/// ```
#[derive(Clone, Default)]
pub struct ManualClock {
    state: Arc<Manual>,
}

#[derive(Default)]
struct Manual {
    now: AtomicU64,
    /// The last stamp given out.
    last: LastStamp,
    /// How often the clock was read: for tests of what reads none.
    #[cfg(test)]
    reads: AtomicU64,
    alarms: Alarms,
}

impl ManualClock {
    /// A new clock. Its clones are the same clock.
    pub fn new() -> Self {
        Self::default()
    }

    /// How often storages on this clock have read it.
    #[cfg(test)]
    pub(crate) fn reads(&self) -> u64 {
        self.state.reads.load(SeqCst)
    }

    /// Alarms that are set.
    #[cfg(shuttle)]
    pub(crate) fn alarms(&self) -> usize {
        self.state.alarms.lock().due.len()
    }

    /// How many hold this clock.
    #[cfg(shuttle)]
    pub(crate) fn holders(&self) -> usize {
        Arc::strong_count(&self.state)
    }

    /// Moves the clock on, and wakes those whose wait is over.
    pub fn advance(&self, by: Duration) {
        let step = |now| Some(after(now, by));
        let before = self.state.now.fetch_update(SeqCst, SeqCst, step).unwrap_or(NEVER);
        self.state.alarms.ring(after(before, by));
    }
}

impl std::fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let now = self.state.now.load(SeqCst);
        f.debug_struct("ManualClock").field("now", &Duration::from_nanos(now)).finish()
    }
}

/// What a look at the clock told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) at: Nanos,
    /// It may have been so much later at most; 0: that was the time.
    pub(crate) lag: Nanos,
}

/// Where a storage gets its time from.
#[derive(Clone, Default)]
pub(crate) enum Clock {
    /// The machine's monotonic clock.
    #[default]
    System,
    /// A clock in a test's hand.
    Manual(ManualClock),
}

impl Clock {
    /// The time now.
    #[inline]
    pub(crate) fn now(&self) -> Nanos {
        match self {
            Clock::System => machine::now(),
            Clock::Manual(clock) => {
                #[cfg(test)]
                clock.state.reads.fetch_add(1, SeqCst);
                clock.state.now.load(SeqCst)
            }
        }
    }

    /// What the time is, unless `end` has come. Costs little as long as the end is far off, and
    /// tells the end precisely all the same. (Should the kernel's own note of the time stand still
    /// for longer than [`machine::LAG`], an end is seen late by what it stood still beyond that.)
    #[inline]
    pub(crate) fn before(&self, end: Nanos) -> Option<Look> {
        if let Clock::System = self {
            let at = machine::about();
            if at.saturating_add(machine::LAG) < end {
                return Some(Look { at, lag: machine::LAG });
            }
        }
        let at = self.now();
        (at < end).then_some(Look { at, lag: 0 })
    }

    /// Whether [`before`](Self::before) says that `end` has not come: the hit path of what ends.
    #[inline]
    pub(crate) fn is_before(&self, end: Nanos) -> bool {
        let far_off = || machine::about() < end.saturating_sub(machine::LAG);
        matches!(self, Clock::System) && far_off() || self.is_just_before(end)
    }

    #[inline(never)]
    fn is_just_before(&self, end: Nanos) -> bool {
        self.now() < end
    }

    /// The time on the wall, in nanoseconds since 1970, never twice the same and never earlier than
    /// one that was given out before or [met](Self::meet): the order in which loads, removals and
    /// clears of this process began, that other processes can compare with their own. (A hybrid
    /// clock: Kulkarni et al., "Logical Physical Clocks", 2014.)
    pub(crate) fn stamp(&self) -> Stamp {
        let (last, wall) = self.stamps();
        let mut stamp = wall;
        let step = |last: Stamp| {
            stamp = wall.max(last.saturating_add(1));
            Some(stamp)
        };
        let _ = last.fetch_update(SeqCst, SeqCst, step);
        stamp
    }

    /// The time on the wall, as it is: lifetimes that other processes must understand end by it.
    pub(crate) fn wall(&self) -> Stamp {
        self.stamps().1
    }

    /// Later stamps of this process are above `stamp`, which came from another one.
    pub(crate) fn meet(&self, stamp: Stamp) {
        self.stamps().0.fetch_max(stamp, SeqCst);
    }

    /// The last stamp that was given out or met, and what the wall says now.
    pub(crate) fn last_and_wall(&self) -> (Stamp, Stamp) {
        let (last, wall) = self.stamps();
        (last.load(SeqCst), wall)
    }

    fn stamps(&self) -> (&LastStamp, Stamp) {
        match self {
            Clock::System => {
                static LAST: LastStamp = LastStamp::new(0);
                (&LAST, machine::wall())
            }
            Clock::Manual(clock) => {
                (&clock.state.last, MANUAL.saturating_add(clock.state.now.load(SeqCst)))
            }
        }
    }

    /// A future that is ready at `at`.
    pub(crate) fn alarm(&self, at: Nanos) -> Alarm {
        Alarm { clock: self.clone(), at, id: None }
    }

    fn alarms(&self) -> &Alarms {
        match self {
            Clock::System => timer(),
            Clock::Manual(clock) => &clock.state.alarms,
        }
    }
}

/// Ready once its moment has come; dropped, it takes its waker out again.
pub(crate) struct Alarm {
    clock: Clock,
    at: Nanos,
    id: Option<u64>,
}

impl Alarm {
    /// The moment it rings at.
    pub(crate) fn at(&self) -> Nanos {
        self.at
    }

    /// What `future` brings, unless the alarm rings first. A future that is ready at once sets no
    /// alarm.
    pub(crate) async fn unless<F: Future>(self, future: F) -> Option<F::Output> {
        let (mut future, mut alarm) = (pin!(future), pin!(self));
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(brought) => Poll::Ready(Some(brought)),
            Poll::Pending => alarm.as_mut().poll(cx).map(|()| None),
        })
        .await
    }
}

impl Future for Alarm {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.at == NEVER {
            return Poll::Pending;
        }
        if self.clock.now() >= self.at {
            return Poll::Ready(());
        }
        let id = self.clock.alarms().set(self.at, self.id, cx.waker().clone());
        self.id = Some(id);
        // The clock may have moved between the look and the registration.
        if self.clock.now() >= self.at { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.clock.alarms().unset(self.at, id);
        }
    }
}

/// Wakers by the moment they wait for.
#[derive(Default)]
struct Alarms {
    queue: Mutex<Queue>,
    earlier: Condvar,
}

#[derive(Default)]
struct Queue {
    due: BTreeMap<(Nanos, u64), Waker>,
    next_id: u64,
}

impl Alarms {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, at: Nanos, id: Option<u64>, waker: Waker) -> u64 {
        let mut queue = self.lock();
        let id = id.unwrap_or_else(|| {
            queue.next_id += 1;
            queue.next_id
        });
        let first = queue.due.first_key_value().is_none_or(|(&(first, _), _)| at < first);
        let replaced = queue.due.insert((at, id), waker);
        drop(queue);
        drop(replaced); // a waker is foreign code: never under the lock
        if first {
            self.earlier.notify_one();
        }
        id
    }

    fn unset(&self, at: Nanos, id: u64) {
        let removed = self.lock().due.remove(&(at, id));
        drop(removed);
    }

    /// Wakes everything that is due; returns the next moment.
    fn ring(&self, now: Nanos) -> Option<Nanos> {
        loop {
            let mut queue = self.lock();
            let (&(at, id), _) = queue.due.first_key_value()?;
            if at > now {
                return Some(at);
            }
            let waker = queue.due.remove(&(at, id));
            drop(queue);
            if let Some(waker) = waker {
                sync::wake(waker);
            }
        }
    }
}

/// Nothing before the first alarm, and in a process that has just been forked.
static ALARMS: RwLock<Option<&'static Alarms>> = RwLock::new(None);

/// In a child process, which has no timer's thread: the next alarm starts one. The alarms of the
/// other process, and perhaps a lock of its timer, are left to lie.
pub(crate) fn after_fork() {
    *ALARMS.write().unwrap_or_else(PoisonError::into_inner) = None;
}

/// The alarms of the system clock, with a thread that rings them; started by the first alarm.
fn timer() -> &'static Alarms {
    if let Some(alarms) = *ALARMS.read().unwrap_or_else(PoisonError::into_inner) {
        return alarms;
    }
    let mut started = ALARMS.write().unwrap_or_else(PoisonError::into_inner);
    started.get_or_insert_with(|| {
        let alarms: &'static Alarms = Box::leak(Box::default());
        let run = move || {
            loop {
                let next = alarms.ring(machine::now());
                let queue = alarms.lock();
                // What came in since the ring is seen here, or notifies below.
                let first = queue.due.first_key_value().map(|(&(at, _), _)| at);
                if first != next {
                    continue;
                }
                let sleep = first.map_or(Duration::MAX, |at| {
                    Duration::from_nanos(at.saturating_sub(machine::now()))
                });
                drop(alarms.earlier.wait_timeout(queue, sleep));
            }
        };
        // Without a thread, bounded waits lose their bound, and nothing else.
        let _ = std::thread::Builder::new().name("gecaso-timer".into()).spawn(run);
        alarms
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::task::Wake;

    #[test]
    fn adding_saturates_to_never() {
        assert_eq!(after(5, Duration::from_nanos(7)), 12);
        assert_eq!(after(5, Duration::MAX), NEVER);
        assert_eq!(after(NEVER - 1, Duration::from_secs(1)), NEVER);
    }

    #[test]
    fn an_end_is_told_at_its_very_moment_and_not_before() {
        let clock = Clock::System;
        // Ends that fall anywhere between two ticks.
        for nanos in [0, 1, 100_000, 1_300_000, 5_700_000, machine::LAG + 900_000] {
            let end = after(clock.now(), Duration::from_nanos(nanos));
            loop {
                let (before, now) = (clock.before(end), clock.now());
                match before {
                    Some(look) => {
                        assert!(look.at < end && look.at <= now, "{look:?}, {now}, {end}")
                    }
                    None => assert!(now >= end, "too early: {now}, {end}"),
                }
                if now >= end {
                    break;
                }
            }
            assert_eq!(clock.before(end), None, "too late, after {nanos} ns");
        }
        assert!(clock.before(NEVER).is_some());
    }

    #[test]
    fn a_manual_clock_is_exact() {
        let manual = ManualClock::new();
        manual.advance(Duration::from_nanos(9));
        let clock = Clock::Manual(manual);
        assert_eq!(clock.before(10), Some(Look { at: 9, lag: 0 }));
        assert_eq!(clock.before(9), None);
    }

    struct Tell(mpsc::Sender<()>);
    impl Wake for Tell {
        fn wake(self: Arc<Self>) {
            let _ = self.0.send(());
        }
    }

    fn poll(alarm: &mut Alarm, waker: &Waker) -> Poll<()> {
        Pin::new(alarm).poll(&mut Context::from_waker(waker))
    }

    #[test]
    fn a_manual_alarm_rings_when_the_clock_moves_and_not_before() {
        let clock = ManualClock::new();
        let (tell, told) = mpsc::channel();
        let waker = Waker::from(Arc::new(Tell(tell)));
        let mut alarm = Clock::Manual(clock.clone()).alarm(10);
        assert!(poll(&mut alarm, &waker).is_pending());
        clock.advance(Duration::from_nanos(9));
        assert!(told.try_recv().is_err());
        clock.advance(Duration::from_nanos(1));
        told.try_recv().expect("woken at its moment");
        assert!(poll(&mut alarm, &waker).is_ready());
    }

    #[test]
    fn a_dropped_alarm_leaves_nothing_behind() {
        let clock = ManualClock::new();
        let mut alarm = Clock::Manual(clock.clone()).alarm(10);
        assert!(poll(&mut alarm, Waker::noop()).is_pending());
        assert!(poll(&mut alarm, Waker::noop()).is_pending());
        assert_eq!(clock.state.alarms.lock().due.len(), 1, "polled twice, registered once");
        drop(alarm);
        assert!(clock.state.alarms.lock().due.is_empty());
    }

    #[test]
    fn the_system_timer_wakes_the_earlier_of_two_first() {
        let clock = Clock::System;
        let (tell, told) = mpsc::channel();
        let waker = Waker::from(Arc::new(Tell(tell)));
        let mut late = clock.alarm(after(clock.now(), Duration::from_secs(3600)));
        assert!(poll(&mut late, &waker).is_pending());
        let mut soon = clock.alarm(after(clock.now(), Duration::from_millis(5)));
        assert!(poll(&mut soon, &waker).is_pending());
        told.recv_timeout(Duration::from_secs(30)).expect("the earlier alarm rings");
        assert!(poll(&mut soon, &waker).is_ready());
        assert!(poll(&mut late, &waker).is_pending());
    }
}
