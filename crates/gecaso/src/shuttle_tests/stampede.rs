//! Many callers of one key: one body, shared by all.

use super::world::{Colliding, Label, Loaded, Stamped, World, any_storage};
use super::{pick, scenarios};
use crate::Cache;
use shuttle::future::block_on;
use shuttle::thread::scope;
use std::time::Duration;

scenarios![
    sync_callers_share_one_body,
    sync_and_async_callers_share_one_body,
    keys_that_collide_have_a_body_each,
    what_is_not_stored_is_shared,
    readers_see_a_refreshed_value_or_the_one_before,
    those_who_only_look_run_nothing,
];

fn sync_callers_share_one_body() {
    fn check<K: Label, V: Stamped>() {
        let world = World::<K, V>::of(4);
        scope(|s| {
            for _ in 0..3 {
                s.spawn(|| world.call(1));
            }
        });
        assert_eq!(world.bodies(), 1);
        world.settle(1..2);
    }
    match pick(2) {
        0 => check::<u32, u64>(),
        _ => check::<Colliding, Loaded>(),
    }
}

fn sync_and_async_callers_share_one_body() {
    let world = World::<u32, Loaded>::of(4);
    scope(|s| {
        for _ in 0..2 {
            s.spawn(|| world.call(1));
            s.spawn(|| block_on(world.call_async(1)));
        }
    });
    assert_eq!(world.bodies(), 1);
    world.settle(1..2);
}

fn keys_that_collide_have_a_body_each() {
    let world = World::<Colliding, u64>::of(4);
    scope(|s| {
        s.spawn(|| (world.call(1), world.call(2)));
        s.spawn(|| (world.call(2), world.call(1)));
        s.spawn(|| (world.call(3), world.call(1)));
    });
    assert_eq!(world.bodies(), 3);
    world.settle(1..4);
}

fn what_is_not_stored_is_shared() {
    let builder = match pick(2) {
        0 => Cache::builder().storage(any_storage(4)).ttl(Duration::ZERO),
        _ => Cache::builder().storage(any_storage(0)),
    };
    let world = World::<u32, u64>::built(builder);
    scope(|s| {
        for _ in 0..3 {
            s.spawn(|| (world.call(1), world.call(1)));
        }
    });
    assert!(world.look(1).is_none(), "nothing is stored");
    world.settle(1..1);
}

fn readers_see_a_refreshed_value_or_the_one_before() {
    let world = World::<Colliding, Loaded>::of(2);
    world.call(1);
    scope(|s| {
        s.spawn(|| (world.refresh(1), world.refresh(1)));
        s.spawn(|| world.refresh(1));
        s.spawn(|| {
            let before = world.bodies();
            let [first, second, third] = [(); 3].map(|()| world.call(1).version());
            assert!(first <= second && second <= third, "a value came back");
            before
        });
    });
    assert_eq!(world.bodies(), 4, "callers find a value all the while");
    world.settle(1..2);
}

fn those_who_only_look_run_nothing() {
    let world = World::<Colliding, u64>::of(2);
    scope(|s| {
        s.spawn(|| world.call(1));
        s.spawn(|| (world.look(1), world.look(2), world.look(1)));
        s.spawn(|| world.call(2));
    });
    assert_eq!(world.bodies(), 2);
    world.settle(1..3);
}
