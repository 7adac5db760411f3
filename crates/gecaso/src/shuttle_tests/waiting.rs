//! Waits have a bound: whoever waits too long for a body that does not end leads itself.

use super::world::{Colliding, Label, Loaded, Stamped, World, any_storage_on};
use super::{counted_in, give_up_after, pick, scenarios, wait_until};
use crate::{Cache, ManualClock};
use shuttle::future::block_on;
use shuttle::sync::atomic::{AtomicU32, Ordering::SeqCst};
use shuttle::thread::scope;
use std::time::Duration;

scenarios![
    a_stuck_leader_is_taken_over_from,
    many_take_over_with_one_body,
    a_stranger_waits_for_the_body_that_waits_for_it,
    the_alarm_rings_while_the_flight_lands,
];

const SECOND: Duration = Duration::from_secs(1);

fn world<K: Label, V: Stamped>(clock: &ManualClock) -> World<K, V> {
    let storage = any_storage_on(clock, 2);
    World::built(Cache::builder().storage(storage).max_wait(SECOND))
}

/// Moves the clock until `done`.
fn tick(clock: &ManualClock, done: &AtomicU32) {
    while done.load(SeqCst) == 0 {
        clock.advance(SECOND);
        shuttle::thread::yield_now();
    }
}

/// The stuck body ends only after another caller has got a value. What it brings is not stored.
fn a_stuck_leader_is_taken_over_from() {
    fn check<K: Label, V: Stamped + PartialEq + std::fmt::Debug>() {
        let clock = ManualClock::new();
        let world = world::<K, V>(&clock);
        world.allow(1);
        let [leads, done] = std::array::from_fn(|_| AtomicU32::new(0));
        scope(|s| {
            s.spawn(|| {
                world.call_with(1, || {
                    let body = world.begin(1);
                    leads.store(1, SeqCst);
                    wait_until(&done, 1);
                    body.end()
                })
            });
            s.spawn(|| {
                wait_until(&leads, 1);
                world.invalidate(2); // another version, to tell the bodies apart
                let got = world.call(1);
                done.store(1, SeqCst);
                assert!(got.version() > 2, "a body of its own");
            });
            s.spawn(|| tick(&clock, &done));
        });
        let stored = world.look(1).expect("stored by who took over");
        assert!(stored.version() > 2, "not by who was stuck");
        world.settle(1..2);
    }
    match pick(2) {
        0 => check::<u32, u64>(),
        _ => check::<Colliding, Loaded>(),
    }
}

fn many_take_over_with_one_body() {
    let clock = ManualClock::new();
    let world = world::<u32, Loaded>(&clock);
    world.allow(1);
    let [leads, waiting, answered] = std::array::from_fn(|_| AtomicU32::new(0));
    let follow = || {
        wait_until(&leads, 1);
        block_on(counted_in(&waiting, world.call_async(1)));
        answered.store(1, SeqCst);
    };
    scope(|s| {
        s.spawn(|| {
            world.call_with(1, || {
                let body = world.begin(1);
                leads.store(1, SeqCst);
                wait_until(&answered, 1);
                body.end()
            })
        });
        s.spawn(follow);
        s.spawn(follow);
        s.spawn(|| {
            wait_until(&waiting, 2);
            clock.advance(SECOND);
        });
    });
    assert_eq!(world.bodies(), 2, "the one that is stuck, and one for both who waited");
    world.settle(1..2);
}

/// A thread that a body starts without `scope` is a stranger to it: only the bound frees the two.
fn a_stranger_waits_for_the_body_that_waits_for_it() {
    let clock = ManualClock::new();
    let world = world::<Colliding, u64>(&clock);
    world.allow(2);
    let done = AtomicU32::new(0);
    scope(|s| {
        s.spawn(|| {
            world.call_with(1, || {
                let body = world.begin(1);
                scope(|strangers| {
                    strangers.spawn(|| world.call(1));
                });
                body.end()
            });
            done.store(1, SeqCst);
        });
        s.spawn(|| world.call(1));
        s.spawn(|| tick(&clock, &done));
    });
    world.settle(1..2);
}

/// Whether the bound is over or the body has ended first, everybody is answered, and nobody's waker
/// is left behind.
fn the_alarm_rings_while_the_flight_lands() {
    let clock = ManualClock::new();
    let world = world::<u32, u64>(&clock);
    world.allow(3);
    scope(|s| {
        s.spawn(|| world.call(1));
        s.spawn(|| block_on(give_up_after(1 + pick(4), world.call_async(1))));
        s.spawn(|| block_on(world.call_async(1)));
        s.spawn(|| {
            clock.advance(SECOND / 2);
            clock.advance(SECOND / 2);
        });
    });
    assert_eq!(clock.alarms(), 0, "alarms left behind");
    world.settle(1..2);
}
