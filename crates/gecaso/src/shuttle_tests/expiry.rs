//! Nobody gets an entry whose time is over.

use super::world::{Colliding, Label, World, any_storage_on};
use super::{pick, scenarios};
use crate::time::Clock;
use crate::{Cache, ManualClock};
use shuttle::thread::scope;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

scenarios![
    no_call_gets_an_expired_entry,
    an_expired_entry_hides_no_fresh_one_of_the_same_hash,
    expiry_and_removals,
];

const SECOND: Duration = Duration::from_secs(1);

fn world<K: Label>(clock: &ManualClock, capacity: usize) -> World<K, u64> {
    let storage = any_storage_on(clock, capacity);
    World::built(Cache::builder().storage(storage).ttl(SECOND * 2))
}

/// When a body's caller has got its value, the entry has been stored before: two seconds later it
/// is over for calls that begin then. Bodies are told apart by their versions.
fn no_call_gets_an_expired_entry() {
    let clock = ManualClock::new();
    let now = || Clock::Manual(clock.clone()).now();
    let world = world::<Colliding>(&clock, 2);
    let returned = Mutex::new(BTreeMap::new());
    let call = || {
        let begun = now();
        let over: Vec<u64> = {
            let returned = returned.lock().unwrap();
            let is_over = |at: u64| at + 2_000_000_000 <= begun;
            returned.iter().filter(|(_, at)| is_over(**at)).map(|(value, _)| *value).collect()
        };
        let mut own = false;
        let got = world.call_with(1, || {
            own = true;
            world.body_of_its_own(1)
        });
        assert!(!over.contains(&got), "an entry whose time was over");
        if own {
            let at = now();
            returned.lock().unwrap().insert(got, at);
        }
    };
    scope(|s| {
        s.spawn(|| (call(), call()));
        s.spawn(|| (call(), call()));
        s.spawn(|| (0..3).for_each(|_| clock.advance(SECOND)));
    });
    clock.advance(SECOND * 2);
    assert!(world.look(1).is_none(), "everything is over");
    world.settle(1..2);
}

fn an_expired_entry_hides_no_fresh_one_of_the_same_hash() {
    let clock = ManualClock::new();
    let world = world::<Colliding>(&clock, 4);
    world.call(1 + pick(2));
    clock.advance(SECOND);
    world.call(1);
    world.call(2);
    scope(|s| {
        s.spawn(|| clock.advance(SECOND));
        s.spawn(|| world.call(3));
        s.spawn(|| world.look(1));
    });
    // One of two has expired.
    let there = [1, 2].map(|number| world.cache.get(&Colliding::of(number)).is_some());
    assert_eq!(there.iter().filter(|there| **there).count(), 1, "{there:?}");
    world.settle(1..4);
}

fn expiry_and_removals() {
    let clock = ManualClock::new();
    let world = world::<Colliding>(&clock, 2);
    let step = || {
        for _ in 0..3 {
            let number = 1 + pick(2);
            match pick(6) {
                0 => world.invalidate(number),
                1 => drop(world.insert(number)),
                2 => clock.advance(SECOND),
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
