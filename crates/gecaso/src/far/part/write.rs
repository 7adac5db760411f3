//! What is written to the keys of a part: queued under the lock of a flight's shard, begun by
//! whoever comes to an idle key, and repeated if a removal has failed.
//!
//! Called by `tier`, `writing` and the caretaker in `object`. The rules are in `pens`.

use super::{FarKey, Part, Sealed, State};
use crate::codec::envelope;
use crate::error::Error;
use crate::far::breaker::Method;
use crate::far::object::Failure;
use crate::far::pens::Write;
use crate::far::stats::Count;
use crate::far::writing::Duty;
use crate::receipt::Heard;
use crate::signal::Signal;
use crate::sync;
use std::sync::Arc;
use std::time::Duration;

/// Removals that are repeated at once.
const BATCH: usize = 64;

impl Part {
    /// Queues what a load brought, unless there was a removal or a clear since it began. Under the
    /// lock of a flight's shard: performs nothing, and runs no foreign code. If it cannot be
    /// written and `replaces` what may be there, that is removed.
    pub(in crate::far) fn queue_load(
        self: &Arc<Self>,
        sealed: &Sealed,
        limit: Duration,
        replaces: bool,
    ) -> Option<Duty> {
        let Sealed { key, bytes, params, begun, epoch } = sealed;
        let mut state = sync::lock(&self.state);
        let State { epoch: now, pens } = &mut *state;
        let is_current = now.admits(*epoch, *begun, true);
        let is_admitted = is_current && pens.admits(&key.key, *begun);
        if is_admitted && pens.is_full() {
            // No more keys can be remembered: all entries go instead.
            drop(state);
            self.count(Count::Skipped);
            return self.begin_epoch().0;
        }
        let is_admitted = is_admitted && !pens.is_laden();
        if !is_admitted || !self.object.takes(Method::Set) {
            drop(state);
            self.count(Count::Skipped);
            return if replaces { self.queue_change(key, None, limit).0 } else { None };
        }
        let write = Write::Set(bytes.clone(), params.clone(), *begun);
        let is_ours = pens.queue(&key.key, write, None, None);
        is_ours.then(|| Duty::new(self.clone(), key.key.clone(), limit))
    }

    /// Queues a write that nothing older survives: a removal, or an entry put in from outside. As
    /// [`queue_load`](Self::queue_load).
    pub(in crate::far) fn queue_change(
        self: &Arc<Self>,
        key: &FarKey,
        sealed: Option<&Sealed>,
        limit: Duration,
    ) -> (Option<Duty>, Heard) {
        let heard: Heard = Arc::new(Signal::new());
        let mut state = sync::lock(&self.state);
        if state.pens.is_full() {
            // No more keys can be remembered: all entries go instead.
            drop(state);
            return self.begin_epoch();
        }
        let (write, fence) = match sealed {
            Some(Sealed { bytes, params, begun, .. }) if *begun >= state.pens.fence(&key.key) => {
                (Write::Set(bytes.clone(), params.clone(), *begun), *begun)
            }
            // Something else was put in or removed since this was sealed: this is the later one.
            Some(Sealed { bytes, params, .. }) => {
                let begun = self.object.clock().stamp();
                (Write::Set(envelope::restamp(bytes, begun), params.clone(), begun), begun)
            }
            None => (Write::Remove, self.object.clock().stamp()),
        };
        let is_ours = state.pens.queue(&key.key, write, Some(fence), Some(heard.clone()));
        drop(state);
        (is_ours.then(|| Duty::new(self.clone(), key.key.clone(), limit)), heard)
    }

    /// Begins a new epoch: nothing that was loaded before is believed from now on. As
    /// [`queue_load`](Self::queue_load).
    pub(in crate::far) fn begin_epoch(self: &Arc<Self>) -> (Option<Duty>, Heard) {
        let heard: Heard = Arc::new(Signal::new());
        let mut state = sync::lock(&self.state);
        state.epoch.begin(self.object.clock().stamp());
        let orphans = state.pens.clear();
        let duty = self.queue_record(&mut state, Some(heard.clone()));
        for orphan in orphans {
            // What waited for its turn is of the old epoch now. Whoever waited for it waits for the
            // new one to be known.
            state.pens.attend(&self.epoch_key, orphan);
        }
        (duty, heard)
    }

    /// Begins a write that waits.
    pub(in crate::far) fn begin_write(&self, key: &str) -> Option<Write> {
        sync::lock(&self.state).pens.begin(key)
    }

    /// A write has ended. Whether another one waits.
    pub(in crate::far) fn end_write(
        self: &Arc<Self>,
        key: &str,
        write: &Write,
        outcome: Result<(), Failure>,
    ) -> bool {
        let done = match write {
            Write::Set(..) => Count::Set,
            Write::Remove => Count::Remove,
        };
        let operation = write.method().name();
        match &outcome {
            Ok(()) => self.count(done),
            Err(failure) => self.count_failure(failure),
        }
        let told = outcome.map_err(|failure| {
            let name = &self.identity.name;
            let meanwhile = match write {
                Write::Remove => {
                    "until the removal succeeds, which is repeated, this process does \
                                  not use the entry"
                }
                Write::Set(..) if key == &*self.epoch_key => {
                    "it is repeated; this process uses no older entry, others may"
                }
                Write::Set(..) => "the entry is not stored, and what was there is removed",
            };
            let what = format!("the storage of `{name}` could not `{operation}`: {failure}");
            Error::new(format!("{what}; {meanwhile}"))
        });
        let (heard, goes_on) = {
            let mut state = sync::lock(&self.state);
            if let (Ok(()), Write::Set(_, _, value)) = (&told, write)
                && key == &*self.epoch_key
            {
                state.epoch.told(*value);
            }
            state.pens.end(key, told.is_ok())
        };
        if self.owes() {
            self.object.tend(self);
        }
        heard.iter().for_each(|heard| heard.say(told.clone()));
        goes_on
    }

    /// Removals to be repeated.
    pub(in crate::far) fn owed(&self) -> usize {
        sync::lock(&self.state).pens.owed()
    }

    /// Whether something is to be repeated.
    pub(in crate::far) fn owes(&self) -> bool {
        let state = sync::lock(&self.state);
        state.pens.owed() > 0 || state.epoch.owes()
    }

    /// Whether no more entries may wait to be written.
    pub(in crate::far) fn is_laden(&self) -> bool {
        sync::lock(&self.state).pens.is_laden()
    }

    /// Whether a write is under way, or waits.
    #[cfg(all(test, shuttle))]
    pub(in crate::far) fn is_writing(&self) -> bool {
        sync::lock(&self.state).pens.is_writing()
    }

    /// Repeats what is owed, until all is done or not even one removal is answered. Whether any of
    /// it was. The breaker is not told of removals: whether the storage answers them has been asked
    /// before.
    pub(in crate::far) async fn pay(self: &Arc<Self>) -> bool {
        let record = {
            let mut state = sync::lock(&self.state);
            let is_due = state.epoch.owes() && self.object.takes(Method::Set);
            if is_due { self.queue_record(&mut state, None) } else { None }
        };
        let mut is_answered = false;
        if let Some(record) = record {
            record.write(None).await;
            is_answered = !sync::lock(&self.state).epoch.owes();
        }
        let mut most = BATCH;
        while self.object.takes(Method::Remove) {
            let keys = sync::lock(&self.state).pens.begin_owed(most);
            if keys.is_empty() {
                break;
            }
            let removed = self.object.remove(keys.clone()).await;
            for key in &keys {
                if self.end_write(key, &Write::Remove, removed.clone()) {
                    drop(Duty::new(self.clone(), key.clone(), self.object.deadline()));
                }
            }
            match removed {
                Ok(()) => is_answered = true,
                Err(_) if keys.len() > 1 => most = keys.len() / 2, // perhaps too many at once
                Err(_) => break,
            }
        }
        is_answered
    }
}
