//! User types whose `Hash`, `Eq`, `Clone` or `Drop` panics, at every site where the cache calls
//! them: the call panics, and the cache goes on: nothing locked, lost or leaked.

use crate::event::within_limit;
use crate::storages::Storage;
use gecaso::Cache;
use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Site {
    Hash,
    Eq,
    KeyClone,
    KeyDrop,
    ValueClone,
    ValueDrop,
    ErrorClone,
}

const SITES: [Site; 7] = [
    Site::Hash,
    Site::Eq,
    Site::KeyClone,
    Site::KeyDrop,
    Site::ValueClone,
    Site::ValueDrop,
    Site::ErrorClone,
];

thread_local! {
    /// The call of a site that panics next: so many more go well.
    static FUSE: Cell<Option<(Site, usize)>> = const { Cell::new(None) };
}

fn pass(site: Site) {
    if std::thread::panicking() {
        return; // a second panic would abort the process: no fault of any cache
    }
    match FUSE.get() {
        Some((fused, 0)) if fused == site => {
            FUSE.set(None);
            resume_unwind(Box::new(site))
        }
        Some((fused, left)) if fused == site => FUSE.set(Some((fused, left - 1))),
        _ => {}
    }
}

/// Two keys share each hash. The token counts how many are alive.
struct Key(u32, Arc<()>);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        pass(Site::Hash);
        (self.0 / 2).hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        pass(Site::Eq);
        self.0 == other.0
    }
}

impl Eq for Key {}

impl Clone for Key {
    fn clone(&self) -> Key {
        pass(Site::KeyClone);
        Key(self.0, self.1.clone())
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        pass(Site::KeyDrop);
    }
}

struct Value(u32, Arc<()>);

impl Clone for Value {
    fn clone(&self) -> Value {
        pass(Site::ValueClone);
        Value(self.0, self.1.clone())
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        pass(Site::ValueDrop);
    }
}

struct Failure;

impl Clone for Failure {
    fn clone(&self) -> Failure {
        pass(Site::ErrorClone);
        Failure
    }
}

/// A storage of four places, full with 0, 2, 4 and 6.
struct Full {
    storage: Storage,
    cache: Cache<Key, Value>,
    token: Arc<()>,
}

impl Full {
    fn new(storage: Storage) -> Full {
        let full = Full { cache: storage.cache(), storage, token: Arc::new(()) };
        for number in [0, 2, 4, 6] {
            full.cache.insert(full.key(number), full.value(number));
        }
        full
    }

    fn key(&self, number: u32) -> Key {
        Key(number, self.token.clone())
    }

    fn value(&self, number: u32) -> Value {
        Value(number, self.token.clone())
    }

    fn ask(&self, number: u32) -> u32 {
        self.cache.get_with(&self.key(number), || self.value(number)).0
    }
}

type Act = fn(&Full);

const ACTS: [(&str, Act); 16] = [
    ("a hit", |full| assert_eq!(full.ask(2), 2)),
    ("a miss", |full| assert_eq!(full.ask(8), 8)),
    ("a miss beside a key of its hash", |full| assert_eq!(full.ask(3), 3)),
    ("a miss, async", |full| {
        let body = async { full.value(9) };
        assert_eq!(pollster::block_on(full.cache.get_with_async(&full.key(9), body)).0, 9);
    }),
    ("an error", |full| {
        assert!(full.cache.try_get_with(&full.key(8), || Err(Failure)).is_err());
    }),
    ("get", |full| drop(full.cache.get(&full.key(4)))),
    ("peek", |full| drop(full.cache.peek(&full.key(4)))),
    ("insert", |full| drop(full.cache.insert(full.key(5), full.value(5)))),
    ("insert over", |full| drop(full.cache.insert(full.key(6), full.value(6)))),
    ("invalidate", |full| drop(full.cache.invalidate(&full.key(0)))),
    ("invalidate what is absent", |full| drop(full.cache.invalidate(&full.key(1)))),
    ("clear", |full| drop(full.cache.clear())),
    ("refresh", |full| drop(full.cache.refresh(&full.key(2), || full.value(2)))),
    ("refresh of what is absent", |full| {
        drop(full.cache.refresh(&full.key(7), || full.value(7)));
    }),
    ("a call inside a body", |full| {
        let body = || full.value(full.ask(8) + full.ask(3) - 1);
        assert_eq!(full.cache.get_with(&full.key(10), body).0, 10);
    }),
    ("a call for the own key inside a body", |full| {
        let body = || full.value(full.ask(10));
        assert_eq!(full.cache.get_with(&full.key(10), body).0, 10);
    }),
];

#[test]
fn the_cache_goes_on_after_a_panic_of_a_user_type_at_any_site() {
    let mut panics = Vec::new();
    for (name, act) in ACTS {
        for site in SITES {
            // The first panic at the first call of the site, then at the second, until none is
            // left.
            for left in 0.. {
                let blown = within_limit(move || {
                    let blown =
                        Storage::each(4).map(|storage| survives(name, act, site, left, storage));
                    assert!(left < 100, "{name}: {site:?} has no end");
                    blown
                });
                match blown {
                    [false, false] => break,
                    _ => panics.push((name, site)),
                }
            }
        }
    }
    for site in [Site::Hash, Site::Eq, Site::KeyClone, Site::KeyDrop, Site::ValueClone] {
        assert!(panics.iter().filter(|(_, at)| *at == site).count() >= 8, "{site:?} was tried");
    }
    assert!(panics.len() > 100, "{} sites were tried", panics.len());
}

/// Whether there was a panic; the cache is right afterwards.
fn survives(name: &str, act: Act, site: Site, left: usize, storage: Storage) -> bool {
    let full = Full::new(storage);
    let token = full.token.clone();
    FUSE.set(Some((site, left)));
    let outcome = catch_unwind(AssertUnwindSafe(|| act(&full)));
    FUSE.set(None);
    let blown = match outcome {
        Ok(()) => false,
        Err(panic) => match panic.downcast_ref::<Site>() {
            Some(_) => true,
            None => resume_unwind(panic),
        },
    };
    let at = format!("{name}, {site:?} {left}, {:?}", full.storage);
    for number in 0..12 {
        assert_eq!(full.ask(number), number, "{at}");
        assert!(full.storage.len() <= 4, "{at}");
    }
    full.cache.clear();
    assert_eq!(full.storage.len(), 0, "{at}");
    for number in 20..24 {
        full.cache.insert(full.key(number), full.value(number));
    }
    assert_eq!(full.storage.len(), 4, "no place was lost: {at}");
    assert_eq!(full.cache.stats().entries, 4, "{at}");
    assert!((20..24).all(|number| full.cache.get(&full.key(number)).is_some()), "{at}");
    drop(full);
    // When a `Drop` panics while a function returns, the language itself forgets what was returned.
    let forgotten = usize::from(blown && matches!(site, Site::KeyDrop | Site::ValueDrop));
    assert!(Arc::strong_count(&token) <= 1 + forgotten, "leaked: {at}");
    blown
}

#[test]
fn clear_removes_everything_although_a_drop_panics() {
    for storage in Storage::each(1_024) {
        let cache: Cache<u32, Value> = storage.cache();
        let token = Arc::new(());
        for key in 0..1_000 {
            cache.insert(key, Value(key, token.clone()));
        }
        FUSE.set(Some((Site::ValueDrop, 0)));
        assert!(catch_unwind(AssertUnwindSafe(|| cache.clear())).is_err());
        assert_eq!(storage.len(), 0, "{storage:?}");
        assert_eq!(Arc::strong_count(&token), 1);
    }
}

#[test]
fn a_dropped_cache_gives_all_its_places_back_although_a_drop_panics() {
    for storage in Storage::each(1_024) {
        let cache: Cache<u32, Value> = storage.cache();
        let token = Arc::new(());
        for key in 0..1_000 {
            cache.insert(key, Value(key, token.clone()));
        }
        FUSE.set(Some((Site::ValueDrop, 0)));
        assert!(catch_unwind(AssertUnwindSafe(|| drop(cache))).is_err());
        assert_eq!(storage.len(), 0, "{storage:?}");
        let other: Cache<u32, u32> = storage.cache();
        (0..1_024).for_each(|key| drop(other.insert(key, key)));
        assert_eq!(other.stats().entries, 1_024);
        assert_eq!(other.stats().evictions, 0);
    }
}
