//! What a call locks, writes and reads the clock for: exactly, by counting, in a test build.

use crate::sync::tally;
use crate::{Cache, LruStorage, ManualClock, MemoryStorage};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

/// So many hits of an entry are marked: each writes. The next write nothing, until the entry's turn
/// to be looked at comes.
const MOST_HITS: usize = 3;

/// A key whose comparison may run foreign code, as far as the cache knows.
type Foreign = (u8, u8);

/// What this thread does at its first call alone has been done.
fn warm() {
    crate::lane::number();
}

fn at_once<F: Future>(future: F) {
    assert!(pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready());
}

/// (shared locks, exclusive locks, atomics written) of a hit, sync and async.
fn hit(cache: &Cache<u64, u64>) -> (u32, u32, u32) {
    let sync = tally::of(|| cache.get_with(&1, || unreachable!()));
    let asynchronous = tally::of(|| at_once(cache.get_with_async(&1, std::future::pending())));
    assert_eq!(sync, asynchronous);
    sync
}

#[test]
fn a_hit_in_a_memory_storage_locks_nothing_and_soon_writes_nothing_that_others_write() {
    warm();
    for storage in [MemoryStorage::bounded(100), MemoryStorage::unbounded()] {
        let cache: Cache<u64, u64> = Cache::new(storage);
        cache.insert(1, 1);
        for _ in 0..MOST_HITS {
            let early = tally::of(|| cache.get_with(&1, || unreachable!()));
            assert_eq!(early, (0, 0, 1), "the mark");
        }
        for _ in 0..3 {
            assert_eq!(hit(&cache), (0, 0, 0), "the mark is at its most");
        }
    }
}

#[test]
fn a_hit_with_ttl_locks_and_writes_nothing_more() {
    warm();
    let clock = ManualClock::new();
    let storage = MemoryStorage::bounded(100).with_clock(&clock);
    let cache: Cache<u64, u64> =
        Cache::builder().storage(storage).ttl(Duration::from_secs(1)).build();
    cache.insert(1, 1);
    for _ in 0..MOST_HITS {
        cache.get(&1);
    }
    assert_eq!(hit(&cache), (0, 0, 0));
}

#[test]
fn a_hit_in_an_lru_storage_takes_its_one_lock_alone() {
    warm();
    let cache: Cache<u64, u64> = Cache::new(LruStorage::new(100));
    cache.insert(1, 1);
    for _ in 0..3 {
        assert_eq!(hit(&cache), (0, 1, 0));
    }
}

#[test]
fn a_hit_on_foreign_types_locks_nothing_either_and_in_lru_order_once_more_to_note_it() {
    warm();
    let memory: Cache<Foreign, Arc<Foreign>> = Cache::new(MemoryStorage::bounded(100));
    let lru: Cache<Foreign, Arc<Foreign>> = Cache::new(LruStorage::new(100));
    for cache in [&memory, &lru] {
        cache.insert((1, 2), Arc::default());
        for _ in 0..MOST_HITS {
            cache.get(&(1, 2));
        }
    }
    let hit = |cache: &Cache<_, _>| tally::of(|| cache.get_with(&(1, 2), || unreachable!()));
    assert_eq!(hit(&memory), (0, 0, 0));
    assert_eq!(hit(&lru), (0, 2, 0), "to find it, and to note it after the comparison");
}

#[test]
fn peek_counts_nothing() {
    warm();
    let cache: Cache<u64, u64> = Cache::new(LruStorage::new(100));
    cache.insert(1, 1);
    assert_eq!(tally::of(|| cache.peek(&1)), (0, 0, 0));
}

#[test]
fn an_entry_that_never_expires_reads_no_clock() {
    let clock = ManualClock::new();
    let memory = MemoryStorage::bounded(100).with_clock(&clock);
    let lru = LruStorage::new(100).with_clock(&clock);
    for cache in [Cache::<u64, u64>::new(memory), Cache::<u64, u64>::new(lru)] {
        let before = clock.reads();
        cache.insert(1, 1);
        for _ in 0..10 {
            cache.get_with(&1, || unreachable!());
            cache.get(&1);
            cache.get(&2);
            cache.peek(&1);
        }
        cache.invalidate(&1);
        assert_eq!(clock.reads(), before);
    }
}

#[test]
fn an_entry_that_expires_reads_the_clock_once_a_hit() {
    let clock = ManualClock::new();
    let storage = MemoryStorage::bounded(100).with_clock(&clock);
    let cache: Cache<u64, u64> =
        Cache::builder().storage(storage).ttl(Duration::from_secs(1)).build();
    cache.insert(1, 1);
    let before = clock.reads();
    cache.get_with(&1, || unreachable!());
    assert_eq!(clock.reads(), before + 1);
}
