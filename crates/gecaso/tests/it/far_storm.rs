//! Many threads call many functions over one storage that errs, dawdles, stalls, lies and panics:
//! every answer is right, nobody gets an error, and when the storage is well again it is in use
//! again.
//!
//! Values say whose they are and of which version of the source; changes raise the version first,
//! so a call that begins after a change has returned must get at least that version.
//! `GECASO_CALLS=n` sets how many calls are made in all, `GECASO_SEED=n` what the dice and the
//! faults begin with. Latencies are printed, not judged: on a busy machine they say little.

use crate::elsewhere::Elsewhere;
use crate::event::{Dice, LIMIT, until};
use crate::linearizable::seed;
use gecaso::testing::Chaos;
use gecaso::{Cache, Far};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

const THREADS: u64 = 16;
/// Keys of each function; fewer than the fences that are remembered.
const KEYS: u64 = 300;
const DEADLINE: Duration = Duration::from_millis(25);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Answer {
    function: u64,
    key: u64,
    version: u64,
    /// So that damage has something to strike.
    text: String,
}

/// What one function caches, and the least versions that are right.
struct Function {
    number: u64,
    kind: Kind,
    source: Vec<AtomicU64>,
    floors: Vec<AtomicU64>,
    /// Changes of one key come one after the other, a clear after and before all.
    changes: RwLock<Vec<Mutex<()>>>,
    bodies: AtomicU64,
}

enum Kind {
    /// By hand, synchronous.
    Sync(Cache<u64, Answer>),
    /// By hand, awaited, with keys of another type.
    Async(Cache<(String, u64), Answer>),
    /// By the macro.
    #[cfg(feature = "macros")]
    Macro,
    /// By the macro, awaited.
    #[cfg(feature = "macros")]
    MacroAsync,
}

impl Function {
    fn new(number: u64, kind: Kind) -> Self {
        let zeros = || (0..KEYS).map(|_| AtomicU64::new(0)).collect();
        let changes = RwLock::new((0..KEYS).map(|_| Mutex::new(())).collect());
        let bodies = AtomicU64::new(0);
        Function { number, kind, source: zeros(), floors: zeros(), changes, bodies }
    }

    fn answer(&self, key: u64, version: u64) -> Answer {
        let text = format!("{}/{key}/{version}", self.number).repeat(1 + key as usize % 20);
        Answer { function: self.number, key, version, text }
    }

    fn body(&self, key: u64) -> Answer {
        self.bodies.fetch_add(1, SeqCst);
        let version = self.source[key as usize].load(SeqCst);
        if version % 4 == 1 {
            std::thread::yield_now();
        }
        self.answer(key, version)
    }

    #[track_caller]
    fn check(&self, key: u64, floor: u64, got: &Answer) {
        let right = self.answer(key, got.version);
        assert_eq!(*got, right, "of function {} and key {key}", self.number);
        assert!(got.version >= floor, "{got:?} after version {floor} was due");
    }

    fn call(&self, key: u64) {
        let floor = self.floors[key as usize].load(SeqCst);
        let got = match &self.kind {
            Kind::Sync(cache) => cache.get_with(&key, || self.body(key)),
            Kind::Async(cache) => {
                let key_and_name = name(key);
                let call = cache.get_with_async(&key_and_name, async { self.body(key) });
                pollster::block_on(call)
            }
            #[cfg(feature = "macros")]
            Kind::Macro => by_macro::plain(key, self),
            #[cfg(feature = "macros")]
            Kind::MacroAsync => {
                let got = pollster::block_on(by_macro::awaited(&name(key).0, key, self));
                got.expect("the storage's errors are no caller's")
            }
        };
        self.check(key, floor, &got);
    }

    /// Only looks.
    fn look(&self, key: u64) {
        let floor = self.floors[key as usize].load(SeqCst);
        let got = match &self.kind {
            Kind::Sync(cache) => cache.get(&key),
            Kind::Async(cache) => pollster::block_on(cache.get_async(&name(key))),
            #[cfg(feature = "macros")]
            Kind::Macro => by_macro::plain::peek(key),
            #[cfg(feature = "macros")]
            Kind::MacroAsync => by_macro::awaited::peek(&name(key).0, key).map(Result::unwrap),
        };
        if let Some(got) = got {
            self.check(key, floor, &got);
        }
    }

    fn invalidate(&self, key: u64) {
        let changes = self.changes.read().unwrap();
        let _change = changes[key as usize].lock().unwrap();
        let version = self.raise(key);
        let receipt = match &self.kind {
            Kind::Sync(cache) => cache.invalidate(&key),
            Kind::Async(cache) => cache.invalidate(&name(key)),
            #[cfg(feature = "macros")]
            Kind::Macro => by_macro::plain::invalidate(key),
            #[cfg(feature = "macros")]
            Kind::MacroAsync => by_macro::awaited::invalidate(&name(key).0, key),
        };
        drop(receipt);
        self.floors[key as usize].store(version, SeqCst);
    }

    fn insert(&self, key: u64) {
        let changes = self.changes.read().unwrap();
        let _change = changes[key as usize].lock().unwrap();
        let version = self.raise(key);
        let value = self.answer(key, version);
        let receipt = match &self.kind {
            Kind::Sync(cache) => cache.insert(key, value),
            Kind::Async(cache) => cache.insert(name(key), value),
            #[cfg(feature = "macros")]
            Kind::Macro => by_macro::plain::insert(key, value),
            #[cfg(feature = "macros")]
            Kind::MacroAsync => by_macro::awaited::insert(&name(key).0, key, Ok(value)),
        };
        drop(receipt);
        self.floors[key as usize].store(version, SeqCst);
    }

    fn clear(&self) {
        let _changes = self.changes.write().unwrap();
        let versions: Vec<u64> = (0..KEYS).map(|key| self.raise(key)).collect();
        let receipt = match &self.kind {
            Kind::Sync(cache) => cache.clear(),
            Kind::Async(cache) => cache.clear(),
            #[cfg(feature = "macros")]
            Kind::Macro => by_macro::plain::clear(),
            #[cfg(feature = "macros")]
            Kind::MacroAsync => by_macro::awaited::clear(),
        };
        drop(receipt);
        for (floor, version) in self.floors.iter().zip(versions) {
            floor.store(version, SeqCst);
        }
    }

    fn raise(&self, key: u64) -> u64 {
        self.source[key as usize].fetch_add(1, SeqCst) + 1
    }
}

/// A key of another type.
fn name(key: u64) -> (String, u64) {
    (format!("the {key}th"), key)
}

#[cfg(feature = "macros")]
mod by_macro {
    use super::{Answer, Function, storage};
    use gecaso::cached;

    #[cached(storage().1.clone(), skip(function), name = "storm/plain")]
    pub(super) fn plain(key: u64, function: &Function) -> Answer {
        function.body(key)
    }

    #[cached(storage().1.clone(), skip(function), name = "storm/awaited")]
    pub(super) async fn awaited(
        name: &str,
        key: u64,
        function: &Function,
    ) -> Result<Answer, std::num::ParseIntError> {
        assert_eq!(name, super::name(key).0);
        Ok(function.body(key))
    }
}

/// The one storage of the storm, and what stands between it and the functions.
fn storage() -> &'static (Chaos<Elsewhere>, Far) {
    static STORAGE: std::sync::OnceLock<(Chaos<Elsewhere>, Far)> = std::sync::OnceLock::new();
    STORAGE.get_or_init(|| {
        let chaos = Chaos::new(Elsewhere::new()).seed(seed(2017));
        let far = Far::new(chaos.clone()).deadline(DEADLINE).on_trouble(|_| ());
        (chaos, far)
    })
}

fn functions(far: &Far) -> Vec<Function> {
    let by_hand = |name| Cache::builder().storage(far.clone()).name(name).build();
    let awaited = |name| Cache::builder().storage(far.clone()).name(name).build();
    let kinds = [
        Kind::Sync(by_hand("storm/sync")),
        Kind::Sync(by_hand("storm/another")),
        Kind::Async(awaited("storm/async")),
        #[cfg(feature = "macros")]
        Kind::Macro,
        #[cfg(feature = "macros")]
        Kind::MacroAsync,
    ];
    kinds.into_iter().zip(0..).map(|(kind, number)| Function::new(number, kind)).collect()
}

/// One call, or now and then something else; how long it took if it was a call.
fn step(functions: &[Function], dice: &mut Dice) -> Option<Duration> {
    let function = &functions[dice.roll(functions.len() as u64) as usize];
    // Half of the calls want one of eight keys.
    let hot = dice.roll(2) == 0;
    let key = if hot { dice.roll(8) } else { dice.roll(KEYS) };
    match dice.roll(400) {
        0..8 => function.invalidate(key),
        8..12 => function.insert(key),
        12..20 => function.look(key),
        20 if dice.roll(10) == 0 => function.clear(),
        _ => {
            let begun = now();
            function.call(key);
            return Some(begun.elapsed());
        }
    }
    None
}

#[allow(clippy::disallowed_methods)] // a measurement, not a decision
fn now() -> Instant {
    Instant::now()
}

/// Makes so many steps over so many threads; what each call took, in order.
fn storm(functions: &[Function], threads: u64, steps: u64, seed: u64) -> Vec<Duration> {
    let took = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let took = &took;
            scope.spawn(move || {
                let mut dice = Dice(seed << 8 | thread);
                let steps = 0..steps / threads;
                let own: Vec<_> = steps.filter_map(|_| step(functions, &mut dice)).collect();
                took.lock().unwrap().extend(own);
            });
        }
    });
    let mut took = took.into_inner().unwrap();
    took.sort();
    took
}

fn print(what: &str, took: &[Duration]) {
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    let [half, p99, p999, most] = [0.5, 0.99, 0.999, 1.0].map(at);
    let calls = took.len();
    println!("{what}: {calls} calls, p50 {half:?}, p99 {p99:?}, p99.9 {p999:?}, max {most:?}");
}

fn calls() -> u64 {
    let wanted = std::env::var("GECASO_CALLS").ok().and_then(|n| n.parse().ok());
    wanted.unwrap_or(50_000)
}

/// The panics of `Chaos` are wanted, and many.
fn silence() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<String>();
        if !text.is_some_and(|text| text.starts_with("Chaos:")) {
            report(panic);
        }
    }));
}

#[test]
fn no_storm_of_faults_reaches_a_caller() {
    let (seed, calls) = (seed(2017), calls());
    println!("seed={seed} GECASO_CALLS={calls}");
    silence();
    let (chaos, far) = storage();
    let functions = Arc::new(functions(far));

    chaos.set_errors(0.02);
    chaos.set_delays(0.02, Duration::from_micros(50)..=Duration::from_millis(2));
    chaos.set_stalls(0.0002);
    chaos.set_panics(0.002);
    chaos.set_corruption(0.03);
    chaos.set_old_values(0.03);
    chaos.set_lost_sets(0.03);
    chaos.set_late_sets(0.03);
    chaos.set_lost_removes(0.03);
    print("storm", &storm(&functions, THREADS, calls * 8 / 10, seed));
    let (faults, stats) = (chaos.counts(), far.stats());
    println!("storm: {faults:?}\nstorm: {stats:?}");
    assert!(stats.hits > 0 && stats.disbelieved > 0 && stats.corrupt + stats.foreign > 0);
    assert!(faults.errors > 0 && faults.panics > 0 && faults.stalls > 0 && faults.late_sets > 0);

    // Nothing is answered any more: the breaker opens, and calls pay nothing.
    chaos.set_errors(1.0);
    until(|| {
        functions.iter().for_each(|function| function.call(0));
        far.is_given_up()
    });
    let asked = chaos.counts().gets;
    print("given up", &storm(&functions, THREADS, calls / 20, seed + 1));
    print("given up, one thread", &storm(&functions, 1, calls / 20, seed + 2));
    let asked = chaos.counts().gets - asked;
    println!("given up: {asked} looks there meanwhile");

    // Well again: in use again, and in the end nothing is left to be repeated.
    chaos.heal();
    let (healed, hits) = (now(), far.stats().hits);
    until(|| {
        functions.iter().for_each(|function| function.call(0));
        far.stats().hits > hits
    });
    println!("healed: hits again after {:?}", healed.elapsed());
    until(|| !far.is_given_up() && far.stats().owed == 0);
    println!("healed: nothing is owed after {:?} (limit {LIMIT:?})", healed.elapsed());
    print("healed", &storm(&functions, THREADS, calls / 10, seed + 3));
    for function in functions.iter() {
        let bodies = function.bodies.load(SeqCst);
        for key in 0..KEYS {
            function.call(key);
            function.call(key);
        }
        let bodies = function.bodies.load(SeqCst) - bodies;
        assert!(
            bodies <= KEYS * 3 / 2,
            "{bodies} bodies of {KEYS} keys over a storage that is well"
        );
    }
}
