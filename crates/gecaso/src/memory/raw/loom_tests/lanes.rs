//! Lanes, holds and limbo: nobody reads what has been dropped, neither entries nor arrays; and what
//! nobody reads is dropped.

use super::{check, spawn};
use crate::memory::entry::{Entry, Stored};
use crate::memory::lifetimes::Life;
use crate::memory::policy::AnyPolicy;
use crate::memory::raw::modelled::Watched;
use crate::memory::raw::shard::Reading;
use crate::memory::raw::{About, First, Found, Held, Part, Writing};
use crate::memory::removal::RemovalCause;
use crate::sync::atomic::{AtomicBool as Said, Ordering};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

const HASH: u64 = 8 << 56;
const KEY: usize = 1;

/// A value that has to be dropped: loom is told of each look at it and of its end.
struct Value {
    watched: Arc<Watched>,
    dropped: Arc<AtomicBool>,
}

impl Drop for Value {
    fn drop(&mut self) {
        self.watched.end();
        self.dropped.store(true, SeqCst);
    }
}

type Values = Part<usize, Value>;

fn part<V>(drops: bool) -> Part<usize, V> {
    let about = About { drops, expected: 0, weighs: false };
    Part::new(1, about, || AnyPolicy::None)
}

fn insert<V>(part: &Part<usize, V>, stored: Stored<usize, V>) {
    part.lock(0).insert(HASH, Life::ENDLESS, 1, 0, stored);
}

/// A part with one value, and what says that this was dropped.
fn with_value() -> (Arc<Values>, Arc<AtomicBool>) {
    let (part, dropped) = (Arc::new(part(true)), Arc::new(AtomicBool::new(false)));
    insert(&part, value(dropped.clone()));
    (part, dropped)
}

fn value(dropped: Arc<AtomicBool>) -> Stored<usize, Value> {
    let value = Value { watched: Arc::new(Watched::new()), dropped };
    Stored::Shared(Arc::new(Entry { key: KEY, value }))
}

/// What the lock is for, and then whatever nobody reads any more is dropped; whether that is all.
fn under_lock(part: &Values, change: fn(&mut Writing<'_, usize, Value>)) -> bool {
    let mut gone = Vec::new();
    let mut shard = part.lock(0);
    change(&mut shard);
    let settled = shard.settle(&mut |stored, _| gone.push(stored));
    drop(shard);
    settled
}

fn remove(shard: &mut Writing<'_, usize, Value>) {
    let found = shard.find(HASH, false, false, |found| found.entry().key == KEY);
    let slot = found.expect("it is there").id();
    shard.remove(slot, RemovalCause::Invalidated);
}

/// A hit.
fn stay(part: &Values) {
    let reading = part.read(HASH).expect("a lane of its own");
    let First::Found(found) = reading.first(HASH, false, false, |entry| entry.key == KEY) else {
        return;
    };
    found.entry().value.watched.read();
    reading.count_hit();
}

#[test]
fn what_is_removed_is_dropped_when_nobody_is_inside() {
    check(|| {
        let (part, _) = with_value();
        let shared = part.clone();
        let reader = spawn(0, move || stay(&shared));
        under_lock(&part, remove);
        reader.join().unwrap();
    });
}

/// The writer may meet the second stay alone, and must see what the first one did.
#[test]
fn a_stay_after_another_says_that_the_other_is_over() {
    check(|| {
        let (part, _) = with_value();
        let shared = part.clone();
        let reader = spawn(0, move || {
            stay(&shared);
            stay(&shared);
        });
        under_lock(&part, remove);
        reader.join().unwrap();
    });
}

#[test]
fn what_is_replaced_is_dropped_when_nobody_is_inside() {
    check(|| {
        let (part, _) = with_value();
        let shared = part.clone();
        let reader = spawn(0, move || stay(&shared));
        under_lock(&part, |shard| {
            let new = value(Arc::default());
            let found = shard.find(HASH, false, false, |found| found.entry().key == KEY);
            let slot = found.expect("it is there").id();
            shard.replace(slot, Life::ENDLESS, 1, 0, new, RemovalCause::Replaced);
        });
        reader.join().unwrap();
    });
}

/// What one could not drop, since somebody was inside, the next one does.
#[test]
fn who_comes_later_drops_what_was_left() {
    check(|| {
        let (part, _) = with_value();
        let (shared, other) = (part.clone(), part.clone());
        let reader = spawn(0, move || stay(&shared));
        let later = spawn(1, move || {
            under_lock(&other, |_| {});
        });
        under_lock(&part, remove);
        reader.join().unwrap();
        later.join().unwrap();
    });
}

/// Reads what is held, lets go of it, and drops it if somebody waits for that.
fn lend(part: &Values, held: Option<Held<'_, usize, Value>>) {
    let Some(held) = held else { return };
    held.value.watched.read();
    drop(held);
    if part.waits(0) {
        under_lock(part, |_| {});
    }
}

/// What is held is not dropped; and whoever comes last, the writer or who held it, drops it.
fn held_while_removed(
    hold: for<'a> fn(&'a Values, Reading<'a, usize, Value>) -> Option<Held<'a, usize, Value>>,
) {
    check(move || {
        let (part, dropped) = with_value();
        let shared = part.clone();
        let reader = spawn(0, move || {
            let reading = shared.read(HASH).expect("a lane of its own");
            lend(&shared, hold(&shared, reading));
        });
        let settled = under_lock(&part, remove);
        reader.join().unwrap();
        assert!(dropped.load(SeqCst) || !settled, "nobody has dropped it");
    });
}

#[test]
fn what_is_held_is_dropped_by_who_comes_last() {
    held_while_removed(|_, reading| {
        match reading.first(HASH, false, false, |entry| entry.key == KEY) {
            First::Found(found) => reading.hold(&found),
            _ => None,
        }
    });
}

#[test]
fn what_is_held_under_the_lock_is_dropped_by_who_comes_last() {
    held_while_removed(|part, reading| {
        let shard = part.lock(0);
        let is = |found: &Found<'_, usize, Value>| found.entry().key == KEY;
        shard.find(HASH, false, false, is).and_then(|found| reading.hold(&found))
    });
}

/// Who sees what is held now, where something else was held before, sees that this was let go.
#[test]
fn what_was_held_before_something_else_is_dropped_when_it_was_let_go() {
    check(|| {
        let (part, _) = with_value();
        let address = std::ptr::from_ref(&*part).addr();
        let shared = part.clone();
        let reader = spawn(0, move || {
            let reading = shared.read(HASH).expect("a lane of its own");
            let held = match reading.first(HASH, false, false, |entry| entry.key == KEY) {
                First::Found(found) => reading.hold(&found),
                _ => None,
            };
            drop(reading);
            lend(&shared, held);
            // Anything: only that it is another address matters.
            drop(shared.lanes.enter().expect("a lane of its own").hold(address));
        });
        under_lock(&part, remove);
        reader.join().unwrap();
    });
}

// Arrays.

type Numbers = Part<usize, usize>;

fn number(key: usize) -> Stored<usize, usize> {
    Stored::Inline(Entry { key, value: !key })
}

/// Whether a key is found, if that can be told at once.
fn look(part: &Numbers, key: usize) -> Option<bool> {
    let reading = part.read(HASH).expect("a lane of its own");
    let found = reading.find(HASH, true, false, |found| found.entry().key == key);
    let found = found.ok()?;
    if let Some(found) = &found {
        assert_eq!(found.entry().value, !key);
    }
    Some(found.is_some())
}

fn settle(part: &Numbers) {
    part.lock(0).settle(&mut |_, _| {});
}

#[test]
fn an_array_that_was_outgrown_is_read_until_all_have_left() {
    check(|| {
        let part = Arc::new(part(false));
        (0..4).for_each(|key| insert(&part, number(key)));
        let before = part.lock(0).buckets();
        let shared = part.clone();
        let reader = spawn(0, move || assert_eq!(look(&shared, KEY), Some(true)));
        insert(&part, number(4));
        assert!(part.lock(0).buckets() > before, "it has grown");
        settle(&part);
        reader.join().unwrap();
    });
}

#[test]
fn an_array_that_was_cleared_is_read_until_all_have_left() {
    check(|| {
        let part = Arc::new(part(false));
        insert(&part, number(KEY));
        let shared = part.clone();
        let reader = spawn(0, move || {
            let _ = look(&shared, KEY);
        });
        part.lock(0).clear(&mut |_, _| {});
        insert(&part, number(KEY));
        settle(&part);
        reader.join().unwrap();
    });
}

/// Who knows that it is there finds it, whatever array it came into.
#[test]
fn what_is_known_to_be_there_is_found() {
    for entries in [0, 1, 4] {
        check(move || {
            let part = Arc::new(part(false));
            (0..entries).for_each(|key| insert(&part, number(100 + key)));
            let (shared, known) = (part.clone(), Arc::new(Said::new(false)));
            let said = known.clone();
            let reader = spawn(0, move || {
                let known = said.load(Ordering::Acquire);
                let found = look(&shared, KEY);
                assert!(!known || found == Some(true), "it is there");
            });
            insert(&part, number(KEY));
            known.store(true, Ordering::Release);
            reader.join().unwrap();
        });
    }
}
