//! Far storages: what is removed, cleared or replaced here stays so, however slow, failing or late
//! the storage is, and nobody waits for it longer than promised.

use super::far_world::{DEADLINE, Elsewhere, FarWorld, Habits};
use super::world::{Stamped, is_inserted};
use super::{give_up_after, pick, scenarios, wait_until};
use crate::far::Storage;
use crate::params::Params;
use crate::receipt::Receipt;
use crate::{Cache, Far, ManualClock};
use shuttle::future::block_on;
use shuttle::sync::atomic::{AtomicU32, Ordering::SeqCst};
use shuttle::thread::{self, scope};
use std::sync::{Arc, Mutex, OnceLock};

scenarios![
    removals_win_over_far_reads_and_writes,
    a_clear_wins_over_calls_that_learn_the_epoch,
    an_insertion_is_read_back,
    a_failed_insertion_brings_no_older_body_back,
    a_refresh_is_not_undone,
    a_storm_of_far_steps,
    removals_reach_other_processes_in_the_end,
    a_cancelled_leader_leaves_its_write_to_somebody,
    every_receipt_is_answered,
    a_stall_ends_with_the_deadline,
    the_breaker_opens_and_closes,
    an_owed_removal_is_repeated,
    two_caches_of_one_name,
    a_storage_calls_the_function_it_serves,
];

/// A removal of any kind.
fn remove(far: &FarWorld, number: u32) -> Receipt {
    match pick(3) {
        0 => far.world.cleared(),
        1 => far.world.inserted(number).1,
        _ => far.world.invalidated(number),
    }
}

fn removals_win_over_far_reads_and_writes() {
    let far = FarWorld::new([Habits::SLOW, Habits::LATE, Habits::FAILING_LATE][pick(3) as usize]);
    if pick(2) == 0 {
        far.world.call(1);
    }
    scope(|s| {
        s.spawn(|| (far.world.call(1), far.world.call(1)));
        s.spawn(|| {
            drop(remove(&far, 1));
            (far.world.look(1), far.world.call(1))
        });
        s.spawn(|| block_on(far.world.call_async(1)));
    });
    far.settle(1..2);
}

/// Nobody knows the epoch yet, or it is an old one that the storage has.
fn a_clear_wins_over_calls_that_learn_the_epoch() {
    let before = FarWorld::new(Habits::HONEST);
    if pick(2) == 0 {
        before.world.call(1);
    }
    let far = before.again();
    far.elsewhere.become_([Habits::SLOW, Habits::FAILING, Habits::LATE][pick(3) as usize]);
    scope(|s| {
        s.spawn(|| (far.world.call(1), far.world.look(1)));
        s.spawn(|| {
            drop(far.world.cleared());
            (far.world.look(1), far.world.call(1))
        });
        s.spawn(|| far.world.look(1));
    });
    far.settle(1..2);
}

/// From a storage that does what it says, if late.
fn an_insertion_is_read_back() {
    let far = FarWorld::new(Habits::SLOW);
    if pick(2) == 0 {
        far.world.call(1);
    }
    scope(|s| {
        s.spawn(|| far.world.call(1));
        s.spawn(|| {
            let (inserted, receipt) = far.world.inserted(1);
            assert_eq!(far.world.call(1).version(), inserted, "nobody else stores after it");
            receipt.wait().expect("a storage that does not fail");
            assert_eq!(far.world.call(1).version(), inserted, "nobody else stores after it");
        });
        s.spawn(|| block_on(give_up_after(1 + pick(6), far.world.call_async(1))));
    });
    assert!(far.world.look(1).is_some_and(|value| is_inserted(&value)));
    far.settle_for_others(1..2);
}

/// Who has seen the inserted value never again sees one that was there before.
fn a_failed_insertion_brings_no_older_body_back() {
    let far = FarWorld::new(Habits { slow: 3, fails: 2, late: 0, stalls: 0 });
    let done = Mutex::new(Vec::new());
    scope(|s| {
        s.spawn(|| {
            let body = far.world.call_with(1, || far.world.body_of_its_own(1));
            done.lock().unwrap().push(body);
        });
        s.spawn(|| far.world.inserted(1).1.wait());
        s.spawn(|| {
            let mut older = Vec::new();
            for _ in 0..4 {
                let before = done.lock().unwrap().clone();
                let Some(got) = far.world.look(1) else { continue };
                match is_inserted(&got) {
                    true => older = before,
                    false => assert!(!older.contains(&got), "a body's value is back"),
                }
            }
        });
    });
    far.settle_for_others(1..2);
}

/// What was there before a refresh that has returned does not come back, although the refresh could
/// not be written.
fn a_refresh_is_not_undone() {
    let before = FarWorld::new(Habits::HONEST);
    before.world.call(1);
    let far = before.again();
    if pick(2) == 0 {
        far.world.look(1);
    }
    far.elsewhere.become_([Habits::SLOW, Habits::FAILING][pick(2) as usize]);
    far.world.raise();
    let refreshed = far.world.refresh(1).version();
    let check = || {
        for _ in 0..2 {
            let got = far.world.call(1).version();
            assert!(got >= refreshed, "version {got} after a refresh to {refreshed}");
        }
    };
    scope(|s| {
        s.spawn(check);
        s.spawn(check);
    });
    far.settle(1..2);
}

fn a_storm_of_far_steps() {
    let habits = [Habits::SLOW, Habits::LATE, Habits::FAILING, Habits::FAILING_LATE];
    let far = FarWorld::new(habits[pick(4) as usize]);
    storm(&far, 3);
    far.settle(1..3);
}

/// What failed is repeated; then a process that begins anew sees nothing old.
fn removals_reach_other_processes_in_the_end() {
    let far = FarWorld::new([Habits::SLOW, Habits::FAILING][pick(2) as usize]);
    storm(&far, 2);
    far.settle_for_others(1..3);
}

fn storm(far: &FarWorld, threads: u32) {
    let step = || {
        for _ in 0..3 {
            let number = 1 + pick(2);
            match pick(9) {
                0 => drop(far.world.invalidated(number)),
                1 => drop(far.world.cleared()),
                2 => drop(far.world.inserted(number)),
                3 => drop(far.world.refresh(number)),
                4 => drop(far.world.look(number)),
                5 => drop(block_on(give_up_after(1 + pick(8), far.world.call_async(number)))),
                6 => drop(block_on(far.world.call_async(number))),
                _ => drop(far.world.call(number)),
            }
        }
    };
    scope(|s| {
        for _ in 0..threads {
            s.spawn(step);
        }
    });
}

fn a_cancelled_leader_leaves_its_write_to_somebody() {
    let far = FarWorld::new(Habits::SLOW);
    let ended = AtomicU32::new(0);
    let body = async {
        let value = far.world.body_async(1).await;
        ended.store(1, SeqCst);
        value
    };
    scope(|s| {
        s.spawn(|| {
            let call = far.world.call_async_with(1, body);
            block_on(give_up_after(1 + pick(12), call))
        });
        s.spawn(|| {
            if pick(2) == 0 {
                far.world.look(1);
            }
        });
    });
    far.heal();
    if ended.load(SeqCst) == 1 {
        assert!(far.world.look(1).is_some(), "what a body brought is written");
    }
    far.settle_for_others(1..2);
}

fn every_receipt_is_answered() {
    let far = FarWorld::new([Habits::SLOW, Habits::FAILING_LATE][pick(2) as usize]);
    let step = || {
        let mut receipts: Vec<Receipt> = (0..3).map(|_| remove(&far, 1 + pick(2))).collect();
        let last = receipts.pop();
        drop(last.filter(|_| pick(2) == 0));
        for receipt in receipts {
            match pick(3) {
                0 => drop(block_on(receipt)),
                1 => drop(block_on(give_up_after(pick(3), receipt))),
                _ => drop(receipt.wait()),
            }
        }
    };
    scope(|s| {
        s.spawn(step);
        s.spawn(step);
        s.spawn(|| far.world.call(1));
    });
    far.settle(1..3);
}

fn a_stall_ends_with_the_deadline() {
    let far = FarWorld::new(Habits { slow: 4, stalls: 4, ..Habits::HONEST });
    let done = AtomicU32::new(0);
    scope(|s| {
        s.spawn(|| {
            (far.world.call(1), far.world.call(1));
            done.fetch_add(1, SeqCst);
        });
        s.spawn(|| {
            let receipt = remove(&far, 1);
            far.world.call(1);
            drop(receipt.wait());
            done.fetch_add(1, SeqCst);
        });
        s.spawn(|| {
            block_on(give_up_after(1 + pick(8), far.world.call_async(1)));
            block_on(far.world.call_async(1));
            done.fetch_add(1, SeqCst);
        });
        s.spawn(|| far.tick(|| done.load(SeqCst) == 3));
    });
    far.settle_for_others(1..2);
}

fn the_breaker_opens_and_closes() {
    let far = FarWorld::new(Habits::HONEST);
    far.world.call(1);
    far.elsewhere.become_(Habits { fails: 1, ..Habits::HONEST });
    scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                for _ in 0..3 {
                    far.world.look(1);
                }
            });
        }
        s.spawn(|| far.world.invalidated(2));
    });
    assert!(far.far.is_given_up(), "six failures in a row");
    let asked = far.elsewhere.asked();
    (far.world.call(1), far.world.look(1));
    // A caretaker may be at it; nothing else is.
    assert!(far.elsewhere.asked() <= asked + 1, "left alone");
    far.heal();
    assert!(!far.far.is_given_up());
    far.world.call(1);
    assert!(far.world.look(1).is_some(), "in use again");
    far.settle_for_others(1..2);
}

fn an_owed_removal_is_repeated() {
    let far = FarWorld::new(Habits::HONEST);
    far.world.call(1);
    let old = far.elsewhere.entries();
    far.elsewhere.become_(Habits { fails: 2, slow: 3, ..Habits::HONEST });
    let done = AtomicU32::new(0);
    scope(|s| {
        s.spawn(|| {
            drop(far.world.invalidated(1).wait());
            (far.world.look(1), far.world.call(1), far.world.look(1));
            done.fetch_add(1, SeqCst);
        });
        s.spawn(|| {
            far.world.call(1);
            done.fetch_add(1, SeqCst);
        });
        s.spawn(|| far.tick(|| done.load(SeqCst) == 2));
    });
    far.heal();
    let now = far.elsewhere.entries();
    let is_there = |(key, bytes): (&String, &Vec<u8>)| now.get(key) == Some(bytes);
    // The record of the epoch is.
    assert!(old.iter().filter(|entry| is_there(*entry)).count() <= 1, "the old entry is gone");
    far.settle_for_others(1..2);
}

/// Each has flights of its own; what is stored far away is one.
fn two_caches_of_one_name() {
    let far = FarWorld::new([Habits::SLOW, Habits::LATE, Habits::FAILING_LATE][pick(3) as usize]);
    far.world.allow(1);
    let twin = far.twin();
    let (is_slow, changed) = (pick(2) == 0, AtomicU32::new(0));
    let slow_body = || {
        let body = far.world.begin(1);
        if is_slow {
            wait_until(&changed, 1);
        }
        body.end()
    };
    scope(|s| {
        s.spawn(|| {
            far.world.call_with(1, slow_body);
            far.world.look(1)
        });
        s.spawn(|| {
            let number = 1;
            match pick(2) {
                0 => far.world.change(Some(number), || drop(twin.invalidate(&number))),
                _ => far.world.change(None, || drop(twin.clear())),
            }
            changed.store(1, SeqCst);
            let floor = far.world.floor(number);
            let got = twin.get_with(&number, || far.world.body(number));
            far.world.accept(number, floor, &got);
        });
        s.spawn(|| {
            let floor = far.world.floor(1);
            if let Some(got) = twin.peek(&1) {
                far.world.accept(1, floor, &got);
            }
        });
    });
    drop(twin);
    far.settle(1..2);
}

/// A storage that is itself made of cached calls.
struct Calling {
    inside: Elsewhere,
    cache: OnceLock<std::sync::Weak<Cache<u32, u64>>>,
}

impl Calling {
    fn call(&self) {
        if let Some(cache) = self.cache.get().and_then(std::sync::Weak::upgrade) {
            match pick(4) {
                0 => drop(cache.get_with(&1, || 1 << 32)),
                1 => drop(cache.get_with(&2, || 2 << 32)),
                2 => drop(cache.invalidate(&1)),
                _ => {}
            }
        }
    }
}

impl Storage for Calling {
    async fn get(&self, key: &str) -> crate::Result<Option<Vec<u8>>> {
        self.call();
        self.inside.get(key).await
    }

    async fn set(&self, key: &str, value: &[u8], params: &Params) -> crate::Result<()> {
        let done = self.inside.set(key, value, params).await;
        self.call();
        done
    }

    async fn remove(&self, keys: &[&str]) -> crate::Result<()> {
        self.inside.remove(keys).await
    }
}

fn a_storage_calls_the_function_it_serves() {
    let clock = ManualClock::new();
    clock.advance(DEADLINE);
    let inside = Elsewhere::new(Habits::SLOW);
    let storage = Arc::new(Calling { inside: inside.clone(), cache: OnceLock::new() });
    let far = Far::new(storage.clone()).with_clock(&clock).on_trouble(|_| ());
    let cache = Arc::new(Cache::builder().storage(far.clone()).name("calls back").build());
    storage.cache.set(Arc::downgrade(&cache)).expect("set once");
    let calls = |cache: &Arc<Cache<u32, u64>>, number: u32| {
        let cache = cache.clone();
        thread::spawn(move || {
            let got = match pick(2) {
                0 => cache.get_with(&number, || u64::from(number) << 32),
                _ => block_on(cache.get_with_async(&number, async { u64::from(number) << 32 })),
            };
            assert_eq!(got.number(), number);
        })
    };
    for thread in [1, 2, 1].map(|number| calls(&cache, number)) {
        thread.join().unwrap();
    }
    inside.rest(&far, &clock);
    drop((cache, far, storage));
    inside.end(&clock);
}
