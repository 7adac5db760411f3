//! Invalidation wins: when `invalidate`, `clear` or `insert` has returned, no later call gets a
//! value whose load began earlier, and that value is never stored.

use crate::event::{Count, Driven, LIMIT, rounds, within_limit};
use crate::storages::Storage;
use gecaso::Cache;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Instant;

/// What ends the life of what loads now: the source says 2 afterwards.
#[derive(Clone, Copy, Debug)]
enum End {
    Invalidate,
    Clear,
    Insert,
    Refresh,
}

const ENDS: [End; 4] = [End::Invalidate, End::Clear, End::Insert, End::Refresh];

impl End {
    fn act(self, cache: &Cache<u8, u8>) {
        match self {
            End::Invalidate => drop(cache.invalidate(&1)),
            End::Clear => drop(cache.clear()),
            End::Insert => drop(cache.insert(1, 2)),
            End::Refresh => assert_eq!(cache.refresh(&1, || 2), 2),
        }
    }
}

#[test]
fn a_load_that_began_before_is_neither_stored_nor_given_to_later_threads() {
    for end in ENDS {
        for storage in Storage::each(4) {
            within_limit(move || {
                let cache: Arc<Cache<u8, u8>> = Arc::new(storage.cache());
                let (inside, go_on) = (Count::new(), Count::new());
                let slow = {
                    let (cache, inside, go_on) = (cache.clone(), inside.clone(), go_on.clone());
                    move || {
                        cache.get_with(&1, || {
                            inside.up();
                            go_on.wait_for(1);
                            1 // read from the source before it changed
                        })
                    }
                };
                let first = std::thread::spawn(slow);
                inside.wait_for(1);
                end.act(&cache);
                // The second caller neither waits for the old load nor gets what it brings.
                assert_eq!(cache.get_with(&1, || 2), 2, "{end:?}");
                go_on.up();
                assert_eq!(first.join().unwrap(), 1, "the old load's own caller gets its value");
                assert_eq!(cache.get(&1), Some(2), "{end:?}");
                assert_eq!(cache.get_with(&1, || unreachable!()), 2);
            });
        }
    }
}

#[test]
fn a_load_that_began_before_is_neither_stored_nor_given_to_later_tasks() {
    for end in ENDS {
        for storage in Storage::each(4) {
            let cache: Cache<u8, u8> = storage.cache();
            let go_on = Count::new();
            let mut first = Driven::new(cache.get_with_async(&1, async {
                go_on.reaches(1).await;
                1
            }));
            let mut early = Driven::new(cache.get_with_async(&1, async { unreachable!() }));
            first.pends();
            early.pends();
            end.act(&cache);
            let mut second = Driven::new(cache.get_with_async(&1, async { 2 }));
            assert_eq!(second.ready(), 2, "{end:?}");
            go_on.up();
            assert_eq!(first.ready(), 1);
            assert_eq!(early.ready(), 1, "it came before, and shares what it waited for");
            assert_eq!(cache.get(&1), Some(2), "{end:?}");
        }
    }
}

#[test]
fn a_load_that_ends_before_anybody_asks_again_is_not_stored() {
    for end in [End::Invalidate, End::Clear] {
        for storage in Storage::each(4) {
            let cache: Cache<u8, u8> = storage.cache();
            let go_on = Count::new();
            let mut first = Driven::new(cache.get_with_async(&1, async {
                go_on.reaches(1).await;
                1
            }));
            first.pends();
            end.act(&cache);
            go_on.up();
            assert_eq!(first.ready(), 1);
            assert_eq!(cache.get(&1), None, "{end:?}");
            assert_eq!(storage.len(), 0);
            assert_eq!(cache.get_with(&1, || 2), 2);
        }
    }
}

#[test]
fn a_refresh_that_began_before_is_not_stored() {
    for end in [End::Invalidate, End::Clear, End::Insert, End::Refresh] {
        for storage in Storage::each(4) {
            let cache: Cache<u8, u8> = storage.cache();
            cache.insert(1, 0);
            let go_on = Count::new();
            let mut refreshing = Driven::new(cache.refresh_async(&1, async {
                go_on.reaches(1).await;
                1
            }));
            refreshing.pends();
            end.act(&cache);
            go_on.up();
            assert_eq!(refreshing.ready(), 1);
            assert_ne!(cache.get(&1), Some(1), "{end:?}");
            assert_eq!(cache.get_with(&1, || 2), 2);
        }
    }
}

#[test]
fn of_two_refreshes_the_one_that_began_later_wins() {
    for storage in Storage::each(4) {
        let cache: Cache<u8, u8> = storage.cache();
        cache.insert(1, 0);
        let (first_on, second_on) = (Count::new(), Count::new());
        let refresh = |value, go_on: &Count| {
            let go_on = go_on.clone();
            Driven::new(cache.refresh_async(&1, async move {
                go_on.reaches(1).await;
                value
            }))
        };
        let (mut first, mut second) = (refresh(1, &first_on), refresh(2, &second_on));
        first.pends();
        second.pends();
        second_on.up();
        assert_eq!((second.ready(), cache.get(&1)), (2, Some(2)));
        first_on.up();
        assert_eq!((first.ready(), cache.get(&1)), (1, Some(2)), "never back to an older load");
    }
}

#[test]
fn a_refresh_that_returned_is_seen_although_a_later_one_fails() {
    for storage in Storage::each(4) {
        let cache: Cache<u8, u8> = storage.cache();
        cache.insert(1, 0);
        let go_on = Count::new();
        let mut first = Driven::new(cache.refresh_async(&1, async {
            go_on.reaches(1).await;
            1
        }));
        let mut second = Driven::new(cache.refresh_async(&1, std::future::pending()));
        first.pends();
        second.pends();
        go_on.up();
        assert_eq!((first.ready(), cache.get(&1)), (1, Some(1)));
        second.cancel();
        assert_eq!(cache.get(&1), Some(1));
    }
}

#[test]
fn an_invalidation_inside_the_body_concerns_that_body_too() {
    for end in [End::Invalidate, End::Clear, End::Insert] {
        for storage in Storage::each(4) {
            let cache: Cache<u8, u8> = storage.cache();
            let value = cache.get_with(&1, || {
                end.act(&cache);
                1
            });
            assert_eq!(value, 1);
            assert_ne!(cache.get(&1), Some(1), "{end:?}");
        }
    }
}

#[test]
fn an_invalidation_of_one_key_does_not_disturb_the_load_of_another() {
    for storage in Storage::each(4) {
        let (cache, other): (Cache<u8, u8>, Cache<u8, u8>) = (storage.cache(), storage.cache());
        let go_on = Count::new();
        let mut load = Driven::new(cache.get_with_async(&2, async {
            go_on.reaches(1).await;
            20
        }));
        load.pends();
        cache.invalidate(&1);
        cache.insert(3, 30);
        other.invalidate(&2);
        other.clear();
        let mut waiter = Driven::new(cache.get_with_async(&2, async { unreachable!() }));
        waiter.pends();
        go_on.up();
        assert_eq!((load.ready(), waiter.ready()), (20, 20));
        assert_eq!(cache.get(&2), Some(20));
    }
}

/// Set when dropped, so that threads end although the test has failed.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// A source that only grows, and threads that ask all the time. Who asks after an invalidation has
/// returned must not see what was there before it.
fn never_older_than_the_last_invalidation(act: fn(&Cache<u8, u64>, u64)) {
    for storage in Storage::each(4) {
        let cache: Cache<u8, u64> = storage.cache();
        let (source, promised) = (AtomicU64::new(0), AtomicU64::new(0));
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _over = Over(&over);
            for _ in 0..2 {
                scope.spawn(|| {
                    while !over.load(SeqCst) {
                        let least = promised.load(SeqCst);
                        let value = cache.get_with(&1, || {
                            let read = source.load(SeqCst);
                            std::thread::yield_now();
                            read
                        });
                        assert!(value >= least, "{value} after {least} was promised, {storage:?}");
                    }
                });
            }
            // Until enough versions have met loads on their way, however busy the machine is.
            let begun = Instant::now();
            let enough =
                |version| version >= rounds(400) as u64 && cache.stats().loads >= rounds(40) as u64;
            for version in 1.. {
                source.store(version, SeqCst);
                act(&cache, version);
                promised.store(version, SeqCst);
                if version % 16 == 1 {
                    // Odd, when nothing is stored: loads begin now, for the next versions to meet.
                    std::thread::yield_now();
                    if enough(version) {
                        break;
                    }
                    assert!(begun.elapsed() < LIMIT, "{version} versions, {:?}", cache.stats());
                }
            }
        });
    }
}

#[test]
fn no_caller_sees_what_was_there_before_an_invalidate() {
    never_older_than_the_last_invalidation(|cache, _| drop(cache.invalidate(&1)));
}

#[test]
fn no_caller_sees_what_was_there_before_a_clear() {
    never_older_than_the_last_invalidation(|cache, _| drop(cache.clear()));
}

#[test]
fn no_caller_sees_what_was_there_before_an_insert() {
    never_older_than_the_last_invalidation(|cache, version| {
        // Every other time nothing is stored, so that loads begin for the insert to meet.
        if version % 2 == 0 {
            cache.insert(1, version)
        } else {
            cache.invalidate(&1)
        };
    });
}

#[test]
fn no_caller_sees_what_was_there_before_a_refresh() {
    never_older_than_the_last_invalidation(|cache, version| {
        assert_eq!(cache.refresh(&1, || version), version);
    });
}

/// A value whose drop waits until it is let through.
#[derive(Clone)]
struct Held(#[expect(dead_code, reason = "held for its drop")] Arc<HeldUp>);

struct HeldUp {
    dropping: Count,
    go_on: Count,
}

impl Drop for HeldUp {
    fn drop(&mut self) {
        self.dropping.up();
        self.go_on.wait_for(1);
    }
}

/// A clear drops what it removed before it returns; a load that ends meanwhile is an old one.
#[test]
fn a_load_that_ends_in_the_middle_of_a_clear_is_not_stored() {
    for storage in Storage::each(8) {
        let (dropping, drop_on) = (Count::new(), Count::new());
        let held = || Held(Arc::new(HeldUp { dropping: dropping.clone(), go_on: drop_on.clone() }));
        let cache: Cache<u8, Option<Held>> = storage.cache();
        cache.insert(2, Some(held()));
        let go_on = Count::new();
        let mut load = Driven::new(cache.get_with_async(&1, async {
            go_on.reaches(1).await;
            None
        }));
        load.pends();
        std::thread::scope(|scope| {
            let clearing = scope.spawn(|| drop(cache.clear()));
            dropping.wait_for(1);
            go_on.up();
            assert!(load.ready().is_none());
            drop_on.up();
            clearing.join().unwrap();
        });
        assert_eq!(storage.len(), 0, "{storage:?}");
        assert!(cache.get(&1).is_none());
    }
}
