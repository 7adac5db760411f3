//! A storage outside of the process that fails, stalls or lies costs a bounded delay, never the
//! answer.

use crate::event::{Driven, until};
use crate::scripted::Scripted;
use gecaso::{Cache, Error, Far, ManualClock, Trouble};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn cache(storage: impl gecaso::Storage) -> Cache<u64, String> {
    Cache::builder().storage(storage).name("names").build()
}

#[test]
fn a_storage_that_fails_is_a_miss() {
    let storage = Scripted::new();
    let cache = cache(storage.clone());
    storage.fails(true);
    assert_eq!(cache.get_with(&1, || "one".into()), "one");
    assert_eq!(cache.get(&1), None);
    let (stats, far) = (cache.stats(), cache.stats().far);
    assert_eq!((stats.hits, stats.misses, far.errors), (0, 2, 2));
    storage.fails(false);
    assert_eq!(cache.get_with(&1, || "two".into()), "two");
    assert_eq!(cache.get_with(&1, || unreachable!()), "two");
}

#[test]
fn a_storage_that_panics_has_failed() {
    let storage = Scripted::new();
    let cache = cache(storage.clone());
    cache.insert(1, "one".into()).wait().unwrap();
    storage.panics(true);
    assert_eq!(cache.get_with(&1, || "body".into()), "body");
    let error = cache.invalidate(&1).wait().unwrap_err();
    assert!(error.to_string().contains("panicked: as the test says"), "{error}");
}

#[test]
fn a_storage_that_stalls_is_left_when_the_deadline_is_over() {
    let clock = ManualClock::new();
    let storage = Scripted::new();
    let far = Far::new(storage.clone()).with_clock(&clock);
    let cache = cache(far);
    cache.insert(1, "one".into()).wait().unwrap();
    storage.stalls_gets();
    let mut call = Driven::new(cache.get_with_async(&1, async { "body".to_owned() }));
    call.pends();
    clock.advance(Far::DEFAULT_DEADLINE - Duration::from_nanos(1));
    call.pends();
    clock.advance(Duration::from_nanos(1));
    assert_eq!(call.ready(), "body");
    assert_eq!(cache.stats().far.timeouts, 1);
}

#[test]
fn all_operations_of_a_call_share_one_deadline() {
    let clock = ManualClock::new();
    let storage = Scripted::new();
    let far = Far::new(storage.clone()).with_clock(&clock);
    let cache: Cache<u64, String> =
        Cache::builder().storage(far).name("names").deadline(Duration::from_millis(10)).build();
    cache.get(&7); // knows the epoch now
    storage.stalls_gets();
    storage.stalls_writes();
    let mut call = Driven::new(cache.get_with_async(&1, async { "body".to_owned() }));
    call.pends();
    clock.advance(Duration::from_millis(10));
    assert_eq!(call.ready(), "body", "nothing is left to wait for the set");
    assert_eq!(cache.get(&1).as_deref(), Some("body"), "which goes on");
    storage.goes_on();
    until(|| storage.entries().len() == 1);
}

#[test]
fn a_storage_that_fails_often_is_left_alone_until_it_answers() {
    let clock = ManualClock::new();
    let storage = Scripted::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let far = Far::new(storage.clone())
        .with_clock(&clock)
        .on_trouble(move |trouble| log.lock().unwrap().push(trouble.to_string()));
    let cache = cache(far.clone());
    cache.insert(1, "one".into()).wait().unwrap();
    cache.get(&1);
    storage.fails(true);
    (0..5).for_each(|_| assert_eq!(cache.get(&1), None));
    assert!(far.is_given_up());
    let asked = storage.gets.now();
    assert_eq!(cache.get_with(&1, || "body".into()), "body");
    assert_eq!(storage.gets.now(), asked, "nobody asks it now");
    assert!(cache.stats().far.skipped > 0);
    storage.fails(false);
    until(|| {
        clock.advance(Duration::from_millis(200));
        !far.is_given_up()
    });
    assert_eq!(cache.get_with(&3, || "three".into()), "three");
    assert_eq!(cache.get_with(&3, || unreachable!()), "three");
    let seen = seen.lock().unwrap();
    let count = |text: &str| seen.iter().filter(|line| line.contains(text)).count();
    assert_eq!((count("failed so often"), count("answered again")), (1, 1), "{seen:?}");
    assert!(count("`get` failed: as the test says") >= 5, "{seen:?}");
}

#[test]
fn a_storage_that_takes_no_writes_is_still_read() {
    let clock = ManualClock::new();
    let storage = Scripted::new();
    let far = Far::new(storage.clone()).with_clock(&clock);
    let cache = cache(far.clone());
    cache.insert(1, "one".into()).wait().unwrap();
    storage.stalls_writes();
    let removals = (10..15).map(|key| cache.invalidate(&key));
    let insertions = (20..25).map(|key| cache.insert(key, "new".into()));
    let receipts: Vec<_> = removals.chain(insertions).collect();
    clock.advance(Far::DEFAULT_DEADLINE);
    for receipt in receipts {
        assert!(receipt.wait().is_err());
    }
    assert!(far.is_given_up());
    assert_eq!(cache.get(&1).as_deref(), Some("one"));
    let tried = storage.sets.now();
    assert_eq!(cache.get_with(&2, || "two".into()), "two");
    assert_eq!(storage.sets.now(), tried);
}

#[test]
fn who_asks_for_it_gets_an_error_instead_of_a_body() {
    let storage = Scripted::new();
    let cache = cache(storage.clone());
    let call = |body: fn() -> Result<String, Error>| cache.fail_closed().try_get_with(&1, body);
    storage.fails(true);
    let error = call(|| unreachable!()).unwrap_err();
    assert!(error.to_string().contains("`names` could not be read: as the test says"), "{error}");
    storage.fails(false);
    assert_eq!(call(|| Ok("one".into())).unwrap(), "one");
    assert_eq!(call(|| unreachable!()).unwrap(), "one");
    storage.fails(true);
    let closed = cache.fail_closed();
    let call = closed.try_get_with_async(&1, async { unreachable!() });
    let refused: Result<String, Error> = pollster::block_on(call);
    assert!(refused.is_err());
}

#[test]
fn damaged_bytes_are_a_miss_of_their_own_kind() {
    let storage = Scripted::new();
    let cache = cache(storage.clone());
    cache.get_with(&1, || "one".into());
    let key = storage.entries().remove(0);
    let good = storage.inner.look(&key).unwrap();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let mut newer = good.clone();
    newer[4] += 1;
    for bytes in [&b"something else"[..], &[], &good[..good.len() - 1], &flipped, &newer] {
        storage.inner.put(&key, bytes);
        assert_eq!(cache.get(&1), None, "{bytes:?}");
    }
    let far = cache.stats().far;
    assert_eq!((far.foreign, far.corrupt, far.outdated), (2, 2, 1), "{far:?}");
    storage.inner.put(&key, &good);
    assert_eq!(cache.get(&1).as_deref(), Some("one"));
}

#[test]
fn a_value_of_another_type_is_a_miss() {
    let storage = Scripted::new();
    cache(storage.clone()).get_with(&1, || "one".into());
    let numbers: Cache<u64, u64> = Cache::builder().storage(storage).name("names").build();
    assert_eq!(numbers.get_with(&1, || 1), 1);
    assert_eq!(numbers.stats().far.outdated, 1);
}

#[test]
fn a_value_that_cannot_be_kept_is_reported_once_and_answers_the_call() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let far = Far::new(Scripted::new()).max_value(1_000).on_trouble(move |trouble| {
        assert!(matches!(trouble, Trouble::Unencodable { .. }), "{trouble}");
        log.lock().unwrap().push(trouble.to_string());
    });
    let cache = cache(far.clone());
    for _ in 0..3 {
        assert_eq!(cache.get_with(&1, || "x".repeat(2_000)).len(), 2_000);
    }
    assert_eq!(cache.stats().far.unencodable, 3);
    let seen = seen.lock().unwrap();
    assert!(seen.len() == 1 && seen[0].contains("`names`"), "{seen:?}");
    drop(seen);
    assert!(cache.insert(1, "x".repeat(2_000)).wait().is_err());

    // A map whose keys are no texts has no place in many formats; here it has.
    let maps: Cache<u64, BTreeMap<(u8, u8), u8>> =
        Cache::builder().storage(far).name("maps").build();
    maps.get_with(&1, || BTreeMap::from([((1, 2), 3)]));
    assert_eq!(maps.get(&1).map(|map| map[&(1, 2)]), Some(3));
}

#[test]
fn arguments_too_large_to_be_a_key_run_the_body() {
    let far = Far::new(Scripted::new()).on_trouble(|_| {});
    let cache: Cache<String, u64> = Cache::builder().storage(far).name("lengths").build();
    let long = "x".repeat(100_000);
    assert_eq!(cache.get_with(long.as_str(), || 1), 1);
    assert_eq!(cache.get_with(long.as_str(), || 2), 2);
    assert_eq!(cache.stats().far.unencodable, 2);
    let told = cache.insert(long.clone(), 3).wait().unwrap_err().to_string();
    assert!(told.contains("its arguments take 100004 bytes as a key"), "{told}");
    assert_eq!(cache.get(long.as_str()), None, "it is stored nowhere, as the receipt says");
    cache.invalidate(long.as_str()).wait().unwrap();
}

#[test]
fn who_waits_for_a_call_that_fails_closed_fails_with_it() {
    let clock = ManualClock::new();
    let storage = Scripted::new();
    let cache = cache(Far::new(storage.clone()).with_clock(&clock));
    cache.get(&1);
    storage.stalls_gets();
    let closed = cache.fail_closed();
    let call = || async { closed.try_get_with_async(&1, async { unreachable!() }).await };
    let mut calls: Vec<Driven<'_, Result<String, Error>>> =
        (0..3).map(|_| Driven::new(call())).collect();
    let mut open = Driven::new(cache.get_with_async(&1, async { "body".to_owned() }));
    calls.iter_mut().for_each(Driven::pends);
    open.pends();
    clock.advance(Far::DEFAULT_DEADLINE);
    assert!(calls.iter_mut().all(|call| call.ready().is_err()), "none waits any longer");
    assert_eq!(open.ready(), "body", "who did not ask for it runs its body");
}

/// An error that cannot even be shown.
#[derive(Debug)]
struct Unshown;

impl std::fmt::Display for Unshown {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::panic::resume_unwind(Box::new("as the test says"))
    }
}

impl std::error::Error for Unshown {}

struct Unspeakable;

impl gecaso::Storage for Unspeakable {
    async fn get(&self, _: &str) -> gecaso::Result<Option<Vec<u8>>> {
        Err(Unshown.into())
    }
    async fn set(&self, _: &str, _: &[u8], _: &gecaso::Params) -> gecaso::Result<()> {
        Err(Unshown.into())
    }
    async fn remove(&self, _: &[&str]) -> gecaso::Result<()> {
        Err(Unshown.into())
    }
}

#[test]
fn an_error_that_panics_when_it_is_shown_is_an_error() {
    let cache = cache(Unspeakable);
    assert_eq!(cache.get_with(&1, || "body".into()), "body");
    assert!(cache.invalidate(&1).wait().is_err());
    assert!(cache.insert(1, "one".into()).wait().is_err());
}

#[test]
fn a_listener_may_call_the_function() {
    static CACHE: std::sync::OnceLock<Cache<u64, String>> = std::sync::OnceLock::new();
    let storage = Scripted::new();
    storage.fails(true);
    let calls = Arc::new(Mutex::new(0));
    let count = calls.clone();
    let far = Far::new(storage).on_trouble(move |_| {
        let is_first = std::mem::replace(&mut *count.lock().unwrap(), 1) == 0;
        if is_first && let Some(cache) = CACHE.get() {
            assert_eq!(cache.get_with(&1, || "inner".into()), "inner");
        }
    });
    let never = Duration::from_secs(1_000_000);
    let cache = Cache::builder().storage(far).name("names").max_wait(never).build();
    let cache = CACHE.get_or_init(|| cache);
    let outer = crate::event::within_limit(|| cache.get_with(&1, || "outer".into()));
    assert_eq!((outer.as_str(), *calls.lock().unwrap()), ("outer", 1));
}

/// Blocks the thread that polls it: here by moving the clock.
struct Blocking(ManualClock);

impl gecaso::Storage for Blocking {
    async fn get(&self, _: &str) -> gecaso::Result<Option<Vec<u8>>> {
        self.0.advance(2 * Far::DEFAULT_DEADLINE);
        Ok(None)
    }
    async fn set(&self, _: &str, _: &[u8], _: &gecaso::Params) -> gecaso::Result<()> {
        self.0.advance(2 * Far::DEFAULT_DEADLINE);
        Ok(())
    }
    async fn remove(&self, _: &[&str]) -> gecaso::Result<()> {
        Ok(())
    }
}

#[test]
fn a_storage_that_blocks_is_left_alone_in_the_end() {
    let clock = ManualClock::new();
    let far = Far::new(Blocking(clock.clone())).with_clock(&clock);
    let cache = cache(far.clone());
    (0..5).for_each(|key| drop(cache.get_with(&key, || "body".into())));
    assert!(far.is_given_up());
}
