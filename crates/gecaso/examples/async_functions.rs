//! The same attribute on `async fn`, on any runtime: here tokio, smol and pollster share one cache.

use gecaso::cached;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Waker};

static BODIES: AtomicU32 = AtomicU32::new(0);

/// Borrowed arguments are looked up as they are; a key is built when something is stored.
#[cached(ttl = "5m")]
async fn resolve(host: &str, port: u16) -> String {
    BODIES.fetch_add(1, Relaxed);
    smol::future::yield_now().await; // in place of the network
    format!("{host}:{port}")
}

fn main() {
    // 100 tasks of tokio ask for one missing key: one body runs, the others wait for it.
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    tokio.block_on(async {
        let tasks: Vec<_> =
            (0..100).map(|_| tokio::spawn(async { resolve("example.org", 80).await })).collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), "example.org:80");
        }
    });
    assert_eq!(BODIES.load(Relaxed), 1);

    // The other runtimes find what tokio's tasks have stored.
    assert_eq!(smol::block_on(resolve("example.org", 80)), "example.org:80");
    assert_eq!(pollster::block_on(resolve("example.org", 80)), "example.org:80");
    assert_eq!(BODIES.load(Relaxed), 1);

    // A hit is ready at the first poll: it needs no runtime at all.
    let mut hit = pin!(resolve("example.org", 80));
    assert!(hit.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());

    // A caller that is dropped in mid-flight leaves nothing locked.
    {
        let mut dropped = pin!(resolve("example.net", 80));
        assert!(dropped.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    assert_eq!(pollster::block_on(resolve("example.net", 80)), "example.net:80");
    assert_eq!(BODIES.load(Relaxed), 3);

    // `refresh` and `uncached` of an async function are async as well.
    assert_eq!(pollster::block_on(resolve::refresh("example.net", 80)), "example.net:80");
    assert_eq!(pollster::block_on(resolve::uncached("example.net", 80)), "example.net:80");
    assert_eq!(BODIES.load(Relaxed), 5);
    println!("{:?}", resolve::stats());
}
