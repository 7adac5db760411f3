//! What was removed here is not believed any more, whatever a storage outside of the process says.

use crate::event::{Driven, until};
use crate::scripted::Scripted;
use gecaso::{Cache, Far, ManualClock, Storage as _};
use std::time::Duration;

fn cache(storage: impl gecaso::Storage) -> Cache<u64, String> {
    Cache::builder().storage(storage).name("names").build()
}

#[test]
fn a_load_that_began_before_an_invalidation_is_not_written() {
    let storage = Scripted::new();
    let cache = cache(storage.clone());
    let go_on = crate::event::Count::new();
    let mut leader = Driven::new(cache.get_with_async(&1, async {
        go_on.reaches(1).await;
        "old".to_owned()
    }));
    leader.pends();
    cache.invalidate(&1).wait().unwrap();
    go_on.up();
    assert_eq!(leader.ready(), "old");
    assert_eq!(storage.entries().len(), 0);
    assert_eq!(cache.get_with(&1, || "new".into()), "new");
}

#[test]
fn a_look_that_is_under_way_does_not_bring_back_what_was_removed() {
    let storage = Scripted::new();
    let cache = cache(storage.clone());
    cache.insert(1, "old".into()).wait().unwrap();
    storage.stalls_gets();
    let mut look = Driven::new(cache.get_with_async(&1, async { "new".to_owned() }));
    look.pends();
    // It has been answered, so to say; the answer is on its way.
    let old = storage.inner.look(&storage.entries()[0]).unwrap();
    cache.invalidate(&1).wait().unwrap();
    storage.inner.put(&key(&cache, &storage), &old);
    storage.goes_on();
    assert_eq!(look.ready(), "new");
    assert_eq!(cache.stats().far.disbelieved, 1);
}

/// The key of 1, found out by writing it.
fn key(cache: &Cache<u64, String>, storage: &Scripted) -> String {
    let _ = cache;
    let told = storage.told.lock().unwrap();
    told.iter().map(|(key, _)| key).find(|key| !key.ends_with("epoch")).unwrap().clone()
}

#[test]
fn a_write_under_way_is_followed_by_the_removal() {
    let storage = Scripted::new();
    let cache = cache(storage.clone());
    storage.stalls_writes();
    let mut leader = Driven::new(cache.get_with_async(&1, async { "old".to_owned() }));
    leader.pends();
    let mut receipt = Driven::new(cache.invalidate(&1));
    receipt.pends();
    assert_eq!(storage.removes.now(), 0, "one write of a key at a time");
    assert_eq!(cache.get(&1), None, "in this process it has happened");
    storage.goes_on();
    until(|| receipt.is_woken() || receipt.is_done());
    assert!(receipt.ready().is_ok());
    assert_eq!((storage.entries().len(), storage.removes.now()), (0, 1));
    leader.cancel();
}

#[test]
fn what_is_inserted_is_read_before_the_storage_has_it() {
    let storage = Scripted::new();
    let cache = cache(storage.clone());
    storage.stalls_writes();
    let mut receipt = Driven::new(cache.insert(1, "one".into()));
    receipt.pends();
    assert_eq!(cache.get(&1).as_deref(), Some("one"));
    let mut last = Driven::new(cache.insert(1, "two".into()));
    last.pends();
    assert_eq!(cache.get(&1).as_deref(), Some("two"));
    storage.goes_on();
    until(|| last.is_woken());
    assert!(last.ready().is_ok() && receipt.ready().is_ok());
    assert_eq!(self::cache(storage).get(&1).as_deref(), Some("two"));
}

#[test]
fn a_removal_that_failed_is_repeated_and_the_storage_is_not_believed_meanwhile() {
    let clock = ManualClock::new();
    let storage = Scripted::new();
    let far = Far::new(storage.clone()).with_clock(&clock);
    let cache = cache(far.clone());
    cache.insert(1, "old".into()).wait().unwrap();
    storage.fails(true);
    let error = cache.invalidate(&1).wait().unwrap_err();
    assert!(error.to_string().contains("could not `remove`"), "{error}");
    storage.fails(false);
    assert_eq!(storage.entries().len(), 1, "the storage has it still");
    assert_eq!(cache.get(&1), None);
    assert_eq!((cache.stats().far.owed, cache.stats().far.hits), (1, 0));
    until(|| {
        clock.advance(Duration::from_millis(200));
        storage.entries().is_empty() && far.stats().owed == 0
    });
}

#[test]
fn a_value_stored_after_a_failed_removal_takes_its_place() {
    let storage = Scripted::new();
    let cache = cache(storage.clone());
    cache.insert(1, "old".into()).wait().unwrap();
    storage.fails(true);
    assert!(cache.invalidate(&1).wait().is_err());
    storage.fails(false);
    assert_eq!(cache.get_with(&1, || "new".into()), "new");
    assert_eq!(cache.get_with(&1, || unreachable!()), "new");
    assert_eq!(cache.stats().far.owed, 0);
    assert_eq!(self::cache(storage).get(&1).as_deref(), Some("new"));
}

#[test]
fn a_storage_that_writes_late_is_not_believed() {
    let storage = Scripted::new();
    let cache = cache(storage.clone());
    cache.insert(1, "old".into()).wait().unwrap();
    let key = storage.entries().remove(0);
    let old = storage.inner.look(&key).unwrap();
    cache.invalidate(&1).wait().unwrap();
    storage.inner.put(&key, &old); // a set that it had confirmed, done after the removal
    assert_eq!(cache.get(&1), None);
    assert_eq!(cache.stats().far.disbelieved, 1);
    assert_eq!(cache.get_with(&1, || "new".into()), "new");
    storage.inner.put(&key, &old);
    assert_eq!(cache.get(&1), None, "nor later");
}

#[test]
fn a_clear_counts_for_this_function_alone_and_in_every_process() {
    let clock = ManualClock::new();
    let storage = Scripted::new();
    let far = || Far::new(storage.clone()).with_clock(&clock);
    let (here, there) = (cache(far()), cache(far()));
    let other: Cache<u64, String> = Cache::builder().storage(far()).name("other").build();
    other.insert(1, "other".into()).wait().unwrap();
    here.get_with(&1, || "one".into());
    assert_eq!(there.get(&1).as_deref(), Some("one"));
    here.clear().wait().unwrap();
    assert_eq!(here.get(&1), None);
    assert_eq!(other.get(&1).as_deref(), Some("other"));
    // The other process asks once a second, behind its callers' backs.
    clock.advance(Duration::from_secs(1));
    until(|| there.get(&1).is_none());
    assert_eq!(there.get_with(&1, || "two".into()), "two");
    assert_eq!(here.get(&1).as_deref(), Some("two"));
    // One that begins later learns it at once.
    assert_eq!(cache(far()).get(&1).as_deref(), Some("two"));
}

#[test]
fn entries_are_not_believed_if_the_epoch_is_lost() {
    let storage = Scripted::new();
    cache(storage.clone()).get_with(&1, || "one".into());
    let epoch = storage.inner.keys().into_iter().find(|key| key.ends_with("epoch")).unwrap();
    storage.inner.take(&epoch);
    assert_eq!(cache(storage).get(&1), None, "it may have been cleared before");
}

#[test]
fn a_clear_that_failed_counts_here_and_is_repeated() {
    let clock = ManualClock::new();
    let storage = Scripted::new();
    let far = || Far::new(storage.clone()).with_clock(&clock);
    let cache = cache(far());
    cache.get_with(&1, || "one".into());
    storage.fails(true);
    assert!(cache.clear().wait().is_err());
    storage.fails(false);
    assert_eq!(cache.get(&1), None);
    assert_eq!(self::cache(far()).get(&1).as_deref(), Some("one"), "elsewhere it does not yet");
    until(|| {
        clock.advance(Duration::from_millis(200));
        self::cache(far()).get(&1).is_none()
    });
}

#[test]
fn a_refresh_is_not_undone_by_what_was_there() {
    let storage = Scripted::new();
    let cache = cache(storage.clone());
    cache.get_with(&1, || "old".into());
    let key = storage.entries().remove(0);
    let old = storage.inner.look(&key).unwrap();
    storage.fails(true);
    assert_eq!(cache.refresh(&1, || "new".into()), "new");
    storage.fails(false);
    assert_eq!(storage.inner.look(&key), Some(old), "the storage has not been told");
    assert_eq!(cache.get(&1), None, "and is not believed");
}

#[test]
fn bytes_of_another_key_are_no_answer() {
    let storage = Scripted::new();
    let cache = cache(storage.clone());
    cache.get_with(&1, || "one".into());
    let one = storage.entries().remove(0);
    cache.get_with(&2, || "two".into());
    let two = storage.entries().into_iter().find(|key| *key != one).unwrap();
    let swapped = pollster::block_on(storage.get(&one)).unwrap().unwrap();
    storage.inner.put(&two, &swapped);
    assert_eq!(cache.get(&2), None);
    assert_eq!(cache.stats().far.foreign, 1);
}

#[test]
fn a_write_without_an_answer_that_comes_after_a_newer_one_is_not_believed() {
    let clock = ManualClock::new();
    let storage = Scripted::new();
    let cache = cache(Far::new(storage.clone()).with_clock(&clock));
    cache.get(&1);
    storage.stalls_writes();
    let mut call = Driven::new(cache.get_with_async(&1, async { "older".to_owned() }));
    call.pends();
    let older = storage.sent.lock().unwrap().last().unwrap().clone();
    until(|| {
        clock.advance(Far::DEFAULT_DEADLINE);
        cache.stats().far.timeouts > 0
    });
    call.cancel();
    storage.goes_on();
    assert_eq!(cache.refresh(&1, || "newer".into()), "newer");
    storage.inner.put(&storage.entries()[0], &older);
    assert_eq!(cache.get(&1), None);
}

#[test]
fn a_removal_is_owed_although_no_cache_is_left() {
    let storage = Scripted::new();
    let far = Far::new(storage.clone());
    let first = cache(far.clone());
    first.insert(1, "old".into()).wait().unwrap();
    storage.fails(true);
    assert!(first.invalidate(&1).wait().is_err());
    drop(first);
    storage.fails(false);
    assert_eq!(cache(far).get(&1), None);
}

#[test]
fn removals_are_repeated_although_many_at_once_are_too_many() {
    let clock = ManualClock::new();
    let storage = Scripted::new();
    let far = Far::new(storage.clone()).with_clock(&clock);
    let cache = cache(far.clone());
    (0..50).for_each(|key| drop(cache.insert(key, "old".into()).wait()));
    storage.fails(true);
    (0..50).for_each(|key| drop(cache.invalidate(&key)));
    assert!(far.stats().owed > 40);
    storage.removes_at_most(3);
    storage.fails(false);
    until(|| {
        clock.advance(Duration::from_millis(200));
        far.stats().owed == 0 && !far.is_given_up()
    });
    assert!(storage.entries().is_empty());
}

#[test]
fn a_refresh_that_is_the_first_call_of_a_process_is_stored() {
    let storage = Scripted::new();
    cache(storage.clone()).get_with(&1, || "old".into());
    let here = cache(storage.clone());
    assert_eq!(here.refresh(&1, || "new".into()), "new");
    assert_eq!(here.get(&1).as_deref(), Some("new"));
    let there = cache(storage);
    let refresh = there.refresh_async(&1, async { "newer".to_owned() });
    assert_eq!(pollster::block_on(refresh), "newer");
    assert_eq!(here.get(&1).as_deref(), Some("newer"));
}

#[test]
fn a_clear_elsewhere_counts_for_the_first_call_after_a_pause() {
    let clock = ManualClock::new();
    let storage = Scripted::new();
    let far = || Far::new(storage.clone()).with_clock(&clock);
    let (here, there) = (cache(far()), cache(far()));
    here.get_with(&1, || "old".into());
    assert!(there.get(&1).is_some());
    here.clear().wait().unwrap();
    clock.advance(Duration::from_secs(3_600));
    assert_eq!(there.get_with(&1, || "new".into()), "new");
}

/// A value whose `Serialize` does something on the way, once.
#[derive(Clone, PartialEq, Debug)]
struct Slow(String);

thread_local! {
    static MEANWHILE: std::cell::RefCell<Option<Box<dyn FnOnce()>>> =
        const { std::cell::RefCell::new(None) };
}

impl serde::Serialize for Slow {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if let Some(meanwhile) = MEANWHILE.take() {
            meanwhile();
        }
        to.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Slow {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Slow)
    }
}

#[test]
fn of_two_insertions_side_by_side_one_stays() {
    let storage = Scripted::new();
    let open = || Cache::<u64, Slow>::builder().storage(storage.clone()).name("slow").build();
    let cache = std::sync::Arc::new(open());
    let other = cache.clone();
    MEANWHILE.set(Some(Box::new(move || {
        other.insert(1, Slow("fast".into())).wait().unwrap();
    })));
    cache.insert(1, Slow("slow".into())).wait().unwrap();
    assert_eq!(cache.get(&1), Some(Slow("slow".into())), "it took effect last");
    assert_eq!(open().get(&1), Some(Slow("slow".into())));
}
