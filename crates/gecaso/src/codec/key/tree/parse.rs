//! A tree of values out of the bytes of a key.
//!
//! Called by tests and the fuzzer; not compiled into what users get without the feature `testing`.
//! Must not be lenient: it accepts an encoding only if it would write the same.

use super::{Integer, Tree};
use crate::codec::key::read::{self, DEPTH, Malformed, Reader, Token};
use crate::codec::key::{Identity, encode};

impl From<read::Integer<'_>> for Integer {
    fn from(integer: read::Integer<'_>) -> Self {
        Integer { is_negative: integer.is_negative, magnitude: integer.magnitude.to_vec() }
    }
}

impl Tree {
    /// All of `bytes`, and nothing else.
    pub(in crate::codec::key) fn read(bytes: &[u8]) -> Result<Tree, Malformed> {
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

/// Any bytes are read without a panic, and what is accepted is what would be written.
pub(crate) fn fuzz(bytes: &[u8]) {
    let identity = Identity::new("fuzz", 0);
    let key = identity.storage_key(bytes, false);
    assert!(key.len() <= 200 && key.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{key:?}");
    if let Ok(tree) = Tree::read(bytes) {
        assert_eq!(encode(&tree), bytes, "{tree:?}");
    }
}
