//! Lifetimes, and a clock that a test moves by hand: no sleeping.

use gecaso::{Cache, LruStorage, ManualClock, MemoryStorage, cached};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

static CLOCK: LazyLock<ManualClock> = LazyLock::new(ManualClock::new);
static FORECASTS: AtomicU32 = AtomicU32::new(0);

/// In a test the storage gets a clock of the test's own; all else is as in production.
#[cached(MemoryStorage::bounded(100).with_clock(&CLOCK), ttl = "1h 30m")]
fn forecast(town: &str) -> String {
    format!("{town}, forecast {}", FORECASTS.fetch_add(1, Relaxed))
}

/// Hits prolong it; whoever is away for ten minutes is asked again.
#[cached(MemoryStorage::bounded(100).with_clock(&CLOCK), tti = "10m")]
fn session(user: u32) -> String {
    format!("session of {user}")
}

#[derive(Clone)]
struct Token {
    lives: Duration,
}

/// What is stored says itself how long it is fresh.
#[cached(MemoryStorage::bounded(100).with_clock(&CLOCK), ttl = |token: &Token| token.lives)]
fn login(user: u32) -> Result<Token, String> {
    Ok(Token { lives: Duration::from_secs(u64::from(user)) })
}

/// Zero: callers that come at the same time share one body, and nothing is stored.
#[cached(ttl = 0)]
fn now_or_never(n: u32) -> u32 {
    n
}

fn main() {
    assert_eq!(forecast("Oslo"), "Oslo, forecast 0");
    CLOCK.advance(Duration::from_secs(90 * 60 - 1));
    assert_eq!(forecast("Oslo"), "Oslo, forecast 0");
    CLOCK.advance(Duration::from_secs(1));
    assert_eq!(forecast("Oslo"), "Oslo, forecast 1", "its time is over at the very moment");

    for _ in 0..3 {
        session(7);
        CLOCK.advance(Duration::from_secs(9 * 60));
    }
    assert_eq!(session::stats().loads, 1);
    CLOCK.advance(Duration::from_secs(60));
    session(7);
    assert_eq!(session::stats().loads, 2);

    assert!(login(5).is_ok() && login(60).is_ok());
    CLOCK.advance(Duration::from_secs(5));
    assert!(login::peek(5).is_none() && login::peek(60).is_some());

    now_or_never(1);
    now_or_never(1);
    assert_eq!((now_or_never::stats().loads, now_or_never::stats().entries), (2, 0));

    // The same by hand. Without a `ttl` entries stay until they are evicted, and no clock is read.
    let clock = ManualClock::new();
    let storage = LruStorage::new(100).with_clock(&clock);
    let short: Cache<u32, u32> =
        Cache::builder().storage(&storage).ttl(Duration::from_millis(250)).build();
    let long: Cache<u32, u32> = Cache::builder().storage(&storage).build();
    short.insert(1, 10);
    long.insert(1, 10);
    clock.advance(Duration::from_secs(3600));
    assert_eq!((short.get(&1), long.get(&1)), (None, Some(10)));
    // One entry may have a time of its own, and what has expired is freed when you say so.
    long.insert_with_ttl(2, 20, Duration::from_secs(60));
    clock.advance(Duration::from_secs(60));
    assert_eq!((long.get(&2), storage.len(), storage.reclaim(), storage.len()), (None, 3, 2, 1));
    println!("{:?}", forecast::stats());
}
