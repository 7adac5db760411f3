//! A miss runs the body and stores what it returned; a hit does not run it.

use crate::event::{Count, Driven, within_limit};
use crate::runtime;
use crate::storages::Storage;
use gecaso::{Cache, LruStorage, MemoryStorage};
use std::future::pending;
use std::sync::{Arc, LazyLock};

#[test]
fn the_body_runs_on_a_miss_and_not_on_a_hit() {
    for storage in Storage::each(16) {
        let cache: Cache<u64, String> = storage.cache();
        let runs = Count::new();
        let call = |key: u64| {
            cache.get_with(&key, || {
                runs.up();
                format!("value {key}")
            })
        };
        assert_eq!((call(1), call(2)), ("value 1".into(), "value 2".into()));
        assert_eq!((call(1), call(2)), ("value 1".into(), "value 2".into()));
        assert_eq!(runs.now(), 2, "{storage:?}");
    }
}

#[test]
fn the_body_runs_on_a_miss_and_not_on_a_hit_on_every_runtime() {
    for runtime in runtime::ALL {
        for storage in Storage::each(16) {
            let cache: Cache<String, u64> = storage.cache();
            let runs = Count::new();
            let call = async |key: &str| {
                cache
                    .get_with_async(key, async {
                        runs.up();
                        smol::future::yield_now().await;
                        key.len() as u64
                    })
                    .await
            };
            runtime.run(async {
                assert_eq!((call("a").await, call("bb").await), (1, 2));
                assert_eq!((call("a").await, call("bb").await), (1, 2));
            });
            assert_eq!(runs.now(), 2, "{runtime:?} {storage:?}");
        }
    }
}

#[test]
fn synchronous_and_asynchronous_calls_share_their_entries() {
    let cache: Cache<u8, u8> = Cache::new(LruStorage::new(4));
    assert_eq!(cache.get_with(&1, || 10), 10);
    assert_eq!(Driven::new(cache.get_with_async(&1, pending())).ready(), 10);
    assert_eq!(pollster::block_on(cache.get_with_async(&2, async { 20 })), 20);
    assert_eq!(cache.get_with(&2, || unreachable!()), 20);
}

#[test]
fn an_error_is_not_stored_and_a_value_is() {
    for storage in Storage::each(4) {
        let cache: Cache<String, u16> = storage.cache();
        let parse = |text: &str, run: &Count| {
            cache.try_get_with(text, || {
                run.up();
                text.parse::<u16>()
            })
        };
        let runs = Count::new();
        assert!(parse("http", &runs).is_err());
        assert!(parse("http", &runs).is_err());
        assert_eq!(runs.now(), 2, "an error is asked for again");
        assert_eq!((parse("80", &runs), parse("80", &runs)), (Ok(80), Ok(80)));
        assert_eq!(runs.now(), 3);
        assert_eq!(storage.len(), 1);

        let call = |result: Result<u16, u8>| cache.try_get_with_async("x", async move { result });
        assert_eq!(pollster::block_on(call(Err(7))), Err(7));
        assert_eq!(pollster::block_on(call(Ok(5))), Ok(5));
        assert_eq!(pollster::block_on(call(Err(8))), Ok(5));
    }
}

#[test]
fn get_finds_what_is_stored_and_runs_nothing() {
    for storage in Storage::each(4) {
        let cache: Cache<u8, &str> = storage.cache();
        assert_eq!(cache.get(&1), None);
        assert_eq!(cache.peek(&1), None);
        cache.get_with(&1, || "one");
        assert_eq!(cache.get(&1), Some("one"));
        assert_eq!(cache.peek(&1), Some("one"));
    }
}

#[test]
fn insert_stores_and_replaces_before_it_returns() {
    for storage in Storage::each(4) {
        let cache: Cache<u8, &str> = storage.cache();
        cache.insert(1, "one");
        assert_eq!(cache.get_with(&1, || unreachable!()), "one");
        cache.insert(1, "uno");
        assert_eq!(cache.get_with(&1, || unreachable!()), "uno");
        assert_eq!(storage.len(), 1);
    }
}

#[test]
fn invalidate_removes_one_entry_and_clear_all() {
    for storage in Storage::each(4) {
        let cache: Cache<u8, u8> = storage.cache();
        for key in 0..3 {
            cache.insert(key, key);
        }
        cache.invalidate(&1);
        assert_eq!([cache.get(&0), cache.get(&1), cache.get(&2)], [Some(0), None, Some(2)]);
        cache.clear();
        assert_eq!([cache.get(&0), cache.get(&1), cache.get(&2)], [None; 3]);
        assert_eq!(storage.len(), 0);
        assert_eq!(cache.get_with(&0, || 7), 7, "usable afterwards");
    }
}

#[test]
fn a_receipt_of_storages_in_memory_is_done_at_once() {
    let cache: Cache<u8, u8> = Cache::new(MemoryStorage::bounded(4));
    for receipt in [cache.insert(1, 1), cache.invalidate(&1), cache.clear()] {
        assert!(Driven::new(receipt.clone()).ready().is_ok());
        assert!(receipt.wait().is_ok());
    }
}

#[test]
fn refresh_runs_the_body_and_callers_get_the_old_value_until_it_returns() {
    for storage in Storage::each(4) {
        let cache: Arc<Cache<u8, u8>> = Arc::new(storage.cache());
        cache.insert(1, 10);
        let (inside, go_on) = (Count::new(), Count::new());
        let refreshing = std::thread::spawn({
            let (cache, inside, go_on) = (cache.clone(), inside.clone(), go_on.clone());
            move || {
                cache.refresh(&1, || {
                    inside.up();
                    go_on.wait_for(1);
                    11
                })
            }
        });
        inside.wait_for(1);
        assert_eq!(cache.get_with(&1, || unreachable!()), 10);
        assert_eq!(cache.get(&1), Some(10));
        go_on.up();
        assert_eq!(refreshing.join().unwrap(), 11);
        assert_eq!(cache.get_with(&1, || unreachable!()), 11);

        let mut refreshing = Driven::new(cache.refresh_async(&1, async {
            smol::future::yield_now().await;
            12
        }));
        refreshing.pends();
        assert_eq!(cache.get(&1), Some(11));
        assert_eq!(refreshing.ready(), 12);
        assert_eq!(cache.get(&1), Some(12));
    }
}

#[test]
fn refresh_of_an_absent_key_is_shared_like_any_load() {
    for storage in Storage::each(4) {
        let cache: Cache<u8, u8> = storage.cache();
        let go_on = Count::new();
        let mut refreshing = Driven::new(cache.refresh_async(&1, async {
            go_on.reaches(1).await;
            5
        }));
        refreshing.pends();
        let mut caller = Driven::new(cache.get_with_async(&1, async { unreachable!() }));
        caller.pends();
        go_on.up();
        assert_eq!(refreshing.ready(), 5);
        assert_eq!(caller.ready(), 5);
    }
}

#[test]
fn a_cache_may_be_static_and_its_storage_shared_or_lazy() {
    static STORAGE: LazyLock<MemoryStorage> = LazyLock::new(|| MemoryStorage::bounded(64));
    static NAMES: LazyLock<Cache<u8, String>> = LazyLock::new(|| Cache::new(&STORAGE));
    static SIZES: LazyLock<Cache<u8, usize>> = LazyLock::new(|| Cache::new(&STORAGE));
    assert_eq!(NAMES.get_with(&1, || "one".into()), "one");
    assert_eq!(SIZES.get_with(&1, || 3), 3);
    assert_eq!(within_limit(|| (NAMES.get(&1), SIZES.get(&1))), (Some("one".into()), Some(3)));
    assert_eq!(STORAGE.len(), 2);
}

#[test]
fn a_cache_without_a_storage_named_is_bounded() {
    let cache: Cache<usize, ()> = Cache::builder().build();
    for key in 0..MemoryStorage::DEFAULT_CAPACITY + 100 {
        cache.insert(key, ());
    }
    assert_eq!(cache.stats().entries, MemoryStorage::DEFAULT_CAPACITY as u64);
}

#[test]
fn caches_and_storages_say_what_they_are() {
    let storage = LruStorage::new(8);
    let cache: Cache<u8, u8> = Cache::builder().storage(&storage).name("primes").version(3).build();
    cache.insert(1, 1);
    assert_eq!((cache.name(), cache.version()), ("primes", 3));
    let shown = format!("{cache:?} {storage:?}");
    for part in ["primes", "capacity: 8", "len: 1"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
}
