//! Stored bytes are data, whoever wrote them: they are read as what they were, or not at all.
//!
//! A random test prints its seed if it fails; `GECASO_SEED=n` runs it again.

use crate::allocations::most_allocated;
use crate::envelopes::{HEAD, sign, wrap};
use crate::event::{Dice, rounds};
use crate::far_codec::seed;
use crate::samples::*;
use gecaso::{FarValue, Params, pack, unpack};
use std::collections::{BTreeMap, HashMap, LinkedList, VecDeque};
use std::fmt::Debug;

fn message<T>(result: Result<T, gecaso::Error>) -> String {
    result.err().expect("an error").to_string()
}

fn packed() -> Vec<u8> {
    pack(&Record::example(), &Params::new().with("a", 1)).unwrap()
}

#[test]
fn an_envelope_that_is_cut_off_anywhere_is_refused() {
    let bytes = packed();
    for length in 0..bytes.len() {
        let refused = unpack::<Record>(&bytes[..length]);
        assert!(refused.is_err(), "{length} of {} bytes were read", bytes.len());
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(message(unpack::<Record>(&longer)).contains("changed"));
    assert!(unpack::<Record>(&bytes).is_ok());
}

#[test]
fn an_envelope_with_any_bit_flipped_is_refused() {
    let mut bytes = packed();
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(unpack::<Record>(&bytes).is_err(), "bit {bit} was flipped");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(unpack::<Record>(&bytes).is_ok());
}

#[test]
fn any_two_or_three_bytes_that_have_changed_are_noticed() {
    let (seed, bytes) = (seed(), packed());
    let mut dice = Dice(seed);
    for round in 0..rounds(20_000) {
        let mut changed = bytes.clone();
        for _ in 0..2 + dice.roll(2) {
            changed[dice.roll(bytes.len() as u64) as usize] = dice.roll(256) as u8;
        }
        let read = unpack::<Record>(&changed);
        assert!(read.is_err() || changed == bytes, "GECASO_SEED={seed}, round {round}");
    }
}

#[test]
fn what_somebody_else_wrote_is_refused() {
    let foreign: [&[u8]; 6] = [
        b"",
        b"\xc1",
        b"{\"id\": 1}",
        b"\x80\x04\x95\x0a\0\0\0\0\0\0\0\x8c\x06python\x94.",
        &[0; 200],
        &rmp_serde::to_vec_named(&Record::example()).unwrap(),
    ];
    for bytes in foreign {
        assert!(message(unpack::<Record>(bytes)).contains("not packed by gecaso"));
    }
}

#[test]
fn other_versions_and_flags_and_codecs_are_refused_even_if_the_checksum_is_right() {
    for (at, to) in [(4, 0), (4, 2), (4, 255), (5, 0), (5, 2), (6, 3), (6, 0x81), (7, 1)] {
        let mut bytes = packed();
        bytes[at] = to;
        sign(&mut bytes);
        let said = message(unpack::<Record>(&bytes));
        assert!(said.contains("another version"), "byte {at} is {to}: {said}");
    }
}

#[test]
fn announced_lengths_are_looked_at_before_anything_else() {
    // Of the key, the parameters and the value: each at its limit, beyond it, and absurd.
    for (at, limit) in [(56, 64 << 10), (60, 64 << 10), (64, 16 << 20)] {
        for (length, says) in
            [(limit, "cut off"), (limit + 1, "beyond the limit"), (u32::MAX, "beyond the limit")]
        {
            let mut bytes = packed();
            bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
            sign(&mut bytes);
            let (most, said) = most_allocated(|| message(unpack::<Record>(&bytes)));
            assert!(said.contains(says), "{said}");
            assert!(most < 1024, "{most} bytes were allocated for {length} at {at}");
        }
    }
    let mut short = packed();
    short.truncate(HEAD);
    assert!(message(unpack::<Record>(&short)).contains("cut off"));
}

/// Reads a value as `T` and returns the most memory that was held meanwhile.
fn read<T: FarValue>(value: &[u8]) -> usize {
    let bytes = wrap(value);
    most_allocated(|| drop(unpack::<T>(&bytes))).0
}

#[test]
fn announced_elements_cost_nothing_until_they_are_there() {
    type Big = [[u64; 32]; 32];
    for head in [[0xdd, 0xff, 0xff, 0xff, 0xff], [0xdf, 0xff, 0xff, 0xff, 0xff]] {
        let mut bytes = head.to_vec();
        bytes.extend_from_slice(&[0xc0; 100]);
        let most = [
            read::<Vec<()>>(&bytes),
            read::<Vec<Option<Big>>>(&bytes),
            read::<VecDeque<u64>>(&bytes),
            read::<LinkedList<String>>(&bytes),
            read::<HashMap<u64, u64>>(&bytes),
            read::<BTreeMap<(), ()>>(&bytes),
            read::<Nest>(&bytes),
        ];
        assert!(most.iter().all(|&most| most < 2048), "{most:?}");
    }
    // Texts and bytes that are not there.
    for head in [0xdb, 0xc6, 0xc9] {
        let bytes = [head, 0xff, 0xff, 0xff, 0xff, b'a', b'b'];
        assert!(read::<String>(&bytes).max(read::<Blob>(&bytes)) < 2048);
    }
}

#[test]
fn all_elements_together_are_no_more_than_the_bytes() {
    // Each of 100 arrays in one another announces as many elements as bytes follow it. Room for
    // them all would be 100 times the bytes, times the size of an element.
    let length = 60_000_u16;
    let mut bytes = Vec::new();
    while bytes.len() < 300 {
        bytes.push(0xdc);
        bytes.extend_from_slice(&(length - bytes.len() as u16 - 2).to_be_bytes());
    }
    bytes.resize(usize::from(length), 0x90);
    let most = read::<Nest>(&bytes);
    assert!(most < 2 * usize::from(length) * size_of::<Nest>(), "{most}");
}

/// Every type reads the bytes: nobody may panic, hang, or take more memory than they justify.
fn read_as_everything(bytes: &[u8]) -> usize {
    [
        read::<Anything>(bytes),
        read::<Hidden>(bytes),
        read::<Record>(bytes),
        read::<Nest>(bytes),
        read::<Link>(bytes),
        read::<Unordered>(bytes),
        read::<Vec<()>>(bytes),
        read::<Vec<Untagged>>(bytes),
        read::<HashMap<String, Vec<Option<Option<bool>>>>>(bytes),
        read::<(i128, u128, char, f32)>(bytes),
        read::<String>(bytes),
    ]
    .into_iter()
    .max()
    .unwrap_or(0)
}

#[test]
fn every_short_message_is_read_or_refused() {
    const SECOND: [u8; 12] = [0, 1, 2, 0x7f, 0x80, 0x91, 0xa1, 0xc0, 0xc1, 0xcb, 0xd4, 0xff];
    for first in 0..=255 {
        read_as_everything(&[first]);
        for second in SECOND {
            read_as_everything(&[first, second]);
            read_as_everything(&[first, second, second]);
        }
    }
}

#[test]
fn any_nesting_is_read_or_refused() {
    // Arrays, maps, `Some`s and variants in one another, far deeper than anybody may.
    for unit in [&[0x91][..], &[0x81, 0xa0], b"\x81\xa6Option", b"\x81\xa4Many\x91", b"\xd4\x01"] {
        let mut bytes = unit.repeat(20_000);
        let most = read_as_everything(&bytes);
        bytes.push(0xc0);
        assert!(most.max(read_as_everything(&bytes)) < 4 << 20);
    }
}

/// Messages that are right: what mutated ones begin as.
pub(crate) fn messages() -> Vec<Vec<u8>> {
    fn bytes<T: FarValue + Debug>(value: &T) -> Vec<u8> {
        rmp_serde::to_vec_named(value).unwrap()
    }
    let hidden = Hidden {
        untagged: vec![Untagged::Number(-1), Untagged::Pair(1, None)],
        tagged: vec![Tagged::Point { x: 1, y: None }, Tagged::Nothing],
        adjacent: vec![Adjacent::Text("a".to_owned()), Adjacent::Nothing],
        flat: Flat { width: 1, depth: Some(Some(1)) },
        rest: [("a".to_owned(), 1)].into(),
    };
    let anything = Anything::Many(vec![
        Anything::Nothing,
        Anything::Unsigned { a: 1, b: 300, c: 70_000, d: u64::MAX, e: 1 },
        Anything::Signed(-1, -300, -70_000, i64::MIN, -1),
        Anything::Option(Some(Box::new(Anything::Floats(1.5, 2.5)))),
        Anything::Named([("x".to_owned(), Anything::Bytes(Blob(vec![1])))].into()),
        Anything::Record(Record::example()),
    ]);
    vec![
        bytes(&hidden),
        bytes(&anything),
        bytes(&Record::example()),
        bytes(&Nest(vec![Nest(vec![]), Nest(vec![Nest(vec![])])])),
        bytes(&vec![(); 20]),
        bytes(&(1_i128, 2_u128, 'x', 0.5_f32)),
    ]
}

/// One of the samples, changed in a few places.
pub(crate) fn mutated(dice: &mut Dice, samples: &[Vec<u8>]) -> Vec<u8> {
    const HEADS: [u8; 8] = [0x80, 0x90, 0xc0, 0xc7, 0xd4, 0xdd, 0xdf, 0xff];
    let pick = |dice: &mut Dice, below: usize| dice.roll(below as u64) as usize;
    let mut bytes = samples[pick(dice, samples.len())].clone();
    for _ in 0..=dice.roll(4) {
        let at = pick(dice, bytes.len());
        match dice.roll(5) {
            0 => bytes[at] = dice.roll(256) as u8,
            1 => bytes[at] = HEADS[pick(dice, HEADS.len())],
            2 => bytes.truncate(at + 1),
            3 => bytes.insert(at, dice.roll(256) as u8),
            _ => {
                let other = &samples[pick(dice, samples.len())];
                bytes.truncate(at + 1);
                bytes.extend_from_slice(&other[pick(dice, other.len())..]);
            }
        }
    }
    bytes
}

#[test]
fn mutated_messages_are_read_or_refused() {
    let (seed, samples) = (seed(), messages());
    let mut dice = Dice(seed);
    for round in 0..rounds(2_000) {
        let most = read_as_everything(&mutated(&mut dice, &samples));
        assert!(most < 256 << 10, "GECASO_SEED={seed}, round {round}: {most} bytes");
    }
}
