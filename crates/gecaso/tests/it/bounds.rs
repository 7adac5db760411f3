//! Bounds are bounds: never more entries than places, not for a moment, and what goes is the right
//! one.

use crate::event::{Dice, rounds};
use crate::storages::Storage;
use gecaso::{Cache, LruStorage, MemoryStorage};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

#[test]
fn a_storage_never_holds_more_than_its_capacity() {
    for capacity in [1, 2, 3, 7, 64, 100, 1_000] {
        for storage in Storage::each(capacity) {
            let cache: Cache<usize, usize> = storage.cache();
            for key in 0..3 * capacity {
                cache.get_with(&key, || key);
                assert!(storage.len() <= capacity);
            }
            assert_eq!(storage.len(), capacity, "and all places are used");
            assert_eq!(cache.stats().evictions, 2 * capacity as u64);
        }
    }
}

#[test]
fn no_capacity_at_all_means_nothing_is_stored() {
    for storage in Storage::each(0) {
        let cache: Cache<u8, String> = storage.cache();
        for _ in 0..3 {
            assert_eq!(cache.get_with(&1, || "one".into()), "one");
            cache.insert(1, "uno".into());
            assert_eq!((cache.get(&1), storage.len()), (None, 0));
        }
        cache.invalidate(&1);
        cache.clear();
        let stats = cache.stats();
        assert_eq!((stats.loads, stats.evictions, stats.entries), (3, 0, 0));
    }
}

#[test]
fn a_single_place_holds_what_came_last() {
    for storage in Storage::each(1) {
        let (numbers, texts): (Cache<u8, u8>, Cache<u8, String>) =
            (storage.cache(), storage.cache());
        for key in 0..10 {
            numbers.insert(key, key);
            assert_eq!((numbers.get(&key), storage.len()), (Some(key), 1));
            texts.insert(key, key.to_string());
            assert_eq!((texts.get(&key), storage.len()), (Some(key.to_string()), 1));
            assert_eq!(numbers.get(&key), None);
        }
    }
}

#[test]
fn replacing_in_a_full_storage_evicts_nothing() {
    for storage in Storage::each(8) {
        let (first, second): (Cache<u8, u8>, Cache<u8, String>) =
            (storage.cache(), storage.cache());
        for key in 0..4 {
            first.insert(key, key);
            second.insert(key, key.to_string());
        }
        for key in 0..4 {
            first.insert(key, key + 10);
            second.refresh(&key, || "new".into());
        }
        assert!((0..4).all(|key| first.peek(&key) == Some(key + 10)), "{storage:?}");
        assert!((0..4).all(|key| second.peek(&key) == Some("new".into())), "{storage:?}");
        assert_eq!(storage.len(), 8);
        assert_eq!((first.stats().evictions, second.stats().evictions), (0, 0));
    }
}

#[test]
fn functions_that_share_a_storage_share_its_order() {
    let storage = LruStorage::new(3);
    let (numbers, texts): (Cache<u8, u8>, Cache<u8, String>) =
        (Cache::new(&storage), Cache::new(&storage));
    numbers.insert(1, 1);
    texts.insert(1, "one".into());
    numbers.insert(2, 2);
    numbers.get(&1);
    texts.insert(2, "two".into());
    assert_eq!(texts.peek(&1), None, "the least recently used of both");
    assert_eq!((numbers.peek(&1), numbers.peek(&2)), (Some(1), Some(2)));
    texts.insert(3, "three".into());
    assert_eq!((numbers.peek(&1), numbers.peek(&2)), (Some(1), None));
}

#[test]
fn peek_does_not_change_what_goes_next() {
    for foreign in [false, true] {
        let cache: Cache<u8, Result<u8, Box<u8>>> = Cache::new(LruStorage::new(2));
        let value = |n| if foreign { Err(Box::new(n)) } else { Ok(n) };
        cache.insert(1, value(1));
        cache.insert(2, value(2));
        cache.peek(&1);
        cache.insert(3, value(3));
        assert_eq!((cache.peek(&1), cache.peek(&2)), (None, Some(value(2))));
    }
}

#[test]
fn a_memory_storage_keeps_what_is_asked_for_again() {
    let cache: Cache<u32, u32> = Cache::new(MemoryStorage::bounded(50));
    for key in 0..10 {
        cache.insert(key, key);
    }
    for scanned in 100..10_000 {
        if scanned % 10 == 0 {
            (0..10).for_each(|key| assert_eq!(cache.get(&key), Some(key), "after {scanned}"));
        }
        cache.insert(scanned, scanned);
    }
}

/// Eight threads insert, remove and share a storage; a ninth looks all the time.
#[test]
fn an_observer_never_sees_more_than_the_capacity() {
    for capacity in [1, 4, 130, 1_000] {
        for storage in Storage::each(capacity) {
            let numbers: Cache<u64, u64> = storage.cache();
            let texts: Cache<u64, String> = storage.cache();
            let busy = AtomicUsize::new(8);
            std::thread::scope(|scope| {
                for seed in 0..8 {
                    let (numbers, texts, busy) = (&numbers, &texts, &busy);
                    scope.spawn(move || {
                        let mut dice = Dice(seed);
                        for _ in 0..rounds(3_000) {
                            let key = dice.roll(2 * capacity as u64 + 4);
                            match dice.roll(8) {
                                0 => drop(numbers.invalidate(&key)),
                                1 => drop(texts.invalidate(&key)),
                                2..5 => drop(texts.get_with(&key, || key.to_string())),
                                5 => drop(numbers.insert(key, key)),
                                _ => assert_eq!(numbers.get_with(&key, || key), key),
                            }
                        }
                        busy.fetch_sub(1, SeqCst);
                    });
                }
                while busy.load(SeqCst) > 0 {
                    let seen = storage.len();
                    assert!(seen <= capacity, "{seen} in {storage:?}");
                    let entries = numbers.stats().entries.max(texts.stats().entries);
                    assert!(entries <= capacity as u64, "{entries} in {storage:?}");
                }
            });
            let entries = numbers.stats().entries + texts.stats().entries;
            assert_eq!(entries as usize, storage.len());
            for key in 0..4 * capacity as u64 {
                numbers.insert(key, key);
            }
            assert_eq!(storage.len(), capacity, "no place was lost");
        }
    }
}

/// Where all entries are in one shard they are counted at one moment, to the last one.
#[test]
fn not_even_a_moment_of_one_more_is_seen_where_places_come_and_go() {
    for capacity in [1, 3] {
        for storage in Storage::each(capacity) {
            let cache: Cache<u64, u64> = storage.cache();
            let busy = AtomicUsize::new(4);
            std::thread::scope(|scope| {
                for thread in 0..4 {
                    let (cache, busy) = (&cache, &busy);
                    scope.spawn(move || {
                        for step in 0..rounds(8_000) as u64 {
                            let key = step % 4 + 4 * thread;
                            cache.insert(key, key);
                            cache.invalidate(&key);
                        }
                        busy.fetch_sub(1, SeqCst);
                    });
                }
                while busy.load(SeqCst) > 0 {
                    let entries = cache.stats().entries;
                    assert!(entries <= capacity as u64, "{entries} in {storage:?}");
                }
            });
            assert_eq!(cache.stats().entries, 0);
        }
    }
}

/// The same by what is alive, for values that are never handed out: not even a value that waits to
/// be dropped is left over in numbers.
#[test]
fn values_alive_never_exceed_the_capacity_and_one_per_thread() {
    struct Alive<'a>(&'a AtomicUsize);
    impl Drop for Alive<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, SeqCst);
        }
    }
    static ALIVE: AtomicUsize = AtomicUsize::new(0);
    const THREADS: usize = 4;
    for storage in Storage::each(16) {
        let cache: Cache<u64, Arc<Alive<'static>>> = storage.cache();
        let mut most = 0;
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS as u64)
                .map(|thread| {
                    let cache = &cache;
                    scope.spawn(move || {
                        for step in 0..rounds(5_000) as u64 {
                            ALIVE.fetch_add(1, SeqCst);
                            cache.insert(step * 7 + thread, Arc::new(Alive(&ALIVE)));
                        }
                    })
                })
                .collect();
            loop {
                let over = threads.iter().all(|thread| thread.is_finished());
                most = most.max(ALIVE.load(SeqCst));
                if over {
                    break;
                }
            }
        });
        // Each thread holds the one it brings and, for a moment, the one it pushed out.
        assert!((16..=16 + 2 * THREADS).contains(&most), "{most} were alive, {storage:?}");
        assert_eq!(ALIVE.load(SeqCst), 16);
        drop(cache);
        assert_eq!(ALIVE.load(SeqCst), 0);
    }
}

/// The obvious LRU: a list, the least recently used first.
struct Model {
    capacity: usize,
    entries: Vec<(u8, u16)>,
}

impl Model {
    fn take(&mut self, key: u8) -> Option<u16> {
        let at = self.entries.iter().position(|(other, _)| *other == key)?;
        Some(self.entries.remove(at).1)
    }

    fn get(&mut self, key: u8) -> Option<u16> {
        let value = self.take(key)?;
        self.entries.push((key, value));
        Some(value)
    }

    fn insert(&mut self, key: u8, value: u16) {
        self.take(key);
        if self.entries.len() == self.capacity {
            self.entries.remove(0);
        }
        self.entries.push((key, value));
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Get(u8),
    GetWith(u8, u16),
    Insert(u8, u16),
    Invalidate(u8),
    Refresh(u8, u16),
    Peek(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..12_u8;
    let step = prop_oneof![
        key.clone().prop_map(Step::Get),
        (key.clone(), any::<u16>()).prop_map(|(key, value)| Step::GetWith(key, value)),
        (key.clone(), any::<u16>()).prop_map(|(key, value)| Step::Insert(key, value)),
        key.clone().prop_map(Step::Invalidate),
        (key.clone(), any::<u16>()).prop_map(|(key, value)| Step::Refresh(key, value)),
        key.prop_map(Step::Peek),
    ];
    proptest::collection::vec(step, 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: rounds(120) as u32, failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn lru_storage_evicts_in_true_order_of_use(capacity in 1..9_usize, steps in steps()) {
        let cache: Cache<u8, u16> = Cache::new(LruStorage::new(capacity));
        let mut model = Model { capacity, entries: Vec::new() };
        for step in steps {
            match step {
                Step::Get(key) => prop_assert_eq!(cache.get(&key), model.get(key)),
                Step::Peek(key) => {
                    let wanted = model.entries.iter().find(|(other, _)| *other == key);
                    prop_assert_eq!(cache.peek(&key), wanted.map(|(_, value)| *value));
                }
                Step::GetWith(key, new) => {
                    let wanted = model.get(key).unwrap_or_else(|| {
                        model.insert(key, new);
                        new
                    });
                    prop_assert_eq!(cache.get_with(&key, || new), wanted);
                }
                Step::Insert(key, value) => {
                    cache.insert(key, value);
                    model.insert(key, value);
                }
                Step::Refresh(key, value) => {
                    cache.refresh(&key, || value);
                    model.insert(key, value);
                }
                Step::Invalidate(key) => {
                    cache.invalidate(&key);
                    model.take(key);
                }
            }
            prop_assert_eq!(cache.stats().entries as usize, model.entries.len());
        }
    }
}
