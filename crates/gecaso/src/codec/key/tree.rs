//! A key as a tree of values: for those whose values have no type of Rust's.
//!
//! Made by the face of another language, and by tests and the fuzzer, which read it from its bytes
//! (`parse`) to hold the reader and the encoder against each other. Must not know who makes it.

use super::{Key, KeyEncoder, tag};
use std::net::IpAddr;

#[cfg(any(test, feature = "testing"))]
mod parse;

#[cfg(feature = "testing")]
pub(crate) use parse::fuzz;
#[cfg(all(test, not(feature = "testing")))]
pub(super) use parse::fuzz;

/// A value of any type. Sets and maps may be in any order: they are written in that of their bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // `tag` says what they are
pub enum Tree {
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
pub struct Integer {
    /// Whether it is below zero.
    pub is_negative: bool,
    /// Its absolute value: big-endian, with leading zeros or not.
    pub magnitude: Vec<u8>,
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
