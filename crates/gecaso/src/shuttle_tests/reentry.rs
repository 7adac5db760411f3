//! Bodies that call cached functions: no ring of waits ever closes, and no more than the call that
//! would close it runs uncached.

use super::world::{Colliding, Loaded, Stamped, World};
use super::{give_up_after, pick, scenarios, switch};
use crate::{scope as in_scope, scope_fn};
use shuttle::future::block_on;
use shuttle::thread::scope;
use std::sync::Arc;

scenarios![
    a_body_calls_its_own_key,
    two_threads_call_each_other_s_keys,
    three_threads_in_a_ring,
    three_threads_in_a_ring_of_three_each,
    distinct_keys_of_one_function_stay_cached,
    a_body_waits_for_its_children,
    an_async_body_waits_for_its_tasks,
    a_ring_with_cancellations,
    a_ring_with_removals,
];

type Worlds<'a> = [&'a World<u32, u64>];

/// Calls the first of the worlds with a body that calls the second, and so on.
fn descend(worlds: &Worlds<'_>) -> u64 {
    let [first, rest @ ..] = worlds else { unreachable!("a call at least") };
    first.call_with(1, || {
        let body = first.begin(1);
        if !rest.is_empty() {
            descend(rest);
        }
        body.end()
    })
}

async fn descend_async(worlds: &Worlds<'_>) -> u64 {
    let [first, rest @ ..] = worlds else { unreachable!("a call at least") };
    let body = async {
        let body = first.begin(1);
        shuttle::future::yield_now().await;
        if !rest.is_empty() {
            Box::pin(descend_async(rest)).await;
        }
        body.end()
    };
    first.call_async_with(1, body).await
}

fn bodies(worlds: &Worlds<'_>) -> u32 {
    worlds.iter().map(|world| world.bodies()).sum()
}

/// So many worlds, where one body of each key may run uncached.
fn worlds<const N: usize>() -> [World<u32, u64>; N] {
    std::array::from_fn(|_| {
        let world = World::of(2);
        world.allow(1);
        world
    })
}

fn a_body_calls_its_own_key() {
    let world = World::<Colliding, Loaded>::of(2);
    world.allow(1);
    let recurse = || {
        world.call_with(1, || {
            let body = world.begin(1);
            switch();
            world.call(1);
            body.end()
        })
    };
    scope(|s| {
        s.spawn(recurse);
        s.spawn(recurse);
        s.spawn(recurse);
    });
    assert_eq!(world.bodies(), 2, "the outer one, and the inner one uncached");
    world.settle(1..2);
}

fn two_threads_call_each_other_s_keys() {
    let worlds = worlds::<2>();
    let [a, b] = &worlds;
    scope(|s| {
        s.spawn(|| descend(&[a, b]));
        s.spawn(|| block_on(descend_async(&[b, a])));
        s.spawn(|| a.call(1));
    });
    let bodies = bodies(&[a, b]);
    assert!(bodies <= 3, "{bodies} bodies: only the call that closes the ring runs uncached");
    [a, b].into_iter().for_each(|world| world.settle(1..2));
}

fn three_threads_in_a_ring() {
    let worlds = worlds::<3>();
    let [a, b, c] = &worlds;
    scope(|s| {
        s.spawn(|| descend(&[a, b]));
        s.spawn(|| descend(&[b, c]));
        s.spawn(|| descend(&[c, a]));
    });
    let bodies = bodies(&[a, b, c]);
    assert!(bodies <= 4, "{bodies} bodies: only the call that closes the ring runs uncached");
    [a, b, c].into_iter().for_each(|world| world.settle(1..2));
}

fn three_threads_in_a_ring_of_three_each() {
    let worlds = worlds::<3>();
    let [a, b, c] = &worlds;
    scope(|s| {
        s.spawn(|| descend(&[a, b, c]));
        s.spawn(|| descend(&[b, c, a]));
        s.spawn(|| block_on(descend_async(&[c, a, b])));
    });
    let bodies = bodies(&[a, b, c]);
    assert!(bodies <= 5, "{bodies} bodies: only calls that close a ring run uncached");
    [a, b, c].into_iter().for_each(|world| world.settle(1..2));
}

/// Every number needs the one below: nobody waits in a ring, so nothing runs twice.
fn distinct_keys_of_one_function_stay_cached() {
    fn count_down(world: &World<u32, u64>, from: u32) -> u64 {
        world.call_with(from, || {
            let body = world.begin(from);
            if from > 1 {
                count_down(world, from - 1);
            }
            body.end()
        })
    }
    let world = World::<u32, u64>::of(4);
    scope(|s| {
        s.spawn(|| count_down(&world, 3));
        s.spawn(|| count_down(&world, 2));
        s.spawn(|| count_down(&world, 4));
    });
    assert_eq!(world.bodies(), 4);
    world.settle(1..5);
}

fn a_body_waits_for_its_children() {
    let world = World::<Colliding, u64>::of(4);
    world.allow(2);
    scope(|s| {
        s.spawn(|| {
            world.call_with(1, || {
                let body = world.begin(1);
                scope(|children| {
                    children.spawn(scope_fn(|| world.call(1)));
                    children.spawn(scope_fn(|| world.call(2)));
                });
                body.end()
            })
        });
        s.spawn(|| {
            world.call_with(2, || {
                let body = world.begin(2);
                world.call(1);
                body.end()
            })
        });
        s.spawn(|| world.call(1));
    });
    world.settle(1..3);
}

fn an_async_body_waits_for_its_tasks() {
    async fn parent(world: Arc<World<u32, Loaded>>, number: u32) -> Loaded {
        let body = async {
            let body = world.begin(number);
            let child = |number| {
                let world = world.clone();
                async move { world.call_async(number).await }
            };
            let tasks = [1, 2].map(|number| shuttle::future::spawn(in_scope(child(number))));
            for task in tasks {
                task.await.expect("nobody aborts it");
            }
            body.end()
        };
        world.call_async_with(number, body).await
    }
    let world = Arc::new(World::<u32, Loaded>::of(4));
    world.allow(4);
    let tasks = [1, 2, 1].map(|number| shuttle::future::spawn(parent(world.clone(), number)));
    for (task, number) in tasks.into_iter().zip([1, 2, 1]) {
        assert_eq!(block_on(task).expect("nobody aborts it").number(), number);
    }
    world.settle(1..3);
}

fn a_ring_with_cancellations() {
    let worlds = worlds::<3>();
    let [a, b, c] = &worlds;
    [a, b, c].into_iter().for_each(|world| world.allow(2));
    scope(|s| {
        s.spawn(|| block_on(give_up_after(1 + pick(6), descend_async(&[a, b]))));
        s.spawn(|| block_on(give_up_after(1 + pick(6), descend_async(&[b, c, a]))));
        s.spawn(|| descend(&[c, a, b]));
        s.spawn(|| block_on(descend_async(&[b, a])));
    });
    [a, b, c].into_iter().for_each(|world| world.settle(1..2));
}

fn a_ring_with_removals() {
    let worlds = worlds::<2>();
    let [a, b] = &worlds;
    [a, b].into_iter().for_each(|world| world.allow(2));
    scope(|s| {
        s.spawn(|| descend(&[a, b, a]));
        s.spawn(|| descend(&[b, a]));
        s.spawn(|| {
            match pick(3) {
                0 => a.invalidate(1),
                1 => b.clear(),
                _ => drop(a.insert(1)),
            }
            descend(&[a, b])
        });
    });
    [a, b].into_iter().for_each(|world| world.settle(1..2));
}
