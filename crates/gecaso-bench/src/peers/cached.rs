//! cached 4: `#[cached]` with a bound (one lock), `#[concurrent_cached]` with a bound (shards), and
//! what each of them keeps its entries in, by hand.

use super::{Peer, Task};
use crate::work::{Failed, body_f, body_g, body_h, body_slow, body_slow_async};
use cached::macros::{cached, concurrent_cached};
use cached::{Cached, LruCache, ShardedLruCache};
use std::sync::{Arc, LazyLock, RwLock};

pub(super) fn peers() -> Vec<Peer> {
    vec![one_lock::peer(), sharded::peer(), by_key()]
}

/// The same functions under one of the two attributes. The sizes are those of the other peers.
macro_rules! functions {
    ($module:ident, $name:literal, $attribute:ident, $insert:expr) => {
        mod $module {
            use super::*;

            #[$attribute(max_size = 10_000)]
            fn f(id: u64) -> u64 {
                body_f(id)
            }
            #[$attribute(max_size = 10_000, key = "String", convert = { s.to_owned() })]
            fn g(s: &str) -> Arc<str> {
                body_g(s)
            }
            #[$attribute(max_size = 10_000, key = "(String, u32)", convert = { (a.to_owned(), b) })]
            fn h(a: &str, b: u32) -> Result<String, Failed> {
                body_h(a, b)
            }
            #[$attribute(max_size = 10_000)]
            async fn async_f(id: u64) -> u64 {
                body_f(id)
            }
            #[$attribute(max_size = 10_000, ttl_secs = 3600)]
            fn ttl(id: u64) -> u64 {
                body_f(id)
            }
            #[$attribute(max_size = 100_000)]
            fn miss(id: u64) -> u64 {
                body_f(id)
            }
            #[$attribute(max_size = 100_000)]
            fn mixed(id: u64) -> u64 {
                body_f(id)
            }
            #[$attribute(max_size = 10_000)]
            fn slow(id: u64) -> u64 {
                body_slow(id)
            }
            #[$attribute(max_size = 10_000)]
            async fn slow_async(id: u64) -> u64 {
                body_slow_async(id).await
            }

            pub(super) fn peer() -> Peer {
                let mut peer = Peer::new($name)
                    .ids(Task::F, f)
                    .texts(Task::G, |s| g(s).len())
                    .texts(Task::H, |s| h(s, 7).map_or(0, |text| text.len()))
                    .polled(Task::AsyncF, async_f)
                    .ids(Task::Ttl, ttl)
                    .ids(Task::Lru, f)
                    .fresh(Task::Miss, miss)
                    .fresh(Task::Insert, $insert)
                    .ids(Task::Mixed, mixed);
                peer.slow = Some(slow);
                peer.slow_task = Some(|id| Box::pin(slow_async(id)));
                peer
            }
        }
    };
}

static ONE_LOCK: LazyLock<RwLock<LruCache<u64, u64>>> =
    LazyLock::new(|| RwLock::new(LruCache::builder().max_size(100_000).build().expect("a size")));
static SHARDED: LazyLock<ShardedLruCache<u64, u64>> =
    LazyLock::new(|| ShardedLruCache::builder().max_size(100_000).build().expect("a size"));

fn insert_one_lock(id: u64) -> u64 {
    ONE_LOCK.write().expect("nobody panics here").cache_set(id, id);
    0
}

fn insert_sharded(id: u64) -> u64 {
    SHARDED.set(id, id);
    0
}

functions!(one_lock, "cached #[cached]", cached, insert_one_lock);
functions!(sharded, "cached #[concurrent_cached]", concurrent_cached, insert_sharded);

#[cached(max_size = 10_000, sync_writes = "by_key")]
fn slow_by_key(id: u64) -> u64 {
    body_slow(id)
}

#[cached(max_size = 10_000, sync_writes = "by_key")]
async fn slow_by_key_async(id: u64) -> u64 {
    body_slow_async(id).await
}

/// The word that makes cached run one body per key: for the stampedes alone.
fn by_key() -> Peer {
    let mut peer = Peer::new("cached #[cached], by_key");
    peer.slow = Some(slow_by_key);
    peer.slow_task = Some(|id| Box::pin(slow_by_key_async(id)));
    peer
}
