//! Repeats in the background what has failed: asks for what the storage is not asked for by
//! callers, and pays what parts owe.
//!
//! Begun by `object`, one at a time, where an operation fails; ends when nothing is left to do.
//! Knows no keys but one of its own.

use super::{Failure, Object, Trouble};
use crate::codec::key::PROBE;
use crate::far::breaker::Method;
use crate::far::erased::Operation;
use crate::params::Params;
use crate::sync;
use crate::sync::atomic::Ordering::SeqCst;
use crate::time::after;
use std::mem;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Between two rounds.
const PAUSE: Duration = Duration::from_millis(200);
/// So many rounds lie between two tries to pay, at most: 5 seconds.
const SLOWEST: u32 = 25;
/// What is set to see whether the storage takes sets: a block, which a full disk has no room for.
const BLOCK: [u8; 4096] = [0; 4096];
/// The block goes of itself, if it cannot be removed.
const BLOCK_TTL: Duration = Duration::from_secs(60);

/// Until nothing is left to do, or nobody uses the storage any more.
pub(super) async fn tend(object: Weak<Object>) {
    let mut pace = Pace::default();
    loop {
        let Some(clock) = object.upgrade().map(|object| object.clock().clone()) else { return };
        clock.alarm(after(clock.now(), PAUSE)).await;
        let Some(object) = object.upgrade() else { return };
        object.probe().await;
        if object.has_recovered.swap(false, SeqCst) {
            pace = Pace::default();
        }
        if pace.is_due() {
            let is_answered = object.pay().await;
            pace.tried(is_answered);
        }
        if !object.has_work() {
            object.is_tended.swap(false, SeqCst);
            // What failed in between has seen a caretaker at work.
            if !object.has_work() || object.is_tended.swap(true, SeqCst) {
                return;
            }
        }
    }
}

/// When it is tried again to pay what is owed: less and less often while nothing is answered.
struct Pace {
    /// Rounds from one try to the next.
    rounds: u32,
    /// Rounds until the next.
    left: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { rounds: 1, left: 1 }
    }
}

impl Pace {
    /// One round more.
    fn is_due(&mut self) -> bool {
        self.left -= 1;
        self.left == 0
    }

    fn tried(&mut self, is_answered: bool) {
        self.rounds = if is_answered { 1 } else { (2 * self.rounds).min(SLOWEST) };
        self.left = self.rounds;
    }
}

impl Object {
    /// Asks for what callers do not ask for now. No caller waits for that, and each operation is
    /// asked for by itself: a full disk still removes, which says nothing of its sets.
    async fn probe(self: &Arc<Self>) {
        for method in [Method::Get, Method::Set, Method::Remove] {
            if self.takes(method) {
                continue;
            }
            let is_answered = match method {
                Method::Get => {
                    let get = self.storage().get(PROBE.into());
                    is_in_time(self.background(Operation::new(get, None)).await)
                }
                Method::Set => {
                    let params = Arc::new(Params::new().with_ttl(BLOCK_TTL));
                    let set = self.storage().set(PROBE.into(), BLOCK.into(), params);
                    is_in_time(self.background(Operation::new(set, None)).await)
                }
                Method::Remove => is_in_time(self.remove_block().await),
            };
            if is_answered {
                self.breakers.of(method).close();
                self.has_recovered.store(true, SeqCst);
                self.report(&Trouble::Closed { operation: method.name() });
                if let Method::Set = method {
                    // If it fails, it is the last thing that is known of that key.
                    let _ = self.remove_block().await;
                }
            }
        }
    }

    async fn remove_block(&self) -> Result<((), bool), Failure> {
        let remove = self.storage().remove(vec![PROBE.into()]);
        self.background(Operation::new(remove, None)).await
    }

    /// Pays what is owed. Whether any of it was answered.
    async fn pay(&self) -> bool {
        let owing = sync::lock(&self.owing).clone();
        let mut is_answered = false;
        for part in owing {
            is_answered |= part.pay().await;
        }
        is_answered
    }

    /// Whether something is left to do. Lets go of the parts that have paid.
    fn has_work(&self) -> bool {
        let (paid, owes): (Vec<_>, Vec<_>) =
            mem::take(&mut *sync::lock(&self.owing)).into_iter().partition(|part| !part.owes());
        let has_work = !owes.is_empty() || self.breakers.is_any_open();
        sync::lock(&self.owing).extend(owes);
        drop(paid);
        has_work
    }

    /// Removes, where no caller waits.
    pub(in crate::far) async fn remove(&self, keys: Vec<Arc<str>>) -> Result<(), Failure> {
        let remove = Operation::new(self.storage().remove(keys), None);
        self.background(remove).await.map(|(done, _)| done)
    }
}

fn is_in_time<T>(outcome: Result<(T, bool), Failure>) -> bool {
    matches!(outcome, Ok((_, true)))
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn tries_that_are_not_answered_come_less_and_less_often() {
        let mut pace = Pace::default();
        let mut next = |is_answered| {
            let rounds = (1..).find(|_| pace.is_due());
            pace.tried(is_answered);
            rounds
        };
        let gaps: Vec<_> = (0..8).filter_map(|_| next(false)).collect();
        assert_eq!(gaps, [1, 2, 4, 8, 16, 25, 25, 25]);
        assert_eq!((next(true), next(true)), (Some(25), Some(1)));
    }
}
