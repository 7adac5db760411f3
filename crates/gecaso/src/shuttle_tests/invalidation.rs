//! `invalidate`, `clear` and `insert` win over bodies that run meanwhile.

use super::world::{Colliding, Label, Loaded, Stamped, World, is_inserted};
use super::{give_up_after, pick, scenarios};
use crate::key::ByRef;
use crate::outcome::Whole;
use shuttle::future::block_on;
use shuttle::thread::scope;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

scenarios![
    invalidate_wins_over_bodies,
    clear_wins_over_bodies,
    clear_wins_over_those_who_look_again,
    insert_wins_over_bodies,
    insert_is_one_step,
    removals_of_one_key_spare_those_that_collide,
    a_storm_of_all_steps,
    a_refresh_from_before_is_not_stored,
    async_callers_among_removals,
];

fn invalidate_wins_over_bodies() {
    fn check<K: Label, V: Stamped>() {
        let world = World::<K, V>::of(2);
        scope(|s| {
            s.spawn(|| (world.call(1), world.call(1)));
            s.spawn(|| {
                world.invalidate(1);
                world.call(1)
            });
            s.spawn(|| world.call(1));
        });
        world.settle(1..2);
    }
    match pick(2) {
        0 => check::<u32, u64>(),
        _ => check::<Colliding, Loaded>(),
    }
}

fn clear_wins_over_bodies() {
    let world = World::<u32, u64>::of(4);
    scope(|s| {
        s.spawn(|| (world.call(1), world.call(2)));
        s.spawn(|| {
            world.clear();
            (world.call(1), world.call(2))
        });
        s.spawn(|| (world.call(2), world.look(1)));
    });
    world.settle(1..3);
}

/// A call that found nothing looks again once it leads. What it finds then may be gone by the time
/// it hands it on.
fn clear_wins_over_those_who_look_again() {
    let world = World::<u32, Loaded>::of(2);
    world.call(1);
    let look_again = || {
        let floor = world.floor(1);
        let missed = world.cache.missed(&ByRef::new(&1));
        let got = world.cache.load::<Whole, _>(missed, |_| true, || world.body(1), None);
        world.accept(1, floor, &got);
    };
    scope(|s| {
        s.spawn(look_again);
        s.spawn(look_again);
        s.spawn(|| {
            world.clear();
            world.call(1)
        });
    });
    world.settle(1..2);
}

fn insert_wins_over_bodies() {
    fn check<K: Label, V: Stamped>() {
        let world = World::<K, V>::of(2);
        scope(|s| {
            s.spawn(|| (world.call(1), world.call(1)));
            s.spawn(|| {
                let inserted = world.insert(1);
                assert_eq!(world.call(1).version(), inserted, "nobody else stores after it");
            });
            s.spawn(|| world.call(1));
        });
        assert!(world.look(1).is_some_and(|value| is_inserted(&value)));
        world.settle(1..2);
    }
    match pick(2) {
        0 => check::<u32, u64>(),
        _ => check::<Colliding, Loaded>(),
    }
}

/// Bodies that begin between two halves of an insertion would be stored over what it inserts.
fn insert_is_one_step() {
    let world = World::<Colliding, u64>::of(2);
    let last = AtomicU32::new(0);
    let check = || {
        for _ in 0..2 {
            let least = last.load(SeqCst);
            let got = world.call(1);
            if least > 0 {
                assert!(is_inserted(&got), "a body's value over an inserted one");
                assert!(got.version() >= least, "an inserted value over a later one");
            }
        }
    };
    scope(|s| {
        s.spawn(|| {
            for _ in 0..2 {
                last.store(world.insert(1), SeqCst);
            }
        });
        s.spawn(check);
        s.spawn(check);
    });
    world.settle(1..2);
}

fn removals_of_one_key_spare_those_that_collide() {
    let world = World::<Colliding, u64>::of(3);
    let kept = world.call(2);
    scope(|s| {
        s.spawn(|| (world.call(1), world.call(3)));
        s.spawn(|| {
            world.invalidate(1);
            world.call(1)
        });
        s.spawn(|| assert_eq!(world.call(2), kept));
        s.spawn(|| {
            world.invalidate(3);
            world.look(3)
        });
    });
    assert_eq!(world.look(2), Some(kept), "still there");
    world.settle(1..4);
}

fn a_storm_of_all_steps() {
    fn check<K: Label, V: Stamped>() {
        let world = World::<K, V>::of(2);
        let step = || {
            for _ in 0..3 {
                let number = 1 + pick(2);
                match pick(8) {
                    0 => world.invalidate(number),
                    1 => world.clear(),
                    2 => drop(world.insert(number)),
                    3 => drop(world.refresh(number)),
                    4 => drop(world.look(number)),
                    _ => drop(world.call(number)),
                }
            }
        };
        scope(|s| {
            for _ in 0..3 {
                s.spawn(step);
            }
        });
        world.settle(1..3);
    }
    match pick(3) {
        0 => check::<u32, u64>(),
        1 => check::<u32, Loaded>(),
        _ => check::<Colliding, Loaded>(),
    }
}

fn a_refresh_from_before_is_not_stored() {
    let world = World::<u32, u64>::of(2);
    world.call(1);
    scope(|s| {
        s.spawn(|| world.refresh(1));
        s.spawn(|| {
            match pick(3) {
                0 => world.invalidate(1),
                1 => world.clear(),
                _ => drop(world.insert(1)),
            }
            world.call(1)
        });
        s.spawn(|| world.call(1));
    });
    world.settle(1..2);
}

fn async_callers_among_removals() {
    let world = World::<Colliding, Loaded>::of(2);
    scope(|s| {
        s.spawn(|| block_on(give_up_after(1 + pick(4), world.call_async(1))));
        s.spawn(|| block_on(world.call_async(1)));
        s.spawn(|| {
            world.invalidate(1);
            block_on(world.call_async(1))
        });
        s.spawn(|| block_on(give_up_after(1 + pick(4), world.call_async(1))));
    });
    world.settle(1..2);
}
