//! What belongs to whom on a shared storage, and that everything is dropped in the end, once.

use crate::event::{Dice, within_limit};
use crate::storages::Storage;
use gecaso::{Cache, LruStorage, MemoryStorage};
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};

/// Counts itself: alive now, and dropped in all.
struct Counted {
    books: Arc<Books>,
}

#[derive(Default)]
struct Books {
    alive: AtomicI64,
    dropped: AtomicI64,
}

impl Counted {
    fn new(books: &Arc<Books>) -> Counted {
        books.alive.fetch_add(1, SeqCst);
        Counted { books: books.clone() }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.books.dropped.fetch_add(1, SeqCst);
        let left = self.books.alive.fetch_sub(1, SeqCst);
        assert!(left > 0, "dropped twice");
    }
}

type Shared = Arc<Counted>;

#[test]
fn clear_removes_its_own_entries_and_no_others() {
    for storage in Storage::each(64) {
        let (mine, yours): (Cache<u8, u8>, Cache<u8, String>) = (storage.cache(), storage.cache());
        for key in 0..10 {
            mine.insert(key, key);
            yours.insert(key, key.to_string());
        }
        mine.clear();
        assert!((0..10).all(|key| mine.get(&key).is_none()));
        assert!((0..10).all(|key| yours.get(&key) == Some(key.to_string())));
        assert_eq!(storage.len(), 10);
    }
}

#[test]
fn a_dropped_cache_gives_its_places_back_and_drops_its_values() {
    for storage in Storage::each(8) {
        let books = Arc::new(Books::default());
        let stays: Cache<u8, u8> = storage.cache();
        stays.insert(1, 1);
        for round in 0..100 {
            let cache: Cache<u8, Shared> = storage.cache();
            for key in 0..4 {
                cache.insert(key, Arc::new(Counted::new(&books)));
            }
            assert_eq!(storage.len(), 5, "round {round}");
            drop(cache);
            assert_eq!(storage.len(), 1);
            assert_eq!(books.alive.load(SeqCst), 0);
        }
        assert_eq!(stays.get(&1), Some(1));
        assert_eq!(stays.stats().entries, 1);
        (2..10).for_each(|key| drop(stays.insert(key, key)));
        assert_eq!(storage.len(), 8, "all places can be used");
    }
}

#[test]
fn a_storage_outlives_its_handles_as_long_as_a_cache_uses_it() {
    let storage = MemoryStorage::bounded(2);
    let cache: Cache<u8, u8> = Cache::new(&storage);
    let clone = storage.clone();
    drop(storage);
    cache.insert(1, 1);
    assert_eq!(clone.len(), 1);
    drop(clone);
    assert_eq!(cache.get(&1), Some(1));
}

#[test]
fn with_clock_makes_a_new_storage() {
    let storage = LruStorage::new(3);
    let cache: Cache<u8, u8> = Cache::new(&storage);
    cache.insert(1, 1);
    let other = storage.clone().with_clock(&gecaso::ManualClock::new());
    assert_eq!((other.capacity(), other.len(), storage.len()), (3, 0, 1));
}

#[test]
fn a_value_is_dropped_as_soon_as_it_cannot_be_reached() {
    for storage in Storage::each(2) {
        let books = Arc::new(Books::default());
        let alive = || books.alive.load(SeqCst);
        let value = || Arc::new(Counted::new(&books));
        let cache: Cache<u8, Shared> = storage.cache();
        cache.insert(1, value());
        cache.insert(1, value());
        assert_eq!(alive(), 1, "replaced");
        cache.refresh(&1, value);
        assert_eq!(alive(), 1, "refreshed");
        cache.invalidate(&1);
        assert_eq!(alive(), 0, "invalidated");
        (0..5).for_each(|key| drop(cache.get_with(&key, value)));
        assert_eq!(alive(), 2, "evicted");
        let held = cache.get_with(&4, || unreachable!());
        cache.clear();
        assert_eq!(alive(), 1, "a reader keeps what it got");
        drop(held);
        assert_eq!((alive(), books.dropped.load(SeqCst)), (0, 8));
    }
}

#[test]
fn a_value_that_is_not_stored_is_dropped_with_its_last_reader() {
    for storage in Storage::each(0) {
        let books = Arc::new(Books::default());
        let cache: Cache<u8, Shared> = storage.cache();
        let value = cache.get_with(&1, || Arc::new(Counted::new(&books)));
        cache.insert(1, Arc::new(Counted::new(&books)));
        assert_eq!(books.alive.load(SeqCst), 1);
        drop(value);
        assert_eq!(books.alive.load(SeqCst), 0);
    }
}

/// A value that calls its cache when it is dropped.
#[derive(Clone)]
struct Caller(#[expect(dead_code, reason = "held for its drop")] Arc<CallerInner>);

struct CallerInner {
    cache: Weak<Cache<u32, Caller>>,
    calls: Arc<AtomicI64>,
}

impl Drop for CallerInner {
    fn drop(&mut self) {
        self.calls.fetch_add(1, SeqCst);
        let Some(cache) = self.cache.upgrade() else { return };
        cache.get(&0);
        cache.peek(&1);
        cache.invalidate(&2);
        // Inserting here would go on for ever: each insertion evicts a value that inserts.
        let quiet = || Caller(Arc::new(CallerInner { cache: Weak::new(), calls: Arc::default() }));
        cache.get_with(&1_000_000, quiet);
        cache.stats();
    }
}

#[test]
fn a_value_whose_drop_calls_the_cache_finds_no_lock_held() {
    for storage in Storage::each(4) {
        within_limit(move || {
            let cache: Arc<Cache<u32, Caller>> = Arc::new(storage.cache());
            let calls = Arc::new(AtomicI64::new(0));
            let value = || {
                let (cache, calls) = (Arc::downgrade(&cache), calls.clone());
                Caller(Arc::new(CallerInner { cache, calls }))
            };
            for key in 0..20 {
                drop(cache.get_with(&key, value)); // evicts
            }
            for key in 0..20 {
                drop(cache.insert(key, value())); // evicts, replaces
                drop(cache.insert(key, value()));
            }
            drop(cache.refresh(&19, value));
            cache.invalidate(&19);
            cache.clear();
            assert_eq!(calls.load(SeqCst), 20 + 40 + 1, "{storage:?}");
            cache.clear();
            assert_eq!(storage.len(), 0);
        });
    }
}

#[test]
fn nothing_leaks_in_a_churn_of_threads() {
    for storage in Storage::each(64) {
        let books = Arc::new(Books::default());
        let cache: Cache<u64, Shared> = storage.cache();
        let short: Mutex<Vec<Cache<u64, Shared>>> = Mutex::default();
        std::thread::scope(|scope| {
            for seed in 0..4 {
                let (cache, books, short, storage) = (&cache, &books, &short, &storage);
                scope.spawn(move || {
                    let mut dice = Dice(seed);
                    let value = || Arc::new(Counted::new(books));
                    for _ in 0..crate::event::rounds(3_000) {
                        let key = dice.roll(200);
                        match dice.roll(20) {
                            0 => drop(cache.clear()),
                            1..4 => drop(cache.invalidate(&key)),
                            4..8 => drop(cache.insert(key, value())),
                            8 => drop(cache.refresh(&key, value)),
                            9 => {
                                let other = storage.cache();
                                other.insert(key, value());
                                short.lock().unwrap().push(other);
                            }
                            10 => drop(short.lock().unwrap().pop()),
                            _ => drop(cache.get_with(&key, value)),
                        }
                        assert!(storage.len() <= 64);
                    }
                });
            }
        });
        assert_eq!(books.alive.load(SeqCst), storage.len() as i64, "one value for each entry");
        drop(short);
        assert_eq!(storage.len() as u64, cache.stats().entries);
        drop(cache);
        assert_eq!((books.alive.load(SeqCst), storage.len()), (0, 0), "{storage:?}");
    }
}
