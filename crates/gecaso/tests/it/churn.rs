//! Memory: flat however much comes and goes, and given back when entries go for good.
//!
//! `GECASO_CHURN=600` makes the long one take so many seconds.

use crate::allocations::held;
use crate::event::{Dice, LIMIT};
use crate::storages::Storage;
use gecaso::{Cache, Lifetime, LruStorage, ManualClock, MemoryStorage};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// Values on the heap, of 16 to 272 bytes.
fn value(dice: &mut Dice) -> Vec<u8> {
    vec![7; 16 + dice.roll(256) as usize]
}

/// A round of everything that can happen to a few thousand keys.
fn round(cache: &Cache<u64, Vec<u8>>, clock: &ManualClock, dice: &mut Dice) {
    for _ in 0..20_000 {
        let key = dice.roll(4_000);
        match dice.roll(16) {
            0 => drop(cache.invalidate(&key)),
            1 => drop(cache.get(&key)),
            2..8 => drop(cache.insert(key, value(dice))),
            8 => drop(cache.insert_with_ttl(key, value(dice), 3 * SECOND)),
            _ => drop(cache.get_with(&key, || vec![7; 100])),
        }
        if dice.roll(500) == 0 {
            clock.advance(SECOND);
        }
    }
    cache.invalidate_if(|key, _| key % 97 == 0);
}

/// Storages that all of this goes through: full ones, and some that only expiry bounds.
fn churned(clock: &ManualClock) -> Vec<Cache<u64, Vec<u8>>> {
    let [memory, lru] = Storage::each_on(clock, 1_000);
    let heavy = Storage::Memory(MemoryStorage::weighted(100_000).with_clock(clock));
    let heavy_lru = Storage::Lru(LruStorage::weighted(100_000).with_clock(clock));
    let unbounded = Storage::Memory(MemoryStorage::unbounded().with_clock(clock));
    let rule = |key: &u64, _: &Vec<u8>| match key % 3 {
        0 => Lifetime::new().tti(2 * SECOND),
        1 => Lifetime::new().ttl(10 * SECOND),
        _ => Lifetime::new(),
    };
    let cache = |storage: Storage| storage.builder().ttl(5 * SECOND).lifetime(rule);
    let weighing = |storage: Storage| cache(storage).weigher(|_, value: &Vec<u8>| value.len());
    vec![
        cache(memory).build(),
        cache(lru).build(),
        cache(unbounded).build(),
        weighing(heavy).build(),
        weighing(heavy_lru).build(),
    ]
}

/// The most bytes held after each of so many rounds.
fn most(rounds: usize, cache: &Cache<u64, Vec<u8>>, clock: &ManualClock, dice: &mut Dice) -> isize {
    let after = |_| {
        round(cache, clock, dice);
        held()
    };
    (0..rounds).map(after).max().unwrap_or(0)
}

#[test]
fn memory_is_flat_however_much_comes_and_goes() {
    let clock = ManualClock::new();
    for (nth, cache) in churned(&clock).into_iter().enumerate() {
        let mut dice = Dice(nth as u64);
        let before = held();
        let first = most(10, &cache, &clock, &mut dice) - before;
        let later = most(20, &cache, &clock, &mut dice) - before;
        // A shard's arrays may double once more; what is lost with each entry would be far more.
        assert!(later <= first + first / 2, "{first} bytes at first, then {later}, storage {nth}");
        cache.clear();
        let left = held() - before;
        assert!(left < 100_000, "{left} bytes are left of {first}, storage {nth}");
    }
}

/// The same on the machine's clock, by several threads, for as long as it is told to.
#[test]
fn memory_is_flat_for_as_long_as_one_looks() {
    let seconds = std::env::var("GECASO_CHURN").map_or(1, |text| text.parse().expect("seconds"));
    let rule = |key: &u64, _: &Vec<u8>| match key % 3 {
        0 => Lifetime::new().tti(Duration::from_millis(20)),
        _ => Lifetime::new().ttl(Duration::from_millis(key % 50)),
    };
    let storages = [
        Storage::Memory(MemoryStorage::unbounded()),
        Storage::Memory(MemoryStorage::bounded(2_000)),
        Storage::Lru(LruStorage::new(2_000)),
    ];
    let caches = storages.each_ref().map(|storage| storage.builder().lifetime(rule).build());
    let end = Instant::now() + Duration::from_secs(seconds);
    std::thread::scope(|scope| {
        for seed in 0..2 {
            let caches: &[Cache<u64, Vec<u8>>; 3] = &caches;
            scope.spawn(move || {
                let mut dice = Dice(seed);
                while Instant::now() < end {
                    for cache in caches {
                        for _ in 0..1_000 {
                            // Keys that never come again: only expiry bounds the first storage.
                            let key = dice.roll(u64::MAX);
                            cache.get_with(&key, || vec![7; 64]);
                        }
                        // What two threads store in 100 milliseconds, in entries and to spare.
                        let entries = cache.len();
                        assert!(entries < 1_000_000, "{entries} entries");
                    }
                }
            });
        }
    });
    for storage in &storages {
        let late = Instant::now() + LIMIT;
        while storage.len() > 0 {
            storage.reclaim();
            assert!(Instant::now() < late, "{} have not expired, {storage:?}", storage.len());
        }
    }
}

/// Bytes held for a cache when nearly all of its entries have gone, in one of several ways.
#[test]
fn memory_is_given_back_when_entries_go() {
    type Go = fn(&Cache<u64, u64>, &Storage, &ManualClock);
    let ways: [(&str, Go); 4] = [
        ("clear", |cache, _, _| drop(cache.clear())),
        ("invalidate", |cache, _, _| (10..20_000).for_each(|key| drop(cache.invalidate(&key)))),
        ("invalidate_if", |cache, _, _| drop(cache.invalidate_if(|key, _| *key >= 10))),
        ("reclaim", |_, storage, clock| {
            clock.advance(SECOND);
            storage.reclaim();
        }),
    ];
    for (way, go) in ways {
        let clock = ManualClock::new();
        let [memory, lru] = Storage::each_on(&clock, 20_000);
        let unbounded = Storage::Memory(MemoryStorage::unbounded().with_clock(&clock));
        for storage in [memory, lru, unbounded] {
            let cache: Cache<u64, u64> = storage.builder().ttl(SECOND).build();
            let before = held();
            (0..20_000).for_each(|key| drop(cache.insert(key, key)));
            let full = held() - before;
            go(&cache, &storage, &clock);
            let left = held() - before;
            assert!(cache.len() <= 10, "{} entries, {way}", cache.len());
            // What counts requests stays: it is of the storage, and not of the entries.
            assert!(left < full / 8, "{left} bytes are left of {full}, {way}, {storage:?}");
            (0..20_000).for_each(|key| assert_eq!(cache.get_with(&key, || key), key));
            assert!((0..10).all(|key| cache.peek(&key) == Some(key)) || storage.len() == 20_000);
        }
    }
}
