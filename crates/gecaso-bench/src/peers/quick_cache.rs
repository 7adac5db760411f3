//! quick_cache 0.7. It knows no lifetimes.

use super::{HKey, HRef, Peer, ROOMY, TIGHT, Task};
use crate::work::{Failed, body_f, body_g, body_h, body_slow, body_slow_async};
use quick_cache::sync::Cache;
use std::convert::Infallible;
use std::sync::{Arc, LazyLock};

static F: LazyLock<Cache<u64, u64>> = LazyLock::new(|| Cache::new(ROOMY));
static G: LazyLock<Cache<String, Arc<str>>> = LazyLock::new(|| Cache::new(ROOMY));
static H: LazyLock<Cache<HKey, String>> = LazyLock::new(|| Cache::new(ROOMY));
static ASYNC_F: LazyLock<Cache<u64, u64>> = LazyLock::new(|| Cache::new(ROOMY));
static MISS: LazyLock<Cache<u64, u64>> = LazyLock::new(|| Cache::new(TIGHT));
static INSERT: LazyLock<Cache<u64, u64>> = LazyLock::new(|| Cache::new(TIGHT));
static MIXED: LazyLock<Cache<u64, u64>> = LazyLock::new(|| Cache::new(TIGHT));
static SLOW: LazyLock<Cache<u64, u64>> = LazyLock::new(|| Cache::new(ROOMY));

fn memoized(cache: &Cache<u64, u64>, id: u64, body: fn(u64) -> u64) -> u64 {
    let Ok(value) = cache.get_or_insert_with(&id, || Ok::<_, Infallible>(body(id)));
    value
}

fn g(s: &str) -> Arc<str> {
    let Ok(value) = G.get_or_insert_with(s, || Ok::<_, Infallible>(body_g(s)));
    value
}

fn h(a: &str, b: u32) -> Result<String, Failed> {
    if let Some(value) = H.get(&HRef(a, b)) {
        return Ok(value);
    }
    H.get_or_insert_with(&HKey(a.to_owned(), b), || body_h(a, b))
}

async fn async_f(id: u64) -> u64 {
    let body = async { Ok::<_, Infallible>(body_f(id)) };
    let Ok(value) = ASYNC_F.get_or_insert_async(&id, body).await;
    value
}

async fn slow_async(id: u64) -> u64 {
    let body = async { Ok::<_, Infallible>(body_slow_async(id).await) };
    let Ok(value) = SLOW.get_or_insert_async(&id, body).await;
    value
}

pub(super) fn peer() -> Peer {
    let mut peer = Peer::new("quick_cache")
        .ids(Task::F, |id| memoized(&F, id, body_f))
        .texts(Task::G, |s| g(s).len())
        .texts(Task::H, |s| h(s, 7).map_or(0, |text| text.len()))
        .polled(Task::AsyncF, async_f)
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
