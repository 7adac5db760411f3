//! Listeners: every entry that leaves is told once, with its cause, where no lock is held.

use crate::event::{Count, Driven};
use crate::storages::Storage;
use gecaso::{Cache, LruStorage, ManualClock, RemovalCause};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

type Told = (u32, u32, RemovalCause);

/// A cache that tells, and what it told.
fn telling(storage: &Storage, ttl: Option<Duration>) -> (Cache<u32, u32>, mpsc::Receiver<Told>) {
    let (tell, told) = mpsc::channel();
    let mut builder = storage.builder();
    if let Some(ttl) = ttl {
        builder = builder.ttl(ttl);
    }
    let cache =
        builder.on_removal(move |key, value, cause| tell.send((*key, *value, cause)).unwrap());
    (cache.build(), told)
}

fn all(told: &mpsc::Receiver<Told>) -> Vec<Told> {
    told.try_iter().collect()
}

#[test]
fn every_way_to_leave_is_told_with_its_cause() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 2) {
        let (cache, told) = telling(&storage, Some(SECOND));
        cache.insert(1, 10);
        cache.insert(1, 11);
        assert_eq!(all(&told), [(1, 10, RemovalCause::Replaced)], "{storage:?}");
        cache.refresh(&1, || 12);
        assert_eq!(all(&told), [(1, 11, RemovalCause::Replaced)]);
        cache.invalidate(&1);
        cache.invalidate(&1);
        assert_eq!(all(&told), [(1, 12, RemovalCause::Invalidated)]);
        for key in [1, 2, 3] {
            cache.get_with(&key, || key * 10);
        }
        let evicted = all(&told);
        assert_eq!((evicted.len(), evicted[0].2), (1, RemovalCause::Evicted), "{evicted:?}");
        cache.invalidate_if(|key, _| *key == 3);
        assert_eq!(all(&told), [(3, 30, RemovalCause::Invalidated)]);
        cache.clear();
        let cleared = all(&told);
        assert_eq!((cleared.len(), cleared[0].2), (1, RemovalCause::Cleared), "{cleared:?}");
        cache.insert(5, 50);
        clock.advance(SECOND);
        cache.get_with(&5, || 51);
        assert_eq!(all(&told), [(5, 50, RemovalCause::Expired)]);
        clock.advance(SECOND);
        cache.insert(6, 60);
        assert_eq!(all(&told), [(5, 51, RemovalCause::Expired)], "met by an insertion");
        clock.advance(SECOND);
        cache.invalidate(&6);
        assert_eq!(all(&told), [(6, 60, RemovalCause::Expired)], "its time was over before that");
        cache.insert(7, 70);
        clock.advance(SECOND);
        assert_eq!(storage.reclaim(), 1);
        assert_eq!(all(&told), [(7, 70, RemovalCause::Expired)]);
        cache.insert(8, 80);
        drop(cache);
        assert_eq!(all(&told), [], "nobody is told when the cache itself goes");
    }
}

#[test]
fn what_came_in_is_there_or_was_told() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 50) {
        let (cache, told) = telling(&storage, Some(20 * SECOND));
        let mut here: BTreeMap<(u32, u32), u32> = BTreeMap::new();
        for step in 0..5_000_u32 {
            let (key, value) = (step * 7 % 97, step);
            match step % 11 {
                3 => drop(cache.invalidate(&key)),
                5 if step % 500 == 5 => drop(cache.clear()),
                7 if step % 300 == 7 => drop(cache.invalidate_if(|key, _| key.is_multiple_of(3))),
                9 => clock.advance(SECOND),
                _ => {
                    cache.insert(key, value);
                    here.insert((key, value), 1);
                }
            }
            for (key, value, _) in told.try_iter() {
                *here.get_mut(&(key, value)).expect("it was there") -= 1;
            }
        }
        storage.reclaim();
        told.try_iter().for_each(|(key, value, _)| *here.get_mut(&(key, value)).unwrap() -= 1);
        here.retain(|_, left| *left != 0);
        let there: Vec<(u32, u32)> = {
            let mut there: Vec<_> = cache.iter().collect();
            there.sort_unstable();
            there
        };
        assert_eq!(here.into_keys().collect::<Vec<_>>(), there, "each once, {storage:?}");
    }
}

#[test]
fn an_entry_of_another_function_is_told_to_that_functions_listener() {
    let storage = Storage::Lru(LruStorage::new(1));
    let (one, told_one) = telling(&storage, None);
    let (two, told_two) = telling(&storage, None);
    let silent: Cache<u8, String> = storage.cache();
    one.insert(1, 10);
    two.insert(2, 20);
    assert_eq!(all(&told_one), [(1, 10, RemovalCause::Evicted)]);
    silent.insert(3, "three".into());
    assert_eq!(all(&told_two), [(2, 20, RemovalCause::Evicted)]);
    assert_eq!(all(&told_one), []);
}

#[test]
fn what_is_too_heavy_is_not_told_and_what_it_replaces_is() {
    let (tell, told) = mpsc::channel();
    let cache: Cache<u32, u32> = Cache::builder()
        .storage(LruStorage::weighted(10))
        .weigher(|_, value| *value as usize)
        .on_removal(move |key, value, cause| tell.send((*key, *value, cause)).unwrap())
        .build();
    cache.insert(1, 5);
    cache.insert(2, 11);
    assert_eq!(all(&told), []);
    cache.insert(1, 11);
    assert_eq!(all(&told), [(1, 5, RemovalCause::Replaced)]);
    (3..6).for_each(|key| drop(cache.insert(key, 3)));
    cache.insert(4, 9);
    let causes: Vec<_> = all(&told);
    assert!(causes.contains(&(4, 3, RemovalCause::Replaced)), "{causes:?}");
    assert!(causes.contains(&(3, 3, RemovalCause::Evicted)), "{causes:?}");
}

#[test]
fn a_listener_finds_no_lock_held_and_may_use_the_cache() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 1) {
        let here: Arc<OnceLock<Arc<Cache<u32, u32>>>> = Arc::default();
        let (inside, heard) = (here.clone(), Count::new());
        let up = heard.clone();
        let cache: Arc<Cache<u32, u32>> = Arc::new(
            storage
                .builder()
                .on_removal(move |key, _, _| {
                    let cache = inside.get().expect("it is set");
                    if up.up() < 5 {
                        cache.get_with(&(key + 100), || 1);
                        cache.peek(key);
                        cache.invalidate(&(key + 100));
                        cache.stats();
                        cache.invalidate_if(|_, _| true);
                        cache.clear();
                    }
                })
                .build(),
        );
        here.set(cache.clone()).expect("once");
        for key in 0..4 {
            cache.get_with(&key, || key);
        }
        cache.insert(3, 3);
        cache.invalidate(&3);
        cache.clear();
        assert!(heard.now() >= 5, "{} were told", heard.now());
    }
}

/// Those who wait for a body do not wait for the listener of what it pushed out.
#[test]
fn callers_are_answered_before_the_listener_runs() {
    let (entered, go_on) = (Count::new(), Count::new());
    let (up, wait) = (entered.clone(), go_on.clone());
    let cache: Cache<u32, u32> = Cache::builder()
        .storage(LruStorage::new(1))
        .on_removal(move |_, _, _| {
            up.up();
            wait.wait_for(1);
        })
        .build();
    cache.insert(1, 1);
    let (loading, load) = (Count::new(), Count::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            cache.get_with(&2, || {
                loading.up();
                load.wait_for(1);
                2
            })
        });
        loading.wait_for(1);
        let mut waiter = Driven::new(cache.get_with_async(&2, async { unreachable!() }));
        waiter.pends();
        load.up();
        entered.wait_for(1); // the listener blocks the leader
        assert_eq!(waiter.ready(), 2);
        go_on.up();
    });
}

#[test]
fn a_listener_that_panics_fails_no_call() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let book = told.clone();
    let cache: Cache<u32, u32> = Cache::builder()
        .storage(LruStorage::new(2))
        .on_removal(move |key, _, _| {
            book.lock().unwrap().push(*key);
            std::panic::resume_unwind(Box::new("no report"));
        })
        .build();
    for key in 0..4 {
        assert_eq!(cache.get_with(&key, || key), key);
    }
    cache.insert(3, 33);
    cache.invalidate(&3);
    cache.clear();
    assert_eq!(*told.lock().unwrap(), [0, 1, 3, 3, 2]);
    assert_eq!(cache.get_with(&9, || 9), 9);
}

#[test]
fn a_cause_says_whether_anybody_asked_for_it() {
    use RemovalCause::{Cleared, Evicted, Expired, Invalidated, Replaced};
    assert!([Expired, Evicted].iter().all(|cause| cause.is_automatic()));
    assert!(![Replaced, Invalidated, Cleared].iter().any(|cause| cause.is_automatic()));
}
