//! Single flight: one body per key at a time; the others wait for it and share what it brings.
//!
//! A flight is registered under its key while its body runs. Only a flight that is still valid may
//! store: an invalidation marks it, and what it brings later goes to those who were waiting for it
//! and nowhere else. Storing, and the look whether the flight is still valid, are one step, under
//! the lock of the flight's shard.
//!
//! Called by `call` and `cache`. Knows no storage: what "store" means is handed in. Runs no foreign
//! code under its locks: foreign keys are compared over snapshots, wakers are woken and dropped
//! outside. A flight that nobody follows allocates nothing.

use crate::key::NearKey;
use crate::outcome::SharedRest;
use crate::reentry::Chain;
use crate::snapshot::Snapshot;
use crate::sync::{self, Mutex};
use crate::time::Alarm;
use hashbrown::HashTable;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// Shards of the register of one cache. Only misses come here, so a few are enough.
const SHARDS: usize = 4;

/// The register of one cache.
pub(crate) struct Flights<K, V> {
    shards: [Mutex<Shard<K, V>>; SHARDS],
}

type Shard<K, V> = HashTable<Record<K, V>>;

/// A body that runs now.
pub(crate) struct Record<K, V> {
    hash: u64,
    chain: Chain,
    key: FlightKey<K>,
    /// False after an invalidation: nobody joins any more, and nothing will be stored.
    valid: bool,
    /// Made by the first who waits.
    flight: Option<Arc<Flight<V>>>,
}

pub(crate) enum FlightKey<K> {
    /// Compared in place.
    Plain(K),
    /// Compared outside of the lock.
    Foreign(Arc<K>),
}

/// What those who wait for a body share.
pub(crate) struct Flight<V> {
    hash: u64,
    pub(crate) chain: Chain,
    state: Mutex<State<V>>,
}

enum State<V> {
    /// The body runs; these wait.
    Flying(Vec<Option<Waker>>),
    Landed(Landing<V>),
}

/// How a flight ended.
pub(crate) enum Landing<V> {
    /// With a value.
    Value(Arc<V>),
    /// With an `Err` or a `None` that can be shared.
    Rest(SharedRest),
    /// With an `Err` that cannot: everybody runs the own body, side by side.
    Alone,
    /// Its leader panicked or was cancelled: somebody else leads.
    Gone,
}

impl<V> Clone for Landing<V> {
    fn clone(&self) -> Self {
        match self {
            Landing::Value(value) => Landing::Value(value.clone()),
            Landing::Rest(rest) => Landing::Rest(rest.clone()),
            Landing::Alone => Landing::Alone,
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
        Flights { shards: std::array::from_fn(|_| Mutex::new(HashTable::new())) }
    }

    fn shard(&self, hash: u64) -> &Mutex<Shard<K, V>> {
        &self.shards[(hash >> 48) as usize % SHARDS]
    }

    /// Registers a flight for `key`, or finds the one that is registered.
    pub(crate) fn board(
        &self,
        hash: u64,
        key: &K,
        plain: bool,
        inside: Option<Chain>,
    ) -> Boarding<'_, K, V> {
        let flight_key = FlightKey::new(key, plain);
        let mut known = Snapshot::vacant();
        loop {
            {
                let mut shard = sync::lock(self.shard(hash));
                match valid(&mut shard, hash, |other| other == key, &known) {
                    Ok(Some(record)) => return Boarding::Follow(record.flight()),
                    Ok(None) => {
                        let record = Record::new(hash, flight_key, inside);
                        return Boarding::Lead(self.register(&mut shard, record));
                    }
                    Err(snapshot) => known = snapshot,
                }
            }
            known = known.resolve(|other| other == key);
        }
    }

    /// Registers a flight for `key` in the place of any other: the later load wins.
    pub(crate) fn lead_anew(
        &self,
        hash: u64,
        key: &K,
        plain: bool,
        inside: Option<Chain>,
    ) -> Lead<'_, K, V> {
        let record = Record::new(hash, FlightKey::new(key, plain), inside);
        self.supersede(hash, |other| other == key, |shard| self.register(shard, record))
    }

    fn register(&self, shard: &mut Shard<K, V>, record: Record<K, V>) -> Lead<'_, K, V> {
        let (hash, chain) = (record.hash, record.chain.clone());
        shard.insert_unique(hash, record, |record| record.hash);
        Lead { flights: self, hash, chain, record: None, landed: false }
    }

    /// Does `act`, and makes the flight of a key invalid, as one step.
    pub(crate) fn supersede<R>(
        &self,
        hash: u64,
        is: impl Fn(&K) -> bool,
        act: impl FnOnce(&mut Shard<K, V>) -> R,
    ) -> R {
        let mut known = Snapshot::vacant();
        loop {
            {
                let mut shard = sync::lock(self.shard(hash));
                match valid(&mut shard, hash, &is, &known) {
                    Ok(record) => {
                        if let Some(record) = record {
                            record.valid = false;
                        }
                        return act(&mut shard);
                    }
                    Err(snapshot) => known = snapshot,
                }
            }
            known = known.resolve(&is);
        }
    }

    /// Makes one flight invalid.
    pub(crate) fn detach(&self, flight: &Flight<V>) {
        let mut shard = sync::lock(self.shard(flight.hash));
        let is_this = |record: &Record<K, V>| record.chain.id == flight.chain.id;
        if let Some(record) = shard.find_mut(flight.hash, is_this) {
            record.valid = false;
        }
    }

    /// Makes all flights invalid.
    pub(crate) fn detach_all(&self) {
        for shard in &self.shards {
            sync::lock(shard).iter_mut().for_each(|record| record.valid = false);
        }
    }

    /// Bodies that run now, invalid ones too.
    #[cfg(any(test, shuttle))]
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| sync::lock(shard).len()).sum()
    }
}

/// The valid flight of a key: told at once if keys are plain, else by what `known` found, if the shard
/// still holds what it saw.
fn valid<'a, K, V>(
    shard: &'a mut Shard<K, V>,
    hash: u64,
    is: impl Fn(&K) -> bool,
    known: &Snapshot<K>,
) -> Result<Option<&'a mut Record<K, V>>, Snapshot<K>> {
    if shard.is_empty() {
        return Ok(None); // and `known` is either vacant or about flights that have ended
    }
    let foreign = |record: &'_ Record<K, V>| match &record.key {
        FlightKey::Foreign(key) if record.hash == hash && record.valid => Some(key.clone()),
        _ => None,
    };
    let seen: Vec<Arc<K>> = shard.iter_hash(hash).filter_map(foreign).collect();
    if !known.still_holds(seen.iter()) {
        return Err(Snapshot::of(seen));
    }
    Ok(shard.find_mut(hash, |record| {
        record.hash == hash
            && record.valid
            && match &record.key {
                FlightKey::Plain(key) => is(key),
                FlightKey::Foreign(key) => {
                    known.found().is_some_and(|found| Arc::ptr_eq(key, found))
                }
            }
    }))
}

impl<K: NearKey> FlightKey<K> {
    fn new(key: &K, plain: bool) -> Self {
        if plain { FlightKey::Plain(key.clone()) } else { FlightKey::Foreign(Arc::new(key.clone())) }
    }
}

impl<K, V> Record<K, V> {
    fn new(hash: u64, key: FlightKey<K>, inside: Option<Chain>) -> Self {
        Record { hash, chain: Chain::begin(inside), key, valid: true, flight: None }
    }

    fn flight(&mut self) -> Arc<Flight<V>> {
        let make = || {
            let state = Mutex::new(State::Flying(Vec::new()));
            Arc::new(Flight { hash: self.hash, chain: self.chain.clone(), state })
        };
        self.flight.get_or_insert_with(make).clone()
    }
}

impl<V> Flight<V> {
    /// Waits for the landing; `None` if the alarm rang first.
    ///
    /// Cancellation: dropping the future takes its waker out, and concerns nobody else.
    pub(crate) async fn landing(&self, alarm: Alarm) -> Option<Landing<V>> {
        let mut seat = Seat { flight: self, number: None };
        let mut alarm = pin!(alarm);
        poll_fn(|cx| match seat.wait(cx.waker()) {
            Some(landing) => Poll::Ready(Some(landing)),
            None => alarm.as_mut().poll(cx).map(|()| None),
        })
        .await
    }

    fn land(&self, landing: Landing<V>) {
        let before = mem::replace(&mut *sync::lock(&self.state), State::Landed(landing));
        if let State::Flying(seats) = before {
            seats.into_iter().flatten().for_each(Waker::wake);
        }
    }
}

/// A place among those who wait for a flight.
struct Seat<'a, V> {
    flight: &'a Flight<V>,
    number: Option<usize>,
}

impl<V> Seat<'_, V> {
    /// The landing, or a seat with this waker.
    fn wait(&mut self, waker: &Waker) -> Option<Landing<V>> {
        let waker = waker.clone(); // foreign code, like its drop: outside of the lock
        let replaced = match &mut *sync::lock(&self.flight.state) {
            State::Landed(landing) => return Some(landing.clone()),
            State::Flying(seats) => {
                let number = *self.number.get_or_insert_with(|| {
                    seats.iter().position(Option::is_none).unwrap_or_else(|| {
                        seats.push(None);
                        seats.len() - 1
                    })
                });
                seats[number].replace(waker)
            }
        };
        drop(replaced);
        None
    }
}

impl<V> Drop for Seat<'_, V> {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let waker = match &mut *sync::lock(&self.flight.state) {
            State::Flying(seats) => seats[number].take(),
            State::Landed(_) => None,
        };
        drop(waker);
    }
}

/// The duty to land a flight. Dropped before that (a panic, a cancellation), it lets go of the key
/// and wakes those who wait, so that one of them leads.
pub(crate) struct Lead<'a, K: NearKey, V> {
    flights: &'a Flights<K, V>,
    hash: u64,
    chain: Chain,
    /// What stood in the register, once it is out.
    record: Option<Record<K, V>>,
    landed: bool,
}

impl<K: NearKey, V> Lead<'_, K, V> {
    /// The chain that this flight's body runs in.
    pub(crate) fn chain(&self) -> Chain {
        self.chain.clone()
    }

    /// Does `store` if the flight is still valid, and takes it out of the register, as one step. If
    /// `store` asks for another try, the flight stays in.
    pub(crate) fn commit<C>(&mut self, store: impl FnOnce() -> Result<(), C>) -> Result<(), C> {
        let mut shard = sync::lock(self.flights.shard(self.hash));
        let is_this = |record: &Record<K, V>| record.chain.id == self.chain.id;
        if let Ok(record) = shard.find_entry(self.hash, is_this) {
            if record.get().valid {
                store()?;
            }
            self.record = Some(record.remove().0);
        }
        Ok(())
    }

    /// Takes the flight out of the register; whether somebody waits for it.
    pub(crate) fn leave(&mut self) -> bool {
        if self.record.is_none() {
            let Ok(()) = self.commit(|| Ok::<(), std::convert::Infallible>(()));
        }
        self.record.as_ref().is_some_and(|record| record.flight.is_some())
    }

    /// Ends the flight: those who wait get the landing.
    pub(crate) fn land(mut self, landing: Landing<V>) {
        self.end(landing);
    }

    fn end(&mut self, landing: Landing<V>) {
        self.leave();
        self.landed = true;
        if let Some(flight) = self.record.as_mut().and_then(|record| record.flight.take()) {
            flight.land(landing);
        }
    }
}

impl<K: NearKey, V> Drop for Lead<'_, K, V> {
    fn drop(&mut self) {
        if !self.landed {
            self.end(Landing::Gone);
        }
    }
}
