//! The conformance suite passes storages that keep their promises, and finds the one mistake in
//! each of those that do not.

use crate::elsewhere::Elsewhere;
use gecaso::testing::{Chaos, check_storage, check_storage_async};
use gecaso::{LruStorage, Params, Result, Storage};
use std::collections::HashMap;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

#[test]
fn a_plain_storage_passes_and_is_left_empty() {
    let elsewhere = Elsewhere::new();
    elsewhere.put("not the suite's", b"value");
    check_storage(elsewhere.clone());
    assert_eq!(elsewhere.keys(), ["not the suite's"]);
}

#[test]
fn a_slow_storage_passes() {
    let slow = Chaos::new(Elsewhere::new());
    let slow = slow.delays(0.1, Duration::ZERO..=Duration::from_micros(200));
    check_storage(slow.clone());
    assert!(slow.counts().delays > 100);
    assert_eq!(slow.inner().len(), 0);
}

#[test]
fn an_lru_with_room_passes() {
    let lru = LruStorage::over(Elsewhere::new(), 1_000);
    check_storage(lru.clone());
    assert!(lru.is_empty());
}

/// Needs tokio, as clients of servers do.
#[derive(Default)]
struct OnTokio(tokio::sync::RwLock<HashMap<String, Vec<u8>>>);

impl Storage for OnTokio {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        tokio::time::sleep(Duration::from_micros(1)).await;
        Ok(self.0.read().await.get(key).cloned())
    }

    async fn set(&self, key: &str, value: &[u8], _: &Params) -> Result<()> {
        let value = value.to_vec();
        let value = tokio::spawn(async move { value }).await?;
        self.0.write().await.insert(key.to_owned(), value);
        Ok(())
    }

    async fn remove(&self, keys: &[&str]) -> Result<()> {
        let mut entries = self.0.write().await;
        keys.iter().for_each(|key| drop(entries.remove(*key)));
        Ok(())
    }
}

#[test]
fn a_storage_that_needs_tokio_passes_in_its_runtime() {
    let storage = Arc::new(OnTokio::default());
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().build().unwrap();
    runtime.block_on(check_storage_async(&storage));
    // The suite is a future like another: it may be a task of its own.
    let task = storage.clone();
    runtime.block_on(runtime.spawn(async move { check_storage_async(&task).await })).unwrap();
    assert!(runtime.block_on(storage.0.read()).is_empty());
}

#[test]
fn chaos_of_every_kind_is_found() {
    let lies: [fn(Chaos<Elsewhere>) -> Chaos<Elsewhere>; 7] = [
        |chaos| chaos.errors(0.02),
        |chaos| chaos.panics(0.02),
        |chaos| chaos.corruption(0.02),
        |chaos| chaos.old_values(0.1),
        |chaos| chaos.lost_sets(0.02),
        |chaos| chaos.late_sets(0.02),
        |chaos| chaos.lost_removes(0.1),
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let chaos = lie(Chaos::new(Elsewhere::new()));
        let report = report(chaos.clone());
        assert!(chaos.counts().faults() > 0, "{number}: nothing happened, and yet {report}");
    }
}

/// What the suite says of a storage that breaks a promise.
#[track_caller]
fn report(storage: impl Storage) -> String {
    let panic = catch_unwind(AssertUnwindSafe(|| check_storage(storage)))
        .expect_err("a broken promise that was not found");
    *panic.downcast::<String>().expect("a report")
}

/// Has room for so many entries, and says so, one way or another, when they are there.
struct Full {
    inner: Elsewhere,
    room: usize,
    panics: bool,
}

impl Storage for Full {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.inner.get(key).await
    }

    async fn set(&self, key: &str, value: &[u8], params: &Params) -> Result<()> {
        if self.inner.len() < self.room {
            return self.inner.set(key, value, params).await;
        }
        match self.panics {
            true => panic!("No space left on device"),
            false => Err("No space left on device".into()),
        }
    }

    async fn remove(&self, keys: &[&str]) -> Result<()> {
        self.inner.remove(keys).await
    }
}

#[test]
fn what_fails_for_want_of_room_is_told_how_much_is_wanted() {
    let full = |panics| report(Full { inner: Elsewhere::new(), room: 3, panics });
    let (error, panic) = (full(false), full(true));
    let lost = report(LruStorage::over(Elsewhere::new(), 3));
    for (report, parts) in [
        (error, ["an error: No space left", "room for 500 entries and 4 MiB", "right to fail"]),
        (panic, ["a panic: No space left", "Return an error", "check_storage_async"]),
        (lost, ["nothing (None)", "bounded by design", "room for 500 entries and 4 MiB"]),
    ] {
        assert!(parts.iter().all(|part| report.contains(part)), "{parts:?}: {report}");
    }
}

/// One mistake each.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mistake {
    Nothing,
    // Of those who ask alone:
    MissingIsAnError,
    MissingIsEmpty,
    EmptyIsMissing,
    IsText,
    Trims,
    EndsAtZero,
    Cuts,
    GivesOnce,
    KeepsTheFirst,
    Appends,
    WritesOver,
    RemovesTheFirst,
    RemovesAllForNone,
    RemovesPrefixes,
    RemovesNothing,
    StopsAtAbsent,
    RemovedForEver,
    AbsentIsAnError,
    FoldsCase,
    CutsKeys,
    CutsLongKeys,
    ReplacesSymbols,
    TrimsKeys,
    ForgetsMany,
    RemovesTenAtMost,
    EndsAfterAMonth,
    RoundsLifetimesDown,
    OverflowsLifetimes,
    KeepsOldLifetimes,
    RefusesParameters,
    HoldsOn,
    WritesInPlace,
    Panics,
    // Of those who ask at the same time:
    SharesABuffer,
    Tears,
    RollsBack,
}

use Mistake::*;

/// A storage with one mistake.
struct Wrong {
    mistake: Mistake,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: HashMap<String, Vec<u8>>,
    /// Removed once.
    removed: Vec<String>,
    /// The ends of short lifetimes.
    ends: HashMap<String, Instant>,
    /// Where all write first.
    buffer: Vec<u8>,
    busy: bool,
}

/// Lets others go on.
async fn yields() {
    let mut polled = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

impl Wrong {
    fn new(mistake: Mistake) -> Self {
        Wrong { mistake, state: Mutex::default() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn get_in_two_pieces(&self, name: &str) -> Option<Vec<u8>> {
        let mut found = self.state().entries.get(name)?.clone();
        found.truncate(found.len() / 2);
        yields().await;
        let state = self.state();
        let rest = state.entries.get(name).and_then(|value| value.get(found.len()..));
        found.extend_from_slice(rest.unwrap_or_default());
        Some(found)
    }

    fn name(&self, key: &str) -> String {
        match self.mistake {
            FoldsCase => key.to_lowercase(),
            CutsKeys => key.chars().take(64).collect(),
            CutsLongKeys => key.chars().take(199).collect(),
            TrimsKeys => key.trim_end().to_owned(),
            ReplacesSymbols => key.replace(|c: char| !c.is_ascii_alphanumeric(), "_"),
            _ => key.to_owned(),
        }
    }
}

impl Storage for Wrong {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        if self.mistake == HoldsOn {
            if std::mem::replace(&mut self.state().busy, true) {
                return Err("busy".into());
            }
            yields().await;
            self.state().busy = false;
        }
        let name = self.name(key);
        if self.mistake == Tears {
            return Ok(self.get_in_two_pieces(&name).await);
        }
        let mut state = self.state();
        let is_over = |ends: &Instant| Instant::now() >= *ends;
        if self.mistake == KeepsOldLifetimes && state.ends.get(&name).is_some_and(is_over) {
            return Ok(None);
        }
        let mut found = state.entries.get(&name).cloned();
        if self.mistake == GivesOnce {
            state.entries.remove(&name);
        }
        match self.mistake {
            MissingIsAnError if found.is_none() => return Err("no such key".into()),
            MissingIsEmpty => found = Some(found.unwrap_or_default()),
            EmptyIsMissing => found = found.filter(|value| !value.is_empty()),
            Panics if found.is_none() => panic!("unwrapped a None"),
            _ => {}
        }
        Ok(found)
    }

    async fn set(&self, key: &str, value: &[u8], params: &Params) -> Result<()> {
        let name = self.name(key);
        let mut value = value.to_vec();
        let days = params.ttl().map_or(0, |ttl| ttl.as_secs() / 86_400);
        match self.mistake {
            IsText => value = String::from_utf8_lossy(&value).into_owned().into_bytes(),
            Trims => value = value.trim_ascii().to_vec(),
            EndsAtZero => {
                let used = value.iter().rposition(|byte| *byte != 0);
                value.truncate(used.map_or(0, |used| used + 1));
            }
            Cuts => value.truncate(1 << 16),
            RefusesParameters if params.get("bytes").is_some() => {
                return Err("cannot say that in JSON".into());
            }
            EndsAfterAMonth if days > 30 => return Ok(()),
            OverflowsLifetimes if days > 20_000 => panic!("overflow when adding duration"),
            RoundsLifetimesDown if params.ttl().is_some_and(|ttl| ttl.as_secs() == 0) => {
                return Err("invalid expire time".into());
            }
            KeepsOldLifetimes if params.ttl() == Some(Duration::from_millis(1)) => {
                self.state().ends.insert(name.clone(), Instant::now() + Duration::from_millis(1));
            }
            SharesABuffer => {
                self.state().buffer.clone_from(&value);
                yields().await;
                value.clone_from(&self.state().buffer);
            }
            WritesInPlace => {
                let before = self.state().entries.get(&name).cloned();
                let half = value.len() / 2;
                if let Some(mut torn) = before.filter(|before| before.len() > half) {
                    torn[..half].copy_from_slice(&value[..half]);
                    self.state().entries.insert(name.clone(), torn);
                }
                yields().await;
            }
            RollsBack => {
                let before = self.state().entries.get(&name).cloned();
                yields().await;
                let mut state = self.state();
                if state.entries.get(&name) != before.as_ref() {
                    match before {
                        Some(before) => state.entries.insert(name, before),
                        None => state.entries.remove(&name),
                    };
                    return Ok(());
                }
            }
            _ => {}
        }
        let mut state = self.state();
        let many = state.entries.len() >= 200;
        let was_removed = state.removed.contains(&name);
        match (self.mistake, state.entries.get_mut(&name)) {
            (KeepsTheFirst, Some(_)) => {}
            (Appends, Some(before)) => before.extend(value),
            (WritesOver, Some(before)) if before.len() > value.len() => {
                before[..value.len()].copy_from_slice(&value);
            }
            (ForgetsMany, None) if many => {}
            (RemovedForEver, None) if was_removed => {}
            _ => drop(state.entries.insert(name, value)),
        }
        Ok(())
    }

    async fn remove(&self, keys: &[&str]) -> Result<()> {
        let names: Vec<String> = keys.iter().map(|key| self.name(key)).collect();
        let mut state = self.state();
        let names = match self.mistake {
            RemovesTheFirst => &names[..names.len().min(1)],
            RemovesTenAtMost => &names[..names.len().min(10)],
            RemovesNothing => &[],
            _ => &*names,
        };
        if self.mistake == RemovesAllForNone && names.is_empty() {
            state.entries.clear();
        }
        for name in names {
            let removed = state.entries.remove(name);
            match self.mistake {
                StopsAtAbsent if removed.is_none() => break,
                AbsentIsAnError if removed.is_none() => return Err("no such key".into()),
                RemovesPrefixes => state.entries.retain(|key, _| !key.starts_with(&**name)),
                RemovedForEver => state.removed.push(name.clone()),
                _ => {}
            }
        }
        Ok(())
    }
}

#[test]
fn a_storage_without_a_mistake_would_pass() {
    // The same code, so that what is found in the others is their mistake.
    check_storage(Wrong::new(Nothing));
}

/// Finds the mistake, in the promise that speaks of it, and says what came back and what to do.
#[track_caller]
fn is_found(mistake: Mistake, promise: &str, came: &str) {
    let report = report(Wrong::new(mistake));
    let says = report.lines().find(|line| line.starts_with("promise: ")).unwrap_or_default();
    assert!(says.contains(promise), "{mistake:?}: {report}");
    let back = report.lines().find(|line| line.starts_with("came back: ")).unwrap_or_default();
    assert!(back.contains(came), "{mistake:?}: {report}");
    for part in ["Wrong` does not do what", "\ndone: ", "\nwanted: ", "\nwhat to do: "] {
        assert!(report.contains(part), "{mistake:?}: {report}");
    }
}

#[test]
fn mistakes_about_missing_are_found() {
    is_found(MissingIsAnError, "a key that was never set is not found", "an error: no such key");
    is_found(MissingIsEmpty, "a key that was never set is not found", "0 bytes");
    is_found(Panics, "a key that was never set is not found", "a panic: unwrapped a None");
}

#[test]
fn mistakes_about_bytes_are_found() {
    is_found(EmptyIsMissing, "what was set is what is found", "nothing (None)");
    is_found(IsText, "what was set is what is found", "bytes");
    is_found(Trims, "what was set is what is found", "bytes");
    is_found(EndsAtZero, "what was set is what is found", "0 bytes");
    is_found(Cuts, "what was set is what is found", "65536 bytes");
    is_found(GivesOnce, "what was set is what is found", "nothing (None)");
}

#[test]
fn mistakes_about_overwritten_are_found() {
    is_found(KeepsTheFirst, "a set replaces all", "5 bytes");
    is_found(Appends, "a set replaces all", "28 bytes");
    is_found(WritesOver, "a set replaces all", "23 bytes");
}

#[test]
fn mistakes_about_removed_are_found() {
    is_found(RemovesTheFirst, "a key that was removed is not found any more", "bytes");
    is_found(RemovesAllForNone, "a key that was removed is not found any more", "nothing");
    is_found(RemovesNothing, "a key that was removed is not found any more", "bytes");
    is_found(RemovedForEver, "a key that was removed is not found any more", "nothing");
}

#[test]
fn mistakes_about_absent_are_found() {
    is_found(AbsentIsAnError, "removing what is not there is no error", "an error");
    is_found(StopsAtAbsent, "removing what is not there is no error", "5 bytes");
}

#[test]
fn mistakes_about_keys_are_found() {
    is_found(RemovesPrefixes, "keys that differ in anything", "nothing");
    is_found(FoldsCase, "keys that differ in anything", "bytes");
    is_found(CutsKeys, "keys that differ in anything", "bytes");
    is_found(CutsLongKeys, "keys that differ in anything", "bytes");
    is_found(ReplacesSymbols, "keys that differ in anything", "bytes");
    is_found(TrimsKeys, "keys that differ in anything", "bytes");
}

#[test]
fn mistakes_about_many_are_found() {
    is_found(ForgetsMany, "every entry is kept until", "nothing");
    is_found(RemovesTenAtMost, "every entry is kept until", "bytes");
}

#[test]
fn mistakes_about_lifetimes_are_found() {
    is_found(EndsAfterAMonth, "an entry is kept as long as its lifetime", "nothing");
    is_found(RoundsLifetimesDown, "an entry is kept as long as its lifetime", "an error");
    is_found(OverflowsLifetimes, "an entry is kept as long as its lifetime", "a panic");
    is_found(KeepsOldLifetimes, "an entry is kept as long as its lifetime", "nothing");
}

#[test]
fn mistakes_about_parameters_are_found() {
    is_found(RefusesParameters, "parameters that the storage does not know", "an error");
}

#[test]
fn mistakes_about_dropped_are_found() {
    is_found(HoldsOn, "an operation may be dropped midway", "busy");
    is_found(WritesInPlace, "an operation may be dropped midway", "5000 bytes");
}

#[test]
fn mistakes_about_at_once_are_found() {
    is_found(SharesABuffer, "operations at the same time", "bytes");
}

#[test]
fn mistakes_about_whole_are_found() {
    is_found(Tears, "a value is found whole", "bytes");
    is_found(RollsBack, "a value is found whole", "nothing");
}
