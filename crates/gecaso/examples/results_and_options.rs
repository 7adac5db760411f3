//! What is stored of a `Result` or an `Option`: only `Ok` and `Some`, told by type, unless asked.

use gecaso::cached;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

static READINGS: AtomicU32 = AtomicU32::new(0);

/// Aliases are seen through: this is a `Result`, though the signature does not say so.
type Reading = Result<u32, String>;

#[cached]
fn read_sensor(number: u32) -> Reading {
    let reading = READINGS.fetch_add(1, Relaxed);
    if reading == 0 { Err("warming up".into()) } else { Ok(number * 100) }
}

/// `cache_err`: an `Err` is a fact as well, such as a number that is not one.
#[cached(cache_err)]
fn parse(text: &str) -> Result<i64, std::num::ParseIntError> {
    text.parse()
}

#[cached]
fn find(name: &str) -> Option<usize> {
    ["ada", "grace", "edsger"].iter().position(|known| *known == name)
}

/// `cache_none`: not being there is worth remembering too.
#[cached(cache_none)]
fn find_for_good(name: &str) -> Option<usize> {
    find::uncached(name)
}

/// `cache_if`: the predicate sees what would be stored.
#[cached(cache_if = |answer: &String| !answer.is_empty())]
fn ask(question: &str) -> String {
    question.strip_prefix("what is ").unwrap_or("").to_owned()
}

#[cached]
async fn connect(host: &str) -> Result<u32, String> {
    smol::future::yield_now().await; // in place of the network
    Err(format!("{host} is down"))
}

fn main() {
    assert_eq!(read_sensor(7), Err("warming up".into())); // not stored
    assert_eq!(read_sensor(7), Ok(700)); // stored
    assert_eq!(read_sensor(7), Ok(700)); // a hit
    assert_eq!(READINGS.load(Relaxed), 2);

    assert!(parse("seven").is_err());
    assert!(parse("seven").is_err());
    assert_eq!((parse::stats().hits, parse::stats().loads), (1, 1));

    assert_eq!((find("grace"), find("alan")), (Some(1), None));
    assert_eq!(find::stats().entries, 1);
    assert_eq!((find_for_good("alan"), find_for_good("alan")), (None, None));
    assert_eq!(find_for_good::stats().loads, 1);

    assert_eq!((ask("what is love").as_str(), ask("why").as_str()), ("love", ""));
    assert_eq!(ask::stats().entries, 1);

    // The handle speaks the function's own return type.
    read_sensor::insert(8, Ok(1));
    assert_eq!(read_sensor::peek(8), Some(Ok(1)));

    // Two callers at once of a body that fails: the one who waits gets the same `Err`, and does not
    // run the body again after the other.
    let both = smol::future::zip(connect("db"), connect("db"));
    assert_eq!(smol::block_on(both), (Err("db is down".into()), Err("db is down".into())));
    assert_eq!(connect::stats().loads, 1);
    println!("{:?}", connect::stats());
}
