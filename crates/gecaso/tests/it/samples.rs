//! Types of every kind that serde knows, for tests of what becomes of them as bytes.
//!
//! The fuzz targets read hostile bytes as the same types, so this file uses serde alone.

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

/// Everything at once, and as deep as it likes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Anything {
    Nothing,
    Unit(()),
    UnitStruct(Empty),
    Bool(bool),
    Unsigned { a: u8, b: u16, c: u32, d: u64, e: u128 },
    Signed(i8, i16, i32, i64, i128),
    Floats(f32, f64),
    Char(char),
    Text(String),
    Bytes(Blob),
    Array([u8; 3]),
    Newtype(Meters),
    Pair(Pair),
    Record(Record),
    Option(Option<Box<Anything>>),
    Many(Vec<Anything>),
    Named(BTreeMap<String, Anything>),
    Numbered(BTreeMap<i32, (u8, Box<Anything>)>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Empty;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Meters(pub(crate) f64);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pair(pub(crate) u32, pub(crate) String);

/// About a hundred bytes: what the figures in the documents are measured with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) mail: Option<String>,
    pub(crate) score: f64,
    pub(crate) is_active: bool,
    pub(crate) visits: u32,
}

impl Record {
    pub(crate) fn example() -> Self {
        Record {
            id: 1_234_567_890_123,
            name: "Ada Lovelace, Countess".to_owned(),
            mail: Some("ada@example.org".to_owned()),
            score: 99.5,
            is_active: true,
            visits: 70_000,
        }
    }
}

/// Types that hide what they are made of: serde reads them as whatever comes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Hidden {
    pub(crate) untagged: Vec<Untagged>,
    pub(crate) tagged: Vec<Tagged>,
    pub(crate) adjacent: Vec<Adjacent>,
    #[serde(flatten)]
    pub(crate) flat: Flat,
    #[serde(flatten)]
    pub(crate) rest: BTreeMap<String, u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Untagged {
    Number(i64),
    Text(String),
    Pair(u8, Option<bool>),
    Record { x: f64, y: f64 },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub(crate) enum Tagged {
    Point { x: i32, y: Option<i32> },
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub(crate) enum Adjacent {
    Text(String),
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Flat {
    pub(crate) width: u32,
    pub(crate) depth: Option<Option<u32>>,
}

/// Nothing but arrays in arrays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Nest(pub(crate) Vec<Nest>);

/// A list of one link after the other: no array around them, and none between.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Link(pub(crate) Option<Box<Link>>);

/// Collections that come in another order each time.
pub(crate) type Unordered = (HashMap<String, u64>, HashSet<u16>);

/// Bytes as serde's own kind, not as an array of numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Blob(pub(crate) Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Blob;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}
