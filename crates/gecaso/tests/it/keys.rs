//! Exact keys: real `Eq` decides, never a hash, and look-ups borrow.

use crate::event::{Count, Driven, within_limit};
use crate::storages::Storage;
use gecaso::{Cache, LruStorage, ManualClock, MemoryStorage};
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A key that hashes like every other.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Alike(u32);

impl Hash for Alike {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

#[test]
fn keys_with_one_hash_have_their_own_entries() {
    for storage in Storage::each(64) {
        let cache: Cache<Alike, u32> = storage.cache();
        for number in 0..50 {
            assert_eq!(cache.get_with(&Alike(number), || number), number);
        }
        for number in (0..50).rev() {
            assert_eq!(cache.get_with(&Alike(number), || unreachable!()), number);
            assert_eq!(cache.peek(&Alike(number)), Some(number));
        }
        cache.insert(Alike(7), 700);
        cache.invalidate(&Alike(8));
        cache.refresh(&Alike(9), || 900);
        for number in 0..50 {
            let expected = match number {
                7 => Some(700),
                8 => None,
                9 => Some(900),
                other => Some(other),
            };
            assert_eq!(cache.get(&Alike(number)), expected);
        }
        assert_eq!(storage.len(), 49);
    }
}

#[test]
fn keys_with_one_hash_do_not_share_flights() {
    for storage in Storage::each(64) {
        let cache: Cache<Alike, u32> = storage.cache();
        let go_on = Count::new();
        let call = |number| {
            let go_on = go_on.clone();
            async move {
                go_on.reaches(1).await;
                number
            }
        };
        let keys: Vec<_> = (0..10).map(Alike).collect();
        let mut calls: Vec<_> = keys
            .iter()
            .chain(&keys)
            .map(|key| Driven::new(cache.get_with_async(key, call(key.0))))
            .collect();
        calls.iter_mut().for_each(Driven::pends);
        cache.invalidate(&Alike(3));
        go_on.up();
        let values: Vec<_> = calls.iter_mut().map(Driven::ready).collect();
        assert_eq!(values, (0..10).chain(0..10).collect::<Vec<_>>());
        assert_eq!(cache.stats().loads, 10);
        assert_eq!(cache.get(&Alike(3)), None, "its load began before the invalidation");
        assert_eq!(cache.get(&Alike(4)), Some(4));
    }
}

#[test]
fn a_fresh_entry_is_found_beside_an_expired_one_of_its_hash() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 64) {
        let cache: Cache<Alike, u32> = storage.builder().ttl(Duration::from_secs(10)).build();
        for number in 0..8 {
            cache.insert(Alike(number), number);
            clock.advance(Duration::from_secs(2));
        }
        let fresh: Vec<_> = (0..8).filter_map(|number| cache.get(&Alike(number))).collect();
        assert_eq!(fresh, [4, 5, 6, 7], "{storage:?}");
        let stats = cache.stats();
        assert_eq!((stats.hits, stats.misses), (4, 4));
    }
}

#[test]
fn the_order_of_use_is_kept_among_keys_with_one_hash() {
    let cache: Cache<Alike, u32> = Cache::new(LruStorage::new(4));
    for used in 0..4 {
        cache.clear();
        for number in 0..4 {
            cache.insert(Alike(number), number);
        }
        assert_eq!(cache.get(&Alike(used)), Some(used));
        for newcomer in 10..13 {
            cache.insert(Alike(newcomer), newcomer);
        }
        assert_eq!(cache.peek(&Alike(used)), Some(used), "the one that was used last stays");
    }
}

#[test]
fn what_is_looked_up_may_be_borrowed() {
    let by_text: Cache<String, usize> = Cache::new(MemoryStorage::bounded(8));
    assert_eq!(by_text.get_with("four", || 4), 4);
    assert_eq!(by_text.get_with(&"four".to_owned()[..], || unreachable!()), 4);
    assert_eq!(by_text.get(&String::from("four")), Some(4));
    by_text.invalidate("four");
    assert_eq!(by_text.peek("four"), None);

    let by_path: Cache<PathBuf, usize> = Cache::new(MemoryStorage::bounded(8));
    assert_eq!(by_path.get_with(Path::new("/a/b"), || 2), 2);
    assert_eq!(by_path.get(Path::new("/a/b")), Some(2));

    let by_bytes: Cache<Vec<u8>, usize> = Cache::new(MemoryStorage::bounded(8));
    assert_eq!(by_bytes.get_with(&b"abc"[..], || 3), 3);
    assert_eq!(by_bytes.get(&b"abc"[..]), Some(3));
    assert_eq!(by_bytes.get(&b"abd"[..]), None);
}

/// A key whose owned form is made from a borrowed one that counts.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Owned(u32);
#[derive(PartialEq, Eq, Hash)]
#[repr(transparent)]
struct View(Owned);

static MADE: Mutex<u32> = Mutex::new(0);

impl Borrow<View> for Owned {
    fn borrow(&self) -> &View {
        // Made only from references that the test holds as `View` in the first place.
        static VIEWS: Mutex<BTreeMap<u32, &'static View>> = Mutex::new(BTreeMap::new());
        VIEWS
            .lock()
            .unwrap()
            .entry(self.0)
            .or_insert_with(|| Box::leak(Box::new(View(Owned(self.0)))))
    }
}

impl ToOwned for View {
    type Owned = Owned;
    fn to_owned(&self) -> Owned {
        *MADE.lock().unwrap() += 1;
        Owned(self.0.0)
    }
}

#[test]
fn an_owned_key_is_made_for_a_miss_only() {
    let cache: Cache<Owned, u32> = Cache::new(LruStorage::new(8));
    let view = View(Owned(5));
    assert_eq!(cache.get(&view), None);
    assert_eq!(*MADE.lock().unwrap(), 0, "a look-up without a body needs none");
    cache.get_with(&view, || 50);
    let made = *MADE.lock().unwrap();
    assert!(made >= 1);
    assert_eq!(cache.get_with(&view, || unreachable!()), 50);
    assert_eq!((cache.get(&view), cache.peek(&view)), (Some(50), Some(50)));
    assert_eq!(*MADE.lock().unwrap(), made);
}

#[test]
fn caches_on_one_storage_do_not_see_each_others_entries() {
    for storage in Storage::each(64) {
        let first: Cache<u64, u64> = storage.cache();
        let second: Cache<u64, u64> = storage.cache();
        let other: Cache<u32, String> = storage.cache();
        for key in 0..10 {
            first.insert(key, key);
            second.insert(key, key + 100);
            other.insert(key as u32, key.to_string());
        }
        for key in 0..10 {
            assert_eq!(first.get(&key), Some(key));
            assert_eq!(second.get(&key), Some(key + 100));
            assert_eq!(other.get(&(key as u32)), Some(key.to_string()));
        }
    }
}

/// A key whose comparison can be held up, and whose drop asks the cache.
struct Slow {
    number: u32,
    gate: Arc<SlowGate>,
}

#[derive(Default)]
struct SlowGate {
    armed: AtomicBool,
    comparing: Count,
    go_on: Count,
    cache: Mutex<Option<Arc<Cache<Slow, u32>>>>,
}

impl Clone for Slow {
    fn clone(&self) -> Slow {
        Slow { number: self.number, gate: self.gate.clone() }
    }
}

impl PartialEq for Slow {
    fn eq(&self, other: &Slow) -> bool {
        if self.gate.armed.swap(false, SeqCst) {
            self.gate.comparing.up();
            self.gate.go_on.wait_for(1);
        }
        self.number == other.number
    }
}

impl Eq for Slow {}

impl Hash for Slow {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Drop for Slow {
    fn drop(&mut self) {
        let cache = self.gate.cache.lock().unwrap().clone();
        if let (1, Some(cache)) = (self.number, cache) {
            // Any call: it takes the locks that must not be held while a key is dropped.
            cache.invalidate(&Slow { number: 3, gate: self.gate.clone() });
        }
    }
}

/// While a caller compares its key with that of a flight, the flight lands and is forgotten: the
/// caller holds the last of it, and must not drop it under a lock.
#[test]
fn a_key_is_never_dropped_under_a_lock() {
    for storage in Storage::each(0) {
        within_limit(move || {
            let gate = Arc::new(SlowGate::default());
            let cache: Arc<Cache<Slow, u32>> = Arc::new(storage.cache());
            *gate.cache.lock().unwrap() = Some(cache.clone());
            let key = |number| Slow { number, gate: gate.clone() };
            let go_on = Count::new();
            let mut load = Driven::new({
                let (cache, go_on, key) = (cache.clone(), go_on.clone(), key(1));
                async move {
                    let body = async {
                        go_on.reaches(1).await;
                        10
                    };
                    cache.get_with_async(&key, body).await
                }
            });
            load.pends();
            gate.armed.store(true, SeqCst);
            let other = std::thread::spawn({
                let (cache, key) = (cache.clone(), key(2));
                move || cache.get_with(&key, || 20)
            });
            gate.comparing.wait_for(1);
            go_on.up();
            assert_eq!(load.ready(), 10);
            drop(load);
            gate.go_on.up();
            assert_eq!(other.join().unwrap(), 20);
            gate.cache.lock().unwrap().take();
        });
    }
}
