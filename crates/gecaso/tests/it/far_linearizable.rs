//! A cache over a storage outside of the process is one register per key, too, however the storage
//! behaves: it may forget, and never goes back behind an insertion or a removal.
//!
//! Real threads, and the search of `linearizable`. `GECASO_SEED=n` begins with other dice.

use crate::elsewhere::Elsewhere;
use crate::event::Dice;
use crate::linearizable::{Memory, check, seed};
use gecaso::{Cache, Far, ManualClock, Params, Result, Storage};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::task::Poll;
use std::time::Duration;

/// Here a history takes tenths of a millisecond: calls hand their operations to other threads.
const HISTORIES: usize = 6_000;

/// How a storage behaves: each is one operation in so many; 0 is never.
#[derive(Clone, Copy, Default)]
struct Habits {
    /// Leaves the core to others in the middle of an operation; one in four such operations lets
    /// gecaso's threads finish it.
    slow: u64,
    /// Fails, before or after it has done its work.
    fails: u64,
    /// Says `Ok` to a set, and does it behind a later write.
    late: u64,
}

struct Odd {
    inside: Elsewhere,
    habits: Habits,
    seed: u64,
    asked: AtomicU64,
    late: Mutex<Vec<(String, Vec<u8>)>>,
}

impl Odd {
    fn new(habits: Habits) -> Self {
        let (inside, late) = (Elsewhere::new(), Mutex::default());
        Odd { inside, habits, seed: seed(7), asked: AtomicU64::new(0), late }
    }

    /// The dice of one operation: the next.
    fn dice(&self) -> Dice {
        Dice(self.seed << 32 ^ self.asked.fetch_add(1, SeqCst))
    }

    async fn dawdle(&self, dice: &mut Dice) {
        if is(dice, self.habits.slow) {
            std::thread::yield_now();
            if is(dice, 4) {
                let mut polled = false;
                std::future::poll_fn(|cx| {
                    cx.waker().wake_by_ref();
                    match std::mem::replace(&mut polled, true) {
                        true => Poll::Ready(()),
                        false => Poll::Pending,
                    }
                })
                .await;
            }
        }
    }

    /// One operation: `act` may happen although it fails.
    async fn attempt<T>(&self, mut dice: Dice, act: impl FnOnce(&mut Dice) -> T) -> Result<T> {
        self.dawdle(&mut dice).await;
        let fails = is(&mut dice, self.habits.fails);
        if fails && is(&mut dice, 2) {
            return Err("it failed before anything was done".into());
        }
        let done = act(&mut dice);
        self.dawdle(&mut dice).await;
        if fails { Err("it failed after everything was done".into()) } else { Ok(done) }
    }

    /// Late sets come: all of this key, and some of others.
    fn catch_up(&self, key: &str, dice: &mut Dice) {
        let come = |(late, _): &mut (String, Vec<u8>)| late == key || is(dice, 4);
        for (key, value) in self.late.lock().unwrap().extract_if(.., come) {
            self.inside.put(&key, &value);
        }
    }
}

fn is(dice: &mut Dice, one_in: u64) -> bool {
    one_in > 0 && dice.roll(one_in) == 0
}

impl Storage for Odd {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.attempt(self.dice(), |_| self.inside.look(key)).await
    }

    async fn set(&self, key: &str, value: &[u8], _: &Params) -> Result<()> {
        self.attempt(self.dice(), |dice| {
            if is(dice, self.habits.late) {
                self.late.lock().unwrap().push((key.to_owned(), value.to_vec()));
            } else {
                self.inside.put(key, value);
                self.catch_up(key, dice);
            }
        })
        .await
    }

    async fn remove(&self, keys: &[&str]) -> Result<()> {
        self.attempt(self.dice(), |dice| {
            for key in keys {
                self.inside.take(key);
                self.catch_up(key, dice);
            }
        })
        .await
    }
}

/// Time passes between histories alone: what failed is repeated then, and the breaker closes.
fn far_register(name: &str, habits: Habits, memory: Memory) {
    let clock = ManualClock::new();
    clock.advance(Duration::from_secs(1));
    let far = Far::new(Odd::new(habits)).with_clock(&clock).on_trouble(|_| ());
    let cache = Cache::builder().storage(far.clone()).name("register").build();
    check(name, &cache, memory, HISTORIES, || clock.advance(Duration::from_millis(200)));
    let stats = far.stats();
    println!("{name}: {stats:?}");
    assert!(stats.hits > 0 && stats.sets > 0 && stats.removes > 0);
    assert_eq!(stats.errors > 0, habits.fails > 0);
}

#[test]
fn a_slow_storage_is_a_register_that_may_forget() {
    far_register("far, slow", Habits { slow: 3, ..Habits::default() }, Memory::Forgets);
}

#[test]
fn a_storage_that_fails_is_a_register_that_wavers() {
    far_register("far, failing", Habits { slow: 4, fails: 6, late: 0 }, Memory::Wavers);
}

#[test]
fn a_storage_that_fails_and_is_late_is_a_register_that_wavers() {
    far_register("far, failing and late", Habits { slow: 4, fails: 8, late: 3 }, Memory::Wavers);
}
