//! One function's part of a far storage: its epoch, its fences, and what is written to its keys.
//!
//! An entry is believed only if it is of this function and these arguments, of the present epoch,
//! and loaded after the last removal of its key that this process knows of. `clear` begins a new
//! epoch: three methods cannot enumerate, so what is of an older one is left lying and never read.
//! The epoch is kept in the storage, under a key of its own, where other processes find it.
//!
//! Called by `tier`. Knows no types of keys and values, no call and no flight. Runs no foreign code
//! under its lock.

use super::epoch::{Ask, Epoch};
use super::erased::Operation;
use super::object::{Budget, Failure, Mode, Object, Trouble};
use super::pens::{Known, Pens, Write};
use super::stats::{Count, Counters, FarStats};
use super::writing::Begin;
use crate::codec::envelope::{self, Header, Opened, Refusal};
use crate::codec::key::Identity;
use crate::error::Error;
use crate::params::Params;
use crate::receipt::Heard;
use crate::reentry::{self, Chain};
use crate::runner;
use crate::signal::Signal;
use crate::sync::atomic::{AtomicBool, Ordering::Relaxed};
use crate::sync::{self, Mutex};
use crate::time::{NEVER, Nanos, Stamp, after};
use std::sync::Arc;
use std::time::Duration;

pub(super) struct Part {
    object: Arc<Object>,
    identity: Identity,
    hash_key: bool,
    epoch_key: Arc<str>,
    /// What the storage is told with the record of the epoch: all but a lifetime.
    params: Arc<Params>,
    /// When it was opened: the epoch, if the storage knows none.
    opened: Stamp,
    state: Mutex<State>,
    counters: Counters,
    /// Whether it has been reported that a value cannot be encoded.
    has_complained: AtomicBool,
}

struct State {
    epoch: Epoch,
    pens: Pens,
}

/// How much the clocks of two machines may differ: what seems to be loaded later is not believed.
const SKEW: Duration = Duration::from_secs(2);

/// The key of a call, as the storage sees it, and in full.
#[derive(Clone)]
pub(crate) struct FarKey {
    pub(super) key: Arc<str>,
    pub(super) arguments: Vec<u8>,
}

/// What looking for an entry brought.
pub(super) enum Looked<T> {
    Found(T),
    Nothing,
    Failed(Failure),
}

/// An entry on its way, in its envelope.
pub(crate) struct Sealed {
    key: FarKey,
    bytes: Arc<[u8]>,
    params: Arc<Params>,
    begun: Stamp,
    epoch: Stamp,
}

impl Part {
    pub(super) fn new(
        object: Arc<Object>,
        identity: Identity,
        hash_key: bool,
        params: &Params,
    ) -> Self {
        Part {
            params: Arc::new(params.clone()),
            epoch_key: identity.reserved_key("epoch", hash_key).into(),
            opened: object.clock().stamp(),
            object,
            identity,
            hash_key,
            state: Mutex::new(State { epoch: Epoch::default(), pens: Pens::default() }),
            counters: Counters::default(),
            has_complained: AtomicBool::new(false),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.identity.name
    }

    pub(super) fn is(&self, identity: &Identity, hash_key: bool) -> bool {
        self.hash_key == hash_key && self.identity.encoded == identity.encoded
    }

    pub(super) fn object(&self) -> &Arc<Object> {
        &self.object
    }

    pub(super) fn key(&self, arguments: Vec<u8>) -> FarKey {
        let key = self.identity.storage_key(&arguments, self.hash_key);
        FarKey { key: key.into(), arguments }
    }

    fn count(&self, what: Count) {
        self.counters.add(what);
        self.object.count(what);
    }

    fn count_failure(&self, failure: &Failure) {
        self.count(match failure {
            Failure::Said(_) => Count::Error,
            Failure::TimedOut(_) => Count::Timeout,
            Failure::Skipped => Count::Skipped,
        });
    }

    pub(super) fn stats(&self) -> FarStats {
        self.counters.snapshot(self.owed())
    }

    /// Looks for an entry; `decode` makes a value of one that is believed.
    pub(super) async fn look<T>(
        self: &Arc<Self>,
        key: &FarKey,
        decode: impl Fn(&Opened<'_>) -> Result<T, Refusal>,
        chain: Option<Chain>,
        mode: Mode,
        budget: &mut Budget,
    ) -> Looked<T> {
        if let Err(failure) = self.learn_epoch(&chain, mode, budget).await {
            self.count_failure(&failure);
            return Looked::Failed(failure);
        }
        let mut read: Option<Option<Vec<u8>>> = None;
        loop {
            // What is known here is looked at again after the storage has answered.
            let known = sync::lock(&self.state).pens.known(&key.key);
            let bytes: &[u8] = match (&known, &read) {
                (Known::Removed, _) => return self.nothing(),
                (Known::Written(bytes), _) => bytes,
                (Known::Resting, Some(None)) => return self.nothing(),
                (Known::Resting, Some(Some(bytes))) => bytes,
                (Known::Resting, None) => {
                    let job = self.object.storage().get(key.key.clone());
                    let get = Operation::new(job, chain.clone());
                    match self.object.read(get, mode, budget).await {
                        Ok(found) => read = Some(found),
                        Err(failure) => {
                            self.count_failure(&failure);
                            return Looked::Failed(failure);
                        }
                    }
                    continue;
                }
            };
            return match self.open(key, bytes, decode) {
                Ok(value) => {
                    self.count(Count::Hit);
                    Looked::Found(value)
                }
                Err(refused) => {
                    self.count(refused);
                    Looked::Nothing
                }
            };
        }
    }

    fn nothing<T>(&self) -> Looked<T> {
        self.count(Count::Miss);
        Looked::Nothing
    }

    /// What an envelope holds, if it is believed now.
    fn open<T>(
        &self,
        key: &FarKey,
        bytes: &[u8],
        decode: impl Fn(&Opened<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Count> {
        let opened = envelope::open(bytes, self.object.limits()).map_err(counted)?;
        let Header { fingerprint, key: echo, .. } = opened.header();
        let arguments = echo.strip_prefix(&*self.identity.encoded);
        if fingerprint != self.identity.fingerprint || arguments != Some(&*key.arguments) {
            return Err(Count::Foreign);
        }
        let value = decode(&opened).map_err(counted)?;
        // Last: decoding may run foreign code, and take its time.
        self.believe(&key.key, &opened.header())?;
        Ok(value)
    }

    /// Whether an entry counts now: its epoch, its fence, its time.
    fn believe(&self, key: &str, header: &Header<'_>) -> Result<(), Count> {
        let (last, wall) = self.object.clock().last_and_wall();
        if header.begun > after(last.max(wall), SKEW) {
            return Err(Count::Disbelieved);
        }
        if header.expires <= wall {
            return Err(Count::Expired);
        }
        let state = sync::lock(&self.state);
        let is_removed = matches!(state.pens.known(key), Known::Removed);
        let is_current = state.epoch.admits(header.epoch, header.begun);
        match is_current && !is_removed && state.pens.admits(key, header.begun) {
            true => Ok(()),
            false => Err(Count::Disbelieved),
        }
    }

    /// Puts a value into its envelope. That it does not fit in is reported once.
    pub(super) fn seal(
        &self,
        key: &FarKey,
        begun: Stamp,
        took: Nanos,
        params: &Arc<Params>,
        encode: impl FnOnce(&Header<'_>) -> Result<Vec<u8>, Error>,
    ) -> Result<Sealed, Error> {
        let expires = params.ttl().map_or(NEVER, |ttl| after(self.object.clock().wall(), ttl));
        let epoch = sync::lock(&self.state).epoch.value();
        let echo = [&*self.identity.encoded, &*key.arguments].concat();
        let header = Header {
            fingerprint: self.identity.fingerprint,
            epoch,
            begun,
            expires,
            load_took: took,
            key: &echo,
        };
        match encode(&header) {
            Ok(bytes) => {
                let (key, params) = (key.clone(), params.clone());
                Ok(Sealed { key, bytes: bytes.into(), params, begun, epoch })
            }
            Err(error) => {
                self.complain(&error);
                Err(error)
            }
        }
    }

    /// Something cannot be kept outside of the process: counted, and reported once.
    pub(super) fn complain(&self, error: &Error) {
        self.count(Count::Unencodable);
        if !self.has_complained.swap(true, Relaxed) {
            let function = &*self.identity.name;
            self.object.report(&Trouble::Unencodable { function, error });
        }
    }

    /// Queues what a load brought, unless there was a removal or a clear since it began. Under the
    /// lock of a flight's shard: performs nothing, and runs no foreign code. If it cannot be written
    /// and `replaces` what may be there, that is removed.
    pub(super) fn queue_load(
        self: &Arc<Self>,
        sealed: &Sealed,
        limit: Duration,
        replaces: bool,
    ) -> Option<Begin> {
        let Sealed { key, bytes, params, begun, epoch } = sealed;
        let mut state = sync::lock(&self.state);
        let State { epoch: now, pens } = &mut *state;
        let is_current = now.is_known() && now.admits(*epoch, *begun) && *epoch != 0;
        let is_admitted = is_current && pens.admits(&key.key, *begun);
        let is_admitted = is_admitted && !pens.is_full() && !pens.is_laden();
        if !is_admitted || !self.object.takes_writes() {
            drop(state);
            self.count(Count::Skipped);
            return if replaces { self.queue_change(key, None, limit).0 } else { None };
        }
        let write = Write::Set(bytes.clone(), params.clone(), *begun);
        let is_ours = pens.queue(&key.key, write, None, None);
        is_ours.then(|| Begin::new(self.clone(), key.key.clone(), limit))
    }

    /// Queues a write that nothing older survives: a removal, or an entry put in from outside. As
    /// [`queue_load`](Self::queue_load).
    pub(super) fn queue_change(
        self: &Arc<Self>,
        key: &FarKey,
        sealed: Option<&Sealed>,
        limit: Duration,
    ) -> (Option<Begin>, Heard) {
        let heard: Heard = Arc::new(Signal::new());
        let mut state = sync::lock(&self.state);
        if state.pens.is_full() {
            // No more keys can be remembered: all entries go instead.
            drop(state);
            return self.begin_epoch();
        }
        let (write, fence) = match sealed {
            Some(Sealed { bytes, params, begun, .. }) => {
                (Write::Set(bytes.clone(), params.clone(), *begun), *begun)
            }
            None => (Write::Remove, self.object.clock().stamp()),
        };
        let is_ours = state.pens.queue(&key.key, write, Some(fence), Some(heard.clone()));
        drop(state);
        (is_ours.then(|| Begin::new(self.clone(), key.key.clone(), limit)), heard)
    }

    /// Begins a new epoch: nothing that was loaded before is believed from now on. As
    /// [`queue_load`](Self::queue_load).
    pub(super) fn begin_epoch(self: &Arc<Self>) -> (Option<Begin>, Heard) {
        let heard: Heard = Arc::new(Signal::new());
        let mut state = sync::lock(&self.state);
        state.epoch.begin(self.object.clock().stamp());
        let orphans = state.pens.clear();
        let begin = self.queue_record(&mut state, Some(heard.clone()));
        for orphan in orphans {
            // What waited for its turn is of the old epoch now. Whoever waited for it waits for the
            // new one to be known.
            state.pens.attend(&self.epoch_key, orphan);
        }
        (begin, heard)
    }

    /// Queues the record of the epoch.
    fn queue_record(self: &Arc<Self>, state: &mut State, heard: Option<Heard>) -> Option<Begin> {
        let value = state.epoch.value();
        let header = Header {
            fingerprint: self.identity.fingerprint,
            epoch: value,
            begun: value,
            expires: NEVER,
            load_took: 0,
            key: &self.identity.encoded,
        };
        let record = envelope::seal(&header, &Params::new(), &(), self.object.limits());
        let record = record.expect("a unit fits into an envelope");
        let write = Write::Set(record.into(), self.params.clone(), value);
        let is_ours = state.pens.queue(&self.epoch_key, write, None, heard);
        let limit = self.object.deadline();
        is_ours.then(|| Begin::new(self.clone(), self.epoch_key.clone(), limit))
    }

    /// What a stored record says.
    fn read_record(&self, bytes: &[u8]) -> Option<Stamp> {
        let opened = envelope::open(bytes, self.object.limits()).ok()?;
        let Header { fingerprint, epoch, key, .. } = opened.header();
        (fingerprint == self.identity.fingerprint && key == self.identity.encoded).then_some(epoch)
    }

    /// Sees to it that the epoch is known: asks the storage now if it never did, and behind the
    /// caller's back if that was long ago.
    async fn learn_epoch(
        self: &Arc<Self>,
        chain: &Option<Chain>,
        mode: Mode,
        budget: &mut Budget,
    ) -> Result<(), Failure> {
        let ask = sync::lock(&self.state).epoch.ask(self.object.clock().now());
        match ask {
            Ask::No => Ok(()),
            Ask::First => self.ask_epoch(chain.clone(), mode, budget).await,
            Ask::Behind => {
                let part = self.clone();
                runner::spawn(Box::pin(async move {
                    let mut budget = Budget::new(part.object.deadline());
                    let asked = part.ask_epoch(None, Mode::Here, &mut budget).await;
                    if asked.is_err() {
                        let now = part.object.clock().now();
                        sync::lock(&part.state).epoch.asked_in_vain(now);
                    }
                }));
                Ok(())
            }
        }
    }

    /// Asks for the epoch in the background, if it is not known: what was put in before it is known
    /// counts elsewhere only if the storage has a record. Says when that is written.
    pub(super) fn learn_behind(self: &Arc<Self>) -> Option<Heard> {
        let asks = sync::lock(&self.state).epoch.ask_ahead();
        asks.then(|| {
            let heard: Heard = Arc::new(Signal::new());
            let (part, said) = (self.clone(), heard.clone());
            let learn = async move {
                let mut budget = Budget::new(part.object.deadline());
                let asked = part.ask_epoch(None, Mode::Here, &mut budget).await;
                let outcome = asked.map_err(|failure| {
                    let now = part.object.clock().now();
                    sync::lock(&part.state).epoch.asked_in_vain(now);
                    let name = &part.identity.name;
                    Error::new(format!("the storage of `{name}` could not be read: {failure}"))
                });
                let (record, owes) = {
                    let mut state = sync::lock(&part.state);
                    (state.pens.heed(&part.epoch_key), state.epoch.owes())
                };
                match (outcome, record) {
                    (Ok(()), Some(record)) => said.say(record.heard().await),
                    (Ok(()), None) if owes => {
                        let name = &part.identity.name;
                        let text =
                            format!("the storage of `{name}` has no record of its epoch yet");
                        said.say(Err(Error::new(text)));
                    }
                    (outcome, _) => said.say(outcome),
                }
            };
            runner::detach(Box::pin(learn));
            heard
        })
    }

    async fn ask_epoch(
        self: &Arc<Self>,
        chain: Option<Chain>,
        mode: Mode,
        budget: &mut Budget,
    ) -> Result<(), Failure> {
        let get = Operation::new(self.object.storage().get(self.epoch_key.clone()), chain.clone());
        let read = self.object.read(get, mode, budget).await?;
        let said = read.and_then(|bytes| self.read_record(&bytes));
        let (now, stamp) = (self.object.clock().now(), self.object.clock().stamp());
        let begin = {
            let mut state = sync::lock(&self.state);
            let owes = state.epoch.learn(said, self.opened, now, stamp);
            self.object.clock().meet(state.epoch.value());
            if owes { self.queue_record(&mut state, None) } else { None }
        };
        // Written in the background, but begun here: that cannot wait for this flight, either.
        let _inside = chain.map(reentry::enter);
        drop(begin);
        Ok(())
    }

    /// Begins a write that waits.
    pub(super) fn begin_write(&self, key: &str) -> Option<Write> {
        sync::lock(&self.state).pens.begin(key)
    }

    /// A write has ended. Whether another one waits.
    pub(super) fn end_write(&self, key: &str, write: &Write, outcome: Result<(), Failure>) -> bool {
        let (operation, done) = match write {
            Write::Set(..) => ("set", Count::Set),
            Write::Remove => ("remove", Count::Remove),
        };
        self.object.wrote(operation, outcome.as_ref().err());
        match &outcome {
            Ok(()) => self.count(done),
            Err(failure) => self.count_failure(failure),
        }
        let told = outcome.map_err(|failure| {
            let name = &self.identity.name;
            let text = format!("the storage of `{name}` could not `{operation}`: {failure}");
            Error::new(text)
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
            self.object.tend();
        }
        heard.iter().for_each(|heard| heard.say(told.clone()));
        goes_on
    }

    /// Removals to be repeated.
    pub(super) fn owed(&self) -> usize {
        sync::lock(&self.state).pens.owed()
    }

    /// Whether something is to be repeated.
    pub(super) fn owes(&self) -> bool {
        let state = sync::lock(&self.state);
        state.pens.owed() > 0 || state.epoch.owes()
    }

    /// Whether no more entries may wait to be written.
    pub(super) fn is_laden(&self) -> bool {
        sync::lock(&self.state).pens.is_laden()
    }

    /// Whether a write is under way, or waits.
    #[cfg(all(test, shuttle))]
    pub(super) fn is_writing(&self) -> bool {
        sync::lock(&self.state).pens.is_writing()
    }

    /// Repeats what is owed, until all is done or something fails again; so many removals at once.
    pub(super) async fn pay(self: &Arc<Self>, most: usize) {
        let record = {
            let mut state = sync::lock(&self.state);
            if state.epoch.owes() { self.queue_record(&mut state, None) } else { None }
        };
        if let Some(record) = record {
            record.write(None).await;
        }
        loop {
            let keys = sync::lock(&self.state).pens.begin_owed(most);
            if keys.is_empty() {
                return;
            }
            let removed = self.object.remove(keys.clone()).await;
            for key in &keys {
                let outcome = removed.as_ref().map_err(Failure::again).copied();
                if self.end_write(key, &Write::Remove, outcome) {
                    drop(Begin::new(self.clone(), key.clone(), self.object.deadline()));
                }
            }
            if removed.is_err() {
                return;
            }
        }
    }
}

/// What a refusal counts as.
fn counted(refusal: Refusal) -> Count {
    match refusal {
        Refusal::Foreign => Count::Foreign,
        Refusal::Corrupt | Refusal::TooLarge => Count::Corrupt,
        Refusal::Version | Refusal::Drift => Count::Outdated,
    }
}
