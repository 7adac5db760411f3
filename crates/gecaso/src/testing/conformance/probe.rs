//! How the suite asks a storage: each operation is written down, bounded in time, and a panic is an
//! answer like another.
//!
//! Used by the promises. Knows the words of a report, and no promise.

use super::Run;
use crate::far::Storage;
use crate::params::Params;
use crate::sync::lock;
use crate::time::{Clock, after};
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// Operations that a report shows, the last ones.
const SHOWN: usize = 12;
/// Bytes that a report shows of a value, from its beginning and from its end.
const BYTES: usize = 8;

/// Something that gecaso relies on.
pub(super) struct Promise {
    /// What is promised.
    pub(super) says: &'static str,
    /// What to do if it is broken.
    pub(super) advice: &'static str,
}

/// A promise that was broken, and how.
pub(super) struct Broken {
    promise: &'static Promise,
    done: Vec<String>,
    came: String,
    wanted: String,
    /// What else may be the matter, whatever the promise.
    also: &'static str,
}

/// Said of a storage that has failed.
const AFTER_ERROR: &str = "This error is the storage's own, or its client's: look into it first. \
     If it says that something is full, give the suite a place with room for 500 entries and \
     4 MiB. Where a storage cannot do what it is asked it is right to fail: gecaso goes on.";
/// Said of one that has panicked.
const AFTER_PANIC: &str = "Return an error in the place of the panic (`?`, not `unwrap`): gecaso \
     takes a panic for an error, but a lock of yours may be poisoned by it. A client that needs a \
     runtime is checked by `check_storage_async`, inside of one.";
/// Said of one that does not answer.
const AFTER_SILENCE: &str = "An operation ends, with an error if need be. A client that needs a \
     runtime is checked by `check_storage_async`, inside of one.";
/// Said of one that has lost an entry.
const AFTER_LOSS: &str = "If it drops entries because it is bounded by design, check it with room \
     for 500 entries and 4 MiB.";

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "promise:    {}", self.promise.says)?;
        let skipped = self.done.len().saturating_sub(SHOWN);
        for (at, line) in self.done[skipped..].iter().enumerate() {
            writeln!(f, "{}{line}", if at == 0 { "done:       " } else { "            " })?;
        }
        writeln!(f, "came back:  {}", self.came)?;
        writeln!(f, "wanted:     {}", self.wanted)?;
        write!(f, "what to do: {}", self.promise.advice)?;
        match self.also {
            "" => Ok(()),
            also => write!(f, "\n            {also}"),
        }
    }
}

/// Asks a storage, one operation after the other, on behalf of one promise.
pub(super) struct Probe<'a, S> {
    run: &'a Run<'a, S>,
    promise: &'static Promise,
    done: Vec<String>,
}

impl<'a, S: Storage> Probe<'a, S> {
    pub(super) fn new(run: &'a Run<'a, S>, promise: &'static Promise) -> Self {
        Probe { run, promise, done: Vec::new() }
    }

    /// A key of this run; the suite removes it in the end.
    pub(super) fn key(&self, what: impl fmt::Display) -> String {
        self.run.key(what)
    }

    pub(super) async fn set(&mut self, key: &str, value: &[u8]) -> Result<(), Broken> {
        self.set_with(key, value, &Params::new()).await
    }

    pub(super) async fn set_with(
        &mut self,
        key: &str,
        value: &[u8],
        params: &Params,
    ) -> Result<(), Broken> {
        lock(&self.run.used).insert(key.to_owned());
        let with = if *params == Params::new() { "" } else { ", with parameters" };
        self.done.push(format!("set {key:?} to {}{with}", shown(Some(value))));
        let storage = self.run.storage;
        self.ask(|| storage.set(key, value, params)).await
    }

    pub(super) async fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, Broken> {
        self.done.push(format!("get {key:?}"));
        let storage = self.run.storage;
        self.ask(|| storage.get(key)).await
    }

    pub(super) async fn remove(&mut self, keys: &[&str]) -> Result<(), Broken> {
        let all = if keys.len() > 4 { format!("{} keys", keys.len()) } else { format!("{keys:?}") };
        self.done.push(format!("remove {all}"));
        let storage = self.run.storage;
        self.ask(|| storage.remove(keys)).await
    }

    /// Looks the key up and compares.
    pub(super) async fn finds(&mut self, key: &str, wanted: Option<&[u8]>) -> Result<(), Broken> {
        self.finds_one_of(key, &[wanted]).await
    }

    /// Looks the key up; each of these would do.
    pub(super) async fn finds_one_of(
        &mut self,
        key: &str,
        wanted: &[Option<&[u8]>],
    ) -> Result<(), Broken> {
        let found = self.get(key).await?;
        if wanted.contains(&found.as_deref()) {
            return Ok(());
        }
        let wanted: Vec<String> = wanted.iter().map(|value| shown(*value)).collect();
        let mut broken = self.broken(shown(found.as_deref()), wanted.join(", or "));
        if found.is_none() {
            broken.also = AFTER_LOSS;
        }
        Err(broken)
    }

    /// Begins an operation, polls it so many times and drops it.
    pub(super) async fn drops<T>(
        &mut self,
        what: &str,
        polls: usize,
        future: impl Future<Output = T>,
    ) {
        self.done.push(format!("{what}; dropped after {polls} polls, if it had not answered"));
        let mut future = pin!(future);
        let mut left = polls;
        poll_fn(|cx| {
            while left > 0 {
                left -= 1;
                if future.as_mut().poll(cx).is_ready() {
                    break;
                }
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Another one asks on, at another time or on another thread.
    pub(super) fn note(&mut self, what: impl Into<String>) {
        self.done.push(what.into());
    }

    pub(super) fn broken(&mut self, came: impl Into<String>, wanted: impl Into<String>) -> Broken {
        let done = std::mem::take(&mut self.done);
        Broken { promise: self.promise, done, came: came.into(), wanted: wanted.into(), also: "" }
    }

    /// Awaits an operation: an error, a panic or silence break the promise.
    async fn ask<T, F>(&mut self, begin: impl FnOnce() -> F) -> Result<T, Broken>
    where
        F: Future<Output = crate::Result<T>>,
    {
        let clock = Clock::System;
        let alarm = clock.alarm(after(clock.now(), self.run.limit));
        let (came, also) = match alarm.unless(caught(begin)).await {
            Some(Ok(Ok(answer))) => return Ok(answer),
            Some(Ok(Err(error))) => (format!("an error: {error}"), AFTER_ERROR),
            Some(Err(panic)) => (format!("a panic: {panic}"), AFTER_PANIC),
            None => (format!("nothing, within {:?}", self.run.limit), AFTER_SILENCE),
        };
        Err(Broken { also, ..self.broken(came, "Ok") })
    }
}

/// What `begin` returns, awaited; or the message of its panic.
async fn caught<F: Future>(begin: impl FnOnce() -> F) -> Result<F::Output, String> {
    let said = |panic: Box<dyn std::any::Any + Send>| {
        let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
        text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "?".into())
    };
    let mut future = pin!(async { begin().await });
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        polled.map_or_else(|panic| Poll::Ready(Err(said(panic))), |polled| polled.map(Ok))
    })
    .await
}

/// A value in a report: how long it is, how it begins and how it ends.
pub(super) fn shown(value: Option<&[u8]>) -> String {
    let Some(value) = value else { return "nothing (None)".into() };
    let hex = |bytes: &[u8]| {
        let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        bytes.join(" ")
    };
    let inside = match (value.first_chunk::<BYTES>(), value.last_chunk::<BYTES>()) {
        (Some(first), Some(last)) if value.len() > 2 * BYTES => {
            format!("{} .. {}", hex(first), hex(last))
        }
        _ => hex(value),
    };
    format!("{} bytes [{inside}]", value.len())
}
