//! What a storage promises to those who ask it at the same time, on one task and on several
//! threads.
//!
//! Called by the suite once the storage has kept all promises to a single caller.

use super::Run;
use super::probe::{Broken, Probe, Promise, shown};
use crate::blocking::block_on;
use crate::far::Storage;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::thread;

/// Who asks at the same time.
const WORKERS: usize = 6;
/// What each of them does.
const ROUNDS: usize = 20;
/// Bytes of a value, at most: more than a page, more than one write.
const LONGEST: usize = 20_000;

static APART: Promise = Promise {
    says: "operations at the same time on different keys do not disturb each other",
    advice: "Let nothing be shared between two operations but what is behind a lock: no buffer, \
             no connection whose answers could be taken by another one, no file of one name.",
};

static WHOLE: Promise = Promise {
    says: "a value is found whole, whoever sets or removes its key at the same time, and what was \
           set last stays",
    advice: "Put a value in its place in one step: under one lock, by renaming a file, in one \
             command. When a set returns, all earlier ones of its key are over.",
};

/// A worker, on its own until it is done.
type Worker<'a> = Pin<Box<dyn Future<Output = Result<(), Broken>> + Send + 'a>>;

pub(super) async fn on_this_task<S: Storage>(run: &Run<'_, S>) -> Result<(), Broken> {
    for phase in Phase::ALL {
        join(phase.workers(run, "task")).await?;
        phase.end(run, "task").await?;
    }
    Ok(())
}

pub(super) fn on_threads<S: Storage>(run: &Run<'_, S>) -> Result<(), Broken> {
    for phase in Phase::ALL {
        thread::scope(|scope| {
            let threads: Vec<_> = phase
                .workers(run, "thread")
                .into_iter()
                .map(|worker| {
                    let spawned =
                        thread::Builder::new().spawn_scoped(scope, || block_on(pin!(worker)));
                    spawned.expect("a thread for the conformance suite")
                })
                .collect();
            let ended = threads.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            ended.collect::<Result<(), Broken>>()
        })?;
        block_on(pin!(phase.end(run, "thread")))?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Phase {
    /// Each on keys of its own.
    Apart,
    /// All on one key: setting and looking.
    Setting,
    /// All on one key: setting, looking, removing.
    Removing,
}

impl Phase {
    const ALL: [Phase; 3] = [Phase::Apart, Phase::Setting, Phase::Removing];

    fn workers<'a, S: Storage>(self, run: &'a Run<'a, S>, on: &str) -> Vec<Worker<'a>> {
        let key = self.key(run, on);
        let start = |worker| -> Worker<'a> {
            let key = key.clone();
            match self {
                Phase::Apart => {
                    Box::pin(apart(Probe::new(run, &APART), format!("{key}-{worker}"), worker))
                }
                Phase::Setting => Box::pin(on_one(Probe::new(run, &WHOLE), key, worker, false)),
                Phase::Removing => Box::pin(on_one(Probe::new(run, &WHOLE), key, worker, true)),
            }
        };
        (0..WORKERS).map(start).collect()
    }

    fn key<S: Storage>(self, run: &Run<'_, S>, on: &str) -> String {
        run.key(match self {
            Phase::Apart => format!("apart-{on}"),
            Phase::Setting => format!("setting-{on}"),
            Phase::Removing => format!("removing-{on}"),
        })
    }

    /// All workers are done.
    async fn end<S: Storage>(self, run: &Run<'_, S>, on: &str) -> Result<(), Broken> {
        if matches!(self, Phase::Apart) {
            return Ok(());
        }
        let mut probe = Probe::new(run, &WHOLE);
        let key = &*self.key(run, on);
        probe.note(format!("{WORKERS} workers, on one {on}, on one key, until all were done"));
        let found = probe.get(key).await?;
        let is_right = match (&found, self) {
            (None, Phase::Removing) => true,
            (None, _) => false,
            (Some(value), Phase::Removing) => of(value).is_some(),
            // The last of all sets was the last of its worker.
            (Some(value), _) => of(value).is_some_and(|(_, round)| round == ROUNDS - 1),
        };
        if !is_right {
            let wanted = match self {
                Phase::Removing => "nothing, or one of the values that were set",
                _ => "what one of the workers has set last",
            };
            return Err(probe.broken(shown(found.as_deref()), wanted));
        }
        probe.set(key, b"last").await?;
        probe.finds(key, Some(b"last")).await?;
        probe.remove(&[key]).await?;
        probe.finds(key, None).await
    }
}

/// Sets, looks and removes as if it were alone.
async fn apart<S: Storage>(
    mut probe: Probe<'_, S>,
    key: String,
    worker: usize,
) -> Result<(), Broken> {
    for round in 0..ROUNDS {
        let value = value(worker, round);
        probe.set(&key, &value).await?;
        probe.finds(&key, Some(&value)).await?;
        if round % 3 == 2 {
            probe.remove(&[&key]).await?;
            probe.finds(&key, None).await?;
        }
    }
    Ok(())
}

/// Sets, looks and perhaps removes where all others do.
async fn on_one<S: Storage>(
    mut probe: Probe<'_, S>,
    key: String,
    worker: usize,
    removes: bool,
) -> Result<(), Broken> {
    for round in 0..ROUNDS {
        probe.set(&key, &value(worker, round)).await?;
        let found = probe.get(&key).await?;
        if found.as_deref().is_some_and(|value| of(value).is_none()) {
            let wanted = "nothing, or one of the values that were set, whole";
            return Err(probe.broken(shown(found.as_deref()), wanted));
        }
        if removes && round % 4 == worker % 4 {
            probe.remove(&[&key]).await?;
        }
    }
    Ok(())
}

/// A value that says whose it is, and shows it in every byte.
fn value(worker: usize, round: usize) -> Vec<u8> {
    let number = (worker * ROUNDS + round) as u32;
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b1);
    let length = 5 + mixed as usize % LONGEST;
    let filling = (0..).map(|at: u32| (mixed.rotate_left(at % 32) ^ at.wrapping_mul(131)) as u8);
    number.to_be_bytes().into_iter().chain(filling).take(length).collect()
}

/// Which worker has set this value, in which round; `None` if nobody has.
fn of(found: &[u8]) -> Option<(usize, usize)> {
    let number = u32::from_be_bytes(*found.first_chunk()?) as usize;
    let (worker, round) = (number / ROUNDS, number % ROUNDS);
    (worker < WORKERS && value(worker, round) == found).then_some((worker, round))
}

/// Polls all until all are done, or one breaks a promise.
async fn join(mut workers: Vec<Worker<'_>>) -> Result<(), Broken> {
    poll_fn(|cx| {
        let mut at = 0;
        while let Some(worker) = workers.get_mut(at) {
            match worker.as_mut().poll(cx) {
                Poll::Pending => at += 1,
                Poll::Ready(Ok(())) => drop(workers.swap_remove(at)),
                Poll::Ready(broken) => return Poll::Ready(broken),
            }
        }
        if workers.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}
