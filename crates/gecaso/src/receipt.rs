//! What `invalidate`, `clear` and `insert` give back: in this process they are done when they
//! return; the receipt stands for whatever lies outside of it.

use crate::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Says when a removal or an insertion has reached every storage it concerns.
///
/// In this process the effect is there before the function that hands out the receipt returns, so a
/// receipt may be dropped. It may also be awaited, or waited for with [`wait`](Receipt::wait).
/// Storages in memory are done at once.
///
/// ```
/// let cache: gecaso::Cache<u64, u64> = gecaso::Cache::new(gecaso::LruStorage::new(16));
/// cache.insert(1, 10);                 // dropped: fine
/// cache.invalidate(&1).wait()?;        // waited for
/// # Ok::<(), gecaso::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Receipt {
    outcome: Result<(), Error>,
}

impl Receipt {
    pub(crate) fn ready() -> Self {
        Receipt { outcome: Ok(()) }
    }

    pub(crate) fn failed(error: Error) -> Self {
        Receipt { outcome: Err(error) }
    }

    /// Both: the first that failed is kept.
    pub(crate) fn and(self, other: Receipt) -> Receipt {
        Receipt { outcome: self.outcome.and(other.outcome) }
    }

    /// Waits until every storage has it.
    ///
    /// # Errors
    ///
    /// If a storage could not be told. From [`handle`](crate::handle), also if the method has not
    /// been called yet, if more than one method goes by the name, or if the value is of another
    /// type than the method returns.
    pub fn wait(self) -> Result<(), Error> {
        self.outcome
    }
}

impl Future for Receipt {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(self.outcome.clone())
    }
}
