//! `Cache::with`: a stored value is looked at where it is, and stays there as long as it is looked
//! at; and entries that are read without a lock while others take them out.

use crate::event::{Dice, rounds, within_limit};
use crate::storages::Storage;
use gecaso::{Cache, LruStorage, ManualClock};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

/// Says how often it was cloned, and whether it has been dropped.
struct Watched {
    number: u64,
    clones: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
    /// Gone once it was dropped.
    alive: Box<AtomicBool>,
}

impl Watched {
    fn new(number: u64) -> Watched {
        let (clones, dropped) = Default::default();
        Watched { number, clones, dropped, alive: Box::new(AtomicBool::new(true)) }
    }

    fn sibling(&self, number: u64) -> Watched {
        let (clones, dropped) = (self.clones.clone(), self.dropped.clone());
        Watched { number, clones, dropped, alive: Box::new(AtomicBool::new(true)) }
    }

    /// Whether it is what it was made as, and not dropped.
    fn is_whole(&self, number: u64) -> bool {
        self.alive.load(SeqCst) && self.number == number
    }
}

impl Clone for Watched {
    fn clone(&self) -> Self {
        self.clones.fetch_add(1, SeqCst);
        assert!(self.alive.load(SeqCst), "cloned after it was dropped");
        self.sibling(self.number)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        assert!(self.alive.swap(false, SeqCst), "dropped twice");
        self.dropped.fetch_add(1, SeqCst);
    }
}

#[test]
fn a_value_is_looked_at_without_a_clone_and_counts_as_a_hit() {
    for storage in Storage::each(10) {
        let cache: Cache<u64, Watched> = storage.cache();
        let value = Watched::new(7);
        let clones = value.clones.clone();
        cache.insert(1, value);
        assert_eq!(cache.with(&1, |value| value.number), Some(7));
        assert_eq!(cache.with(&2, |value| value.number), None);
        let expected = usize::from(matches!(storage, Storage::Lru(_))) * clones.load(SeqCst);
        assert_eq!(clones.load(SeqCst), expected, "{storage:?}");
        let stats = cache.stats();
        assert_eq!((stats.hits, stats.misses, stats.loads), (1, 1, 0));
    }
}

#[test]
fn a_value_stays_while_it_is_looked_at_and_is_dropped_after_that() {
    for storage in Storage::each(2) {
        within_limit(move || {
            let cache: Cache<u64, Watched> = storage.cache();
            let value = Watched::new(0);
            let dropped = value.dropped.clone();
            let other = |number| value.sibling(number);
            cache.insert(1, other(1));
            type Remove = fn(&Cache<u64, Watched>, Watched);
            let ways: [Remove; 3] = [
                |cache, _| drop(cache.invalidate(&1)),
                |cache, _| drop(cache.clear()),
                |cache, other| drop(cache.insert(1, other)),
            ];
            for remove in ways {
                cache.clear();
                cache.insert(1, other(1));
                let before = dropped.load(SeqCst);
                let seen = cache.with(&1, |value| {
                    remove(&cache, other(9));
                    assert!(value.is_whole(1));
                    cache.with(&1, |value| value.number)
                });
                assert!(matches!(seen, Some(None | Some(9))), "{seen:?}");
                assert!(dropped.load(SeqCst) > before, "dropped when nobody looks any more");
            }
        });
    }
}

#[test]
fn looks_inside_of_looks_see_values_however_many_there_are() {
    fn deep(cache: &Cache<u64, Watched>, depth: u64) -> u64 {
        let next = |value: &Watched| {
            let below = if depth < 20 { deep(cache, depth + 1) } else { 0 };
            assert!(value.is_whole(depth));
            value.number + below
        };
        cache.with(&depth, next).unwrap()
    }
    for storage in Storage::each(100) {
        let cache: Cache<u64, Watched> = storage.cache();
        (0..=20).for_each(|key| drop(cache.insert(key, Watched::new(key))));
        assert_eq!(deep(&cache, 0), (0..=20).sum());
        cache.clear();
        assert_eq!(storage.len(), 0);
    }
}

#[test]
fn a_look_that_panics_leaves_nothing_held() {
    for storage in Storage::each(10) {
        let cache: Cache<u64, Watched> = storage.cache();
        let value = Watched::new(1);
        let dropped = value.dropped.clone();
        cache.insert(1, value);
        for _ in 0..10 {
            let look = || cache.with(&1, |_| std::panic::resume_unwind(Box::new(())));
            assert!(catch_unwind(AssertUnwindSafe(look)).is_err());
        }
        let before = dropped.load(SeqCst);
        cache.invalidate(&1);
        assert_eq!(dropped.load(SeqCst), before + 1);
    }
}

#[test]
fn an_expired_value_is_not_looked_at_and_a_look_is_a_use() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 10) {
        let second = Duration::from_secs(1);
        let cache: Cache<u64, u64> = storage.builder().tti(second).build();
        cache.insert(1, 10);
        for _ in 0..3 {
            clock.advance(second / 2);
            assert_eq!(cache.with(&1, |value| *value), Some(10), "put off by the look before");
        }
        clock.advance(second);
        assert_eq!(cache.with(&1, |value| *value), None);
    }
    let cache: Cache<u64, u64> = Cache::new(LruStorage::new(2));
    cache.insert(1, 10);
    cache.insert(2, 20);
    cache.with(&1, |_| ());
    cache.insert(3, 30);
    assert_eq!((cache.peek(&1), cache.peek(&2)), (Some(10), None));
}

/// Readers of every kind, while entries of the same few keys are put in, replaced, evicted, removed
/// and cleared: nobody ever sees another key's value, or one that was dropped.
#[test]
fn whoever_reads_sees_whole_values_of_the_right_key_while_they_go() {
    const KEYS: u64 = 24;
    for storage in Storage::each(8) {
        let cache: Cache<u64, Watched> = storage.cache();
        let texts: Cache<u64, String> = storage.cache();
        let numbers: Cache<u64, u64> = Cache::new(gecaso::MemoryStorage::bounded(8));
        let source = Watched::new(0);
        std::thread::scope(|scope| {
            for seed in 0..4 {
                let (cache, texts, numbers, source) = (&cache, &texts, &numbers, &source);
                scope.spawn(move || {
                    let mut dice = Dice(seed);
                    for _ in 0..rounds(4_000) {
                        let key = dice.roll(KEYS);
                        let text = || "x".repeat(key as usize + 1);
                        match dice.roll(12) {
                            0 => drop(cache.invalidate(&key)),
                            1 => drop(cache.insert(key, source.sibling(key))),
                            2 if dice.roll(20) == 0 => drop((cache.clear(), texts.clear())),
                            3 => drop(texts.insert(key, text())),
                            4 => drop(numbers.insert(key, key * 3)),
                            5..8 => {
                                let whole = cache.with(&key, |value| value.is_whole(key));
                                assert!(whole.unwrap_or(true));
                            }
                            8 => assert_eq!(texts.get_with(&key, text), text()),
                            9 => assert_eq!(numbers.get_with(&key, || key * 3), key * 3),
                            _ => {
                                let value = cache.get_with(&key, || source.sibling(key));
                                assert!(value.is_whole(key));
                            }
                        }
                    }
                });
            }
        });
        drop(cache);
        assert_eq!(Arc::strong_count(&source.dropped), 1, "every value was dropped, once");
    }
}
