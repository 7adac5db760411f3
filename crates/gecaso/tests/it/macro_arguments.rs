//! `#[cached]`: what arguments may look like, and that each of them tells calls apart.
//!
//! Run by `main`. Must not look at storages.

#![allow(clippy::too_many_arguments, clippy::ptr_arg, clippy::useless_vec)]

use gecaso::cached;
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// Asserts how many bodies have run so far.
macro_rules! bodies {
    ($count:ident, $expected:expr) => {
        assert_eq!($count.load(SeqCst), $expected, "bodies run, at line {}", line!())
    };
}

#[test]
fn borrowed_arguments_are_found_by_their_content() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);

    #[cached]
    fn f(text: &str, list: &[u32], path: &Path, maybe: Option<&str>, whole: &String) -> usize {
        RUNS.fetch_add(1, SeqCst);
        text.len() + list.len() + path.as_os_str().len() + maybe.map_or(0, str::len) + whole.len()
    }

    let call = || f(&String::from("a"), &vec![1], &PathBuf::from("p"), Some("m"), &"w".to_owned());
    assert_eq!((call(), call()), (5, 5));
    bodies!(RUNS, 1);
    f("b", &[1], Path::new("p"), Some("m"), &"w".to_owned());
    f("a", &[2], Path::new("p"), Some("m"), &"w".to_owned());
    f("a", &[1], Path::new("q"), Some("m"), &"w".to_owned());
    f("a", &[1], Path::new("p"), None, &"w".to_owned());
    f("a", &[1], Path::new("p"), Some("m"), &"x".to_owned());
    bodies!(RUNS, 6);
}

#[test]
fn references_inside_of_known_types_are_seen_through() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);

    #[cached]
    fn f(words: &[&str], pair: (&str, Option<&[u8]>), list: Vec<&str>, cow: Cow<'_, str>) -> usize {
        RUNS.fetch_add(1, SeqCst);
        words.len() + pair.0.len() + pair.1.map_or(0, <[u8]>::len) + list.len() + cow.len()
    }

    for _ in 0..2 {
        let (a, b) = (String::from("a"), String::from("b"));
        f(&[&a, &b], (&a, Some(b.as_bytes())), vec![&a], Cow::Borrowed(&b));
        f(&[&a, &b], (&a, Some(b.as_bytes())), vec![&a], Cow::Owned(b.clone()));
    }
    bodies!(RUNS, 1);
    f(&["ab"], ("a", Some(b"b")), vec!["a"], Cow::Borrowed("b"));
    f(&["a", "b"], ("b", Some(b"b")), vec!["a"], Cow::Borrowed("b"));
    f(&["a", "b"], ("a", None), vec!["a"], Cow::Borrowed("b"));
    f(&["a", "b"], ("a", Some(b"b")), vec![], Cow::Borrowed("b"));
    f(&["a", "b"], ("a", Some(b"b")), vec!["a"], Cow::Borrowed("c"));
    bodies!(RUNS, 6);
}

#[test]
fn a_moved_boundary_between_arguments_is_another_call() {
    #[cached]
    fn f(a: &str, b: &str) -> String {
        format!("{a}|{b}")
    }
    assert_eq!(
        (f("ab", "c"), f("a", "bc"), f("abc", "")),
        ("ab|c".into(), "a|bc".into(), "abc|".into())
    );
}

#[test]
fn owned_and_static_arguments_work_as_well() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);

    #[cached]
    fn f(a: String, b: &'static str, c: Vec<(u8, char)>, d: Option<&'static str>, e: ()) -> usize {
        RUNS.fetch_add(1, SeqCst);
        let () = e;
        a.len() + b.len() + c.len() + d.map_or(0, str::len)
    }

    let call = |a: &str| f(a.to_string(), "b", vec![(1, 'x')], Some("d"), ());
    assert_eq!((call("a"), call("a"), call("aa")), (4, 4, 5));
    bodies!(RUNS, 2);
}

#[test]
fn floats_count_by_their_bits() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    type Metres = f64;

    #[cached]
    fn f(
        a: f64,
        b: f32,
        c: Metres,
        d: Vec<f64>,
        e: Option<f64>,
        g: &[f64],
        h: (f64, u8),
        i: [f32; 2],
    ) -> f64 {
        RUNS.fetch_add(1, SeqCst);
        a + f64::from(b) + c + d[0] + e.unwrap_or(0.0) + g[0] + h.0 + f64::from(i[0])
    }

    let call = |x: f64, y: f32| f(x, y, x, vec![x], Some(x), &[x], (x, 1), [y; 2]);
    assert!(call(f64::NAN, 1.0).is_nan());
    assert!(call(f64::NAN, 1.0).is_nan());
    bodies!(RUNS, 1);
    call(0.0, 0.0);
    call(-0.0, 0.0);
    call(0.0, -0.0);
    bodies!(RUNS, 4);
    f(0.0, 0.0, 0.0, vec![0.0], Some(0.0), &[0.0], (0.0, 2), [0.0; 2]);
    bodies!(RUNS, 5);
    f(0.0, 0.0, 0.0, vec![0.0], None, &[0.0, 0.0], (0.0, 1), [0.0; 2]);
    bodies!(RUNS, 6);
}

#[test]
fn pairs_of_floats_behind_an_alias_are_floats() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    type Point = (f64, f64);

    #[cached]
    fn f(at: Point, line: &[Point]) -> f64 {
        RUNS.fetch_add(1, SeqCst);
        at.0 + line.iter().map(|point| point.1).sum::<f64>()
    }

    assert_eq!((f((1.0, 2.0), &[(0.0, 3.0)]), f((1.0, 2.0), &[(0.0, 3.0)])), (4.0, 4.0));
    bodies!(RUNS, 1);
    f((1.0, 2.5), &[(0.0, 3.0)]);
    bodies!(RUNS, 2);
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Pair {
    x: u32,
    y: u32,
}

#[test]
fn patterns_are_arguments_like_others() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);

    #[cached]
    fn f(
        (a, mut b): (u32, u32),
        mut c: u32,
        _: u32,
        Pair { x, y }: Pair,
        [d, ..]: [u32; 2],
        &e: &u32,
    ) -> u32 {
        RUNS.fetch_add(1, SeqCst);
        b += 1;
        c += 1;
        a + b + c + x + y + d + e
    }

    let pair = || Pair { x: 1, y: 2 };
    assert_eq!(f((1, 2), 3, 4, pair(), [5, 6], &7), 1 + 3 + 4 + 3 + 5 + 7);
    assert_eq!(f((1, 2), 3, 4, pair(), [5, 6], &7), 23);
    bodies!(RUNS, 1);
    f((1, 2), 3, 0, pair(), [5, 6], &7);
    f((1, 2), 3, 4, Pair { x: 2, y: 2 }, [5, 6], &7);
    f((1, 2), 3, 4, pair(), [5, 0], &7);
    f((1, 2), 3, 4, pair(), [5, 6], &0);
    bodies!(RUNS, 5);
}

#[test]
fn as_ref_arguments_share_their_entries() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);

    #[cached]
    fn f(path: impl AsRef<Path>, text: &impl AsRef<str>) -> usize {
        RUNS.fetch_add(1, SeqCst);
        path.as_ref().as_os_str().len() + text.as_ref().len()
    }

    assert_eq!(f("ab", &"c"), 3);
    assert_eq!(f(PathBuf::from("ab"), &String::from("c")), 3);
    assert_eq!(f(Path::new("ab"), &Box::<str>::from("c")), 3);
    bodies!(RUNS, 1);
    f::invalidate("ab", &"c".to_string());
    f(String::from("ab"), &"c");
    bodies!(RUNS, 2);
}

#[test]
fn other_impl_arguments_are_told_apart_by_type() {
    #[cached]
    fn f(
        value: impl std::hash::Hash + Eq + Clone + Send + Sync + std::fmt::Display + 'static,
    ) -> String {
        format!("{value}/{}", size_of_val(&value))
    }
    assert_eq!((f(1_u8), f(1_u32), f(1_u8)), ("1/1".into(), "1/4".into(), "1/1".into()));
    f::insert(1_u8, "one".into());
    assert_eq!((f(1_u8), f(1_u32)), ("one".into(), "1/4".into()));
    assert!(f::key(1_u8) == f::key(1_u8));
}

#[test]
fn arguments_may_bear_any_name() {
    #[cached(key = (key, view), name = "names")]
    fn f(
        key: u8,
        view: u8,
        inner: u8,
        cache: u8,
        r: u8,
        self_: u8,
        token: u8,
        value: u8,
        f: u8,
    ) -> u32 {
        [key, view, inner, cache, r, self_, token, value, f].iter().map(|n| u32::from(*n)).sum()
    }
    assert_eq!(f(1, 2, 3, 4, 5, 6, 7, 8, 9), 45);

    #[cached]
    fn g(
        keep: u8,
        this: u8,
        missed: u8,
        found: u8,
        value: u8,
        r#type: u8,
        arg0: u8,
        words: u8,
    ) -> u32 {
        [keep, this, missed, found, value, r#type, arg0, words].iter().map(|n| u32::from(*n)).sum()
    }
    assert_eq!(g(1, 2, 3, 4, 5, 6, 7, 8), 36);
    g::insert(1, 2, 3, 4, 5, 6, 7, 8, 1);
    assert_eq!(g(1, 2, 3, 4, 5, 6, 7, 8), 1);
}

#[test]
fn conditional_arguments_follow_their_condition() {
    #[cached(skip(gone, skipped))]
    fn f(
        a: u32,
        #[cfg(not(test))] gone: String,
        #[cfg(test)] kept: u32,
        #[cfg(test)]
        #[allow(unused_variables)]
        skipped: u32,
    ) -> u32 {
        #[cfg(not(test))]
        let _ = gone;
        a + kept
    }
    assert_eq!((f(1, 2, 0), f(1, 3, 0), f(1, 3, 9)), (3, 4, 4));
    assert_eq!(f::stats().loads, 2);
    f::invalidate(1, 2);
}

#[test]
fn no_arguments_are_one_call() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);

    #[cached]
    fn f() -> usize {
        RUNS.fetch_add(1, SeqCst)
    }
    assert_eq!((f(), f()), (0, 0));
    f::invalidate();
    assert_eq!(f(), 1);
}

#[test]
fn there_may_be_many_arguments() {
    #[cached]
    fn f(
        a: u8,
        b: u8,
        c: u8,
        d: u8,
        e: u8,
        g: u8,
        h: u8,
        i: u8,
        j: u8,
        k: u8,
        l: u8,
        m: u8,
        n: u8,
        o: u8,
        p: u8,
        q: u8,
        r: u8,
        s: u8,
    ) -> Vec<u8> {
        vec![a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q, r, s]
    }
    let call = |last| f(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, last);
    assert_eq!((call(1)[17], call(2)[17], call(1)[17]), (1, 2, 1));
    assert_eq!(f::stats().hits, 1);
}

/// Functions whose names an expansion might take for its own variables.
mod named_like_variables {
    use gecaso::cached;
    use std::time::Duration;

    macro_rules! functions {
        ($($name:ident)*) => { $(
            #[cached(ttl = "1h")]
            fn $name(id: u64) -> u64 {
                id + 1
            }
        )* };
    }
    functions!(value ttl view token keep this cache key read receiver body missed query storage);

    #[test]
    fn a_function_may_have_any_name() {
        macro_rules! each {
            ($($name:ident)*) => { $(
                assert_eq!($name(1), 2);
                $name::insert(1, 7).wait().unwrap();
                assert_eq!(($name(1), $name::with(1, |it| *it)), (7, Some(7)));
                $name::insert_with_ttl(1, 8, Duration::from_secs(9)).wait().unwrap();
                assert_eq!($name::peek(1), Some(8));
                assert_eq!($name::refresh(1), 2);
                $name::invalidate(1).wait().unwrap();
                assert_eq!($name::peek(1), None);
            )* };
        }
        each!(value ttl view token keep this cache key read receiver body missed query storage);
    }
}
