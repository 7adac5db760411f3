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
use crate::key::{NearKey, Query};
use crate::memory::{Changed, Entry};
use crate::outcome::{Outcome, Value};
use crate::reentry;
use crate::snapshot::Snapshot;
use crate::time::{NEVER, after};
use std::future::Future;
use std::sync::Arc;

/// A call that found nothing: its key, owned now, so that the arguments can move into the body.
#[derive(Debug)]
pub struct Missed<K> {
    hash: u64,
    key: K,
}

type Leading<'a, K, V> = Lead<'a, K, Entry<K, V>>;

impl<K: NearKey, V: Value> Cache<K, V> {
    /// The hit path.
    #[doc(hidden)]
    #[inline]
    pub fn find<Q: Query<K>>(&self, query: &Q) -> Result<V, Missed<K>> {
        let hash = self.near.hash(query);
        match self.near.get(query, hash) {
            Some(value) => {
                self.counters.hit();
                Ok(value)
            }
            None => Err(Missed { hash, key: query.to_key() }),
        }
    }

    /// As `find`, for a call that wants the body to run whatever is stored.
    #[doc(hidden)]
    pub fn missed<Q: Query<K>>(&self, query: &Q) -> Missed<K> {
        Missed { hash: self.near.hash(query), key: query.to_key() }
    }

    /// The miss path of a synchronous call.
    #[doc(hidden)]
    pub fn load<M, O: Outcome<M, Value = V>>(
        &self,
        missed: Missed<K>,
        keep: impl FnOnce(&V) -> bool,
        body: impl FnOnce() -> O,
    ) -> O {
        block_on(self.resolve(missed, keep, async move { body() }))
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
        block_on(self.reload_async(missed, keep, async move { body() }))
    }

    /// As `reload`, for an asynchronous body.
    #[doc(hidden)]
    pub async fn reload_async<M, O: Outcome<M, Value = V>>(
        &self,
        missed: Missed<K>,
        keep: impl FnOnce(&V) -> bool,
        body: impl Future<Output = O>,
    ) -> O {
        let Missed { hash, key } = missed;
        let lead = self.flights.lead_anew(hash, &key, reentry::current());
        self.lead(lead, hash, key, keep, body).await
    }

    async fn resolve<M, O: Outcome<M, Value = V>>(
        &self,
        Missed { hash, key }: Missed<K>,
        keep: impl FnOnce(&V) -> bool,
        body: impl Future<Output = O>,
    ) -> O {
        self.counters.miss();
        let chain = reentry::current();
        loop {
            let flight = match self.flights.board(hash, &key, chain.clone()) {
                Boarding::Follow(flight) => flight,
                Boarding::Lead(lead) => {
                    // Another flight may have landed since the look-up.
                    if let Some(entry) = self.near.fetch(hash, |other| *other == key) {
                        let value = entry.value.clone();
                        lead.land(Landing::Value(entry));
                        return O::from_value(value);
                    }
                    return self.lead(lead, hash, key, keep, body).await;
                }
            };
            let Some(_waiting) = reentry::wait_for(chain.as_ref(), flight.clone()) else {
                return self.timed(body).await;
            };
            let clock = self.near.clock();
            match flight.landing(clock.alarm(after(clock.now(), self.max_wait))).await {
                Some(Landing::Value(entry)) => return O::from_value(entry.value.clone()),
                Some(Landing::Rest(shared)) => match O::unshare(&shared) {
                    Some(rest) => return O::from_rest(rest),
                    None => return self.timed(body).await,
                },
                Some(Landing::Alone) => return self.timed(body).await,
                Some(Landing::Gone) => {}
                // The leader is stuck, or waits for us by a way we cannot see: somebody else leads.
                None => self.flights.detach(&flight),
            }
        }
    }

    async fn lead<M, O: Outcome<M, Value = V>>(
        &self,
        mut lead: Leading<'_, K, V>,
        hash: u64,
        key: K,
        keep: impl FnOnce(&V) -> bool,
        body: impl Future<Output = O>,
    ) -> O {
        // A panic or a cancellation from here on drops `lead`, which frees the key.
        let outcome = reentry::inside(Some(lead.chain()), self.timed(body)).await;
        match outcome.split() {
            Ok(value) => {
                let returned = value.clone();
                if self.stores && keep(&value) {
                    let entry = Arc::new(Entry { key, value });
                    self.commit(&mut lead, hash, &entry);
                    lead.land(Landing::Value(entry));
                } else {
                    lead.land(Landing::Value(Arc::new(Entry { key, value })));
                }
                O::from_value(returned)
            }
            Err(rest) => {
                let shared = lead.is_followed().then(|| O::share(&rest));
                lead.land(match shared {
                    None => Landing::Gone,
                    Some(None) => Landing::Alone,
                    Some(Some(shared)) => Landing::Rest(shared),
                });
                O::from_rest(rest)
            }
        }
    }

    /// Stores what a flight brought, if it is still registered.
    fn commit(&self, lead: &mut Leading<'_, K, V>, hash: u64, entry: &Arc<Entry<K, V>>) {
        let expires = self.expires();
        let mut known = Snapshot::vacant();
        while let Some(Err(changed)) = lead.commit(|| self.near.put(hash, &known, entry, expires)) {
            known = self.compare(changed, &entry.key);
        }
    }

    /// Puts an entry in from outside. Loads that run now are not stored.
    pub(crate) fn put<Q: Query<K>>(&self, query: &Q, value: V) {
        let Missed { hash, key } = self.missed(query);
        let entry = Arc::new(Entry { key, value });
        let expires = self.expires();
        let mut known = Snapshot::vacant();
        let is_key = |other: &K| *other == entry.key;
        while let Err(changed) = self.flights.supersede(hash, is_key, |_| {
            self.near.put(hash, &known, &entry, expires)
        }) {
            known = self.compare(changed, &entry.key);
        }
    }

    /// Removes an entry. Loads that run now are not stored.
    pub(crate) fn remove<Q: Query<K>>(&self, query: &Q) {
        let hash = self.near.hash(query);
        let mut known = Snapshot::vacant();
        let is_key = |other: &K| query.matches(other);
        while let Err((displaced, snapshot)) =
            self.flights.supersede(hash, is_key, |_| self.near.take(hash, &known))
        {
            drop(displaced);
            known = snapshot.resolve(|entry| query.matches(&entry.key));
        }
    }

    /// After a lost bet: drops what was displaced and compares, now that no lock is held.
    fn compare(&self, (displaced, seen): Changed<K, V>, key: &K) -> Snapshot<Entry<K, V>> {
        drop(displaced);
        seen.resolve(|entry| entry.key == *key)
    }

    /// When an entry stored now is over.
    fn expires(&self) -> u64 {
        self.ttl.map_or(NEVER, |ttl| after(self.near.clock().now(), ttl))
    }

    /// Runs a body, counted and timed.
    async fn timed<O>(&self, body: impl Future<Output = O>) -> O {
        let stands_for = self.counters.load();
        if stands_for == 0 {
            return body.await;
        }
        let clock = self.near.clock();
        let begun = clock.now();
        let outcome = body.await;
        self.counters.load_took(clock.now().saturating_sub(begun).saturating_mul(stands_for));
        outcome
    }
}
