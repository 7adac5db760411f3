//! A storage outside of the process that does what the schedule decides: it is slow, fails, does
//! things late or in another order, or stops.
//!
//! It also watches: two writes of one key at once would be a mistake of gecaso's. What it sees is
//! kept, and said at the end: a panic inside of a storage is a failure of that storage, no more.

use super::world::World;
use super::{pick, switch};
use crate::error::Result;
use crate::far::{Far, Storage};
use crate::params::Params;
use crate::{Cache, CacheBuilder, ManualClock};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How a storage misbehaves. Each is one operation in so many; 0 is never.
#[derive(Clone, Copy, Default)]
pub(super) struct Habits {
    /// Takes its time, before or after it has done its work.
    pub(super) slow: u32,
    /// Fails, before or after it has done its work.
    pub(super) fails: u32,
    /// Says `Ok` to a set, and does it behind a later write, of that key or any.
    pub(super) late: u32,
    /// Stops, and never goes on.
    pub(super) stalls: u32,
}

impl Habits {
    pub(super) const HONEST: Habits = Habits { slow: 0, fails: 0, late: 0, stalls: 0 };
    pub(super) const SLOW: Habits = Habits { slow: 2, ..Self::HONEST };
    pub(super) const FAILING: Habits = Habits { slow: 3, fails: 3, ..Self::HONEST };
    pub(super) const LATE: Habits = Habits { slow: 3, late: 2, ..Self::HONEST };
    pub(super) const FAILING_LATE: Habits = Habits { slow: 4, fails: 4, late: 3, stalls: 0 };
}

/// Clones are the same storage.
#[derive(Clone)]
pub(super) struct Elsewhere {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    habits: Habits,
    entries: BTreeMap<String, Vec<u8>>,
    /// Sets that were answered and are still to come.
    late: Vec<(String, Vec<u8>)>,
    /// Keys that are being written.
    writing: Vec<String>,
    asked: u32,
    /// Operations that stop.
    stalled: u32,
    seen: Vec<String>,
}

impl Elsewhere {
    pub(super) fn new(habits: Habits) -> Self {
        Elsewhere { state: Arc::new(Mutex::new(State { habits, ..State::default() })) }
    }

    /// No place to switch: the books of the scenario.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn become_(&self, habits: Habits) {
        self.state().habits = habits;
    }

    /// Operations begun so far.
    pub(super) fn asked(&self) -> u32 {
        self.state().asked
    }

    /// The bytes of every entry, beside records of epochs and the like.
    pub(super) fn entries(&self) -> BTreeMap<String, Vec<u8>> {
        self.state().entries.clone()
    }

    /// Waits until nothing goes on in the background any more.
    pub(super) fn rest(&self, far: &Far, clock: &ManualClock) {
        while far.is_busy() {
            // What is under way takes no time, unless it has stopped.
            if !far.is_writing() || self.state().stalled > 0 {
                clock.advance(DEADLINE);
            }
            shuttle::thread::yield_now();
        }
    }

    /// Waits until nobody uses the storage any more, and says what was seen of it.
    pub(super) fn end(&self, clock: &ManualClock) {
        while Arc::strong_count(&self.state) > 1 || clock.holders() > 1 {
            clock.advance(DEADLINE);
            shuttle::thread::yield_now();
        }
        let seen = std::mem::take(&mut self.state().seen);
        assert!(seen.is_empty(), "{seen:?}");
    }

    fn chance(&self, one_in: impl FnOnce(&Habits) -> u32) -> bool {
        let one_in = one_in(&self.state().habits);
        one_in > 0 && pick(one_in) == 0
    }

    async fn dawdle(&self) {
        for _ in 0..2 {
            if self.chance(|habits| habits.slow) {
                shuttle::future::yield_now().await;
            }
        }
        if self.chance(|habits| habits.stalls) {
            self.state().stalled += 1;
            let _stalled = Stalled(self);
            std::future::pending::<()>().await;
        }
    }

    /// One operation: `act` may happen although it fails.
    async fn attempt<T>(&self, act: impl FnOnce(&mut State) -> T) -> Result<T> {
        self.state().asked += 1;
        self.dawdle().await;
        let fails = self.chance(|habits| habits.fails);
        if fails && pick(2) == 0 {
            return Err("it failed before anything was done".into());
        }
        let done = act(&mut self.state());
        self.dawdle().await;
        if fails { Err("it failed after everything was done".into()) } else { Ok(done) }
    }

    /// Notes that these keys are being written.
    fn write(&self, keys: &[&str]) -> Writing<'_> {
        let mut state = self.state();
        for key in keys {
            if state.writing.iter().any(|other| other == key) {
                state.seen.push(format!("two writes of {key} at once"));
            }
            state.writing.push((*key).to_owned());
        }
        Writing { elsewhere: self, keys: keys.iter().map(|key| (*key).to_owned()).collect() }
    }

    /// Late sets that come now: all of this key, and of others as the schedule decides.
    fn catch_up(state: &mut State, key: &str) {
        let come = |(late, _): &mut (String, Vec<u8>)| late == key || pick(3) == 0;
        for (key, value) in state.late.extract_if(.., come).collect::<Vec<_>>() {
            state.entries.insert(key, value);
        }
    }
}

/// Counts an operation as stopped until it is dropped.
struct Stalled<'a>(&'a Elsewhere);

impl Drop for Stalled<'_> {
    fn drop(&mut self) {
        self.0.state().stalled -= 1;
    }
}

struct Writing<'a> {
    elsewhere: &'a Elsewhere,
    keys: Vec<String>,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let mut state = self.elsewhere.state();
        for key in &self.keys {
            let at = state.writing.iter().position(|other| other == key);
            state.writing.swap_remove(at.expect("noted when it began"));
        }
    }
}

impl Storage for Elsewhere {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.attempt(|state| state.entries.get(key).cloned()).await
    }

    async fn set(&self, key: &str, value: &[u8], _: &Params) -> Result<()> {
        let _writing = self.write(&[key]);
        let late = self.chance(|habits| habits.late);
        self.attempt(|state| {
            if late {
                state.late.push((key.to_owned(), value.to_vec()));
            } else {
                state.entries.insert(key.to_owned(), value.to_vec());
                Self::catch_up(state, key);
            }
        })
        .await
    }

    async fn remove(&self, keys: &[&str]) -> Result<()> {
        let _writing = self.write(keys);
        self.attempt(|state| {
            for key in keys {
                state.entries.remove(*key);
                Self::catch_up(state, key);
            }
        })
        .await
    }
}

/// A cache over a storage that does what the schedule decides.
pub(super) struct FarWorld {
    pub(super) world: World<u32, u64>,
    pub(super) far: Far,
    pub(super) elsewhere: Elsewhere,
    pub(super) clock: ManualClock,
}

/// As long as no call waits for the storage.
pub(super) const DEADLINE: Duration = Duration::from_millis(100);

impl FarWorld {
    pub(super) fn new(habits: Habits) -> Self {
        let clock = ManualClock::new();
        clock.advance(DEADLINE);
        Self::on(Elsewhere::new(habits), clock)
    }

    fn on(elsewhere: Elsewhere, clock: ManualClock) -> Self {
        let far = far(&elsewhere, &clock);
        let world = World::built(builder(&far));
        FarWorld { world, far, elsewhere, clock }
    }

    /// Another cache of this name, over the same `Far`.
    pub(super) fn twin(&self) -> Cache<u32, u64> {
        builder(&self.far).build()
    }

    /// Lets time pass until `done`. Never, if nobody else gets anywhere.
    pub(super) fn tick(&self, done: impl Fn() -> bool) {
        while !done() {
            self.clock.advance(DEADLINE);
            switch();
            shuttle::thread::yield_now();
        }
    }

    /// This process ends, and another one begins with the same storage.
    pub(super) fn again(self) -> Self {
        let (elsewhere, clock) = self.end();
        Self::on(elsewhere, clock)
    }

    /// Ends all faults, and waits until everything is told that was to be told.
    pub(super) fn heal(&self) {
        self.elsewhere.become_(Habits::HONEST);
        let late = std::mem::take(&mut self.elsewhere.state().late);
        self.elsewhere.state().entries.extend(late);
        self.elsewhere.rest(&self.far, &self.clock);
    }

    /// The checks at the end, when nobody calls any more.
    pub(super) fn settle(self, numbers: Range<u32>) {
        self.heal();
        self.world.settle(numbers.clone());
        self.end();
    }

    /// As `settle`, where nothing came late: then a process that begins now sees nothing old,
    /// either.
    pub(super) fn settle_for_others(self, numbers: Range<u32>) {
        self.heal();
        self.world.settle(numbers.clone());
        let far = far(&self.elsewhere, &self.clock);
        let stranger = builder(&far).build();
        for number in numbers {
            if let Some(value) = stranger.peek(&number) {
                self.world.accept(number, self.world.floor(number), &value);
            }
        }
        drop(stranger);
        self.elsewhere.rest(&far, &self.clock);
        drop(far);
        self.end();
    }

    fn end(self) -> (Elsewhere, ManualClock) {
        let FarWorld { world, far, elsewhere, clock } = self;
        elsewhere.rest(&far, &clock);
        drop((world, far));
        elsewhere.end(&clock);
        (elsewhere, clock)
    }
}

fn far(elsewhere: &Elsewhere, clock: &ManualClock) -> Far {
    let far = Far::new(elsewhere.clone()).deadline(DEADLINE).with_clock(clock);
    far.on_trouble(|_| ()) // said nowhere
}

fn builder(far: &Far) -> CacheBuilder<u32, u64> {
    Cache::builder().storage(far.clone()).name("far world")
}
