//! Model checks: small scenarios of a cache, run under shuttle, whose scheduler tries
//! interleavings.
//!
//! Built by `RUSTFLAGS="--cfg shuttle" cargo test --release --no-default-features --lib shuttle`.
//! Each scenario is run under two schedulers, half of its schedules each: random, and PCT, which
//! finds what needs few but well-placed switches. Every assertion that fails, every deadlock and
//! every livelock is printed with its schedule. From the environment:
//!
//! - `GECASO_SCHEDULES`: how many schedules all scenarios try together;
//! - `GECASO_SEED`: where the schedulers begin; the same seed tries the same schedules;
//! - `GECASO_REPLAY`: a file with a printed schedule, for the one scenario named on the command
//!   line.
//!
//! What is right is kept in `world`; the other files are scenarios, one file for each theme.

mod bounds;
mod callbacks;
mod errors;
mod expiry;
#[cfg(feature = "far")]
mod far;
#[cfg(feature = "far")]
mod far_world;
mod invalidation;
mod near_features;
mod panic_and_cancel;
mod reentry;
mod stampede;
mod waiting;
mod world;

use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler};
use shuttle::{Config, MaxSteps, Runner};
use std::cell::Cell;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// The scenarios of a theme: a test for each, and how many there are.
macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        pub(super) const COUNT: usize = [$(stringify!($name)),*].len();
        mod explored {
            $(
                #[test]
                fn $name() {
                    crate::shuttle_tests::explore(stringify!($name), super::$name);
                }
            )*
        }
    };
}
use scenarios;

const SCENARIOS: usize = bounds::COUNT
    + callbacks::COUNT
    + errors::COUNT
    + expiry::COUNT
    + FAR
    + invalidation::COUNT
    + near_features::COUNT
    + panic_and_cancel::COUNT
    + reentry::COUNT
    + stampede::COUNT
    + waiting::COUNT;

#[cfg(feature = "far")]
const FAR: usize = far::COUNT;
#[cfg(not(feature = "far"))]
const FAR: usize = 0;

/// Schedules of all scenarios together, unless told otherwise.
const SCHEDULES: usize = 120_000;
/// Any number will do. Always the same unless told otherwise: a check that fails fails again.
const SEED: u64 = 2017;
/// Changes of priority per schedule under PCT, less one: enough for bugs of three steps.
const DEPTH: usize = 3;

/// Runs a scenario under many schedules.
fn explore(name: &str, scenario: fn()) {
    if let Ok(file) = std::env::var("GECASO_REPLAY") {
        let schedule = ReplayScheduler::new_from_file(file).expect("a file with a schedule");
        Runner::new(schedule, config()).run(scenario);
        return;
    }
    let schedules = from_environment("GECASO_SCHEDULES", SCHEDULES).div_ceil(SCENARIOS).max(2);
    let seed = from_environment("GECASO_SEED", SEED);
    let random = schedules / 2;
    let begun = Instant::now();
    let steps = run("random", RandomScheduler::new_from_seed(seed, random), scenario, seed)
        + run("PCT", PctScheduler::new_from_seed(seed, DEPTH, schedules - random), scenario, seed);
    let millis = begun.elapsed().as_millis();
    println!("{name}: {schedules} schedules from seed {seed}, {steps} switches, {millis} ms");
}

/// Runs a scenario under one scheduler; how many switches that took.
fn run(
    kind: &'static str,
    scheduler: impl Scheduler + 'static,
    scenario: fn(),
    seed: u64,
) -> usize {
    let count = Count { kind, seed, schedules: Arc::default() };
    let schedules = count.schedules.clone();
    let switches = Arc::new(AtomicUsize::new(0));
    let add = switches.clone();
    Runner::new(scheduler, config()).run(move || {
        schedules.fetch_add(1, Ordering::Relaxed);
        scenario();
        add.fetch_add(shuttle::current::context_switches(), Ordering::Relaxed);
    });
    switches.load(Ordering::Relaxed)
}

/// Says, if a scenario fails, in which of its schedules it does.
struct Count {
    kind: &'static str,
    seed: u64,
    schedules: Arc<AtomicUsize>,
}

impl Drop for Count {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Count { kind, seed, schedules } = self;
            let at = schedules.load(Ordering::Relaxed);
            println!("failed at schedule {at} of the {kind} scheduler from seed {seed}");
        }
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = 256 * 1024;
    // The longest scenario takes a few thousand switches; more is a livelock.
    config.max_steps = MaxSteps::FailAfter(100_000);
    config
}

fn from_environment<T: FromStr + Display>(name: &str, default: T) -> T {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

/// A number below `bound`, as the schedule decides.
fn pick(bound: u32) -> u32 {
    use shuttle::rand::Rng;
    shuttle::rand::thread_rng().gen_range(0..bound)
}

/// A place where another thread may come in between.
fn switch() {
    shuttle::thread::sleep(std::time::Duration::ZERO); // no time passes: a mere switch
}

/// What a body panics with where the scenario wants it to.
struct Wanted;

/// Panics without a report.
fn panic_as_wanted() -> ! {
    std::panic::resume_unwind(Box::new(Wanted))
}

/// What `run` returned; `None` if it panicked as wanted. Other panics go on.
fn survive<R>(run: impl FnOnce() -> R) -> Option<R> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
        Ok(result) => Some(result),
        Err(panic) if panic.is::<Wanted>() => None,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Counts a caller in once it waits.
async fn counted_in<F: Future>(waiting: &shuttle::sync::atomic::AtomicU32, future: F) -> F::Output {
    let counted = Cell::new(false);
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        let polled = future.as_mut().poll(cx);
        if polled.is_pending() && !counted.replace(true) {
            waiting.fetch_add(1, Ordering::SeqCst);
        }
        polled
    })
    .await
}

/// Waits until `count` is at least that.
fn wait_until(count: &shuttle::sync::atomic::AtomicU32, least: u32) {
    while count.load(Ordering::SeqCst) < least {
        shuttle::thread::yield_now();
    }
}

/// Polls a future so many times at most, and drops it then; what it brought, if it did.
async fn give_up_after<F: Future>(polls: u32, future: F) -> Option<F::Output> {
    use std::task::Poll::{Pending, Ready};
    let left = Cell::new(polls);
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        if left.get() == 0 {
            return Ready(None);
        }
        left.set(left.get() - 1);
        match future.as_mut().poll(cx) {
            Ready(output) => Ready(Some(output)),
            Pending if left.get() == 0 => Ready(None),
            Pending => Pending,
        }
    })
    .await
}
