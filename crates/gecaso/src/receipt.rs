//! What `invalidate`, `clear` and `insert` give back: in this process they are done when they
//! return; the receipt stands for whatever lies outside of it.

use crate::blocking::block_on;
use crate::error::Error;
use crate::signal::Signal;
use crate::time::{Clock, Nanos};
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

/// Said when a storage outside of the process has been told, or could not be.
pub(crate) type Heard = Arc<Signal<Result<(), Error>>>;

/// Says when a removal or an insertion has reached every storage it concerns.
///
/// In this process the effect is there before the function that hands out the receipt returns, so a
/// receipt may be dropped. It may also be awaited, or waited for with [`wait`](Receipt::wait):
/// storages in memory are done at once; storages outside of the process have been told by then, or
/// have not answered within their deadline. A removal that failed there is repeated in the
/// background; until it has succeeded, this process does not believe that storage about the key.
///
/// ```
/// let cache: gecaso::Cache<u64, u64> = gecaso::Cache::new(gecaso::LruStorage::new(16));
/// cache.insert(1, 10);                 // dropped: fine
/// cache.invalidate(&1).wait()?;        // waited for
/// # Ok::<(), gecaso::Error>(())
/// ```
pub struct Receipt {
    /// `None`: it is done, and well.
    rest: Option<Box<Rest>>,
}

struct Rest {
    outcome: Result<(), Error>,
    awaited: Vec<Awaited>,
    /// Waits for all of them, once it is polled.
    heeding: Option<Heeding>,
}

#[derive(Clone)]
struct Awaited {
    heard: Heard,
    clock: Clock,
    until: Nanos,
}

type Heeding = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + Sync>>;

impl Receipt {
    #[inline]
    pub(crate) fn ready() -> Self {
        Receipt { rest: None }
    }

    pub(crate) fn failed(error: Error) -> Self {
        Self::of(Err(error), Vec::new())
    }

    fn of(outcome: Result<(), Error>, awaited: Vec<Awaited>) -> Self {
        Receipt { rest: Some(Box::new(Rest { outcome, awaited, heeding: None })) }
    }

    /// Waits for what is heard, and at most until `until`: a storage that blocks the threads which
    /// drive it must not hold up whoever waits here.
    #[cfg_attr(not(feature = "far"), allow(dead_code))]
    pub(crate) fn after(heard: Heard, clock: &Clock, until: Nanos) -> Self {
        Self::of(Ok(()), vec![Awaited { heard, clock: clock.clone(), until }])
    }

    /// Both: the first that failed is kept.
    pub(crate) fn and(mut self, other: Receipt) -> Receipt {
        match (&mut self.rest, other.rest) {
            (_, None) => {}
            (None, other) => self.rest = other,
            (Some(rest), Some(other)) => {
                if rest.outcome.is_ok() {
                    rest.outcome = other.outcome;
                }
                rest.awaited.extend(other.awaited);
            }
        }
        self
    }

    /// Waits until every storage has it. Parks the thread: in an asynchronous function await the
    /// receipt instead.
    ///
    /// # Errors
    ///
    /// If a storage could not be told. From [`handle`](crate::handle), also if the method has not
    /// been called yet, if more than one method goes by the name, or if the value is of another
    /// type than the method returns.
    pub fn wait(self) -> Result<(), Error> {
        block_on(pin!(self.heard()))
    }

    async fn heard(self) -> Result<(), Error> {
        let Some(rest) = self.rest else { return Ok(()) };
        let mut outcome = rest.outcome;
        for Awaited { heard, clock, until } in rest.awaited {
            let told = clock.alarm(until).unless(heard.heard()).await;
            let late = || Err(Error::new("the storage has not answered; it may still be told"));
            outcome = outcome.and(told.unwrap_or_else(late));
        }
        outcome
    }
}

impl Clone for Receipt {
    fn clone(&self) -> Self {
        let clone = |rest: &Rest| Self::of(rest.outcome.clone(), rest.awaited.clone());
        self.rest.as_deref().map_or_else(Receipt::ready, clone)
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("Receipt");
        let done = (&Ok(()), 0);
        let (outcome, awaited) =
            self.rest.as_ref().map_or(done, |rest| (&rest.outcome, rest.awaited.len()));
        f.field("outcome", outcome).field("awaited", &awaited).finish()
    }
}

/// Awaits as [`wait`](Receipt::wait) waits.
impl Future for Receipt {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Some(rest) = &mut self.rest else { return Poll::Ready(Ok(())) };
        if rest.awaited.is_empty() {
            return Poll::Ready(rest.outcome.clone());
        }
        let copy = || Self::of(rest.outcome.clone(), rest.awaited.clone());
        let heeding = rest.heeding.get_or_insert_with(|| Box::pin(copy().heard()));
        heeding.as_mut().poll(cx)
    }
}
