//! gecaso: `#[cached]` functions, and a `Cache` by hand.

use super::{Peer, ROOMY, TIGHT, Task};
use crate::work::{Failed, body_f, body_g, body_h, body_slow, body_slow_async};
use gecaso::{Cache, LruStorage, MemoryStorage, cached};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn peers() -> Vec<Peer> {
    vec![functions(), by_hand()]
}

#[cached(MemoryStorage::bounded(ROOMY))]
fn f(id: u64) -> u64 {
    body_f(id)
}

#[cached(MemoryStorage::bounded(ROOMY))]
fn g(s: &str) -> Arc<str> {
    body_g(s)
}

#[cached(MemoryStorage::bounded(ROOMY))]
fn h(a: &str, b: u32) -> Result<String, Failed> {
    body_h(a, b)
}

#[cached(MemoryStorage::bounded(ROOMY))]
async fn async_f(id: u64) -> u64 {
    body_f(id)
}

#[cached(MemoryStorage::bounded(ROOMY), ttl = "1h")]
fn ttl(id: u64) -> u64 {
    body_f(id)
}

#[cached(LruStorage::new(ROOMY))]
fn lru(id: u64) -> u64 {
    body_f(id)
}

#[cached(MemoryStorage::bounded(TIGHT))]
fn miss(id: u64) -> u64 {
    body_f(id)
}

#[cached(MemoryStorage::bounded(TIGHT))]
fn inserted(id: u64) -> u64 {
    id
}

#[cached(MemoryStorage::bounded(TIGHT))]
fn mixed(id: u64) -> u64 {
    body_f(id)
}

#[cached(MemoryStorage::bounded(ROOMY))]
fn slow(id: u64) -> u64 {
    body_slow(id)
}

#[cached(MemoryStorage::bounded(ROOMY))]
async fn slow_async(id: u64) -> u64 {
    body_slow_async(id).await
}

fn functions() -> Peer {
    let mut peer = Peer::new("gecaso #[cached]")
        .ids(Task::F, f)
        .texts(Task::G, |s| g(s).len())
        .texts(Task::H, |s| h(s, 7).map_or(0, |text| text.len()))
        .polled(Task::AsyncF, async_f)
        .ids(Task::Ttl, ttl)
        .ids(Task::Lru, lru)
        .fresh(Task::Miss, miss)
        .fresh(Task::Insert, |id| {
            inserted::insert(id, id);
            0
        })
        .ids(Task::Mixed, mixed);
    peer.slow = Some(slow);
    peer.slow_task = Some(|id| Box::pin(slow_async(id)));
    peer
}

static F: LazyLock<Cache<u64, u64>> = LazyLock::new(|| Cache::new(MemoryStorage::bounded(ROOMY)));
static G: LazyLock<Cache<String, Arc<str>>> =
    LazyLock::new(|| Cache::new(MemoryStorage::bounded(ROOMY)));
static H: LazyLock<Cache<(String, u32), String>> =
    LazyLock::new(|| Cache::new(MemoryStorage::bounded(ROOMY)));
static ASYNC_F: LazyLock<Cache<u64, u64>> =
    LazyLock::new(|| Cache::new(MemoryStorage::bounded(ROOMY)));
static TTL: LazyLock<Cache<u64, u64>> =
    LazyLock::new(|| Cache::builder().storage(MemoryStorage::bounded(ROOMY)).ttl(HOUR).build());
static LRU: LazyLock<Cache<u64, u64>> = LazyLock::new(|| Cache::new(LruStorage::new(ROOMY)));
static MISS: LazyLock<Cache<u64, u64>> =
    LazyLock::new(|| Cache::new(MemoryStorage::bounded(TIGHT)));
static INSERT: LazyLock<Cache<u64, u64>> =
    LazyLock::new(|| Cache::new(MemoryStorage::bounded(TIGHT)));
static MIXED: LazyLock<Cache<u64, u64>> =
    LazyLock::new(|| Cache::new(MemoryStorage::bounded(TIGHT)));
static SLOW: LazyLock<Cache<u64, u64>> =
    LazyLock::new(|| Cache::new(MemoryStorage::bounded(ROOMY)));

fn h_by_hand(a: &str, b: u32) -> Result<String, Failed> {
    // A pair has no borrowed form, so by hand its key is built for every call.
    H.try_get_with(&(a.to_owned(), b), || body_h(a, b))
}

fn by_hand() -> Peer {
    let mut peer = Peer::new("gecaso Cache")
        .ids(Task::F, |id| F.get_with(&id, || body_f(id)))
        .texts(Task::G, |s| G.get_with(s, || body_g(s)).len())
        .texts(Task::H, |s| h_by_hand(s, 7).map_or(0, |text| text.len()))
        .polled(Task::AsyncF, |id| async move {
            ASYNC_F.get_with_async(&id, async { body_f(id) }).await
        })
        .ids(Task::Ttl, |id| TTL.get_with(&id, || body_f(id)))
        .ids(Task::Lru, |id| LRU.get_with(&id, || body_f(id)))
        .fresh(Task::Miss, |id| MISS.get_with(&id, || body_f(id)))
        .fresh(Task::Insert, |id| {
            INSERT.insert(id, id);
            0
        })
        .ids(Task::Mixed, |id| MIXED.get_with(&id, || body_f(id)));
    peer.slow = Some(|id| SLOW.get_with(&id, || body_slow(id)));
    peer.slow_task =
        Some(|id| Box::pin(async move { SLOW.get_with_async(&id, body_slow_async(id)).await }));
    peer
}
