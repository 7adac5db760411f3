//! Values as bytes: MessagePack as `rmp-serde` has it, in an envelope as `docs/format.md` draws it.
//!
//! A random test prints its seed if it fails; `GECASO_SEED=n` runs it again.

use crate::envelopes::{self, wrap, wrap_with};
use crate::event::rounds;
use crate::samples::*;
use gecaso::{FarValue, Param, Params, pack, unpack};
use proptest::collection::{btree_map, hash_map, hash_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// The bytes of a value alone.
fn bytes_of<T: FarValue>(value: &T) -> Vec<u8> {
    envelopes::value(&pack(value, &Params::new()).unwrap()).to_vec()
}

/// The value in these bytes, whoever wrote them.
fn value_of<T: FarValue>(bytes: &[u8]) -> Option<T> {
    unpack(&wrap(bytes)).ok().map(|(value, _)| value)
}

fn message<T>(result: Result<T, gecaso::Error>) -> String {
    result.err().expect("an error").to_string()
}

fn anything() -> impl Strategy<Value = Anything> {
    let text = || "[a-zA-Z\u{e9}\u{4e2d}]{0,40}";
    let record = (any::<u64>(), text(), option::of(text()), any::<f64>(), any::<(bool, u32)>())
        .prop_map(|(id, name, mail, score, (is_active, visits))| Record {
            id,
            name,
            mail,
            score,
            is_active,
            visits,
        });
    let leaf = prop_oneof![
        Just(Anything::Nothing),
        Just(Anything::Unit(())),
        Just(Anything::UnitStruct(Empty)),
        any::<bool>().prop_map(Anything::Bool),
        any::<(u8, u16, u32, u64, u128)>().prop_map(|(a, b, c, d, e)| Anything::Unsigned {
            a,
            b,
            c,
            d,
            e
        }),
        any::<(i8, i16, i32, i64, i128)>()
            .prop_map(|(a, b, c, d, e)| Anything::Signed(a, b, c, d, e)),
        any::<(f32, f64)>().prop_map(|(a, b)| Anything::Floats(a, b)),
        any::<char>().prop_map(Anything::Char),
        text().prop_map(Anything::Text),
        vec(any::<u8>(), 0..300).prop_map(|bytes| Anything::Bytes(Blob(bytes))),
        any::<[u8; 3]>().prop_map(Anything::Array),
        any::<f64>().prop_map(|meters| Anything::Newtype(Meters(meters))),
        (any::<u32>(), text()).prop_map(|(a, b)| Anything::Pair(Pair(a, b))),
        record.prop_map(Anything::Record),
    ];
    leaf.prop_recursive(6, 64, 20, move |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        prop_oneof![
            option::of(boxed.clone()).prop_map(Anything::Option),
            vec(inner.clone(), 0..20).prop_map(Anything::Many),
            btree_map(text(), inner, 0..20).prop_map(Anything::Named),
            btree_map(any::<i32>(), (any::<u8>(), boxed), 0..3).prop_map(Anything::Numbered),
        ]
    })
}

/// Runs a test on many values, and tells the seed if one fails it.
fn for_all<S: Strategy>(values: S, test: impl Fn(S::Value)) {
    let seed = seed();
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let cases = rounds(500) as u32;
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new_with_rng(config, rng).run(&values, |value| {
        test(value);
        Ok(())
    });
    if let Err(failure) = result {
        panic!("GECASO_SEED={seed}: {failure}");
    }
}

/// What a random test begins with: `GECASO_SEED`, or another number each time.
pub(crate) fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    match std::env::var("GECASO_SEED") {
        Ok(seed) => seed.parse().expect("GECASO_SEED is a number"),
        Err(_) => RandomState::new().hash_one(0),
    }
}

/// The same bytes as the reference, and each reads what the other wrote.
fn agrees<T: FarValue + Debug + PartialEq>(value: &T) {
    let ours = bytes_of(value);
    let theirs = rmp_serde::to_vec_named(value).unwrap();
    assert_eq!(ours, theirs, "{value:?}");
    assert_eq!(value_of::<T>(&theirs).as_ref(), Some(value));
    assert_eq!(rmp_serde::from_slice::<T>(&ours).as_ref().ok(), Some(value));
    assert_eq!(&unpack::<T>(&pack(value, &Params::new()).unwrap()).unwrap().0, value);
}

#[test]
fn every_kind_of_value_is_what_the_reference_writes_and_reads() {
    for_all(anything(), |value| agrees(&value));
}

#[test]
fn parameters_are_whole_numbers_of_every_width() {
    let edge = i64::MAX as u64;
    for number in [0, 1, edge, edge + 1, u64::MAX] {
        let param = Param::from(number);
        let is_exact = match param {
            Param::Int(held) => u64::try_from(held) == Ok(number) && number <= edge,
            Param::Large(held) => held == number && number > edge,
            _ => false,
        };
        assert!(is_exact, "{number}: {param:?}");
        let params = Params::new().with("n", number).with("size", 7_usize).with("by", -7_isize);
        let (_, found) = unpack::<()>(&pack(&(), &params).unwrap()).unwrap();
        assert_eq!(found, params);
    }
    assert_eq!(Param::from(usize::MAX), Param::from(u64::try_from(usize::MAX).unwrap()));
}

#[test]
fn whole_numbers_take_the_shortest_form_at_every_edge() {
    for shift in 0..64 {
        for near in -2..=2_i64 {
            let edge = 1_i64.wrapping_shl(shift).wrapping_add(near);
            agrees(&edge);
            agrees(&edge.wrapping_neg());
            agrees(&(edge as u64));
            agrees(&(edge as i32, edge as u32, edge as i16, edge as u16, edge as i8, edge as u8));
            agrees(&(i128::from(edge) << 64, u128::MAX - u128::from(edge as u64)));
        }
    }
}

#[test]
fn lengths_take_the_shortest_form_at_every_edge() {
    for length in [0, 1, 15, 16, 17, 31, 32, 33, 255, 256, 257, 65_535, 65_536, 65_537] {
        agrees(&"x".repeat(length));
        agrees(&Blob(vec![7; length]));
        agrees(&vec![true; length]);
        agrees(&(0..length).map(|n| (n as u32, n as u8)).collect::<BTreeMap<_, _>>());
    }
}

#[test]
fn types_of_the_standard_library_come_back() {
    agrees(&IpAddr::V4(Ipv4Addr::LOCALHOST));
    agrees(&"::1".parse::<IpAddr>().unwrap());
    agrees(&Duration::from_millis(1500));
    agrees(&(Ok::<u8, String>(1), Err::<u8, String>("no".to_owned())));
    agrees(&(1..5, 'a'..='z'));
    agrees(&std::path::PathBuf::from("a/b"));
    agrees(&std::num::NonZeroU32::MIN);
    agrees(&std::cmp::Reverse(1));
    agrees(&[[1_u8; 4]; 3]);
}

/// Says not how many elements it has.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(transparent)]
struct Uncounted(Vec<(u16, String)>);

impl Serialize for Uncounted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().filter(|_| true))
    }
}

#[test]
fn what_does_not_say_how_many_elements_it_has_is_counted() {
    for length in [0, 1, 15, 16, 300, 70_000] {
        agrees(&Uncounted((0..length).map(|n| (n as u16, n.to_string())).collect()));
    }
}

#[test]
fn floats_keep_their_bits() {
    for bits in [0, 1 << 63, 0x7ff0_0000_0000_0000, 0x7ff8_0000_dead_beef, 1, u64::MAX >> 1] {
        let bytes = bytes_of(&f64::from_bits(bits));
        assert_eq!(value_of::<f64>(&bytes).unwrap().to_bits(), bits);
        let narrow = (bits >> 32) as u32;
        let bytes = bytes_of(&f32::from_bits(narrow));
        assert_eq!(value_of::<f32>(&bytes).unwrap().to_bits(), narrow);
    }
}

#[test]
fn a_some_of_nothing_is_not_none() {
    fn comes_back<T: FarValue + Debug + PartialEq>(values: &[T]) {
        for value in values {
            assert_eq!(value_of::<T>(&bytes_of(value)).as_ref(), Some(value));
        }
        let mut bytes: Vec<_> = values.iter().map(bytes_of).collect();
        bytes.sort();
        bytes.dedup();
        assert_eq!(bytes.len(), values.len(), "two values share their bytes");
    }
    comes_back(&[None, Some(())]);
    comes_back(&[None, Some(None), Some(Some(None)), Some(Some(Some(3)))]);
    comes_back(&[None, Some(vec![]), Some(vec![None]), Some(vec![Some(None), Some(Some(()))])]);
    // In the format's own terms: an extension of type 1 around the nil.
    assert_eq!(bytes_of(&Some(())), [0xd4, 1, 0xc0]);
    assert_eq!(bytes_of(&Some(Some(()))), [0xc7, 3, 1, 0xd4, 1, 0xc0]);
}

#[test]
fn types_that_hide_what_they_are_made_of_come_back() {
    let untagged = prop_oneof![
        any::<i64>().prop_map(Untagged::Number),
        "[a-z]{0,9}".prop_map(Untagged::Text),
        any::<(u8, Option<bool>)>().prop_map(|(a, b)| Untagged::Pair(a, b)),
        any::<(f64, f64)>().prop_map(|(x, y)| Untagged::Record { x, y }),
    ];
    let tagged = prop_oneof![
        any::<(i32, Option<i32>)>().prop_map(|(x, y)| Tagged::Point { x, y }),
        Just(Tagged::Nothing),
    ];
    let adjacent = prop_oneof!["[a-z]{0,9}".prop_map(Adjacent::Text), Just(Adjacent::Nothing)];
    let rest = btree_map("[a-c]{1,3}", any::<u32>(), 0..5);
    let hidden = (
        (vec(untagged, 0..5), vec(tagged, 0..5), vec(adjacent, 0..5)),
        (any::<(u32, Option<Option<u32>>)>(), rest),
    );
    for_all(hidden, |((untagged, tagged, adjacent), ((width, depth), rest))| {
        let flat = Flat { width, depth };
        let value = Hidden { untagged, tagged, adjacent, flat, rest };
        let bytes = pack(&value, &Params::new()).unwrap();
        assert_eq!(unpack::<Hidden>(&bytes).unwrap().0, value);
    });
}

#[test]
fn collections_without_an_order_come_back() {
    let unordered = (hash_map("[a-z]{0,9}", any::<u64>(), 0..50), hash_set(any::<u16>(), 0..50));
    for_all(unordered, |value: Unordered| {
        let bytes = pack(&value, &Params::new()).unwrap();
        assert_eq!(unpack::<Unordered>(&bytes).unwrap().0, value);
    });
    // A type that hides itself is written again to be compared, in whatever order.
    let value: HashMap<u8, Untagged> =
        (0..100).map(|n| (n, Untagged::Record { x: f64::from(n), y: 0.5 })).collect();
    let bytes = pack(&value, &Params::new()).unwrap();
    assert_eq!(unpack::<HashMap<u8, Untagged>>(&bytes).unwrap().0, value);
}

#[test]
fn what_other_languages_write_is_read_as_strictly_as_it_must_be() {
    // {"id": 1, "name": "a", "mail": nil, "score": 1.5, "is_active": true, "visits": 2}, the way a
    // writer may do it that does not care for the shortest form.
    let mut record = vec![0xde, 0, 6];
    for (name, value) in [
        ("id", &[0xd3, 0, 0, 0, 0, 0, 0, 0, 1][..]),
        ("name", &[0xd9, 1, b'a']),
        ("mail", &[0xc0]),
        ("score", &[0xca, 0x3f, 0xc0, 0, 0]),
        ("is_active", &[0xc3]),
        ("visits", &[0xcd, 0, 2]),
    ] {
        record.push(0xa0 | name.len() as u8);
        record.extend_from_slice(name.as_bytes());
        record.extend_from_slice(value);
    }
    let read: Record = value_of(&record).unwrap();
    assert_eq!((read.id, &*read.name, read.mail, read.score), (1, "a", None, 1.5));

    assert_eq!(value_of::<f64>(&[1]), None, "a float is not read from a whole number");
    assert_eq!(value_of::<u8>(&[0xca, 0x3f, 0x80, 0, 0]), None, "nor the other way");
    assert_eq!(value_of::<u8>(&[0xcd, 1, 0]), None, "256 is no u8");
    assert_eq!(value_of::<u8>(&[0xff]), None, "-1 is no u8");
    assert_eq!(value_of::<i8>(&[0xcc, 0x80]), None, "128 is no i8");
    assert_eq!(value_of::<bool>(&[1]), None, "1 is not true");
    assert_eq!(value_of::<String>(&[0xc4, 1, b'a']), None, "bytes are no text");
    assert_eq!(value_of::<Blob>(&[0xa1, b'a']), None, "a text is no bytes");
    assert_eq!(value_of::<String>(&[0xa1, 0xff]), None, "not UTF-8");
    assert_eq!(value_of::<Vec<u8>>(&[0xc4, 2, 1, 2]), Some(vec![1, 2]), "bytes, one by one");
    assert_eq!(value_of::<Pair>(&[0x92, 1, 0xa0]), Some(Pair(1, String::new())));
    assert_eq!(value_of::<Pair>(&[0x93, 1, 0xa0, 1]), None, "more elements than the type");
    assert_eq!(value_of::<Vec<u8>>(&[0x91, 1, 1]), None, "something behind the value");
    assert_eq!(value_of::<Flat>(&[0x92, 1, 0xc0]), None, "a struct is not read by position");
    assert_eq!(value_of::<f32>(&[0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0]), Some(1.5));
    let tenth = [0xcb, 0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a];
    assert_eq!(value_of::<f32>(&tenth), None, "0.1 would lose digits");
    assert_eq!(value_of::<f64>(&tenth), Some(0.1));
}

#[test]
fn an_enum_goes_by_names_and_never_by_numbers() {
    assert_eq!(value_of::<Anything>(b"\xa7Nothing"), Some(Anything::Nothing));
    assert_eq!(value_of::<Anything>(&[0]), None);
    assert_eq!(value_of::<Anything>(&[0x81, 3, 0xc3]), None);
    assert_eq!(value_of::<Anything>(b"\x81\xa7Nothing\xc0"), None, "data that it cannot have");
    assert_eq!(value_of::<Anything>(b"\xa4Bool"), None, "without its data");
    assert_eq!(value_of::<Flat>(&[0x82, 0, 1, 1, 0xc0]), None, "nor do fields");
}

#[test]
fn depth_is_bounded_when_writing_and_when_reading() {
    fn nest(depth: usize) -> Nest {
        (1..depth).fold(Nest(vec![]), |inner, _| Nest(vec![inner]))
    }
    fn chain(length: usize) -> Link {
        (1..length).fold(Link(None), |inner, _| Link(Some(Box::new(inner))))
    }
    // A newtype and an array each.
    agrees(&nest(128));
    assert!(message(pack(&nest(129), &Params::new())).contains("nested more than 128 deep"));
    let mut bytes = vec![0x91; 128];
    bytes.push(0x90);
    assert!(value_of::<Nest>(&bytes).is_none());
    assert!(value_of::<Nest>(&bytes[1..]).is_some());

    // A newtype and a `Some` each.
    let long = chain(64);
    assert_eq!(value_of::<Link>(&bytes_of(&long)), Some(long));
    assert!(message(pack(&chain(66), &Params::new())).contains("nested more than 128 deep"));
    assert!(value_of::<Link>(&[1]).is_none(), "it would unwrap the same byte for ever");
}

#[test]
fn a_value_may_take_16_mebibytes_and_no_more() {
    const LIMIT: usize = 16 << 20;
    let fits = "x".repeat(LIMIT - 5);
    let bytes = pack(&fits, &Params::new()).unwrap();
    assert!(unpack::<String>(&bytes).unwrap().0 == fits);
    let large = "x".repeat(LIMIT - 4);
    assert!(message(pack(&large, &Params::new())).contains("more than 16777216 bytes"));
    let mut envelope = wrap(&rmp_serde::to_vec_named(&large).unwrap());
    assert!(message(unpack::<String>(&envelope)).contains("beyond the limit"));
    // The same if the limit is all that is wrong.
    envelope[64..68].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(message(unpack::<String>(&envelope)).contains("beyond the limit"));
}

#[test]
fn parameters_come_back() {
    let param = prop_oneof![
        Just(Param::Null),
        any::<bool>().prop_map(Param::Bool),
        any::<i64>().prop_map(Param::Int),
        any::<f64>().prop_map(Param::Float),
        "[a-z]{0,9}".prop_map(Param::Text),
        vec(any::<u8>(), 0..9).prop_map(Param::Bytes),
    ];
    let param = param.prop_recursive(3, 16, 8, |inner| vec(inner, 0..8).prop_map(Param::List));
    // Below 52 days, to the nanosecond; whole seconds always.
    let ttl = prop_oneof![
        (0..52 * 86_400_u64, 0..1_000_000_000_u32).prop_map(|(s, n)| Duration::new(s, n)),
        any::<u64>().prop_map(Duration::from_secs),
    ];
    for_all((option::of(ttl), btree_map("[a-s]{0,5}", param, 0..6)), |(ttl, extra)| {
        let mut params = Params::new();
        params = ttl.into_iter().fold(params, Params::with_ttl);
        params = extra.into_iter().fold(params, |params, (name, value)| params.with(name, value));
        let bytes = pack(&1_u8, &params).unwrap();
        assert_eq!(unpack::<u8>(&bytes).unwrap(), (1, params.clone()));
        // Plain MessagePack, as the reference reads it.
        assert_eq!(rmp_serde::from_slice::<Params>(envelopes::params(&bytes)).unwrap(), params);
    });
}

#[test]
fn a_lifetime_is_a_number_of_seconds_among_the_parameters() {
    let bytes = pack(&(), &Params::new().with_ttl(Duration::from_secs(100))).unwrap();
    assert_eq!(envelopes::params(&bytes), b"\x81\xa3ttl\x64");
    let bytes = pack(&(), &Params::new().with_ttl(Duration::from_millis(1500))).unwrap();
    assert_eq!(envelopes::params(&bytes), b"\x81\xa3ttl\xcb\x3f\xf8\0\0\0\0\0\0");

    let read = |params: &[u8]| unpack::<u8>(&wrap_with(params, &[1])).map(|(_, params)| params);
    assert_eq!(read(b"\x81\xa3ttl\x64").unwrap().ttl(), Some(Duration::from_secs(100)));
    for wrong in
        [&b"\x81\xa3ttl\xff"[..], b"\x81\xa3ttl\xa1a", b"\x81\xa3ttl\xcb\x7f\xf0\0\0\0\0\0\0"]
    {
        assert!(read(wrong).is_err(), "less than nothing, a text, for ever");
    }
    let twice = Params::new().with("ttl", 100);
    assert!(message(pack(&(), &twice)).contains("with_ttl"));
    let large = Params::new().with("a", "x".repeat(64 << 10));
    assert!(message(pack(&(), &large)).contains("more than 65536 bytes"));
}

/// Announces another number of elements than it has.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Liar(#[allow(dead_code)] Vec<u8>);

impl Serialize for Liar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq;
        let mut seq = serializer.serialize_seq(Some(1))?;
        seq.serialize_element(&1)?;
        seq.serialize_element(&2)?;
        seq.end()
    }
}

/// Writes one field under a name that it does not read.
#[derive(serde::Serialize, serde::Deserialize)]
struct OneWay {
    #[serde(rename(serialize = "written"))]
    _read: u8,
}

/// A field that is written and skipped when it is read.
#[derive(serde::Serialize, serde::Deserialize)]
struct Forgetful {
    kept: u8,
    #[serde(skip_deserializing)]
    lost: u8,
}

/// Fails to be written.
#[derive(serde::Deserialize)]
struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("the pen is dry"))
    }
}

#[test]
fn what_would_not_come_back_is_not_packed() {
    fn refused<T: Serialize + DeserializeOwned>(value: &T, why: &str) {
        let said = message(pack(value, &Params::new()));
        assert!(said.contains(why), "{said}");
    }
    refused(&Liar(vec![]), "announces 1 elements and writes 2");
    refused(&OneWay { _read: 1 }, "a field that the type does not read");
    refused(&Forgetful { kept: 1, lost: 2 }, "a field that the type does not read");
    refused(&Unwritable, "the pen is dry");
}
