//! `Chaos`: a storage that misbehaves as often as it is told to, the same way for the same seed.
//!
//! Used by the tests of gecaso and of its users. Wraps any `Storage`; knows nothing of calls, keys
//! or what the bytes mean.

mod attempt;
mod faults;
mod past;
mod state;

pub use faults::{ChaosCounts, Operation};

use crate::far::Storage;
use crate::sync::{Mutex, MutexGuard, lock};
use crate::time::{Clock, ManualClock};
use state::State;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// Wraps a storage and makes it misbehave, each fault with a probability of its own: for tests of
/// what stands on a storage.
///
/// New, it does nothing wrong. Clones are the same storage, so a test keeps one and may
/// [`heal`](Self::heal) it, break it again and [count](Self::counts) while a cache holds another.
///
/// Which faults strike an operation follows from the seed and from how many operations came before
/// it: a single-threaded test sees the same ones every time, and raising one probability moves no
/// other fault. Delays need no runtime.
///
/// Errors, panics and stalls strike before the storage was asked or, as often, after it has done
/// its work: who gets an error does not know whether the operation took effect, as with a real
/// network.
///
/// ```
/// use gecaso::testing::Chaos;
/// use std::time::Duration;
/// # use gecaso::{Params, Result, Storage};
/// # use std::{collections::HashMap, sync::Mutex};
/// # #[derive(Default)]
/// # struct MyStorage(Mutex<HashMap<String, Vec<u8>>>);
/// # impl Storage for MyStorage {
/// #     async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
/// #         Ok(self.0.lock().unwrap().get(key).cloned())
/// #     }
/// #     async fn set(&self, key: &str, value: &[u8], _: &Params) -> Result<()> {
/// #         self.0.lock().unwrap().insert(key.to_owned(), value.to_vec());
/// #         Ok(())
/// #     }
/// #     async fn remove(&self, keys: &[&str]) -> Result<()> {
/// #         keys.iter().for_each(|key| drop(self.0.lock().unwrap().remove(*key)));
/// #         Ok(())
/// #     }
/// # }
/// # pollster::block_on(async {
/// let chaos = Chaos::new(MyStorage::default())
///     .seed(7)
///     .errors(0.2)
///     .delays(0.1, Duration::from_micros(50)..=Duration::from_micros(500))
///     .corruption(0.1);
/// let storage = chaos.clone(); // for the cache that is to be tested
/// for n in 0..100 {
///     let _ = storage.set(&format!("key {n}"), b"value", &Params::new()).await;
/// }
/// assert!(chaos.counts().errors > 0, "it was put to the test");
///
/// chaos.heal();
/// storage.set("key", b"value", &Params::new()).await?;
/// assert_eq!(storage.get("key").await?.as_deref(), Some(&b"value"[..]));
/// # Ok::<_, gecaso::BoxError>(())
/// # }).unwrap();
/// ```
pub struct Chaos<S> {
    shared: Arc<Shared<S>>,
}

struct Shared<S> {
    storage: S,
    state: Mutex<State>,
}

impl<S: Storage> Chaos<S> {
    /// Wraps `storage`. It does nothing wrong until it is told to. Its seed is 0.
    pub fn new(storage: S) -> Self {
        Chaos { shared: Arc::new(Shared { storage, state: Mutex::default() }) }
    }

    /// The storage inside, which tells no lies.
    pub fn inner(&self) -> &S {
        &self.shared.storage
    }

    /// What it draws its faults from. Print it where a test fails, or print the whole
    /// `Chaos`.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        self.state().seed = seed;
        self
    }

    /// Delays are measured on a clock in a test's hand.
    #[must_use]
    pub fn with_clock(self, clock: &ManualClock) -> Self {
        self.state().clock = Clock::Manual(clock.clone());
        self
    }

    /// Faults strike these operations alone; an empty list means all of them.
    ///
    /// ```
    /// # fn of<S: gecaso::Storage>(storage: S) {
    /// use gecaso::testing::{Chaos, Operation};
    ///
    /// // Reads and writes, and cannot remove.
    /// let chaos = Chaos::new(storage).errors(1.0).only(&[Operation::Remove]);
    /// # }
    /// ```
    #[must_use]
    pub fn only(self, operations: &[Operation]) -> Self {
        self.set_only(operations);
        self
    }

    /// As [`only`](Self::only), while it is in use.
    pub fn set_only(&self, operations: &[Operation]) {
        self.state().faults.only = operations.to_vec();
    }

    /// How probably an operation takes longer, and how much longer: any time in this range.
    ///
    /// # Panics
    ///
    /// If the probability is not between 0 and 1.
    #[must_use]
    pub fn delays(self, probability: f64, range: RangeInclusive<Duration>) -> Self {
        self.set_delays(probability, range);
        self
    }

    /// As [`delays`](Self::delays), while it is in use.
    ///
    /// # Panics
    ///
    /// If the probability is not between 0 and 1.
    pub fn set_delays(&self, probability: f64, range: RangeInclusive<Duration>) {
        check(probability, "delays");
        let mut state = self.state();
        state.faults.delays = probability;
        state.faults.delay = range;
    }

    /// Ends all faults, and lets go on what stalls. Late sets that are still to come take effect
    /// before the next operation does.
    pub fn heal(&self) {
        let healed = self.state().heal();
        healed.say(()); // wakes: foreign code, outside of the lock
    }

    /// Ends the effect of [`heal`](Self::heal): the same faults as before strike again.
    pub fn break_again(&self) {
        self.state().healthy = false;
    }

    /// What it has done so far.
    pub fn counts(&self) -> ChaosCounts {
        self.state().counts
    }

    /// Operations that stall now: neither healed nor dropped.
    pub fn stalled(&self) -> usize {
        self.state().stalled
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }
}

fn check(probability: f64, fault: &str) {
    assert!(
        (0.0..=1.0).contains(&probability),
        "Chaos: the probability of {fault} is {probability}; give a number from 0 to 1"
    );
}

macro_rules! faults {
    ($($(#[$about:meta])* $name:ident, $set:ident;)*) => {
        impl<S: Storage> Chaos<S> { $(
            $(#[$about])*
            ///
            /// # Panics
            ///
            /// If the probability is not between 0 and 1.
            #[must_use]
            pub fn $name(self, probability: f64) -> Self {
                self.$set(probability);
                self
            }

            #[doc = concat!(
                "As [`", stringify!($name), "`](Self::", stringify!($name), "), while it is in use."
            )]
            ///
            /// # Panics
            ///
            /// If the probability is not between 0 and 1.
            pub fn $set(&self, probability: f64) {
                check(probability, stringify!($name));
                self.state().faults.$name = probability;
            }
        )* }
    };
}
faults! {
    /// How probably an operation fails, before or after it took effect.
    errors, set_errors;
    /// How probably an operation stops, before or after it took effect, until the storage is healed
    /// or the future is dropped.
    stalls, set_stalls;
    /// How probably an operation panics, before or after it took effect.
    panics, set_panics;
    /// How probably a look-up is answered with something that was never set under its key: a bit
    /// flipped, an end cut off, noise, or another key's value (also where there is nothing).
    corruption, set_corruption;
    /// How probably a look-up is answered with a value of its key that has been replaced or removed
    /// since, if there is one. Nothing in the bytes tells.
    old_values, set_old_values;
    /// How probably a set says `Ok` and keeps nothing.
    lost_sets, set_lost_sets;
    /// How probably a set says `Ok` and takes effect only behind a later operation: behind the next
    /// set or removal of its key, or any 1 to 16 operations later. If that one is dropped midway,
    /// the set may be lost.
    late_sets, set_late_sets;
    /// How probably a removal says `Ok` and removes nothing.
    lost_removes, set_lost_removes;
}

impl<S> Clone for Chaos<S> {
    /// The same storage.
    fn clone(&self) -> Self {
        Chaos { shared: self.shared.clone() }
    }
}

impl<S> fmt::Debug for Chaos<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.shared.state);
        let mut f = f.debug_struct("Chaos");
        f.field("seed", &state.seed).field("healthy", &state.healthy);
        f.field("faults", &state.faults).field("counts", &state.counts).finish_non_exhaustive()
    }
}
