//! Single flight: one body per key at a time; the others wait for it and share what it brings.
//!
//! A flight is registered under its key while its body runs. It lands when its value is stored, and
//! only a registered flight may store: an invalidation takes the flight out, and what it brings later
//! goes to those who were waiting for it and nowhere else. Storing and the look whether the flight is
//! still registered are one step, under the lock of the flight's shard.
//!
//! Called by `call` and `cache`. Knows no storage: what "store" means is handed in. Runs no foreign
//! code under its locks: keys are compared over snapshots, wakers are woken and dropped outside.

use crate::key::NearKey;
use crate::outcome::SharedRest;
use crate::reentry::{Chain, Link, Place};
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

/// The flights of one cache. `E` is what a landed flight hands to those who waited.
pub(crate) struct Flights<K, E> {
    shards: [Mutex<Shard<K, E>>; SHARDS],
}

type Shard<K, E> = HashTable<Arc<Flight<K, E>>>;

/// One key on its way.
pub(crate) struct Flight<K, E> {
    hash: u64,
    pub(crate) key: K,
    place: Place,
    state: Mutex<State<E>>,
}

enum State<E> {
    /// The body runs; these wait.
    Flying(Vec<Option<Waker>>),
    Landed(Landing<E>),
}

/// How a flight ended.
pub(crate) enum Landing<E> {
    /// With a value.
    Value(Arc<E>),
    /// With an `Err` or a `None` that can be shared.
    Rest(SharedRest),
    /// With an `Err` that cannot: everybody runs the own body, side by side.
    Alone,
    /// Its leader panicked or was cancelled: somebody else leads.
    Gone,
}

impl<E> Clone for Landing<E> {
    fn clone(&self) -> Self {
        match self {
            Landing::Value(entry) => Landing::Value(entry.clone()),
            Landing::Rest(rest) => Landing::Rest(rest.clone()),
            Landing::Alone => Landing::Alone,
            Landing::Gone => Landing::Gone,
        }
    }
}

/// What a call that found nothing becomes.
pub(crate) enum Boarding<'a, K: NearKey, E: Send + Sync + 'static> {
    Lead(Lead<'a, K, E>),
    Follow(Arc<Flight<K, E>>),
}

impl<K: NearKey, E: Send + Sync + 'static> Flights<K, E> {
    pub(crate) fn new() -> Self {
        Flights { shards: std::array::from_fn(|_| Mutex::new(HashTable::new())) }
    }

    fn shard(&self, hash: u64) -> &Mutex<Shard<K, E>> {
        &self.shards[(hash >> 48) as usize % SHARDS]
    }

    /// Registers a flight for `key`, or finds the one that is registered.
    pub(crate) fn board(&self, hash: u64, key: &K, chain: Option<Chain>) -> Boarding<'_, K, E> {
        let flight = Flight::new(hash, key.clone(), chain);
        let mut known = Snapshot::vacant();
        loop {
            {
                let mut shard = sync::lock(self.shard(hash));
                if known.still_holds(same_hash(&shard, hash).map(Arc::as_ptr)) {
                    shard.insert_unique(hash, flight.clone(), |flight| flight.hash);
                    return Boarding::Lead(Lead { flights: self, flight, registered: true, landed: false });
                }
                known = Snapshot::of(same_hash(&shard, hash).cloned());
            }
            known = known.resolve(|other| other.key == *key);
            if let Some(other) = known.found() {
                return Boarding::Follow(other.clone());
            }
        }
    }

    /// Registers a flight for `key` in the place of any other: the later load wins.
    pub(crate) fn lead_anew(&self, hash: u64, key: &K, chain: Option<Chain>) -> Lead<'_, K, E> {
        let flight = Flight::new(hash, key.clone(), chain);
        let register = |shard: &mut Shard<K, E>| -> Result<(), ()> {
            shard.insert_unique(hash, flight.clone(), |flight| flight.hash);
            Ok(())
        };
        self.supersede(hash, |other| other == key, register).expect("registering cannot fail");
        Lead { flights: self, flight, registered: true, landed: false }
    }

    /// Takes the flight of a key out of the register and does `act`, as one step. A flight taken out
    /// stores nothing, and nobody joins it any more.
    pub(crate) fn supersede<R, C>(
        &self,
        hash: u64,
        is: impl Fn(&K) -> bool,
        act: impl FnOnce(&mut Shard<K, E>) -> Result<R, C>,
    ) -> Result<R, C> {
        let mut known = Snapshot::vacant();
        loop {
            {
                let mut shard = sync::lock(self.shard(hash));
                if known.still_holds(same_hash(&shard, hash).map(Arc::as_ptr)) {
                    // The flight itself is kept by `known`, and dropped after the lock.
                    let done = act(&mut shard)?;
                    if let Some(flight) = known.found() {
                        unregister(&mut shard, flight);
                    }
                    return Ok(done);
                }
                known = Snapshot::of(same_hash(&shard, hash).cloned());
            }
            known = known.resolve(|other| is(&other.key));
        }
    }

    /// Takes one flight out of the register, if it is in.
    pub(crate) fn detach(&self, flight: &Arc<Flight<K, E>>) {
        unregister(&mut sync::lock(self.shard(flight.hash)), flight);
    }

    /// Takes all flights out of the register.
    pub(crate) fn detach_all(&self) {
        for shard in &self.shards {
            let flights = mem::take(&mut *sync::lock(shard));
            drop(flights); // keys may go with them, and they are foreign
        }
    }

    /// Flights registered now.
    #[cfg(any(test, shuttle))]
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| sync::lock(shard).len()).sum()
    }
}

fn same_hash<K, E>(
    shard: &Shard<K, E>,
    hash: u64,
) -> impl Iterator<Item = &Arc<Flight<K, E>>> {
    shard.iter_hash(hash).filter(move |flight| flight.hash == hash)
}

/// Whether the flight was registered. The caller holds another reference, so nothing is dropped here.
fn unregister<K, E>(shard: &mut Shard<K, E>, flight: &Arc<Flight<K, E>>) -> bool {
    match shard.find_entry(flight.hash, |other| Arc::ptr_eq(other, flight)) {
        Ok(registered) => {
            registered.remove();
            true
        }
        Err(_) => false,
    }
}

impl<K, E> Flight<K, E> {
    fn new(hash: u64, key: K, chain: Option<Chain>) -> Arc<Self> {
        let state = Mutex::new(State::Flying(Vec::new()));
        Arc::new(Flight { hash, key, place: Place::under(chain), state })
    }

    /// Waits for the landing; `None` if the alarm rang first.
    ///
    /// Cancellation: dropping the future takes its waker out, and concerns nobody else.
    pub(crate) async fn landing(&self, alarm: Alarm) -> Option<Landing<E>> {
        let mut seat = Seat { flight: self, number: None };
        let mut alarm = pin!(alarm);
        poll_fn(|cx| {
            let waker = cx.waker().clone();
            match seat.wait(waker) {
                Some(landing) => Poll::Ready(Some(landing)),
                None => alarm.as_mut().poll(cx).map(|()| None),
            }
        })
        .await
    }
}

impl<K: Send + Sync, E: Send + Sync> Link for Flight<K, E> {
    fn place(&self) -> &Place {
        &self.place
    }

    fn take_parent(&mut self) -> Option<Chain> {
        self.place.take_parent()
    }
}

/// A place among those who wait for a flight.
struct Seat<'a, K, E> {
    flight: &'a Flight<K, E>,
    number: Option<usize>,
}

impl<K, E> Seat<'_, K, E> {
    /// The landing, or a seat with this waker.
    fn wait(&mut self, waker: Waker) -> Option<Landing<E>> {
        let replaced = match &mut *sync::lock(&self.flight.state) {
            State::Landed(landing) => return Some(landing.clone()),
            State::Flying(seats) => match self.number {
                Some(number) => seats[number].replace(waker),
                None => {
                    let free = seats.iter().position(Option::is_none);
                    let number = free.unwrap_or(seats.len());
                    if free.is_none() {
                        seats.push(None);
                    }
                    self.number = Some(number);
                    seats[number].replace(waker)
                }
            },
        };
        drop(replaced); // a waker is foreign code: dropped after the lock
        None
    }
}

impl<K, E> Drop for Seat<'_, K, E> {
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
pub(crate) struct Lead<'a, K: NearKey, E: Send + Sync + 'static> {
    flights: &'a Flights<K, E>,
    flight: Arc<Flight<K, E>>,
    /// As far as this leader knows; others may have taken the flight out.
    registered: bool,
    landed: bool,
}

impl<K: NearKey, E: Send + Sync + 'static> Lead<'_, K, E> {
    /// The chain that this flight's body runs in.
    pub(crate) fn chain(&self) -> Chain {
        self.flight.clone()
    }

    /// Does `store` and ends the registration, as one step; `None` if the flight was taken out of the
    /// register before, and may not store.
    pub(crate) fn commit<R, C>(
        &mut self,
        store: impl FnOnce() -> Result<R, C>,
    ) -> Option<Result<R, C>> {
        let mut shard = sync::lock(self.flights.shard(self.flight.hash));
        let is_this = |other: &Arc<_>| Arc::ptr_eq(other, &self.flight);
        let registered = shard.find_entry(self.flight.hash, is_this).ok()?;
        let stored = store();
        if stored.is_ok() {
            registered.remove();
            self.registered = false;
        }
        Some(stored)
    }

    /// Whether anybody waits.
    pub(crate) fn is_followed(&self) -> bool {
        match &*sync::lock(&self.flight.state) {
            State::Flying(seats) => seats.iter().any(Option::is_some),
            State::Landed(_) => false,
        }
    }

    /// Ends the flight: nobody joins it any more, and those who wait get the landing.
    pub(crate) fn land(mut self, landing: Landing<E>) {
        self.end(landing);
    }

    fn end(&mut self, landing: Landing<E>) {
        self.landed = true;
        if mem::take(&mut self.registered) {
            self.flights.detach(&self.flight);
        }
        let before = {
            let mut state = sync::lock(&self.flight.state);
            mem::replace(&mut *state, State::Landed(landing))
        };
        if let State::Flying(seats) = before {
            seats.into_iter().flatten().for_each(Waker::wake);
        }
    }
}

impl<K: NearKey, E: Send + Sync + 'static> Drop for Lead<'_, K, E> {
    fn drop(&mut self) {
        if !self.landed {
            self.end(Landing::Gone);
        }
    }
}
