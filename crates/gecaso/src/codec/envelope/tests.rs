//! Sealing and opening, and the golden files: what earlier versions wrote is read for ever.

use super::*;
use crate::params::Param;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

fn header(key: &[u8]) -> Header<'_> {
    Header { fingerprint: 1, epoch: 2, begun: 3, expires: 4, load_took: 5, key }
}

fn sealed<V: Serialize + DeserializeOwned>(key: &[u8], value: &V) -> Vec<u8> {
    seal(&header(key), &Params::new(), value, &Limits::default()).unwrap()
}

#[test]
fn what_was_sealed_is_opened() {
    let params = Params::new().with_ttl(Duration::from_secs(9)).with("a", "b");
    let bytes = seal(&header(b"key"), &params, &"value".to_owned(), &Limits::default()).unwrap();
    let opened = open(&bytes, &Limits::default()).unwrap();
    assert_eq!(opened.header(), header(b"key"));
    assert_eq!(opened.params(), Ok(params));
    assert_eq!(opened.value(), Ok("value".to_owned()));
}

#[test]
fn an_envelope_under_another_key_tells_its_own() {
    let (one, other) = (sealed(b"one", &1), sealed(b"other", &2));
    let stored = [("one", other), ("other", one)];
    for (key, bytes) in &stored {
        let opened = open(bytes, &Limits::default()).unwrap();
        assert_ne!(opened.header().key, key.as_bytes());
    }
}

#[test]
fn each_refusal_has_its_reason() {
    let bytes = sealed(b"key", &1_u8);
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        open(&bytes, &Limits::default()).and_then(|opened| opened.value::<u8>()).err()
    };
    assert_eq!(refused(&|_| {}), None);
    assert_eq!(refused(&|bytes| bytes[0] = 0), Some(Refusal::Foreign));
    assert_eq!(refused(&|bytes| bytes[4] = 2), Some(Refusal::Version));
    assert_eq!(refused(&|bytes| bytes[8] = 9), Some(Refusal::Corrupt));
    assert_eq!(refused(&|bytes| bytes.truncate(70)), Some(Refusal::Corrupt));
    assert_eq!(refused(&|bytes| bytes[67] = 1), Some(Refusal::TooLarge));
    let opened = open(&bytes, &Limits::default()).unwrap();
    assert_eq!(opened.value::<u16>(), Err(Refusal::Drift));
    for refusal in
        [Refusal::Foreign, Refusal::Version, Refusal::Corrupt, Refusal::Drift, Refusal::TooLarge]
    {
        assert!(refusal.to_string().starts_with("the"), "{refusal}");
    }
}

#[test]
fn limits_hold_on_both_ways_and_to_the_byte() {
    let small = Limits { value: 10 };
    let seal = |key: &[u8], length: usize| {
        super::seal(&header(key), &Params::new(), &"x".repeat(length), &small)
    };
    let bytes = seal(b"key", 9).unwrap();
    assert!(open(&bytes, &small).is_ok());
    assert_eq!(open(&bytes, &Limits { value: 9 }).err(), Some(Refusal::TooLarge));
    let said = seal(b"key", 10).unwrap_err().to_string();
    assert_eq!(said, "the value cannot be stored: it takes more than 10 bytes");
    assert!(seal(&[0; limits::KEY], 1).is_ok());
    let said = seal(&[0; limits::KEY + 1], 1).unwrap_err().to_string();
    assert_eq!(said, "the key takes more than 65536 bytes and cannot be stored");
}

/// What lies in the golden files: never change it, add another.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Golden {
    id: u64,
    name: String,
    tags: Vec<String>,
    parent: Option<Box<Golden>>,
    kind: Kind,
    pair: (i8, f32),
    wide: i128,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Plain,
    Measured(f64),
    Placed { x: i32, y: Option<Option<bool>> },
}

fn golden_value() -> Golden {
    let parent = Golden {
        id: 1,
        name: String::new(),
        tags: vec![],
        parent: None,
        kind: Kind::Measured(-0.5),
        pair: (-1, 1.5),
        wide: 0,
    };
    Golden {
        id: u64::MAX,
        name: "gecaso".to_owned(),
        tags: vec!["a".to_owned(), "b".to_owned()],
        parent: Some(Box::new(parent)),
        kind: Kind::Placed { x: -70_000, y: Some(None) },
        pair: (127, -2.25),
        wide: -1 << 100,
    }
}

fn golden_header() -> Header<'static> {
    Header {
        fingerprint: 0x0123_4567_89ab_cdef,
        epoch: 7,
        begun: 1_800_000_000_000_000_000,
        expires: 1_800_000_100_000_000_000,
        load_took: 1_234_567,
        key: b"the key",
    }
}

fn golden_params() -> Params {
    Params::new()
        .with_ttl(Duration::from_secs(100))
        .with("some_additional_cool_param", "Hell yeah!")
        .with("many", Param::List(vec![Param::Null, true.into(), (-5).into(), 0.5.into()]))
        .with("raw", vec![0, 255])
}

fn fixture(name: &str) -> Vec<u8> {
    let file =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/envelopes").join(name);
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn version_1_is_read_and_written_as_it_was() {
    let bytes = fixture("v1/rust.bin");
    let opened = open(&bytes, &Limits::default()).unwrap();
    assert_eq!(opened.header(), golden_header());
    assert_eq!(opened.params(), Ok(golden_params()));
    assert_eq!(opened.value(), Ok(golden_value()));
    let again =
        seal(&golden_header(), &golden_params(), &golden_value(), &Limits::default()).unwrap();
    assert!(again == bytes, "version 1 is written as it was: else it needs another number");
}

#[test]
fn what_another_language_wrote_is_read() {
    let bytes = fixture("v1/python.bin");
    let opened = open(&bytes, &Limits::default()).unwrap();
    assert_eq!(opened.header(), golden_header());
    assert_eq!(opened.params(), Ok(golden_params()));
    assert_eq!(opened.value(), Ok(golden_value()));
}

#[test]
fn a_later_version_is_a_miss() {
    assert_eq!(open(&fixture("v2/unknown.bin"), &Limits::default()).err(), Some(Refusal::Version));
}
