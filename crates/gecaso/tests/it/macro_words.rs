//! `#[cached]`: what its words do.
//!
//! Run by `main`. Mistakes in words are the business of the compile-fail tests.

use crate::event::{Count, Driven};
use gecaso::{LruStorage, ManualClock, MemoryStorage, cached};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

#[test]
fn the_storage_may_be_any_expression() {
    static SHARED: LazyLock<LruStorage> = LazyLock::new(|| LruStorage::new(2));

    #[cached(LruStorage::new(1))]
    fn one(n: u32) -> u32 {
        n
    }
    #[cached({
        let size = 1 + 1;
        MemoryStorage::bounded(size)
    })]
    fn two(n: u32) -> u32 {
        n
    }
    #[cached(&SHARED)]
    fn three(n: u32) -> u32 {
        n
    }
    #[cached(&SHARED, ttl = 5)]
    fn four(n: u32) -> u32 {
        n
    }
    for n in 0..5 {
        one(n);
        two(n);
        three(n);
        four(n);
    }
    assert_eq!(one::stats().entries, 1);
    assert!(two::stats().entries <= 2);
    assert_eq!(three::stats().entries + four::stats().entries, 2);
}

#[test]
fn expressions_are_evaluated_once() {
    static TIMES: AtomicUsize = AtomicUsize::new(0);
    fn count<T>(value: T) -> T {
        TIMES.fetch_add(1, SeqCst);
        value
    }
    #[cached(
        count(LruStorage::new(4)),
        ttl = count(Duration::from_secs(60)),
        max_wait = count(Duration::from_secs(1)),
    )]
    fn f(n: u32) -> u32 {
        n
    }
    assert_eq!((TIMES.load(SeqCst), f::stats()), (0, gecaso::Stats::default()));
    assert_eq!(f::peek(1), None);
    f::invalidate(1);
    f::clear();
    f(1);
    f(2);
    f::insert(3, 3);
    assert_eq!(TIMES.load(SeqCst), 3);
}

#[test]
fn a_lifetime_may_be_written_in_three_ways() {
    static CLOCK: LazyLock<ManualClock> = LazyLock::new(ManualClock::new);
    fn storage() -> LruStorage {
        LruStorage::new(4).with_clock(&CLOCK)
    }
    #[cached(storage(), ttl = "20ms")]
    fn text(n: u32) -> u32 {
        n
    }
    #[cached(storage(), ttl = Duration::from_millis(10) * 2)]
    fn expression(n: u32) -> u32 {
        n
    }
    #[cached(storage(), ttl = 100)]
    fn seconds(n: u32) -> u32 {
        n
    }
    #[cached(storage(), ttl = 0)]
    fn never(n: u32) -> u32 {
        n
    }
    let loads = || {
        let _ = (text(1), expression(1), seconds(1), never(1));
        [text::stats(), expression::stats(), seconds::stats(), never::stats()].map(|s| s.loads)
    };
    assert_eq!(loads(), [1, 1, 1, 1]);
    CLOCK.advance(Duration::from_millis(19));
    assert_eq!(loads(), [1, 1, 1, 2]);
    CLOCK.advance(Duration::from_millis(1));
    assert_eq!(loads(), [2, 2, 1, 3]);
    CLOCK.advance(Duration::from_millis(99_979));
    assert_eq!(loads(), [3, 3, 1, 4]);
    CLOCK.advance(Duration::from_millis(1));
    assert_eq!(loads(), [3, 3, 2, 5]);
}

struct User {
    id: u32,
    name: String,
}

#[test]
fn key_says_what_tells_calls_apart() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    #[cached(key = (user.id, user.name.trim(), loud))]
    fn f(user: &User, loud: bool, _conn: &std::cell::Cell<u8>) -> String {
        RUNS.fetch_add(1, SeqCst);
        format!("{}{}{loud}", user.id, user.name)
    }
    let conn = std::cell::Cell::new(0);
    let user = |id, name: &str| User { id, name: name.to_string() };
    assert_eq!(f(&user(1, "a"), true, &conn), "1atrue");
    assert_eq!(f(&user(1, " a "), true, &conn), "1atrue");
    f(&user(2, "a"), true, &conn);
    f(&user(1, "b"), true, &conn);
    f(&user(1, "a"), false, &conn);
    assert_eq!(RUNS.load(SeqCst), 4);
    // An argument that the key does not mention is not asked for.
    f::invalidate(&user(1, "a"), true);
    f(&user(1, "a"), true, &conn);
    assert_eq!(RUNS.load(SeqCst), 5);
}

#[test]
fn key_may_be_one_expression_a_name_or_a_format() {
    #[cached(key = name)]
    fn by_name(name: &str, other: f64) -> String {
        format!("{name}{other}")
    }
    assert_eq!((by_name("a", 1.0), by_name("a", 2.0)), ("a1".into(), "a1".into()));
    by_name::invalidate("a");
    assert_eq!(by_name("a", 2.0), "a2");

    #[cached(key = format!("{a}/{b:?}"))]
    fn by_format(a: u8, b: &[u8], c: u8) -> u8 {
        a + b.len() as u8 + c
    }
    assert_eq!((by_format(1, &[1], 1), by_format(1, &[1], 2), by_format(1, &[], 3)), (3, 3, 4));
    by_format::invalidate(1, &[1]);

    #[cached(key = left + right)]
    fn by_sum((left, right): (u32, u32), mut scale: u32) -> u32 {
        scale += 1;
        (left + right) * scale
    }
    assert_eq!((by_sum((1, 2), 1), by_sum((2, 1), 5)), (6, 6));

    #[derive(Clone)]
    struct S {
        id: u32,
    }
    impl S {
        #[cached(key = (self.id, n / 10))]
        fn m(&self, n: u32) -> u32 {
            self.id * 100 + n
        }
        #[cached(key = self.id)]
        async fn am(self, n: u32) -> u32 {
            self.id * 100 + n
        }
    }
    let (one, two) = (S { id: 1 }, S { id: 2 });
    assert_eq!((one.m(11), one.m(12), one.m(22), two.m(11)), (111, 111, 122, 211));
    assert_eq!(gecaso::handle(S::m).peek(&one, 19), Some(111_u32));
    assert_eq!(pollster::block_on(one.clone().am(1)), 101);
    assert_eq!(pollster::block_on(one.am(2)), 101);
}

#[test]
fn skipped_arguments_do_not_count() {
    struct Connection(u8);
    #[cached(skip(conn, log))]
    fn f(conn: &Connection, n: u32, log: &mut Vec<u32>) -> u32 {
        log.push(n);
        n + u32::from(conn.0)
    }
    let mut log = Vec::new();
    assert_eq!((f(&Connection(1), 1, &mut log), f(&Connection(2), 1, &mut log)), (2, 2));
    assert_eq!(log, [1]);
    f::invalidate(1);
    assert_eq!(f(&Connection(2), 1, &mut log), 3);
    assert_eq!((f::peek(1), f::refresh(&Connection(3), 1, &mut log)), (Some(3), 4));
    assert!(f::key(1) == f::key(1) && f::key(1) != f::key(2));
    f::insert(1, 9);
    assert_eq!(f(&Connection(3), 1, &mut log), 9);
}

#[test]
fn cache_if_decides_by_the_value() {
    #[cached(cache_if = |text: &String| text.len() > 1)]
    fn f(text: &str) -> String {
        text.to_string()
    }
    fn is_long(text: &str) -> bool {
        text.len() > 1
    }
    #[cached(cache_if = |text| is_long(text))]
    fn g(text: &str) -> Option<String> {
        Some(text.to_string())
    }
    for _ in 0..2 {
        f("a");
        f("ab");
        g("a");
        g("ab");
    }
    assert_eq!((f::stats().loads, g::stats().loads), (3, 3));
}

#[test]
fn the_handle_may_have_another_name() {
    #[allow(dead_code, non_camel_case_types)]
    struct taken {}
    #[cached(handle = other)]
    fn taken(n: u32) -> u32 {
        n
    }
    assert_eq!((taken(1), taken(1)), (1, 1));
    assert_eq!(other::stats().hits, 1);

    #[cached(handle = false)]
    fn none(n: u32) -> u32 {
        n + 1
    }
    #[allow(non_camel_case_types, dead_code)]
    struct none {}
    assert_eq!((none(1), none(1)), (2, 2));
}

#[test]
fn the_name_is_the_path_unless_it_is_said() {
    fn calls(itself: fn(u32) -> u32) -> LruStorage {
        LruStorage::new(itself(1) as usize)
    }
    #[cached(calls(f), name = "people", version = 3)]
    fn f(n: u32) -> u32 {
        n
    }
    #[cached(calls(g))]
    fn g(n: u32) -> u32 {
        n
    }
    // Where a name shows: in what is said of a storage that cannot be opened.
    let said = |function: fn(u32) -> u32| {
        let panic = std::panic::catch_unwind(|| function(2)).unwrap_err();
        panic.downcast_ref::<String>().cloned().unwrap_or_default()
    };
    assert!(said(f).contains("`people`"), "{}", said(f));
    assert!(said(g).contains(concat!("`", module_path!(), "::g`")), "{}", said(g));
}

mod reexport {
    pub(crate) use gecaso as inner;
}

#[test]
fn the_crate_may_be_elsewhere() {
    #[cached(crate = crate::macro_words::reexport::inner)]
    fn f(n: u32) -> u32 {
        n
    }
    assert_eq!((f(1), f(1), f::stats().hits), (1, 1, 1));
}

#[test]
fn max_wait_bounds_the_wait_for_another_caller() {
    static CLOCK: LazyLock<ManualClock> = LazyLock::new(ManualClock::new);
    static RUNS: LazyLock<Count> = LazyLock::new(Count::new);
    #[cached(LruStorage::new(4).with_clock(&CLOCK), max_wait = "10ms")]
    async fn f(n: u32) -> u32 {
        if RUNS.up() == 0 {
            std::future::pending::<()>().await;
        }
        n
    }
    let (mut stuck, mut waiting) = (Driven::new(f(1)), Driven::new(f(1)));
    stuck.pends();
    waiting.pends();
    CLOCK.advance(Duration::from_millis(9));
    waiting.pends();
    CLOCK.advance(Duration::from_millis(1));
    assert_eq!((waiting.ready(), RUNS.now(), f::stats().loads), (1, 2, 2));
}

/// What says itself how long it is fresh.
#[derive(Clone, Debug, PartialEq)]
struct Token {
    lives: u64,
}

#[test]
fn ttl_may_be_worked_out_from_what_is_stored() {
    static CLOCK: LazyLock<ManualClock> = LazyLock::new(ManualClock::new);

    #[cached(
        LruStorage::new(16).with_clock(&CLOCK),
        ttl = |token: &Token| Duration::from_secs(token.lives)
    )]
    fn login(lives: u64) -> Result<Token, String> {
        if lives == 9 { Err("no".to_owned()) } else { Ok(Token { lives }) }
    }

    // The type of the closure's argument is known without being named.
    #[cached(
        LruStorage::new(16).with_clock(&CLOCK),
        tti = |token| Duration::from_secs(token.lives)
    )]
    async fn session<T: Copy + std::hash::Hash + Eq + Send + Sync + 'static>(
        _: T,
    ) -> Option<Token> {
        Some(Token { lives: 64 })
    }

    for lives in [0, 5, 10] {
        assert_eq!(login(lives), Ok(Token { lives }));
    }
    assert!(login(9).is_err());
    assert_eq!([0, 5, 10].map(|lives| login::peek(lives).is_some()), [false, true, true]);
    pollster::block_on(session('a'));
    CLOCK.advance(Duration::from_secs(5));
    assert_eq!([0, 5, 10].map(|lives| login::peek(lives).is_some()), [false, false, true]);
    for _ in 0..4 {
        CLOCK.advance(Duration::from_secs(40));
        assert!(pollster::block_on(session('a')).is_some());
    }
    assert_eq!(session::stats().loads, 1, "each hit began it anew");
    CLOCK.advance(Duration::from_secs(64));
    pollster::block_on(session('a'));
    assert_eq!(session::stats().loads, 2);
}

#[test]
fn tti_is_a_length_as_ttl_is() {
    static CLOCK: LazyLock<ManualClock> = LazyLock::new(ManualClock::new);

    #[cached(LruStorage::new(16).with_clock(&CLOCK), tti = "1m 4s", ttl = 100)]
    fn f(n: u32) -> u32 {
        n
    }

    f(1);
    CLOCK.advance(Duration::from_secs(60));
    f(1);
    CLOCK.advance(Duration::from_secs(39));
    assert_eq!((f(1), f::stats().loads), (1, 1));
    CLOCK.advance(Duration::from_secs(1));
    assert_eq!((f(1), f::stats().loads), (1, 2), "the time to live is over");
    CLOCK.advance(Duration::from_secs(64));
    assert_eq!((f(1), f::stats().loads), (1, 3), "nobody asked for so long");
}

#[test]
fn weigher_weighs_what_is_stored() {
    static STORAGE: LazyLock<LruStorage> = LazyLock::new(|| LruStorage::weighted(100));

    #[cached(&STORAGE, weigher = |text: &String| text.len())]
    fn repeat(n: usize) -> Result<String, ()> {
        Ok("x".repeat(n))
    }

    #[cached(&STORAGE, weigher = Vec::len)]
    async fn zeros(n: usize) -> Vec<u8> {
        vec![0; n]
    }

    repeat(60).unwrap();
    assert_eq!((STORAGE.weight(), STORAGE.len()), (60, 1));
    pollster::block_on(zeros(40));
    assert_eq!((STORAGE.weight(), STORAGE.len()), (100, 2));
    repeat(101).unwrap();
    assert_eq!((STORAGE.weight(), STORAGE.len()), (100, 2), "too heavy");
    pollster::block_on(zeros(41));
    assert_eq!((repeat::stats().entries, zeros::stats().entries), (0, 2));
}

#[test]
#[should_panic(expected = "needs to be told what an entry weighs")]
fn a_bound_of_weight_needs_a_weigher() {
    #[cached(LruStorage::weighted(100))]
    fn f(n: u32) -> u32 {
        n
    }
    f(1);
}
