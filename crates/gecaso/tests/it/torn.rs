//! Threads that read, change, remove and lend the same few entries at once: a value that is found
//! is one that was put in for this key, whole, and is not dropped as long as it is looked at.
//!
//! Each value says whose it is and checks itself. `GECASO_SEED=n` begins with other dice;
//! `GECASO_STRESS=n` goes on n times as long.

use crate::event::{Dice, rounds};
use gecaso::{Cache, LruStorage, ManualClock, MemoryStorage, Value};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const THREADS: u64 = 4;
const STEPS: usize = 4_000;
/// A phase in which entries come is followed by one in which they go: arrays grow and shrink.
const PHASE: usize = 500;
const KEYS: u64 = 700;

/// A value that was made for a key, and can be told from any other's and from a mixture.
trait Whole: Value {
    fn made(key: u64, nonce: u64) -> Self;
    /// Whether it is one that was made for this key.
    fn is_of(&self, key: u64) -> bool;
}

fn mixed(key: u64, nonce: u64) -> u64 {
    (key ^ nonce.rotate_left(17)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Lies in its place, in several words.
impl Whole for [u8; 32] {
    fn made(key: u64, nonce: u64) -> Self {
        let words = [key, nonce, mixed(key, nonce), !nonce];
        let mut bytes = [0; 32];
        for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    fn is_of(&self, key: u64) -> bool {
        let nonce = u64::from_le_bytes(self[8..16].try_into().unwrap());
        *self == Self::made(key, nonce)
    }
}

/// As above, and aligned to more than a word.
impl Whole for u128 {
    fn made(key: u64, nonce: u64) -> Self {
        let nonce = nonce as u32;
        u128::from(mixed(key, nonce.into())) << 64
            | u128::from(key as u32) << 32
            | u128::from(nonce)
    }

    fn is_of(&self, key: u64) -> bool {
        *self == Self::made(key, u64::from(*self as u32))
    }
}

/// Lies elsewhere, and is cloned by who reads it.
impl Whole for String {
    fn made(key: u64, nonce: u64) -> Self {
        format!("{key} {nonce} {}", mixed(key, nonce))
    }

    fn is_of(&self, key: u64) -> bool {
        let nonce = self.split(' ').nth(1).and_then(|nonce| nonce.parse().ok());
        nonce.is_some_and(|nonce| *self == Self::made(key, nonce))
    }
}

/// Says so when it is dropped: its clones and comparisons are foreign code, so it is lent.
struct Watched([AtomicU64; 3]);

impl Watched {
    fn is(&self, key: u64) -> bool {
        let [found, nonce, mixture] = self.0.each_ref().map(|word| word.load(Relaxed));
        found == key && mixture == mixed(key, nonce)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.iter().for_each(|word| word.store(u64::MAX, Relaxed));
    }
}

impl Clone for Watched {
    fn clone(&self) -> Self {
        Watched(self.0.each_ref().map(|word| AtomicU64::new(word.load(Relaxed))))
    }
}

impl Whole for Watched {
    fn made(key: u64, nonce: u64) -> Self {
        Watched([key, nonce, mixed(key, nonce)].map(AtomicU64::new))
    }

    fn is_of(&self, key: u64) -> bool {
        self.is(key) && {
            std::thread::yield_now();
            self.is(key)
        }
    }
}

/// A few hashes for all keys: long ways through the buckets.
#[derive(Default)]
struct Few(u64);

impl Hasher for Few {
    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, n: u64) {
        self.0 = n % 5;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

struct Scene<V: Value> {
    name: &'static str,
    cache: Cache<u64, V>,
    clock: ManualClock,
}

/// What is read in all the ways that lead by a lock, and in those that do not.
/// The listener counts what is wrong.
fn scenes<V: Whole>(wrong: &Arc<AtomicU64>) -> Vec<Scene<V>> {
    let on = |name, build: &dyn Fn(&ManualClock) -> Cache<u64, V>| {
        let clock = ManualClock::new();
        Scene { name, cache: build(&clock), clock }
    };
    let few = BuildHasherDefault::<Few>::default;
    let second = Duration::from_secs(1);
    vec![
        on("unbounded", &|clock| Cache::new(MemoryStorage::unbounded().with_clock(clock))),
        on("bounded, entries that end", &|clock| {
            let storage = MemoryStorage::bounded(100).with_clock(clock);
            Cache::builder().storage(storage).ttl(5 * second).tti(second).build()
        }),
        on("few hashes, a listener", &|clock| {
            let storage = MemoryStorage::bounded(300).with_clock(clock);
            // What a listener panics with goes nowhere.
            let told = wrong.clone();
            let look = move |key: &u64, value: &V, _| {
                told.fetch_add(u64::from(!value.is_of(*key)), Relaxed);
            };
            Cache::builder().storage(storage).hasher(few()).on_removal(look).build()
        }),
        on("in order of use", &|clock| Cache::new(LruStorage::new(100).with_clock(clock))),
    ]
}

/// One of the things that can happen.
fn step<V: Whole>(scene: &Scene<V>, dice: &mut Dice, comes: bool) {
    let Scene { name, cache, clock } = scene;
    // One key of all threads, and others.
    let key = if dice.roll(4) == 0 { 0 } else { dice.roll(KEYS) };
    let new = V::made(key, dice.roll(u64::MAX));
    let whole = |value: &V| assert!(value.is_of(key), "not a value of key {key}: {name}");
    match dice.roll(if comes { 40 } else { 100 }) {
        0..12 => cache.get(&key).iter().for_each(whole),
        12..20 => drop(cache.with(&key, whole)),
        20..22 => cache.peek(&key).iter().for_each(whole),
        22..32 => whole(&cache.get_with(&key, || new)),
        32..37 => drop(cache.insert(key, new)),
        37 => drop(cache.insert_with_ttl(key, new, Duration::from_millis(300))),
        38 => clock.advance(Duration::from_millis(50)),
        39 if !comes && dice.roll(20) == 0 => drop(cache.clear()),
        40 => cache.iter().take(20).for_each(|(key, value)| {
            assert!(value.is_of(key), "not a value of key {key}: {name}");
        }),
        41 => drop(cache.invalidate_if(|key, value| {
            assert!(value.is_of(*key), "not a value of key {key}: {name}");
            key % 7 == 3
        })),
        _ => drop(cache.invalidate(&key)),
    }
}

fn run<V: Whole>() {
    let seed: u64 = std::env::var("GECASO_SEED").ok().map_or(1, |seed| seed.parse().unwrap());
    println!("GECASO_SEED={seed}");
    let wrong = Arc::default();
    for scene in scenes::<V>(&wrong) {
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let scene = &scene;
                let mut dice = Dice(seed * THREADS + thread);
                scope.spawn(move || {
                    for at in 0..rounds(STEPS) {
                        step(scene, &mut dice, (at / PHASE).is_multiple_of(2));
                    }
                });
            }
        });
        // A key has one place: what is removed is gone.
        let cache = &scene.cache;
        (0..KEYS).for_each(|key| drop(cache.invalidate(&key)));
        let left: Vec<u64> = cache.iter().map(|(key, _)| key).collect();
        assert!(left.is_empty() && cache.is_empty(), "{left:?} twice: {}", scene.name);
    }
    assert_eq!(wrong.load(Relaxed), 0, "values that a listener was told of");
}

/// Rounds of changes that others read meanwhile.
const CHANGES: usize = 20_000;

/// Nothing but keys of one hash, changed all the time while each reader looks for one of them:
/// nearly every look meets a change, so that whoever believed what it read meanwhile would be told.
fn hot<V: Whole>(keys: [u64; 2], change: impl Fn(&Cache<u64, V>, u64)) {
    let hasher = BuildHasherDefault::<Few>::default();
    let storage = MemoryStorage::unbounded();
    let cache = Cache::<u64, V>::builder().storage(storage).hasher(hasher).build();
    let changed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for key in keys {
            let (cache, changed) = (&cache, &changed);
            scope.spawn(move || {
                while !changed.load(Relaxed) {
                    let found = cache.get(&key);
                    assert!(found.is_none_or(|it| it.is_of(key)), "not a value of key {key}");
                }
            });
        }
        // Whatever becomes of this thread, the others end.
        let _end = OnDrop(|| changed.store(true, Relaxed));
        (0..rounds(CHANGES) as u64).for_each(|round| change(&cache, round));
    });
}

/// One entry has another value each time.
fn replaced<V: Whole>() {
    hot([0, 0], |cache, round| drop(cache.insert(0, V::made(0, round))));
}

/// Two entries take turns in one place.
fn turns<V: Whole>() {
    hot([0, 5], |cache, round| {
        for key in [0, 5] {
            cache.insert(key, V::made(key, round));
            cache.invalidate(&key);
        }
    });
}

/// Runs this when it is dropped.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn a_value_that_is_replaced_all_the_time_is_read_whole() {
    replaced::<[u8; 32]>();
    replaced::<u128>();
    replaced::<String>();
}

#[test]
fn a_place_that_two_entries_have_in_turn_is_read_whole() {
    turns::<[u8; 32]>();
    turns::<u128>();
    turns::<String>();
}

#[test]
fn values_that_lie_in_their_places_are_read_whole() {
    run::<[u8; 32]>();
    run::<u128>();
}

#[test]
fn values_that_lie_elsewhere_are_read_before_they_are_dropped() {
    run::<String>();
    run::<Watched>();
    run::<Arc<Watched>>();
}

impl Whole for Arc<Watched> {
    fn made(key: u64, nonce: u64) -> Self {
        Arc::new(Watched::made(key, nonce))
    }

    fn is_of(&self, key: u64) -> bool {
        Watched::is_of(self, key)
    }
}
