//! A cache over a source that has versions, and the books that tell a right value from a wrong one.
//!
//! Bodies read the version at their start. Every step that makes values old (`invalidate`, `clear`,
//! `insert`) raises it first. So a call that begins after such a step has returned must get at
//! least its version, and so must everything that is stored at the end. An inserted value may come
//! in after a step that began during the insertion; it is old only by a step that began after it.
//! The books also count the bodies that run at once.
//!
//! The books are kept under a lock of the standard library, which is no place to switch: keeping
//! them hides no interleaving of the cache.

use super::{pick, switch};
use crate::key::NearKey;
use crate::outcome::Value;
use crate::receipt::Receipt;
use crate::storage::{IntoTier, Tier};
use crate::{Cache, CacheBuilder, LruStorage, ManualClock, MemoryStorage, reentry};
use shuttle::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A key by number.
pub(super) trait Label: NearKey + Hash {
    fn of(number: u32) -> Self;
}

impl Label for u32 {
    fn of(number: u32) -> Self {
        number
    }
}

/// A key whose hash is that of all others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Colliding(u32);

impl Label for Colliding {
    fn of(number: u32) -> Self {
        Colliding(number)
    }
}

impl Hash for Colliding {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// A value that says whose it is, and of which version.
pub(super) trait Stamped: Value {
    fn stamp(number: u32, version: u32) -> Self;
    fn number(&self) -> u32;
    fn version(&self) -> u32;
}

/// A value of the standard library: compared and cloned in place.
impl Stamped for u64 {
    fn stamp(number: u32, version: u32) -> Self {
        u64::from(number) << 32 | u64::from(version)
    }
    fn number(&self) -> u32 {
        (*self >> 32) as u32
    }
    fn version(&self) -> u32 {
        *self as u32
    }
}

/// A value of a type that the cache does not know.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Loaded {
    number: u32,
    version: u32,
}

impl Stamped for Loaded {
    fn stamp(number: u32, version: u32) -> Self {
        Loaded { number, version }
    }
    fn number(&self) -> u32 {
        self.number
    }
    fn version(&self) -> u32 {
        self.version
    }
}

pub(super) struct World<K: NearKey, V: Value> {
    pub(super) cache: Cache<K, V>,
    /// What bodies read.
    source: AtomicU32,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    /// The least version that a call may get which begins now: of any key, and of some.
    floor: u32,
    floors: BTreeMap<u32, u32>,
    /// The version of the source.
    raised: u32,
    /// How far the source was when the insertion of this version returned.
    inserted: BTreeMap<u32, u32>,
    running: BTreeMap<u32, u32>,
    /// Bodies that may run beside the one of a key, for a reason.
    beside: u32,
    bodies: u32,
}

/// A storage of either kind, on a clock of its own.
pub(super) fn any_storage<K: NearKey, V: Value>(capacity: usize) -> Tier<K, V> {
    any_storage_on(&ManualClock::new(), capacity)
}

pub(super) fn any_storage_on<K: NearKey, V: Value>(
    clock: &ManualClock,
    capacity: usize,
) -> Tier<K, V> {
    match pick(2) {
        0 => LruStorage::new(capacity).with_clock(clock).into_tier(),
        _ => MemoryStorage::bounded(capacity).with_clock(clock).into_tier(),
    }
}

impl<K: Label, V: Stamped> World<K, V> {
    /// A cache over a storage of either kind.
    pub(super) fn of(capacity: usize) -> Self {
        Self::over(any_storage(capacity))
    }

    pub(super) fn over(tier: Tier<K, V>) -> Self {
        Self::built(Cache::builder().storage(tier))
    }

    pub(super) fn built(builder: CacheBuilder<K, V>) -> Self {
        let (source, books) = (AtomicU32::new(1), Mutex::default());
        World { cache: builder.build(), source, books }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Allows so many more bodies of one key to run at once.
    pub(super) fn allow(&self, beside: u32) {
        self.books().beside += beside;
    }

    /// Bodies begun so far.
    pub(super) fn bodies(&self) -> u32 {
        self.books().bodies
    }

    /// A body begins, and reads its version.
    pub(super) fn begin(&self, number: u32) -> Body<'_, K, V> {
        {
            let mut books = self.books();
            books.bodies += 1;
            let most = 1 + books.beside;
            let running = books.running.entry(number).or_default();
            *running += 1;
            assert!(*running <= most, "{running} bodies of key {number} run at once");
        }
        let mut body = Body { world: self, number, version: 0 };
        body.version = self.source.load(SeqCst) * 2;
        body
    }

    pub(super) fn body(&self, number: u32) -> V {
        let body = self.begin(number);
        switch();
        body.end()
    }

    /// A body with a version that no other has.
    pub(super) fn body_of_its_own(&self, number: u32) -> V {
        let mut body = self.begin(number);
        body.version = self.raise() * 2;
        switch();
        body.end()
    }

    pub(super) async fn body_async(&self, number: u32) -> V {
        let body = self.begin(number);
        shuttle::future::yield_now().await;
        shuttle::future::yield_now().await;
        body.end()
    }

    /// The least version that a call may get which begins now.
    pub(super) fn floor(&self, number: u32) -> u32 {
        let books = self.books();
        books.floor.max(books.floors.get(&number).copied().unwrap_or(0))
    }

    /// Checks what a call got that began when `floor` was the least version.
    #[track_caller]
    pub(super) fn accept(&self, number: u32, floor: u32, got: &V) {
        assert_eq!(got.number(), number, "a value of another key");
        let mut version = got.version();
        if is_inserted(got) {
            let returned = self.books().inserted.get(&version).copied();
            version = returned.map_or(u32::MAX, |raised| raised * 2);
        }
        assert!(version >= floor, "version {version} of key {number} after {floor} was due");
    }

    /// A synchronous call.
    pub(super) fn call(&self, number: u32) -> V {
        self.call_with(number, || self.body(number))
    }

    pub(super) fn call_with(&self, number: u32, body: impl FnOnce() -> V) -> V {
        let floor = self.floor(number);
        let value = self.cache.get_with(&K::of(number), body);
        self.accept(number, floor, &value);
        value
    }

    /// An asynchronous call.
    pub(super) async fn call_async(&self, number: u32) -> V {
        self.call_async_with(number, self.body_async(number)).await
    }

    pub(super) async fn call_async_with(&self, number: u32, body: impl Future<Output = V>) -> V {
        let floor = self.floor(number);
        let value = self.cache.get_with_async(&K::of(number), body).await;
        self.accept(number, floor, &value);
        value
    }

    /// A body now, whatever is stored.
    pub(super) fn refresh(&self, number: u32) -> V {
        self.allow(1);
        let floor = self.floor(number);
        let value = self.cache.refresh(&K::of(number), || self.body(number));
        self.accept(number, floor, &value);
        value
    }

    /// What is stored, by the two ways to see it.
    pub(super) fn look(&self, number: u32) -> Option<V> {
        let floor = self.floor(number);
        let value = match pick(2) {
            0 => self.cache.peek(&K::of(number)),
            _ => self.cache.get(&K::of(number)),
        };
        value.inspect(|value| self.accept(number, floor, value))
    }

    /// Makes all values of the source old. Bodies that run now may run on beside new ones.
    pub(super) fn raise(&self) -> u32 {
        self.allow(1);
        let version = self.source.fetch_add(1, SeqCst) + 1;
        let mut books = self.books();
        books.raised = books.raised.max(version);
        version
    }

    /// Makes the values of a key old, or of all: the source first, then the cache.
    pub(super) fn change<R>(&self, number: Option<u32>, act: impl FnOnce() -> R) -> R {
        let version = self.raise();
        let done = act();
        match number {
            Some(number) => self.due(number, version),
            None => {
                let mut books = self.books();
                books.floor = books.floor.max(version * 2);
            }
        }
        done
    }

    pub(super) fn invalidate(&self, number: u32) {
        drop(self.invalidated(number));
    }

    pub(super) fn invalidated(&self, number: u32) -> Receipt {
        self.change(Some(number), || self.cache.invalidate(&K::of(number)))
    }

    pub(super) fn clear(&self) {
        drop(self.cleared());
    }

    /// By a predicate of the value that chooses everything that is old.
    pub(super) fn invalidate_if(&self, is_meant: impl Fn(&V) -> bool) {
        self.change(None, || drop(self.cache.invalidate_if(|_, value| is_meant(value))));
    }

    pub(super) fn cleared(&self) -> Receipt {
        self.change(None, || self.cache.clear())
    }

    /// Inserts a value that no body has; its version.
    pub(super) fn insert(&self, number: u32) -> u32 {
        self.inserted(number).0
    }

    pub(super) fn inserted(&self, number: u32) -> (u32, Receipt) {
        let version = self.raise();
        let stamp = version * 2 + 1;
        let receipt = self.cache.insert(K::of(number), V::stamp(number, stamp));
        self.due(number, version);
        let mut books = self.books();
        let raised = books.raised;
        books.inserted.insert(stamp, raised);
        (stamp, receipt)
    }

    fn due(&self, number: u32, version: u32) {
        let mut books = self.books();
        let floor = books.floors.entry(number).or_default();
        *floor = (*floor).max(version * 2);
    }

    /// The checks at the end, when nobody calls any more; empties the storage.
    pub(super) fn settle(&self, numbers: Range<u32>) {
        assert_eq!(self.cache.flights.len(), 0, "flights left in the register");
        assert_eq!(reentry::waits(), 0, "waits left in the graph");
        let keys = u64::from(numbers.end - numbers.start);
        for number in numbers {
            if let Some(value) = self.cache.peek(&K::of(number)) {
                self.accept(number, self.floor(number), &value);
            }
        }
        let entries = self.cache.stats().entries;
        assert!(entries <= keys, "{entries} entries of {keys} keys");
        self.cache.near.check();
    }
}

/// A body that runs.
pub(super) struct Body<'a, K: Label, V: Stamped> {
    world: &'a World<K, V>,
    number: u32,
    version: u32,
}

impl<K: Label, V: Stamped> Body<'_, K, V> {
    /// What it returns.
    pub(super) fn end(self) -> V {
        V::stamp(self.number, self.version)
    }
}

impl<K: Label, V: Stamped> Drop for Body<'_, K, V> {
    fn drop(&mut self) {
        if let Some(running) = self.world.books().running.get_mut(&self.number) {
            *running -= 1;
        }
    }
}

/// Whether a value was inserted; bodies read even versions.
pub(super) fn is_inserted(value: &impl Stamped) -> bool {
    value.version() % 2 == 1
}
