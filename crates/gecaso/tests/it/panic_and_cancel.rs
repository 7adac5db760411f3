//! A body that panics or is cancelled: its own caller alone notices, and nothing is left behind.

use crate::event::{Count, Driven, LIMIT, pause, until, within_limit};
use crate::runtime::Runtime;
use crate::storages::Storage;
use gecaso::{Cache, LruStorage, ManualClock};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

/// Panics without a message on the terminal.
fn blow_up<T>() -> T {
    resume_unwind(Box::new("blown up"))
}

async fn steps(n: usize) {
    for _ in 0..n {
        smol::future::yield_now().await;
    }
}

#[test]
fn a_panic_reaches_the_thread_that_leads_and_nobody_else() {
    const THREADS: usize = 8;
    for storage in Storage::each(4) {
        let cache: Cache<u8, u8> = storage.cache();
        let (runs, callers) = (Count::new(), Count::new());
        let results: Vec<_> = std::thread::scope(|scope| {
            let call = || {
                callers.up();
                cache.get_with(&1, || match runs.up() {
                    0 => {
                        callers.wait_for(THREADS);
                        pause();
                        blow_up()
                    }
                    _ => 10,
                })
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(call)).collect();
            threads.into_iter().map(|thread| thread.join()).collect()
        });
        let panics: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
        assert_eq!(panics.len(), 1);
        assert_eq!(panics[0].downcast_ref(), Some(&"blown up"), "with its own payload");
        assert!(results.iter().flatten().all(|&value| value == 10));
        assert_eq!(runs.now(), 2, "one of those who waited ran its body for all");
    }
}

#[test]
fn a_panic_reaches_the_task_that_leads_and_nobody_else() {
    for storage in Storage::each(4) {
        let cache: Cache<u8, u8> = storage.cache();
        let mut leader = Driven::new(cache.get_with_async(&1, async {
            steps(1).await;
            blow_up()
        }));
        let runs = Count::new();
        let call = || {
            Driven::new(cache.get_with_async(&1, async {
                runs.up();
                10
            }))
        };
        let mut waiters = [call(), call(), call()];
        leader.pends();
        waiters.iter_mut().for_each(Driven::pends);
        assert!(catch_unwind(AssertUnwindSafe(|| leader.poll())).is_err());
        for waiter in &mut waiters {
            assert!(waiter.is_woken(), "at once");
            assert_eq!(waiter.ready(), 10);
        }
        assert_eq!(runs.now(), 1);
    }
}

#[test]
fn after_a_panic_the_next_call_runs_its_body() {
    for storage in Storage::each(4) {
        let cache: Arc<Cache<u8, u8>> = Arc::new(storage.cache());
        for _ in 0..3 {
            assert!(catch_unwind(AssertUnwindSafe(|| cache.get_with(&1, blow_up))).is_err());
            assert!(catch_unwind(AssertUnwindSafe(|| cache.refresh(&1, blow_up))).is_err());
        }
        assert_eq!(storage.len(), 0);
        let value = within_limit({
            let cache = cache.clone();
            move || cache.get_with(&1, || 10)
        });
        assert_eq!(value, 10);
    }
}

#[test]
fn a_refresh_that_panics_or_is_cancelled_leaves_the_old_value() {
    for storage in Storage::each(4) {
        let cache: Cache<u8, u8> = storage.cache();
        cache.insert(1, 10);
        assert!(catch_unwind(AssertUnwindSafe(|| cache.refresh(&1, blow_up))).is_err());
        assert_eq!(cache.get(&1), Some(10));
        let mut refreshing = Driven::new(cache.refresh_async(&1, std::future::pending()));
        refreshing.pends();
        refreshing.cancel();
        assert_eq!(cache.get(&1), Some(10));
    }
}

#[test]
fn a_leader_dropped_at_any_await_is_replaced_at_once_by_one_that_waits() {
    const AWAITS: usize = 4;
    for storage in Storage::each(4) {
        for at in 1..=AWAITS {
            let cache: Cache<u8, u8> = storage.cache();
            let mut leader = Driven::new(cache.get_with_async(&1, async {
                steps(AWAITS).await;
                unreachable!()
            }));
            let runs = Count::new();
            let call = || {
                Driven::new(cache.get_with_async(&1, async {
                    runs.up();
                    steps(1).await;
                    10
                }))
            };
            let mut waiters = [call(), call(), call()];
            leader.pends();
            waiters.iter_mut().for_each(Driven::pends);
            (1..at).for_each(|_| leader.pends());
            leader.cancel();
            assert!(waiters.iter().all(Driven::is_woken), "at await {at}");
            // One of the woken is gone before it looks: the others do not depend on it.
            waiters[0].cancel();
            waiters[1].pends();
            waiters[2].pends();
            assert_eq!((waiters[1].ready(), waiters[2].ready(), runs.now()), (10, 10, 1));
        }
    }
}

#[test]
fn a_leader_dropped_with_nobody_waiting_leaves_the_key_free() {
    for storage in Storage::each(4) {
        let cache: Cache<u8, u8> = storage.cache();
        let mut never_polled = Driven::new(cache.get_with_async(&1, async { unreachable!() }));
        never_polled.cancel();
        let mut leader = Driven::new(cache.get_with_async(&1, std::future::pending()));
        leader.pends();
        leader.cancel();
        assert_eq!(Driven::new(cache.get_with_async(&1, async { 10 })).ready(), 10);
    }
}

#[test]
fn whoever_waits_and_is_dropped_concerns_nobody_else() {
    for storage in Storage::each(4) {
        let cache: Cache<u8, u8> = storage.cache();
        let go_on = Count::new();
        let call = || {
            Driven::new(cache.get_with_async(&1, async {
                go_on.reaches(1).await;
                10
            }))
        };
        let mut leader = call();
        let mut waiters = [call(), call(), call()];
        leader.pends();
        waiters.iter_mut().for_each(Driven::pends);
        waiters[0].cancel();
        waiters[2].cancel();
        // A newcomer may take a seat that was left.
        let mut newcomer = call();
        newcomer.pends();
        assert!(!leader.is_woken() && !waiters[1].is_woken());
        go_on.up();
        assert_eq!(leader.ready(), 10);
        assert!(waiters[1].is_woken() && newcomer.is_woken());
        assert_eq!((waiters[1].ready(), newcomer.ready()), (10, 10));
        assert_eq!(cache.stats().loads, 1);
    }
}

#[test]
fn an_aborted_task_is_replaced_by_one_that_waits_on_every_runtime() {
    for runtime in [Runtime::TokioThreads, Runtime::TokioCurrent, Runtime::Smol] {
        for storage in Storage::each(4) {
            within_limit(move || {
                runtime.run(async move {
                    let cache: Arc<Cache<u8, u8>> = Arc::new(storage.cache());
                    let inside = Count::new();
                    let leader = runtime.spawn({
                        let (cache, inside) = (cache.clone(), inside.clone());
                        async move {
                            let stuck = async {
                                inside.up();
                                std::future::pending().await
                            };
                            cache.get_with_async(&1, stuck).await
                        }
                    });
                    inside.reaches(1).await;
                    let (runs, callers) = (Count::new(), Count::new());
                    let call = || {
                        let (cache, runs) = (cache.clone(), runs.clone());
                        let callers = callers.clone();
                        async move {
                            callers.up();
                            let body = async {
                                runs.up();
                                steps(3).await;
                                10
                            };
                            cache.get_with_async(&1, body).await
                        }
                    };
                    let waiters: Vec<_> = (0..20).map(|_| runtime.spawn(call())).collect();
                    callers.reaches(20).await;
                    leader.abort().await;
                    for waiter in waiters {
                        assert_eq!(waiter.join().await, 10);
                    }
                    assert_eq!(runs.now(), 1);
                })
            });
        }
    }
}

#[test]
fn a_leader_that_is_never_polled_again_holds_nobody_longer_than_max_wait() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 4) {
        let cache: Cache<u8, u8> = storage.builder().max_wait(Duration::from_secs(5)).build();
        let mut leader = Driven::new(cache.get_with_async(&1, std::future::pending()));
        leader.pends();
        let call = || Driven::new(cache.get_with_async(&1, async { 10 }));
        let mut waiters = [call(), call()];
        waiters.iter_mut().for_each(Driven::pends);
        clock.advance(Duration::from_millis(4_999));
        assert!(!waiters[0].is_woken());
        clock.advance(Duration::from_millis(1));
        assert!(waiters.iter().all(Driven::is_woken));
        assert_eq!((waiters[0].ready(), waiters[1].ready()), (10, 10));
        assert_eq!(cache.stats().loads, 2, "the stuck body and one more");
        assert_eq!(cache.get(&1), Some(10));
        leader.cancel();
        assert_eq!(cache.get(&1), Some(10));
    }
}

#[test]
fn a_leader_that_was_leaked_holds_nobody_longer_than_max_wait() {
    let clock = ManualClock::new();
    let storage = LruStorage::new(4).with_clock(&clock);
    // Leaked too, because what was leaked borrows it.
    let cache: &Cache<u8, u8> = Box::leak(Box::new(Cache::new(storage)));
    let mut leader = Driven::new(cache.get_with_async(&1, std::future::pending()));
    leader.pends();
    leader.forget();
    let waiter = std::thread::spawn(|| cache.get_with(&1, || 10));
    until(|| {
        clock.advance(Cache::<u8, u8>::DEFAULT_MAX_WAIT);
        waiter.is_finished()
    });
    assert_eq!(waiter.join().unwrap(), 10);
}

/// Asks the cache for a key when it is dropped.
struct AsksWhenDropped<'a>(&'a Cache<u8, u8>, u8);

impl Drop for AsksWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.get_with(&self.1, || 20);
    }
}

#[test]
fn a_cancelled_body_whose_cleanup_asks_for_its_own_key_does_not_hang() {
    for storage in Storage::each(4) {
        let begun = std::time::Instant::now();
        let cache: Cache<u8, u8> = storage.cache();
        let mut leader = Driven::new(cache.get_with_async(&1, async {
            let _cleanup = AsksWhenDropped(&cache, 1);
            std::future::pending().await
        }));
        leader.pends();
        leader.cancel();
        assert!(begun.elapsed() < Cache::<u8, u8>::DEFAULT_MAX_WAIT.min(LIMIT) / 2, "{storage:?}");
        assert!(matches!(cache.get(&1), None | Some(20)));
    }
}

#[test]
fn a_panicking_body_whose_cleanup_asks_for_its_own_key_does_not_hang() {
    for storage in Storage::each(4) {
        let begun = std::time::Instant::now();
        let cache: Cache<u8, u8> = storage.cache();
        let call = || {
            cache.get_with(&1, || {
                let _cleanup = AsksWhenDropped(&cache, 1);
                blow_up()
            })
        };
        assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
        let call = || {
            Driven::new(cache.get_with_async(&1, async {
                let _cleanup = AsksWhenDropped(&cache, 1);
                blow_up()
            }))
            .poll()
        };
        cache.invalidate(&1);
        assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
        assert!(begun.elapsed() < Cache::<u8, u8>::DEFAULT_MAX_WAIT.min(LIMIT) / 2, "{storage:?}");
    }
}
