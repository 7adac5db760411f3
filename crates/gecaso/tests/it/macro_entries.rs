//! Entries of a cached function that are read where they are, and that live as long as was said.
//!
//! Run by `main`. Must not look at storages.

use gecaso::{LruStorage, ManualClock, cached, handle};
use pollster::block_on;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Says how often it was cloned.
#[derive(Debug)]
struct Page {
    text: String,
    clones: Arc<AtomicUsize>,
}

impl Page {
    fn new(text: impl Debug, clones: &Arc<AtomicUsize>) -> Page {
        Page { text: format!("{text:?}"), clones: clones.clone() }
    }
}

impl Clone for Page {
    fn clone(&self) -> Self {
        self.clones.fetch_add(1, SeqCst);
        Page { text: self.text.clone(), clones: self.clones.clone() }
    }
}

type Clones = LazyLock<Arc<AtomicUsize>>;

/// Runs `f`: the clones that were made meanwhile.
fn clones_of(clones: &Clones, f: impl FnOnce()) -> usize {
    let before = clones.load(SeqCst);
    f();
    clones.load(SeqCst) - before
}

/// What a generic function would need, and its name does not tell.
type Answer<T> = Result<T, String>;

#[test]
fn a_stored_value_is_read_without_a_clone_and_counts_as_a_hit() {
    static CLONES: Clones = LazyLock::new(Arc::default);
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    #[cached]
    fn page(n: u32, title: &str) -> Page {
        RUNS.fetch_add(1, SeqCst);
        Page::new((n, title), &CLONES)
    }
    assert_eq!(page::with(1, "a", |page| page.text.len()), None, "the body does not run");
    let stats = page::stats();
    assert_eq!((RUNS.load(SeqCst), stats.hits, stats.misses, stats.loads), (0, 0, 1, 0));
    page(1, "a");
    let clones = clones_of(&CLONES, || {
        assert_eq!(page::with(1, "a", |page| page.text.clone()), Some("(1, \"a\")".into()));
        assert_eq!(page::with(1, "b", |page| page.text.clone()), None);
    });
    assert_eq!((clones, page::stats().hits, RUNS.load(SeqCst)), (0, 1, 1));
    assert_eq!(clones_of(&CLONES, || drop(page(1, "a"))), 1, "clones are counted");
}

#[test]
fn the_value_is_what_would_be_stored() {
    static CLONES: Clones = LazyLock::new(Arc::default);
    type Maybe = Option<Page>;
    #[cached]
    fn result(n: u32) -> Result<Page, std::io::Error> {
        Ok(Page::new(n, &CLONES))
    }
    #[cached]
    fn aliased(n: u32) -> Answer<Page> {
        Ok(Page::new(n, &CLONES))
    }
    #[cached]
    fn option(n: u32) -> Maybe {
        Some(Page::new(n, &CLONES))
    }
    #[cached(cache_err)]
    fn whole(n: u32) -> Answer<Page> {
        Ok(Page::new(n, &CLONES))
    }
    #[cached]
    fn plain(n: u32) -> u32 {
        n + 1
    }
    #[cached]
    fn tuple(n: u32, skip: [u8; 2]) -> (u32, [u8; 2]) {
        (n, skip)
    }
    result(1).unwrap();
    aliased(1).unwrap();
    option(1).unwrap();
    whole(1).unwrap();
    plain(1);
    tuple(1, [2, 3]);
    let clones = clones_of(&CLONES, || {
        let one = Some("1".to_string());
        assert_eq!(result::with(1, |page| page.text.clone()), one);
        assert_eq!(aliased::with(1, |page| page.text.clone()), one);
        assert_eq!(option::with(1, |page| page.text.clone()), one);
        assert_eq!(whole::with(1, |answer| answer.as_ref().unwrap().text.clone()), one);
    });
    assert_eq!(clones, 0);
    assert_eq!(plain::with(1, |n| *n), Some(2));
    assert_eq!(tuple::with(1, [2, 3], |(n, bytes)| (*n, bytes[1])), Some((1, 3)));
}

#[test]
fn generic_functions_are_read_by_instantiation() {
    #[cached]
    fn list<T: Default + Clone + Send + Sync + 'static, const N: usize>(n: u8) -> Vec<[T; N]>
    where
        [T; N]: Default,
    {
        vec![<[T; N]>::default(); n.into()]
    }
    #[cached]
    fn parsed<T>(text: &str) -> Result<T, T::Err>
    where
        T: std::str::FromStr + Clone + Send + Sync + 'static,
    {
        text.parse()
    }
    #[cached]
    fn length<T: Hash + Eq + Clone + Send + Sync + Debug + 'static>(value: T) -> Option<usize> {
        Some(format!("{value:?}").len())
    }
    #[cached]
    fn named(
        name: impl AsRef<str>,
        other: impl Hash + Eq + Clone + Send + Sync + 'static,
    ) -> String {
        let _ = other;
        name.as_ref().to_uppercase()
    }
    list::<u8, 2>(3);
    assert_eq!(list::with::<u8, 2, _>(3, |list| list.len()), Some(3));
    assert_eq!(list::with::<u16, 2, _>(3, |list| list.len()), None);
    parsed::<u8>("7").unwrap();
    assert_eq!(parsed::with::<u8, _>("7", |n| *n), Some(7));
    assert_eq!(parsed::with::<u16, _>("7", |n| *n), None);
    length(1.to_string());
    assert_eq!(length::with("1".to_string(), |n| *n), Some(3));
    named("a", 1_u8);
    assert_eq!(named::with("a", 1_u8, |name| name.clone()), Some("A".into()));
    assert_eq!(named::with("a", 1_u16, |name| name.clone()), None);
}

#[test]
#[should_panic = "stores a `u8`, and its signature hides that"]
fn a_generic_signature_that_hides_what_is_stored_says_so() {
    #[cached]
    fn f<T: Default + Clone + Send + Sync + 'static>(_n: u8) -> Answer<T> {
        Ok(T::default())
    }
    assert_eq!(f::<u8>(1), Ok(0));
    f::with::<u8, _>(1, |_| ());
}

#[test]
fn an_async_function_is_read_at_once() {
    static CLONES: Clones = LazyLock::new(Arc::default);
    #[cached(skip(_conn))]
    async fn fetch(url: &str, _conn: &std::cell::Cell<u8>) -> Result<Page, String> {
        Ok(Page::new(url, &CLONES))
    }
    block_on(fetch("a", &Default::default())).unwrap();
    let clones = clones_of(&CLONES, || {
        assert_eq!(fetch::with("a", |page| page.text.len()), Some(3));
    });
    assert_eq!((clones, fetch::with("b", |page| page.text.len())), (0, None));
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Report(u32);

static RENDERED: Clones = LazyLock::new(Arc::default);

static CLOCK: LazyLock<ManualClock> = LazyLock::new(ManualClock::new);

impl Report {
    #[cached]
    fn render(&self, title: &str) -> Result<Page, String> {
        Ok(Page::new((self.0, title), &RENDERED))
    }

    #[cached(LruStorage::new(16).with_clock(&CLOCK), ttl = 60)]
    fn size(&self) -> u32 {
        self.0
    }
}

#[test]
fn a_method_is_read_without_a_clone() {
    fn length(report: &Report, title: &str) -> Option<usize> {
        handle(Report::render).with(report, title, |page: &Page| page.text.len())
    }
    assert_eq!(length(&Report(1), "a"), None, "never called");
    Report(1).render("a").unwrap();
    let clones = clones_of(&RENDERED, || {
        assert_eq!(length(&Report(1), "a"), Some(8));
        assert_eq!(length(&Report(2), "a"), None);
    });
    let stats = handle(Report::render).stats();
    assert_eq!((clones, stats.hits, stats.misses, stats.loads), (0, 1, 2, 1));
}

#[test]
#[should_panic = "stores a `u32`, and was to be read as a `i32`"]
fn a_method_that_is_read_as_another_type_says_so() {
    #[cached]
    fn f(n: u32) -> Option<u32> {
        Some(n)
    }
    f(1);
    handle(f).with(2, |_: &i32| ());
}

#[test]
fn an_entry_may_have_a_time_to_live_of_its_own() {
    static CLOCK: LazyLock<ManualClock> = LazyLock::new(ManualClock::new);
    #[cached(LruStorage::new(16).with_clock(&CLOCK), ttl = 60, cache_if = |n| *n != 13)]
    fn f<const N: u32>(n: u32) -> Result<u32, String> {
        Ok(n + N)
    }
    let seconds = Duration::from_secs;
    f::insert_with_ttl::<1>(1, Ok(10), seconds(5)).wait().unwrap();
    f::insert_with_ttl::<1>(2, Ok(20), seconds(90)).wait().unwrap();
    f::insert::<1>(3, Ok(30)).wait().unwrap();
    let there = |n| f::peek::<1>(n).map(Result::unwrap);
    CLOCK.advance(seconds(5) - Duration::from_nanos(1));
    assert_eq!((there(1), there(2), there(3)), (Some(10), Some(20), Some(30)));
    CLOCK.advance(Duration::from_nanos(1));
    assert_eq!((there(1), there(2), there(3)), (None, Some(20), Some(30)));
    CLOCK.advance(seconds(84));
    assert_eq!((there(2), there(3)), (Some(20), None), "longer than the function's own");
    f::insert_with_ttl::<1>(2, Ok(21), Duration::ZERO).wait().unwrap();
    assert_eq!(there(2), None, "no time to live removes the entry");
    f::insert::<1>(4, Ok(40)).wait().unwrap();
    f::insert_with_ttl::<1>(4, Err("no".into()), seconds(5)).wait().unwrap();
    f::insert::<1>(5, Ok(50)).wait().unwrap();
    f::insert_with_ttl::<1>(5, Ok(13), seconds(5)).wait().unwrap();
    assert_eq!((there(4), there(5)), (None, None), "what a call would not store");
    f::insert_with_ttl::<1>(6, Ok(60), Duration::MAX).wait().unwrap();
    CLOCK.advance(seconds(1 << 40));
    assert_eq!(there(6), Some(60), "for ever");
}

#[test]
fn an_entry_of_a_method_may_as_well() {
    let size = handle(Report::size);
    let early = size.insert_with_ttl(&Report(1), 7_u32, Duration::from_secs(5));
    assert!(early.wait().unwrap_err().to_string().contains("call it once"));
    Report(2).size();
    size.insert_with_ttl(&Report(1), 7_u32, Duration::from_secs(5)).wait().unwrap();
    assert_eq!(Report(1).size(), 7);
    CLOCK.advance(Duration::from_secs(5));
    assert_eq!((size.peek(&Report(1)), size.peek(&Report(2))), (None::<u32>, Some(2_u32)));
}
