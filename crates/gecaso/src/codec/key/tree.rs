//! A key as a tree of values, read from its bytes: what tests and the fuzzer hold the reader and
//! the encoder against each other with.
//!
//! Not compiled into what users get without the feature `testing`. Must not be lenient: it accepts
//! an encoding only if it would write the same.

use super::read::{self, DEPTH, Malformed, Reader, Token};
use super::{Key, KeyEncoder, tag};
use std::net::IpAddr;

/// A value of any type. Sets and maps are in the order of their bytes when they were read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tree {
    None,
    /// Of what is `None` or `Some` itself: of anything else it is that.
    Some(Box<Tree>),
    Ok(Box<Tree>),
    Err(Box<Tree>),
    Bool(bool),
    Integer(Integer),
    Float(u64),
    Float32(u32),
    Text(String),
    Bytes(Vec<u8>),
    Path(Vec<u8>),
    OsText(Vec<u8>),
    Ip(IpAddr),
    Duration(Integer, u32),
    Time(Integer, u32),
    Tuple(Vec<Tree>),
    List(Vec<Tree>),
    Set(Vec<Tree>),
    Map(Vec<(Tree, Tree)>),
    Struct(String, Vec<(String, Tree)>),
    Variant(String, String, Vec<(String, Tree)>),
}

/// A whole number of any size.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Integer {
    pub(super) is_negative: bool,
    pub(super) magnitude: Vec<u8>,
}

impl From<read::Integer<'_>> for Integer {
    fn from(integer: read::Integer<'_>) -> Self {
        Integer { is_negative: integer.is_negative, magnitude: integer.magnitude.to_vec() }
    }
}

impl Tree {
    /// All of `bytes`, and nothing else.
    pub(super) fn read(bytes: &[u8]) -> Result<Tree, Malformed> {
        let mut from = Reader::new(bytes);
        let tree = value(&mut from, 1)?;
        if from.rest().is_empty() { Ok(tree) } else { Err(Malformed) }
    }
}

fn value(from: &mut Reader<'_>, depth: usize) -> Result<Tree, Malformed> {
    if depth > DEPTH {
        return Err(Malformed);
    }
    let inner = depth + 1;
    let boxed = |from: &mut Reader<'_>| value(from, inner).map(Box::new);
    // Whatever count the bytes claim: nothing is allocated before it was read.
    let items = |from: &mut Reader<'_>, count| {
        (0..count).map(|_| value(from, inner)).collect::<Result<Vec<_>, _>>()
    };
    let fields = |from: &mut Reader<'_>, count| {
        let field = |_| Ok((from.name()?.to_owned(), value(from, inner)?));
        (0..count).map(field).collect::<Result<Vec<_>, _>>()
    };
    Ok(match from.token()? {
        Token::None => Tree::None,
        Token::Some => Tree::Some(boxed(from)?),
        Token::Ok => Tree::Ok(boxed(from)?),
        Token::Err => Tree::Err(boxed(from)?),
        Token::Bool(is_true) => Tree::Bool(is_true),
        Token::Integer(integer) => Tree::Integer(integer.into()),
        Token::Float(bits) => Tree::Float(bits),
        Token::Float32(bits) => Tree::Float32(bits),
        Token::Text(text) => Tree::Text(text.to_owned()),
        Token::Bytes(bytes) => Tree::Bytes(bytes.to_vec()),
        Token::Path(bytes) => Tree::Path(bytes.to_vec()),
        Token::OsText(bytes) => Tree::OsText(bytes.to_vec()),
        Token::Ip(address) => Tree::Ip(address),
        Token::Duration(seconds, nanoseconds) => Tree::Duration(seconds.into(), nanoseconds),
        Token::Time(seconds, nanoseconds) => Tree::Time(seconds.into(), nanoseconds),
        Token::Tuple(count) => Tree::Tuple(items(from, count)?),
        Token::List(count) => Tree::List(items(from, count)?),
        Token::Set(count) => Tree::Set(ordered(from, count, |from| value(from, inner))?),
        Token::Map(count) => {
            Tree::Map(ordered(from, count, |from| Ok((value(from, inner)?, value(from, inner)?)))?)
        }
        Token::Struct(name, count) => Tree::Struct(name.to_owned(), fields(from, count)?),
        Token::Variant(name, variant, count) => {
            Tree::Variant(name.to_owned(), variant.to_owned(), fields(from, count)?)
        }
    })
}

/// Entries whose bytes do not descend.
fn ordered<'a, T>(
    from: &mut Reader<'a>,
    count: u64,
    read: impl Fn(&mut Reader<'a>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let mut last: &[u8] = &[];
    let mut entries = Vec::new();
    for _ in 0..count {
        let start = from.rest();
        entries.push(read(from)?);
        let bytes = &start[..start.len() - from.rest().len()];
        if bytes < last {
            return Err(Malformed);
        }
        last = bytes;
    }
    Ok(entries)
}

impl Key for Tree {
    fn encode(&self, to: &mut KeyEncoder) {
        let wrapped = |tag, tree: &Tree, to: &mut KeyEncoder| {
            to.open(tag);
            to.child(tree);
        };
        let seconds = |tag, seconds: &Integer, nanoseconds: u32, to: &mut KeyEncoder| {
            to.open(tag);
            to.child(seconds);
            to.varint(nanoseconds.into());
        };
        match self {
            Tree::None => None::<u8>.encode(to),
            Tree::Some(tree) => Some(tree).encode(to),
            Tree::Ok(tree) => wrapped(tag::OK, tree, to),
            Tree::Err(tree) => wrapped(tag::ERR, tree, to),
            Tree::Bool(is_true) => is_true.encode(to),
            Tree::Integer(integer) => integer.encode(to),
            Tree::Float(bits) => f64::from_bits(*bits).encode(to),
            Tree::Float32(bits) => f32::from_bits(*bits).encode(to),
            Tree::Text(text) => text.encode(to),
            Tree::Bytes(bytes) => bytes.encode(to),
            // Not by its components: any bytes may be read.
            Tree::Path(bytes) => to.framed(tag::PATH, bytes),
            Tree::OsText(bytes) => to.framed(tag::OS_TEXT, bytes),
            Tree::Ip(address) => address.encode(to),
            Tree::Duration(whole, nanoseconds) => seconds(tag::DURATION, whole, *nanoseconds, to),
            Tree::Time(whole, nanoseconds) => seconds(tag::TIME, whole, *nanoseconds, to),
            Tree::Tuple(trees) => {
                to.tuple(trees.len());
                trees.iter().for_each(|tree| to.child(tree));
            }
            Tree::List(trees) => to.list(trees),
            Tree::Set(trees) => to.set(trees),
            Tree::Map(trees) => to.map(trees.iter().map(|(key, value)| (key, value))),
            Tree::Struct(name, fields) => to.structure(name, &borrowed(fields)),
            Tree::Variant(name, variant, fields) => to.variant(name, variant, &borrowed(fields)),
        }
    }
}

impl Key for Integer {
    fn encode(&self, to: &mut KeyEncoder) {
        to.integer(self.is_negative, &self.magnitude);
    }
}

fn borrowed(fields: &[(String, Tree)]) -> Vec<(&str, &dyn Key)> {
    fields.iter().map(|(name, tree)| (&**name, tree as &dyn Key)).collect()
}

/// Any bytes are read without a panic, and what is accepted is what would be written.
pub(crate) fn fuzz(bytes: &[u8]) {
    let identity = super::Identity::new("fuzz", 0);
    let key = identity.storage_key(bytes, false);
    assert!(key.len() <= 200 && key.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{key:?}");
    if let Ok(tree) = Tree::read(bytes) {
        assert_eq!(super::encode(&tree), bytes, "{tree:?}");
    }
}
