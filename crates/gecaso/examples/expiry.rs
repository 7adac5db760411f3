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
    println!("{:?}", forecast::stats());
}
