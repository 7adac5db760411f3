//! The parts that cannot be told apart from outside: heads, traces, and sameness.

use super::read::{Head, Input};
use super::same::is_same;
use super::shape::{Asked, Trace};
use super::write;

#[test]
fn every_head_is_read_as_it_was_written() {
    let head = |head: write::Head, room: usize| {
        // Lengths are believed only as far as there are bytes.
        let mut bytes = head.bytes().to_vec();
        bytes.resize(bytes.len() + room, 0);
        Input::new(&bytes).head().unwrap()
    };
    assert_eq!(head(write::nil(), 0), Head::Nil);
    assert_eq!(head(write::boolean(true), 0), Head::Bool(true));
    assert_eq!(head(write::boolean(false), 0), Head::Bool(false));
    assert_eq!(head(write::float32(1.5), 0), Head::Float32(1.5));
    assert_eq!(head(write::float64(-1.5), 0), Head::Float64(-1.5));
    assert_eq!(head(write::some(1), 1), Head::Extension(write::SOME, 1));
    assert_eq!(head(write::some(200), 200), Head::Extension(write::SOME, 200));
    for length in [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536] {
        let short = u32::try_from(length).unwrap();
        assert_eq!(head(write::text(short), length), Head::Text(length));
        assert_eq!(head(write::binary(short), length), Head::Binary(length));
        assert_eq!(head(write::array(short), length), Head::Array(length));
        assert_eq!(head(write::map(short), 2 * length), Head::Map(length));
    }
    for number in [0, 1, 127, 128, 255, 256, 65_535, 65_536, u64::from(u32::MAX), 1 << 32] {
        assert_eq!(head(write::unsigned(number), 0), Head::Unsigned(number));
        let signed = i64::try_from(number).unwrap();
        assert_eq!(head(write::signed(signed), 0), Head::Unsigned(number));
        assert_eq!(head(write::signed(-signed - 1), 0), Head::Signed(-signed - 1));
    }
}

#[test]
fn more_elements_than_bytes_are_refused_at_once() {
    assert!(Input::new(&[0x91]).head().is_ok(), "its own byte stands for the element");
    assert!(Input::new(&[0x92]).head().is_err());
    assert!(Input::new(&[0x81, 0]).head().is_ok());
    assert!(Input::new(&[0x82, 0, 0]).head().is_err());
    // Not twice for the same bytes.
    let mut nested = Input::new(&[0x92, 0x92, 0, 0]);
    assert_eq!(nested.head().unwrap(), Head::Array(2));
    assert_eq!(nested.head().unwrap(), Head::Array(2));
    let mut nested = Input::new(&[0x93, 0x92, 0, 0]);
    assert_eq!(nested.head().unwrap(), Head::Array(3));
    assert!(nested.head().is_err());
}

fn traced(ask: impl FnOnce(&mut Trace)) -> u64 {
    let mut trace = Trace::new();
    ask(&mut trace);
    trace.shape().0
}

#[test]
fn a_trace_tells_what_was_asked_for_and_in_which_order() {
    let asked: &[&[Asked]] = &[
        &[],
        &[Asked::U8],
        &[Asked::U16],
        &[Asked::U8, Asked::U16],
        &[Asked::U16, Asked::U8],
        &[Asked::U8, Asked::U8],
    ];
    let mut shapes: Vec<u64> = asked
        .iter()
        .map(|asked| traced(|trace| asked.iter().for_each(|&what| trace.ask(what))))
        .collect();
    shapes.push(traced(|trace| trace.ask_many(Asked::Tuple, 1)));
    shapes.push(traced(|trace| trace.ask_many(Asked::Tuple, 2)));
    for names in [&["a"][..], &["b"], &["a", "b"], &["b", "a"], &["ab"], &["", "ab"], &[]] {
        let names: &'static [&'static str] = Vec::leak(names.to_vec());
        shapes.push(traced(|trace| trace.ask_names(Asked::Struct, names)));
        shapes.push(traced(|trace| trace.ask_names(Asked::Enum, names)));
    }
    let count = shapes.len();
    shapes.sort_unstable();
    shapes.dedup();
    assert_eq!(shapes.len(), count);
}

#[test]
fn a_list_of_names_that_was_met_before_counts_as_it_did() {
    // More lists than a trace remembers, some of which begin at the same place.
    static NAMES: [&str; 40] = ["name"; 40];
    let lists = || (0..20).flat_map(|at| [&NAMES[at..], &NAMES[at..at + 3]]);
    let digest = |names| traced(|trace| trace.ask_names(Asked::Struct, names));
    let alone: Vec<u64> = lists().map(digest).collect();
    let mut long = Trace::new();
    let mut by_copies = Trace::new();
    for _ in 0..2 {
        for names in lists() {
            long.ask_names(Asked::Struct, names);
            by_copies.ask_names(Asked::Struct, Vec::leak(names.to_vec()));
        }
    }
    assert_eq!(long.shape(), by_copies.shape(), "what the names say counts, not where they lie");
    assert_ne!(alone[0], alone[1]);
}

#[test]
fn messages_are_the_same_in_any_order_and_in_nothing_else() {
    let map: &[u8] = b"\x82\xa1a\x01\xa1b\x92\x01\x02";
    assert!(is_same(map, map));
    assert!(is_same(map, b"\x82\xa1b\x92\x02\x01\xa1a\x01"));
    assert!(is_same(map, b"\xde\0\x02\xa1b\x92\x02\x01\xa1a\xcd\0\x01"), "written longer");
    for other in [
        &b"\x82\xa1a\x01\xa1b\x92\x01\x03"[..],
        b"\x82\xa1a\x01\xa1c\x92\x01\x02",
        b"\x82\xa1a\x02\xa1b\x92\x01\x01",
        b"\x82\x01\xa1a\xa1b\x92\x01\x02",
        b"\x82\xc4\x01a\x01\xa1b\x92\x01\x02",
        b"\x81\xa1a\x01",
        b"\x83\xa1a\x01\xa1b\x92\x01\x02\xa1c\xc0",
        b"\x82\xa1a\x01\xa1b\x93\x01\x02\x00",
        b"\x82\xa1a\x01\xa1b\x92\x01",
        b"\x82\xa1a\xff\xa1b\x92\x01\x02",
        b"",
    ] {
        assert!(!is_same(map, other), "{other:x?}");
    }
    assert!(is_same(b"\xca\x3f\xc0\0\0", b"\xcb\x3f\xf8\0\0\0\0\0\0"), "1.5 of either width");
    assert!(!is_same(b"\x01", b"\xca\x3f\x80\0\0"), "one is no float");
    let deep = [&[0x91; 200][..], &[0xc0]].concat();
    assert!(!is_same(&deep, &[0xc0]), "nor does it go on for ever");
}
