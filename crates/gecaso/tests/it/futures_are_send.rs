//! The futures of calls travel between threads if their bodies do, and how large they are.

use gecaso::{Cache, LruStorage};
use std::future::{Future, ready};

fn is_send<F: Future + Send>(future: F) -> F {
    future
}

#[test]
fn futures_of_calls_are_send() {
    let cache: Cache<String, u64> = Cache::new(LruStorage::new(4));
    drop(is_send(cache.get_with_async("a", async { 1 })));
    drop(is_send(cache.try_get_with_async("a", async { Err::<u64, String>("no".into()) })));
    drop(is_send(cache.refresh_async("a", async { 1 })));
    drop(is_send(cache.peek_async("a")));
    drop(is_send(gecaso::scope(async { 1 })));
    drop(is_send(cache.invalidate("a")));
    // With an await and a value held over it, in the body and around the call.
    drop(is_send(async {
        let held = String::from("held");
        let body = async {
            let inner = held.clone();
            tokio::task::yield_now().await;
            inner.len() as u64
        };
        cache.get_with_async("a", body).await + held.len() as u64
    }));
}

#[test]
fn a_body_that_cannot_travel_may_run_where_it_is() {
    let cache: Cache<u8, u8> = Cache::new(LruStorage::new(4));
    let local = std::rc::Rc::new(std::cell::Cell::new(1));
    let body = async {
        smol::future::yield_now().await;
        local.get()
    };
    assert_eq!(pollster::block_on(cache.get_with_async(&1, body)), 1);
}

#[test]
fn caches_storages_and_receipts_are_send_and_sync() {
    fn is_both<T: Send + Sync + 'static>() {}
    is_both::<Cache<String, Vec<u8>>>();
    is_both::<gecaso::MemoryStorage>();
    is_both::<LruStorage>();
    is_both::<gecaso::ManualClock>();
    is_both::<gecaso::Receipt>();
    is_both::<gecaso::Stats>();
    is_both::<gecaso::Error>();
}

/// Bytes that the future of a call may take beyond its key and its body.
const CALL: usize = 640;

#[test]
fn the_future_of_a_call_is_small() {
    let cache: Cache<u64, u64> = Cache::new(LruStorage::new(4));
    let small = size_of_val(&cache.get_with_async(&1, ready(1)));
    let buffer = [0_u8; 1_024];
    let large = size_of_val(&cache.get_with_async(&1, async move {
        tokio::task::yield_now().await;
        buffer.len() as u64
    }));
    println!("future of a call: {small} bytes; with a body of 1 KiB: {large}");
    assert!(small <= CALL, "{small} {large}");
    assert!(large <= CALL + 3 * 1_088, "{large}: the body is in it a few times");
}

#[cfg(feature = "macros")]
#[test]
fn futures_of_cached_functions_are_send() {
    #[gecaso::cached]
    async fn fetched(path: &str, id: u64) -> Result<String, String> {
        tokio::task::yield_now().await;
        Ok(format!("{path}/{id}"))
    }
    let path = String::from("a");
    assert_eq!(pollster::block_on(is_send(fetched(&path, 1))), Ok("a/1".into()));
    drop(is_send(fetched::refresh(&path, 1)));
    let peeked = is_send(fetched::peek_async(&path, 1));
    assert_eq!(pollster::block_on(peeked), Some(Ok("a/1".into())));
    assert_eq!(pollster::block_on(fetched::peek_async(&path, 2)), None);
    assert_eq!((fetched::stats().hits, fetched::stats().misses), (0, 1), "a look is not counted");
}
