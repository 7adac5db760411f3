//! Real threads, short histories, and an exhaustive search for an order that explains each of them:
//! the cache behaves like one register per key, that may forget where there are too few places.
//! `far_linearizable` has storages outside of the process explained in the same way.
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

/// How good the memory of a register is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Memory {
    /// It holds what came last.
    Exact,
    /// It may forget what it holds, at any time.
    Forgets,
    /// It may miss what it holds for once, and then hold what was loaded since as well: it holds
    /// what came since the last change (an insertion, a removal), and nothing older.
    Wavers,
}

/// What a register holds: a bit for each value that may be found.
type State = u32;

/// What the register may hold after a call that found it holding `state`; `None` if the call cannot
/// have happened then.
fn step(memory: Memory, state: State, call: Call) -> Option<State> {
    let holds = |value: u32| state & 1 << value != 0;
    match call {
        Call::Get(None) => (memory == Memory::Wavers || state == 0).then_some(state),
        Call::Get(Some(found)) => holds(found).then_some(state),
        Call::GetWith(new, returned) if returned == new && !holds(new) => {
            (memory == Memory::Wavers || state == 0).then_some(state | 1 << new)
        }
        Call::GetWith(_, returned) => holds(returned).then_some(state),
        Call::Insert(value) => Some(1 << value),
        Call::Invalidate | Call::Clear => Some(0),
    }
}

/// Whether some order of these calls on one key, each at a moment between its begin and its end,
/// explains what they returned.
fn is_explained(events: &[Event], memory: Memory) -> bool {
    fn search(
        events: &[Event],
        memory: Memory,
        done: u32,
        state: State,
        seen: &mut HashSet<(u32, State)>,
    ) -> bool {
        if done.count_ones() as usize == events.len() {
            return true;
        }
        if !seen.insert((done, state)) {
            return false;
        }
        let forgets = memory == Memory::Forgets && state != 0;
        if forgets && search(events, memory, done, 0, seen) {
            return true;
        }
        let open = || (0..events.len()).filter(|at| done & 1 << at == 0);
        let first_end = open().map(|at| events[at].ended).min().unwrap_or(u64::MAX);
        open().filter(|&at| events[at].began <= first_end).any(|at| {
            step(memory, state, events[at].call)
                .is_some_and(|next| search(events, memory, done | 1 << at, next, seen))
        })
    }
    search(events, memory, 0, 0, &mut HashSet::new())
}

/// The calls that concern a key; a clear concerns all.
fn of_key(events: &[Event], key: u64) -> Vec<Event> {
    let concerns = |event: &&Event| event.call == Call::Clear || event.key == key;
    events.iter().filter(concerns).copied().collect()
}

/// Runs histories on a cache, two at once, and checks each; how many had calls side by side.
fn run(
    name: &str,
    cache: &Cache<u64, u32>,
    memory: Memory,
    histories: usize,
    seed: u64,
    between: impl Fn(),
) -> usize {
    let moment = AtomicU64::new(0);
    let (ready, go, done) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let results: [Mutex<Vec<Event>>; THREADS] = Default::default();
    let mut side_by_side = 0;
    std::thread::scope(|scope| {
        for (thread, result) in results.iter().enumerate() {
            let moment = &moment;
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
                if !is_explained(&events, memory) {
                    go.store(usize::MAX, SeqCst);
                    panic!("no order explains this, on {name}, seed {seed}: {events:#?}");
                }
            }
            between();
        }
    });
    side_by_side
}

fn drop_then(_: gecaso::Receipt, call: Call) -> Call {
    call
}

/// Near, a history takes some microseconds.
const NEAR: usize = 34_000;

/// Checks so many histories on a cache, or as many as the environment says, with `between` run
/// after each.
pub(crate) fn check(
    name: &str,
    cache: &Cache<u64, u32>,
    memory: Memory,
    histories: usize,
    between: impl Fn(),
) {
    let wanted = std::env::var("GECASO_HISTORIES").ok().and_then(|n| n.parse().ok());
    let histories = crate::event::rounds(wanted.unwrap_or(histories));
    let seed = seed(histories as u64);
    let side_by_side = run(name, cache, memory, histories / 2, seed, between);
    println!("{name}: {histories} histories, seed {seed}; {side_by_side} had calls side by side");
    assert!(side_by_side > histories / 50, "only {side_by_side} had calls side by side");
}

/// Where the dice begin: `GECASO_SEED`, or this.
pub(crate) fn seed(otherwise: u64) -> u64 {
    std::env::var("GECASO_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn a_storage_with_places_enough_is_a_register() {
    let cache = Storage::Memory(MemoryStorage::unbounded()).cache();
    check("MemoryStorage, unbounded", &cache, Memory::Exact, NEAR, || ());
}

#[test]
fn an_lru_storage_with_one_place_is_a_register_that_may_forget() {
    let [_, lru] = Storage::each(1);
    check("LruStorage, one place", &lru.cache(), Memory::Forgets, NEAR, || ());
}

#[test]
fn a_memory_storage_with_one_place_is_a_register_that_may_forget() {
    let [memory, _] = Storage::each(1);
    check("MemoryStorage, one place", &memory.cache(), Memory::Forgets, NEAR, || ());
}

#[test]
fn the_search_finds_what_cannot_be_explained() {
    let event = |call, began, ended| Event { key: 0, call, began, ended };
    let explained = |events: &[Event]| is_explained(events, Memory::Exact);
    // One after the other: what was invalidated is not found any more.
    let stale = [
        event(Call::Insert(1), 0, 1),
        event(Call::Invalidate, 2, 3),
        event(Call::Get(Some(1)), 4, 5),
    ];
    assert!(!explained(&stale));
    for memory in [Memory::Forgets, Memory::Wavers] {
        assert!(!is_explained(&stale, memory), "what was removed does not come back");
    }
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
    assert!(is_explained(&forgot, Memory::Forgets));
    // Wavering explains that a loaded value comes back after a later one.
    let back = [
        event(Call::GetWith(1, 1), 0, 1),
        event(Call::GetWith(2, 2), 2, 3),
        event(Call::Get(Some(2)), 4, 5),
        event(Call::Get(Some(1)), 6, 7),
    ];
    assert!(!is_explained(&back, Memory::Forgets));
    assert!(is_explained(&back, Memory::Wavers));
    // A value that nobody brought.
    for memory in [Memory::Exact, Memory::Forgets, Memory::Wavers] {
        assert!(!is_explained(&[event(Call::Get(Some(9)), 0, 1)], memory));
    }
}
