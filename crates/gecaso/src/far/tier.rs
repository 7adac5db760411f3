//! A far storage as one cache uses it: with the types of its keys and values.
//!
//! Called by `cache` and `call`. Knows no flight: when a write may be queued is said by the caller.

use super::object::{Budget, Far, Mode};
use super::part::{FarKey, Fetched, Part, Sealed};
use super::stats::FarStats;
use super::writing::Duty;
use crate::codec::FarValue;
use crate::codec::envelope::{self, Header, Opened, Refusal};
use crate::codec::key::{self, Identity, Key};
use crate::codec::limits::{self, Limits};
use crate::error::Error;
use crate::params::{Param, Params};
use crate::receipt::{Heard, Receipt};
use crate::reentry::{self, Chain};
use crate::time::{Clock, Nanos, Stamp, after};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// What a cache says of itself to a far storage.
#[derive(Debug, Clone)]
pub struct FarWords {
    /// Extra parameters of every set.
    pub(crate) params: Params,
    /// Whether keys have a fixed length, or are readable.
    pub(crate) hash_key: bool,
    /// How long one call waits; `None`: as long as the storage says.
    pub(crate) deadline: Option<Duration>,
}

impl Default for FarWords {
    fn default() -> Self {
        FarWords { params: Params::new(), hash_key: true, deadline: None }
    }
}

/// For generated code.
impl FarWords {
    /// One more extra parameter.
    #[must_use]
    pub fn param(mut self, name: &str, value: impl Into<Param>) -> Self {
        self.params = self.params.with(name, value);
        self
    }

    /// The word `hash_key`.
    #[must_use]
    pub fn hash_key(mut self, hash_key: bool) -> Self {
        self.hash_key = hash_key;
        self
    }

    /// The word `deadline`.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }
}

type Seal<V> = fn(&Header<'_>, &Params, &V, &Limits) -> Result<Vec<u8>, Error>;

/// A far storage, and how keys and values become bytes: known where it was given to a cache.
pub(crate) struct Plan<K, V> {
    far: Far,
    encode_key: fn(&K) -> Vec<u8>,
    seal: Seal<V>,
    value: fn(&Opened<'_>) -> Result<V, Refusal>,
}

pub(crate) struct FarTier<K, V> {
    plan: Plan<K, V>,
    part: Arc<Part>,
    params: Arc<Params>,
    deadline: Duration,
}

/// One call's business with the storage.
pub(crate) struct Visit<'a, K, V> {
    tier: &'a FarTier<K, V>,
    /// `Err`: it is too large to be kept.
    key: Result<FarKey, Error>,
    chain: Option<Chain>,
    budget: Budget,
    /// Whether the storage was asked before the body runs; a refresh does not ask.
    has_looked: bool,
    /// When the body began; 0: it has not.
    begun: Stamp,
    begun_at: Nanos,
}

/// What a load leaves to be written when the flight has ended.
#[must_use]
pub(crate) struct Leftover {
    duty: Duty,
    chain: Option<Chain>,
    clock: Clock,
    /// What is left of the call's time.
    left: Duration,
}

impl<K: Key, V: FarValue> Plan<K, V> {
    pub(crate) fn new<S: super::Storage>(storage: S) -> Self {
        Plan {
            far: Far::of(storage),
            encode_key: key::encode::<K>,
            seal: encode::<V>,
            value: decode::<V>,
        }
    }
}

/// A user's `Serialize` that panics is one that cannot.
fn encode<V: FarValue>(
    header: &Header<'_>,
    params: &Params,
    value: &V,
    limits: &Limits,
) -> Result<Vec<u8>, Error> {
    let seal = || envelope::seal(header, params, value, limits);
    let sealed = catch_unwind(AssertUnwindSafe(seal));
    sealed.unwrap_or_else(|_| Err(Error::new("its `Serialize` or `Deserialize` panicked")))
}

/// A user's `Deserialize` that panics has refused the bytes.
fn decode<V: FarValue>(opened: &Opened<'_>) -> Result<V, Refusal> {
    catch_unwind(AssertUnwindSafe(|| opened.value::<V>())).unwrap_or(Err(Refusal::Drift))
}

impl<K, V> Plan<K, V> {
    pub(crate) fn far(&self) -> &Far {
        &self.far
    }

    /// Attaches a cache of this name.
    pub(crate) fn open(
        self,
        name: &str,
        version: u32,
        ttl: Option<Duration>,
        words: FarWords,
    ) -> FarTier<K, V> {
        let (identity, object) = (Identity::new(name, version), self.far.object().clone());
        let part = object.part(
            |part| part.is(&identity, words.hash_key),
            || Part::new(object.clone(), identity.clone(), words.hash_key, &words.params),
        );
        let params = match ttl {
            Some(ttl) => words.params.with_ttl(ttl),
            None => words.params,
        };
        let deadline = words.deadline.unwrap_or(object.deadline());
        FarTier { plan: self, part, params: Arc::new(params), deadline }
    }
}

impl<K, V> FarTier<K, V> {
    /// Begins one call's business. `chain` is the flight that it is done for.
    pub(crate) fn visit(&self, key: &K, chain: Option<Chain>) -> Visit<'_, K, V> {
        let arguments = (self.plan.encode_key)(key);
        let key = self.key(arguments);
        let budget = Budget::new(self.deadline);
        Visit { tier: self, key, chain, budget, has_looked: false, begun: 0, begun_at: 0 }
    }

    /// `Err`: too large to be kept, which is reported once.
    fn key(&self, arguments: Vec<u8>) -> Result<FarKey, Error> {
        // The echo in the envelope has the identity, too.
        const MOST: usize = limits::KEY / 2;
        if arguments.len() <= MOST {
            return Ok(self.part.key(arguments));
        }
        let taken = arguments.len();
        let error = Error::new(format!(
            "its arguments take {taken} bytes as a key, at most {MOST}: `key` or `skip` can leave \
             some out"
        ));
        self.part.complain(&error);
        Err(error)
    }

    /// What the storage was asked for this cache, and what came of it.
    pub(crate) fn stats(&self) -> FarStats {
        self.part.stats()
    }

    /// Nothing that was loaded before is believed from now on. Under the locks of all flights.
    pub(crate) fn clear(&self) -> Change {
        let (duty, heard) = self.part.begin_epoch();
        Change {
            duty,
            heard,
            failed: None,
            learns: false,
            part: self.part.clone(),
            limit: self.deadline,
        }
    }
}

/// A removal, an insertion or a clear that counts here, and is still to be told to the storage,
/// which no lock may be held for.
#[must_use]
pub(crate) struct Change {
    duty: Option<Duty>,
    heard: Heard,
    failed: Option<Error>,
    /// Whether an entry is put in: its epoch has to be known.
    learns: bool,
    part: Arc<Part>,
    limit: Duration,
}

/// How many deadlines a receipt waits at most: for the epoch, for the write before, for its own.
const PATIENCE: u32 = 4;

impl Change {
    /// Tells the storage; the receipt says when it knows.
    pub(crate) fn tell(self) -> Receipt {
        let Change { duty, heard, failed, learns, part, limit } = self;
        let learnt = if learns { part.learn_behind() } else { None };
        drop(duty);
        let clock = part.object().clock();
        let limit = limit.max(part.object().deadline());
        let until = after(clock.now(), limit.saturating_mul(PATIENCE));
        let failed = failed.map_or_else(Receipt::ready, Receipt::failed);
        let heard = std::iter::once(heard).chain(learnt);
        heard.map(|heard| Receipt::after(heard, clock, until)).fold(failed, Receipt::and)
    }
}

impl<V, K> Visit<'_, K, V> {
    /// Sees to it that what the body brings can be stored: for a call that does not look before.
    pub(crate) async fn prepare(&mut self, mode: Mode) {
        // What cannot be learnt has been counted: the body runs all the same.
        let _ = self.tier.part.learn_epoch(&self.chain, mode, &mut self.budget).await;
    }

    /// Looks for the entry.
    pub(crate) async fn find(&mut self, mode: Mode) -> Fetched<V> {
        let (tier, chain) = (self.tier, self.chain.clone());
        self.has_looked = true;
        let Ok(key) = &self.key else { return Fetched::Nothing };
        let value = |opened: &Opened<'_>| {
            // Foreign code, which cannot wait for this flight.
            let _inside = self.chain.clone().map(reentry::enter);
            (tier.plan.value)(opened)
        };
        tier.part.look(key, value, chain, mode, &mut self.budget).await
    }

    /// The body begins.
    pub(crate) fn begin(&mut self) {
        let clock = self.tier.part.object().clock();
        (self.begun, self.begun_at) = (clock.stamp(), clock.now());
    }

    /// Puts what the body brought, or what was put in from outside, into an envelope. Runs foreign
    /// code.
    pub(crate) fn seal(&self, value: &V, ttl: Option<Duration>) -> Result<Sealed, Error> {
        let key = self.key.as_ref().map_err(Error::clone)?;
        let FarTier { plan, part, params, .. } = self.tier;
        let own = ttl.filter(|_| ttl != params.ttl());
        let params = &own
            .map_or_else(|| params.clone(), |ttl| Arc::new(Params::clone(params).with_ttl(ttl)));
        let took = part.object().clock().now().saturating_sub(self.begun_at);
        let seal = |header: &Header<'_>| (plan.seal)(header, params, value, part.object().limits());
        part.seal(key, self.begun, took, params, seal)
    }

    /// Queues what the body brought; `None`: that cannot be kept. Under the lock of the flight's
    /// shard.
    pub(crate) fn queue(&self, sealed: Option<&Sealed>) -> Option<Leftover> {
        let FarTier { part, deadline, .. } = self.tier;
        // A refresh: what is there now was loaded before, and must not be found any more.
        let replaces = !self.has_looked;
        let duty = match sealed {
            Some(sealed) => part.queue_load(sealed, *deadline, replaces)?,
            None if replaces => part.queue_change(self.key.as_ref().ok()?, None, *deadline).0?,
            None => return None,
        };
        let clock = part.object().clock().clone();
        Some(Leftover { duty, chain: self.chain.clone(), clock, left: self.budget.left })
    }

    /// Queues a removal, or an insertion. Under the lock of the flights' shard.
    pub(crate) fn change(&self, sealed: Option<&Sealed>) -> Option<Change> {
        let key = self.key.as_ref().ok()?;
        let FarTier { part, deadline, .. } = self.tier;
        // Too much waits: what is there goes, and nothing takes its place.
        let refused = sealed.is_some() && part.is_laden();
        let sealed = sealed.filter(|_| !refused);
        let failed = refused.then(|| Error::new("too much waits to be written: not stored"));
        let (duty, heard) = part.queue_change(key, sealed, *deadline);
        let learns = sealed.is_some();
        Some(Change { duty, heard, failed, learns, part: part.clone(), limit: *deadline })
    }
}

impl Leftover {
    /// Writes, and waits for it as long as the call may still wait; then it is written in the
    /// background.
    ///
    /// Cancellation: dropping the future leaves the write to the background.
    pub(crate) async fn write(self) {
        if self.left.is_zero() {
            return;
        }
        let alarm = self.clock.alarm(after(self.clock.now(), self.left));
        let _ = alarm.unless(self.duty.write(self.chain)).await;
    }
}
