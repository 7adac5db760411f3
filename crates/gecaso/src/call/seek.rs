//! The steps of a call whose cache has a far storage: look there inside the flight, run the body,
//! write there. And looks that run nothing.
//!
//! Called by `call` and `cache`.

use super::{Missed, Refuse, Stopwatch};
use crate::blocking::block_on;
use crate::cache::Cache;
use crate::far::{FarTier, Fetched, Mode, Visit};
use crate::flight::{Landing, Lead};
use crate::key::{NearKey, Query};
use crate::memory::Unfound;
use crate::outcome::{Outcome, Value};
use crate::reentry;
use std::future::Future;
use std::pin::{Pin, pin};

impl<K: NearKey, V: Value> Cache<K, V> {
    /// The far storage, unless nothing is stored there.
    pub(super) fn seekable(&self) -> Option<&FarTier<K, V>> {
        self.far.as_ref().filter(|_| self.stores)
    }

    /// One call's business with the far storage.
    pub(super) fn visit<'a>(
        far: &'a FarTier<K, V>,
        missed: &Missed<K>,
        lead: &Lead<'_, K, V>,
    ) -> Box<Visit<'a, K, V>> {
        // Encoding may run foreign code, which cannot wait for this flight.
        let _inside = reentry::enter(lead.chain());
        Box::new(far.visit(&missed.key, Some(lead.chain())))
    }

    /// What a flight does that has a far storage: look there, run the body, write there.
    #[inline(never)]
    #[allow(clippy::too_many_arguments)] // a step of the path, called in one place
    pub(super) fn run_far<M, O: Outcome<M, Value = V>>(
        &self,
        far: &FarTier<K, V>,
        lead: Lead<'_, K, V>,
        missed: Missed<K>,
        keep: impl FnOnce(&V) -> bool,
        body: impl FnOnce() -> O,
        refuse: Refuse<O>,
        counted: bool,
    ) -> O {
        let mut visit = Self::visit(far, &missed, &lead);
        let seek = self.seek(lead, &mut visit, refuse, counted, Mode::Apart);
        let lead = match block_on(pin!(seek)) {
            Ok(outcome) => return outcome,
            Err(lead) => lead,
        };
        let stopwatch = self.start(self.stands_for(counted));
        self.run_and_write(lead, stopwatch, missed, visit, keep, body)
    }

    /// As `run_far_async`, in a box, so that calls without a far storage stay small; and apart from
    /// its caller, whose stack nested calls have under them many times over.
    #[inline(never)]
    #[allow(clippy::too_many_arguments)] // a step of the path, called in one place
    pub(super) fn run_far_boxed<'a, M, O: Outcome<M, Value = V>>(
        &'a self,
        far: &'a FarTier<K, V>,
        lead: Lead<'a, K, V>,
        missed: Missed<K>,
        keep: impl FnOnce(&V) -> bool + 'a,
        body: Pin<&'a mut Option<impl Future<Output = O>>>,
        refuse: Refuse<O>,
        counted: bool,
    ) -> Pin<Box<impl Future<Output = O>>> {
        Box::pin(self.run_far_async(far, lead, missed, keep, body, refuse, counted))
    }

    /// As `run_far`, awaited.
    #[allow(clippy::too_many_arguments)] // a step of the path, called in one place
    async fn run_far_async<M, O: Outcome<M, Value = V>>(
        &self,
        far: &FarTier<K, V>,
        lead: Lead<'_, K, V>,
        missed: Missed<K>,
        keep: impl FnOnce(&V) -> bool,
        body: Pin<&mut Option<impl Future<Output = O>>>,
        refuse: Refuse<O>,
        counted: bool,
    ) -> O {
        let mut visit = Self::visit(far, &missed, &lead);
        let lead = match self.seek(lead, &mut visit, refuse, counted, Mode::Here).await {
            Ok(outcome) => return outcome,
            Err(lead) => lead,
        };
        let stopwatch = self.start(self.stands_for(counted));
        self.run_and_write_async(lead, stopwatch, missed, visit, keep, body).await
    }

    /// Runs the body, and writes what it brought to the far storage.
    pub(super) fn run_and_write<M, O: Outcome<M, Value = V>>(
        &self,
        lead: Lead<'_, K, V>,
        stopwatch: Option<Stopwatch>,
        missed: Missed<K>,
        visit: Box<Visit<'_, K, V>>,
        keep: impl FnOnce(&V) -> bool,
        body: impl FnOnce() -> O,
    ) -> O {
        match self.run(stopwatch, missed, Some(visit), keep, body, lead) {
            Ok((value, leftover)) => {
                if let Some(leftover) = leftover {
                    block_on(pin!(leftover.write()));
                }
                O::from_value(value)
            }
            Err(rest) => O::from_rest(rest),
        }
    }

    /// As `run_and_write`, awaited.
    pub(super) async fn run_and_write_async<M, O: Outcome<M, Value = V>>(
        &self,
        lead: Lead<'_, K, V>,
        stopwatch: Option<Stopwatch>,
        missed: Missed<K>,
        visit: Box<Visit<'_, K, V>>,
        keep: impl FnOnce(&V) -> bool,
        body: Pin<&mut Option<impl Future<Output = O>>>,
    ) -> O {
        // No rest is held while the write is awaited: it need not be `Send`.
        let (value, leftover) =
            match self.run_async(stopwatch, missed, Some(visit), keep, body, lead).await {
                Ok(stored) => stored,
                Err(rest) => return O::from_rest(rest),
            };
        if let Some(leftover) = leftover {
            leftover.write().await;
        }
        O::from_value(value)
    }

    /// Asks the far storage, inside the flight, so that any number of misses costs one look there.
    /// `Err`: it has nothing, and the flight goes on.
    async fn seek<'a, M, O: Outcome<M, Value = V>>(
        &self,
        mut lead: Lead<'a, K, V>,
        visit: &mut Visit<'_, K, V>,
        refuse: Refuse<O>,
        counted: bool,
        mode: Mode,
    ) -> Result<O, Lead<'a, K, V>> {
        match (visit.find(mode).await, refuse) {
            (Fetched::Found(value), _) => {
                if !counted {
                    self.counters.hit();
                }
                Self::share(&mut lead, &value);
                Ok(O::from_value(value))
            }
            (Fetched::Failed(error), Some(refuse)) => {
                if !counted {
                    self.counters.waited();
                }
                lead.land(|| Landing::Refused(error.clone()));
                Ok(refuse(error))
            }
            (Fetched::Nothing | Fetched::Failed(_), _) => Err(lead),
        }
    }

    /// Only looks, near and far, and runs nothing.
    pub(crate) fn look<Q: Query<K>>(&self, query: &Q) -> Option<V> {
        match self.near.look(query, true) {
            Ok(value) => Some(value),
            Err(unfound) => self.look_longer(query, unfound),
        }
    }

    #[inline(never)]
    fn look_longer<Q: Query<K>>(&self, query: &Q, unfound: Unfound) -> Option<V> {
        if let (Some(value), _) = self.near.look_longer(query, unfound) {
            return Some(value);
        }
        self.count_look(match &self.far {
            None => None,
            Some(far) => block_on(pin!(Self::look_far(far, query.to_key(), Mode::Apart))),
        })
    }

    /// As `look`, for what is only read.
    pub(crate) fn with_query<Q: Query<K>, R>(
        &self,
        query: &Q,
        read: impl FnOnce(&V) -> R,
    ) -> Option<R> {
        if self.far.is_some() {
            return self.look(query).map(|value| read(&value));
        }
        let found = self.near.with(query, self.near.hash(query), read);
        if found.is_none() {
            self.counters.waited();
        }
        found
    }

    /// As `look`, awaited.
    pub(crate) async fn look_async<Q: Query<K>>(&self, query: Q) -> Option<V> {
        let hash = self.near.hash(&query);
        let near = self.near.get(&query, hash);
        match (near, &self.far) {
            (None, Some(far)) => {
                let found = Self::look_far(far, query.to_key(), Mode::Here).await;
                self.count_look(found)
            }
            (None, None) => self.count_look(None),
            (near, _) => near,
        }
    }

    /// What was found beyond the near storage, which counts its own hits.
    fn count_look(&self, found: Option<V>) -> Option<V> {
        match found {
            Some(_) => self.counters.hit(),
            None => self.counters.waited(),
        }
        found
    }

    async fn look_far(far: &FarTier<K, V>, key: K, mode: Mode) -> Option<V> {
        match far.visit(&key, reentry::current()).find(mode).await {
            Fetched::Found(value) => Some(value),
            Fetched::Nothing | Fetched::Failed(_) => None,
        }
    }

    /// As `look`, uncounted.
    pub(crate) fn peek_far(&self, key: impl FnOnce() -> K) -> Option<V> {
        let far = self.far.as_ref()?;
        block_on(pin!(Self::look_far(far, key(), Mode::Apart)))
    }

    /// As `peek_far`, awaited.
    pub(crate) async fn peek_far_async(&self, key: K) -> Option<V> {
        Self::look_far(self.far.as_ref()?, key, Mode::Here).await
    }
}
