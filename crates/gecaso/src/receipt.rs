//! What `invalidate`, `clear` and `insert` give back: in this process they are done when they
//! return; the receipt stands for whatever lies outside of it.

use crate::blocking::block_on;
use crate::error::Error;
use crate::signal::Signal;
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
    outcome: Result<(), Error>,
    awaited: Vec<Heard>,
    /// Waits for all of them, once it is polled.
    heeding: Option<Heeding>,
}

type Heeding = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + Sync>>;

impl Receipt {
    pub(crate) fn ready() -> Self {
        Receipt { outcome: Ok(()), awaited: Vec::new(), heeding: None }
    }

    pub(crate) fn failed(error: Error) -> Self {
        Receipt { outcome: Err(error), awaited: Vec::new(), heeding: None }
    }

    pub(crate) fn after(heard: Heard) -> Self {
        Receipt { outcome: Ok(()), awaited: vec![heard], heeding: None }
    }

    /// Both: the first that failed is kept.
    pub(crate) fn and(mut self, other: Receipt) -> Receipt {
        self.outcome = self.outcome.and(other.outcome);
        self.awaited.extend(other.awaited);
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
        let mut outcome = self.outcome;
        for heard in self.awaited {
            outcome = outcome.and(heard.heard().await);
        }
        outcome
    }
}

impl Clone for Receipt {
    fn clone(&self) -> Self {
        Receipt { outcome: self.outcome.clone(), awaited: self.awaited.clone(), heeding: None }
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("Receipt");
        f.field("outcome", &self.outcome).field("awaited", &self.awaited.len()).finish()
    }
}

/// Awaits as [`wait`](Receipt::wait) waits.
impl Future for Receipt {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.awaited.is_empty() {
            return Poll::Ready(self.outcome.clone());
        }
        if self.heeding.is_none() {
            let heeding = self.clone().heard();
            self.heeding = Some(Box::pin(heeding));
        }
        self.heeding.as_mut().expect("made above").as_mut().poll(cx)
    }
}
