//! Different values never look alike, and every value is read back as it was written.
//!
//! Values come from a generator of their own, with a seed: a value, then neighbours of it that are
//! nearly the same. `GECASO_PAIRS=n` asks for more pairs, `GECASO_SEED=n` for others.

use super::tree::{Integer, Tree, fuzz};
use super::{Identity, encode};
use std::collections::HashMap;

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

/// A number from the environment.
fn asked(name: &str, otherwise: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

fn seed() -> u64 {
    asked("GECASO_SEED", 20_261_122)
}

/// Some only where it says something.
fn some(tree: Tree) -> Tree {
    match tree {
        Tree::None | Tree::Some(_) => Tree::Some(Box::new(tree)),
        other => other,
    }
}

/// In an order of its own, whatever the encoder's is.
fn set(mut trees: Vec<Tree>) -> Tree {
    trees.sort();
    trees.dedup();
    Tree::Set(trees)
}

fn map(mut entries: Vec<(Tree, Tree)>) -> Tree {
    entries.sort();
    entries.dedup_by(|a, b| a.0 == b.0);
    Tree::Map(entries)
}

/// The same tree with every set and every map in that order.
fn normal(tree: Tree) -> Tree {
    let all = |trees: Vec<Tree>| trees.into_iter().map(normal).collect::<Vec<_>>();
    let named = |fields: Vec<(String, Tree)>| {
        fields.into_iter().map(|(name, tree)| (name, normal(tree))).collect::<Vec<_>>()
    };
    match tree {
        Tree::Some(tree) => Tree::Some(Box::new(normal(*tree))),
        Tree::Ok(tree) => Tree::Ok(Box::new(normal(*tree))),
        Tree::Err(tree) => Tree::Err(Box::new(normal(*tree))),
        Tree::Tuple(trees) => Tree::Tuple(all(trees)),
        Tree::List(trees) => Tree::List(all(trees)),
        Tree::Set(trees) => set(all(trees)),
        Tree::Map(entries) => {
            map(entries.into_iter().map(|(key, value)| (normal(key), normal(value))).collect())
        }
        Tree::Struct(name, fields) => Tree::Struct(name, named(fields)),
        Tree::Variant(name, variant, fields) => Tree::Variant(name, variant, named(fields)),
        leaf => leaf,
    }
}

/// Texts that look like other things: lengths, tags, punctuation of the readable form.
const TEXTS: &[&str] = &[
    "",
    "a",
    "ab",
    "b",
    "1",
    "12",
    "2",
    "None",
    "true",
    "\0",
    "\x01",
    "\x02",
    "\x05\x01\x01",
    ",",
    "\"",
    "\\",
    "\\x00",
    "a,b",
    "(",
    ")",
    "%",
    "%25",
    "~",
    " ",
    "{}",
    ":",
    "::",
    "\u{e9}",
    "\x7f",
];

fn integer(random: &mut Random) -> Integer {
    let magnitude = match random.below(8) {
        0 => vec![],
        1..4 => vec![random.pick(&[1, 2, 5, 9, 12, 127, 128, 255])],
        4 => vec![1, random.below(3) as u8],
        5 => u64::MAX.to_be_bytes().to_vec(),
        6 => vec![1; 16],
        _ => vec![1; 17],
    };
    Integer { is_negative: !magnitude.is_empty() && random.below(3) == 0, magnitude }
}

fn fields(random: &mut Random, depth: usize) -> Vec<(String, Tree)> {
    let count = random.below(3);
    (0..count).map(|_| (random.pick(TEXTS).to_owned(), value(random, depth))).collect()
}

fn value(random: &mut Random, depth: usize) -> Tree {
    let boxed = |random: &mut Random| Box::new(value(random, depth - 1));
    let some_of = |random: &mut Random| {
        let count = random.below(4);
        (0..count).map(|_| value(random, depth - 1)).collect::<Vec<_>>()
    };
    match random.below(if depth == 0 { 12 } else { 22 }) {
        0 => Tree::None,
        1 => Tree::Bool(random.below(2) == 0),
        2 | 3 => Tree::Integer(integer(random)),
        4 => Tree::Float(random.pick(&[0.0, -0.0, 1.0, 1e300, f64::NAN, f64::INFINITY]).to_bits()),
        5 => Tree::Float32(random.pick(&[0.0, 1.0, -1.5, f32::NAN]).to_bits()),
        6 | 7 => Tree::Text(random.pick(TEXTS).to_owned()),
        8 => Tree::Bytes(random.pick(TEXTS).into()),
        9 => Tree::Path(random.pick(TEXTS).into()),
        10 => match random.below(3) {
            0 => Tree::OsText(random.pick(TEXTS).into()),
            1 => Tree::Duration(integer(random), random.pick(&[0, 1, 999_999_999])),
            _ => Tree::Time(integer(random), random.pick(&[0, 1, 999_999_999])),
        },
        11 => Tree::Ip(random.pick(&["127.0.0.1", "::1", "::ffff:127.0.0.1"]).parse().unwrap()),
        12 => some(value(random, depth - 1)),
        13 => Tree::Ok(boxed(random)),
        14 => Tree::Err(boxed(random)),
        15 | 16 => Tree::Tuple(some_of(random)),
        17 | 18 => Tree::List(some_of(random)),
        19 => set(some_of(random)),
        20 => {
            let pairs = some_of(random).into_iter();
            map(pairs.map(|key| (key, value(random, depth - 1))).collect())
        }
        _ if random.below(2) == 0 => {
            Tree::Struct(random.pick(TEXTS).to_owned(), fields(random, depth - 1))
        }
        _ => {
            let [name, variant] = [random.pick(TEXTS), random.pick(TEXTS)].map(str::to_owned);
            Tree::Variant(name, variant, fields(random, depth - 1))
        }
    }
}

/// A value that is nearly this one: the same written in another type, a boundary moved, one more or
/// one less of something, here or somewhere inside.
fn neighbour(tree: &Tree, random: &mut Random) -> Tree {
    let inner = match tree {
        Tree::Some(tree) | Tree::Ok(tree) | Tree::Err(tree) => vec![(**tree).clone()],
        Tree::Tuple(trees) | Tree::List(trees) | Tree::Set(trees) => trees.clone(),
        Tree::Map(entries) => entries.iter().flat_map(|(a, b)| [a.clone(), b.clone()]).collect(),
        Tree::Struct(_, fields) | Tree::Variant(_, _, fields) => {
            fields.iter().map(|(_, tree)| tree.clone()).collect()
        }
        _ => vec![],
    };
    let mut parts = inner.clone();
    match random.below(10) {
        // Something inside of it.
        0..3 if !parts.is_empty() => {
            let at = random.below(parts.len());
            parts[at] = neighbour(&parts[at], random);
        }
        // A boundary between two parts.
        3 if parts.len() > 1 => {
            let at = random.below(parts.len() - 1);
            let second = parts.remove(at + 1);
            let first = std::mem::replace(&mut parts[at], Tree::None);
            let (first, second) = moved(first, second, random);
            parts[at] = first;
            parts.insert(at + 1, second);
        }
        4 => parts.push(random.pick(&[Tree::None, Tree::Tuple(vec![]), Tree::Text(String::new())])),
        5 if !parts.is_empty() => drop(parts.remove(random.below(parts.len()))),
        6 => return some(tree.clone()),
        7 => return Tree::List(vec![tree.clone()]),
        _ if inner.is_empty() => return rewritten(tree, random),
        _ => {}
    }
    rebuilt(tree, parts, random)
}

/// The same bytes as the two, divided elsewhere.
fn moved(first: Tree, second: Tree, random: &mut Random) -> (Tree, Tree) {
    match (first, second) {
        (Tree::Text(a), Tree::Text(b)) => {
            let all: Vec<char> = (a + &b).chars().collect();
            let (a, b) = all.split_at(random.below(all.len() + 1));
            (Tree::Text(a.iter().collect()), Tree::Text(b.iter().collect()))
        }
        (Tree::List(mut a), Tree::List(mut b)) if !b.is_empty() => {
            a.push(b.remove(0));
            (Tree::List(a), Tree::List(b))
        }
        (first, second) => (second, first),
    }
}

/// These parts as the same type, or as another one with parts.
fn rebuilt(tree: &Tree, mut parts: Vec<Tree>, random: &mut Random) -> Tree {
    let name = |index: usize| index.to_string();
    let named: Vec<_> = parts.iter().cloned().enumerate().map(|(i, t)| (name(i), t)).collect();
    match random.below(12) {
        0 => Tree::Tuple(parts),
        1 => Tree::List(parts),
        2 => set(parts),
        3 => Tree::Struct("S".to_owned(), named),
        4 => Tree::Variant("S".to_owned(), "V".to_owned(), named),
        5 if parts.len() == 1 => Tree::Ok(Box::new(parts.remove(0))),
        6 if parts.len() == 2 => map(vec![(parts.remove(0), parts.remove(0))]),
        _ => match tree {
            Tree::List(_) => Tree::List(parts),
            Tree::Set(_) => set(parts),
            Tree::Struct(name, _) => Tree::Struct(name.clone(), named),
            Tree::Variant(name, variant, _) => Tree::Variant(name.clone(), variant.clone(), named),
            _ => Tree::Tuple(parts),
        },
    }
}

/// What holds no other values, as something that is written alike in another type.
fn rewritten(tree: &Tree, random: &mut Random) -> Tree {
    let bytes = match tree {
        Tree::Text(text) => text.clone().into_bytes(),
        Tree::Bytes(bytes) | Tree::Path(bytes) | Tree::OsText(bytes) => bytes.clone(),
        Tree::Integer(integer) => match random.below(3) {
            0 => return Tree::Duration(integer.clone(), 0),
            1 => format!("{}", integer.magnitude.first().unwrap_or(&0)).into_bytes(),
            _ => integer.magnitude.clone(),
        },
        Tree::Float(bits) => return Tree::Float32((f64::from_bits(*bits) as f32).to_bits()),
        Tree::Bool(is_true) => is_true.to_string().into_bytes(),
        // The encoding itself, as a text or as bytes.
        other => encode(other),
    };
    match random.below(5) {
        0 => Tree::Bytes(bytes),
        1 => Tree::Path(bytes),
        2 => Tree::OsText(bytes),
        3 => Tree::List(bytes.iter().map(|byte| digit(*byte)).collect()),
        _ => String::from_utf8(bytes).map_or(Tree::None, Tree::Text),
    }
}

fn digit(byte: u8) -> Tree {
    let magnitude = if byte == 0 { vec![] } else { vec![byte] };
    Tree::Integer(Integer { is_negative: false, magnitude })
}

#[test]
fn different_values_have_different_keys() {
    let (seed, wanted) = (seed(), asked("GECASO_PAIRS", 150_000));
    println!("GECASO_SEED={seed} GECASO_PAIRS={wanted}");
    let mut random = Random(seed);
    let identity = Identity::new("f", 0);
    let (mut pairs, mut cut) = (0, 0);
    // Everything since it was last emptied: whoever comes later is compared with all of them.
    let mut known: HashMap<Vec<u8>, Tree> = HashMap::new();
    let mut written: HashMap<String, Vec<u8>> = HashMap::new();
    while pairs < wanted {
        if known.len() > 50_000 {
            known.clear();
            written.clear();
        }
        let base = value(&mut random, 3);
        let mut family = vec![base.clone()];
        family.extend((0..6).map(|_| neighbour(&base, &mut random)));
        let second = random.pick(&family);
        family.push(neighbour(&second, &mut random));
        let encoded: Vec<Vec<u8>> = family.iter().map(encode).collect();
        let readable = encoded.iter().map(|args| identity.storage_key(args, false));
        let readable: Vec<String> = readable.collect();
        for (at, tree) in family.iter().enumerate() {
            for before in 0..at {
                let same = family[before] == *tree;
                pairs += u64::from(!same);
                assert_eq!(encoded[before] == encoded[at], same, "{:?} {tree:?}", family[before]);
                assert_eq!(readable[before] == readable[at], same, "{}", readable[at]);
            }
        }
        cut += readable.iter().filter(|key| key.contains('~')).count();
        for ((tree, bytes), key) in family.into_iter().zip(encoded).zip(readable) {
            let before = written.entry(key).or_insert_with(|| bytes.clone());
            assert_eq!(*before, bytes, "one readable key of two values: {tree:?}");
            let before = known.entry(bytes).or_insert_with(|| tree.clone());
            assert_eq!(*before, tree, "one encoding of two values");
        }
    }
    println!("{pairs} pairs of different values, {cut} of their keys were cut");
    assert!(cut < pairs as usize / 4, "hardly any readable key was written out");
}

#[test]
fn a_value_is_read_back_as_it_was_written() {
    let seed = seed();
    println!("GECASO_SEED={seed}");
    let mut random = Random(seed);
    for _ in 0..20_000 {
        let tree = value(&mut random, 4);
        let bytes = encode(&tree);
        assert_eq!(Tree::read(&bytes).map(normal), Ok(tree));
        fuzz(&bytes);
    }
}

#[test]
fn hostile_bytes_do_no_harm() {
    let seed = seed();
    println!("GECASO_SEED={seed}");
    let mut random = Random(seed);
    let mut accepted = 0;
    for _ in 0..20_000 {
        let mut bytes = encode(&value(&mut random, 3));
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len());
            match random.below(4) {
                0 => bytes[at] ^= 1 << random.below(8),
                1 => bytes[at] = random.pick(&[0, 1, 2, 5, 0x0c, 0x0d, 0x15, 0x7f, 0x80, 0xff]),
                2 => bytes.insert(at, random.below(24) as u8),
                _ if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => {}
            }
        }
        fuzz(&bytes);
        accepted += usize::from(Tree::read(&bytes).is_ok());
    }
    assert!((1_000..19_000).contains(&accepted), "{accepted} of 20000 were keys");
}
