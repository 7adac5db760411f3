//! What functions may ask of a storage in this process beside its bound: lifetimes that hits
//! prolong, weights, a listener, removal by a predicate.

use super::world::{Colliding, Label, Loaded, Stamped, World};
use super::{pick, scenarios, switch};
use crate::memory::RemovalCause;
use crate::storage::{IntoTier, Tier};
use crate::time::Clock;
use crate::{Cache, CacheBuilder, Lifetime, LruStorage, ManualClock, MemoryStorage};
use shuttle::thread::scope;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

scenarios![
    a_weight_is_never_exceeded,
    a_heavier_value_makes_room_among_foreign_entries,
    every_entry_is_told_once,
    a_listener_calls_the_cache,
    an_idle_entry_is_prolonged_and_never_too_long,
    what_a_predicate_chooses_is_gone,
    entries_that_move_are_met,
    reclaiming_beside_everything_else,
];

const SECOND: Duration = Duration::from_secs(1);

/// A storage of either kind, bounded by weight.
enum Weighted {
    Lru(LruStorage),
    Memory(MemoryStorage),
}

impl Weighted {
    fn new(max_weight: usize) -> Self {
        let clock = ManualClock::new();
        match pick(2) {
            0 => Weighted::Lru(LruStorage::weighted(max_weight).with_clock(&clock)),
            _ => Weighted::Memory(MemoryStorage::weighted(max_weight).with_clock(&clock)),
        }
    }

    fn tier<K: Label, V: Stamped>(&self) -> Tier<K, V> {
        match self {
            Weighted::Lru(storage) => storage.into_tier(),
            Weighted::Memory(storage) => storage.into_tier(),
        }
    }

    fn weight_at_once(&self) -> usize {
        match self {
            Weighted::Lru(storage) => storage.len_at_once(),
            Weighted::Memory(storage) => storage.len_at_once(),
        }
    }
}

/// Of two versions of a value one is heavier than the other; some are too heavy for anything.
fn weighing<K: Label, V: Stamped>(storage: &Weighted) -> World<K, V> {
    let weigh = |_: &K, value: &V| match value.number() {
        9 => 100,
        number => 1 + (number + value.version() / 2) as usize % 3,
    };
    World::built(Cache::builder().storage(storage.tier()).weigher(weigh))
}

fn a_weight_is_never_exceeded() {
    let storage = Weighted::new(4);
    let one = weighing::<u32, u64>(&storage);
    let two = weighing::<Colliding, Loaded>(&storage);
    scope(|s| {
        s.spawn(|| (one.call(1), two.call(1), one.insert(1), one.call(9)));
        s.spawn(|| (two.insert(2), one.call(2), two.invalidate(1), two.insert(2)));
        s.spawn(|| (one.refresh(1), one.insert(9), two.call(2), one.clear()));
        s.spawn(|| {
            for _ in 0..6 {
                let weight = storage.weight_at_once();
                assert!(weight <= 4, "{weight} in a storage of 4");
                switch();
            }
        });
    });
    assert!(one.look(9).is_none(), "too heavy");
    one.settle(1..10);
    two.settle(1..1);
}

fn a_heavier_value_makes_room_among_foreign_entries() {
    let storage = Weighted::new(3);
    let world = weighing::<Colliding, Loaded>(&storage);
    scope(|s| {
        for number in [1, 2, 1] {
            let world = &world;
            s.spawn(move || (world.insert(number), world.insert(number), world.call(number)));
        }
    });
    world.settle(1..3);
}

/// What was put in and is not there any more: how often each was told.
type Book = Arc<Mutex<BTreeMap<(u32, u32), u32>>>;

fn telling<K: Label, V: Stamped>(book: &Book, builder: CacheBuilder<K, V>) -> World<K, V> {
    let book = book.clone();
    World::built(builder.on_removal(move |_, value: &V, _| {
        *book.lock().unwrap().entry((value.number(), value.version())).or_default() += 1;
    }))
}

fn every_entry_is_told_once() {
    let book = Book::default();
    let clock = ManualClock::new();
    let storage = MemoryStorage::bounded(2).with_clock(&clock);
    let world = telling::<u32, u64>(&book, Cache::builder().storage(&storage).ttl(SECOND * 2));
    scope(|s| {
        s.spawn(|| (world.insert(1), world.insert(2), world.insert(3)));
        s.spawn(|| (world.insert(2), world.invalidate(2), clock.advance(SECOND), world.insert(1)));
        s.spawn(|| (world.insert(3), world.clear(), world.invalidate_if(|_| true)));
        s.spawn(|| (clock.advance(SECOND), storage.reclaim()));
    });
    let there: Vec<_> =
        world.cache.iter().map(|(_, value)| (value.number(), value.version())).collect();
    world.clear();
    let book = book.lock().unwrap();
    assert!(book.values().all(|&times| times == 1), "each once: {book:?}");
    assert!(there.iter().all(|stamp| book.contains_key(stamp)), "{there:?} in {book:?}");
    // An insertion that is replaced at once is told as well: six were made, all of them are gone.
    assert_eq!(book.len(), 6, "{book:?}");
    drop(book);
    world.settle(1..4);
}

fn a_listener_calls_the_cache() {
    use std::sync::OnceLock;
    let inside: Arc<OnceLock<std::sync::Weak<World<Colliding, Loaded>>>> = Arc::default();
    let world = inside.clone();
    let storage = LruStorage::new(1).with_clock(&ManualClock::new());
    let builder = Cache::builder().storage(&storage);
    let listens = move |_: &Colliding, value: &Loaded, cause: RemovalCause| {
        let Some(world) = world.get().and_then(std::sync::Weak::upgrade) else { return };
        match cause {
            RemovalCause::Evicted => drop(world.look(value.number())),
            _ if value.number() < 3 => drop(world.call(value.number() + 2)),
            _ => {}
        }
    };
    let world = Arc::new(World::built(builder.on_removal(listens)));
    inside.set(Arc::downgrade(&world)).ok().expect("once");
    // A listener may call while others run the same body.
    world.allow(8);
    scope(|s| {
        s.spawn(|| (world.call(1), world.call(2)));
        s.spawn(|| (world.call(2), world.invalidate(1)));
        s.spawn(|| (world.insert(1), world.clear()));
    });
    world.settle(1..5);
}

/// Who has hit an entry finds it for two seconds from then, and nobody finds it two seconds after
/// the last hit, or four after it came.
fn an_idle_entry_is_prolonged_and_never_too_long() {
    let clock = ManualClock::new();
    let now = || Clock::Manual(clock.clone()).now();
    let storage = MemoryStorage::bounded(4).with_clock(&clock);
    let cache: Cache<u32, u64> = Cache::builder()
        .storage(&storage)
        .lifetime(|_, _| Lifetime::new().ttl(SECOND * 4).tti(SECOND * 2))
        .build();
    cache.insert(1, 7);
    // The last moment at which somebody may have hit it.
    let last = Mutex::new(0);
    let hit = || {
        let begun = now();
        let until = *last.lock().unwrap() + 2_000_000_000;
        let found = cache.get(&1).is_some();
        let ended = now();
        if found {
            let mut last = last.lock().unwrap();
            *last = begun.max(*last);
        } else {
            assert!(ended >= until.min(4_000_000_000), "gone at {ended}, not before {until}");
        }
    };
    scope(|s| {
        s.spawn(|| (hit(), hit(), hit()));
        s.spawn(|| (hit(), hit()));
        s.spawn(|| (0..3).for_each(|_| clock.advance(SECOND)));
        s.spawn(|| (storage.reclaim(), cache.insert(2, 8)));
    });
    hit();
    clock.advance(SECOND * 2);
    assert_eq!(cache.get(&1), None);
    storage.reclaim();
    assert!(cache.len() <= 1, "{}", cache.len());
    cache.near.check();
}

fn what_a_predicate_chooses_is_gone() {
    let world = World::<Colliding, Loaded>::of(4);
    let plain = World::<u32, u64>::of(4);
    scope(|s| {
        s.spawn(|| (world.call(1), plain.call(1), world.call(2)));
        s.spawn(|| (plain.call(1), plain.insert(2), world.call(1)));
        s.spawn(|| {
            // All values of the source are old now, and nothing tells which those are.
            plain.invalidate_if(|_| true);
            world.invalidate_if(|_| true);
            plain.call(1);
            world.call(1);
        });
    });
    world.settle(1..3);
    plain.settle(1..3);
}

/// A shard that shrinks moves its entries while others go through it.
fn entries_that_move_are_met() {
    let storage = MemoryStorage::unbounded().with_clock(&ManualClock::new());
    let cache: Cache<u32, u64> = Cache::new(&storage);
    (0..12).for_each(|key| drop(cache.insert(key, 1)));
    scope(|s| {
        s.spawn(|| (0..11).for_each(|key| drop(cache.invalidate(&key))));
        s.spawn(|| {
            assert!(cache.iter().any(|(key, _)| key == 11), "it was there all the time");
        });
        s.spawn(|| cache.invalidate_if(|_, _| false));
    });
    cache.invalidate_if(|_, _| true);
    assert_eq!(cache.len(), 0);
    cache.near.check();
}

fn reclaiming_beside_everything_else() {
    let clock = ManualClock::new();
    let storage = Arc::new(LruStorage::new(3).with_clock(&clock));
    let brief = World::<u32, u64>::built(Cache::builder().storage(&*storage).ttl(SECOND));
    let idle = World::<Colliding, Loaded>::built(Cache::builder().storage(&*storage).tti(SECOND));
    scope(|s| {
        s.spawn(|| (brief.call(1), idle.call(1), brief.call(2)));
        s.spawn(|| (idle.call(1), clock.advance(SECOND), idle.call(2), brief.invalidate(1)));
        s.spawn(|| (storage.reclaim(), brief.clear(), storage.reclaim()));
    });
    clock.advance(SECOND);
    storage.reclaim();
    assert_eq!(storage.len(), 0);
    brief.settle(1..3);
    idle.settle(1..1);
}
