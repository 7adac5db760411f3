//! Calls whose results are kept outside of the process.

use crate::event::{Driven, within_limit};
use crate::runtime;
use crate::scripted::Scripted;
use gecaso::{Cache, CacheBuilder, Far, ManualClock, Param};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

fn builder(storage: impl gecaso::Storage) -> CacheBuilder<u64, String> {
    Cache::builder().storage(storage).name("names")
}

fn cache(storage: impl gecaso::Storage) -> Cache<u64, String> {
    builder(storage).build()
}

#[test]
fn a_result_is_found_by_whoever_has_the_name() {
    let storage = Scripted::new();
    let first = cache(storage.clone());
    assert_eq!(first.get_with(&1, || "one".into()), "one");
    assert_eq!(first.get_with(&1, || unreachable!()), "one");
    // As another process would.
    let second = cache(storage.clone());
    assert_eq!(second.get_with(&1, || unreachable!()), "one");
    assert_eq!(second.get(&1).as_deref(), Some("one"));
    assert_eq!(second.peek(&1).as_deref(), Some("one"));
    let stats = second.stats();
    assert_eq!((stats.hits, stats.misses, stats.loads, stats.far.hits), (2, 0, 0, 3));
    let other: Cache<u64, String> = Cache::builder().storage(storage).name("other").build();
    assert_eq!(other.get(&1), None);
    assert_eq!((other.stats().misses, other.stats().far.misses), (1, 1));
}

#[test]
fn another_version_has_entries_of_its_own() {
    let storage = Scripted::new();
    builder(storage.clone()).version(1).build().get_with(&1, || "old".into());
    let new = builder(storage.clone()).version(2).build();
    assert_eq!(new.get_with(&1, || "new".into()), "new");
    assert_eq!(builder(storage).version(1).build().get(&1).as_deref(), Some("old"));
}

#[test]
fn any_number_of_misses_costs_one_look_and_one_body() {
    let storage = Scripted::new();
    let cache = cache(storage.clone());
    storage.stalls_gets();
    let bodies = AtomicUsize::new(0);
    let body = async || {
        bodies.fetch_add(1, SeqCst);
        "one".to_owned()
    };
    let mut calls: Vec<_> =
        (0..100).map(|_| Driven::new(cache.get_with_async(&1, body()))).collect();
    calls.iter_mut().for_each(Driven::pends);
    assert_eq!(storage.gets.now(), 1);
    storage.goes_on();
    assert!(calls.iter_mut().all(|call| call.ready() == "one"));
    assert_eq!((bodies.load(SeqCst), storage.gets.now(), storage.sets.now()), (1, 1, 1));
}

#[test]
fn a_hit_far_away_answers_everybody_who_waits() {
    let storage = Scripted::new();
    cache(storage.clone()).insert(1, "one".into()).wait().unwrap();
    let cache = cache(storage.clone());
    storage.stalls_gets();
    let call = || Driven::new(cache.get_with_async(&1, async { unreachable!() }));
    let mut calls = [call(), call(), call()];
    calls.iter_mut().for_each(Driven::pends);
    storage.goes_on();
    assert!(calls.iter_mut().all(|call| call.ready() == "one"));
    assert_eq!((cache.stats().hits, cache.stats().misses, cache.stats().loads), (1, 2, 0));
}

#[test]
fn keys_have_65_symbols_or_are_readable() {
    let storage = Scripted::new();
    cache(storage.clone()).get_with(&1, || "one".into());
    let [key] = &storage.entries()[..] else { panic!("{:?}", storage.entries()) };
    let (function, arguments) = key.split_once('_').expect("an underscore");
    let is_hex = |part: &str| {
        part.len() == 32 && part.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
    };
    assert!(key.len() == 65 && is_hex(function) && is_hex(arguments), "{key}");

    let storage = Scripted::new();
    builder(storage.clone()).hash_key(false).build().get_with(&1, || "one".into());
    assert_eq!(storage.entries(), ["names/v0:1"]);
}

#[test]
fn every_set_is_told_the_extra_parameters_and_the_lifetime() {
    let storage = Scripted::new();
    let cache = builder(storage.clone())
        .param("some_additional_cool_param", "Hell yeah!")
        .ttl(Duration::from_secs(60))
        .build();
    cache.get_with(&1, || "one".into());
    cache.insert(2, "two".into()).wait().unwrap();
    cache.refresh(&1, || "one".into());
    cache.clear().wait().unwrap();
    let told = storage.told.lock().unwrap();
    let (epochs, entries): (Vec<_>, Vec<_>) =
        told.iter().partition(|(key, _)| key.ends_with("epoch"));
    assert_eq!((epochs.len(), entries.len()), (2, 3));
    for (key, params) in told.iter() {
        let cool = params.get("some_additional_cool_param");
        assert_eq!(cool, Some(&Param::from("Hell yeah!")), "{key}");
    }
    assert!(entries.iter().all(|(_, params)| params.ttl() == Some(Duration::from_secs(60))));
    assert!(epochs.iter().all(|(_, params)| params.ttl().is_none()), "it is never forgotten");
}

#[test]
fn an_entry_expires_whatever_the_storage_does() {
    let clock = ManualClock::new();
    let storage = Scripted::new();
    let far = Far::new(storage.clone()).with_clock(&clock);
    let cache = builder(far).ttl(Duration::from_secs(60)).build();
    cache.get_with(&1, || "one".into());
    clock.advance(Duration::from_secs(59));
    assert_eq!(cache.get(&1).as_deref(), Some("one"));
    clock.advance(Duration::from_secs(1));
    assert_eq!(cache.get(&1), None);
    assert_eq!((storage.entries().len(), cache.stats().far.expired), (1, 1));
    assert_eq!(cache.get_with(&1, || "two".into()), "two");
}

#[test]
fn a_lifetime_of_zero_neither_stores_nor_looks() {
    let storage = Scripted::new();
    let cache = builder(storage.clone()).ttl(Duration::ZERO).build();
    assert_eq!(cache.get_with(&1, || "one".into()), "one");
    assert_eq!((storage.gets.now(), storage.sets.now()), (0, 0));
}

#[test]
fn a_synchronous_call_may_stand_anywhere() {
    let storage = Scripted::new();
    let call = |storage: Scripted| {
        let cache = cache(storage);
        assert_eq!(cache.get_with(&1, || "one".into()), "one");
        assert_eq!(cache.get_with(&1, || unreachable!()), "one");
        cache.invalidate(&1).wait().unwrap();
        assert_eq!(cache.get(&1), None);
    };
    call(storage.clone());
    for runtime in runtime::ALL {
        let storage = storage.clone();
        runtime.run(async { call(storage) });
    }
    let current = tokio::runtime::Builder::new_current_thread().build().unwrap();
    current.block_on(async { call(storage) });
}

#[test]
fn a_synchronous_call_waits_for_a_storage_that_waits() {
    let storage = Scripted::new();
    let far = Far::new(storage.clone()).deadline(Duration::from_secs(30));
    cache(far.clone()).insert(1, "one".into()).wait().unwrap();
    storage.stalls_gets();
    let cache = cache(far);
    let go_on = storage.clone();
    let helper = std::thread::spawn(move || {
        go_on.gets.wait_for(1);
        go_on.goes_on();
    });
    assert_eq!(within_limit(move || cache.get_with(&1, || unreachable!())), "one");
    helper.join().unwrap();
}

#[test]
fn an_asynchronous_call_runs_on_every_runtime() {
    for runtime in runtime::ALL {
        let storage = Scripted::new();
        let cache = cache(storage);
        runtime.run(async {
            assert_eq!(cache.get_with_async(&1, async { "one".to_owned() }).await, "one");
            assert_eq!(cache.get_with_async(&1, async { unreachable!() }).await, "one");
            assert_eq!(cache.get_async(&1).await.as_deref(), Some("one"));
            cache.insert(2, "two".into()).await.unwrap();
            assert_eq!(cache.get_async(&2).await.as_deref(), Some("two"));
            cache.clear().await.unwrap();
            assert_eq!(cache.get_async(&2).await, None);
        });
    }
}

#[test]
fn a_cancelled_leader_leaves_its_write_to_others() {
    let storage = Scripted::new();
    let cache = cache(storage.clone());
    storage.stalls_writes();
    let mut leader = Driven::new(cache.get_with_async(&1, async { "one".to_owned() }));
    leader.pends();
    assert_eq!(storage.sets.now(), 1);
    assert_eq!(cache.get(&1).as_deref(), Some("one"), "what is being written is read from here");
    leader.cancel();
    storage.goes_on();
    crate::event::until(|| storage.entries().len() == 1);
    assert_eq!(storage.sets.now(), 1, "the same write went on");
}

#[test]
#[should_panic(expected = "needs a name")]
fn a_cache_over_a_far_storage_needs_a_name() {
    let _ = Cache::<u64, String>::new(Scripted::new());
}

#[test]
fn one_far_is_one_storage_for_all_who_share_it() {
    let storage = Scripted::new();
    let far = Far::new(storage.clone());
    let names = cache(far.clone());
    let sizes: Cache<String, u64> = Cache::builder().storage(far.clone()).name("sizes").build();
    names.get_with(&1, || "one".into());
    sizes.get_with("one", || 3);
    assert_eq!((storage.entries().len(), far.stats().sets), (2, 4), "with an epoch for each");
    storage.fails(true);
    (0..5).for_each(|key| drop(names.get(&key)));
    assert!(far.is_given_up());
    let before = storage.gets.now();
    assert_eq!(sizes.get_with("one", || 4), 4);
    assert_eq!(storage.gets.now(), before, "what one has learned the other knows");
}
