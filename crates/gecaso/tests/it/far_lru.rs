//! `LruStorage::over` bounds what it has seen, in true order, whatever fails, is dropped, or
//! happens at the same time.

use crate::elsewhere::Elsewhere;
use crate::event::{Dice, Driven, rounds};
use gecaso::testing::Chaos;
use gecaso::{LruOver, LruStorage, Params, Result, Storage};
use pollster::block_on;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

/// What the storage inside was asked for, and whether it did it.
#[derive(Clone, Debug, PartialEq)]
enum Asked {
    Get(String, bool),
    Set(String, bool),
    Remove(Vec<String>, bool),
}

/// Fails by seed, before it does anything, and keeps a log.
#[derive(Clone)]
struct Logged {
    inside: Elsewhere,
    log: Arc<Mutex<Vec<Asked>>>,
    dice: Arc<Mutex<Dice>>,
    /// In 100.
    failures: u64,
}

impl Logged {
    fn new(seed: u64, failures: u64) -> Self {
        let dice = Arc::new(Mutex::new(Dice(seed)));
        Logged { inside: Elsewhere::new(), log: Arc::default(), dice, failures }
    }

    fn does(&self, asked: impl FnOnce(bool) -> Asked) -> Result<()> {
        let does = self.dice.lock().unwrap().roll(100) >= self.failures;
        self.log.lock().unwrap().push(asked(does));
        if does { Ok(()) } else { Err("made to fail".into()) }
    }

    fn log(&self) -> Vec<Asked> {
        std::mem::take(&mut self.log.lock().unwrap())
    }
}

impl Storage for Logged {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.does(|ok| Asked::Get(key.to_owned(), ok))?;
        self.inside.get(key).await
    }

    async fn set(&self, key: &str, value: &[u8], params: &Params) -> Result<()> {
        self.does(|ok| Asked::Set(key.to_owned(), ok))?;
        self.inside.set(key, value, params).await
    }

    async fn remove(&self, keys: &[&str]) -> Result<()> {
        self.does(|ok| Asked::Remove(keys.iter().map(|key| key.to_string()).collect(), ok))?;
        self.inside.remove(keys).await
    }
}

/// The obvious way: the keys that count, the least recently used first.
struct Model {
    capacity: usize,
    keys: Vec<String>,
}

impl Model {
    /// Puts the key last; whether it was not there.
    fn board(&mut self, key: &str) -> bool {
        let known = self.drop(key);
        self.keys.push(key.to_owned());
        !known
    }

    fn drop(&mut self, key: &str) -> bool {
        let at = self.keys.iter().position(|known| known == key);
        at.map(|at| self.keys.remove(at)).is_some()
    }

    /// What has to go: the log must have it next.
    fn make_room(&mut self, log: &mut impl Iterator<Item = Asked>) -> bool {
        let over = self.keys.len().saturating_sub(self.capacity);
        if over == 0 {
            return true;
        }
        let goes = self.keys[..over].to_vec();
        match log.next() {
            Some(Asked::Remove(keys, done)) if keys == goes => {
                self.keys.drain(..if done { over } else { 0 });
                done
            }
            other => panic!("{goes:?} should be removed now, not {other:?}"),
        }
    }
}

/// One random sequence of operations, beside the model.
fn follows_the_model(seed: u64) {
    let mut dice = Dice(seed);
    let capacity = 1 + dice.roll(6) as usize;
    let logged = Logged::new(seed ^ 99, [0, 5, 40][dice.roll(3) as usize]);
    // Were there before.
    (0..4).for_each(|n| logged.inside.put(&format!("key {n}"), b"before"));
    let lru = LruStorage::over(logged.clone(), capacity);
    let mut model = Model { capacity, keys: Vec::new() };
    for step in 0..200 {
        let key = format!("key {}", dice.roll(12));
        let about = format!("seed {seed}, step {step}, {key}, {:?}", model.keys);
        match dice.roll(7) {
            0..=2 => {
                let set = block_on(lru.set(&key, about.as_bytes(), &Params::new()));
                let mut log = logged.log().into_iter();
                let is_new = model.board(&key);
                let has_room = model.make_room(&mut log);
                let done = has_room && log.next() == Some(Asked::Set(key.clone(), true));
                if !done && is_new {
                    model.drop(&key);
                }
                assert_eq!((set.is_ok(), log.next()), (done, None), "{about}");
                if done {
                    let found = logged.inside.look(&key);
                    assert_eq!(found.as_deref(), Some(about.as_bytes()), "{about}");
                }
            }
            3 | 4 => {
                let there = logged.inside.look(&key);
                let got = block_on(lru.get(&key));
                let mut log = logged.log().into_iter();
                if log.next() == Some(Asked::Get(key.clone(), true)) {
                    assert_eq!(got.unwrap(), there, "{about}");
                    let keeps =
                        there.is_some() && (!model.board(&key) || model.make_room(&mut log));
                    if !keeps {
                        model.drop(&key);
                    }
                } else {
                    got.unwrap_err();
                }
                assert_eq!(log.next(), None, "{about}");
            }
            5 => logged.inside.take(&key), // at the end of its lifetime, say
            _ => {
                let other = format!("key {}", dice.roll(12));
                let removed = block_on(lru.remove(&[&key, &other, &key]));
                let keys = vec![key.clone(), other.clone(), key.clone()];
                assert_eq!(logged.log(), [Asked::Remove(keys, removed.is_ok())], "{about}");
                if removed.is_ok() {
                    model.drop(&key);
                    model.drop(&other);
                }
            }
        }
        assert_eq!(lru.len(), model.keys.len(), "{about}");
        assert!(lru.len() <= capacity, "{about}");
        let counted = |key: &String| model.keys.contains(key);
        let uncounted = logged.inside.keys().into_iter().filter(|key| !counted(key));
        assert!(uncounted.into_iter().all(|key| logged.inside.look(&key).unwrap() == b"before"));
    }
}

#[test]
fn any_sequence_follows_the_model() {
    let first = std::env::var("GECASO_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in first.map_or(0..rounds(400) as u64, |seed| seed..seed + 1) {
        follows_the_model(seed);
    }
}

fn set(lru: &impl Storage, key: &str) {
    block_on(lru.set(key, key.as_bytes(), &Params::new())).unwrap();
}

#[test]
fn with_capacity_0_nothing_is_kept() {
    let inside = Elsewhere::new();
    inside.put("a", b"before");
    inside.put("b", b"before");
    let lru = LruStorage::over(inside.clone(), 0);
    assert_eq!(block_on(lru.get("a")).unwrap(), None);
    set(&lru, "a");
    assert_eq!(inside.keys(), ["b"], "what is there is old");
    block_on(lru.remove(&["b"])).unwrap();
    assert_eq!((inside.len(), lru.len(), lru.capacity()), (0, 0, 0));
}

#[test]
fn what_gecaso_keeps_for_itself_does_not_count() {
    let inside = Elsewhere::new();
    let hex = "0123456789abcdef0123456789abcdef";
    for capacity in [0, 1] {
        let lru = LruStorage::over(inside.clone(), capacity);
        let epochs = [format!("{hex}_epoch"), "users/v0/epoch".to_owned()];
        for epoch in &epochs {
            set(&lru, epoch);
            set(&lru, &format!("{hex}_{hex}"));
            set(&lru, "users/v0(7)");
            assert!(block_on(lru.get(epoch)).unwrap().is_some());
            assert_eq!(lru.len(), capacity);
        }
        set(&lru, "users/v0(8)");
        assert!(epochs.iter().all(|epoch| inside.look(epoch).is_some()));
        assert_eq!(inside.len(), 2 + capacity);
        block_on(lru.remove(&[&epochs[0], "users/v0(8)"])).unwrap();
        assert_eq!(inside.keys(), [&*epochs[1]]);
    }
}

/// Does its work between two polls, and answers at the third: so a test decides what comes between.
#[derive(Clone)]
struct Stepped {
    inside: Elsewhere,
    /// Fails from now on, having done its work all the same or not.
    fails: Arc<AtomicBool>,
    dice: Arc<Mutex<Dice>>,
}

impl Stepped {
    fn new(seed: u64) -> Self {
        let dice = Arc::new(Mutex::new(Dice(seed)));
        Stepped { inside: Elsewhere::new(), fails: Arc::default(), dice }
    }

    async fn step(&self) {
        let mut polled = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut polled, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }

    async fn before(&self) -> Result<()> {
        self.step().await;
        match self.fails.load(SeqCst) && self.dice.lock().unwrap().roll(3) == 0 {
            true => Err("made to fail".into()),
            false => Ok(()),
        }
    }
}

impl Storage for Stepped {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.before().await?;
        let found = self.inside.get(key).await;
        self.step().await;
        found
    }

    async fn set(&self, key: &str, value: &[u8], params: &Params) -> Result<()> {
        self.before().await?;
        let done = self.inside.set(key, value, params).await;
        self.step().await;
        done
    }

    async fn remove(&self, keys: &[&str]) -> Result<()> {
        self.before().await?;
        let done = self.inside.remove(keys).await;
        self.step().await;
        done
    }
}

/// Sets so many new keys, one after the other; then they are all there is, or somebody is out of
/// the bound.
fn nothing_is_out_of_the_bound<S: Storage>(lru: &LruOver<S>, inside: &Elsewhere, about: &str) {
    let fresh: Vec<String> = (0..lru.capacity()).map(|n| format!("~fresh {n}")).collect();
    fresh.iter().for_each(|key| set(lru, key));
    assert_eq!(inside.keys(), fresh, "{about}");
    assert_eq!(lru.len(), fresh.len(), "{about}");
}

/// Operations that run at once, at most.
const AT_ONCE: usize = 5;

/// Several operations at once, polled in a random order and now and then dropped.
fn is_bounded_under_any_interleaving(seed: u64) {
    let mut dice = Dice(seed);
    let capacity = 1 + dice.roll(4) as usize;
    let stepped = Stepped::new(seed);
    stepped.fails.store(dice.roll(2) == 0, SeqCst);
    let drops = dice.roll(2) == 0;
    let lru = LruStorage::over(stepped.clone(), capacity);
    let mut running: Vec<Driven<'_, ()>> = Vec::new();
    let mut left = 60;
    let mut dropped = 0;
    while left > 0 || !running.is_empty() {
        if left > 0 && running.len() < AT_ONCE && dice.roll(3) == 0 {
            left -= 1;
            let keys: Vec<String> = (0..2).map(|_| format!("key {}", dice.roll(7))).collect();
            let what = dice.roll(7);
            let lru = &lru;
            let operation = async move {
                let key = &*keys[0];
                let _ = match what {
                    0..=3 => lru.set(key, b"value", &Params::new()).await,
                    4 | 5 => lru.get(key).await.map(drop),
                    _ => lru.remove(&[key, &*keys[1]]).await,
                };
            };
            running.push(Driven::new(operation));
        }
        if running.is_empty() {
            continue;
        }
        let at = dice.roll(running.len() as u64) as usize;
        let ends = match drops && dice.roll(20) == 0 {
            true => {
                dropped += 1;
                true
            }
            false => running[at].poll().is_ready(),
        };
        if ends {
            drop(running.swap_remove(at));
        }
        // Who runs may have one entry too many, and rely on a removal by another one who runs.
        let most = capacity + if running.is_empty() { 0 } else { 2 * AT_ONCE };
        let (len, fails) = (stepped.inside.len(), stepped.fails.load(SeqCst));
        assert!(fails || dropped > 0 || len <= most, "seed {seed}: {len} entries of {capacity}");
    }
    stepped.fails.store(false, SeqCst);
    // What failed or was dropped is made good by the next set.
    set(&lru, "~last");
    assert!(stepped.inside.len() <= capacity, "seed {seed}: {:?}", stepped.inside.keys());
    nothing_is_out_of_the_bound(&lru, &stepped.inside, &format!("seed {seed}"));
}

#[test]
fn nothing_is_out_of_the_bound_whatever_interleaves_fails_or_is_dropped() {
    let first = std::env::var("GECASO_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in first.map_or(0..rounds(3_000) as u64, |seed| seed..seed + 1) {
        is_bounded_under_any_interleaving(seed);
    }
}

#[test]
fn once_quiet_no_more_are_there_than_the_capacity() {
    let inside = Elsewhere::new();
    let slow = Chaos::new(inside.clone()).seed(5);
    let slow = slow.delays(0.5, Duration::ZERO..=Duration::from_micros(100));
    let lru = LruStorage::over(slow.clone(), 8);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let lru = lru.clone();
            scope.spawn(move || {
                let mut dice = Dice(thread);
                for _ in 0..rounds(300) {
                    let key = format!("key {}", dice.roll(20));
                    match dice.roll(4) {
                        0 => drop(block_on(lru.get(&key)).unwrap()),
                        1 => block_on(lru.remove(&[&key])).unwrap(),
                        _ => set(&lru, &key),
                    }
                }
            });
        }
    });
    assert!(slow.counts().delays > 100);
    assert!(inside.len() <= 8 && lru.len() <= 8, "{} and {}", inside.len(), lru.len());
    nothing_is_out_of_the_bound(&lru, &inside, "4 threads");
}

#[test]
fn a_set_that_is_dropped_keeps_its_place() {
    let stepped = Stepped::new(0);
    let lru = LruStorage::over(stepped.clone(), 1);
    let params = Params::new();
    let mut dropped = Driven::new(lru.set("a", b"value", &params));
    dropped.pends();
    dropped.pends();
    assert!(stepped.inside.look("a").is_some(), "it has taken effect");
    dropped.cancel();
    assert_eq!(lru.len(), 1);
    set(&lru, "b");
    assert_eq!(stepped.inside.keys(), ["b"]);
}

#[test]
fn a_key_that_is_being_set_is_not_evicted_under_it() {
    let stepped = Stepped::new(0);
    let lru = LruStorage::over(stepped.clone(), 1);
    let params = Params::new();
    let mut first = Driven::new(lru.set("a", b"value", &params));
    first.pends();
    set(&lru, "b");
    assert_eq!((stepped.inside.keys(), lru.len()), (vec!["b".to_owned()], 2));
    while first.poll().is_pending() {}
    assert_eq!((stepped.inside.len(), lru.len()), (1, 1));
}

#[test]
fn a_look_up_that_saw_nothing_does_not_forget_what_was_set_meanwhile() {
    let stepped = Stepped::new(0);
    let lru = LruStorage::over(stepped.clone(), 2);
    let mut looks = Driven::new(lru.get("a"));
    looks.pends();
    looks.pends(); // has looked, and not answered yet
    set(&lru, "a");
    assert_eq!(looks.ready().unwrap(), None);
    assert_eq!(lru.len(), 1);
}

#[test]
fn a_place_that_cannot_be_made_is_an_error_that_says_so() {
    let chaos =
        Chaos::new(Elsewhere::new()).errors(1.0).only(&[gecaso::testing::Operation::Remove]);
    let lru = LruStorage::over(chaos.clone(), 1);
    set(&lru, "a");
    let refused = block_on(lru.set("b", b"value", &Params::new())).unwrap_err().to_string();
    assert!(refused.contains("the least recently used could not be removed"), "{refused}");
    // What is known needs no room.
    set(&lru, "a");
    assert_eq!((lru.len(), chaos.inner().look("b")), (1, None));
    chaos.heal();
    set(&lru, "b");
    assert_eq!(chaos.inner().keys(), ["b"]);
}
