//! Which entries a bounded storage keeps: it follows what is asked for, whatever that is.
//!
//! Keys are seeded anew in every run, so the bounds are wide; `docs/policies.md` has measured hit
//! ratios on real traces.

use gecaso::{Cache, LruStorage, MemoryStorage};

/// Hits per call, over these keys.
fn ratio(cache: &Cache<u64, u64>, keys: impl Iterator<Item = u64>) -> f64 {
    let (mut calls, mut bodies) = (0_u32, 0_u32);
    for key in keys {
        calls += 1;
        cache.get_with(&key, || {
            bodies += 1;
            key
        });
    }
    f64::from(calls - bodies) / f64::from(calls)
}

fn in_memory(capacity: usize, keys: impl Iterator<Item = u64>) -> f64 {
    let storage = MemoryStorage::bounded(capacity);
    let ratio = ratio(&Cache::new(&storage), keys);
    assert!(storage.len() <= capacity);
    ratio
}

fn in_lru_order(capacity: usize, keys: impl Iterator<Item = u64>) -> f64 {
    ratio(&Cache::new(LruStorage::new(capacity)), keys)
}

/// Numbers that are the same in every run.
fn random(seed: u64) -> impl Iterator<Item = u64> {
    let next = |n: &u64| Some(n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    std::iter::successors(Some(seed), next).map(|n| n >> 33)
}

/// Keys of which few are asked for often: the n-th about 1/n as often as the first.
fn skewed(seed: u64, keys: u64) -> impl Iterator<Item = u64> {
    random(seed).map(move |n| (keys as f64).powf(n as f64 / (1_u64 << 31) as f64) as u64)
}

#[test]
fn a_loop_over_more_than_fits_keeps_a_part_of_it() {
    for capacity in [50, 500, 5_000] {
        let keys = || (0..capacity as u64 * 120).map(|n| n % (capacity as u64 * 2));
        let (memory, lru) = (in_memory(capacity, keys()), in_lru_order(capacity, keys()));
        assert_eq!(lru, 0.0);
        assert!(memory > 0.3, "{memory} of at most 0.5, with {capacity} places");
    }
}

#[test]
fn keys_asked_for_twice_shortly_after_one_another_hit_the_second_time() {
    for capacity in [50, 500, 5_000] {
        let later = (capacity as u64 / 2) | 1;
        let keys = || {
            (0..capacity as u64 * 40).map(move |n| n - if n % 2 == 0 { 0 } else { n.min(later) })
        };
        let (memory, lru) = (in_memory(capacity, keys()), in_lru_order(capacity, keys()));
        assert!(lru > 0.4);
        assert!(memory > lru * 0.85, "{memory}, in LRU order {lru}, with {capacity} places");
    }
}

#[test]
fn a_scan_does_not_push_out_what_is_asked_for_often() {
    // Every fourth thousand of calls scans.
    let keys = || {
        let calls = (0_u64..200_000).zip(skewed(1, 20_000));
        calls.map(|(n, key)| if n / 1_000 % 4 == 3 { 1_000_000 + n } else { key })
    };
    let (memory, lru) = (in_memory(500, keys()), in_lru_order(500, keys()));
    assert!(memory > lru * 1.1, "{memory}, in LRU order {lru}");
}

#[test]
fn what_is_asked_for_often_today_replaces_what_was_yesterday() {
    let day = |n: u64| skewed(n, 20_000).map(move |key| key + n * 1_000_000).take(100_000);
    let cache = Cache::new(MemoryStorage::bounded(500));
    let first = ratio(&cache, day(0));
    let second = ratio(&cache, day(1));
    assert!(second > first * 0.9, "{second}, the day before {first}");
}

#[test]
fn functions_that_share_a_storage_keep_what_is_asked_for_often() {
    let shared = MemoryStorage::bounded(500);
    let (one, other) = (Cache::new(&shared), Cache::new(&shared));
    let (mut asked, mut hit) = (0.0, 0.0);
    for round in 0..100 {
        hit += ratio(&one, skewed(round, 5_000).take(500));
        hit += ratio(&other, skewed(round + 1_000, 5_000).take(500));
        asked += 2.0;
        assert!(shared.len() <= 500);
    }
    assert!(hit / asked > 0.5, "{}", hit / asked);
}
