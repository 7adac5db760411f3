//! The flights of one shard of the register: usually none or one, so one has a place of its own and
//! the rest an ordered map.
//!
//! Made by `flight`, under whose locks all of this is called. Runs no foreign code: foreign keys
//! are compared over snapshots.

use super::Flight;
use crate::key::NearKey;
use crate::reentry::{Chain, FlightId};
use crate::signal::Signal;
use crate::snapshot::Snapshot;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Bodies that run now, by the hash of their keys.
pub(super) struct Records<K, V> {
    /// Holds one whenever there was none when it began.
    one: Option<Record<K, V>>,
    /// By hash and number.
    more: BTreeMap<(u64, FlightId), Record<K, V>>,
    /// Flights begun here so far.
    begun: u64,
}

/// A body that runs now.
pub(super) struct Record<K, V> {
    hash: u64,
    pub(super) key: FlightKey<K>,
    chain: Chain,
    /// The same for all flights of one key; several run at once only where a refresh or a take-over
    /// began while another one was on its way.
    pub(super) group: FlightId,
    /// Grows with each flight: which of two began later.
    pub(super) begun: u64,
    pub(super) standing: Standing,
    /// Made by the first who waits.
    pub(super) flight: Option<Arc<Flight<V>>>,
}

/// What a flight is still good for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Calls that miss join it, and what it brings is stored.
    Joinable,
    /// What it brings is stored, unless a later flight has stored before. Nobody joins it any more:
    /// a later flight has begun, or somebody has waited too long.
    Outdated,
    /// There was an invalidation, or a later flight has stored: what it brings goes to those who
    /// wait for it, and nowhere else.
    Invalid,
}

pub(super) enum FlightKey<K> {
    /// Compared in place.
    Plain(K),
    /// Compared outside of the lock.
    Foreign(Arc<K>),
}

/// Where the flights of a hash are.
fn of_hash(hash: u64) -> RangeInclusive<(u64, FlightId)> {
    (hash, FlightId::MIN)..=(hash, FlightId::MAX)
}

impl<K, V> Records<K, V> {
    pub(super) fn new() -> Self {
        Records { one: None, more: BTreeMap::new(), begun: 0 }
    }

    /// Takes all of them out.
    #[cfg(not(shuttle))]
    pub(super) fn take(&mut self) -> impl Sized + use<K, V> {
        (self.one.take(), std::mem::take(&mut self.more))
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.one.is_none() && self.more.is_empty()
    }

    #[cfg(all(test, shuttle))]
    pub(super) fn len(&self) -> usize {
        usize::from(self.one.is_some()) + self.more.len()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Record<K, V>> {
        self.one.iter_mut().chain(self.more.values_mut())
    }

    /// Notes a flight that begins inside of another one's body, or of none.
    #[inline]
    pub(super) fn begin(
        &mut self,
        hash: u64,
        key: FlightKey<K>,
        inside: &Option<Chain>,
        group: Option<FlightId>,
    ) -> Chain {
        let chain = Chain::begin(inside);
        let begun_here = chain.clone();
        self.begun += 1;
        let (group, begun) = (group.unwrap_or(chain.id), self.begun);
        let standing = Standing::Joinable;
        let record = Record { hash, key, chain, group, begun, standing, flight: None };
        match self.one {
            None => self.one = Some(record),
            Some(_) => self.begin_beside(record),
        }
        begun_here
    }

    #[inline(never)]
    fn begin_beside(&mut self, record: Record<K, V>) {
        self.more.insert((record.hash, record.chain.id), record);
    }

    /// A flight by its number.
    #[inline]
    pub(super) fn find(&mut self, hash: u64, id: FlightId) -> Option<&mut Record<K, V>> {
        match &mut self.one {
            Some(one) if one.chain.id == id => Some(one),
            _ => self.more.get_mut(&(hash, id)),
        }
    }

    /// Takes it out.
    #[inline]
    pub(super) fn remove(&mut self, hash: u64, id: FlightId) -> Left<K, V> {
        match &mut self.one {
            Some(one) if one.chain.id == id => {
                let left = one.leave();
                self.one = None;
                left
            }
            _ => self.remove_beside(hash, id),
        }
    }

    #[inline(never)]
    fn remove_beside(&mut self, hash: u64, id: FlightId) -> Left<K, V> {
        self.more.remove(&(hash, id)).map_or(Left::NOTHING, |mut record| record.leave())
    }

    /// The group of the valid flights of a key: told at once if keys are plain, else by what
    /// `known` found, if the shard still holds what it saw.
    #[inline(never)] // rarely is anything there
    pub(super) fn group(
        &self,
        hash: u64,
        is: impl Fn(&K) -> bool,
        known: &Snapshot<K>,
    ) -> Result<Option<FlightId>, Snapshot<K>> {
        let valid = || {
            let more = self.more.range(of_hash(hash)).map(|(_, record)| record);
            self.one.iter().filter(|one| one.hash == hash).chain(more).filter(|one| one.is_valid())
        };
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
    pub(super) fn of(
        &mut self,
        hash: u64,
        group: FlightId,
    ) -> impl Iterator<Item = &mut Record<K, V>> {
        let more = self.more.range_mut(of_hash(hash)).map(|(_, record)| record);
        let one = self.one.iter_mut().filter(move |one| one.hash == hash);
        one.chain(more).filter(move |record| record.group == group && record.is_valid())
    }
}

impl<K: NearKey> FlightKey<K> {
    #[inline]
    pub(super) fn new(key: &K, plain: bool) -> Self {
        if plain {
            FlightKey::Plain(key.clone())
        } else {
            FlightKey::Foreign(Arc::new(key.clone()))
        }
    }
}

/// What is left of a record: dropped where no lock is held.
pub(super) struct Left<K, V> {
    /// Somebody waits.
    pub(super) flight: Option<Arc<Flight<V>>>,
    /// Its drop is foreign code.
    _key: Option<Arc<K>>,
}

impl<K, V> Left<K, V> {
    pub(super) const NOTHING: Self = Left { flight: None, _key: None };
}

impl<K, V> Record<K, V> {
    #[inline]
    fn leave(&mut self) -> Left<K, V> {
        let _key = match &self.key {
            FlightKey::Plain(_) => None,
            FlightKey::Foreign(key) => Some(key.clone()),
        };
        Left { flight: self.flight.take(), _key }
    }

    pub(super) fn invalidate(&mut self) {
        self.standing = Standing::Invalid;
    }

    pub(super) fn is_valid(&self) -> bool {
        self.standing != Standing::Invalid
    }

    pub(super) fn flight(&mut self) -> Arc<Flight<V>> {
        let make = || {
            Arc::new(Flight { hash: self.hash, chain: self.chain.clone(), landing: Signal::new() })
        };
        self.flight.get_or_insert_with(make).clone()
    }
}
