//! A bound is never exceeded, not for a moment, whoever shares the storage.

use super::world::{Colliding, Label, Loaded, Stamped, World};
use super::{pick, scenarios, switch};
use crate::storage::IntoTier;
use crate::{Cache, LruStorage, ManualClock, MemoryStorage};
use shuttle::thread::scope;
use std::time::Duration;

scenarios![
    one_place_for_three_keys,
    two_places_in_two_shards,
    functions_of_different_types_share_places,
    expired_entries_make_room,
    places_come_back_from_removals,
    a_function_leaves_a_shared_storage,
    the_least_recently_used_goes,
];

/// Looks at the storage while others work.
fn observe(places: usize, len: impl Fn() -> usize) {
    for _ in 0..6 {
        let len = len();
        assert!(len <= places, "{len} entries in {places} places");
        switch();
    }
}

/// Books are written after the fact, but are never nonsense.
fn plausible<K: Label, V: Stamped>(world: &World<K, V>) {
    let entries = world.cache.stats().entries;
    assert!(entries < 1_000, "{entries} entries");
}

fn one_place_for_three_keys() {
    let clock = ManualClock::new();
    let (lru, memory) =
        (LruStorage::new(1).with_clock(&clock), MemoryStorage::bounded(1).with_clock(&clock));
    let is_lru = pick(2) == 0;
    let tier = if is_lru { (&lru).into_tier() } else { (&memory).into_tier() };
    let world = World::<u32, u64>::over(tier);
    scope(|s| {
        s.spawn(|| (world.call(1), world.call(2)));
        s.spawn(|| (world.call(2), world.call(3)));
        s.spawn(|| (world.insert(1), world.call(3)));
        s.spawn(|| observe(1, || if is_lru { lru.len_at_once() } else { memory.len_at_once() }));
    });
    world.settle(1..4);
}

fn two_places_in_two_shards() {
    let storage = MemoryStorage::bounded(2).with_clock(&ManualClock::new());
    let world = World::<u32, Loaded>::over((&storage).into_tier());
    scope(|s| {
        s.spawn(|| (world.call(1), world.call(2), world.call(3)));
        s.spawn(|| (world.call(4), world.call(2)));
        s.spawn(|| (world.insert(5), world.call(1)));
        s.spawn(|| {
            observe(2, || storage.len_at_once());
            plausible(&world);
        });
    });
    world.settle(1..6);
}

fn functions_of_different_types_share_places() {
    let clock = ManualClock::new();
    let (lru, memory) =
        (LruStorage::new(2).with_clock(&clock), MemoryStorage::bounded(2).with_clock(&clock));
    let is_lru = pick(2) == 0;
    let (one, two) = match is_lru {
        true => ((&lru).into_tier(), (&lru).into_tier()),
        false => ((&memory).into_tier(), (&memory).into_tier()),
    };
    let one = World::<u32, u64>::over(one);
    let two = World::<Colliding, Loaded>::over(two);
    scope(|s| {
        s.spawn(|| (one.call(1), two.call(1), one.call(2)));
        s.spawn(|| (two.call(2), one.call(1), two.invalidate(1), two.call(1)));
        s.spawn(|| (one.clear(), two.call(1), one.call(3)));
        s.spawn(|| {
            observe(2, || if is_lru { lru.len_at_once() } else { memory.len_at_once() });
            plausible(&one);
            plausible(&two);
        });
    });
    one.settle(1..4);
    two.settle(1..1);
}

fn expired_entries_make_room() {
    let clock = ManualClock::new();
    let storage = MemoryStorage::bounded(3).with_clock(&clock);
    let second = Duration::from_secs(1);
    let brief = Cache::builder().storage(&storage).ttl(second);
    let (brief, lasting) =
        (World::<u32, u64>::built(brief), World::<Colliding, u64>::over((&storage).into_tier()));
    scope(|s| {
        s.spawn(|| (brief.call(1), brief.call(2), brief.call(3)));
        s.spawn(|| (lasting.call(1), brief.call(4), lasting.call(2)));
        s.spawn(|| (clock.advance(second), clock.advance(second), brief.call(1)));
        s.spawn(|| {
            observe(3, || storage.len_at_once());
            plausible(&brief);
            plausible(&lasting);
        });
    });
    brief.settle(1..5);
    lasting.settle(1..1);
}

fn places_come_back_from_removals() {
    let storage = LruStorage::new(2).with_clock(&ManualClock::new());
    let world = World::<Colliding, u64>::over((&storage).into_tier());
    scope(|s| {
        s.spawn(|| (world.call(1), world.invalidate(1), world.call(2)));
        s.spawn(|| (world.insert(2), world.invalidate(2), world.insert(3)));
        s.spawn(|| (world.call(3), world.clear(), world.call(1)));
        s.spawn(|| {
            observe(2, || storage.len_at_once());
            plausible(&world);
        });
    });
    world.settle(1..4);
}

fn a_function_leaves_a_shared_storage() {
    let storage = MemoryStorage::bounded(2).with_clock(&ManualClock::new());
    let stays = World::<u32, u64>::over((&storage).into_tier());
    let leaves = World::<u32, Loaded>::over((&storage).into_tier());
    scope(|s| {
        s.spawn(|| {
            leaves.call(1);
            leaves.call(2);
            drop(leaves);
        });
        s.spawn(|| (stays.call(1), stays.call(2), stays.call(3)));
        s.spawn(|| {
            let comes = World::<Colliding, u64>::over((&storage).into_tier());
            (stays.call(3), comes.call(1))
        });
        s.spawn(|| observe(2, || storage.len_at_once()));
    });
    stays.settle(1..4);
}

/// Whatever order the threads run in, at the end the last used are there.
fn the_least_recently_used_goes() {
    let storage = LruStorage::new(2).with_clock(&ManualClock::new());
    let one = World::<u32, u64>::over((&storage).into_tier());
    let two = World::<u32, Loaded>::over((&storage).into_tier());
    scope(|s| {
        s.spawn(|| (one.call(1), two.call(2)));
        s.spawn(|| (two.call(1), one.call(3)));
        s.spawn(|| (one.call(2), one.call(1)));
    });
    one.call(1);
    two.call(1);
    one.call(1);
    two.call(2);
    let there = [one.cache.peek(&1).is_some(), two.cache.peek(&2).is_some()];
    assert_eq!(there, [true, true], "the two that were used last");
    assert!(two.cache.peek(&1).is_none(), "the one before them went");
    one.settle(1..4);
    two.settle(1..1);
}
