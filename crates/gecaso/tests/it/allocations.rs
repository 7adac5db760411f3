//! What a call allocates: a hit nothing at all, by hand and through the macro, sync and async.

use crate::storages::Storage;
use gecaso::{Cache, ManualClock};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The system's allocator, counting for each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    /// Bytes that this thread holds. Below zero where it freed what another had allocated.
    static HELD: Cell<isize> = const { Cell::new(0) };
    /// The most that it has held.
    static MOST: Cell<isize> = const { Cell::new(0) };
}

/// Counts so many bytes more, or fewer.
fn hold(bytes: isize) {
    let held = HELD.get() + bytes;
    HELD.set(held);
    MOST.set(MOST.get().max(held));
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[allow(unsafe_code)]
// SAFETY: every call goes to the system's allocator unchanged; counting touches a thread-local that
// needs neither allocation nor destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        hold(layout.size() as isize);
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        hold(-(layout.size() as isize));
        // SAFETY: `at` came from the same allocator with the same layout.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        hold(size as isize - layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Bytes that this thread holds.
pub(crate) fn held() -> isize {
    HELD.get()
}

/// How often this thread allocates in `act`.
fn allocations<R>(act: impl FnOnce() -> R) -> usize {
    let before = ALLOCATIONS.get();
    let result = act();
    let after = ALLOCATIONS.get();
    drop(result);
    after - before
}

/// The most bytes that this thread holds during `act` beyond those it held before, and the result.
#[cfg(feature = "far")]
pub(crate) fn most_allocated<R>(act: impl FnOnce() -> R) -> (usize, R) {
    let before = HELD.get();
    MOST.set(before);
    let result = act();
    (MOST.get().abs_diff(before), result)
}

/// Polls once, without a box; the future must be ready.
fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a hit is ready at the first poll"),
    }
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| Box::new(1)), 1);
    assert_eq!(allocations(|| "a".repeat(100)), 1);
    assert_eq!(allocations(|| 1), 0);
}

#[test]
fn a_hit_allocates_nothing() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 100) {
        let numbers: Cache<u64, u64> = storage.cache();
        let texts: Cache<String, Arc<str>> = storage.builder().ttl(Duration::from_secs(1)).build();
        let pairs: Cache<(u8, i32), Arc<Vec<u8>>> = storage.cache();
        numbers.insert(1, 1);
        texts.insert("one".into(), "uno".into());
        pairs.insert((1, 1), Arc::default());
        for _ in 0..2 {
            let hit = || numbers.get_with(&1, || unreachable!());
            assert_eq!(allocations(hit), 0, "{storage:?}");
            assert_eq!(allocations(|| numbers.get(&1)), 0);
            assert_eq!(allocations(|| numbers.try_get_with(&1, || Err(()))), 0);
            let hit = || texts.get_with("one", || unreachable!());
            assert_eq!(allocations(hit), 0, "borrowed, with ttl");
            let hit = || pairs.get_with(&(1, 1), || unreachable!());
            assert_eq!(allocations(hit), 0, "a key that is compared outside of the lock");
        }
    }
}

#[test]
fn an_async_hit_allocates_nothing_and_is_ready_at_the_first_poll() {
    for storage in Storage::each(100) {
        let numbers: Cache<u64, u64> = storage.cache();
        let texts: Cache<String, Arc<str>> = storage.cache();
        numbers.insert(1, 1);
        texts.insert("one".into(), "uno".into());
        let hit = || at_once(numbers.get_with_async(&1, pending()));
        assert_eq!(allocations(hit), 0, "{storage:?}");
        let hit = || at_once(texts.get_with_async("one", pending()));
        assert_eq!(allocations(hit), 0, "{storage:?}");
        let hit = || at_once(numbers.try_get_with_async(&1, pending::<Result<u64, ()>>()));
        assert_eq!(allocations(hit), 0, "{storage:?}");
    }
}

#[test]
fn an_async_hit_inside_a_runtime_allocates_nothing_either() {
    let cache: Cache<u64, u64> = Cache::builder().build();
    cache.insert(1, 1);
    for runtime in crate::runtime::ALL {
        runtime.run(async {
            let before = ALLOCATIONS.get();
            for _ in 0..100 {
                assert_eq!(cache.get_with_async(&1, pending()).await, 1);
            }
            assert_eq!(ALLOCATIONS.get(), before, "{runtime:?}");
        });
    }
}

#[test]
fn a_miss_of_plain_types_that_nobody_waits_for_allocates_little() {
    for storage in Storage::each(100) {
        let cache: Cache<u64, u64> = storage.cache();
        for key in 0..1_000 {
            cache.insert(key, 1);
        }
        let most = (1_000..2_000).map(|key| allocations(|| cache.get_with(&key, || 1))).max();
        assert!(most <= Some(MISS), "{most:?} allocations, {storage:?}");
    }
}

/// Allocations of a miss in a full storage, of plain types, outside of every other body.
const MISS: usize = 2;

#[cfg(feature = "macros")]
mod by_macro {
    use super::{allocations, at_once};
    use gecaso::{LruStorage, MemoryStorage, cached};
    use std::sync::Arc;

    #[cached]
    fn number(n: u64) -> u64 {
        n + 1
    }

    #[cached(LruStorage::new(16), ttl = 100)]
    fn text(name: &str) -> Arc<str> {
        name.into()
    }

    #[cached(MemoryStorage::unbounded())]
    fn two(name: &str, times: usize) -> Arc<str> {
        name.repeat(times).into()
    }

    #[cached]
    fn fallible(name: &str) -> Result<u16, std::num::ParseIntError> {
        name.parse()
    }

    #[cached]
    fn optional(name: Option<&str>) -> Option<usize> {
        name.map(str::len)
    }

    #[cached]
    fn generic<T: Copy + Into<u64> + Eq + std::hash::Hash + Send + Sync + 'static>(n: T) -> u64 {
        n.into()
    }

    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Report {
        id: u64,
    }

    impl Report {
        #[cached]
        fn render(&self, width: usize) -> Arc<str> {
            format!("{:>width$}", self.id).into()
        }
    }

    #[cached]
    async fn fetched(id: u64) -> u64 {
        smol::future::yield_now().await;
        id
    }

    #[cached]
    async fn tried(path: &str, id: u64) -> Result<Arc<str>, String> {
        smol::future::yield_now().await;
        Ok(format!("{path}/{id}").into())
    }

    #[test]
    fn a_hit_of_a_cached_function_allocates_nothing() {
        let report = Report { id: 7 };
        for _ in 0..2 {
            // The first round misses, the second must not allocate.
            let counts = [
                allocations(|| number(1)),
                allocations(|| text("one")),
                allocations(|| two("one", 2)),
                allocations(|| fallible("80")),
                allocations(|| optional(Some("four"))),
                allocations(|| generic(1_u32)),
                allocations(|| generic(1_u8)),
                allocations(|| report.render(5)),
            ];
            if number::stats().hits > 0 {
                assert_eq!(counts, [0; 8]);
            }
        }
        assert_eq!(number::stats().hits, 1);
    }

    #[test]
    fn an_async_hit_of_a_cached_function_allocates_nothing_and_is_ready_at_once() {
        pollster::block_on(async {
            fetched(1).await;
            tried("a", 1).await.unwrap();
        });
        assert_eq!(allocations(|| at_once(fetched(1))), 0);
        assert_eq!(allocations(|| at_once(tried("a", 1))), 0);
    }
}
