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
use hashbrown::HashTable;
use std::sync::Arc;

/// Shards of the register of one cache. Only misses come here, so a few are enough.
const SHARDS: usize = 16;

/// The register of one cache.
pub(crate) struct Flights<K, V> {
    shards: Box<[Guarded<K, V>]>,
}

/// A shard on cache lines of its own: misses must not disturb each other, nor hits.
#[repr(align(128))]
struct Guarded<K, V>(Mutex<Shard<K, V>>);

pub(crate) struct Shard<K, V> {
    records: HashTable<Record<K, V>>,
    /// Flights begun here so far.
    begun: u64,
}

/// A body that runs now.
struct Record<K, V> {
    hash: u64,
    key: FlightKey<K>,
    chain: Chain,
    /// The same for all flights of one key; several run at once only where a refresh or a take-over
    /// began while another one was on its way.
    group: FlightId,
    /// Grows with each flight: which of two began later.
    begun: u64,
    standing: Standing,
    /// Made by the first who waits.
    flight: Option<Arc<Flight<V>>>,
}

/// What a flight is still good for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Calls that miss join it, and what it brings is stored.
    Joinable,
    /// What it brings is stored, unless a later flight has stored before. Nobody joins it any more:
    /// a later flight has begun, or somebody has waited too long.
    Outdated,
    /// There was an invalidation, or a later flight has stored: what it brings goes to those who
    /// wait for it, and nowhere else.
    Invalid,
}

enum FlightKey<K> {
    /// Compared in place.
    Plain(K),
    /// Compared outside of the lock.
    Foreign(Arc<K>),
}

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

/// What a call that found nothing becomes.
pub(crate) enum Boarding<'a, K: NearKey, V> {
    Lead(Lead<'a, K, V>),
    Follow(Arc<Flight<V>>),
}

impl<K: NearKey, V> Flights<K, V> {
    pub(crate) fn new() -> Self {
        let shard = |_| Guarded(Mutex::new(Shard { records: HashTable::new(), begun: 0 }));
        Flights { shards: (0..SHARDS).map(shard).collect() }
    }

    fn shard(&self, hash: u64) -> &Mutex<Shard<K, V>> {
        &self.shards[(hash >> 48) as usize % SHARDS].0
    }

    /// Registers a flight for `key`, or finds the one to join.
    pub(crate) fn board(
        &self,
        hash: u64,
        key: &K,
        plain: bool,
        inside: Option<Chain>,
    ) -> Boarding<'_, K, V> {
        // Kept out here: who follows has no use for it, and must not drop a foreign key under the
        // lock.
        let mut flight_key = Some(FlightKey::new(key, plain));
        let (is_key, mut seen) = (|other: &K| other == key, Snapshot::vacant());
        let boarding = self.with_group(hash, is_key, &mut seen, |shard, group| {
            let join = group.and_then(|group| {
                shard.of(hash, group).find(|one| one.standing == Standing::Joinable)
            });
            match join {
                Some(record) => Boarding::Follow(record.flight()),
                None => {
                    let flight_key = flight_key.take().expect("one registration per call");
                    Boarding::Lead(self.register(shard, hash, flight_key, inside, group))
                }
            }
        });
        if let Boarding::Lead(lead) = &boarding {
            lead.forget(seen);
        }
        boarding
    }

    /// Registers a flight for `key` beside any other: from now on this one is joined, and what it
    /// brings wins over what began earlier.
    pub(crate) fn lead_anew(
        &self,
        hash: u64,
        key: &K,
        plain: bool,
        inside: Option<Chain>,
    ) -> Lead<'_, K, V> {
        let flight_key = FlightKey::new(key, plain);
        let (is_key, mut seen) = (|other: &K| other == key, Snapshot::vacant());
        let lead = self.with_group(hash, is_key, &mut seen, |shard, group| {
            if let Some(group) = group {
                shard.of(hash, group).for_each(|record| record.standing = Standing::Outdated);
            }
            self.register(shard, hash, flight_key, inside, group)
        });
        lead.forget(seen);
        lead
    }

    #[inline]
    fn register(
        &self,
        shard: &mut Shard<K, V>,
        hash: u64,
        key: FlightKey<K>,
        inside: Option<Chain>,
        group: Option<FlightId>,
    ) -> Lead<'_, K, V> {
        let chain = Chain::begin(inside);
        shard.begun += 1;
        let record = Record {
            hash,
            key,
            chain: chain.clone(),
            group: group.unwrap_or(chain.id),
            begun: shard.begun,
            standing: Standing::Joinable,
            flight: None,
        };
        shard.records.insert_unique(hash, record, |record| record.hash);
        Lead { flights: self, hash, chain, flight: None, key: None, registered: true }
    }

    /// Does `act`, and makes the flights of a key invalid, as one step.
    pub(crate) fn supersede<R>(
        &self,
        hash: u64,
        is: impl Fn(&K) -> bool,
        act: impl FnOnce() -> R,
    ) -> R {
        let supersede = |shard: &mut Shard<K, V>, group| {
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
        act: impl FnOnce(&mut Shard<K, V>, Option<FlightId>) -> R,
    ) -> R {
        loop {
            let seen = {
                let mut shard = sync::lock(self.shard(hash));
                if shard.records.is_empty() {
                    return act(&mut shard, None); // what is known has ended
                }
                match shard.group(hash, &is, known) {
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
        let is_this = |record: &Record<K, V>| record.chain.id == flight.chain.id;
        if let Some(record) = shard.records.find_mut(flight.hash, is_this)
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
            shard.records.iter_mut().for_each(Record::invalidate);
        }
        act()
    }

    /// Bodies that run now, invalid ones too.
    #[cfg(all(test, shuttle))]
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| sync::lock(&shard.0).records.len()).sum()
    }
}

impl<K, V> Shard<K, V> {
    /// The group of the valid flights of a key: told at once if keys are plain, else by what
    /// `known` found, if the shard still holds what it saw.
    #[inline(never)] // rarely is anything there
    fn group(
        &self,
        hash: u64,
        is: impl Fn(&K) -> bool,
        known: &Snapshot<K>,
    ) -> Result<Option<FlightId>, Snapshot<K>> {
        let valid =
            || self.records.iter_hash(hash).filter(|one| one.hash == hash && one.is_valid());
        let foreign = || {
            valid().filter_map(|record| match &record.key {
                FlightKey::Plain(_) => None,
                FlightKey::Foreign(key) => Some(key),
            })
        };
        if !known.still_holds(foreign()) {
            return Err(Snapshot::of(foreign().cloned().collect()));
        }
        let mut of_key = valid().filter(|record| match &record.key {
            FlightKey::Plain(key) => is(key),
            FlightKey::Foreign(key) => known.found().is_some_and(|found| Arc::ptr_eq(key, found)),
        });
        Ok(of_key.next().map(|record| record.group))
    }

    /// The valid flights of a group.
    fn of(&mut self, hash: u64, group: FlightId) -> impl Iterator<Item = &mut Record<K, V>> {
        self.records
            .iter_hash_mut(hash)
            .filter(move |record| record.hash == hash && record.group == group && record.is_valid())
    }
}

impl<K: NearKey, V> Flights<K, V> {
    /// Takes every flight out, as if there had been none. What comes out is dropped by the caller,
    /// where no lock is held.
    #[cfg(not(shuttle))]
    pub(crate) fn forget_all(&self) -> impl Sized + use<K, V> {
        let take = |shard: &Guarded<K, V>| std::mem::take(&mut sync::lock(&shard.0).records);
        self.shards.iter().map(take).collect::<Vec<_>>()
    }
}

impl<K: NearKey> FlightKey<K> {
    fn new(key: &K, plain: bool) -> Self {
        if plain {
            FlightKey::Plain(key.clone())
        } else {
            FlightKey::Foreign(Arc::new(key.clone()))
        }
    }
}

impl<K, V> Record<K, V> {
    fn invalidate(&mut self) {
        self.standing = Standing::Invalid;
    }

    fn is_valid(&self) -> bool {
        self.standing != Standing::Invalid
    }

    fn flight(&mut self) -> Arc<Flight<V>> {
        let make = || {
            Arc::new(Flight { hash: self.hash, chain: self.chain.clone(), landing: Signal::new() })
        };
        self.flight.get_or_insert_with(make).clone()
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
    /// Those who wait; known once the flight has left the register.
    flight: Option<Arc<Flight<V>>>,
    /// What stood in the register: its drop is foreign code, and runs when all have been answered.
    key: Option<FlightKey<K>>,
    registered: bool,
}

impl<K: NearKey, V> Lead<'_, K, V> {
    /// The chain that this flight's body runs in.
    pub(crate) fn chain(&self) -> Chain {
        self.chain.clone()
    }

    /// Drops what was seen on the way to this flight. It may hold the last reference to a key,
    /// whose drop is foreign code: it runs inside the chain, since this flight cannot wait for
    /// itself.
    #[inline]
    fn forget(&self, seen: Snapshot<K>) {
        if !seen.is_vacant() {
            let _inside = reentry::enter(self.chain());
            drop(seen);
        }
    }

    /// Does `store` if the flight is still valid, and takes it out of the register, as one step. If
    /// `store` asks for another try, the flight stays in.
    pub(crate) fn commit<C>(&mut self, store: impl FnOnce() -> Result<(), C>) -> Result<(), C> {
        let record = {
            let mut shard = sync::lock(self.flights.shard(self.hash));
            let is_this = |one: &Record<K, V>| one.chain.id == self.chain.id;
            let Ok(entry) = shard.records.find_entry(self.hash, is_this) else { return Ok(()) };
            let stores = entry.get().is_valid();
            if stores {
                store()?;
            }
            let (record, _) = entry.remove();
            if stores && !shard.records.is_empty() {
                // An older load never overwrites a newer one.
                shard
                    .of(self.hash, record.group)
                    .filter(|other| other.begun < record.begun)
                    .for_each(Record::invalidate);
            }
            record
        };
        self.left(record);
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
        let record = {
            let mut shard = sync::lock(self.flights.shard(self.hash));
            let is_this = |one: &Record<K, V>| one.chain.id == self.chain.id;
            let entry = shard.records.find_entry(self.hash, is_this).ok();
            entry.map(|entry| entry.remove().0)
        };
        match record {
            Some(record) => self.left(record),
            None => self.registered = false,
        }
    }

    #[inline]
    fn left(&mut self, record: Record<K, V>) {
        self.registered = false;
        self.flight = record.flight;
        self.key = Some(record.key);
    }

    /// Ends the flight: those who wait get the landing, which is made if somebody does.
    #[inline]
    pub(crate) fn land(mut self, landing: impl FnOnce() -> Landing<V>) {
        self.end(landing);
    }

    #[inline]
    fn end(&mut self, landing: impl FnOnce() -> Landing<V>) {
        self.leave();
        if self.flight.is_some() {
            // Foreign code: if it panics, those who wait are still known, and told so.
            let landing = landing();
            self.say(landing);
        }
    }

    #[inline(never)]
    fn say(&mut self, landing: Landing<V>) {
        if let Some(flight) = self.flight.take() {
            flight.landing.say(landing);
        }
    }
}

impl<K: NearKey, V> Drop for Lead<'_, K, V> {
    #[inline]
    fn drop(&mut self) {
        self.end(|| Landing::Gone);
    }
}
