//! Versions and tags: a copy is of one entry, though its words are read one by one.

#![allow(unsafe_code)]

use super::{check, spawn};
use crate::memory::entry::{Entry, Stored};
use crate::memory::lifetimes::Life;
use crate::memory::raw::Found;
use crate::memory::raw::array::{Array, First, tag};
use crate::memory::raw::buckets::{Cell, PLACES};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::time::NEVER;
use std::sync::Arc;

/// Two words that belong together, as does the end of the entry.
type Pair = [usize; 2];
type Pairs = Array<usize, Pair>;

/// Those that are looked for have one tag, so that nothing but the key tells them apart; others
/// have another, and are never looked at. All are at home in the first bucket.
fn hash(key: usize) -> u64 {
    if key < OTHERS { 8 << 56 } else { 16 << 56 }
}

const OTHERS: usize = 50;

fn pair(key: usize, value: usize) -> Stored<usize, Pair> {
    Stored::Inline(Entry { key, value: [value; 2] })
}

fn life(value: usize) -> Life {
    Life { ends: value as u64, until: NEVER, idle: NEVER }
}

fn insert(array: &Pairs, key: usize, value: usize) -> u32 {
    let (cell, inline) = Cell::new(pair(key, value));
    array.insert(hash(key) as u32, tag(hash(key), inline), cell, life(value))
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Looked {
    Found(usize),
    Absent,
    Unsure,
}

/// The value that is found of a key, at the first look or at a longer one.
fn look(array: &Pairs, key: usize, first: bool) -> Looked {
    let whole = |found: Found<'_, usize, Pair>| {
        let [value, same] = found.entry().value;
        assert_eq!(found.entry().key, key);
        assert_eq!(value, same, "a mixture of two values");
        assert_eq!(found.expires(), value as u64, "the end of another value");
        Looked::Found(value)
    };
    // SAFETY: what lies inline is not dropped, and the array outlives all threads.
    unsafe {
        if first {
            match array.first(hash(key), true, true, |entry| entry.key == key) {
                First::Found(found) => whole(found),
                First::Absent => Looked::Absent,
                First::Unsure => Looked::Unsure,
            }
        } else {
            match array.find(hash(key), true, false, |found| found.entry().key == key) {
                Ok(Some(found)) => whole(found),
                Ok(None) => Looked::Absent,
                Err(_) => Looked::Unsure,
            }
        }
    }
}

/// One thread writes while another looks for a key, in either way.
fn written_while_read(
    prepare: fn(&Pairs),
    write: fn(&Pairs),
    (key, expected): (usize, fn(Looked) -> bool),
) {
    for first in [true, false] {
        check(move || {
            let array = Arc::new(Array::new(1));
            prepare(&array);
            let shared = array.clone();
            let reader = spawn(0, move || {
                let looked = look(&shared, key, first);
                assert!(expected(looked), "{looked:?}");
            });
            write(&array);
            reader.join().unwrap();
        });
    }
}

#[test]
fn what_is_replaced_is_found_and_whole() {
    written_while_read(
        |array| assert_eq!(insert(array, 1, 10), 0),
        |array| drop(array.replace(0, pair(1, 20), life(20))),
        (1, |looked| matches!(looked, Looked::Found(10 | 20) | Looked::Unsure)),
    );
}

/// Who does not ask when entries end is not told of one that does.
#[test]
fn what_ends_is_not_taken_for_what_does_not() {
    for replaced in [false, true] {
        check(move || {
            let array = Arc::new(Pairs::new(1));
            let (cell, inline) = Cell::new(pair(1, 10));
            array.insert(hash(1) as u32, tag(hash(1), inline), cell, Life::ENDLESS);
            if !replaced {
                array.remove(0);
            }
            let shared = array.clone();
            let reader = spawn(0, move || {
                // SAFETY: as in `look`.
                match unsafe { shared.first(hash(1), true, false, |entry| entry.key == 1) } {
                    First::Found(found) => assert_eq!(found.entry().value, [10; 2]),
                    First::Absent => assert!(!replaced),
                    First::Unsure => {}
                }
            });
            if replaced {
                array.replace(0, pair(1, 20), life(20));
            } else {
                insert(&array, 1, 20);
            }
            reader.join().unwrap();
        });
    }
}

#[test]
fn what_comes_is_whole() {
    written_while_read(
        |_| {},
        |array| assert_eq!(insert(array, 1, 10), 0),
        (1, |looked| matches!(looked, Looked::Found(10) | Looked::Absent)),
    );
}

fn reuse(array: &Pairs) {
    array.remove(0);
    assert_eq!(insert(array, 2, 20), 0);
}

#[test]
fn a_place_that_another_entry_gets_is_not_read_as_the_first() {
    written_while_read(
        |array| assert_eq!(insert(array, 1, 10), 0),
        reuse,
        (1, |looked| matches!(looked, Looked::Found(10) | Looked::Absent | Looked::Unsure)),
    );
}

#[test]
fn a_place_that_another_entry_gets_is_read_as_the_second() {
    written_while_read(
        |array| assert_eq!(insert(array, 1, 10), 0),
        reuse,
        (2, |looked| matches!(looked, Looked::Found(20) | Looked::Absent | Looked::Unsure)),
    );
}

/// The tags that say that it is there may be those that another change wrote.
#[test]
fn what_comes_before_another_goes_is_whole() {
    written_while_read(
        |array| assert_eq!(insert(array, 1, 10), 0),
        |array| {
            assert_eq!(insert(array, 2, 20), 1);
            array.remove(0);
        },
        (2, |looked| matches!(looked, Looked::Found(20) | Looked::Absent | Looked::Unsure)),
    );
}

/// As above: the count of those that passed is written beside the tags.
#[test]
fn what_fills_a_bucket_that_another_passes_is_whole() {
    check(|| {
        let array = Arc::new(Array::new(8));
        (1..PLACES).for_each(|at| assert!((insert(&array, OTHERS + at, at) as usize) < PLACES));
        let shared = array.clone();
        let reader = spawn(0, move || {
            let looked = look(&shared, 1, true);
            assert!(matches!(looked, Looked::Found(10) | Looked::Absent), "{looked:?}");
        });
        assert_eq!(insert(&array, 1, 10) as usize, PLACES - 1);
        assert_eq!(insert(&array, OTHERS, 0) as usize, PLACES);
        reader.join().unwrap();
    });
}

/// Its home is full: who looks for it has to go on.
#[test]
fn what_comes_away_from_home_is_found_by_who_knows_of_it() {
    check(|| {
        let array = Arc::new(Array::new(8));
        (0..PLACES).for_each(|at| assert_eq!(insert(&array, OTHERS + at, at) as usize, at));
        let (shared, known) = (array.clone(), Arc::new(AtomicBool::new(false)));
        let said = known.clone();
        let reader = spawn(0, move || {
            let known = said.load(Ordering::Acquire);
            let looked = look(&shared, 1, false);
            assert!(looked == Looked::Found(10) || !known && looked == Looked::Absent);
        });
        assert_eq!(insert(&array, 1, 10) as usize, PLACES);
        known.store(true, Ordering::Release);
        reader.join().unwrap();
    });
}

/// Who looks for what lies away from home finds it, whoever else comes and goes there.
#[test]
fn what_stays_away_from_home_is_found() {
    check(|| {
        let array = Arc::new(Array::new(8));
        (0..PLACES).for_each(|at| assert_eq!(insert(&array, OTHERS + at, at) as usize, at));
        assert_eq!(insert(&array, 1, 10) as usize, PLACES);
        let shared = array.clone();
        let reader = spawn(0, move || assert_eq!(look(&shared, 1, false), Looked::Found(10)));
        let second = insert(&array, 2 + OTHERS, 20);
        array.remove(second);
        array.remove(0);
        reader.join().unwrap();
    });
}
