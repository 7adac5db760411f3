//! THE PATH of a call, from the look-up to the result, on one screen.
//!
//! ```text
//! find      near get; no await, no allocation        -> a hit: return a clone
//! turn      lead a flight, or follow the one there is; a leader looks again
//!   follow    wait                                    -> share what it brings
//!   (body)    the user's function, inside the flight
//! finish    store, unless an invalidation came after the flight began;
//!           hand the result to those who wait
//! ```
//!
//! Called by `cache` and by the macro's expansion. Knows the order of the steps and none of their
//! insides. `load` and `load_async` are the two faces of the path: they differ in how a body is
//! run, and in that a synchronous caller parks while it follows.

use crate::blocking::block_on;
use crate::cache::Cache;
use crate::flight::{Boarding, Flight, Landing, Lead};
use crate::key::{NearKey, Query, is_plain};
use crate::memory::{Displaced, Entry, Incoming, Stored};
use crate::outcome::{Outcome, Value};
use crate::reentry::{self, Chain};
use crate::snapshot::Snapshot;
use crate::time::{NEVER, Nanos, after};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;

/// A call that found nothing: its key, owned now, so that the arguments can move into the body.
#[derive(Debug)]
pub struct Missed<K> {
    hash: u64,
    key: K,
    /// Whether key and value are plain: compared and cloned in place.
    plain: bool,
    /// What had been stored when the look-up began; see `Table::puts`.
    puts: u64,
}

impl<K: NearKey, V: Value> Cache<K, V> {
    /// The hit path.
    #[inline]
    pub(crate) fn find<Q: Query<K>>(&self, query: &Q) -> Result<V, Missed<K>> {
        let hash = self.near.hash(query);
        let puts = self.near.puts(hash);
        match self.near.get(query, hash) {
            Some(value) => {
                self.counters.hit();
                Ok(value)
            }
            None => Err(Self::miss(query, hash, puts)),
        }
    }

    fn miss<Q: Query<K>>(query: &Q, hash: u64, puts: u64) -> Missed<K> {
        Missed { hash, key: query.to_key(), plain: Q::is_plain() && is_plain::<V>(), puts }
    }

    /// As `find`, for a call that wants the body to run whatever is stored.
    pub(crate) fn missed<Q: Query<K>>(&self, query: &Q) -> Missed<K> {
        Self::miss(query, self.near.hash(query), 0)
    }

    /// The miss path of a synchronous call.
    pub(crate) fn load<M, O: Outcome<M, Value = V>>(
        &self,
        missed: Missed<K>,
        keep: impl FnOnce(&V) -> bool,
        body: impl FnOnce() -> O,
    ) -> O {
        let inside = reentry::current();
        let mut counted = false;
        loop {
            match self.turn(&missed, &inside, &mut counted) {
                Turn::Found(value) => return O::from_value(value),
                Turn::Lead(lead, stopwatch) => {
                    return self.run(lead, stopwatch, missed, keep, body);
                }
                Turn::Follow(flight) => match block_on(pin!(self.follow(&flight, &inside))) {
                    Followed::Brought(outcome) => return outcome,
                    Followed::Alone => {
                        let stopwatch = self.start(self.counters.apart());
                        let outcome = body();
                        self.stop(stopwatch);
                        return outcome;
                    }
                    Followed::Again => {}
                },
            }
        }
    }

    /// The miss path of an asynchronous call.
    ///
    /// Cancellation: dropping the future frees the key at once; somebody who waits leads.
    pub(crate) async fn load_async<M, O: Outcome<M, Value = V>>(
        &self,
        missed: Missed<K>,
        keep: impl FnOnce(&V) -> bool,
        body: impl Future<Output = O>,
    ) -> O {
        // Pinned once, and handed down by reference: a future is as large as what it holds.
        let mut body = pin!(Some(body));
        let inside = reentry::current();
        let mut counted = false;
        loop {
            match self.turn(&missed, &inside, &mut counted) {
                Turn::Found(value) => return O::from_value(value),
                Turn::Lead(lead, stopwatch) => {
                    return self.run_async(lead, stopwatch, missed, keep, body.as_mut()).await;
                }
                Turn::Follow(flight) => match self.follow(&flight, &inside).await {
                    Followed::Brought(outcome) => return outcome,
                    Followed::Alone => {
                        let stopwatch = self.start(self.counters.apart());
                        let outcome = reentry::inside(inside, body.as_mut()).await;
                        self.stop(stopwatch);
                        return outcome;
                    }
                    Followed::Again => {}
                },
            }
        }
    }

    /// Runs the body now and replaces what is stored; until then callers get the old value.
    pub(crate) fn reload<M, O: Outcome<M, Value = V>>(
        &self,
        missed: Missed<K>,
        keep: impl FnOnce(&V) -> bool,
        body: impl FnOnce() -> O,
    ) -> O {
        let Missed { hash, ref key, plain, .. } = missed;
        let lead = self.flights.lead_anew(hash, key, plain, reentry::current());
        let stopwatch = self.start(self.counters.apart());
        self.run(lead, stopwatch, missed, keep, body)
    }

    /// As `reload`, for an asynchronous body.
    pub(crate) async fn reload_async<M, O: Outcome<M, Value = V>>(
        &self,
        missed: Missed<K>,
        keep: impl FnOnce(&V) -> bool,
        body: impl Future<Output = O>,
    ) -> O {
        let Missed { hash, ref key, plain, .. } = missed;
        let lead = self.flights.lead_anew(hash, key, plain, reentry::current());
        let stopwatch = self.start(self.counters.apart());
        self.run_async(lead, stopwatch, missed, keep, pin!(Some(body))).await
    }

    /// What a call that found nothing does next. Counts it as a miss, once.
    fn turn(
        &self,
        missed: &Missed<K>,
        inside: &Option<Chain>,
        counted: &mut bool,
    ) -> Turn<'_, K, V> {
        let &Missed { hash, ref key, plain, puts } = missed;
        let count = |counted: &mut bool| {
            if !std::mem::replace(counted, true) {
                self.counters.waited();
            }
        };
        let lead = match self.flights.board(hash, key, plain, inside.clone()) {
            Boarding::Lead(lead) => lead,
            Boarding::Follow(flight) => {
                count(counted);
                return Turn::Follow(flight);
            }
        };
        if self.near.puts(hash) != puts {
            // Another flight may have landed since the look-up. Comparing and cloning may run
            // foreign code, which is part of this flight and cannot wait for it.
            let _inside = reentry::enter(lead.chain());
            if let Some(value) = self.near.peek(hash, plain, |other| other == key) {
                count(counted);
                Self::share(lead, &value);
                return Turn::Found(value);
            }
        }
        let stands_for = if *counted { self.counters.apart() } else { self.counters.led() };
        Turn::Lead(lead, self.start(stands_for))
    }

    /// Waits for another call's body.
    async fn follow<M, O: Outcome<M, Value = V>>(
        &self,
        flight: &Flight<V>,
        inside: &Option<Chain>,
    ) -> Followed<O> {
        let Some(_waiting) = reentry::wait_for(inside.as_ref(), &flight.chain) else {
            return Followed::Alone; // waiting would never end
        };
        let clock = self.near.clock();
        let landing = flight.landing(clock.alarm(after(clock.now(), self.max_wait))).await;
        match landing {
            Some(Landing::Value(value)) => Followed::Brought(O::from_value(V::clone(&value))),
            Some(Landing::Rest(shared)) => match O::unshare(&shared) {
                Some(rest) => Followed::Brought(O::from_rest(rest)),
                None => Followed::Alone,
            },
            Some(Landing::Alone) => Followed::Alone,
            Some(Landing::Gone) => Followed::Again,
            None => {
                // The leader is stuck, or waits for us by a way we cannot see: another one leads.
                self.flights.give_up(flight);
                Followed::Again
            }
        }
    }

    /// Runs the body of a flight. A panic drops `lead`, which frees the key.
    fn run<M, O: Outcome<M, Value = V>>(
        &self,
        lead: Lead<'_, K, V>,
        stopwatch: Option<Stopwatch>,
        missed: Missed<K>,
        keep: impl FnOnce(&V) -> bool,
        body: impl FnOnce() -> O,
    ) -> O {
        let _inside = reentry::enter(lead.chain());
        let lead = lead; // goes before `missed`, whose key may be foreign and call this cache
        let outcome = body();
        self.stop(stopwatch);
        self.finish(lead, missed, keep, outcome)
    }

    /// As `run`; a cancellation drops `lead`, too.
    async fn run_async<M, O: Outcome<M, Value = V>>(
        &self,
        lead: Lead<'_, K, V>,
        stopwatch: Option<Stopwatch>,
        missed: Missed<K>,
        keep: impl FnOnce(&V) -> bool,
        body: Pin<&mut Option<impl Future<Output = O>>>,
    ) -> O {
        let lead = lead; // goes before `missed`, whose key may be foreign and call this cache
        let outcome = reentry::inside(Some(lead.chain()), body).await;
        self.stop(stopwatch);
        let _inside = reentry::enter(lead.chain());
        self.finish(lead, missed, keep, outcome)
    }

    /// Stores what a body returned, and hands it to those who wait. Runs inside the flight's chain:
    /// comparing, cloning and dropping may be foreign code, and nobody has been answered yet.
    fn finish<M, O: Outcome<M, Value = V>>(
        &self,
        mut lead: Lead<'_, K, V>,
        missed: Missed<K>,
        keep: impl FnOnce(&V) -> bool,
        outcome: O,
    ) -> O {
        match outcome.split() {
            Ok(value) => {
                if self.stores && keep(&value) {
                    self.commit(&mut lead, missed, value.clone());
                }
                Self::share(lead, &value);
                O::from_value(value)
            }
            Err(rest) => {
                let landing = match lead.leave().then(|| O::share(&rest)) {
                    None => Landing::Gone,
                    Some(None) => Landing::Alone,
                    Some(Some(shared)) => Landing::Rest(shared),
                };
                lead.land(landing);
                O::from_rest(rest)
            }
        }
    }

    /// Lands a flight with a value, cloned only if somebody waits for it.
    fn share(mut lead: Lead<'_, K, V>, value: &V) {
        let landing = match lead.leave() {
            true => Landing::Value(Arc::new(value.clone())),
            false => Landing::Gone,
        };
        lead.land(landing);
    }

    /// Stores what a flight brought, if it is still valid.
    fn commit(&self, lead: &mut Lead<'_, K, V>, missed: Missed<K>, value: V) {
        let mut incoming = self.incoming(missed, value);
        let mut known = Snapshot::vacant();
        loop {
            let mut displaced = Displaced::nothing();
            let stored = lead.commit(|| self.near.put(&known, &mut incoming, &mut displaced));
            drop(displaced); // no lock is held here
            let Err(seen) = stored else { return };
            known = compare(seen, &incoming);
        }
    }

    /// Puts an entry in from outside. Loads that run now are not stored.
    pub(crate) fn put<Q: Query<K>>(&self, query: &Q, value: V) {
        if !self.stores {
            return self.remove(query);
        }
        let mut incoming = self.incoming(self.missed(query), value);
        let mut known = Snapshot::vacant();
        let hash = incoming.hash;
        loop {
            let mut displaced = Displaced::nothing();
            let is_key = |other: &K| query.matches(other);
            let put = || self.near.put(&known, &mut incoming, &mut displaced);
            let stored = self.flights.supersede(hash, is_key, put);
            drop(displaced); // no lock is held here
            let Err(seen) = stored else { return };
            known = compare(seen, &incoming);
        }
    }

    fn incoming(&self, Missed { hash, key, plain, .. }: Missed<K>, value: V) -> Incoming<K, V> {
        let expires = self.ttl.map_or(NEVER, |ttl| after(self.near.clock().now(), ttl));
        Incoming { hash, stored: Some(Stored::new(key, value, plain)), expires }
    }

    /// Removes an entry. Loads that run now are not stored.
    pub(crate) fn remove<Q: Query<K>>(&self, query: &Q) {
        let hash = self.near.hash(query);
        let mut known = Snapshot::vacant();
        while let Err(seen) = self.flights.supersede(
            hash,
            |other| query.matches(other),
            || self.near.take(hash, query, &known),
        ) {
            known = seen.resolve(|entry| query.matches(&entry.key));
        }
    }

    /// Begins to time a load that stands for so many.
    fn start(&self, stands_for: u64) -> Option<Stopwatch> {
        (stands_for > 0).then(|| Stopwatch { begun: self.near.clock().now(), stands_for })
    }

    fn stop(&self, stopwatch: Option<Stopwatch>) {
        if let Some(Stopwatch { begun, stands_for }) = stopwatch {
            let took = self.near.clock().now().saturating_sub(begun);
            self.counters.load_took(took.saturating_mul(stands_for));
        }
    }
}

/// After a lost bet: compares what is there, now that no lock is held.
fn compare<K: NearKey, V>(
    seen: Snapshot<Entry<K, V>>,
    incoming: &Incoming<K, V>,
) -> Snapshot<Entry<K, V>> {
    let new = incoming.stored.as_ref().map(Stored::entry);
    seen.resolve(|entry| new.is_some_and(|new| entry.key == new.key))
}

/// What a call that found nothing does next.
enum Turn<'a, K: NearKey, V> {
    /// Runs the body.
    Lead(Lead<'a, K, V>, Option<Stopwatch>),
    /// Waits for the body of another call.
    Follow(Arc<Flight<V>>),
    /// Nothing: another call has just stored the value.
    Found(V),
}

/// What became of waiting for another call's body.
enum Followed<O> {
    Brought(O),
    /// Nothing that can be shared: the caller runs its own body, beside the others.
    Alone,
    /// Nothing, and the key is free again.
    Again,
}

/// A load that is timed.
struct Stopwatch {
    begun: Nanos,
    /// See `Counters::led`.
    stands_for: u64,
}

#[cfg(test)]
mod tests;
