//! What is fuzzed: bytes, read as types of every kind. `fuzz/` and a test of this binary call it.

use crate::samples::*;
use gecaso::testing::fuzz;
use std::collections::{BTreeMap, HashMap};

/// Takes any bytes.
pub(crate) type Target = fn(&[u8]);

/// Each target, by the name of its file in `fuzz/`.
pub(crate) const ALL: [(&str, Target); 3] =
    [("envelope", envelope), ("key", key), ("msgpack", msgpack)];

/// Envelopes, with a checksum that is right and without.
pub(crate) fn envelope(bytes: &[u8]) {
    fuzz::envelope::<Record>(bytes);
    fuzz::envelope::<Anything>(bytes);
    fuzz::envelope::<Hidden>(bytes);
    fuzz::envelope::<u64>(bytes);
}

/// Encoded keys.
pub(crate) fn key(bytes: &[u8]) {
    fuzz::key(bytes);
}

/// MessagePack.
pub(crate) fn msgpack(bytes: &[u8]) {
    fuzz::msgpack::<Anything>(bytes);
    fuzz::msgpack::<Record>(bytes);
    fuzz::msgpack::<Hidden>(bytes);
    fuzz::msgpack::<Unordered>(bytes);
    fuzz::msgpack::<Nest>(bytes);
    fuzz::msgpack::<Link>(bytes);
    fuzz::msgpack::<Vec<()>>(bytes);
    fuzz::msgpack::<Vec<Untagged>>(bytes);
    fuzz::msgpack::<HashMap<String, Vec<Option<Option<bool>>>>>(bytes);
    fuzz::msgpack::<BTreeMap<i64, (i128, u128, char, f32)>>(bytes);
    fuzz::msgpack::<String>(bytes);
    fuzz::msgpack::<gecaso::Params>(bytes);
}
