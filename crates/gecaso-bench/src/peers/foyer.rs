//! foyer 0.22 in memory, under its default policy (LRU). It knows no lifetimes; a synchronous miss
//! looks, computes and stores.

use super::{HKey, HRef, Peer, ROOMY, TIGHT, Task};
use crate::work::{Failed, body_f, body_g, body_h, body_slow, body_slow_async};
use foyer::{Cache, CacheBuilder};
use std::convert::Infallible;
use std::sync::{Arc, LazyLock};

static F: LazyLock<Cache<u64, u64>> = LazyLock::new(|| CacheBuilder::new(ROOMY).build());
static G: LazyLock<Cache<String, Arc<str>>> = LazyLock::new(|| CacheBuilder::new(ROOMY).build());
static H: LazyLock<Cache<HKey, String>> = LazyLock::new(|| CacheBuilder::new(ROOMY).build());
static MISS: LazyLock<Cache<u64, u64>> = LazyLock::new(|| CacheBuilder::new(TIGHT).build());
static INSERT: LazyLock<Cache<u64, u64>> = LazyLock::new(|| CacheBuilder::new(TIGHT).build());
static MIXED: LazyLock<Cache<u64, u64>> = LazyLock::new(|| CacheBuilder::new(TIGHT).build());
static SLOW: LazyLock<Cache<u64, u64>> = LazyLock::new(|| CacheBuilder::new(ROOMY).build());

fn memoized(cache: &Cache<u64, u64>, id: u64, body: fn(u64) -> u64) -> u64 {
    if let Some(entry) = cache.get(&id) {
        return *entry.value();
    }
    let value = body(id);
    cache.insert(id, value);
    value
}

fn g(s: &str) -> Arc<str> {
    if let Some(entry) = G.get(s) {
        return entry.value().clone();
    }
    let value = body_g(s);
    G.insert(s.to_owned(), value.clone());
    value
}

fn h(a: &str, b: u32) -> Result<String, Failed> {
    if let Some(entry) = H.get(&HRef(a, b)) {
        return Ok(entry.value().clone());
    }
    let value = body_h(a, b)?;
    H.insert(HKey(a.to_owned(), b), value.clone());
    Ok(value)
}

async fn slow_async(id: u64) -> u64 {
    let body = || async move { Ok::<_, Infallible>(body_slow_async(id).await) };
    let fetched = SLOW.get_or_fetch(&id, body).await;
    fetched.map_or(0, |entry| *entry.value())
}

pub(super) fn peer() -> Peer {
    let mut peer = Peer::new("foyer")
        .ids(Task::F, |id| memoized(&F, id, body_f))
        .texts(Task::G, |s| g(s).len())
        .texts(Task::H, |s| h(s, 7).map_or(0, |text| text.len()))
        .ids(Task::Lru, |id| memoized(&F, id, body_f))
        .fresh(Task::Miss, |id| memoized(&MISS, id, body_f))
        .fresh(Task::Insert, |id| {
            INSERT.insert(id, id);
            0
        })
        .ids(Task::Mixed, |id| memoized(&MIXED, id, body_f));
    peer.slow = Some(|id| memoized(&SLOW, id, body_slow));
    peer.slow_task = Some(|id| Box::pin(slow_async(id)));
    peer
}
