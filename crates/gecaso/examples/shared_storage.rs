//! One storage for several functions: its bound and its order are the storage's, the entries are
//! each function's own.

use gecaso::{LruStorage, MemoryStorage, cached};
use std::sync::LazyLock;

static SHARED: LazyLock<LruStorage> = LazyLock::new(|| LruStorage::new(16));

#[cached(&SHARED)]
fn square(n: u64) -> u64 {
    n * n
}

#[cached(&SHARED, ttl = 60)]
fn shout(text: &str) -> String {
    text.to_uppercase()
}

fn main() {
    for n in 0..10 {
        square(n);
        shout(&n.to_string());
    }
    // 20 different calls, 16 places: the least recently used of both functions have gone.
    assert_eq!(SHARED.len(), 16);
    assert_eq!(square::stats().entries + shout::stats().entries, 16);
    assert_eq!((square::peek(0), square::peek(1)), (None, None));
    assert_eq!((square::peek(9), shout::peek("9")), (Some(81), Some("9".into())));

    // `clear` touches one function's entries.
    shout::clear();
    assert_eq!((shout::stats().entries, SHARED.len()), (0, 8));

    // Never more entries than places, whatever happens.
    for n in 0..1_000 {
        square(n);
        assert!(SHARED.len() <= 16);
    }

    // Clones of a storage are the same storage. With 0 places it stores nothing, and calls are
    // right.
    let none = MemoryStorage::bounded(0);
    let cache: gecaso::Cache<u64, u64> = gecaso::Cache::new(none.clone());
    assert_eq!((cache.get_with(&2, || 4), cache.get_with(&2, || 4)), (4, 4));
    assert!(none.is_empty());
    println!("{:?}", *SHARED);
}
