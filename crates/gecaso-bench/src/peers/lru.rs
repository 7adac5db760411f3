//! lru 0.19 behind one `Mutex`: the usual least-recently-used cache by hand.

use super::{Peer, ROOMY, TIGHT, Task};
use crate::work::body_f;
use lru::LruCache;
use std::num::NonZeroUsize;
use std::sync::{LazyLock, Mutex};

type Cache = LazyLock<Mutex<LruCache<u64, u64>>>;

fn of(places: usize) -> Mutex<LruCache<u64, u64>> {
    Mutex::new(LruCache::new(NonZeroUsize::new(places).expect("there are places")))
}

static F: Cache = LazyLock::new(|| of(ROOMY));
static MISS: Cache = LazyLock::new(|| of(TIGHT));
static INSERT: Cache = LazyLock::new(|| of(TIGHT));
static MIXED: Cache = LazyLock::new(|| of(TIGHT));

fn memoized(cache: &Cache, id: u64) -> u64 {
    const LOCK: &str = "no body runs under the lock";
    if let Some(value) = cache.lock().expect(LOCK).get(&id) {
        return *value;
    }
    let value = body_f(id);
    cache.lock().expect(LOCK).put(id, value);
    value
}

pub(super) fn peer() -> Peer {
    Peer::new("lru + Mutex")
        .ids(Task::F, |id| memoized(&F, id))
        .ids(Task::Lru, |id| memoized(&F, id))
        .fresh(Task::Miss, |id| memoized(&MISS, id))
        .fresh(Task::Insert, |id| {
            INSERT.lock().expect("nobody panics here").put(id, id);
            0
        })
        .ids(Task::Mixed, |id| memoized(&MIXED, id))
}
