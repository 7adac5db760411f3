//! Bodies that call cached functions: no call ever waits for itself, however long the way round,
//! and calls that do not are cached as ever.

use crate::event::{Count, Dice, Driven, LIMIT, pause, rounds, until, within_limit};
use crate::runtime;
use crate::storages::Storage;
use gecaso::{Cache, LruStorage, ManualClock, MemoryStorage, scope, scope_fn};
use std::pin::Pin;
use std::sync::{Arc, Barrier};
use std::time::Duration;

#[test]
fn a_body_that_asks_for_its_own_key_runs_it_uncached() {
    for storage in Storage::each(4) {
        within_limit(move || {
            let cache: Cache<u8, u64> = storage.cache();
            let value = cache.get_with(&1, || 10 + cache.get_with(&1, || 3));
            assert_eq!(value, 13);
            assert_eq!(cache.get(&1), Some(13), "the outer call is the one that is stored");
            let value = cache.refresh(&1, || 20 + cache.get_with(&1, || unreachable!()));
            assert_eq!(value, 33, "a refresh's body still sees the old value");
        });
    }
}

#[test]
fn a_body_that_asks_for_its_own_key_runs_it_uncached_on_every_runtime() {
    for runtime in runtime::ALL {
        for storage in Storage::each(4) {
            within_limit(move || {
                let cache: Cache<u8, u64> = storage.cache();
                let value = runtime.run(cache.get_with_async(&1, async {
                    smol::future::yield_now().await;
                    10 + cache.get_with_async(&1, async { 3 }).await
                }));
                assert_eq!((value, cache.get(&1)), (13, Some(13)));
            });
        }
    }
}

#[test]
fn a_synchronous_call_inside_an_asynchronous_body_for_the_same_key_does_not_hang() {
    within_limit(|| {
        let cache: Cache<u8, u64> = Cache::new(LruStorage::new(4));
        let body = async { 10 + cache.get_with(&1, || 3) };
        assert_eq!(pollster::block_on(cache.get_with_async(&1, body)), 13);
    });
}

#[test]
fn a_to_b_to_a_on_one_thread() {
    for storage in Storage::each(8) {
        within_limit(move || {
            let (a, b): (Cache<u8, u64>, Cache<String, u64>) = (storage.cache(), storage.cache());
            let value = a.get_with(&1, || 100 + b.get_with("b", || 10 + a.get_with(&1, || 1)));
            assert_eq!(value, 111);
            assert_eq!((a.get(&1), b.get("b")), (Some(111), Some(11)));
            a.clear();
            b.clear();
            let inner = async || a.get_with_async(&1, async { 1 }).await;
            let middle = async || b.get_with_async("b", async { 10 + inner().await }).await;
            let outer = a.get_with_async(&1, async { 100 + middle().await });
            assert_eq!(pollster::block_on(outer), 111);
        });
    }
}

#[test]
fn two_threads_that_want_what_the_other_one_loads() {
    for storage in Storage::each(8) {
        for _ in 0..rounds(50) {
            let storage = storage.clone();
            within_limit(move || {
                let (a, b): (Cache<u8, u64>, Cache<u8, u64>) = (storage.cache(), storage.cache());
                let (runs, both) = (Count::new(), Count::new());
                let call = |outer: &Cache<u8, u64>, inner: &Cache<u8, u64>| {
                    outer.get_with(&1, || {
                        if runs.up() < 2 {
                            both.meet(2);
                        }
                        1 + inner.get_with(&1, || {
                            runs.up();
                            10
                        })
                    })
                };
                let values = std::thread::scope(|scope| {
                    let first = scope.spawn(|| call(&a, &b));
                    let second = scope.spawn(|| call(&b, &a));
                    [first.join().unwrap(), second.join().unwrap()]
                });
                // One of them closed the circle and ran the inner body; the other one shared its
                // value.
                assert!(values == [11, 12] || values == [12, 11], "{values:?}");
                assert_eq!(runs.now(), 3);
            });
        }
    }
}

#[test]
fn a_ring_of_threads_breaks_at_one_place() {
    const RING: u8 = 5;
    for storage in Storage::each(16) {
        for _ in 0..rounds(20) {
            let storage = storage.clone();
            within_limit(move || {
                let cache: Cache<u8, u64> = storage.cache();
                let (alone, all) = (Count::new(), Count::new());
                std::thread::scope(|scope| {
                    for key in 0..RING {
                        let (cache, alone, all) = (&cache, &alone, &all);
                        scope.spawn(move || {
                            cache.get_with(&key, || {
                                all.meet(RING.into());
                                cache.get_with(&((key + 1) % RING), || {
                                    alone.up();
                                    0
                                }) + 1
                            })
                        });
                    }
                });
                assert_eq!(alone.now(), 1);
                let mut values: Vec<_> = (0..RING).filter_map(|key| cache.get(&key)).collect();
                values.sort_unstable();
                assert_eq!(values, [1, 2, 3, 4, 5]);
            });
        }
    }
}

#[test]
fn two_tasks_that_want_what_the_other_one_loads_on_every_runtime() {
    for runtime in runtime::ALL {
        for storage in Storage::each(8) {
            within_limit(move || {
                runtime.run(async move {
                    let a: Arc<Cache<u8, u64>> = Arc::new(storage.cache());
                    let b: Arc<Cache<u8, u64>> = Arc::new(storage.cache());
                    let both = Count::new();
                    let call = |outer: &Arc<Cache<u8, u64>>, inner: &Arc<Cache<u8, u64>>| {
                        let (outer, inner, both) = (outer.clone(), inner.clone(), both.clone());
                        async move {
                            let body = async {
                                both.meets(2).await;
                                1 + inner.get_with_async(&1, async { 10 }).await
                            };
                            outer.get_with_async(&1, body).await
                        }
                    };
                    let first = runtime.spawn(call(&a, &b));
                    let second = runtime.spawn(call(&b, &a));
                    let values = [first.join().await, second.join().await];
                    assert!(values == [11, 12] || values == [12, 11], "{runtime:?} {values:?}");
                })
            });
        }
    }
}

#[test]
fn two_branches_of_one_body_share_what_one_of_them_loads() {
    for storage in Storage::each(8) {
        let cache: Cache<u8, u64> = storage.cache();
        let (runs, go_on) = (Count::new(), Count::new());
        let branch = async || {
            let body = async {
                runs.up();
                go_on.reaches(1).await;
                5
            };
            cache.get_with_async(&2, body).await
        };
        let both = smol::future::zip(branch(), branch());
        let mut outer = Driven::new(cache.get_with_async(&1, async {
            let (left, right) = both.await;
            left + right
        }));
        outer.pends();
        go_on.up();
        assert_eq!(outer.ready(), 10);
        assert_eq!(runs.now(), 1);
    }
}

fn fib(cache: &Cache<u32, u64>, runs: &Count, n: u32) -> u64 {
    cache.get_with(&n, || {
        runs.up();
        if n < 2 { n.into() } else { fib(cache, runs, n - 1) + fib(cache, runs, n - 2) }
    })
}

fn fib_async<'a>(
    cache: &'a Cache<u32, u64>,
    runs: &'a Count,
    n: u32,
) -> Pin<Box<dyn Future<Output = u64> + Send + 'a>> {
    Box::pin(async move {
        let body = async move {
            runs.up();
            match n {
                0 | 1 => n.into(),
                n => fib_async(cache, runs, n - 1).await + fib_async(cache, runs, n - 2).await,
            }
        };
        cache.get_with_async(&n, body).await
    })
}

#[test]
fn fib_of_90_runs_91_bodies() {
    for storage in Storage::each(100) {
        let cache: Cache<u32, u64> = storage.cache();
        let runs = Count::new();
        assert_eq!(fib(&cache, &runs, 90), 2_880_067_194_370_816_120);
        assert_eq!(runs.now(), 91);

        let (cache, runs) = (storage.cache(), Count::new());
        let fib = Driven::new(fib_async(&cache, &runs, 90)).ready();
        assert_eq!((fib, runs.now()), (2_880_067_194_370_816_120, 91));
    }
}

/// Bytes of stack that one level of recursion through a cache takes at most, in this build.
const LEVEL: usize = if cfg!(debug_assertions) { 8 * 1024 } else { 2 * 1024 };

/// The address of something on the stack of whoever calls.
#[inline(never)]
fn stack_position() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&here)).addr()
}

#[test]
fn ten_thousand_nested_calls_fit_a_stack_of_known_size() {
    const DEPTH: u32 = 10_000;
    fn down(cache: &Cache<u32, usize>, n: u32) -> usize {
        cache.get_with(&n, || if n == 0 { stack_position() } else { down(cache, n - 1) })
    }
    fn down_async(cache: &Cache<u32, usize>, n: u32) -> Pin<Box<dyn Future<Output = usize> + '_>> {
        Box::pin(async move {
            let body =
                async { if n == 0 { stack_position() } else { down_async(cache, n - 1).await } };
            cache.get_with_async(&n, body).await
        })
    }
    let run = || {
        for storage in Storage::each(2 * DEPTH as usize) {
            let cache: Cache<u32, usize> = storage.cache();
            let sync = (stack_position() - down(&cache, DEPTH)) / DEPTH as usize;
            assert_eq!(cache.stats().loads, u64::from(DEPTH) + 1);
            cache.clear();
            let bottom = Driven::new(down_async(&cache, DEPTH)).ready();
            let asynchronous = (stack_position() - bottom) / DEPTH as usize;
            println!("bytes of stack per level: {sync} sync, {asynchronous} async");
            assert!(sync.max(asynchronous) <= LEVEL, "{sync} sync, {asynchronous} async");
        }
    };
    let stack = DEPTH as usize * LEVEL * 2;
    std::thread::Builder::new().stack_size(stack).spawn(run).unwrap().join().unwrap();
}

#[test]
fn threads_that_recurse_over_the_same_keys_run_each_body_once() {
    /// Ways through a grid: asks for its left and its upper neighbour.
    fn ways(cache: &Cache<(u64, u64), u64>, runs: &Count, (x, y): (u64, u64)) -> u64 {
        cache.get_with(&(x, y), || {
            runs.up();
            if x == 0 || y == 0 {
                return 1;
            }
            let (left, up) = ((x - 1, y), (x, y - 1));
            // Not everybody in the same order, so that threads meet from all sides.
            let order = if (x + y) % 2 == 0 { [left, up] } else { [up, left] };
            order.map(|next| ways(cache, runs, next)).iter().sum()
        })
    }
    for storage in Storage::each(1_000) {
        for _ in 0..rounds(10) {
            let storage = storage.clone();
            within_limit(move || {
                let cache = storage.cache();
                let (runs, start) = (Count::new(), Barrier::new(8));
                std::thread::scope(|scope| {
                    for thread in 0..8 {
                        let (cache, runs, start) = (&cache, &runs, &start);
                        scope.spawn(move || {
                            start.wait();
                            ways(cache, runs, (10 + thread % 3, 12 - thread % 3));
                        });
                    }
                });
                assert_eq!(ways(&cache, &runs, (10, 10)), 184_756);
                let loads = cache.stats().loads;
                assert_eq!(loads, cache.stats().entries, "no key was loaded twice");
                assert_eq!(loads as usize, runs.now());
            });
        }
    }
}

/// Calls in circles of every shape, from many threads at once.
#[test]
fn nothing_hangs_in_a_storm_of_circles() {
    const KEYS: u64 = 6;
    fn ask(cache: &Cache<u64, u64>, graph: u64, key: u64, depth: u32) -> u64 {
        cache.get_with(&key, || match depth {
            0 => 1,
            _ => {
                let mut dice = Dice(graph ^ key << 32);
                let next = [dice.roll(KEYS), dice.roll(KEYS)];
                next.iter().map(|&next| ask(cache, graph, next, depth - 1)).sum()
            }
        })
    }
    for round in 0..rounds(150) as u64 {
        within_limit(move || {
            for storage in Storage::each(64) {
                let cache = storage.cache();
                let start = Barrier::new(4);
                std::thread::scope(|scope| {
                    for thread in 0..4 {
                        let (cache, start) = (&cache, &start);
                        scope.spawn(move || {
                            start.wait();
                            for step in 0..KEYS {
                                ask(cache, round, (thread + step) % KEYS, 4);
                            }
                        });
                    }
                });
            }
        });
    }
}

#[test]
fn a_scoped_thread_belongs_to_the_body_that_spawns_it() {
    for storage in Storage::each(4) {
        within_limit(move || {
            let cache: Cache<u8, u64> = storage.cache();
            let value = cache.get_with(&1, || {
                let child = || cache.get_with(&1, || 3);
                std::thread::scope(|scope| 10 + scope.spawn(scope_fn(child)).join().unwrap())
            });
            assert_eq!((value, cache.get(&1)), (13, Some(13)));
        });
    }
}

#[test]
fn a_scoped_task_belongs_to_the_body_that_spawns_it_on_every_runtime() {
    for runtime in runtime::ALL {
        for storage in Storage::each(4) {
            within_limit(move || {
                runtime.run(async move {
                    let cache: Arc<Cache<u8, u64>> = Arc::new(storage.cache());
                    let inner = cache.clone();
                    let body = async {
                        let child = async move { inner.get_with_async(&1, async { 3 }).await };
                        10 + runtime.spawn(scope(child)).join().await
                    };
                    assert_eq!(cache.get_with_async(&1, body).await, 13);
                    assert_eq!(cache.get(&1), Some(13));
                })
            });
        }
    }
}

#[test]
fn scoped_children_of_one_body_still_share_their_loads() {
    for storage in Storage::each(4) {
        within_limit(move || {
            let cache: Cache<u8, u64> = storage.cache();
            let (runs, callers) = (Count::new(), Count::new());
            let value = cache.get_with(&1, || {
                let child = || {
                    callers.up();
                    cache.get_with(&2, || {
                        runs.up();
                        callers.wait_for(4);
                        pause();
                        1
                    })
                };
                std::thread::scope(|scope| {
                    let children = [(); 4].map(|()| scope.spawn(scope_fn(child)));
                    children.into_iter().map(|child| child.join().unwrap()).sum()
                })
            });
            assert_eq!((value, runs.now()), (4, 1));
        });
    }
}

#[test]
fn a_child_that_nobody_scoped_is_freed_after_max_wait() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 4) {
        let max_wait = Duration::from_secs(5);
        let cache: Arc<Cache<u8, u64>> = Arc::new(storage.builder().max_wait(max_wait).build());
        let (waiting, asked) = (cache.clone(), Count::new());
        let asking = asked.clone();
        let outer = std::thread::spawn(move || {
            let child = || {
                asking.up();
                cache.get_with(&1, || 3)
            };
            cache.get_with(&1, || {
                std::thread::scope(|scope| 10 + scope.spawn(child).join().unwrap())
            })
        });
        // Time passes, from before the child waits until it is free.
        asked.wait_for(1);
        until(|| {
            clock.advance(max_wait);
            outer.is_finished()
        });
        assert_eq!(outer.join().unwrap(), 13);
        assert_eq!(waiting.get(&1), Some(3), "the child led, so the child's value is stored");
    }
}

#[test]
fn the_default_bound_on_waiting_is_not_shorter_than_what_tests_call_hanging() {
    assert!(Cache::<u8, u8>::DEFAULT_MAX_WAIT >= LIMIT, "a wait that is freed late passes here");
}

#[test]
fn an_invalidation_inside_a_nested_body_does_not_hang() {
    within_limit(|| {
        let cache: Cache<u8, u64> = Cache::new(MemoryStorage::bounded(4));
        let value = cache.get_with(&1, || {
            cache.get_with(&2, || {
                cache.invalidate(&1);
                cache.clear();
                cache.get_with(&1, || 5) + cache.refresh(&2, || 6)
            })
        });
        assert_eq!(value, 11);
        assert_eq!((cache.get(&1), cache.get(&2)), (Some(5), Some(6)));
    });
}

/// A value whose clone asks the cache for the key that is being loaded.
#[derive(Debug)]
struct AsksWhenCloned(Arc<Cache<u8, AsksWhenCloned>>, bool);

impl Clone for AsksWhenCloned {
    fn clone(&self) -> Self {
        if self.1 {
            self.0.get_with(&1, || AsksWhenCloned(self.0.clone(), false));
        }
        AsksWhenCloned(self.0.clone(), false)
    }
}

#[test]
fn a_value_whose_clone_asks_for_the_same_key_does_not_hang() {
    for storage in Storage::each(4) {
        let cache: Arc<Cache<u8, AsksWhenCloned>> = Arc::new(storage.cache());
        let begun = std::time::Instant::now();
        cache.get_with(&1, || AsksWhenCloned(cache.clone(), true));
        assert!(begun.elapsed() < LIMIT / 2, "{storage:?}");
        cache.clear(); // the value holds its own cache
    }
}
