//! Results in Redis, with a real server: what the README of the old library showed first.
//!
//! `make test-redis` runs it with a server of its own; `GECASO_VALKEY_SERVER` names another program.

use gecaso::{Far, cached};
use gecaso_redis_example::{RedisStorage, server::Server};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

static SERVER: Mutex<Option<Server>> = Mutex::new(None);

/// Step 1: create a Redis storage. Shared by all functions, so they share what is known of its
/// health. No call waits longer than this for it.
static REDIS: LazyLock<Far> = LazyLock::new(|| {
    let server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    let url = server.as_ref().expect("it is started first").url();
    let storage = RedisStorage::new(&url).expect("a valid URL");
    Far::new(storage).deadline(DEADLINE).on_trouble(|trouble| println!("redis: {trouble}"))
});

const DEADLINE: Duration = Duration::from_millis(200);

static BODIES: AtomicU64 = AtomicU64::new(0);

/// Step 2: set your cache for any function you want.
#[cached(&REDIS, ttl = 100, params(some_additional_cool_param = "Hell yeah!"))]
fn long_and_boring_function(time_to_sleep: u64) -> String {
    BODIES.fetch_add(1, Relaxed);
    format!("I have slept for {time_to_sleep} second(s)!")
}

#[cached(&REDIS, ttl = 100)]
async fn fetch(url: &str) -> Result<String, String> {
    BODIES.fetch_add(1, Relaxed);
    url.strip_prefix("https://").map(|host| format!("contents of {host}")).ok_or("not safe".into())
}

/// How many bodies ran in `act`.
fn bodies(act: impl FnOnce()) -> u64 {
    let before = BODIES.load(Relaxed);
    act();
    BODIES.load(Relaxed) - before
}

fn shows_everything() {
    // Outside of any runtime.
    let two_calls = || {
        for _ in 0..2 {
            assert_eq!(long_and_boring_function(1), "I have slept for 1 second(s)!");
        }
    };
    assert_eq!(bodies(two_calls), 1);

    // Inside of tokio, synchronous or not: found in the server, where the other calls left it.
    let runtime = tokio::runtime::Runtime::new().expect("tokio starts");
    let inside = || {
        runtime.block_on(async {
            two_calls();
            tokio::spawn(async move { two_calls() }).await.expect("no panic");
            for _ in 0..2 {
                assert_eq!(
                    fetch("https://example.org").await,
                    Ok("contents of example.org".into())
                );
            }
            assert!(fetch("http://example.org").await.is_err()); // an `Err` is not stored
        })
    };
    assert_eq!(bodies(inside), 2);

    // When the receipt has come, other processes do not find it any more.
    long_and_boring_function::invalidate(1).wait().expect("the server answers");
    assert_eq!(bodies(two_calls), 1);

    // A server that is killed costs a bounded delay, and not the answer.
    let with_server = |act: fn(&mut Server)| {
        let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
        act(server.as_mut().expect("it was started"));
    };
    with_server(Server::kill);
    let mut slowest = Duration::ZERO;
    for n in 0..100 {
        let begun = Instant::now();
        assert_eq!(long_and_boring_function(n), format!("I have slept for {n} second(s)!"));
        slowest = slowest.max(begun.elapsed());
    }
    println!("without a server the slowest of 100 calls took {slowest:?}");
    assert!(slowest < DEADLINE * 2, "{slowest:?}");

    // When it is back, so are the hits.
    with_server(Server::restart);
    let back = Instant::now();
    while bodies(two_calls) > 0 {
        assert!(back.elapsed() < Duration::from_secs(10), "{:?}", REDIS.stats());
    }
    println!("hits again {:?} after the server was back", back.elapsed());
}

fn main() {
    *SERVER.lock().expect("nobody has panicked") = Some(Server::start());
    // A static is never dropped: the server ends here, also after a panic.
    let shown = std::panic::catch_unwind(shows_everything);
    SERVER.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Err(panic) = shown {
        std::panic::resume_unwind(panic);
    }
}
