//! One function's part of a far storage: its epoch, its fences, and what is written to its keys.
//!
//! An entry is believed only if it is of this function and these arguments, of the present epoch,
//! and loaded after the last removal of its key that this process knows of. `clear` begins a new
//! epoch: three methods cannot enumerate, so what is of an older one is left lying and never read.
//! The epoch is kept in the storage, under a key of its own, where other processes find it.
//!
//! `ask` has what concerns the epoch, `write` what is written. Called by `tier`. Knows no types of
//! keys and values, no call and no flight. Runs no foreign code under its lock.

use super::epoch::{Epoch, SKEW};
use super::erased::Operation;
use super::object::{Budget, Failure, Mode, Object, Trouble};
use super::pens::{Known, Pens};
use super::stats::{Count, Counters, FarStats};
use crate::codec::envelope::{self, Header, Opened, Refusal};
use crate::codec::key::Identity;
use crate::error::Error;
use crate::params::Params;
use crate::reentry::Chain;
use crate::sync::atomic::{AtomicBool, Ordering::Relaxed};
use crate::sync::{self, Mutex};
use crate::time::{NEVER, Nanos, Stamp, after};
use std::sync::Arc;

mod ask;
mod write;

pub(super) struct Part {
    object: Arc<Object>,
    identity: Identity,
    hash_key: bool,
    epoch_key: Arc<str>,
    /// What the storage is told with the record of the epoch: all but a lifetime.
    params: Arc<Params>,
    /// The epoch, if the storage knows none: when this was opened, less what clocks may differ, so
    /// that what is put in from then on counts for others, too.
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

/// The key of a call, as the storage sees it, and in full.
#[derive(Clone)]
pub(crate) struct FarKey {
    pub(super) key: Arc<str>,
    pub(super) arguments: Vec<u8>,
}

/// What looking for an entry brought.
pub(crate) enum Fetched<T> {
    Found(T),
    Nothing,
    /// The storage could not be asked.
    Failed(Error),
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
            opened: object.clock().stamp().saturating_sub(SKEW.as_nanos() as Stamp).max(1),
            object,
            identity,
            hash_key,
            state: Mutex::new(State { epoch: Epoch::default(), pens: Pens::default() }),
            counters: Counters::default(),
            has_complained: AtomicBool::new(false),
        }
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
            Failure::TimedOut(_) | Failure::HeldUp(_) => Count::Timeout,
            Failure::Skipped => Count::Skipped,
        });
    }

    #[cold]
    fn unread(&self, failure: &Failure) -> Error {
        let name = &self.identity.name;
        Error::new(format!("the storage of `{name}` could not be read: {failure}"))
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
    ) -> Fetched<T> {
        if let Err(failure) = self.learn_epoch(&chain, mode, budget).await {
            return Fetched::Failed(self.unread(&failure));
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
                            return Fetched::Failed(self.unread(&failure));
                        }
                    }
                    continue;
                }
            };
            return match self.open(key, bytes, decode) {
                Ok(value) => {
                    self.count(Count::Hit);
                    Fetched::Found(value)
                }
                Err(refused) => {
                    self.count(refused);
                    Fetched::Nothing
                }
            };
        }
    }

    fn nothing<T>(&self) -> Fetched<T> {
        self.count(Count::Miss);
        Fetched::Nothing
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
        let ours = state.pens.fence(key) == header.begun;
        let is_current = state.epoch.admits(header.epoch, header.begun, ours);
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
}

/// What a refusal counts as.
fn counted(refusal: Refusal) -> Count {
    match refusal {
        Refusal::Foreign => Count::Foreign,
        Refusal::Corrupt | Refusal::TooLarge => Count::Corrupt,
        Refusal::Version | Refusal::Drift => Count::Outdated,
    }
}
