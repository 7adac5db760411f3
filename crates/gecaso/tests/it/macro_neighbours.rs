//! `#[cached]` beside other attributes, and under strict lints.
//!
//! Run by `main`. Must not look at storages.

use gecaso::cached;
use pollster::block_on;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

#[test]
fn it_works_above_and_below_instrument() {
    #[cached]
    #[tracing::instrument(fields(twice = n * 2))]
    fn above(n: u32, (a, _): (u32, u32)) -> u32 {
        n + a
    }
    #[tracing::instrument(skip(conn))]
    #[cached(skip(conn))]
    fn below(n: u32, conn: &std::cell::Cell<u8>) -> Result<u32, String> {
        conn.set(conn.get() + 1);
        Ok(n)
    }
    #[cached]
    #[tracing::instrument]
    async fn above_async(n: u32) -> u32 {
        n
    }
    #[tracing::instrument]
    #[cached]
    async fn below_async(text: &str) -> Option<String> {
        Some(text.to_string())
    }
    let conn = std::cell::Cell::new(0);
    for _ in 0..2 {
        assert_eq!((above(1, (2, 3)), below(1, &conn)), (3, Ok(1)));
        assert_eq!((block_on(above_async(1)), block_on(below_async("a"))), (1, Some("a".into())));
    }
    assert_eq!((above::stats().loads, below::stats().loads, conn.get()), (1, 1, 1));
    assert_eq!((above_async::stats().loads, below_async::stats().loads), (1, 1));
}

static FETCHED: AtomicUsize = AtomicUsize::new(0);

#[async_trait::async_trait]
trait Fetch: Send + Sync {
    async fn fetch(&self, name: &str, pair: (u32, u32)) -> Result<String, String>;
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Remote(u32);

#[async_trait::async_trait]
impl Fetch for Remote {
    #[cached(ttl = 60)]
    async fn fetch(&self, name: &str, (a, mut b): (u32, u32)) -> Result<String, String> {
        FETCHED.fetch_add(1, SeqCst);
        std::future::ready(()).await;
        if name.is_empty() {
            return Err("no name".to_string());
        }
        b += 1;
        Ok(format!("{}{name}{a}{b}", self.0))
    }
}

#[test]
fn it_works_inside_of_async_trait() {
    let (one, two): (Box<dyn Fetch>, Box<dyn Fetch>) = (Box::new(Remote(1)), Box::new(Remote(2)));
    for _ in 0..2 {
        assert_eq!(block_on(one.fetch("a", (1, 2))), Ok("1a13".into()));
        assert_eq!(block_on(two.fetch("a", (1, 2))), Ok("2a13".into()));
    }
    assert_eq!(FETCHED.load(SeqCst), 2);
    assert_eq!(block_on(one.fetch("", (1, 2))), Err("no name".into()));
    assert_eq!(block_on(one.fetch("", (1, 2))), Err("no name".into()));
    assert_eq!(FETCHED.load(SeqCst), 4);
    let handle = gecaso::handle(<Remote as Fetch>::fetch);
    assert_eq!(handle.peek(&Remote(1), "a", (1, 2)), Some(Ok::<_, String>("1a13".to_string())));
    handle.invalidate(&Remote(1), "a", (1, 2));
    block_on(one.fetch("a", (1, 2))).unwrap();
    assert_eq!(FETCHED.load(SeqCst), 5);
}

mod strict {
    #![deny(
        warnings,
        missing_docs,
        missing_debug_implementations,
        missing_copy_implementations,
        unreachable_pub,
        unused_qualifications,
        unused_results,
        single_use_lifetimes,
        trivial_casts,
        let_underscore_drop,
        unused,
        clippy::all,
        clippy::pedantic,
        clippy::nursery
    )]
    #![forbid(unsafe_code)]
    //! Where everything is forbidden.

    use gecaso::cached;

    /// A documented function.
    ///
    /// # Errors
    ///
    /// Never.
    #[cached(gecaso::LruStorage::new(3), ttl = "1m")]
    #[allow(clippy::unnecessary_wraps, clippy::trivially_copy_pass_by_ref)]
    pub(crate) fn f(n: &u32, (a, mut b): (u32, u32)) -> Result<u32, String> {
        b += 1;
        Ok(*n + a + b)
    }

    /// A type.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub(super) struct S(pub(super) u32);

    impl S {
        /// A method.
        #[cached]
        #[must_use]
        pub(crate) fn m(&self, mut n: u32) -> u32 {
            n += 1;
            self.0 + n
        }

        /// An async method.
        #[cached]
        pub(crate) async fn am(self, text: &str) -> Option<String> {
            std::future::ready(()).await;
            if text.is_empty() {
                return None;
            }
            Some(text.to_owned())
        }
    }

    /// What is expected is found.
    #[cached]
    #[expect(unused_variables)]
    pub(crate) fn expects(n: u32) -> u32 {
        1
    }

    /// A conditional one.
    #[cfg(test)]
    #[cached]
    pub(crate) fn conditional(n: u32) -> u32 {
        n
    }

    /// One that is not there.
    #[cfg(not(test))]
    #[cached]
    pub(crate) fn conditional(n: String) -> NoSuchType {
        n
    }
}

#[test]
fn strict_lints_find_nothing_to_say() {
    assert_eq!(strict::f(&1, (1, 1)), Ok(4));
    assert_eq!(strict::S(1).m(1), 3);
    assert_eq!(block_on(strict::S(1).am("a")), Some("a".to_string()));
    assert_eq!((strict::expects(1), strict::conditional(2)), (1, 2));
    assert_eq!(strict::conditional::stats().loads, 1);
}

#[test]
fn code_made_by_a_macro_can_be_cached() {
    macro_rules! make {
        ($name:ident, $arg:ident: $ty:ty => $body:expr) => {
            #[cached]
            fn $name($arg: $ty) -> $ty {
                $body
            }
        };
    }
    make!(doubled, n: u32 => n * 2);
    make!(longer, text: String => text.clone() + &text);
    assert_eq!((doubled(2), doubled(2), doubled::stats().hits), (4, 4, 1));
    assert_eq!(longer("a".into()), "aa");
    longer::invalidate("a".into());
}
