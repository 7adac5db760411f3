//! One operation on a `Chaos`, from the draw of its faults to its end: the order in which they
//! strike.
//!
//! `Chaos` is a `Storage` here. Holds no lock across an await, nor while the storage runs.

use super::Chaos;
use super::faults::{Blow, Lie, Moment, Operation, Plan};
use super::state::Late;
use crate::error::Result;
use crate::far::{Far, Storage};
use crate::params::Params;
use crate::time::after;

/// One operation under way.
struct Attempt<'a, S> {
    chaos: &'a Chaos<S>,
    operation: Operation,
    number: u64,
    plan: Plan,
}

impl<'a, S: Storage> Attempt<'a, S> {
    /// Draws what will happen to the operation, and lets happen what strikes before it.
    async fn begin(chaos: &'a Chaos<S>, operation: Operation) -> Result<Self> {
        let (number, plan, late) = chaos.state().begin(operation);
        let attempt = Attempt { chaos, operation, number, plan };
        attempt.deliver(late).await;
        attempt.strike(Moment::Before).await?;
        Ok(attempt)
    }

    /// Ends an operation that changed these keys: the late sets that are due take effect, then
    /// comes what strikes afterwards.
    async fn end(self, changed: &[&str]) -> Result<()> {
        let due = self.chaos.state().due(self.number, changed);
        self.deliver(due).await;
        self.strike(Moment::After).await
    }

    /// Late sets take effect. They have said `Ok` long ago: their errors are nobody's.
    async fn deliver(&self, late: Vec<Late>) {
        for set in late {
            if self.chaos.inner().set(&set.key, &set.value, &set.params).await.is_ok() {
                self.chaos.state().past.note(&set.key, Some(&set.value));
            }
        }
    }

    /// Delays, stalls, panics or fails, if that is planned for this moment.
    async fn strike(&self, now: Moment) -> Result<()> {
        if let Some((_, by)) = self.plan.delay.filter(|(moment, _)| *moment == now) {
            let clock = self.chaos.state().clock.clone();
            self.chaos.state().counts.delays += 1;
            clock.alarm(after(clock.now(), by)).await;
        }
        let Some((_, blow)) = self.plan.blow.filter(|(moment, _)| *moment == now) else {
            return Ok(());
        };
        let when = match now {
            Moment::Before => "before it began",
            Moment::After => "after it had taken effect",
        };
        match blow {
            Blow::Stall => {
                let healed = self.chaos.state().stall();
                let _stalled = Stalled(self.chaos);
                healed.heard().await;
                Ok(())
            }
            Blow::Panic => {
                self.chaos.state().counts.panics += 1;
                panic!("Chaos: this {:?} was made to panic {when}", self.operation);
            }
            Blow::Error => {
                self.chaos.state().counts.errors += 1;
                Err(format!("Chaos: this {:?} was made to fail {when}", self.operation).into())
            }
        }
    }
}

/// Counts an operation as stalled until it goes on or is dropped.
struct Stalled<'a, S: Storage>(&'a Chaos<S>);

impl<S: Storage> Drop for Stalled<'_, S> {
    fn drop(&mut self) {
        self.0.state().stalled -= 1;
    }
}

impl<S: Storage> Storage for Chaos<S> {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let attempt = Attempt::begin(self, Operation::Get).await?;
        let found = self.inner().get(key).await?;
        let answer = self.state().answer(&attempt.plan, key, found);
        attempt.end(&[]).await?;
        Ok(answer)
    }

    async fn set(&self, key: &str, value: &[u8], params: &Params) -> Result<()> {
        let attempt = Attempt::begin(self, Operation::Set).await?;
        match attempt.plan.lie {
            Some(Lie::Lost) => {
                self.state().counts.lost_sets += 1;
                attempt.end(&[]).await
            }
            Some(Lie::Late) => {
                self.state().delay(attempt.number, &attempt.plan, key, value, params);
                attempt.end(&[]).await
            }
            _ => {
                self.inner().set(key, value, params).await?;
                self.state().past.note(key, Some(value));
                attempt.end(&[key]).await
            }
        }
    }

    async fn remove(&self, keys: &[&str]) -> Result<()> {
        let attempt = Attempt::begin(self, Operation::Remove).await?;
        if attempt.plan.lie == Some(Lie::Lost) {
            self.state().counts.lost_removes += 1;
            return attempt.end(&[]).await;
        }
        self.inner().remove(keys).await?;
        let note = |key: &&str| self.state().past.note(key, None);
        keys.iter().for_each(note);
        attempt.end(keys).await
    }

    /// With the choices of a `Far` that is inside.
    fn as_far(&self) -> Option<Far> {
        self.inner().as_far().map(|far| far.around(self.clone()))
    }
}
