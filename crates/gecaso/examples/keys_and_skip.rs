//! What makes two calls the same call: every argument by its `Eq`, floats by their bits, unless
//! `skip` or `key` say otherwise.

use gecaso::cached;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A connection: no part of what is asked.
struct Connection {
    queries: AtomicU32,
}

#[cached(skip(conn))]
fn load_user(conn: &Connection, id: u64) -> String {
    conn.queries.fetch_add(1, Relaxed);
    format!("user {id}")
}

/// Only the trimmed, lower-case name counts.
#[cached(key = name.trim().to_lowercase())]
fn greet(name: &str) -> String {
    format!("Hello, {}!", name.trim())
}

struct Request {
    tenant: u32,
    path: String,
    #[expect(dead_code, reason = "no part of the answer, and so none of the key")]
    trace_id: u128,
}

/// A tuple makes each of its elements a part of the key; here the trace id is none.
#[cached(key = (request.tenant, request.path.as_str()))]
fn route(request: &Request) -> String {
    format!("/{}{}", request.tenant, request.path)
}

/// Borrowed arguments and floats are keys as they are.
#[cached]
fn scale(values: &[f64], factor: f64) -> Vec<f64> {
    values.iter().map(|value| value * factor).collect()
}

/// `impl AsRef<X>` is keyed as that `X`, whatever type the caller has.
#[cached]
fn extension(path: impl AsRef<Path>) -> Option<String> {
    Some(path.as_ref().extension()?.to_str()?.to_owned())
}

/// Each instantiation of a generic function has entries of its own.
#[cached]
fn type_name<T: 'static>(short: bool) -> &'static str {
    let name = std::any::type_name::<T>();
    if short { name.rsplit(':').next().unwrap_or(name) } else { name }
}

fn main() {
    let conn = Connection { queries: AtomicU32::new(0) };
    let other = Connection { queries: AtomicU32::new(0) };
    assert_eq!(load_user(&conn, 7), "user 7");
    assert_eq!(load_user(&other, 7), "user 7"); // a hit, over another connection
    assert_eq!(other.queries.load(Relaxed), 0);
    load_user::invalidate(7); // needs no connection

    assert_eq!(greet("Ada"), "Hello, Ada!");
    assert_eq!(greet("  ADA "), "Hello, Ada!");
    assert_eq!(greet::stats().loads, 1);

    let request = |trace_id| Request { tenant: 3, path: "/a".into(), trace_id };
    assert_eq!((route(&request(1)), route(&request(2))), ("/3/a".into(), "/3/a".into()));
    assert_eq!(route::stats().loads, 1);

    // By bits: `0.0` and `-0.0` are two keys, and a NaN is found again.
    assert_eq!(scale(&[1.0, 2.0], 0.5), [0.5, 1.0]);
    assert!(scale(&[1.0], 0.0)[0].is_sign_positive());
    assert!(scale(&[1.0], -0.0)[0].is_sign_negative());
    scale(&[], f64::NAN);
    scale(&[], f64::NAN);
    assert_eq!((scale::stats().loads, scale::stats().hits), (4, 1));

    assert_eq!(extension("a.rs").as_deref(), Some("rs"));
    assert_eq!(extension(String::from("a.rs")).as_deref(), Some("rs"));
    assert_eq!(extension::stats().loads, 1);

    assert_eq!(type_name::<std::sync::Arc<u8>>(true), "Arc<u8>");
    assert_eq!(type_name::<u8>(true), "u8");
    assert_eq!(type_name::stats().loads, 2); // of all instantiations together

    // The key itself, to compare or to log.
    assert!(greet::key("Ada") == greet::key(" ada "));
    println!("{:?}", scale::stats());
}
