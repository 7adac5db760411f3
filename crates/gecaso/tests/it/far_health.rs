//! How a far storage is left alone and asked again, operation by operation; how often what is owed
//! is repeated; and what is said of it.

use crate::elsewhere::Elsewhere;
use crate::event::{Driven, until};
use crate::scripted::Scripted;
use gecaso::testing::Chaos;
use gecaso::{Cache, Far, LruStorage, ManualClock, Params, Result, Storage};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Between two rounds of the background.
const ROUND: Duration = Duration::from_millis(200);

fn cache(storage: impl Storage) -> Cache<u64, String> {
    Cache::builder().storage(storage).name("names").build()
}

/// What a listener was told.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn of(&self, far: Far) -> Far {
        let lines = self.0.clone();
        far.on_trouble(move |trouble| lines.lock().unwrap().push(trouble.to_string()))
    }

    fn count(&self, text: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|line| line.contains(text)).count()
    }
}

/// A storage that takes no sets, left alone for that; every round of the background asks once.
struct FullDisk {
    storage: Scripted,
    clock: ManualClock,
    log: Log,
    far: Far,
    cache: Cache<u64, String>,
}

impl FullDisk {
    fn new() -> Self {
        let (storage, clock, log) = (Scripted::new(), ManualClock::new(), Log::default());
        let far = log.of(Far::new(storage.clone()).with_clock(&clock));
        let cache = cache(far.clone());
        (0..5).for_each(|key| cache.insert(key, "old".into()).wait().unwrap());
        storage.fails_sets(true);
        (10..15).for_each(|key| drop(cache.get_with(&key, || "body".into())));
        assert!(far.is_given_up());
        FullDisk { storage, clock, log, far, cache }
    }

    /// The background's own are not counted: they may come at any time.
    fn sets_of_calls(&self) -> usize {
        let told = self.storage.told.lock().unwrap();
        told.iter().filter(|(key, _)| !key.contains("probe")).count()
    }

    /// Until the background has begun its next round, and ended all before it.
    fn round(&self) {
        let asked = self.storage.sets.now();
        until(|| {
            self.clock.advance(ROUND);
            self.storage.sets.now() > asked
        });
    }
}

#[test]
fn a_full_disk_takes_no_sets_and_goes_on_with_the_rest() {
    let disk = FullDisk::new();
    for n in 0..20 {
        disk.round();
        let sent = disk.sets_of_calls();
        assert_eq!(disk.cache.get_with(&(100 + n), || "body".into()), "body");
        assert_eq!(disk.sets_of_calls(), sent, "no call tries to set");
        disk.cache.invalidate(&(n % 5)).wait().unwrap();
        assert!(disk.far.is_given_up());
    }
    assert_eq!(disk.storage.entries(), [""; 0], "all removals were done");
    assert_eq!((disk.log.count("failed so often"), disk.log.count("answered again")), (1, 0));

    disk.storage.fails_sets(false);
    until(|| {
        disk.clock.advance(ROUND);
        !disk.far.is_given_up()
    });
    assert_eq!(disk.log.count("`set` is answered again"), 1);
    disk.cache.get_with(&1, || "new".into());
    assert_eq!(disk.cache.get(&1).as_deref(), Some("new"));
    until(|| disk.storage.inner.len() == 2); // the epoch and the entry: no probe is left
}

#[test]
fn asking_for_sets_takes_no_place_in_a_bounded_storage() {
    let (storage, clock) = (Scripted::new(), ManualClock::new());
    let far = Far::new(LruStorage::over(storage.clone(), 2)).with_clock(&clock);
    let cache = cache(far.clone());
    (1..=2).for_each(|key| cache.insert(key, "kept".into()).wait().unwrap());
    storage.fails_sets(true);
    for _ in 0..5 {
        assert!(cache.insert(1, "new".into()).wait().is_err());
    }
    assert!(far.is_given_up());
    storage.fails_sets(false);
    until(|| {
        clock.advance(ROUND);
        !far.is_given_up() && far.stats().owed == 0
    });
    assert_eq!(cache.get(&2).as_deref(), Some("kept"));
}

#[test]
fn what_is_owed_is_repeated_less_and_less_often_until_the_storage_answers() {
    let disk = FullDisk::new();
    disk.storage.fails_removes(true);
    assert!(disk.cache.invalidate(&1).wait().is_err());
    // Every round sets once.
    let rounds = || disk.storage.removed_after.lock().unwrap().clone();
    while rounds().len() < 9 {
        disk.round();
    }
    let gaps: Vec<_> = rounds()[1..9].windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps, [2, 4, 8, 16, 25, 25, 25], "in rounds of 200 ms");

    // Somebody else is answered: what is owed is not put off any longer.
    disk.storage.fails_removes(false);
    disk.cache.invalidate(&2).wait().unwrap();
    (0..3).for_each(|_| disk.round());
    assert_eq!(disk.far.stats().owed, 0);
}

/// A name, and something to put around a storage.
type Wrap = (&'static str, fn(Far) -> Far);

#[test]
fn the_choices_of_a_far_inside_hold_for_what_is_put_around_it() {
    let wraps: [Wrap; 5] = [
        ("LruStorage", |far| Far::new(LruStorage::over(far, 9))),
        ("Chaos", |far| Far::new(Chaos::new(far))),
        ("both", |far| Far::new(LruStorage::over(Arc::new(Chaos::new(far)), 9))),
        ("Far", |far| Far::new(far)),
        ("an outer choice", |far| Far::new(far.deadline(Duration::ZERO)).deadline(LIMIT)),
    ];
    const LIMIT: Duration = Duration::from_millis(10);
    for (name, wrap) in wraps {
        holds(name, LIMIT, |far| cache(wrap(far)));
    }
    holds("LruStorage itself", LIMIT, |far| cache(LruStorage::over(far, 9)));
    holds("Chaos itself", LIMIT, |far| cache(Chaos::new(far)));
}

/// Whether the clock, the deadline and the listener of the `Far` inside are used.
fn holds(name: &str, limit: Duration, cache: impl Fn(Far) -> Cache<u64, String>) {
    let (storage, clock, log) = (Scripted::new(), ManualClock::new(), Log::default());
    let far = log.of(Far::new(storage.clone()).with_clock(&clock).deadline(limit));
    let cache = cache(far);
    cache.insert(1, "one".into()).wait().unwrap();
    cache.get(&1);
    storage.stalls_gets();
    let mut call = Driven::new(cache.get_with_async(&1, async { "body".to_owned() }));
    call.pends();
    clock.advance(limit - Duration::from_nanos(1));
    call.pends();
    clock.advance(Duration::from_nanos(1));
    assert_eq!(call.ready(), "body", "{name}");
    assert_eq!(log.count("no answer within 10ms"), 1, "{name}");
}

/// Answers when the runtime that it was made in has done something.
struct OnCaller(tokio::runtime::Handle, Elsewhere);

impl Storage for OnCaller {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.0.spawn(async {}).await?;
        self.1.get(key).await
    }

    async fn set(&self, key: &str, value: &[u8], params: &Params) -> Result<()> {
        self.1.set(key, value, params).await
    }

    async fn remove(&self, keys: &[&str]) -> Result<()> {
        self.1.remove(keys).await
    }
}

#[test]
fn a_call_that_holds_up_its_own_storage_is_told_so_once() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let log = Log::default();
    let storage = OnCaller(runtime.handle().clone(), Elsewhere::new());
    let far = log.of(Far::new(storage).deadline(Duration::from_millis(10)));
    let cache = cache(far);
    runtime.block_on(async {
        (0..3).for_each(|key| assert_eq!(cache.get_with(&key, || "body".into()), "body"));
    });
    assert_eq!((log.count("no answer within 10ms"), log.count("spawn_blocking")), (3, 1));
    let found = runtime.block_on(cache.get_with_async(&7, async { "body".to_owned() }));
    assert_eq!((found.as_str(), log.count("no answer")), ("body", 3), "awaited, it goes well");
}

#[test]
fn what_could_not_be_told_says_what_happens_meanwhile() {
    let storage = Scripted::new();
    let cache = cache(storage.clone());
    cache.insert(1, "one".into()).wait().unwrap();
    storage.fails(true);
    let removed = cache.invalidate(&1).wait().unwrap_err().to_string();
    let inserted = cache.insert(1, "two".into()).wait().unwrap_err().to_string();
    let cleared = cache.clear().wait().unwrap_err().to_string();
    for (told, parts) in [
        (
            removed,
            ["could not `remove`: as the test says", "the removal succeeds, which is repeated"],
        ),
        (inserted, ["could not `set`: as the test says", "what was there is removed"]),
        (cleared, ["could not `set`: as the test says", "it is repeated"]),
    ] {
        assert!(parts.iter().all(|part| told.contains(part)), "{told}");
    }
}
