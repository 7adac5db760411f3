//! What comes from the side: an entry put in, an entry removed. Each is one step with making the
//! flights of its key invalid.
//!
//! Called by `cache`.

use super::{Missed, compare};
use crate::cache::Cache;
use crate::far::Change;
use crate::key::{NearKey, Query};
use crate::lifetime::Lifetime;
use crate::memory::{Displaced, Seen};
use crate::outcome::Value;
use crate::receipt::Receipt;
use crate::reentry;
use crate::snapshot::Snapshot;

impl<K: NearKey, V: Value> Cache<K, V> {
    /// Puts an entry in from outside, perhaps with a lifetime of its own. Loads that run now are
    /// not stored.
    pub(crate) fn put<Q: Query<K>>(&self, query: &Q, value: V, given: Option<Lifetime>) -> Receipt {
        let missed = self.missed(query);
        let lifetime = match given {
            Some(given) => self.lifetimes.given(given),
            None => self.lifetimes.of(&missed.key, &value),
        };
        if lifetime.is_none() || !(self.near.has_places() || self.far.is_some()) {
            return self.remove(query);
        }
        let Some(far) = &self.far else {
            self.put_near(query, missed, value, lifetime, || None);
            return Receipt::ready();
        };
        let mut visit = far.visit(&missed.key, reentry::current());
        visit.begin();
        let sealed = visit.seal(&value, lifetime.ttl);
        // What is there now is not believed any more, all the same.
        let (sealed, failed) = match sealed {
            Ok(sealed) => (Some(sealed), None),
            Err(error) => (None, Some(error)),
        };
        let change = || visit.change(sealed.as_ref());
        let change = if self.near.has_places() {
            self.put_near(query, missed, value, lifetime, change)
        } else {
            self.flights.supersede(missed.hash, |other| query.matches(other), change)
        };
        let told = change.map_or_else(Receipt::ready, Change::tell);
        match failed {
            None => told,
            Some(error) => Receipt::failed(error).and(told),
        }
    }

    /// Stores near, and does `change` in the same step. There are places.
    #[inline]
    fn put_near<Q: Query<K>>(
        &self,
        query: &Q,
        missed: Missed<K>,
        value: V,
        lifetime: Lifetime,
        change: impl Fn() -> Option<Change>,
    ) -> Option<Change> {
        let hash = missed.hash;
        let mut incoming = self.incoming(missed, value, lifetime);
        let (mut known, mut displaced) = (Snapshot::vacant(), Displaced::nothing());
        loop {
            let put = || {
                self.near.put(&known, &mut incoming, &mut displaced)?;
                Ok(change())
            };
            let is_key = |other: &K| query.matches(other);
            match self.flights.supersede(hash, is_key, put) {
                Ok(change) => {
                    self.near.tell(displaced); // no lock is held here
                    return change;
                }
                Err(seen) => known = compare(seen, &incoming),
            }
        }
    }

    /// Removes an entry. Loads that run now are not stored.
    pub(crate) fn remove<Q: Query<K>>(&self, query: &Q) -> Receipt {
        let hash = self.near.hash(query);
        let far = self.far.as_ref();
        let visit = far.map(|far| far.visit(&query.to_key(), reentry::current()));
        let mut known = Snapshot::vacant();
        loop {
            let take = || {
                let removed = self.near.take(hash, query, &known)?;
                Ok((removed, visit.as_ref().and_then(|visit| visit.change(None))))
            };
            match self.flights.supersede(hash, |other| query.matches(other), take) {
                Ok((removed, change)) => {
                    self.near.tell(removed); // no lock is held here
                    return change.map_or_else(Receipt::ready, Change::tell);
                }
                Err(seen) => {
                    let seen: Seen<K, V> = seen;
                    known = seen.resolve(|entry| query.matches(&entry.key));
                }
            }
        }
    }
}
