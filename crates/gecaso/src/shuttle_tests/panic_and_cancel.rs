//! Panics and cancellations concern the one they happen to, and nobody else.

use super::world::{Colliding, Label, Loaded, Stamped, World};
use super::{give_up_after, panic_as_wanted, pick, scenarios, survive, switch};
use shuttle::future::{block_on, yield_now};
use shuttle::thread::scope;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

scenarios![
    a_panic_reaches_its_leader_alone,
    a_panic_of_an_async_body_reaches_its_leader_alone,
    a_cancelled_leader_is_replaced,
    a_cancelled_follower_concerns_nobody,
    tasks_are_aborted_from_outside,
    refreshes_are_cancelled_and_panic,
    panics_cancellations_and_removals_mixed,
    a_body_calls_its_own_key_while_it_is_dropped,
];

/// Whether one of so many failures is left.
fn take(left: &AtomicU32) -> bool {
    left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
}

/// A call whose body panics as long as failures are left: it panics exactly if its own body did.
fn risk<K: Label, V: Stamped>(world: &World<K, V>, failures: &AtomicU32) {
    let own = Cell::new(false);
    let got = survive(|| {
        world.call_with(1, || {
            let body = world.begin(1);
            switch();
            if take(failures) {
                own.set(true);
                panic_as_wanted();
            }
            body.end()
        })
    });
    assert_eq!(got.is_none(), own.get(), "a panic of one's own, and of nobody else");
}

fn a_panic_reaches_its_leader_alone() {
    fn check<K: Label, V: Stamped>() {
        let world = World::<K, V>::of(2);
        let failures = AtomicU32::new(1 + pick(3));
        let planned = failures.load(SeqCst);
        scope(|s| {
            for _ in 0..3 {
                s.spawn(|| risk(&world, &failures));
            }
            s.spawn(|| world.call(1));
        });
        assert!(world.bodies() <= planned + 1, "one body after the last panic");
        world.settle(1..2);
    }
    match pick(2) {
        0 => check::<u32, u64>(),
        _ => check::<Colliding, Loaded>(),
    }
}

fn a_panic_of_an_async_body_reaches_its_leader_alone() {
    let world = World::<u32, Loaded>::of(2);
    let failures = AtomicU32::new(1 + pick(2));
    let risk_async = || {
        let own = Cell::new(false);
        let got = survive(|| {
            block_on(world.call_async_with(1, async {
                let body = world.begin(1);
                yield_now().await;
                if take(&failures) {
                    own.set(true);
                    panic_as_wanted();
                }
                body.end()
            }))
        });
        assert_eq!(got.is_none(), own.get(), "a panic of one's own, and of nobody else");
    };
    scope(|s| {
        s.spawn(risk_async);
        s.spawn(risk_async);
        s.spawn(|| block_on(world.call_async(1)));
        s.spawn(|| world.call(1));
    });
    world.settle(1..2);
}

fn a_cancelled_leader_is_replaced() {
    fn check<K: Label, V: Stamped>() {
        let world = World::<K, V>::of(2);
        scope(|s| {
            s.spawn(|| block_on(give_up_after(1 + pick(3), world.call_async(1))));
            s.spawn(|| block_on(give_up_after(1 + pick(4), world.call_async(1))));
            s.spawn(|| world.call(1));
            s.spawn(|| block_on(world.call_async(1)));
        });
        assert!(world.bodies() <= 3, "each of two is replaced once");
        assert!(world.look(1).is_some());
        world.settle(1..2);
    }
    match pick(2) {
        0 => check::<u32, u64>(),
        _ => check::<Colliding, Loaded>(),
    }
}

fn a_cancelled_follower_concerns_nobody() {
    let world = World::<u32, u64>::of(2);
    let leads = shuttle::sync::atomic::AtomicBool::new(false);
    scope(|s| {
        s.spawn(|| {
            world.call_with(1, || {
                let body = world.begin(1);
                leads.store(true, SeqCst);
                (0..4).for_each(|_| switch());
                body.end()
            })
        });
        for _ in 0..3 {
            s.spawn(|| {
                while !leads.load(SeqCst) {
                    shuttle::thread::yield_now();
                }
                block_on(give_up_after(1 + pick(3), world.call_async(1)))
            });
        }
    });
    assert_eq!(world.bodies(), 1);
    world.settle(1..2);
}

fn tasks_are_aborted_from_outside() {
    let world = Arc::new(World::<Colliding, u64>::of(2));
    let call = |world: &Arc<World<Colliding, u64>>| {
        let world = world.clone();
        shuttle::future::spawn(async move { world.call_async(1).await })
    };
    let (aborted, too, awaited) = (call(&world), call(&world), call(&world));
    scope(|s| {
        s.spawn(|| world.call(1));
        s.spawn(|| aborted.abort());
        s.spawn(|| {
            switch();
            too.abort();
        });
    });
    assert!(block_on(awaited).is_ok(), "nobody aborted this one");
    drop((block_on(aborted), block_on(too)));
    assert!(world.bodies() <= 3);
    world.settle(1..2);
}

fn refreshes_are_cancelled_and_panic() {
    let world = World::<u32, Loaded>::of(2);
    if pick(2) == 0 {
        world.call(1);
    }
    world.allow(2);
    scope(|s| {
        s.spawn(|| {
            let refresh = world.cache.refresh_async(&1, world.body_async(1));
            block_on(give_up_after(1 + pick(3), refresh))
        });
        s.spawn(|| {
            let body = || {
                let _body = world.begin(1);
                switch();
                panic_as_wanted()
            };
            assert!(survive(|| world.cache.refresh(&1, body)).is_none());
        });
        s.spawn(|| world.call(1));
        s.spawn(|| block_on(world.call_async(1)));
    });
    world.settle(1..2);
}

fn panics_cancellations_and_removals_mixed() {
    let world = World::<Colliding, Loaded>::of(2);
    let failures = AtomicU32::new(pick(3));
    let step = || {
        for _ in 0..2 {
            match pick(6) {
                0 => world.invalidate(1),
                1 => world.clear(),
                2 => drop(block_on(give_up_after(1 + pick(4), world.call_async(1)))),
                3 => drop(world.refresh(2)),
                4 => drop(world.call(2)),
                _ => risk(&world, &failures),
            }
        }
        world.call(1);
    };
    scope(|s| {
        for _ in 0..3 {
            s.spawn(step);
        }
    });
    world.settle(1..3);
}

/// Calls a key when it goes.
struct CallsAtItsEnd<'a>(&'a World<u32, u64>);

impl Drop for CallsAtItsEnd<'_> {
    fn drop(&mut self) {
        self.0.call(1);
    }
}

/// A body that is dropped half-way still belongs to its flight, and cannot wait for it.
fn a_body_calls_its_own_key_while_it_is_dropped() {
    let world = World::<u32, u64>::of(2);
    world.allow(1);
    scope(|s| {
        s.spawn(|| {
            let call = world.call_async_with(1, async {
                let _guard = CallsAtItsEnd(&world);
                world.body_async(1).await
            });
            block_on(give_up_after(1 + pick(4), call))
        });
        s.spawn(|| world.call(1));
        s.spawn(|| block_on(world.call_async(1)));
    });
    world.settle(1..2);
}
