//! The README of the Python library that this one descends from, sentence by sentence: what it
//! promised holds in Rust. `docs/from-python.md` is the page; each of its rows names a test of this
//! file.

use crate::event::Count;
use crate::runtime;
use gecaso::{
    Cache, Far, LruStorage, ManualClock, MemoryStorage, Param, Params, Result, Storage, cached,
    pack, unpack,
};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

/// "Lets say that we want to have a simple in-memory cache": the three methods, in the README's
/// order, with the README's remarks.
#[derive(Clone, Default)]
struct LocalMemoryStorage {
    storage: Arc<Mutex<HashMap<String, Vec<u8>>>>, // a map is a nice basic storage of data
}

impl Storage for LocalMemoryStorage {
    async fn set(&self, key: &str, value: &[u8], _: &Params) -> Result<()> {
        // We don't want any additional parameters.
        self.storage.lock().unwrap().insert(key.to_owned(), value.to_vec());
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        // If the key is not present this is `None`.
        Ok(self.storage.lock().unwrap().get(key).cloned())
    }

    async fn remove(&self, keys: &[&str]) -> Result<()> {
        for key in keys {
            // Not going to fail if some of the keys do not exist.
            self.storage.lock().unwrap().remove(*key);
        }
        Ok(())
    }
}

impl LocalMemoryStorage {
    /// Keys of results; gecaso keeps a record of its own beside them.
    fn keys(&self) -> Vec<String> {
        let is_result = |key: &&String| !key.ends_with("epoch");
        self.storage.lock().unwrap().keys().filter(is_result).cloned().collect()
    }
}

/// Keeps what every operation was told.
#[derive(Clone, Default)]
struct Told {
    inside: LocalMemoryStorage,
    sets: Arc<Mutex<Vec<(String, Params)>>>,
    removed: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Storage for Told {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.inside.get(key).await
    }

    async fn set(&self, key: &str, value: &[u8], params: &Params) -> Result<()> {
        self.sets.lock().unwrap().push((key.to_owned(), params.clone()));
        self.inside.set(key, value, params).await
    }

    async fn remove(&self, keys: &[&str]) -> Result<()> {
        let keys_told = keys.iter().map(|key| key.to_string()).collect();
        self.removed.lock().unwrap().push(keys_told);
        self.inside.remove(keys).await
    }
}

/// What the README's function returns.
fn slept(time_to_sleep: u64) -> String {
    format!("I have slept for {time_to_sleep} second(s)!")
}

#[test]
fn a_default_storage_with_a_bound_and_a_lifetime() {
    static CLOCK: LazyLock<ManualClock> = LazyLock::new(ManualClock::new);

    #[cached(LruStorage::new(16).with_clock(&CLOCK), ttl = 100)]
    fn long_and_boring_function(time_to_sleep: u64) -> String {
        slept(time_to_sleep)
    }

    for round in 0..2 {
        for n in 0..16 {
            assert_eq!(long_and_boring_function(n), slept(n), "round {round}");
        }
    }
    assert_eq!(long_and_boring_function::stats().loads, 16);
    long_and_boring_function(16);
    assert_eq!(long_and_boring_function::peek(0), None, "the least recently used is gone");
    assert_eq!(long_and_boring_function::stats().entries, 16);

    CLOCK.advance(Duration::from_secs(100) - Duration::from_nanos(1));
    assert!(long_and_boring_function::peek(16).is_some());
    CLOCK.advance(Duration::from_nanos(1));
    assert_eq!(long_and_boring_function::peek(16), None);
}

#[test]
fn a_storage_of_ones_own_is_made_step_by_step() {
    static LOCAL_STORAGE: LazyLock<LocalMemoryStorage> = LazyLock::new(Default::default);

    #[cached(&LOCAL_STORAGE)]
    fn foo(bar: u64) -> String {
        slept(bar)
    }

    assert_eq!((foo(1), foo(1)), (slept(1), slept(1)));
    assert_eq!((foo::stats().loads, foo::stats().hits), (1, 1));
    assert_eq!(LOCAL_STORAGE.keys().len(), 1);
}

#[test]
fn one_storage_is_given_to_the_attribute_whenever_it_is_used() {
    static LOCAL_STORAGE: LazyLock<LocalMemoryStorage> = LazyLock::new(Default::default);

    #[cached(&LOCAL_STORAGE)]
    fn foo(bar: u64) -> String {
        slept(bar)
    }

    #[cached(&LOCAL_STORAGE)]
    async fn baz(bar: u64) -> Option<Vec<f64>> {
        Some(vec![bar as f64; 3])
    }

    for _ in 0..2 {
        assert_eq!(foo(1), slept(1));
        assert_eq!(pollster::block_on(baz(1)), Some(vec![1.0; 3]));
    }
    assert_eq!((foo::stats().loads, baz::stats().loads), (1, 1));
    assert_eq!(LOCAL_STORAGE.keys().len(), 2);
    foo::clear().wait().unwrap();
    assert_eq!((foo::peek(1), baz::peek(1)), (None, Some(Some(vec![1.0; 3]))));
}

#[test]
fn any_synchronous_or_asynchronous_function_on_any_loop() {
    static STORAGE: LazyLock<LocalMemoryStorage> = LazyLock::new(Default::default);
    static BODIES: LazyLock<Count> = LazyLock::new(Count::new);

    #[cached(&STORAGE)]
    fn synchronous(n: u64) -> String {
        BODIES.up();
        slept(n)
    }

    #[cached(&STORAGE)]
    async fn asynchronous(n: u64) -> String {
        BODIES.up();
        slept(n)
    }

    assert_eq!(synchronous(1), slept(1), "with no loop at all");
    for runtime in runtime::ALL {
        runtime.run(async {
            assert_eq!(synchronous(1), slept(1), "{runtime:?}");
            assert_eq!(asynchronous(1).await, slept(1), "{runtime:?}");
        });
    }
    assert_eq!(BODIES.now(), 2, "what one loop has stored, the others find");
}

#[test]
fn extra_parameters_reach_every_set() {
    static STORAGE: LazyLock<Told> = LazyLock::new(Default::default);

    #[cached(&STORAGE, params(some_additional_cool_param = "Hell yeah!"))]
    fn synchronous(n: u64) -> String {
        slept(n)
    }

    #[cached(&STORAGE, ttl = 100, params(some_additional_cool_param = "Hell yeah!", retries = 3))]
    async fn asynchronous(n: u64) -> String {
        slept(n)
    }

    for n in 0..3 {
        synchronous(n);
        pollster::block_on(asynchronous(n));
    }
    synchronous::insert(7, slept(7)).wait().unwrap();
    synchronous::refresh(7);
    let sets = STORAGE.sets.lock().unwrap();
    let results = || sets.iter().filter(|(key, _)| !key.ends_with("_epoch"));
    assert_eq!(results().count(), 3 + 3 + 2);
    for (key, params) in &*sets {
        let said = params.get("some_additional_cool_param");
        assert_eq!(said, Some(&Param::from("Hell yeah!")), "{key}");
    }
    let of_the_second = |params: &Params| params.get("retries") == Some(&Param::Int(3));
    assert_eq!(results().filter(|(_, params)| of_the_second(params)).count(), 3);
    for (key, params) in results() {
        let ttl = of_the_second(params).then_some(Duration::from_secs(100));
        assert_eq!(params.ttl(), ttl, "{key}");
    }
}

#[test]
fn extra_parameters_are_given_by_hand_too() {
    let storage = Told::default();
    let cache: Cache<u64, String> = Cache::builder()
        .storage(storage.clone())
        .name("sleepers")
        .param("some_additional_cool_param", "Hell yeah!")
        .build();
    cache.get_with(&1, || slept(1));
    let sets = storage.sets.lock().unwrap();
    assert!(sets.iter().any(|(key, _)| key.len() == 65));
    let said = |params: &Params| params.get("some_additional_cool_param").cloned();
    assert!(sets.iter().all(|(_, params)| said(params) == Some(Param::from("Hell yeah!"))));
}

#[test]
fn keys_have_65_symbols_unless_they_are_to_be_readable() {
    static STORAGE: LazyLock<LocalMemoryStorage> = LazyLock::new(Default::default);
    static READABLE: LazyLock<LocalMemoryStorage> = LazyLock::new(Default::default);

    #[cached(&STORAGE)]
    fn hashed(text: &str) -> usize {
        text.len()
    }

    #[cached(&READABLE, hash_key = false, name = "lengths")]
    fn readable(text: &str) -> usize {
        text.len()
    }

    for text in ["", "a", "I have slept", &"long".repeat(1_000)] {
        assert_eq!((hashed(text), readable(text)), (text.len(), text.len()));
        assert_eq!((hashed(text), readable(text)), (text.len(), text.len()));
    }
    assert_eq!((hashed::stats().loads, readable::stats().loads), (4, 4));
    let keys = STORAGE.keys();
    assert_eq!(keys.len(), 4);
    for key in keys {
        let (function, arguments) = key.split_once('_').expect("two halves");
        assert_eq!((function.len(), arguments.len()), (32, 32), "{key}");
        assert!((function.to_owned() + arguments).bytes().all(|c| c.is_ascii_hexdigit()), "{key}");
    }
    let keys = READABLE.keys();
    assert!(keys.contains(&r#"lengths/v0("I have slept")"#.to_owned()), "{keys:?}");
    assert!(keys.iter().all(|key| key.len() <= 200), "{keys:?}");
}

#[test]
fn a_key_that_is_not_present_is_a_miss_and_no_error() {
    let far = Far::new(LocalMemoryStorage::default());
    let cache: Cache<u64, String> = Cache::builder().storage(far.clone()).name("users").build();
    assert_eq!(cache.get(&1), None);
    assert_eq!(pollster::block_on(cache.get_async(&1)), None);
    assert_eq!(cache.get_with(&1, || slept(1)), slept(1));
    assert_eq!(cache.get(&1), Some(slept(1)));
    assert_eq!((far.stats().misses, far.stats().hits, far.stats().errors), (3, 1, 0));
}

#[test]
fn remove_deletes_every_key_that_exists() {
    static STORAGE: LazyLock<Told> = LazyLock::new(Default::default);

    #[cached(&STORAGE)]
    fn foo(n: u64) -> String {
        slept(n)
    }

    (0..3).for_each(|n| drop(foo(n)));
    foo::invalidate(1).wait().unwrap();
    foo::invalidate(9).wait().expect("a key that is not there is no error");
    assert_eq!(STORAGE.inside.keys().len(), 2);
    assert_eq!(STORAGE.removed.lock().unwrap().len(), 2);
    assert_eq!((foo::peek(0), foo::peek(1)), (Some(slept(0)), None));

    // By the storage itself: as many as you like, whether they are there or not.
    let keys = STORAGE.inside.keys();
    let keys: Vec<&str> = keys.iter().map(|key| &**key).chain(["not there"]).collect();
    pollster::block_on(STORAGE.remove(&keys)).unwrap();
    assert_eq!(STORAGE.inside.keys().len(), 0);
    assert_eq!(foo(0), slept(0));
    assert_eq!(foo::stats().loads, 4);
}

#[test]
fn pack_makes_bytes_of_almost_anything_and_unpack_gives_it_back_with_its_parameters() {
    let value = (slept(1), vec![Some(1.5), None], HashMap::from([(b'a', ())]));
    let params = Params::new().with_ttl(Duration::from_secs(100)).with("cool", true);
    let bytes: Vec<u8> = pack(&value, &params).unwrap();
    let (data, told) = unpack::<(String, Vec<Option<f64>>, HashMap<u8, ()>)>(&bytes).unwrap();
    assert_eq!((data, told), (value, params));
    assert!(unpack::<String>(&bytes).is_err(), "not what was packed");
    assert!(unpack::<String>(b"never packed").is_err());
}

/// As the README's storages did it: what a storage gets may be packed once more, and unpacked.
#[derive(Clone, Default)]
struct PackedOnceMore(LocalMemoryStorage);

impl Storage for PackedOnceMore {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let Some(bytes) = self.0.get(key).await? else { return Ok(None) };
        let (value, _params) = unpack(&bytes)?;
        Ok(Some(value))
    }

    async fn set(&self, key: &str, value: &[u8], params: &Params) -> Result<()> {
        let bytes = pack(&value.to_vec(), params)?;
        self.0.set(key, &bytes, params).await
    }

    async fn remove(&self, keys: &[&str]) -> Result<()> {
        self.0.remove(keys).await
    }
}

#[test]
fn a_storage_may_pack_what_it_gets() {
    let storage = PackedOnceMore::default();
    let cache: Cache<u64, String> =
        Cache::builder().storage(storage.clone()).name("users").param("cool", 1).build();
    assert_eq!(cache.get_with(&1, || slept(1)), slept(1));
    assert_eq!(cache.get_with(&1, || unreachable!("a hit")), slept(1));
    let key = storage.0.keys().pop().expect("one key");
    let bytes = pollster::block_on(storage.0.get(&key)).unwrap().expect("it is there");
    assert_eq!(unpack::<Vec<u8>>(&bytes).unwrap().1.get("cool"), Some(&Param::Int(1)));

    // Somebody else's bytes in its place: what it cannot unpack is a miss.
    pollster::block_on(storage.0.set(&key, b"never packed", &Params::new())).unwrap();
    assert_eq!(cache.get_with(&1, || slept(1)), slept(1));
    assert_eq!(cache.stats().loads, 2);
}

#[test]
fn memory_is_the_default_storage() {
    #[cached]
    fn foo(n: u64) -> String {
        slept(n)
    }

    #[cached(MemoryStorage::unbounded())]
    fn bar(n: u64) -> String {
        slept(n)
    }

    for n in [1, 2, 1, 2] {
        assert_eq!((foo(n), bar(n)), (slept(n), slept(n)));
    }
    for stats in [foo::stats(), bar::stats()] {
        assert_eq!((stats.loads, stats.hits, stats.entries), (2, 2, 2));
    }
}

#[test]
fn any_storage_can_be_wrapped_for_least_recently_used() {
    static INSIDE: LazyLock<LocalMemoryStorage> = LazyLock::new(Default::default);

    #[cached(LruStorage::over(INSIDE.clone(), 2))]
    fn foo(n: u64) -> String {
        slept(n)
    }

    foo(1);
    foo(2);
    assert_eq!(foo(1), slept(1)); // so the least recently used is 2
    foo(3);
    assert_eq!(INSIDE.keys().len(), 2);
    assert_eq!([1, 2, 3].map(foo::peek), [Some(slept(1)), None, Some(slept(3))]);
    assert_eq!(foo::stats().loads, 3);
}

#[test]
fn a_lifetime_counts_in_any_storage() {
    static CLOCK: LazyLock<ManualClock> = LazyLock::new(ManualClock::new);

    #[cached(Far::new(LocalMemoryStorage::default()).with_clock(&CLOCK), ttl = 100)]
    fn foo(n: u64) -> String {
        slept(n)
    }

    foo(1);
    CLOCK.advance(Duration::from_secs(99));
    assert_eq!(foo::peek(1), Some(slept(1)));
    CLOCK.advance(Duration::from_secs(1));
    assert_eq!(foo::peek(1), None);
    assert_eq!((foo(1), foo::stats().far.expired), (slept(1), 2));
}
