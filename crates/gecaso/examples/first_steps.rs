//! First steps: one attribute on a function, and the handle that has the function's own name.

use gecaso::{LruStorage, cached};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

static BODIES: AtomicU32 = AtomicU32::new(0);

#[cached(LruStorage::new(16), ttl = 100)] // seconds; also "1h 30m", or any `Duration` expression
fn long_and_boring_function(time_to_sleep: u64) -> String {
    BODIES.fetch_add(1, Relaxed); // in place of the sleep
    format!("I have slept for {time_to_sleep} second(s)!")
}

/// The attribute alone: a storage in memory of its own, bounded, with a documented default size.
#[cached]
fn fib(n: u64) -> u64 {
    if n < 2 { n } else { fib(n - 1) + fib(n - 2) }
}

fn main() {
    assert_eq!(long_and_boring_function(1), "I have slept for 1 second(s)!"); // runs the body
    assert_eq!(long_and_boring_function(1), "I have slept for 1 second(s)!"); // a hit
    assert_eq!(BODIES.load(Relaxed), 1);

    // Look without counting, put a value in, take one out, run the bare body.
    assert!(long_and_boring_function::peek(1).is_some());
    long_and_boring_function::insert(2, "I know already".to_owned());
    assert_eq!(long_and_boring_function(2), "I know already");
    long_and_boring_function::invalidate(2);
    assert_eq!(long_and_boring_function::peek(2), None);
    assert_eq!(long_and_boring_function::uncached(1), "I have slept for 1 second(s)!");
    assert_eq!(BODIES.load(Relaxed), 2);

    // Run the body now and replace what is stored.
    long_and_boring_function::refresh(1);
    assert_eq!(BODIES.load(Relaxed), 3);

    let stats = long_and_boring_function::stats();
    assert_eq!((stats.hits, stats.misses, stats.entries), (2, 1, 1));
    long_and_boring_function::clear();
    assert_eq!(long_and_boring_function::stats().entries, 0);

    // Every call of the recursion has its own key: 91 bodies instead of some 10^19.
    assert_eq!(fib(90), 2_880_067_194_370_816_120);
    assert_eq!(fib::stats().loads, 91);
    println!("fib(90) = {} with {} bodies", fib(90), fib::stats().loads);
}
