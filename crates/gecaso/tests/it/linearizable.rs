//! Real threads, short histories, and an exhaustive search for an order that explains each of them:
//! the cache behaves like one register per key, that may forget where there are too few places.
//!
//! A history is what three threads did with one key: `get`, `get_with`, `insert`, `invalidate` and
//! `clear`, each with the moments when it began and ended. `GECASO_HISTORIES=n` sets how many are
//! checked for each storage.

use crate::event::Dice;
use crate::storages::Storage;
use gecaso::{Cache, MemoryStorage};
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

const THREADS: usize = 3;
const CALLS_PER_THREAD: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Call {
    /// Found this.
    Get(Option<u32>),
    /// Would have loaded the first, returned the second.
    GetWith(u32, u32),
    Insert(u32),
    Invalidate,
    Clear,
}

/// A call, and when it began and ended.
#[derive(Clone, Copy, Debug)]
struct Event {
    key: u64,
    call: Call,
    began: u64,
    ended: u64,
}

/// What the register may hold after a call that found it holding `state`; `None` if the call cannot
/// have happened then.
fn step(state: Option<u32>, call: Call) -> Option<Option<u32>> {
    match call {
        Call::Get(found) => (found == state).then_some(state),
        Call::GetWith(new, returned) => match state {
            Some(held) => (returned == held).then_some(state),
            None => (returned == new).then_some(Some(new)),
        },
        Call::Insert(value) => Some(Some(value)),
        Call::Invalidate | Call::Clear => Some(None),
    }
}

/// Whether some order of these calls on one key, each at a moment between its begin and its end,
/// explains what they returned.
fn is_explained(events: &[Event], may_forget: bool) -> bool {
    fn search(
        events: &[Event],
        may_forget: bool,
        done: u32,
        state: Option<u32>,
        seen: &mut HashSet<(u32, Option<u32>)>,
    ) -> bool {
        if done.count_ones() as usize == events.len() {
            return true;
        }
        if !seen.insert((done, state)) {
            return false;
        }
        if may_forget && state.is_some() && search(events, may_forget, done, None, seen) {
            return true;
        }
        let open = || (0..events.len()).filter(|at| done & 1 << at == 0);
        let first_end = open().map(|at| events[at].ended).min().unwrap_or(u64::MAX);
        open().filter(|&at| events[at].began <= first_end).any(|at| {
            step(state, events[at].call)
                .is_some_and(|next| search(events, may_forget, done | 1 << at, next, seen))
        })
    }
    search(events, may_forget, 0, None, &mut HashSet::new())
}

/// The calls that concern a key; a clear concerns all.
fn of_key(events: &[Event], key: u64) -> Vec<Event> {
    let concerns = |event: &&Event| event.call == Call::Clear || event.key == key;
    events.iter().filter(concerns).copied().collect()
}

/// Runs histories on a storage, two at once, and checks each; how many had calls side by side.
fn run(name: &str, storage: &Storage, may_forget: bool, histories: usize, seed: u64) -> usize {
    let cache: Cache<u64, u32> = storage.cache();
    let moment = AtomicU64::new(0);
    let (ready, go, done) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let results: [Mutex<Vec<Event>>; THREADS] = Default::default();
    let mut side_by_side = 0;
    std::thread::scope(|scope| {
        for (thread, result) in results.iter().enumerate() {
            let (cache, moment) = (&cache, &moment);
            let (ready, go, done) = (&ready, &go, &done);
            scope.spawn(move || {
                let mut dice = Dice(seed << 8 | thread as u64);
                for history in 1..=histories {
                    let mut events = Vec::with_capacity(CALLS_PER_THREAD);
                    ready.fetch_add(1, SeqCst);
                    while go.load(SeqCst) < history {
                        std::thread::yield_now();
                    }
                    for call in 0..CALLS_PER_THREAD {
                        // Two keys of its own for each history, so that it begins with nothing.
                        let key = 2 * history as u64 + dice.roll(2);
                        let new = (thread * CALLS_PER_THREAD + call) as u32;
                        let kind = dice.roll(10);
                        let began = moment.fetch_add(1, SeqCst);
                        let call = match kind {
                            0 | 1 => Call::Get(cache.get(&key)),
                            2..6 => {
                                let body = || {
                                    if new.is_multiple_of(2) {
                                        std::thread::yield_now();
                                    }
                                    new
                                };
                                Call::GetWith(new, cache.get_with(&key, body))
                            }
                            6 => drop_then(cache.insert(key, new), Call::Insert(new)),
                            9 => drop_then(cache.clear(), Call::Clear),
                            _ => drop_then(cache.invalidate(&key), Call::Invalidate),
                        };
                        let ended = moment.fetch_add(1, SeqCst);
                        events.push(Event { key, call, began, ended });
                    }
                    *result.lock().unwrap() = events;
                    done.fetch_add(1, SeqCst);
                }
            });
        }
        for history in 1..=histories {
            while ready.load(SeqCst) < history * THREADS {
                std::thread::yield_now();
            }
            go.store(history, SeqCst);
            while done.load(SeqCst) < history * THREADS {
                std::thread::yield_now();
            }
            let events: Vec<_> =
                results.iter().flat_map(|one| one.lock().unwrap().clone()).collect();
            for key in [2 * history as u64, 2 * history as u64 + 1] {
                let events = of_key(&events, key);
                let overlap = |a: &Event, b: &Event| a.began < b.ended && b.began < a.ended;
                let pair = |(at, a): (usize, &Event)| events[..at].iter().any(|b| overlap(a, b));
                side_by_side += usize::from(events.iter().enumerate().any(pair));
                if !is_explained(&events, may_forget) {
                    go.store(usize::MAX, SeqCst);
                    panic!("no order explains this, on {name}: {events:#?}");
                }
            }
        }
    });
    side_by_side
}

fn drop_then(_: gecaso::Receipt, call: Call) -> Call {
    call
}

fn histories() -> usize {
    let wanted = std::env::var("GECASO_HISTORIES").ok().and_then(|n| n.parse().ok());
    wanted.unwrap_or(34_000)
}

fn check(name: &str, storage: &Storage, may_forget: bool) {
    let histories = crate::event::rounds(histories());
    let side_by_side = run(name, storage, may_forget, histories / 2, histories as u64);
    println!("{name}: {histories} histories, in {side_by_side} of them calls ran side by side");
    assert!(side_by_side > histories / 50, "only {side_by_side} had calls side by side");
}

#[test]
fn a_storage_with_places_enough_is_a_register() {
    check("MemoryStorage, unbounded", &Storage::Memory(MemoryStorage::unbounded()), false);
}

#[test]
fn an_lru_storage_with_one_place_is_a_register_that_may_forget() {
    let [_, lru] = Storage::each(1);
    check("LruStorage, one place", &lru, true);
}

#[test]
fn a_memory_storage_with_one_place_is_a_register_that_may_forget() {
    let [memory, _] = Storage::each(1);
    check("MemoryStorage, one place", &memory, true);
}

#[test]
fn the_search_finds_what_cannot_be_explained() {
    let event = |call, began, ended| Event { key: 0, call, began, ended };
    let explained = |events: &[Event]| is_explained(events, false);
    // One after the other: what was invalidated is not found any more.
    let stale = [
        event(Call::Insert(1), 0, 1),
        event(Call::Invalidate, 2, 3),
        event(Call::Get(Some(1)), 4, 5),
    ];
    assert!(!explained(&stale));
    assert!(!is_explained(&stale, true), "what was forgotten does not come back");
    // Side by side, it may be.
    let beside = [stale[0], event(Call::Invalidate, 2, 5), stale[2]];
    assert!(explained(&beside));
    // A load that began before the invalidation, given to a call that began after it.
    let older = [
        event(Call::GetWith(1, 1), 0, 7),
        event(Call::Invalidate, 1, 2),
        event(Call::GetWith(2, 2), 3, 4),
        event(Call::GetWith(3, 1), 5, 6),
    ];
    assert!(!explained(&older));
    // Forgetting explains a miss, and nothing else does.
    let forgot = [event(Call::Insert(1), 0, 1), event(Call::Get(None), 2, 3)];
    assert!(!explained(&forgot));
    assert!(is_explained(&forgot, true));
    // A value that nobody brought.
    assert!(!is_explained(&[event(Call::Get(Some(9)), 0, 1)], true));
}
