//! Single flight: one body per key at a time; the others wait for it and share what it brings.
//!
//! A flight is registered under its key while its body runs. Only a flight that is still valid may
//! store: an invalidation marks it, and so does a later flight that has stored; what it brings then
//! goes to those who were waiting for it and nowhere else. Storing, and the look whether the flight
//! is still valid, are one step, under the lock of the flight's shard.
//!
//! Called by `call` and `cache`. Knows no storage: what "store" means is handed in. Runs no foreign
//! code under its locks: foreign keys are compared over snapshots. A flight that nobody follows
//! allocates nothing.

use crate::error::Error;
use crate::key::NearKey;
use crate::outcome::SharedRest;
use crate::reentry::{self, Chain, FlightId};
use crate::signal::Signal;
use crate::snapshot::Snapshot;
use crate::sync::{self, Mutex};
use crate::time::Alarm;
use std::sync::Arc;

mod records;
use records::{FlightKey, Left, Record, Records, Standing};

/// Shards of the register of one cache. Only misses come here, so a few are enough.
const SHARDS: usize = 16;

/// The register of one cache.
pub(crate) struct Flights<K, V> {
    shards: Box<[Guarded<K, V>]>,
}

/// A shard on cache lines of its own: misses must not disturb each other, nor hits.
#[repr(align(128))]
struct Guarded<K, V>(Mutex<Records<K, V>>);

/// What those who wait for a body share.
pub(crate) struct Flight<V> {
    hash: u64,
    pub(crate) chain: Chain,
    landing: Signal<Landing<V>>,
}

/// How a flight ended.
pub(crate) enum Landing<V> {
    /// With a value.
    Value(Arc<V>),
    /// With an `Err` or a `None` that can be shared.
    Rest(SharedRest),
    /// With an `Err` that cannot: everybody runs the own body, side by side.
    Alone,
    /// Without a look into the far storage, which could not be asked: who would rather fail than
    /// run its own body fails with this.
    Refused(Error),
    /// Its leader panicked or was cancelled: somebody else leads.
    Gone,
}

impl<V> Clone for Landing<V> {
    fn clone(&self) -> Self {
        match self {
            Landing::Value(value) => Landing::Value(value.clone()),
            Landing::Rest(rest) => Landing::Rest(rest.clone()),
            Landing::Alone => Landing::Alone,
            Landing::Refused(error) => Landing::Refused(error.clone()),
            Landing::Gone => Landing::Gone,
        }
    }
}

/// The duty to land a flight, and what was seen when it was registered; or the flight to follow.
pub(crate) type Boarded<'a, K, V, R> = Result<(Lead<'a, K, V>, R), Arc<Flight<V>>>;

impl<K: NearKey, V> Flights<K, V> {
    pub(crate) fn new() -> Self {
        let shard = |_| Guarded(Mutex::new(Records::new()));
        Flights { shards: (0..SHARDS).map(shard).collect() }
    }

    fn shard(&self, hash: u64) -> &Mutex<Records<K, V>> {
        &self.shards[(hash >> 48) as usize % SHARDS].0
    }

    /// Registers a flight for `key`, and does `look`, as one step; fails with the flight to follow,
    /// if there is one.
    #[inline]
    pub(crate) fn board<R>(
        &self,
        hash: u64,
        key: &K,
        plain: bool,
        inside: &Option<Chain>,
        look: impl FnOnce() -> R,
    ) -> Boarded<'_, K, V, R> {
        let flight_key = FlightKey::new(key, plain);
        let (is_key, mut seen) = (|other: &K| other == key, Snapshot::vacant());
        let boarded = self.with_group(hash, is_key, &mut seen, |shard, group| {
            let join = group.and_then(|group| {
                shard.of(hash, group).find(|one| one.standing == Standing::Joinable)
            });
            match join {
                // The key goes out again: a foreign one must not be dropped under the lock.
                Some(record) => Err((record.flight(), flight_key)),
                None => Ok((shard.begin(hash, flight_key, inside, group), group.is_none(), look())),
            }
        });
        match boarded {
            Ok((chain, alone, seen_there)) => Ok((self.lead(hash, chain, alone, seen), seen_there)),
            Err((flight, _)) => Err(flight),
        }
    }

    /// Registers a flight for `key` beside any other: from now on this one is joined, and what it
    /// brings wins over what began earlier.
    pub(crate) fn lead_anew(
        &self,
        hash: u64,
        key: &K,
        plain: bool,
        inside: &Option<Chain>,
    ) -> Lead<'_, K, V> {
        let flight_key = FlightKey::new(key, plain);
        let (is_key, mut seen) = (|other: &K| other == key, Snapshot::vacant());
        let chain = self.with_group(hash, is_key, &mut seen, |shard, group| {
            if let Some(group) = group {
                shard.of(hash, group).for_each(|record| record.standing = Standing::Outdated);
            }
            shard.begin(hash, flight_key, inside, group)
        });
        self.lead(hash, chain, false, seen)
    }

    /// Who leads a flight that has been registered. What was seen on the way may hold the last
    /// reference to a key, whose drop is foreign code: it runs inside the chain, since this flight
    /// cannot wait for itself.
    #[inline]
    fn lead(&self, hash: u64, chain: Chain, alone: bool, seen: Snapshot<K>) -> Lead<'_, K, V> {
        let left = Left::NOTHING;
        let lead = Lead { flights: self, hash, chain, alone, registered: true, left };
        if !seen.is_vacant() {
            let _inside = reentry::enter(lead.chain());
            drop(seen);
        }
        lead
    }

    /// Does `act`, and makes the flights of a key invalid, as one step.
    pub(crate) fn supersede<R>(
        &self,
        hash: u64,
        is: impl Fn(&K) -> bool,
        act: impl FnOnce() -> R,
    ) -> R {
        let supersede = |shard: &mut Records<K, V>, group| {
            if let Some(group) = group {
                shard.of(hash, group).for_each(Record::invalidate);
            }
            act()
        };
        self.with_group(hash, is, &mut Snapshot::vacant(), supersede)
    }

    /// Does `act` under the lock, with the group of a key's flights if there are any. What is
    /// `known` in the end is to be dropped where a foreign drop may run.
    #[inline]
    fn with_group<R>(
        &self,
        hash: u64,
        is: impl Fn(&K) -> bool,
        known: &mut Snapshot<K>,
        act: impl FnOnce(&mut Records<K, V>, Option<FlightId>) -> R,
    ) -> R {
        loop {
            let seen = {
                let mut shard = sync::lock(self.shard(hash));
                let group = match shard.is_empty() {
                    true => Ok(None), // what is known has ended
                    false => shard.group(hash, &is, known),
                };
                match group {
                    Ok(group) => return act(&mut shard, group),
                    Err(seen) => seen,
                }
            };
            // The old snapshot may hold the last reference to a key: no lock is held here.
            *known = seen.resolve(&is);
        }
    }

    /// Nobody joins this flight any more: it is stuck, or seems to be.
    pub(crate) fn give_up(&self, flight: &Flight<V>) {
        let mut shard = sync::lock(self.shard(flight.hash));
        if let Some(record) = shard.find(flight.hash, flight.chain.id)
            && record.standing == Standing::Joinable
        {
            record.standing = Standing::Outdated;
        }
    }

    /// Does `act`, and makes all flights invalid, as one step. The only place that holds more than
    /// one of the shards, taken in their order.
    pub(crate) fn supersede_all<R>(&self, act: impl FnOnce() -> R) -> R {
        let mut shards: Vec<_> = self.shards.iter().map(|shard| sync::lock(&shard.0)).collect();
        for shard in &mut shards {
            shard.iter_mut().for_each(Record::invalidate);
        }
        act()
    }

    /// Bodies that run now, invalid ones too.
    #[cfg(all(test, shuttle))]
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| sync::lock(&shard.0).len()).sum()
    }
}

impl<K: NearKey, V> Flights<K, V> {
    /// Takes every flight out, as if there had been none. What comes out is dropped by the caller,
    /// where no lock is held.
    #[cfg(not(shuttle))]
    pub(crate) fn forget_all(&self) -> impl Sized + use<K, V> {
        let take = |shard: &Guarded<K, V>| sync::lock(&shard.0).take();
        self.shards.iter().map(take).collect::<Vec<_>>()
    }
}

impl<V> Flight<V> {
    /// Waits for the landing; `None` if the alarm rang first.
    ///
    /// Cancellation: dropping the future takes its waker out, and concerns nobody else.
    pub(crate) async fn landing(&self, alarm: Alarm) -> Option<Landing<V>> {
        alarm.unless(self.landing.heard()).await
    }
}

/// The duty to land a flight. Dropped before that (a panic, a cancellation), it lets go of the key
/// and wakes those who wait, so that one of them leads.
pub(crate) struct Lead<'a, K: NearKey, V> {
    flights: &'a Flights<K, V>,
    hash: u64,
    chain: Chain,
    alone: bool,
    registered: bool,
    /// What stood in the register, once the flight has left it. The drop of its key is foreign
    /// code, and runs when all have been answered.
    left: Left<K, V>,
}

impl<K: NearKey, V> Lead<'_, K, V> {
    /// The chain that this flight's body runs in.
    pub(crate) fn chain(&self) -> Chain {
        self.chain.clone()
    }

    /// Whether no other valid flight of the key was under way when this one began.
    pub(crate) fn is_alone(&self) -> bool {
        self.alone
    }

    /// Whether what it brings may still be stored.
    pub(crate) fn is_valid(&self) -> bool {
        let mut shard = sync::lock(self.flights.shard(self.hash));
        shard.find(self.hash, self.chain.id).is_some_and(|record| record.is_valid())
    }

    /// Does `store` if the flight is still valid, and takes it out of the register, as one step. If
    /// `store` asks for another try, the flight stays in.
    #[inline]
    pub(crate) fn commit<C>(&mut self, store: impl FnOnce() -> Result<(), C>) -> Result<(), C> {
        let (hash, id) = (self.hash, self.chain.id);
        let mut shard = sync::lock(self.flights.shard(hash));
        let Some(record) = shard.find(hash, id) else { return Ok(()) };
        let (group, begun) = (record.group, record.begun);
        let stores = record.is_valid();
        if stores {
            store()?;
        }
        self.left = shard.remove(hash, id);
        self.registered = false;
        if stores && !shard.is_empty() {
            // An older load never overwrites a newer one.
            shard.of(hash, group).filter(|other| other.begun < begun).for_each(Record::invalidate);
        }
        Ok(())
    }

    /// Takes the flight out of the register, if it is still there.
    #[inline]
    fn leave(&mut self) {
        if self.registered {
            self.leave_register();
        }
    }

    #[inline(never)]
    fn leave_register(&mut self) {
        self.left = sync::lock(self.flights.shard(self.hash)).remove(self.hash, self.chain.id);
        self.registered = false;
    }

    /// Ends the flight: those who wait get the landing, which is made if somebody does. Ended
    /// again, it stays as it is.
    #[inline]
    pub(crate) fn land(&mut self, landing: impl FnOnce() -> Landing<V>) {
        self.leave();
        if self.left.flight.is_some() {
            // Foreign code: if it panics, those who wait are still known, and told so.
            let landing = landing();
            self.say(landing);
        }
    }

    #[inline(never)]
    fn say(&mut self, landing: Landing<V>) {
        if let Some(flight) = self.left.flight.take() {
            flight.landing.say(landing);
        }
    }
}

impl<K: NearKey, V> Drop for Lead<'_, K, V> {
    #[inline]
    fn drop(&mut self) {
        self.land(|| Landing::Gone);
    }
}
