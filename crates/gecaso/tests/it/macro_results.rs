//! `#[cached]`: what of a result is stored, told by type and not by name.
//!
//! Run by `main`. Must not look at storages.

use gecaso::cached;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

type Outcome<T> = std::result::Result<T, String>;
type Maybe = std::option::Option<u32>;

#[test]
fn an_error_is_not_stored() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    #[cached]
    fn f(n: u32) -> Result<u32, String> {
        RUNS.fetch_add(1, SeqCst);
        if n == 0 { Err("zero".into()) } else { Ok(n) }
    }
    assert_eq!((f(0), f(0)), (Err("zero".into()), Err("zero".into())));
    assert_eq!(RUNS.load(SeqCst), 2);
    assert_eq!((f(1), f(1)), (Ok(1), Ok(1)));
    assert_eq!(RUNS.load(SeqCst), 3);
}

#[test]
fn an_alias_of_result_is_seen_through() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    #[cached]
    fn f(n: u32) -> Outcome<u32> {
        RUNS.fetch_add(1, SeqCst);
        if n == 0 { Err("zero".into()) } else { Ok(n) }
    }
    for _ in 0..2 {
        assert!(f(0).is_err());
        assert_eq!(f(1), Ok(1));
    }
    assert_eq!(RUNS.load(SeqCst), 3);
}

#[test]
fn none_is_not_stored_also_behind_an_alias() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    #[cached]
    fn f(n: u32) -> Maybe {
        RUNS.fetch_add(1, SeqCst);
        n.checked_sub(1)
    }
    assert_eq!((f(0), f(0), f(1), f(1)), (None, None, Some(0), Some(0)));
    assert_eq!(RUNS.load(SeqCst), 3);
}

#[test]
fn an_error_that_cannot_be_cloned_or_sent_is_fine() {
    struct Rough(#[allow(dead_code)] std::rc::Rc<()>);
    #[cached]
    fn f(n: u32) -> Result<u32, Rough> {
        if n == 0 { Err(Rough(std::rc::Rc::new(()))) } else { Ok(n) }
    }
    assert!(f(0).is_err() && f(1).is_ok_and(|n| n == 1));
    assert!(f::peek(1).is_some_and(|found| found.is_ok()) && f::peek(0).is_none());

    #[cached]
    fn g(n: u32) -> Result<u32, Box<dyn std::error::Error>> {
        Ok(n.to_string().parse()?)
    }
    assert!(g(1).is_ok_and(|n| n == 1));
}

#[test]
fn a_generic_result_is_seen_through() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    #[cached(skip(n))]
    fn f<T: From<u8> + Clone + Send + Sync + 'static, E: From<String>>(n: u8) -> Result<T, E> {
        RUNS.fetch_add(1, SeqCst);
        if n == 0 { Err(E::from("zero".to_string())) } else { Ok(T::from(n)) }
    }
    assert_eq!(f::<u16, String>(0), Err("zero".into()));
    assert_eq!((f::<u16, String>(3), f::<u16, String>(4)), (Ok(3), Ok(3)));
    assert!(f::<u32, Box<dyn std::error::Error>>(5).is_ok_and(|n| n == 5));
    assert_eq!(RUNS.load(SeqCst), 3);
}

#[test]
fn cache_err_stores_errors_and_cache_none_stores_none() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    #[cached(cache_err)]
    fn f(n: u32) -> Outcome<u32> {
        RUNS.fetch_add(1, SeqCst);
        Err(n.to_string())
    }
    #[cached(cache_none)]
    fn g(n: u32) -> Maybe {
        RUNS.fetch_add(1, SeqCst);
        n.checked_sub(1)
    }
    #[cached(cache_err)]
    fn h<R: From<u8> + Clone + Send + Sync + 'static>(n: u8) -> R {
        RUNS.fetch_add(1, SeqCst);
        R::from(n)
    }
    assert_eq!((f(1), f(1), g(0), g(0)), (Err("1".into()), Err("1".into()), None, None));
    assert_eq!((h::<u16>(1), h::<u32>(1), h::<u16>(1)), (1, 1, 1));
    assert_eq!(RUNS.load(SeqCst), 4);
    assert_eq!((f::peek(1), g::peek(0)), (Some(Err("1".into())), Some(None)));
}

#[test]
fn inserting_what_would_not_be_stored_removes() {
    #[cached(cache_if = |n| *n < 10)]
    fn f(n: u32) -> Result<u32, String> {
        Ok(n)
    }
    assert_eq!(f(1), Ok(1));
    assert_eq!(f::peek(1), Some(Ok(1)));
    f::insert(1, Ok(5));
    assert_eq!(f(1), Ok(5));
    f::insert(1, Err("gone".into()));
    assert_eq!(f::peek(1), None);
    assert_eq!(f(1), Ok(1));
    f::insert(1, Ok(10));
    assert_eq!(f::peek(1), None);
}

mod shadows {
    #![allow(
        dead_code,
        unused_macros,
        non_snake_case,
        clippy::extra_unused_type_parameters,
        clippy::result_unit_err
    )]
    //! Names of std that mean something else here.

    pub(super) struct Option;
    pub(super) struct Result;
    pub(super) struct Vec;
    pub(super) struct String;
    pub(super) struct Box;
    pub(super) enum Some {}
    pub(super) fn Ok() {}
    pub(super) fn Err() {}
    pub(super) fn None() {}
    mod std {}
    mod core {}
    mod gecaso {}
    macro_rules! concat {
        ($($any:tt)*) => {
            compile_error!("not this one")
        };
    }
    macro_rules! module_path {
        () => {
            compile_error!("not this one")
        };
    }
    pub(super) trait Eq {}
    pub(super) trait Clone {}
    pub(super) trait Default {}

    #[::gecaso::cached(ttl = 5)]
    pub(super) fn f(n: u8, text: &str) -> ::std::result::Result<u8, ()> {
        if text.is_empty() { ::std::result::Result::Err(()) } else { ::std::result::Result::Ok(n) }
    }

    #[::gecaso::cached]
    pub(super) async fn g<T: ::std::marker::Send>(n: u8) -> ::std::option::Option<u8> {
        ::std::option::Option::Some(n)
    }

    #[derive(::std::clone::Clone, ::std::cmp::PartialEq, ::std::cmp::Eq, ::std::hash::Hash)]
    pub(super) struct S;
    impl S {
        #[::gecaso::cached]
        pub(super) async fn m(&self, n: u8) -> ::std::option::Option<u8> {
            ::std::option::Option::Some(n)
        }
    }
}

#[test]
fn shadowed_names_do_not_matter() {
    assert_eq!((shadows::f(1, "a"), shadows::f(1, "")), (Ok(1), Err(())));
    assert_eq!(shadows::f::peek(1, "a"), Some(Ok(1)));
    assert_eq!(pollster::block_on(shadows::g::<u8>(1)), Some(1));
    assert_eq!(pollster::block_on(shadows::S.m(1)), Some(1));
}

mod unseen {
    //! Results that the attribute cannot see, since a type parameter stands for them.
    use gecaso::cached;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    struct Source<R>(fn() -> R);

    impl<R: Clone + Send + Sync + 'static> Source<R> {
        #[cached(skip(self))]
        fn get(&self, _id: u32) -> R {
            (self.0)()
        }

        #[cached(skip(self), cache_err)]
        fn get_all(&self, _id: u32) -> R {
            (self.0)()
        }
    }

    #[test]
    fn a_parameter_that_stands_for_a_result_is_refused_at_the_first_call() {
        assert_eq!(Source(|| 5_u8).get(1), 5);
        let failing = Source(|| Err::<u8, &str>("down"));
        let refused = catch_unwind(AssertUnwindSafe(|| failing.get(1))).unwrap_err();
        let message = refused.downcast_ref::<String>().expect("a message");
        assert!(message.contains("cache_err") && message.contains("Result"), "{message}");
        assert_eq!(failing.get_all(1), Err("down"));
    }

    #[derive(Clone)]
    struct D;

    #[cached]
    fn one_letter() -> D {
        D
    }

    #[test]
    fn a_type_of_one_letter_is_a_type_like_any_other() {
        let _: D = one_letter();
        assert_eq!(one_letter::stats().loads, 1);
    }
}
