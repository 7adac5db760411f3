//! Foreign code at its worst moment: a waker or a key's `Drop` that panics while others wait to be
//! woken, and an `Eq` of a user's behind a key of the standard library.
//!
//! Panics are raised without the hook, so that nothing appears on the terminal.

use crate::event::{Count, Driven, within_limit};
use crate::storages::Storage;
use gecaso::{Cache, ManualClock};
use std::borrow::Borrow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// A waker that panics, as that of an executor whose queue is closed; counts how often it does.
#[derive(Clone, Default)]
struct Closed(Count);

impl Wake for Closed {
    fn wake(self: Arc<Self>) {
        self.0.up();
        resume_unwind(Box::new("the queue is closed"))
    }
}

/// A call that waits with such a waker.
struct Unlucky<'a, T> {
    call: Pin<Box<dyn Future<Output = T> + 'a>>,
    woken: Count,
}

impl<'a, T> Unlucky<'a, T> {
    #[track_caller]
    fn pends(call: impl Future<Output = T> + 'a) -> Self {
        let (closed, mut call) = (Closed::default(), Box::pin(call));
        let woken = closed.0.clone();
        let waker = Waker::from(Arc::new(closed));
        assert!(call.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        Unlucky { call, woken }
    }

    /// Polls once more, now that its waker has panicked.
    #[track_caller]
    fn ready(mut self) -> T {
        assert_eq!(self.woken.now(), 1, "its waker has been called once");
        match self.call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("should be ready"),
        }
    }
}

#[test]
fn a_waker_that_panics_takes_nothing_from_the_leader_and_those_woken_after_it() {
    for storage in Storage::each(4) {
        let cache: Cache<u8, u8> = storage.cache();
        let go_on = Count::new();
        let mut leader = Driven::new(cache.get_with_async(&1, async {
            go_on.reaches(1).await;
            10
        }));
        leader.pends();
        let unlucky = Unlucky::pends(cache.get_with_async(&1, async { unreachable!() }));
        let call = || Driven::new(cache.get_with_async(&1, async { unreachable!() }));
        let mut waiters = [call(), call()];
        waiters.iter_mut().for_each(Driven::pends);
        go_on.up();
        assert_eq!(leader.ready(), 10, "{storage:?}");
        assert!(waiters.iter().all(Driven::is_woken));
        assert_eq!((waiters[0].ready(), waiters[1].ready(), unlucky.ready()), (10, 10, 10));
        assert_eq!(cache.get(&1), Some(10));
    }
}

/// Without protection this ends the process: a second panic, in the midst of unwinding.
#[test]
fn a_body_may_panic_while_a_waker_panics_too() {
    for storage in Storage::each(4) {
        let cache: Cache<u8, u8> = storage.cache();
        let go_on = Count::new();
        let mut leader = Driven::new(cache.get_with_async(&1, async {
            go_on.reaches(1).await;
            resume_unwind(Box::new("the body's own"))
        }));
        leader.pends();
        let unlucky = Unlucky::pends(cache.get_with_async(&1, async { 20 }));
        let mut waiter = Driven::new(cache.get_with_async(&1, async { 10 }));
        waiter.pends();
        go_on.up();
        let panic = catch_unwind(AssertUnwindSafe(|| leader.poll())).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"the body's own"));
        assert!(waiter.is_woken(), "{storage:?}");
        assert_eq!((waiter.ready(), unlucky.ready()), (10, 10));
    }
}

#[test]
fn a_leader_is_cancelled_in_silence_although_a_waker_panics() {
    for storage in Storage::each(4) {
        let cache: Cache<u8, u8> = storage.cache();
        let mut leader = Driven::new(cache.get_with_async(&1, std::future::pending()));
        leader.pends();
        let unlucky = Unlucky::pends(cache.get_with_async(&1, async { 20 }));
        let mut waiter = Driven::new(cache.get_with_async(&1, async { 10 }));
        waiter.pends();
        leader.cancel();
        assert!(waiter.is_woken(), "{storage:?}");
        assert_eq!((waiter.ready(), unlucky.ready()), (10, 10));
    }
}

#[test]
fn a_wait_that_ends_in_a_panicking_waker_concerns_no_other_wait() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 4) {
        let cache: Cache<u8, u8> = storage.builder().max_wait(Duration::from_secs(5)).build();
        let mut stuck = Driven::new(cache.get_with_async(&1, std::future::pending()));
        stuck.pends();
        let unlucky = Unlucky::pends(cache.get_with_async(&1, async { 20 }));
        let mut waiter = Driven::new(cache.get_with_async(&1, async { 10 }));
        waiter.pends();
        clock.advance(Duration::from_secs(5));
        assert!(waiter.is_woken(), "{storage:?}");
        assert_eq!((waiter.ready(), unlucky.ready()), (10, 10));
    }
}

#[test]
fn a_waker_that_panics_does_not_end_the_thread_that_bounds_every_wait() {
    // Short, and still longer than it takes to poll twice on a busy machine.
    let short = || Cache::<u8, u8>::builder().max_wait(Duration::from_millis(500)).build();
    let cache = short();
    let mut stuck = Driven::new(cache.get_with_async(&1, std::future::pending()));
    stuck.pends();
    let unlucky = Unlucky::pends(cache.get_with_async(&1, async { 10 }));
    unlucky.woken.wait_for(1);
    // From now on the thread rings for others, or is no more.
    let waited = within_limit(move || {
        let cache = short();
        let mut stuck = Driven::new(cache.get_with_async(&1, std::future::pending()));
        stuck.pends();
        cache.get_with(&1, || 20)
    });
    assert_eq!((waited, unlucky.ready()), (20, 10));
}

thread_local! {
    /// Which drop of a `Fused` from now on panics on this thread; 0 is the next one.
    static FUSE: Cell<Option<usize>> = const { Cell::new(None) };
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Fused(u8);

impl Drop for Fused {
    fn drop(&mut self) {
        match FUSE.get() {
            _ if std::thread::panicking() => {} // a second panic: no fault of any cache
            Some(0) => {
                FUSE.set(None);
                resume_unwind(Box::new("fused"))
            }
            left => FUSE.set(left.map(|left| left - 1)),
        }
    }
}

/// Runs `act` with the first drop of a key in it panicking, then with the second, until there is no
/// such drop left, and `check` after each. `begin` makes the call that `act` ends.
fn at_every_drop<S>(begin: impl Fn() -> S, act: impl Fn(&mut S), check: impl Fn(S, &str)) {
    for left in 0.. {
        let mut state = begin();
        FUSE.set(Some(left));
        let blown = catch_unwind(AssertUnwindSafe(|| act(&mut state))).is_err();
        FUSE.set(None);
        check(state, &format!("at drop {left}"));
        if !blown {
            assert!(left >= 1, "a key was dropped");
            return;
        }
    }
}

#[test]
fn a_cancelled_leader_forgets_nobody_although_the_drop_of_its_key_panics() {
    for storage in Storage::each(4) {
        let (cache, key): (Cache<Fused, u8>, _) = (storage.cache(), Fused(1));
        let begin = || {
            cache.clear();
            let mut leader = Driven::new(cache.get_with_async(&key, std::future::pending()));
            let mut waiter = Driven::new(cache.get_with_async(&key, async { 10 }));
            leader.pends();
            waiter.pends();
            (leader, waiter)
        };
        at_every_drop(
            begin,
            |(leader, _)| leader.cancel(),
            |(_, mut waiter), at| {
                assert!(waiter.is_woken(), "{at}, {storage:?}");
                assert_eq!(waiter.ready(), 10, "{at}");
            },
        );
    }
}

#[test]
fn what_a_body_brought_reaches_those_who_wait_although_the_drop_of_its_key_panics() {
    for storage in Storage::each(4) {
        for brings in [Err("of the leader"), Ok(10)] {
            let (cache, key): (Cache<Fused, u8>, _) = (storage.cache(), Fused(1));
            let begin = || {
                cache.clear();
                let go_on = Count::new();
                let until = go_on.clone();
                let body = async move {
                    until.reaches(1).await;
                    brings
                };
                let mut leader = Driven::new(cache.try_get_with_async(&key, body));
                let own = async { Err("of its own") };
                let mut waiter = Driven::new(cache.try_get_with_async(&key, own));
                leader.pends();
                waiter.pends();
                (leader, waiter, go_on)
            };
            at_every_drop(
                begin,
                |(leader, _, go_on)| {
                    go_on.up();
                    let _ = leader.poll();
                },
                |(_, mut waiter, _), at| {
                    assert!(waiter.is_woken(), "{at}, {brings:?}, {storage:?}");
                    assert_eq!(waiter.ready(), brings, "{at}");
                },
            );
        }
    }
}

thread_local! {
    /// What a comparison of names does first, on this thread.
    static CALL_BACK: RefCell<Option<Rc<dyn Fn()>>> = const { RefCell::new(None) };
}

/// A view of a `String` that compares by code of its own.
#[derive(Debug)]
struct Name(String);

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        if let Some(call) = CALL_BACK.with_borrow(Clone::clone) {
            call();
        }
        self.0 == other.0
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Borrow<Name> for String {
    fn borrow(&self) -> &Name {
        static NAMES: Mutex<BTreeMap<String, &'static Name>> = Mutex::new(BTreeMap::new());
        let mut names = NAMES.lock().unwrap();
        names.entry(self.clone()).or_insert_with(|| Box::leak(Box::new(Name(self.clone()))))
    }
}

impl ToOwned for Name {
    type Owned = String;
    fn to_owned(&self) -> String {
        self.0.clone()
    }
}

#[test]
fn a_string_may_be_asked_for_by_a_view_whose_eq_calls_the_cache() {
    for storage in Storage::each(4) {
        within_limit(move || {
            let cache: Rc<Cache<String, usize>> = Rc::new(storage.cache());
            let again = cache.clone();
            CALL_BACK.set(Some(Rc::new(move || drop(again.clear()))));
            let name = Name("abc".to_owned());
            let stored = || drop(cache.insert("abc".to_owned(), 3));
            stored();
            assert_eq!(cache.get_with(&name, || 3), 3);
            stored();
            assert_eq!(cache.get(&name).unwrap_or(3), 3);
            stored();
            assert_eq!(cache.peek(&name).unwrap_or(3), 3);
            stored();
            assert_eq!(cache.refresh(&name, || 3), 3);
            stored();
            cache.invalidate(&name);
            assert_eq!(cache.peek("abc"), None);
            // The same beside a body that runs.
            let call = || Driven::new(cache.get_with_async(&name, async { 3 }));
            let go_on = Count::new();
            let mut leader = Driven::new(cache.get_with_async(&name, async {
                go_on.reaches(1).await;
                3
            }));
            leader.pends();
            let mut other = call();
            let joined = other.poll();
            cache.invalidate(&name);
            assert_eq!(call().ready(), 3);
            go_on.up();
            assert_eq!(leader.ready(), 3);
            let other = if joined.is_pending() { other.poll() } else { joined };
            assert_eq!(other, Poll::Ready(3));
        });
    }
}

#[cfg(feature = "macros")]
mod by_macro {
    use super::{CALL_BACK, Name};
    use crate::event::{Count, Driven, within_limit};
    use gecaso::{LruStorage, Receipt, cached};
    use std::rc::Rc;
    use std::sync::LazyLock;

    #[cached(LruStorage::new(4))]
    fn one(name: &Name) -> usize {
        name.0.len()
    }

    #[cached(LruStorage::new(4))]
    fn perhaps(name: Option<&Name>) -> usize {
        name.map_or(0, |name| name.0.len())
    }

    #[cached(LruStorage::new(4))]
    fn many(names: &[&Name]) -> usize {
        names.iter().map(|name| name.0.len()).sum()
    }

    static GO_ON: LazyLock<Count> = LazyLock::new(Count::new);

    #[cached(LruStorage::new(4))]
    async fn slow(name: &Name) -> usize {
        GO_ON.reaches(1).await;
        name.0.len()
    }

    /// Runs `act`, in which each comparison of names calls `clear` first; there is at least one.
    #[track_caller]
    fn while_eq_calls(clear: fn() -> Receipt, act: fn(&Name)) {
        let compared = within_limit(move || {
            let compared = Count::new();
            let counted = compared.clone();
            CALL_BACK.set(Some(Rc::new(move || {
                counted.up();
                clear();
            })));
            act(&Name("abc".to_owned()));
            compared.now()
        });
        assert!(compared > 0, "nothing was compared, so nothing is shown");
    }

    #[test]
    fn an_argument_owned_as_a_string_may_have_an_eq_that_calls_the_function() {
        while_eq_calls(one::clear, |name| assert_eq!((one(name), one(name)), (3, 3)));
        while_eq_calls(perhaps::clear, |name| {
            assert_eq!((perhaps(Some(name)), perhaps(Some(name))), (3, 3));
        });
        while_eq_calls(many::clear, |name| assert_eq!((many(&[name]), many(&[name])), (3, 3)));
        while_eq_calls(one::clear, |name| {
            one(name);
            one::invalidate(name);
        });
        // In the register of bodies that run, too.
        while_eq_calls(slow::clear, |name| {
            let mut calls = [Driven::new(slow(name)), Driven::new(slow(name))];
            calls.iter_mut().for_each(Driven::pends);
            slow::invalidate(name);
            GO_ON.up();
            assert_eq!(calls.map(|mut call| call.ready()), [3, 3]);
        });
    }
}
