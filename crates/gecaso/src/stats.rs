//! Counters of one cache, and the snapshot that users read.
//!
//! Hits are counted by every call, so the counters are striped: each thread writes a line that no
//! other writes. Knows nothing of storages or flights.

use crate::lane;
use crate::sync::tally;
use std::ops::Add;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How a cache has done so far.
///
/// ```
/// let cache: gecaso::Cache<u64, u64> = gecaso::Cache::new(gecaso::LruStorage::new(16));
/// cache.get_with(&1, || 10);
/// cache.get_with(&1, || 10);
/// let stats = cache.stats();
/// assert_eq!((stats.hits, stats.misses, stats.loads, stats.entries), (1, 1, 1, 1));
/// assert_eq!(stats.hit_ratio(), 0.5);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Calls answered from the storage.
    pub hits: u64,
    /// Calls that found nothing fresh: they ran the body, or waited for another call that did, or
    /// only looked ([`Cache::get`](crate::Cache::get)).
    pub misses: u64,
    /// Bodies begun, whatever they returned.
    pub loads: u64,
    /// Time spent in those bodies, added up. Where bodies take less than about a microsecond it is
    /// measured for one in sixteen of them and scaled, because reading the clock would cost more.
    pub load_time: Duration,
    /// Entries removed to make room.
    pub evictions: u64,
    /// Entries removed because their time was over.
    pub expirations: u64,
    /// Entries held now in this process, those that have expired and were not met since included.
    pub entries: u64,
    /// What a storage outside of the process was asked, and what came of it.
    #[cfg(feature = "far")]
    pub far: crate::FarStats,
}

impl Stats {
    /// Hits per call, between 0 and 1; 0 if there was no call.
    pub fn hit_ratio(&self) -> f64 {
        let calls = self.hits + self.misses;
        if calls == 0 { 0.0 } else { self.hits as f64 / calls as f64 }
    }
}

impl Add for Stats {
    type Output = Stats;

    /// The figures of two caches together.
    fn add(self, other: Stats) -> Stats {
        Stats {
            hits: self.hits + other.hits,
            misses: self.misses + other.misses,
            loads: self.loads + other.loads,
            load_time: self.load_time.saturating_add(other.load_time),
            evictions: self.evictions + other.evictions,
            expirations: self.expirations + other.expirations,
            entries: self.entries + other.entries,
            #[cfg(feature = "far")]
            far: self.far + other.far,
        }
    }
}

/// One stripe, on a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Stripe {
    hits: AtomicU64,
    /// Misses that led to a load of their own: one counter for the two, since each costs a write.
    led: AtomicU64,
    /// Misses that waited, or found that another call had just stored.
    waited: AtomicU64,
    /// Loads that were no misses, or whose misses had been counted as waiting.
    apart: AtomicU64,
    load_nanos: AtomicU64,
    /// Loads until the next that is timed. 0 where several threads count.
    untimed: AtomicU64,
}

impl Stripe {
    /// For how many loads the one that was counted just now stands, if it may be timed.
    #[inline(never)]
    fn time(&self, alone: bool) -> u64 {
        let before = self.led.load(Relaxed) + self.apart.load(Relaxed) - 1;
        let are_short = self.load_nanos.load(Relaxed) < before.saturating_mul(SHORT);
        match before {
            _ if before < SAMPLE || !are_short => 1,
            _ if alone => {
                self.untimed.store(SAMPLE - 1, Relaxed);
                SAMPLE
            }
            _ if before.is_multiple_of(SAMPLE) => SAMPLE,
            _ => 0,
        }
    }
}

/// The counters behind [`Stats`] that a cache keeps itself.
pub(crate) struct Counters {
    /// By the number of the thread.
    own: Box<[Stripe]>,
    /// Of all threads without one.
    shared: Stripe,
}

impl Default for Counters {
    fn default() -> Self {
        let own = (0..lane::most()).map(|_| Stripe::default()).collect();
        Counters { own, shared: Stripe::default() }
    }
}

/// Where a thread counts.
#[derive(Clone, Copy)]
struct Here<'a> {
    stripe: &'a Stripe,
    /// Nobody else writes there: no atomic step is needed.
    alone: bool,
}

impl<'a> Here<'a> {
    #[inline]
    fn add(self, pick: impl Fn(&'a Stripe) -> &'a AtomicU64, by: u64) {
        let counter = pick(self.stripe);
        if self.alone {
            counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
        } else {
            tally::add(tally::Kind::Atomic);
            counter.fetch_add(by, Relaxed);
        }
    }
}

/// Loads shorter than this are timed by sample.
const SHORT: u64 = 1_000;
/// One in so many short loads is timed.
const SAMPLE: u64 = 16;

impl Counters {
    #[inline]
    fn here(&self) -> Here<'_> {
        match self.own.get(lane::number()) {
            Some(stripe) => Here { stripe, alone: true },
            None => Here { stripe: &self.shared, alone: false },
        }
    }

    #[inline]
    pub(crate) fn hit(&self) {
        match self.own.get(lane::known()) {
            Some(stripe) => Here { stripe, alone: true }.add(|stripe| &stripe.hits, 1),
            None => self.first_hit(),
        }
    }

    #[cold]
    fn first_hit(&self) {
        self.here().add(|stripe| &stripe.hits, 1);
    }

    /// A miss that ends without a load under its own flight.
    pub(crate) fn waited(&self) {
        self.here().add(|stripe| &stripe.waited, 1);
    }

    /// A miss that leads to a load: for how many loads its time is to stand, 0 if it is not timed.
    #[inline]
    pub(crate) fn led(&self) -> u64 {
        self.load(|stripe| &stripe.led)
    }

    /// As `led`, for a load that is not the end of a miss.
    pub(crate) fn apart(&self) -> u64 {
        self.load(|stripe| &stripe.apart)
    }

    #[inline]
    fn load(&self, count: impl Fn(&Stripe) -> &AtomicU64) -> u64 {
        let here = self.here();
        here.add(count, 1);
        let untimed = here.stripe.untimed.load(Relaxed);
        if untimed == 0 {
            return here.stripe.time(here.alone);
        }
        here.stripe.untimed.store(untimed - 1, Relaxed);
        0
    }

    /// Adds the time of loads.
    #[inline(never)] // seldom
    pub(crate) fn load_took(&self, nanos: u64) {
        self.here().add(|stripe| &stripe.load_nanos, nanos);
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let sum = |pick: fn(&Stripe) -> &AtomicU64| -> u64 {
            self.own.iter().chain([&self.shared]).map(|s| pick(s).load(Relaxed)).sum()
        };
        let led = sum(|s| &s.led);
        Stats {
            hits: sum(|s| &s.hits),
            misses: led + sum(|s| &s.waited),
            loads: led + sum(|s| &s.apart),
            load_time: Duration::from_nanos(sum(|s| &s.load_nanos)),
            ..Stats::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_loads_are_timed_by_sample_and_long_ones_always() {
        let long = Counters::default();
        for _ in 0..100 {
            assert_eq!(long.led(), 1);
            long.load_took(5_000);
        }
        let short = Counters::default();
        let mut weight = 0;
        for _ in 0..1_600 {
            let stands_for = short.led();
            weight += stands_for;
            short.load_took(10 * stands_for);
        }
        assert_eq!(short.snapshot().loads, 1_600);
        let ratio = weight as f64 / 1_600.0;
        assert!((0.98..=1.02).contains(&ratio), "the samples stand for all loads: {ratio}");
    }

    #[test]
    fn figures_of_two_caches_add_up() {
        let one = Stats { hits: 3, misses: 1, entries: 2, ..Stats::default() };
        let sum = one + one;
        assert_eq!((sum.hits, sum.misses, sum.entries), (6, 2, 4));
        assert_eq!(sum.hit_ratio(), 0.75);
        assert_eq!(Stats::default().hit_ratio(), 0.0);
    }
}
