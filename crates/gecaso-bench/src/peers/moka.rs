//! moka 0.12: its sync and its future cache, by reference where it can.

use super::{HKey, HRef, Peer, ROOMY, TIGHT, Task};
use crate::work::{Failed, body_f, body_g, body_h, body_slow, body_slow_async};
use moka::{future, sync};
use std::hash::Hash;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

fn of<K, V>(places: usize) -> sync::Cache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    sync::Cache::builder().max_capacity(places as u64).build()
}

static F: LazyLock<sync::Cache<u64, u64>> = LazyLock::new(|| of(ROOMY));
static G: LazyLock<sync::Cache<String, Arc<str>>> = LazyLock::new(|| of(ROOMY));
static H: LazyLock<sync::Cache<HKey, String>> = LazyLock::new(|| of(ROOMY));
static ASYNC_F: LazyLock<future::Cache<u64, u64>> =
    LazyLock::new(|| future::Cache::builder().max_capacity(ROOMY as u64).build());
static TTL: LazyLock<sync::Cache<u64, u64>> = LazyLock::new(|| {
    let builder = sync::Cache::builder().max_capacity(ROOMY as u64);
    builder.time_to_live(Duration::from_secs(3600)).build()
});
static MISS: LazyLock<sync::Cache<u64, u64>> = LazyLock::new(|| of(TIGHT));
static INSERT: LazyLock<sync::Cache<u64, u64>> = LazyLock::new(|| of(TIGHT));
static MIXED: LazyLock<sync::Cache<u64, u64>> = LazyLock::new(|| of(TIGHT));
static SLOW: LazyLock<sync::Cache<u64, u64>> = LazyLock::new(|| of(ROOMY));
static SLOW_ASYNC: LazyLock<future::Cache<u64, u64>> =
    LazyLock::new(|| future::Cache::builder().max_capacity(ROOMY as u64).build());

fn h(a: &str, b: u32) -> Result<String, Failed> {
    if let Some(value) = H.get(&HRef(a, b)) {
        return Ok(value);
    }
    H.try_get_with(HKey(a.to_owned(), b), || body_h(a, b)).map_err(|error| (*error).clone())
}

pub(super) fn peer() -> Peer {
    let mut peer = Peer::new("moka")
        .ids(Task::F, |id| F.get_with_by_ref(&id, || body_f(id)))
        .texts(Task::G, |s| G.get_with_by_ref(s, || body_g(s)).len())
        .texts(Task::H, |s| h(s, 7).map_or(0, |text| text.len()))
        .polled(Task::AsyncF, |id| async move {
            ASYNC_F.get_with_by_ref(&id, async { body_f(id) }).await
        })
        .ids(Task::Ttl, |id| TTL.get_with_by_ref(&id, || body_f(id)))
        .fresh(Task::Miss, |id| MISS.get_with_by_ref(&id, || body_f(id)))
        .fresh(Task::Insert, |id| {
            INSERT.insert(id, id);
            0
        })
        .ids(Task::Mixed, |id| MIXED.get_with_by_ref(&id, || body_f(id)));
    peer.slow = Some(|id| SLOW.get_with(id, || body_slow(id)));
    peer.slow_task =
        Some(|id| Box::pin(async move { SLOW_ASYNC.get_with(id, body_slow_async(id)).await }));
    peer.settle = || {
        F.run_pending_tasks();
        G.run_pending_tasks();
        H.run_pending_tasks();
        TTL.run_pending_tasks();
        MISS.run_pending_tasks();
        INSERT.run_pending_tasks();
        MIXED.run_pending_tasks();
    };
    peer
}
