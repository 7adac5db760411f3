//! THE PATH of a call, from the look-up to the result, on one screen.
//!
//! ```text
//! find      near get; no await, no allocation        -> a hit: return a clone
//! board     lead a flight, or follow the one there is
//!   follow    wait                                    -> share what it brings
//! landed    a leader looks again                      -> found: share it
//!   seek      far get, if there is a far storage      -> found: share it
//!   (body)    the user's function, inside the flight
//! finish    store, unless an invalidation came after the flight began;
//!           hand the result to those who wait; then write far
//! ```
//!
//! Called by `cache` and by the macro's expansion. Knows the order of the steps and none of their
//! insides; `seek` has the steps of a far storage, and `change` what comes from the side. `load`
//! and `load_async` are the two faces of the path: they differ in how a body is run, and in that a
//! synchronous caller parks while it waits, for a flight or a far storage.

use crate::blocking::block_on;
use crate::cache::Cache;
use crate::error::Error;
use crate::far::{Leftover, Mode, Visit};
use crate::flight::{Boarded, Flight, Landing, Lead};
use crate::key::{NearKey, Query};
use crate::lifetime::Lifetime;
use crate::memory::{Displaced, Entry, Incoming, Life, Stored, Unfound};
use crate::outcome::{Outcome, Value};
use crate::reentry::{self, Chain};
use crate::snapshot::Snapshot;
use crate::time::{Nanos, after};
use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;

mod change;
mod seek;

/// What a call answers whose far storage cannot be asked, if it is not to run its body.
pub(crate) type Refuse<O> = Option<fn(Error) -> O>;

/// What a flight brought: the value and what is left to be written far away, or the rest.
type Finished<V, R> = Result<(V, Option<Box<Leftover>>), R>;

/// What a call answers that has no far storage.
fn answer<M, O: Outcome<M>>(finished: Finished<O::Value, O::Rest>) -> O {
    match finished {
        Ok((value, _)) => O::from_value(value),
        Err(rest) => O::from_rest(rest),
    }
}

/// A call that found nothing: its key, owned now, so that the arguments can move into the body.
#[derive(Debug)]
pub struct Missed<K> {
    hash: u64,
    key: K,
    /// Whether key and value are plain: compared and cloned in place.
    plain: bool,
    /// Whether nothing is stored for it, and nothing will be as long as its flight is valid.
    absent: bool,
}

impl<K: NearKey, V: Value> Cache<K, V> {
    /// The hit path.
    #[inline(always)] // a hit calls nothing
    pub(crate) fn find<Q: Query<K>>(&self, query: &Q) -> Result<V, Missed<K>> {
        self.near.look(query, true).or_else(|unfound| self.find_longer(query, unfound))
    }

    /// The hit path of a call that the first look did not answer.
    #[inline(always)] // in LRU order it never does
    pub(crate) fn find_longer<Q: Query<K>>(
        &self,
        query: &Q,
        unfound: Unfound,
    ) -> Result<V, Missed<K>> {
        let (value, hash) = self.near.look_longer(query, unfound);
        value.ok_or_else(|| Self::miss(query, hash))
    }

    fn miss<Q: Query<K>>(query: &Q, hash: u64) -> Missed<K> {
        Missed { hash, key: query.to_key(), plain: Q::is_plain_with::<V>(), absent: false }
    }

    /// As `find`, for a call that wants the body to run whatever is stored.
    pub(crate) fn missed<Q: Query<K>>(&self, query: &Q) -> Missed<K> {
        Self::miss(query, self.near.hash(query))
    }

    /// The miss path of a synchronous call. `refuse` makes the answer of a call whose far storage
    /// cannot be asked; without it the body runs.
    pub(crate) fn load<M, O: Outcome<M, Value = V>>(
        &self,
        mut missed: Missed<K>,
        keep: impl FnOnce(&V) -> bool,
        body: impl FnOnce() -> O,
        refuse: Refuse<O>,
    ) -> O {
        let inside = reentry::current();
        let mut counted = false;
        loop {
            let (mut lead, lacks) = match self.board(&missed, &inside, &mut counted) {
                Ok(boarded) => boarded,
                Err(flight) => match block_on(pin!(self.follow(&flight, &inside, refuse))) {
                    Followed::Brought(outcome) => return outcome,
                    Followed::Alone => {
                        let stopwatch = self.start(self.counters.apart());
                        let outcome = body();
                        self.stop(stopwatch);
                        return outcome;
                    }
                    Followed::Again => continue,
                },
            };
            match self.landed(&mut missed, &mut lead, lacks, &mut counted) {
                Landed::Nothing => {}
                Landed::Value(value) => return O::from_value(value),
                Landed::Again => continue,
            }
            return match self.seekable() {
                None => {
                    let stopwatch = self.start(self.stands_for(counted));
                    answer(self.run(stopwatch, missed, None, keep, body, lead))
                }
                Some(far) => self.run_far(far, lead, missed, keep, body, refuse, counted),
            };
        }
    }

    /// The miss path of an asynchronous call.
    ///
    /// Cancellation: dropping the future frees the key at once; somebody who waits leads.
    pub(crate) async fn load_async<M, O: Outcome<M, Value = V>>(
        &self,
        mut missed: Missed<K>,
        keep: impl FnOnce(&V) -> bool,
        body: impl Future<Output = O>,
        refuse: Refuse<O>,
    ) -> O {
        // Pinned once, and handed down by reference: a future is as large as what it holds.
        let mut body = pin!(Some(body));
        let inside = reentry::current();
        let mut counted = false;
        loop {
            let (mut lead, lacks) = match self.board(&missed, &inside, &mut counted) {
                Ok(boarded) => boarded,
                Err(flight) => match self.follow(&flight, &inside, refuse).await {
                    Followed::Brought(outcome) => return outcome,
                    Followed::Alone => {
                        let stopwatch = self.start(self.counters.apart());
                        let outcome = reentry::inside(inside, body.as_mut()).await;
                        self.stop(stopwatch);
                        return outcome;
                    }
                    Followed::Again => continue,
                },
            };
            match self.landed(&mut missed, &mut lead, lacks, &mut counted) {
                Landed::Nothing => {}
                Landed::Value(value) => return O::from_value(value),
                Landed::Again => continue,
            }
            let body = body.as_mut();
            return match self.seekable() {
                None => {
                    let stopwatch = self.start(self.stands_for(counted));
                    answer(self.run_async(stopwatch, missed, None, keep, body, lead).await)
                }
                Some(far) => {
                    self.run_far_boxed(far, lead, missed, keep, body, refuse, counted).await
                }
            };
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
        let lead = self.flights.lead_anew(hash, key, plain, &reentry::current());
        let stopwatch = self.start(self.counters.apart());
        match &self.far {
            None => answer(self.run(stopwatch, missed, None, keep, body, lead)),
            Some(far) => {
                let mut visit = Self::visit(far, &missed, &lead);
                block_on(pin!(visit.prepare(Mode::Apart)));
                self.run_and_write(lead, stopwatch, missed, visit, keep, body)
            }
        }
    }

    /// As `reload`, for an asynchronous body.
    pub(crate) async fn reload_async<M, O: Outcome<M, Value = V>>(
        &self,
        missed: Missed<K>,
        keep: impl FnOnce(&V) -> bool,
        body: impl Future<Output = O>,
    ) -> O {
        let Missed { hash, ref key, plain, .. } = missed;
        let lead = self.flights.lead_anew(hash, key, plain, &reentry::current());
        let stopwatch = self.start(self.counters.apart());
        let body = pin!(Some(body));
        match &self.far {
            None => answer(self.run_async(stopwatch, missed, None, keep, body, lead).await),
            Some(far) => {
                let mut visit = Self::visit(far, &missed, &lead);
                let run = async {
                    visit.prepare(Mode::Here).await;
                    self.run_and_write_async(lead, stopwatch, missed, visit, keep, body).await
                };
                Box::pin(run).await
            }
        }
    }

    /// What a call that found nothing does next: it leads a flight, or follows the one there is.
    /// Who follows is counted, once. Who leads looks again, in the same step: another flight may
    /// have landed since the look-up. True: nothing is there.
    #[inline]
    fn board(
        &self,
        missed: &Missed<K>,
        inside: &Option<Chain>,
        counted: &mut bool,
    ) -> Boarded<'_, K, V, bool> {
        let &Missed { hash, ref key, plain, .. } = missed;
        let lacks = || self.near.lacks(hash, plain);
        let boarded = self.flights.board(hash, key, plain, inside, lacks);
        if boarded.is_err() {
            self.count_once(counted);
        }
        boarded
    }

    /// Whether another flight has landed since the look-up. If not, only this one can store now: an
    /// insertion, or a later flight that stores first, makes it invalid.
    #[inline]
    fn landed(
        &self,
        missed: &mut Missed<K>,
        lead: &mut Lead<'_, K, V>,
        lacks: bool,
        counted: &mut bool,
    ) -> Landed<V> {
        if lacks {
            missed.absent = lead.is_alone();
            return Landed::Nothing;
        }
        self.look_closely(missed, lead, counted)
    }

    /// The same, where it takes a look at the entry itself. Comparing and cloning may run foreign
    /// code, which is part of this flight and cannot wait for it.
    #[inline(never)]
    fn look_closely(
        &self,
        missed: &Missed<K>,
        lead: &mut Lead<'_, K, V>,
        counted: &mut bool,
    ) -> Landed<V> {
        let _inside = reentry::enter(lead.chain());
        match self.near.peek(missed.hash, missed.plain, |other| *other == missed.key) {
            Some(value) => {
                self.count_once(counted);
                Self::share(lead, &value);
                Landed::Value(value)
            }
            None if lead.is_valid() => Landed::Nothing,
            // Something was there, and was removed before the look: this flight would bring what
            // nobody may store, although nothing happened after the look.
            None => Landed::Again,
        }
    }

    /// Counts a call as a miss that does not lead to a load of its own.
    fn count_once(&self, counted: &mut bool) {
        if !std::mem::replace(counted, true) {
            self.counters.waited();
        }
    }

    /// Waits for another call's body.
    async fn follow<M, O: Outcome<M, Value = V>>(
        &self,
        flight: &Flight<V>,
        inside: &Option<Chain>,
        refuse: Refuse<O>,
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
            Some(Landing::Refused(error)) => match refuse {
                Some(refuse) => Followed::Brought(refuse(error)),
                None => Followed::Alone,
            },
            Some(Landing::Gone) => Followed::Again,
            None => {
                // The leader is stuck, or waits for us by a way we cannot see: another one leads.
                self.flights.give_up(flight);
                Followed::Again
            }
        }
    }

    /// Runs the body of a flight. A panic drops `lead`, which frees the key: the last argument, so
    /// that it goes before `missed`, whose key may be foreign and call this cache.
    #[inline]
    fn run<M, O: Outcome<M, Value = V>>(
        &self,
        stopwatch: Option<Stopwatch>,
        missed: Missed<K>,
        mut visit: Option<Box<Visit<'_, K, V>>>,
        keep: impl FnOnce(&V) -> bool,
        body: impl FnOnce() -> O,
        mut lead: Lead<'_, K, V>,
    ) -> Finished<V, O::Rest> {
        let _inside = reentry::enter(lead.chain());
        visit.iter_mut().for_each(|visit| visit.begin());
        let outcome = body();
        self.stop(stopwatch);
        self.finish(missed, visit, keep, outcome, &mut lead)
    }

    /// As `run`; a cancellation drops `lead`, too.
    async fn run_async<M, O: Outcome<M, Value = V>>(
        &self,
        stopwatch: Option<Stopwatch>,
        missed: Missed<K>,
        mut visit: Option<Box<Visit<'_, K, V>>>,
        keep: impl FnOnce(&V) -> bool,
        body: Pin<&mut Option<impl Future<Output = O>>>,
        mut lead: Lead<'_, K, V>,
    ) -> Finished<V, O::Rest> {
        visit.iter_mut().for_each(|visit| visit.begin());
        let outcome = reentry::inside(Some(lead.chain()), body).await;
        self.stop(stopwatch);
        let _inside = reentry::enter(lead.chain());
        self.finish(missed, visit, keep, outcome, &mut lead)
    }

    /// Stores what a body returned, and hands it to those who wait; the value comes back, or the
    /// rest. Runs inside the flight's chain: comparing, cloning and dropping may be foreign code,
    /// and nobody has been answered yet.
    #[inline]
    fn finish<M, O: Outcome<M, Value = V>>(
        &self,
        missed: Missed<K>,
        visit: Option<Box<Visit<'_, K, V>>>,
        keep: impl FnOnce(&V) -> bool,
        outcome: O,
        lead: &mut Lead<'_, K, V>,
    ) -> Finished<V, O::Rest> {
        match outcome.split() {
            Ok(value) => {
                let (mut leftover, mut displaced) = (None, Displaced::nothing());
                if self.stores && keep(&value) {
                    leftover = self.commit(lead, missed, visit, &value, &mut displaced);
                }
                Self::share(lead, &value);
                self.near.tell(displaced);
                Ok((value, leftover))
            }
            Err(rest) => {
                lead.land(|| O::share(&rest).map_or(Landing::Alone, Landing::Rest));
                Err(rest)
            }
        }
    }

    /// Lands a flight with a value, cloned only if somebody waits for it.
    #[inline]
    fn share(lead: &mut Lead<'_, K, V>, value: &V) {
        lead.land(|| Landing::Value(Arc::new(value.clone())));
    }

    /// Stores what a flight brought, if it is still valid: near at once, far as a write that is
    /// queued, and left to be done when everybody has been answered.
    #[inline]
    fn commit(
        &self,
        lead: &mut Lead<'_, K, V>,
        missed: Missed<K>,
        visit: Option<Box<Visit<'_, K, V>>>,
        value: &V,
        displaced: &mut Displaced<K, V>,
    ) -> Option<Box<Leftover>> {
        let lifetime = self.lifetimes.of(&missed.key, value);
        if lifetime.is_none() {
            return None;
        }
        let Some(visit) = visit else {
            self.commit_with(lead, missed, value, lifetime, displaced, || ());
            return None;
        };
        // What cannot be sealed stays here; it has been reported.
        let sealed = visit.seal(value, lifetime.ttl).ok();
        let mut leftover = None;
        let queue = || leftover = visit.queue(sealed.as_ref()).map(Box::new);
        self.commit_with(lead, missed, value, lifetime, displaced, queue);
        leftover
    }

    /// The same, where what is to be written far away is known.
    #[inline]
    fn commit_with(
        &self,
        lead: &mut Lead<'_, K, V>,
        missed: Missed<K>,
        value: &V,
        lifetime: Lifetime,
        displaced: &mut Displaced<K, V>,
        mut queue: impl FnMut(),
    ) {
        if !self.near.has_places() {
            let queued = lead.commit(|| {
                queue();
                Ok::<(), Infallible>(())
            });
            match queued {
                Ok(()) => return,
                Err(never) => match never {},
            }
        }
        let mut incoming = self.incoming(missed, value.clone(), lifetime);
        let mut known = Snapshot::vacant();
        loop {
            let stored = lead.commit(|| {
                self.near.put(&known, &mut incoming, displaced)?;
                queue();
                Ok(())
            });
            let Err(seen) = stored else { return };
            known = compare(seen, &incoming);
        }
    }

    /// An entry on its way in. Runs foreign code: a weigher.
    #[inline(always)] // small where nothing weighs and nothing ends
    fn incoming(&self, missed: Missed<K>, value: V, lifetime: Lifetime) -> Incoming<K, V> {
        let Missed { hash, key, plain, absent } = missed;
        let life = match lifetime {
            Lifetime { ttl: None, tti: None } => Life::ENDLESS,
            Lifetime { ttl, tti } => Life::new(self.near.clock().now(), ttl, tti),
        };
        let weight = self.near.weigh(&key, &value);
        let stored = Some(Stored::new(key, value, plain));
        Incoming { hash, stored, plain, absent, life, weight }
    }

    /// For how many loads the time of the one that begins now stands.
    fn stands_for(&self, counted: bool) -> u64 {
        if counted { self.counters.apart() } else { self.counters.led() }
    }

    /// Begins to time a load that stands for so many.
    #[inline]
    fn start(&self, stands_for: u64) -> Option<Stopwatch> {
        (stands_for > 0).then(|| Stopwatch { begun: self.now(), stands_for })
    }

    #[inline]
    fn stop(&self, stopwatch: Option<Stopwatch>) {
        if let Some(Stopwatch { begun, stands_for }) = stopwatch {
            let took = self.now().saturating_sub(begun);
            self.counters.load_took(took.saturating_mul(stands_for));
        }
    }

    #[inline(never)] // few loads are timed
    fn now(&self) -> Nanos {
        self.near.clock().now()
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

/// What a call that leads finds when it looks again.
enum Landed<V> {
    Nothing,
    Value(V),
    /// It has to board again.
    Again,
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
