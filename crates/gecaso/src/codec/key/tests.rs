//! The encoding, byte by byte, and the keys that are made of it.

use super::read::DEPTH;
use super::tree::{Tree, fuzz};
use super::{Identity, Key, KeyEncoder, PROBE, encode, is_reserved};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Boxes in boxes, a list each, around a number.
enum Nested {
    Empty,
    In(Box<Nested>),
}

impl Nested {
    fn new(depth: usize) -> Self {
        (1..depth).fold(Nested::Empty, |inner, _| Nested::In(Box::new(inner)))
    }
}

impl Key for Nested {
    fn encode(&self, to: &mut KeyEncoder) {
        match self {
            Nested::Empty => to.list::<u8>([]),
            Nested::In(inner) => to.list([inner]),
        }
    }
}

/// A value whose names look like the end of a reserved key.
struct Epoch;

impl Key for Epoch {
    fn encode(&self, to: &mut KeyEncoder) {
        to.variant("a/epoch", "_epoch", &[]);
    }
}

/// A hand-written `Key` that writes so many values at once.
struct Careless(Vec<u8>);

impl Key for Careless {
    fn encode(&self, to: &mut KeyEncoder) {
        self.0.iter().for_each(|one| one.encode(to));
    }
}

fn readable<K: Key>(key: &K) -> String {
    Identity::new("f", 0).storage_key(&encode(key), false)
}

#[test]
fn counts_and_lengths_of_every_size_are_read_back() {
    for count in [0, 1, 127, 128, 129, 16_383, 16_384, 70_000] {
        let text = "a".repeat(count);
        assert_eq!(Tree::read(&encode(&text)), Ok(Tree::Text(text.clone())));
        assert_eq!(Tree::read(&encode(text.as_bytes())), Ok(Tree::Bytes(text.clone().into())));
        let items: Vec<char> = text.chars().collect();
        let list = Tree::List(vec![Tree::Text("a".into()); count]);
        assert_eq!(Tree::read(&encode(&items)), Ok(list), "a count that is known");
        let mut encoder = Vec::new();
        struct Listed<'a>(&'a [char]);
        impl Key for Listed<'_> {
            fn encode(&self, to: &mut KeyEncoder) {
                to.list(self.0.iter().filter(|_| true));
            }
        }
        encoder.extend(encode(&Listed(&items)));
        assert_eq!(encoder, encode(&items), "a count that is filled in afterwards");
        let set: BTreeSet<usize> = (0..count).collect();
        assert!(matches!(Tree::read(&encode(&set)), Ok(Tree::Set(all)) if all.len() == count));
        let path = std::path::PathBuf::from(&text);
        assert_eq!(Tree::read(&encode(&path)), Ok(Tree::Path(text.into())));
    }
}

#[test]
fn an_order_that_means_nothing_makes_no_difference() {
    let words = ["b", "a", "aa", "", "z"];
    let sorted: BTreeSet<&str> = words.into();
    for _ in 0..20 {
        // Each `HashSet` has a seed, and so an order, of its own.
        assert_eq!(encode(&HashSet::from(words)), encode(&sorted));
        let pairs = words.map(|word| (word, word.len()));
        assert_eq!(encode(&HashMap::from(pairs)), encode(&BTreeMap::from(pairs)));
    }
    // Ordered by bytes, not by value: 256 has a longer magnitude than 2, -1 another tag.
    let numbers = Tree::read(&encode(&HashSet::from([-1, 256, 2]))).expect("readable");
    let read = [2, 256, -1].map(|number| Tree::read(&encode(&number)).expect("readable"));
    assert_eq!(numbers, Tree::Set(read.into()));
}

#[test]
fn whatever_a_key_writes_is_one_value() {
    let [none, one, two] = [vec![], vec![7], vec![7, 8]].map(Careless);
    assert_eq!(encode(&none), encode(&()));
    assert_eq!(encode(&one), encode(&7));
    assert_eq!(encode(&two), encode(&(7, 8)));
    let shifted =
        [vec![vec![1], vec![2, 3]], vec![vec![1, 2], vec![3]], vec![vec![1, 2, 3], vec![]]];
    let shifted = shifted.map(|items| encode(&items.into_iter().map(Careless).collect::<Vec<_>>()));
    assert!(shifted[0] != shifted[1] && shifted[1] != shifted[2] && shifted[0] != shifted[2]);
    let inside = (Careless(vec![]), Some(Careless(vec![])), Ok::<_, ()>(Careless(vec![1, 2])));
    assert_eq!(encode(&inside), encode(&((), Some(()), Ok::<_, ()>((1, 2)))));
    let many = Careless(vec![0; 200]);
    assert!(matches!(Tree::read(&encode(&many)), Ok(Tree::Tuple(all)) if all.len() == 200));
}

#[test]
fn a_nested_key_is_readable_down_to_some_depth() {
    let deepest = encode(&Nested::new(DEPTH));
    assert!(Tree::read(&deepest).is_ok());
    assert!(readable(&Nested::new(70)).ends_with("]]]"));
    assert!(Tree::read(&encode(&Nested::new(DEPTH + 1))).is_err());
    let deep = readable(&Nested::new(DEPTH + 1));
    let opened = format!("f/v0:{}~", "[".repeat(DEPTH));
    assert!(deep.starts_with(&opened) && deep.len() == opened.len() + 32, "{deep}");
    assert_ne!(deep, readable(&Nested::new(DEPTH + 2)), "cut at the same place");
    // Deeper than any stack could follow.
    fuzz(&[0x15; 1_000_000]);
    fuzz(&[0x02; 1_000_000]);
    fuzz(&[0x0c, 0x01].repeat(1_000_000));
}

#[test]
fn a_long_readable_key_is_cut_at_200_symbols() {
    let fits = "a".repeat(200 - "f/v0:\"\"".len());
    assert_eq!(readable(&fits), format!("f/v0:\"{fits}\""));
    for (one, other) in [(fits.clone() + "a", fits.clone() + "b"), ("~".repeat(99), "~".repeat(98))]
    {
        let [one, other] = [readable(&one), readable(&other)];
        assert_ne!(one, other);
        for key in [one, other] {
            assert_eq!((key.len(), key.find('~')), (200, Some(167)), "{key}");
            assert!(key[168..].bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
        }
    }
    let name = "n".repeat(300);
    let [a, b, c] = [(0, "a"), (0, "b"), (1, "a")].map(|(version, argument)| {
        Identity::new(&name, version).storage_key(&encode(&(argument,)), false)
    });
    assert!(a != b && b != c && a != c && a.len() == 200);
    let reserved = [0, 1].map(|version| Identity::new(&name, version).reserved_key("epoch", false));
    assert_ne!(reserved[0], reserved[1]);
    assert!(reserved.iter().all(|key| key.len() == 200 && is_reserved(key)), "{reserved:?}");
    assert!(![a, b, c].iter().any(|key| is_reserved(key)));
    assert!(is_reserved(PROBE) && !is_reserved(&format!("{PROBE}/v0(1)")));
    for (length, is_cut) in [(191, false), (192, true)] {
        let key = Identity::new(&"n".repeat(length), 0).reserved_key("epoch", false);
        assert_eq!((key.len(), key.contains('~')), (200, is_cut), "{key}");
    }
}

#[test]
fn hashed_keys_have_65_symbols_of_which_the_first_half_is_the_functions() {
    let users = Identity::new("users", 0);
    let key = users.storage_key(&encode(&(7, "a")), true);
    assert_eq!((key.len(), key.find('_')), (65, Some(32)));
    assert_eq!(key.as_bytes()[..32], users.hex);
    let is_hex = |half: &str| half.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    assert!(key.split('_').all(is_hex), "{key}");
    assert_ne!(key, users.storage_key(&encode(&(7, "b")), true));
    for other in [Identity::new("users", 1), Identity::new("user", 0), Identity::new("users/v1", 0)]
    {
        assert_ne!((other.hex, other.fingerprint), (users.hex, users.fingerprint));
        for hash_key in [true, false] {
            let [one, two] = [&users, &other].map(|id| id.storage_key(&encode(&()), hash_key));
            assert_ne!(one, two);
        }
    }
}

#[test]
fn a_reserved_key_is_no_calls_key() {
    let digits = "0123456789abcdef0123456789abcdef";
    let misleading = [&format!("{digits}_epoch"), digits, "_epoch"];
    for name in ["users", "", "users/epoch", "a b", "\u{e9}"].into_iter().chain(misleading) {
        let identity = Identity::new(name, 0);
        let hashed = identity.reserved_key("epoch", true);
        assert!(hashed.starts_with(std::str::from_utf8(&identity.hex).expect("digits")));
        assert!(hashed.ends_with("_epoch") && hashed.len() < 65);
        assert!(is_reserved(&hashed));
        let written = identity.reserved_key("epoch", false);
        assert!(written.ends_with("/v0/epoch") && written.matches('/').count() == 2, "{written}");
        assert!(is_reserved(&written));
        let texts = [encode("epoch"), encode("/epoch"), encode(&("/", "epoch")), encode(&Epoch)];
        let others =
            [encode(&()), encode(&true), Vec::new(), vec![0], encode(&"/epoch".repeat(99))];
        for args in texts.into_iter().chain(others) {
            let keys = [true, false].map(|hash_key| identity.storage_key(&args, hash_key));
            assert!(!keys.iter().any(|key| is_reserved(key)), "{keys:?}");
        }
    }
    // Not even where somebody uses a storage for keys of his own.
    for key in ["", "_epoch", "epoch", "my_epoch", "api/v1/users", "/v", "a/v1epoch"] {
        assert!(!is_reserved(key), "{key}");
    }
}

#[test]
#[should_panic(expected = "a reserved key is named by a short word")]
fn a_reserved_key_is_not_named_by_digits() {
    Identity::new("users", 0).reserved_key(&"abcdefab".repeat(4), true);
}

#[test]
fn what_the_encoder_would_not_write_is_refused() {
    let refused: &[&[u8]] = &[
        &[],
        &[0x00],
        &[0x18],
        &[0xff],
        &[0x01, 0x01],             // two values
        &[0x02, 0x03],             // Some of what needs none
        &[0x05, 0x01, 0x00],       // a leading zero
        &[0x06, 0x00],             // minus zero
        &[0x05, 0x81, 0x00, 0x07], // a length that is longer than need be
        &[0x09, 0x02, b'a'],       // too short
        &[0x09, 0x01, 0xff],       // no UTF-8
        &[0x0c, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], // 2^64 items
        &[0x0c, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], // more than 64 bits
        &[0x09, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02], // 2^64, not 0
        &[0x0d, 0x02, 0x04, 0x03], // a set out of order
        &[0x0e, 0x02, 0x04, 0x01, 0x03, 0x01], // a map out of order
        &[0x15, 0x09, 0x00, 0x00], // seconds that are no number
        &[0x15, 0x05, 0x00, 0x80, 0x94, 0xeb, 0xdc, 0x03], // 10^9 nanoseconds
        &[0x17, 0x03, 1, 2, 3],    // an address of 3 bytes
    ];
    for bytes in refused {
        assert!(Tree::read(bytes).is_err(), "{bytes:02x?}");
        fuzz(bytes);
    }
}
