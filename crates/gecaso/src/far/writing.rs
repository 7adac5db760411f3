//! A write on its way to the storage: begun by whoever comes to an idle key, ended by whoever is
//! left.
//!
//! Called by `part` and `tier`. A caller that goes away leaves its write to the background; it is
//! neither lost nor half done.

use super::erased::Operation;
use super::object::Failure;
use super::part::Part;
use super::pens::Write;
use crate::reentry::Chain;
use crate::runner;
use crate::time::{Alarm, after};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// The duty to write what is queued for a key. Dropped, it is done in the background.
#[must_use]
pub(crate) struct Duty {
    part: Option<Arc<Part>>,
    key: Arc<str>,
    limit: Duration,
}

impl Duty {
    /// `limit` is how long the write may take.
    pub(super) fn new(part: Arc<Part>, key: Arc<str>, limit: Duration) -> Self {
        Duty { part: Some(part), key, limit }
    }

    /// Writes, and waits for it. It is polled here once; if it has to wait, it is driven in the
    /// background: the removal of a key waits for the write before it, and must not depend on
    /// whether the task that began that write is polled again.
    ///
    /// Cancellation: dropping the future leaves the write to the background.
    pub(crate) async fn write(mut self, chain: Option<Chain>) {
        let Some(part) = self.part.take() else { return };
        let Some(writing) = Writing::begin(&part, &self.key, chain, self.limit) else { return };
        if let Err(apart) = runner::begin(writing) {
            apart.brought().await;
        }
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        let Some(part) = self.part.take() else { return };
        if let Some(writing) = Writing::begin(&part, &self.key, None, self.limit) {
            runner::detach(writing);
        }
    }
}

/// A write under way.
struct Writing {
    part: Arc<Part>,
    key: Arc<str>,
    write: Write,
    /// `None` once it has ended.
    operation: Option<Operation<()>>,
    alarm: Alarm,
    limit: Duration,
}

impl Writing {
    /// Begins what is queued, unless somebody is at it.
    fn begin(
        part: &Arc<Part>,
        key: &Arc<str>,
        chain: Option<Chain>,
        limit: Duration,
    ) -> Option<Writing> {
        let write = loop {
            let write = part.begin_write(key)?;
            if part.object().takes(write.method()) {
                break write;
            }
            if !part.end_write(key, &write, Err(Failure::Skipped)) {
                return None;
            }
        };
        let (storage, clock) = (part.object().storage(), part.object().clock());
        let job = match &write {
            Write::Set(bytes, params, _) => storage.set(key.clone(), bytes.clone(), params.clone()),
            Write::Remove => storage.remove(vec![key.clone()]),
        };
        Some(Writing {
            part: part.clone(),
            key: key.clone(),
            write,
            operation: Some(Operation::new(job, chain)),
            alarm: clock.alarm(after(clock.now(), limit)),
            limit,
        })
    }
}

impl Future for Writing {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Some(operation) = &mut this.operation else { return Poll::Ready(()) };
        let outcome = match Pin::new(operation).poll(cx) {
            Poll::Ready(outcome) => outcome.map_err(Failure::said),
            Poll::Pending => match Pin::new(&mut this.alarm).poll(cx) {
                Poll::Ready(()) => Err(Failure::TimedOut(this.limit)),
                Poll::Pending => return Poll::Pending,
            },
        };
        let operation = this.operation.take();
        drop(operation); // foreign code: before the key is free
        let (object, clock) = (this.part.object(), this.part.object().clock());
        let late = Failure::TimedOut(this.limit);
        let judged = match &outcome {
            // It has blocked the thread: its answer counts, and it is as slow as if it had not.
            Ok(()) if clock.now() >= this.alarm.at() => Some(&late),
            outcome => outcome.as_ref().err(),
        };
        object.judge(this.write.method(), judged);
        if this.part.end_write(&this.key, &this.write, outcome) {
            // The next one, which nobody waits for here.
            if let Some(next) = Writing::begin(&this.part, &this.key, None, this.limit) {
                runner::spawn(Box::pin(next));
            }
        }
        Poll::Ready(())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let Some(operation) = self.operation.take() else { return };
        let alarm = self.part.object().clock().alarm(self.alarm.at());
        runner::spawn(Box::pin(Writing {
            part: self.part.clone(),
            key: self.key.clone(),
            write: self.write.clone(),
            operation: Some(operation),
            alarm,
            limit: self.limit,
        }));
    }
}
