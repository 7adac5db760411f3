//! Entries that Rust and Python share: `fixtures/shared`, one folder of files for each writer, whose
//! names are the keys. What Python has written is found here, and what is written here is what
//! Python's tests read.
//!
//! The function is `report`, version 3, of a number and a text; `python/tests/test_shared.py` has
//! the same.

use crate::envelopes::wrap;
use crate::samples::Untagged;
use crate::scripted::Scripted;
use gecaso::{Cache, Far, ManualClock, Params, Storage, unpack};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Report {
    title: String,
    pages: Vec<u32>,
    score: f64,
    wide: u128,
    below: i128,
    parent: Option<String>,
    raw: Vec<u8>,
    pair: (i64, bool),
    numbered: BTreeMap<i64, String>,
}

fn report(title: &str) -> Report {
    Report {
        title: title.to_owned(),
        pages: vec![1, 300, 70_000],
        score: 0.5,
        wide: 1 << 100,
        below: -(1 << 100),
        parent: None,
        raw: vec![0, 255],
        pair: (-1, true),
        numbered: BTreeMap::from([(-5, "a".to_owned()), (5, "\u{e4}".to_owned())]),
    }
}

type Reports = Cache<(u32, String), Report>;

/// Over a storage that has these entries, on a clock of its own.
fn cache(entries: &BTreeMap<String, Vec<u8>>) -> (Reports, Scripted) {
    let storage = Scripted::new();
    for (key, bytes) in entries {
        pollster::block_on(storage.inner.set(key, bytes, &Params::new())).unwrap();
    }
    let far = Far::new(storage.clone()).with_clock(&ManualClock::new());
    (Cache::builder().storage(far).name("report").version(3).build(), storage)
}

fn folder(writer: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/shared");
    let files = std::fs::read_dir(folder.join(writer)).expect("fixtures/shared lies there");
    let entry = |file: std::io::Result<std::fs::DirEntry>| {
        let file = file.unwrap();
        (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap())
    };
    files.map(entry).collect()
}

fn call(cache: &Reports, number: u32, text: &str) -> Option<Report> {
    cache.peek(&(number, text.to_owned()))
}

#[test]
fn what_python_has_stored_is_found() {
    let entries = folder("python");
    assert_eq!(entries.len(), 4, "three calls, and since when they count");
    let (cache, _) = cache(&entries);
    let got = cache.get_with(&(7, "a".to_owned()), || unreachable!("Python has stored it"));
    assert_eq!(got, report("Cats"));
    assert_eq!(call(&cache, 8, "b"), Some(report("Dogs")), "with a lifetime of a century");
    assert_eq!(call(&cache, 9, "c"), None, "an hour in 2004 is over");
    assert_eq!(cache.stats().far.expired, 1);
}

#[test]
fn what_python_has_stored_under_another_key_or_name_is_not() {
    let mut entries = folder("python");
    let largest = entries.values().map(Vec::len).max().unwrap();
    let keys: Vec<String> = entries.keys().cloned().collect();
    let calls: Vec<_> = keys.iter().filter(|key| !key.ends_with("_epoch")).collect();
    assert!(largest > 68 && calls.len() == 3);
    // Every entry lies where another one was.
    let last = entries[calls[2]].clone();
    let moved: Vec<_> = calls[..2].iter().map(|key| entries[*key].clone()).collect();
    entries.insert(calls[0].clone(), last);
    calls[1..]
        .iter()
        .zip(moved)
        .for_each(|(key, entry)| drop(entries.insert((*key).clone(), entry)));
    let (cache, _) = cache(&entries);
    for (number, text) in [(7, "a"), (8, "b"), (9, "c")] {
        assert_eq!(call(&cache, number, text), None);
    }
    assert_eq!(cache.stats().far.foreign, 3);
}

#[test]
fn what_is_stored_here_is_what_python_reads() {
    let (cache, storage) = cache(&BTreeMap::new());
    cache.get_with(&(7, "a".to_owned()), || report("Cats"));
    let lifetime = Duration::from_secs(100 * 365 * 86_400);
    let far = Far::new(storage.clone()).with_clock(&ManualClock::new());
    let builder = Cache::builder().storage(far).name("report").version(3);
    let fresh: Reports = builder.ttl(lifetime).param("cool", "Hell yeah!").build();
    fresh.get_with(&(8, "b".to_owned()), || report("Dogs"));
    let written: BTreeMap<_, _> =
        storage.entries().into_iter().map(|key| (key.clone(), get(&storage, &key))).collect();
    for (key, bytes) in folder("rust") {
        // When it was loaded depends on how often the clock was read.
        assert_eq!(without_times(&written[&key]), without_times(&bytes), "{key}");
    }
    assert_eq!(written.keys().collect::<Vec<_>>(), folder("rust").keys().collect::<Vec<_>>());
}

fn get(storage: &Scripted, key: &str) -> Vec<u8> {
    pollster::block_on(storage.inner.get(key)).unwrap().expect("it was stored")
}

/// All but the epoch, the load's beginning and length, and the checksum.
fn without_times(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes[..bytes.len() - 8].to_vec();
    bytes[24..40].fill(0);
    bytes[48..56].fill(0);
    bytes
}

fn refused<T: Serialize + DeserializeOwned>(value: &[u8]) {
    assert!(unpack::<T>(&wrap(value)).is_err(), "{value:02x?}");
}

#[test]
fn what_only_python_has_is_a_miss() {
    for kind in 2..=23_u8 {
        for data in [&[0_u8][..], &[1, 2], &[0x90; 16], &[0xc0; 5], &[]] {
            let head = match data.len() {
                1 => vec![0xd4, kind],
                2 => vec![0xd5, kind],
                16 => vec![0xd8, kind],
                length => vec![0xc7, length as u8, kind],
            };
            let item = [&head, data].concat();
            refused::<Option<i64>>(&item);
            refused::<Option<Option<()>>>(&item);
            refused::<()>(&item);
            refused::<i128>(&item);
            refused::<f64>(&item);
            refused::<String>(&item);
            refused::<Vec<u8>>(&item);
            refused::<(u8, u8)>(&item);
            refused::<BTreeMap<i64, String>>(&item);
            refused::<Report>(&item);
            refused::<Untagged>(&item);
            refused::<Vec<Option<i64>>>(&[&[0x91], &*item].concat());
        }
    }
}

#[test]
fn a_tuple_of_pythons_is_an_array() {
    for bytes in [&[0xdc, 0, 2, 7, 0xc3][..], &[0xdd, 0, 0, 0, 2, 7, 0xc3]] {
        assert_eq!(unpack::<(u8, bool)>(&wrap(bytes)).unwrap().0, (7, true));
    }
    assert_eq!(unpack::<Vec<u8>>(&wrap(&[0xdc, 0, 1, 7])).unwrap().0, [7]);
}

#[test]
fn a_whole_number_of_pythons_is_read_by_its_sign_and_not_by_its_bits() {
    let wide = |head: &[u8], number: [u8; 16]| wrap(&[head, &number].concat());
    let signed = |number: i128| wide(&[0xc5, 0, 16], number.to_be_bytes());
    let unsigned = |number: u128| wide(&[0xc6, 0, 0, 0, 16], number.to_be_bytes());
    for number in [i128::MIN, -1 << 64, 1 << 64, i128::MAX] {
        assert_eq!(unpack::<i128>(&signed(number)).unwrap().0, number);
        assert_eq!(unpack::<u128>(&signed(number)).ok().map(|(n, _)| n), number.try_into().ok());
    }
    for number in [1 << 64, 1 << 127, u128::MAX] {
        assert_eq!(unpack::<u128>(&unsigned(number)).unwrap().0, number);
        assert_eq!(unpack::<i128>(&unsigned(number)).ok().map(|(n, _)| n), number.try_into().ok());
    }
    // Ours say their width, and nothing of their sign.
    assert_eq!(unpack::<i128>(&wide(&[0xc4, 16], [0xff; 16])).unwrap().0, -1);
    assert_eq!(unpack::<u128>(&wide(&[0xc4, 16], [0xff; 16])).unwrap().0, u128::MAX);
}
