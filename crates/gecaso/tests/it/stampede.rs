//! Many callers miss at once: one body runs, and everybody shares what it brings.

use crate::event::{Count, Driven, pause, rounds, within_limit};
use crate::runtime;
use crate::storages::Storage;
use gecaso::{Cache, LruStorage};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Barrier};

#[test]
fn sixty_four_threads_run_one_body() {
    const THREADS: usize = 64;
    for storage in Storage::each(16) {
        let cache: Cache<u32, String> = storage.cache();
        let (runs, callers) = (Count::new(), Count::new());
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    callers.up();
                    let value = cache.get_with(&7, || {
                        runs.up();
                        callers.wait_for(THREADS);
                        pause();
                        "seven".to_owned()
                    });
                    assert_eq!(value, "seven");
                });
            }
        });
        assert_eq!(runs.now(), 1, "{storage:?}");
        let stats = cache.stats();
        assert_eq!((stats.hits + stats.misses, stats.loads), (THREADS as u64, 1));
    }
}

#[test]
fn a_thousand_tasks_run_one_body_on_every_runtime() {
    for runtime in runtime::ALL {
        for storage in Storage::each(16) {
            let cache: Arc<Cache<u32, u32>> = Arc::new(storage.cache());
            let (runs, many) = (Count::new(), runtime.many());
            within_limit({
                let runs = runs.clone();
                move || {
                    runtime.run(async move {
                        let callers = Count::new();
                        let call = || {
                            let (cache, runs) = (cache.clone(), runs.clone());
                            let callers = callers.clone();
                            async move {
                                callers.up();
                                let body = async {
                                    runs.up();
                                    callers.reaches(many).await;
                                    70
                                };
                                cache.get_with_async(&7, body).await
                            }
                        };
                        let tasks: Vec<_> = (0..many).map(|_| runtime.spawn(call())).collect();
                        for task in tasks {
                            assert_eq!(task.join().await, 70);
                        }
                    })
                }
            });
            assert_eq!(runs.now(), 1, "{runtime:?} {storage:?}");
        }
    }
}

#[test]
fn those_who_wait_share_an_error() {
    for storage in Storage::each(16) {
        let cache: Cache<u32, u32> = storage.cache();
        let (runs, go_on) = (Count::new(), Count::new());
        let call = || {
            Driven::new(cache.try_get_with_async(&7, async {
                let number = runs.up();
                go_on.reaches(1).await;
                Err::<u32, usize>(number)
            }))
        };
        let mut callers: Vec<_> = (0..1_000).map(|_| call()).collect();
        callers.iter_mut().for_each(Driven::pends);
        go_on.up();
        for caller in &mut callers {
            assert_eq!(caller.ready(), Err(0), "the error of the first body");
        }
        assert_eq!(runs.now(), 1);
        assert_eq!(call().ready(), Err(1), "not stored: the next call runs its body");
        assert_eq!(storage.len(), 0);
    }
}

/// Whether a thread sits and waits cannot be seen from outside, so this tries until all did.
#[test]
fn threads_that_wait_share_an_error() {
    const THREADS: usize = 16;
    let all_shared_it = || {
        let cache: Cache<u32, u32> = Cache::new(LruStorage::new(4));
        let (runs, callers) = (Count::new(), Count::new());
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    callers.up();
                    let result = cache.try_get_with(&7, || {
                        let number = runs.up();
                        if number == 0 {
                            callers.wait_for(THREADS);
                            pause();
                        }
                        Err::<u32, usize>(number)
                    });
                    assert!(result.is_err());
                });
            }
        });
        runs.now() == 1
    };
    assert!((0..100).any(|_| all_shared_it()), "in none of 100 tries one error was for all");
}

#[test]
fn a_thread_leads_and_tasks_follow_and_the_other_way_round() {
    for storage in Storage::each(4) {
        let cache: Arc<Cache<u8, u8>> = Arc::new(storage.cache());
        let (inside, go_on) = (Count::new(), Count::new());
        let leader = std::thread::spawn({
            let (cache, inside, go_on) = (cache.clone(), inside.clone(), go_on.clone());
            move || {
                cache.try_get_with(&1, || {
                    inside.up();
                    go_on.wait_for(1);
                    Err::<u8, &str>("no")
                })
            }
        });
        inside.wait_for(1);
        let call = || Driven::new(cache.try_get_with_async(&1, async { unreachable!() }));
        let mut tasks = [call(), call(), call()];
        tasks.iter_mut().for_each(Driven::pends);
        go_on.up();
        assert_eq!(leader.join().unwrap(), Err("no"));
        for task in &mut tasks {
            assert!(task.is_woken());
            assert_eq!(task.ready(), Err("no"));
        }

        let go_on = Count::new();
        let mut leader = Driven::new(cache.get_with_async(&2, async {
            go_on.reaches(1).await;
            20
        }));
        leader.pends();
        let asked = Count::new();
        let follower = std::thread::spawn({
            let (cache, asked) = (cache.clone(), asked.clone());
            move || {
                asked.up();
                cache.get_with(&2, || unreachable!())
            }
        });
        asked.wait_for(1);
        pause();
        go_on.up();
        assert_eq!(leader.ready(), 20);
        assert_eq!(follower.join().unwrap(), 20);
    }
}

#[test]
fn bodies_of_different_keys_run_side_by_side() {
    const KEYS: usize = 64;
    for storage in Storage::each(128) {
        let cache: Cache<usize, usize> = storage.cache();
        let meeting = Count::new();
        std::thread::scope(|scope| {
            for key in 0..KEYS {
                let (cache, meeting) = (&cache, &meeting);
                scope.spawn(move || {
                    let body = || {
                        meeting.meet(KEYS);
                        key
                    };
                    assert_eq!(cache.get_with(&key, body), key);
                });
            }
        });
    }
}

/// A key that hashes like every other.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Alike(usize);

impl Hash for Alike {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

#[test]
fn bodies_of_keys_with_one_hash_run_side_by_side() {
    const KEYS: usize = 16;
    for storage in Storage::each(32) {
        let cache: Cache<Alike, usize> = storage.cache();
        let meeting = Count::new();
        std::thread::scope(|scope| {
            for key in 0..KEYS {
                let (cache, meeting) = (&cache, &meeting);
                scope.spawn(move || {
                    let body = || {
                        meeting.meet(KEYS);
                        key
                    };
                    assert_eq!(cache.get_with(&Alike(key), body), key);
                });
            }
        });
        for key in 0..KEYS {
            assert_eq!(cache.get_with(&Alike(key), || unreachable!()), key);
        }
    }
}

#[test]
fn each_key_runs_its_body_once_while_threads_storm_many_keys() {
    const KEYS: u64 = 50;
    for storage in Storage::each(64) {
        for _ in 0..rounds(20) {
            let cache: Cache<u64, u64> = storage.cache();
            let (runs, start) = (Count::new(), Barrier::new(8));
            std::thread::scope(|scope| {
                for thread in 0..8 {
                    let (cache, runs, start) = (&cache, &runs, &start);
                    scope.spawn(move || {
                        start.wait();
                        for step in 0..KEYS {
                            let key = (step * 7 + thread) % KEYS;
                            let body = || {
                                runs.up();
                                key * 2
                            };
                            assert_eq!(cache.get_with(&key, body), key * 2);
                        }
                    });
                }
            });
            assert_eq!(runs.now() as u64, KEYS);
        }
    }
}

/// An error that can be neither cloned nor sent.
#[cfg(feature = "macros")]
struct Private(std::rc::Rc<usize>);

#[cfg(feature = "macros")]
#[test]
fn an_error_that_cannot_be_shared_sends_those_who_wait_to_their_bodies_side_by_side() {
    const CALLERS: usize = 20;
    #[gecaso::cached(key = ())]
    async fn fails(runs: &Count, go_on: &Count) -> Result<u8, Private> {
        let number = runs.up();
        if number == 0 {
            go_on.reaches(1).await;
        } else {
            // All at once, or none comes further: a queue would never end.
            runs.reaches(CALLERS).await;
        }
        Err(Private(std::rc::Rc::new(number)))
    }
    let (runs, go_on) = (Count::new(), Count::new());
    let mut callers: Vec<_> = (0..CALLERS).map(|_| Driven::new(fails(&runs, &go_on))).collect();
    callers.iter_mut().for_each(Driven::pends);
    assert_eq!(runs.now(), 1);
    go_on.up();
    let first = callers[0].ready();
    assert_eq!(first.err().map(|error| *error.0), Some(0));
    let mut numbers = Vec::new();
    for _ in 0..2 {
        for caller in callers[1..].iter_mut().filter(|caller| !caller.is_done()) {
            if let std::task::Poll::Ready(result) = caller.poll() {
                numbers.extend(result.err().map(|error| *error.0));
            }
        }
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..CALLERS).collect::<Vec<_>>(), "each has its own error");
}

#[cfg(feature = "macros")]
#[test]
fn none_is_shared_and_not_stored() {
    #[gecaso::cached(skip(runs, go_on))]
    async fn absent(runs: &Count, go_on: &Count, key: u8) -> Option<u8> {
        runs.up();
        go_on.reaches(1).await;
        key.checked_sub(1)
    }
    let (runs, go_on) = (Count::new(), Count::new());
    let mut callers: Vec<_> = (0..20).map(|_| Driven::new(absent(&runs, &go_on, 0))).collect();
    callers.iter_mut().for_each(Driven::pends);
    go_on.up();
    assert!(callers.iter_mut().all(|caller| caller.ready().is_none()));
    assert_eq!(runs.now(), 1, "one body for all");
    assert_eq!(Driven::new(absent(&runs, &go_on, 0)).ready(), None);
    assert_eq!(runs.now(), 2, "not stored");
    assert_eq!(absent::stats().entries, 0);
}

#[cfg(feature = "macros")]
#[test]
fn a_cached_function_is_entered_once_by_many_threads() {
    const THREADS: usize = 32;
    #[gecaso::cached(skip(runs, callers))]
    fn slow(runs: &Count, callers: &Count, key: u64) -> u64 {
        runs.up();
        callers.wait_for(THREADS);
        pause();
        key + 1
    }
    let (runs, callers) = (Count::new(), Count::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                callers.up();
                assert_eq!(slow(&runs, &callers, 1), 2);
            });
        }
    });
    assert_eq!(runs.now(), 1);
}
