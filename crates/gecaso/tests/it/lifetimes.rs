//! Lifetimes that hits prolong, lifetimes of single entries, and what becomes of entries whose time
//! is over, on a clock that only the test moves.

use crate::event::rounds;
use crate::storages::Storage;
use gecaso::{Cache, CacheBuilder, Lifetime, ManualClock, MemoryStorage, NearKey, Value};
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const NANO: Duration = Duration::from_nanos(1);

/// A value whose clone is foreign code, so that hits are noted apart from the look.
type Foreign = Arc<Box<u8>>;

fn idle<K: NearKey, V: Value>(storage: &Storage) -> CacheBuilder<K, V> {
    storage.builder().tti(128 * SECOND)
}

#[test]
fn an_entry_that_is_asked_for_stays_and_one_that_is_not_goes() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 8) {
        let cache: Cache<u8, u8> = idle(&storage).build();
        let foreign: Cache<u8, Foreign> = idle(&storage).build();
        cache.insert(1, 1);
        cache.insert(2, 2);
        foreign.insert(1, Foreign::default());
        for step in 0..10 {
            clock.advance(100 * SECOND);
            let hit = match step % 3 {
                0 => cache.get(&1),
                1 => Some(cache.get_with(&1, || unreachable!())),
                _ => Some(pollster::block_on(cache.get_with_async(&1, async { unreachable!() }))),
            };
            assert_eq!(hit, Some(1), "{storage:?}");
            assert!(foreign.get(&1).is_some(), "{storage:?}");
            assert_eq!(cache.peek(&2), (step == 0).then_some(2), "{storage:?}");
        }
        clock.advance(128 * SECOND);
        assert_eq!((cache.get(&1), foreign.get(&1)), (None, None), "{storage:?}");
    }
}

#[test]
fn a_peek_does_not_prolong_and_a_replacement_does() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 8) {
        let cache: Cache<u8, u8> = idle(&storage).build();
        for key in [1, 2, 3] {
            cache.insert(key, key);
        }
        clock.advance(100 * SECOND);
        cache.peek(&1);
        cache.insert(2, 22);
        cache.refresh(&3, || 33);
        clock.advance(100 * SECOND);
        assert_eq!([cache.get(&1), cache.get(&2), cache.get(&3)], [None, Some(22), Some(33)]);
    }
}

/// A hit is noted in steps of a 128th: an entry may go by so much too early, never too late.
#[test]
fn an_idle_entry_goes_at_most_a_step_too_early_and_never_too_late() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 8) {
        for after in [SECOND / 2, SECOND, SECOND + NANO, 64 * SECOND] {
            let cache: Cache<u8, u8> = idle(&storage).build();
            cache.insert(1, 1);
            clock.advance(after);
            assert_eq!(cache.get(&1), Some(1));
            clock.advance(127 * SECOND - NANO);
            assert_eq!(cache.peek(&1), Some(1), "{after:?} after it came, {storage:?}");
            clock.advance(SECOND + NANO);
            assert_eq!(cache.peek(&1), None, "{after:?} after it came, {storage:?}");
        }
    }
}

#[test]
fn of_both_lifetimes_the_one_that_ends_first_counts() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 8) {
        let cache: Cache<u8, u8> = idle(&storage).ttl(300 * SECOND).build();
        cache.insert(1, 1);
        cache.insert(2, 2);
        for _ in 0..2 {
            clock.advance(100 * SECOND);
            assert_eq!(cache.get(&1), Some(1));
        }
        assert_eq!(cache.get(&2), None, "idle too long");
        clock.advance(100 * SECOND - NANO);
        assert_eq!(cache.get(&1), Some(1));
        clock.advance(NANO);
        assert_eq!(cache.get(&1), None, "lived too long");
    }
}

#[test]
fn an_idle_time_of_zero_stores_nothing_and_one_of_ages_never_ends() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 8) {
        let never: Cache<u8, u8> = storage.builder().tti(Duration::ZERO).build();
        never.insert(1, 1);
        assert_eq!((never.get_with(&1, || 2), never.get(&1)), (2, None));
        let forever: Cache<u8, u8> = storage.builder().tti(Duration::MAX).build();
        forever.insert(1, 1);
        clock.advance(Duration::from_secs(86_400 * 365 * 100));
        assert_eq!(forever.get(&1), Some(1));
    }
}

#[test]
fn an_entry_has_the_lifetime_that_its_key_and_value_say() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 8) {
        let rule = |key: &u8, value: &u8| match key {
            0 => Lifetime::new(), // as the cache says
            9 => Lifetime::new().ttl(Duration::MAX),
            _ => Lifetime::new().ttl(u32::from(*value) * SECOND),
        };
        let cache: Cache<u8, u8> = storage.builder().ttl(5 * SECOND).lifetime(rule).build();
        cache.get_with(&1, || 2);
        cache.insert(2, 7);
        pollster::block_on(cache.get_with_async(&0, async { 1 }));
        cache.insert(9, 1);
        let fresh = |keys: [u8; 4]| keys.map(|key| cache.peek(&key).is_some());
        assert_eq!(fresh([1, 2, 0, 9]), [true; 4]);
        clock.advance(2 * SECOND);
        assert_eq!(fresh([1, 2, 0, 9]), [false, true, true, true], "{storage:?}");
        clock.advance(3 * SECOND);
        assert_eq!(fresh([1, 2, 0, 9]), [false, true, false, true], "{storage:?}");
        clock.advance(2 * SECOND);
        assert_eq!(fresh([1, 2, 0, 9]), [false, false, false, true], "{storage:?}");
        clock.advance(1_000_000 * SECOND);
        assert_eq!(cache.peek(&9), Some(1));
    }
}

#[test]
fn a_value_whose_lifetime_is_zero_answers_and_is_not_stored() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 8) {
        let rule = |_: &u8, value: &u8| Lifetime::new().ttl(u32::from(*value) * SECOND);
        let cache: Cache<u8, u8> = storage.builder().ttl(Duration::ZERO).lifetime(rule).build();
        assert_eq!((cache.get_with(&1, || 0), cache.peek(&1)), (0, None));
        assert_eq!((cache.get_with(&1, || 3), cache.peek(&1)), (3, Some(3)), "the rule says so");
        assert_eq!((cache.refresh(&1, || 0), cache.peek(&1)), (0, Some(3)), "as if not wanted");
        cache.insert(1, 0);
        assert_eq!(cache.peek(&1), None, "what was there is not true any more");
    }
}

#[test]
fn what_is_inserted_may_have_a_time_to_live_of_its_own() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 8) {
        let rule = |_: &u8, _: &u8| Lifetime::new().ttl(100 * SECOND);
        let cache: Cache<u8, u8> = storage.builder().ttl(5 * SECOND).lifetime(rule).build();
        cache.insert_with_ttl(1, 1, SECOND);
        cache.insert_with_ttl(2, 2, 9 * SECOND);
        cache.insert(3, 3);
        clock.advance(SECOND);
        assert_eq!([1, 2, 3].map(|key| cache.get(&key)), [None, Some(2), Some(3)]);
        clock.advance(8 * SECOND);
        assert_eq!([1, 2, 3].map(|key| cache.get(&key)), [None, None, Some(3)]);
        cache.insert_with_ttl(3, 4, Duration::ZERO);
        assert_eq!(cache.get(&3), None);
    }
}

#[test]
fn reclaim_removes_what_has_expired_of_all_functions_and_nothing_else() {
    let clock = ManualClock::new();
    let unbounded = Storage::Memory(MemoryStorage::unbounded().with_clock(&clock));
    let [memory, lru] = Storage::each_on(&clock, 20_000);
    for storage in [memory, lru, unbounded] {
        let (token, lasting_token) = (Arc::new(()), Arc::new(()));
        let short: Cache<u32, Arc<()>> = storage.builder().ttl(SECOND).build();
        let idle: Cache<String, Arc<()>> = storage.builder().tti(2 * SECOND).build();
        let lasting: Cache<u32, Arc<()>> = storage.cache();
        for key in 0..5_000 {
            short.insert(key, token.clone());
            idle.insert(key.to_string(), token.clone());
            lasting.insert(key, lasting_token.clone());
        }
        assert_eq!(storage.reclaim(), 0);
        clock.advance(SECOND);
        assert_eq!((storage.reclaim(), storage.len()), (5_000, 10_000), "{storage:?}");
        (0..1_000).for_each(|key: u32| assert!(idle.get(&key.to_string()).is_some()));
        clock.advance(SECOND);
        assert_eq!((storage.reclaim(), storage.len()), (4_000, 6_000), "{storage:?}");
        clock.advance(2 * SECOND);
        assert_eq!((storage.reclaim(), storage.len()), (1_000, 5_000), "{storage:?}");
        assert_eq!((Arc::strong_count(&token), Arc::strong_count(&lasting_token)), (1, 5_001));
        let expirations = [short.stats().expirations, idle.stats().expirations];
        assert_eq!((expirations, short.stats().entries), ([5_000; 2], 0));
    }
}

/// One function stores one key again and again; what others left behind goes nevertheless.
#[test]
fn insertions_reclaim_what_has_expired_in_other_shards_and_of_other_functions() {
    let clock = ManualClock::new();
    let unbounded = Storage::Memory(MemoryStorage::unbounded().with_clock(&clock));
    let [memory, lru] = Storage::each_on(&clock, 20_000);
    for storage in [memory, lru, unbounded] {
        let idle: Cache<u32, u32> = storage.builder().ttl(SECOND).build();
        let busy: Cache<u32, u32> = storage.builder().ttl(SECOND).build();
        (0..5_000).for_each(|key| drop(idle.insert(key, key)));
        clock.advance(SECOND);
        (0..5_000).for_each(|_| drop(busy.insert(1, 1)));
        assert_eq!((idle.stats().entries, storage.len()), (0, 1), "{storage:?}");
    }
}

/// A step: on which key, what, and two spans in nanoseconds.
#[derive(Clone, Debug)]
enum Step {
    Insert(u8, u64, u64),
    Load(u8, u64, u64),
    Get(u8),
    Peek(u8),
    Invalidate(u8),
    Advance(u64),
    Reclaim,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..6_u8;
    // Below 128 nanoseconds every hit is noted, so the model is exact.
    let span = || prop_oneof![3 => 1..128_u64, 1 => Just(u64::MAX)];
    let step = prop_oneof![
        3 => (key.clone(), span(), span()).prop_map(|(key, ttl, tti)| Step::Insert(key, ttl, tti)),
        3 => (key.clone(), span(), span()).prop_map(|(key, ttl, tti)| Step::Load(key, ttl, tti)),
        4 => key.clone().prop_map(Step::Get),
        2 => key.clone().prop_map(Step::Peek),
        1 => key.prop_map(Step::Invalidate),
        4 => prop_oneof![1..64_u64, Just(1_000_000)].prop_map(Step::Advance),
        1 => Just(Step::Reclaim),
    ];
    proptest::collection::vec(step, 1..200)
}

/// What is known of an entry: its value, and when it ends at last and if nobody asks.
struct Known {
    value: (u64, u64),
    until: u64,
    ends: u64,
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: rounds(150) as u32, failure_persistence: None, ..Default::default()
    })]

    /// Values say how long they live.
    #[test]
    fn lifetimes_are_those_of_an_obvious_model(steps in steps(), which in 0..2_usize) {
        let (clock, mut now) = (ManualClock::new(), 0_u64);
        let storage = Storage::each_on(&clock, 16)[which].clone();
        let nanos = Duration::from_nanos;
        let cache: Cache<u8, (u64, u64)> = storage
            .builder()
            .lifetime(move |_, &(ttl, tti)| Lifetime::new().ttl(nanos(ttl)).tti(nanos(tti)))
            .build();
        let mut model: HashMap<u8, Known> = HashMap::new();
        let known = |now: u64, ttl: u64, tti: u64| {
            let until = now.saturating_add(ttl);
            Known { value: (ttl, tti), until, ends: until.min(now.saturating_add(tti)) }
        };
        let get = |model: &mut HashMap<u8, Known>, now: u64, key: u8| {
            let found = model.get_mut(&key).filter(|known| now < known.ends)?;
            found.ends = found.until.min(now.saturating_add(found.value.1));
            Some(found.value)
        };
        for step in steps {
            match step {
                Step::Insert(key, ttl, tti) => {
                    cache.insert(key, (ttl, tti));
                    model.insert(key, known(now, ttl, tti));
                }
                Step::Load(key, ttl, tti) => {
                    let got = cache.get_with(&key, || (ttl, tti));
                    let wanted = get(&mut model, now, key).unwrap_or_else(|| {
                        model.insert(key, known(now, ttl, tti));
                        (ttl, tti)
                    });
                    prop_assert_eq!(got, wanted);
                }
                Step::Get(key) => prop_assert_eq!(cache.get(&key), get(&mut model, now, key)),
                Step::Peek(key) => {
                    let wanted = model.get(&key).filter(|known| now < known.ends);
                    prop_assert_eq!(cache.peek(&key), wanted.map(|known| known.value));
                }
                Step::Invalidate(key) => {
                    cache.invalidate(&key);
                    model.remove(&key);
                }
                Step::Advance(by) => {
                    clock.advance(nanos(by));
                    now += by;
                }
                Step::Reclaim => {
                    storage.reclaim();
                    model.retain(|_, known| now < known.ends);
                    prop_assert_eq!(storage.len(), model.len());
                }
            }
        }
    }
}

#[cfg(feature = "far")]
mod far {
    use super::{Duration, SECOND};
    use crate::scripted::Scripted;
    use gecaso::{Cache, Far, Lifetime};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn a_far_storage_is_told_the_lifetime_of_each_entry() {
        let storage = Scripted::new();
        let cache: Cache<u8, u8> = Cache::builder()
            .storage(Far::new(storage.clone()))
            .name("lifetimes")
            .ttl(60 * SECOND)
            .lifetime(|key, value: &u8| match key {
                1 => Lifetime::new(),
                _ => Lifetime::new().ttl(u32::from(*value) * SECOND),
            })
            .build();
        assert_eq!(cache.get_with(&1, || 1), 1);
        assert_eq!(cache.get_with(&2, || 2), 2);
        cache.insert(3, 3).wait().unwrap();
        cache.insert_with_ttl(4, 4, 44 * SECOND).wait().unwrap();
        assert_eq!(cache.get_with(&5, || 0), 0);
        storage.sets.wait_for(4);
        let mut told: Vec<_> =
            storage.told.lock().unwrap().iter().filter_map(|(_, params)| params.ttl()).collect();
        told.sort_unstable();
        assert_eq!(told, [2, 3, 44, 60].map(Duration::from_secs));
        assert_eq!(cache.get_with(&5, || 5), 5, "it was not stored");
    }

    #[test]
    fn what_a_far_storage_cannot_do_is_refused() {
        let build = |tti: bool| {
            let builder = Cache::<u8, u8>::builder().storage(Far::new(Scripted::new())).name("no");
            let builder = if tti { builder.tti(SECOND) } else { builder.on_removal(|_, _, _| ()) };
            let built = catch_unwind(AssertUnwindSafe(|| drop(builder.build())));
            built.expect_err("a panic").downcast_ref::<String>().expect("a text").clone()
        };
        for tti in [true, false] {
            assert!(build(tti).contains("are for storages in this process"), "{}", build(tti));
        }
    }
}
