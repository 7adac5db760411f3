//! THE PATH of a call, from the look-up to the result, on one screen.
//!
//! ```text
//! find      near get; no await, no allocation             -> a hit: return a clone
//! resolve   register a flight, or follow the one there is  -> follow: wait, share what it brings
//! lead        look again; run the body inside the flight
//! commit      store, unless an invalidation came after the flight began
//! land        hand the result to those who wait
//! ```
//!
//! Called by `cache` and by the macro's expansion. Knows the order of the steps and none of their
//! insides. The synchronous face parks around the same path.

use crate::blocking::block_on;
use crate::cache::Cache;
use crate::flight::{Boarding, Landing, Lead};
use crate::key::{NearKey, Query, is_plain};
use crate::memory::{Changed, Displaced, Entry, Incoming, Stored};
use crate::outcome::{Outcome, Value};
use crate::reentry;
use crate::snapshot::Snapshot;
use crate::time::{NEVER, Nanos, after};
use std::future::Future;
use std::pin::pin;
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
    #[doc(hidden)]
    #[inline]
    pub fn find<Q: Query<K>>(&self, query: &Q) -> Result<V, Missed<K>> {
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
    #[doc(hidden)]
    pub fn missed<Q: Query<K>>(&self, query: &Q) -> Missed<K> {
        Self::miss(query, self.near.hash(query), 0)
    }

    /// The miss path of a synchronous call.
    #[doc(hidden)]
    pub fn load<M, O: Outcome<M, Value = V>>(
        &self,
        missed: Missed<K>,
        keep: impl FnOnce(&V) -> bool,
        body: impl FnOnce() -> O,
    ) -> O {
        block_on(pin!(self.resolve(missed, keep, async move { body() })))
    }

    /// The miss path of an asynchronous call.
    ///
    /// Cancellation: dropping the future frees the key at once; somebody who waits leads.
    #[doc(hidden)]
    pub async fn load_async<M, O: Outcome<M, Value = V>>(
        &self,
        missed: Missed<K>,
        keep: impl FnOnce(&V) -> bool,
        body: impl Future<Output = O>,
    ) -> O {
        self.resolve(missed, keep, body).await
    }

    /// Runs the body now and replaces what is stored; until then callers get the old value.
    #[doc(hidden)]
    pub fn reload<M, O: Outcome<M, Value = V>>(
        &self,
        missed: Missed<K>,
        keep: impl FnOnce(&V) -> bool,
        body: impl FnOnce() -> O,
    ) -> O {
        block_on(pin!(self.reload_async(missed, keep, async move { body() })))
    }

    /// As `reload`, for an asynchronous body.
    #[doc(hidden)]
    pub async fn reload_async<M, O: Outcome<M, Value = V>>(
        &self,
        missed: Missed<K>,
        keep: impl FnOnce(&V) -> bool,
        body: impl Future<Output = O>,
    ) -> O {
        let Missed { hash, ref key, plain, .. } = missed;
        let lead = self.flights.lead_anew(hash, key, plain, reentry::current());
        let stopwatch = self.start(self.counters.apart());
        self.lead(lead, missed, keep, body, stopwatch).await
    }

    async fn resolve<M, O: Outcome<M, Value = V>>(
        &self,
        missed: Missed<K>,
        keep: impl FnOnce(&V) -> bool,
        body: impl Future<Output = O>,
    ) -> O {
        let Missed { hash, ref key, plain, puts } = missed;
        let inside = reentry::current();
        let mut counted = false; // as a miss
        loop {
            let flight = match self.flights.board(hash, key, plain, inside.clone()) {
                Boarding::Follow(flight) => flight,
                Boarding::Lead(lead) => {
                    if self.near.puts(hash) != puts {
                        // Another flight may have landed since the look-up.
                        if let Some(value) = self.near.peek(hash, plain, |other| other == key) {
                            if !counted {
                                self.counters.waited();
                            }
                            Self::share(lead, &value);
                            return O::from_value(value);
                        }
                    }
                    let stands_for =
                        if counted { self.counters.apart() } else { self.counters.led() };
                    let stopwatch = self.start(stands_for);
                    return self.lead(lead, missed, keep, body, stopwatch).await;
                }
            };
            if !std::mem::replace(&mut counted, true) {
                self.counters.waited();
            }
            let landing = {
                let Some(_waiting) = reentry::wait_for(inside.as_ref(), &flight.chain) else {
                    return self.alone(body).await; // waiting would never end
                };
                let clock = self.near.clock();
                flight.landing(clock.alarm(after(clock.now(), self.max_wait))).await
            };
            match landing {
                Some(Landing::Value(value)) => return O::from_value(V::clone(&value)),
                Some(Landing::Rest(shared)) => match O::unshare(&shared) {
                    Some(rest) => return O::from_rest(rest),
                    None => return self.alone(body).await,
                },
                Some(Landing::Alone) => return self.alone(body).await,
                Some(Landing::Gone) => {}
                // The leader is stuck, or waits for us by a way we cannot see: somebody else leads.
                None => self.flights.give_up(&flight),
            }
        }
    }

    async fn lead<M, O: Outcome<M, Value = V>>(
        &self,
        mut lead: Lead<'_, K, V>,
        missed: Missed<K>,
        keep: impl FnOnce(&V) -> bool,
        body: impl Future<Output = O>,
        stopwatch: Option<Stopwatch>,
    ) -> O {
        // All foreign code runs inside the chain. A panic or a cancellation drops `lead`, which
        // frees the key.
        let outcome = reentry::inside(Some(lead.chain()), async move {
            let outcome = body.await;
            self.stop(stopwatch);
            outcome.split().map(|value| {
                let stored = (self.stores && keep(&value)).then(|| value.clone());
                (value, stored)
            })
        });
        match outcome.await {
            Ok((value, stored)) => {
                if let Some(stored) = stored {
                    self.store(missed, stored, |store| lead.commit(store));
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

    /// Puts an entry in from outside. Loads that run now are not stored.
    pub(crate) fn put<Q: Query<K>>(&self, query: &Q, value: V) {
        if !self.stores {
            return self.remove(query);
        }
        let missed = self.missed(query);
        let hash = missed.hash;
        self.store(missed, value, |store| {
            self.flights.supersede(hash, |other| query.matches(other), &mut *store)
        });
    }

    /// Stores an entry by as many tries as it takes. `step` runs a try under the lock that makes it
    /// one step with what the caller must look at.
    fn store(
        &self,
        Missed { hash, key, plain, .. }: Missed<K>,
        value: V,
        mut step: impl FnMut(&mut dyn FnMut() -> Result<(), ()>) -> Result<(), ()>,
    ) {
        let mut known = Snapshot::vacant();
        let mut incoming = Some(Incoming {
            hash,
            stored: Stored::new(key, value, plain),
            expires: self.ttl.map_or(NEVER, |ttl| after(self.near.clock().now(), ttl)),
        });
        loop {
            let mut displaced = Displaced::nothing();
            let mut lost: Option<Changed<K, V>> = None;
            let _ = step(&mut || {
                let incoming = incoming.take().expect("one try takes it, a lost one gives it back");
                self.near.put(&known, incoming, &mut displaced).map_err(|changed| {
                    lost = Some(changed);
                })
            });
            drop(displaced); // no lock is held here
            let Some((seen, again)) = lost else { return };
            known = seen.resolve(|entry: &Entry<K, V>| entry.key == again.stored.entry().key);
            incoming = Some(again);
        }
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

    /// Runs a body that leads no flight, of a call that is counted already.
    async fn alone<O>(&self, body: impl Future<Output = O>) -> O {
        let stopwatch = self.start(self.counters.apart());
        let outcome = body.await;
        self.stop(stopwatch);
        outcome
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

/// A load that is timed.
struct Stopwatch {
    begun: Nanos,
    /// See `Counters::led`.
    stands_for: u64,
}
