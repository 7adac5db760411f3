//! Errors: shared with those who wait if they can be, never stored, never from before a removal.

use super::world::{Colliding, Label, World, any_storage};
use super::{counted_in, give_up_after, pick, scenarios, switch, wait_until};
use crate::key::ByRef;
use crate::outcome::{OkPrivate, OkShared, Outcome, SomeOnly};
use shuttle::future::{block_on, yield_now};
use shuttle::sync::atomic::{AtomicU32, Ordering::SeqCst};
use shuttle::thread::scope;

scenarios![
    an_error_is_shared_and_not_stored,
    an_error_from_before_a_removal_is_not_shared,
    private_errors_are_their_own_caller_s,
    private_errors_send_waiters_to_bodies_side_by_side,
    a_none_is_shared_and_not_stored,
    errors_among_cancellations,
];

/// What a body failed with: the stamp it would have given its value.
#[derive(Clone, Debug, PartialEq)]
struct Failed(u64);

/// An error that cannot be cloned.
#[derive(Debug)]
struct Private(Failed);

/// Runs the body of key 1 and fails by the schedule's choice.
fn body<K: Label>(world: &World<K, u64>) -> Result<u64, Failed> {
    let body = world.begin(1);
    switch();
    let fails = pick(2) == 0;
    let stamp = body.end();
    if fails { Err(Failed(stamp)) } else { Ok(stamp) }
}

/// A call as the macro makes it; checks what it got, be it a value or an error.
fn attempt<K: Label, M, O: Outcome<M, Value = u64>>(
    world: &World<K, u64>,
    body: impl FnOnce() -> O,
    stamp: impl FnOnce(&O) -> Option<u64>,
) -> O {
    let floor = world.floor(1);
    let key = K::of(1);
    let got = match world.cache.find(&ByRef::new(&key)) {
        Ok(value) => O::from_value(value),
        Err(missed) => world.cache.load::<M, O>(missed, |_| true, body, None),
    };
    if let Some(stamp) = stamp(&got) {
        world.accept(1, floor, &stamp);
    }
    got
}

fn shared<K: Label>(world: &World<K, u64>) -> Result<u64, Failed> {
    let stamp = |got: &Result<u64, Failed>| Some(got.clone().unwrap_or_else(|Failed(stamp)| stamp));
    attempt::<K, OkShared, _>(world, || body(world), stamp)
}

fn private<K: Label>(world: &World<K, u64>) -> Result<u64, Private> {
    let stamp = |got: &Result<u64, Private>| match got {
        Ok(stamp) | Err(Private(Failed(stamp))) => Some(*stamp),
    };
    attempt::<K, OkPrivate, _>(world, || body(world).map_err(Private), stamp)
}

fn an_error_is_shared_and_not_stored() {
    let world = World::<u32, u64>::of(2);
    let errors = AtomicU32::new(0);
    scope(|s| {
        for _ in 0..3 {
            s.spawn(|| {
                if shared(&world).is_err() {
                    errors.fetch_add(1, SeqCst);
                }
            });
        }
    });
    let stored = world.look(1).is_some();
    assert!(stored || errors.load(SeqCst) == 3, "an Ok is stored, an Err is not");
    world.settle(1..2);
}

fn an_error_from_before_a_removal_is_not_shared() {
    fn check<K: Label>() {
        let world = World::<K, u64>::of(2);
        scope(|s| {
            s.spawn(|| (drop(shared(&world)), drop(shared(&world))));
            s.spawn(|| {
                match pick(3) {
                    0 => world.invalidate(1),
                    1 => world.clear(),
                    _ => drop(world.insert(1)),
                }
                shared(&world)
            });
            s.spawn(|| shared(&world));
        });
        world.settle(1..2);
    }
    match pick(2) {
        0 => check::<u32>(),
        _ => check::<Colliding>(),
    }
}

/// Nobody gets another one's error: each error comes from a body of its own.
fn private_errors_are_their_own_caller_s() {
    let world = World::<Colliding, u64>::of(2);
    world.allow(2); // those who cannot share an error run side by side
    let errors = AtomicU32::new(0);
    scope(|s| {
        for _ in 0..3 {
            s.spawn(|| {
                if private(&world).is_err() {
                    errors.fetch_add(1, SeqCst);
                }
            });
        }
        s.spawn(|| world.look(1));
    });
    assert!(world.bodies() >= errors.load(SeqCst), "an error for each, a body for each");
    world.settle(1..2);
}

/// Two wait for a body whose error cannot be shared. Then their bodies run at once: each ends only
/// when both have begun.
fn private_errors_send_waiters_to_bodies_side_by_side() {
    let world = World::<u32, u64>::over(any_storage(2));
    world.allow(1);
    let (leads, waiting, begun) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    let lead = || -> Result<u64, Private> {
        let body = world.begin(1);
        leads.store(1, SeqCst);
        wait_until(&waiting, 2);
        Err(Private(Failed(body.end())))
    };
    let follow = || {
        wait_until(&leads, 1);
        let missed = world.cache.missed(&ByRef::new(&1));
        let body = async {
            let body = world.begin(1);
            begun.fetch_add(1, SeqCst);
            while begun.load(SeqCst) < 2 {
                yield_now().await;
            }
            Ok::<u64, Private>(body.end())
        };
        let call = world.cache.load_async::<OkPrivate, _>(missed, |_| true, body, None);
        block_on(counted_in(&waiting, call))
    };
    scope(|s| {
        s.spawn(|| {
            let missed = world.cache.missed(&ByRef::new(&1));
            assert!(world.cache.load::<OkPrivate, _>(missed, |_| true, lead, None).is_err());
        });
        s.spawn(|| assert!(follow().is_ok()));
        s.spawn(|| assert!(follow().is_ok()));
    });
    assert_eq!(world.bodies(), 3);
    world.settle(1..2);
}

fn a_none_is_shared_and_not_stored() {
    let world = World::<u32, u64>::of(2);
    let call = || attempt::<_, SomeOnly, _>(&world, || body(&world).ok(), |got| *got);
    scope(|s| {
        s.spawn(|| (call(), call()));
        s.spawn(call);
        s.spawn(|| {
            world.invalidate(1);
            call()
        });
    });
    world.settle(1..2);
}

fn errors_among_cancellations() {
    let world = World::<Colliding, u64>::of(2);
    world.allow(3);
    let call = |polls: u32| {
        let body = async {
            let body = world.begin(1);
            yield_now().await;
            let stamp = body.end();
            if pick(2) == 0 { Err(Failed(stamp)) } else { Ok(stamp) }
        };
        block_on(give_up_after(polls, world.cache.try_get_with_async(&Colliding::of(1), body)))
    };
    scope(|s| {
        s.spawn(|| call(1 + pick(3)));
        s.spawn(|| assert!(call(u32::MAX).is_some()));
        s.spawn(|| private(&world).is_ok());
        s.spawn(|| shared(&world));
    });
    world.settle(1..2);
}
