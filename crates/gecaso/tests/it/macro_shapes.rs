//! `#[cached]`: the shapes a function may have.
//!
//! Run by `main`. Must not look at storages.

#![allow(
    clippy::needless_lifetimes,
    clippy::extra_unused_type_parameters,
    clippy::unnecessary_owned_empty_strings
)]

use crate::event::{Count, pause};
use gecaso::cached;
use pollster::block_on;
use std::fmt::{Debug, Display};
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, LazyLock};

#[test]
fn an_async_function_is_cached_by_the_same_attribute() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);

    #[cached]
    async fn f(text: &str) -> String {
        RUNS.fetch_add(1, SeqCst);
        std::future::ready(()).await;
        text.to_uppercase()
    }

    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let text = String::from("a");
    assert_eq!(block_on(is_send(f(&text))), "A");
    assert_eq!(block_on(f("a")), "A");
    assert_eq!(RUNS.load(SeqCst), 1);
    assert_eq!(f::peek("a"), Some("A".to_string()));
    assert_eq!(block_on(is_send(f::refresh("a"))), "A");
    assert_eq!(block_on(is_send(f::uncached("a"))), "A");
    assert_eq!(RUNS.load(SeqCst), 3);
    f::invalidate("a");
    block_on(f("a"));
    assert_eq!(RUNS.load(SeqCst), 4);
}

#[test]
fn an_async_body_that_is_not_send_still_works() {
    #[cached]
    async fn f(n: u32) -> u32 {
        let local = std::rc::Rc::new(n);
        std::future::ready(()).await;
        *local + 1
    }
    assert_eq!((block_on(f(1)), block_on(f(1))), (2, 2));
    assert_eq!(f::stats().hits, 1);
}

#[test]
fn recursion_works() {
    #[cached]
    fn fib(n: u64) -> u64 {
        if n < 2 { n } else { fib(n - 1) + fib(n - 2) }
    }
    assert_eq!(fib(90), 2_880_067_194_370_816_120);
    assert_eq!(fib::stats().loads, 91);

    #[cached]
    async fn afib(n: u64) -> u64 {
        if n < 2 { n } else { Box::pin(afib(n - 1)).await + Box::pin(afib(n - 2)).await }
    }
    assert_eq!(block_on(afib(40)), 102_334_155);
    assert_eq!(afib::stats().loads, 41);
}

#[test]
fn boxed_futures_are_futures() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);

    #[cached]
    fn f(n: u64, text: &str) -> Pin<Box<dyn Future<Output = Result<u64, String>> + Send + '_>> {
        RUNS.fetch_add(1, SeqCst);
        Box::pin(async move {
            if n == 0 { Err(text.to_string()) } else { Ok(f(n - 1, text).await.unwrap_or(10) + 1) }
        })
    }
    assert_eq!((block_on(f(2, "x")), block_on(f(2, "x"))), (Ok(12), Ok(12)));
    assert_eq!(RUNS.load(SeqCst), 3);
    assert_eq!(f::peek(1, "x"), Some(Ok(11)));
    assert_eq!(block_on(f::uncached(0, "x")), Err("x".to_string()));
}

#[test]
fn return_and_question_mark_leave_the_body_alone() {
    #[cached]
    fn f(text: &str) -> Result<u32, std::num::ParseIntError> {
        if text.is_empty() {
            return Ok(0);
        }
        let n: u32 = text.parse()?;
        Ok(n)
    }
    assert_eq!((f(""), f("3")), (Ok(0), Ok(3)));
    assert!(f("x").is_err());

    #[derive(Clone, PartialEq, Eq, Hash)]
    struct S(u32);
    impl S {
        #[cached]
        fn m(&self, text: &str) -> Result<u32, std::num::ParseIntError> {
            if text.is_empty() {
                return Ok(0);
            }
            Ok(self.0 + text.parse::<u32>()?)
        }
        #[cached]
        async fn am(&self, text: &str) -> Result<u32, std::num::ParseIntError> {
            if text.is_empty() {
                return Ok(0);
            }
            std::future::ready(()).await;
            Ok(self.0 + text.parse::<u32>()?)
        }
    }
    assert_eq!((S(1).m(""), S(1).m("3")), (Ok(0), Ok(4)));
    assert_eq!((block_on(S(1).am("")), block_on(S(1).am("3"))), (Ok(0), Ok(4)));
    assert!(S(1).m("x").is_err() && block_on(S(1).am("x")).is_err());
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Report {
    id: u32,
}

static RENDERED: AtomicUsize = AtomicUsize::new(0);

impl Report {
    #[cached]
    fn render(&self, width: u32) -> String {
        RENDERED.fetch_add(1, SeqCst);
        format!("{}x{width}", self.id)
    }

    #[cached]
    async fn render_async(&self, width: &str) -> String {
        format!("{}y{width}", self.id)
    }

    #[cached]
    fn consume(self, mut extra: u32) -> u32 {
        extra += 1;
        self.id + extra
    }

    #[cached]
    fn shared(self: Arc<Self>, (a, b): (u32, u32)) -> u32 {
        self.id + a + b
    }

    #[cached]
    fn boxed(self: Box<Self>) -> u32 {
        self.id
    }

    #[cached(skip(self))]
    fn any_instance(&self, n: u32) -> u32 {
        self.id + n
    }

    #[cached]
    fn made(id: u32) -> Self {
        Self { id }
    }

    #[cached(in_impl)]
    fn twice(id: u32) -> u32 {
        id * 2
    }
}

#[test]
fn methods_are_keyed_by_the_instance() {
    let (one, two) = (Report { id: 1 }, Report { id: 2 });
    assert_eq!((one.render(5), two.render(5)), ("1x5".into(), "2x5".into()));
    assert_eq!((one.render(5), two.render(6)), ("1x5".into(), "2x6".into()));
    assert_eq!(RENDERED.load(SeqCst), 3);
    assert_eq!(block_on(one.render_async("a")), "1ya");
    assert_eq!(block_on(two.render_async("a")), "2ya");
    assert_eq!((one.clone().consume(1), two.clone().consume(1)), (3, 4));
    assert_eq!(Arc::new(one.clone()).shared((1, 2)), 4);
    assert_eq!(Arc::new(two.clone()).shared((1, 2)), 5);
    assert_eq!((Box::new(one.clone()).boxed(), Box::new(two.clone()).boxed()), (1, 2));
    assert_eq!((one.any_instance(1), two.any_instance(1)), (2, 2));
    assert!(Report::made(3) == Report { id: 3 });
    assert_eq!((Report::twice(2), Report::twice(2)), (4, 4));
}

trait Described {
    fn describe(&self, loud: bool) -> String;
    async fn describe_async(&self) -> String;

    #[cached]
    fn described_twice(&self) -> String
    where
        Self: Hash + Eq + Clone + Send + Sync + 'static,
    {
        self.describe(false).repeat(2)
    }
}

impl Described for Report {
    #[cached]
    fn describe(&self, loud: bool) -> String {
        format!("{}{}", self.id, if loud { "!" } else { "" })
    }
    #[cached]
    async fn describe_async(&self) -> String {
        self.describe(true)
    }
}

impl Described for u8 {
    #[cached]
    fn describe(&self, _: bool) -> String {
        format!("u8 {self}")
    }
    async fn describe_async(&self) -> String {
        self.describe(true)
    }
}

#[test]
fn trait_methods_are_cached_impl_by_impl() {
    assert_eq!(Report { id: 4 }.describe(true), "4!");
    assert_eq!(Report { id: 4 }.describe(false), "4");
    assert_eq!((4_u8.describe(true), 4_u8.describe(true)), ("u8 4".into(), "u8 4".into()));
    assert_eq!(block_on(Report { id: 4 }.describe_async()), "4!");
    assert_eq!(block_on(4_u8.describe_async()), "u8 4");
    assert_eq!(
        (Report { id: 5 }.described_twice(), 5_u8.described_twice()),
        ("55".into(), "u8 5u8 5".into())
    );
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Wrapper<T, const N: usize>(T);

impl<T, const N: usize> Wrapper<T, N>
where
    T: Display + Clone + Eq + Hash + Send + Sync + 'static,
{
    #[cached]
    fn show(&self) -> String {
        format!("{}:{N}:{}", self.0, std::any::type_name::<T>())
    }

    #[cached]
    async fn show_with<U: Display + Clone + Eq + Hash + Send + Sync + 'static>(
        &self,
        with: U,
    ) -> String {
        format!("{}:{with}:{}", self.0, std::any::type_name::<U>())
    }
}

trait Convert<T> {
    fn convert(&self) -> T;
}

impl<T> Convert<Vec<T>> for Report
where
    T: From<u8> + Clone + Send + Sync + 'static,
{
    #[cached]
    fn convert(&self) -> Vec<T> {
        vec![T::from(self.id as u8)]
    }
}

trait Named<T> {
    fn name_with<U>(&self, n: u32) -> String;
}

impl<T> Named<T> for Report {
    // `T` is in the name of the trait alone, so that `Self::name_with` would be ambiguous.
    #[cached(handle = false)]
    fn name_with<U>(&self, n: u32) -> String {
        format!("{n} {} {}", std::any::type_name::<T>(), std::any::type_name::<U>())
    }
}

#[test]
fn parameters_that_no_argument_shows_count_in_methods_as_well() {
    let report = Report { id: 1 };
    for _ in 0..2 {
        assert_eq!(<Report as Named<u8>>::name_with::<u8>(&report, 1), "1 u8 u8");
        assert_eq!(<Report as Named<u8>>::name_with::<u16>(&report, 1), "1 u8 u16");
        assert_eq!(<Report as Named<u16>>::name_with::<u8>(&report, 1), "1 u16 u8");
    }
}

#[test]
fn generic_impls_keep_their_instantiations_apart() {
    assert_eq!(Wrapper::<_, 1>(7_u8).show(), "7:1:u8");
    assert_eq!(Wrapper::<_, 2>(7_u8).show(), "7:2:u8");
    assert_eq!(Wrapper::<_, 1>(7_u16).show(), "7:1:u16");
    assert_eq!(Wrapper::<_, 1>(7_u8).show(), "7:1:u8");
    assert_eq!(block_on(Wrapper::<_, 1>(7_u8).show_with(1_u8)), "7:1:u8");
    assert_eq!(block_on(Wrapper::<_, 1>(7_u8).show_with(1_u16)), "7:1:u16");
    let (a, b): (Vec<u16>, Vec<u64>) = (Report { id: 1 }.convert(), Report { id: 1 }.convert());
    assert_eq!((a, b), (vec![1], vec![1]));
}

#[test]
fn generic_functions_keep_their_instantiations_apart() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);

    #[cached]
    fn f<'a, T, const N: usize>(text: &'a str, value: T) -> String
    where
        T: Debug + Clone + Eq + Hash + Send + Sync + 'static,
    {
        RUNS.fetch_add(1, SeqCst);
        format!("{text}{value:?}{N}{}", std::any::type_name::<T>())
    }

    for _ in 0..2 {
        assert_eq!(f::<u8, 1>("a", 1), "a11u8");
        assert_eq!(f::<u16, 1>("a", 1), "a11u16");
        assert_eq!(f::<u8, 2>("a", 1), "a12u8");
    }
    assert_eq!(RUNS.load(SeqCst), 3);
    let stats = f::stats();
    assert_eq!((stats.hits, stats.misses, stats.entries), (3, 3, 3));
    f::invalidate::<u8, 1>("a", 1);
    assert_eq!(f::peek::<u8, 1>("a", 1), None);
    assert_eq!(f::peek::<u16, 1>("a", 1), Some("a11u16".into()));
    f::clear();
    assert_eq!(f::stats().entries, 0);
}

#[test]
fn a_type_parameter_need_not_be_an_argument() {
    #[cached]
    fn name<T: ?Sized>(n: u32) -> String {
        format!("{n} {}", std::any::type_name::<T>())
    }
    assert_eq!((name::<u8>(1), name::<str>(1)), ("1 u8".into(), "1 str".into()));
    fn with_lifetime<'a>(_: &'a str) -> String {
        name::<&'a u8>(1)
    }
    assert_eq!(with_lifetime(&String::new()), "1 &u8");

    #[cached]
    async fn aname<T>(n: u32) -> String {
        format!("{n} {}", std::any::type_name::<T>())
    }
    assert_eq!(
        (block_on(aname::<u8>(1)), block_on(aname::<u16>(1))),
        ("1 u8".into(), "1 u16".into())
    );
}

mod nested {
    pub(super) mod deep {
        use gecaso::cached;

        /// A type that nobody outside can name.
        #[derive(Clone, PartialEq, Eq, Hash)]
        pub(crate) struct Private(pub(crate) u8);

        #[cached]
        pub(in super::super) fn f(private: Private) -> u8 {
            private.0 + helper()
        }

        fn helper() -> u8 {
            1
        }
    }
}

#[test]
fn visibility_is_kept_by_the_handle() {
    use nested::deep::{self, Private, f};
    assert_eq!(f(Private(1)), 2);
    deep::f::invalidate(Private(1));
    assert_eq!(f::stats().entries, 0);
}

#[test]
fn functions_of_one_name_do_not_meet() {
    fn one() -> String {
        #[cached]
        fn same(n: u8) -> String {
            format!("one {n}")
        }
        same(1)
    }
    fn two() -> String {
        #[cached]
        fn same(n: u8) -> String {
            format!("two {n}")
        }
        same(1)
    }
    assert_eq!((one(), two(), one()), ("one 1".into(), "two 1".into(), "one 1".into()));
}

#[test]
fn threads_that_open_a_cache_at_once_get_one() {
    static OPENED: AtomicUsize = AtomicUsize::new(0);
    static CALL_F: LazyLock<Count> = LazyLock::new(Count::new);
    static CALL_G: LazyLock<Count> = LazyLock::new(Count::new);

    // Still being opened when the last of the threads calls.
    fn storage(callers: &Count) -> gecaso::LruStorage {
        OPENED.fetch_add(1, SeqCst);
        callers.wait_for(8);
        pause();
        gecaso::LruStorage::new(4)
    }
    #[cached(storage(&CALL_F))]
    fn f(n: u32) -> u32 {
        n
    }
    #[cached(storage(&CALL_G))]
    fn g<T>(n: u32) -> u32 {
        n
    }

    std::thread::scope(|scope| {
        for n in 0..8 {
            scope.spawn(move || {
                CALL_F.up();
                f(1);
                CALL_G.up();
                if n % 2 == 0 { g::<u8>(1) } else { g::<u16>(1) }
            });
        }
    });
    assert_eq!(OPENED.load(SeqCst), 3);
    assert_eq!(f::stats().loads, 1);
    assert_eq!(g::<u8>(1) + g::<u16>(1), 2);
    assert_eq!(g::<()>(1), 1);
    assert_eq!(OPENED.load(SeqCst), 4);
}

#[test]
fn what_a_body_declares_does_not_make_a_method_of_it() {
    #[cached]
    fn f(n: u32) -> u32 {
        struct Chain {
            next: Option<Box<Self>>,
        }
        impl Chain {
            fn of(n: u32) -> Self {
                Self { next: (n > 0).then(|| Box::new(Self::of(n - 1))) }
            }
            fn len(&self) -> u32 {
                self.next.as_ref().map_or(0, |next| next.len() + 1)
            }
        }
        Chain::of(n).len()
    }
    assert_eq!((f(3), f(3), f::stats().hits), (3, 3, 1));
}

#[test]
fn a_storage_expression_that_calls_its_own_function_says_so() {
    #[cached(storage())]
    fn f(n: u32) -> u32 {
        n
    }
    fn storage() -> gecaso::LruStorage {
        gecaso::LruStorage::new(f(1) as usize)
    }
    let panic = std::panic::catch_unwind(|| f(2)).unwrap_err();
    let said = panic.downcast_ref::<String>().cloned().unwrap_or_default();
    assert!(said.contains("calls that function itself"), "{said}");
}
