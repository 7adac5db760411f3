//! What a storage outside of the process gets to keep: a value with all that is needed to tell
//! later whether it is what it seems.
//!
//! ```text
//! offset  bytes
//!      0  4      magic: c1 67 63 73 (never the beginning of MessagePack, of UTF-8 or of a pickle)
//!      4  1      version of the format: 1
//!      5  1      codec of the value: 1, MessagePack; others are those of other languages
//!      6  2      flags: bit 0, the shape is known; all others are 0, or the entry is a miss
//!      8  8      fingerprint of the function
//!     16  8      shape of the value's type, as this value shows it
//!     24  8      epoch of the function's entries when the load began
//!     32  8      when the load began: nanoseconds since 1970
//!     40  8      when the entry expires: the same; all bits set: never
//!     48  8      how long the load took, in nanoseconds
//!     56  4      length of the key: k
//!     60  4      length of the parameters: p
//!     64  4      length of the value: v
//!     68  k      the key's full encoding
//!   68+k  p      the parameters: a MessagePack map
//! 68+k+p  v      the value
//!    end  8      xxh3-64 of all bytes before
//! ```
//!
//! All numbers are little-endian. Called by the path of a call and by `pack`. Knows nothing of
//! storages and clocks: whether a key, an epoch or an expiry is the right one is the caller's look.

use super::limits::{self, Limits};
use super::msgpack::{self, Shape};
use crate::error::Error;
use crate::params::Params;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: [u8; 4] = [0xc1, b'g', b'c', b's'];
const VERSION: u8 = 1;
/// The codec of values that have a type of Rust's.
pub(crate) const MESSAGEPACK: u8 = 1;
const HAS_SHAPE: u16 = 1;
/// Where it says when the load began.
const BEGUN: usize = 32;
/// Bytes before the key.
const HEAD: usize = 68;
/// Bytes behind the value.
const SUM: usize = 8;

/// What an envelope says of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header<'a> {
    /// Of the function, its type parameters and its version.
    pub(crate) fingerprint: u64,
    /// Of the function's entries, when the load began.
    pub(crate) epoch: u64,
    /// When the load began: nanoseconds since 1970.
    pub(crate) begun: u64,
    /// When the entry expires: nanoseconds since 1970; `u64::MAX`: never.
    pub(crate) expires: u64,
    /// How long the load took, in nanoseconds.
    pub(crate) load_took: u64,
    /// The key's full encoding.
    pub(crate) key: &'a [u8],
}

/// Why stored bytes are no value of ours: each is a miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No envelope at all.
    Foreign,
    /// An envelope of another version of the format, or one that uses more of it than we know.
    Version,
    /// Cut off, or changed since it was written.
    Corrupt,
    /// Not a value of this type as it is now.
    Drift,
    /// Larger than the limits.
    TooLarge,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Foreign => "these bytes were not packed by gecaso",
            Refusal::Version => "these bytes were packed by another version of gecaso",
            Refusal::Corrupt => "these bytes are cut off, or have changed since they were packed",
            Refusal::Drift => "the packed value is of another type, or its type has changed",
            Refusal::TooLarge => "these bytes announce a value beyond the limit",
        })
    }
}

/// An envelope whose checksum holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opened<'a> {
    header: Header<'a>,
    shape: Option<Shape>,
    params: &'a [u8],
    value: &'a [u8],
}

/// Puts a value into an envelope. It is read back at once: what is stored can be read.
///
/// # Errors
///
/// If the value, the key or the parameters are too large, or the value cannot be written or does
/// not come back. The message says which.
pub(crate) fn seal<V: Serialize + DeserializeOwned>(
    header: &Header<'_>,
    params: &Params,
    value: &V,
    limits: &Limits,
) -> Result<Vec<u8>, Error> {
    if header.key.len() > limits::KEY {
        return Err(too_large("the key", limits::KEY));
    }
    let mut out = Vec::with_capacity(HEAD + header.key.len() + 192);
    out.resize(HEAD, 0);
    out.extend_from_slice(header.key);
    let params_at = out.len();
    msgpack::append(&mut out, params, limits::PARAMS)
        .map_err(|fault| Error::new(format!("the parameters cannot be stored: {fault}")))?;
    let value_at = out.len();
    // Lengths are kept in four bytes.
    let most = limits.value.min(u32::MAX as usize);
    msgpack::append(&mut out, value, most)
        .map_err(|fault| Error::new(format!("the value cannot be stored: {fault}")))?;
    let (_, shape) = msgpack::from_bytes_traced::<V>(&out[value_at..]).map_err(|fault| {
        Error::new(format!("the value cannot be stored, it would not be read back: {fault}"))
    })?;
    let lengths = [header.key.len(), value_at - params_at, out.len() - value_at];
    out[..HEAD].copy_from_slice(&head(header, MESSAGEPACK, Some(shape), lengths));
    let sum = xxh3_64(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    Ok(out)
}

/// Puts a value that is bytes already into an envelope without a shape: one of another language,
/// where nothing of ours can read it back.
///
/// # Errors
///
/// If the key, the parameters or the value are too large.
pub(crate) fn wrap(
    header: &Header<'_>,
    codec: u8,
    params: &[u8],
    value: &[u8],
    limits: &Limits,
) -> Result<Vec<u8>, Error> {
    let most = [limits::KEY, limits::PARAMS, limits.value.min(u32::MAX as usize)];
    let lengths = [header.key.len(), params.len(), value.len()];
    for (index, what) in ["the key", "the parameters", "the value"].into_iter().enumerate() {
        if lengths[index] > most[index] {
            return Err(too_large(what, most[index]));
        }
    }
    let head = head(header, codec, None, lengths);
    let mut out = [&head, header.key, params, value].concat();
    let sum = xxh3_64(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    Ok(out)
}

/// The head of an envelope. The lengths are those of the key, the parameters and the value, and
/// within the limits.
fn head(header: &Header<'_>, codec: u8, shape: Option<Shape>, lengths: [usize; 3]) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..4].copy_from_slice(&MAGIC);
    head[4] = VERSION;
    head[5] = codec;
    let flags = if shape.is_some() { HAS_SHAPE } else { 0 };
    head[6..8].copy_from_slice(&flags.to_le_bytes());
    let Header { fingerprint, epoch, begun, expires, load_took, key: _ } = *header;
    let shape = shape.map_or(0, |shape| shape.0);
    let numbers = [fingerprint, shape, epoch, begun, expires, load_took];
    for (place, number) in head[8..56].chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    for (place, length) in head[56..].chunks_exact_mut(4).zip(lengths) {
        place.copy_from_slice(&(length as u32).to_le_bytes());
    }
    head
}

#[cold]
fn too_large(what: &str, most: usize) -> Error {
    Error::new(format!("{what} takes more than {most} bytes and cannot be stored"))
}

/// The same entry, loaded later.
pub(crate) fn restamp(sealed: &[u8], begun: u64) -> Arc<[u8]> {
    let mut bytes = sealed.to_vec();
    let end = bytes.len() - SUM;
    bytes[BEGUN..BEGUN + 8].copy_from_slice(&begun.to_le_bytes());
    let sum = xxh3_64(&bytes[..end]);
    bytes[end..].copy_from_slice(&sum.to_le_bytes());
    bytes.into()
}

/// Looks whether bytes are an envelope of a value with a type of Rust's.
pub(crate) fn open<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Opened<'a>, Refusal> {
    open_of(bytes, MESSAGEPACK, limits)
}

/// Looks whether bytes are an envelope whose value is written so, in this order: lengths, checksum,
/// the rest.
pub(crate) fn open_of<'a>(
    bytes: &'a [u8],
    codec: u8,
    limits: &Limits,
) -> Result<Opened<'a>, Refusal> {
    if !bytes.starts_with(&MAGIC) {
        return Err(Refusal::Foreign);
    }
    let head = bytes.first_chunk::<HEAD>().ok_or(Refusal::Corrupt)?;
    // Another version may have its lengths and its checksum elsewhere.
    if head[4] != VERSION {
        return Err(Refusal::Version);
    }
    let length = |at| usize::try_from(u32_at(head, at)).unwrap_or(usize::MAX);
    let (key, params, value) = (length(56), length(60), length(64));
    if key > limits::KEY || params > limits::PARAMS || value > limits.value {
        return Err(Refusal::TooLarge);
    }
    let (covered, sum) = bytes.split_last_chunk::<SUM>().ok_or(Refusal::Corrupt)?;
    // The limits keep the sum of the lengths below any overflow of 64 bits, but not of 32.
    let end = HEAD.checked_add(key).and_then(|n| n.checked_add(params)?.checked_add(value));
    if end != Some(covered.len()) || xxh3_64(covered) != u64::from_le_bytes(*sum) {
        return Err(Refusal::Corrupt);
    }
    let flags = u16::from_le_bytes([head[6], head[7]]);
    if head[5] != codec || flags & !HAS_SHAPE != 0 {
        return Err(Refusal::Version);
    }
    let (key, rest) = covered[HEAD..].split_at(key);
    let (params, value) = rest.split_at(params);
    let header = Header {
        fingerprint: u64_at(head, 8),
        epoch: u64_at(head, 24),
        begun: u64_at(head, 32),
        expires: u64_at(head, 40),
        load_took: u64_at(head, 48),
        key,
    };
    let shape = (flags & HAS_SHAPE != 0).then(|| Shape(u64_at(head, 16)));
    Ok(Opened { header, shape, params, value })
}

#[inline]
fn u64_at(head: &[u8; HEAD], at: usize) -> u64 {
    u64::from_le_bytes(*head[at..].first_chunk().expect("numbers lie within the head"))
}

#[inline]
fn u32_at(head: &[u8; HEAD], at: usize) -> u32 {
    u32::from_le_bytes(*head[at..].first_chunk().expect("numbers lie within the head"))
}

impl<'a> Opened<'a> {
    /// What the envelope says of its value. Nothing of it was compared yet.
    pub(crate) fn header(&self) -> Header<'a> {
        self.header
    }

    /// The value, if it is one of this type, and of this type as it is now. An entry that another
    /// language wrote has no shape: it is read as strictly, and not compared.
    pub(crate) fn value<V: Serialize + DeserializeOwned>(&self) -> Result<V, Refusal> {
        let (value, shape) = msgpack::from_bytes_traced(self.value).map_err(|_| Refusal::Drift)?;
        match self.shape {
            Some(stored) if stored != shape => Err(Refusal::Drift),
            _ => Ok(value),
        }
    }

    /// The parameters and the value, as they are stored.
    pub(crate) fn parts(&self) -> (&'a [u8], &'a [u8]) {
        (self.params, self.value)
    }

    /// What the storage was told beside the value.
    pub(crate) fn params(&self) -> Result<Params, Refusal> {
        msgpack::from_bytes(self.params).map_err(|_| Refusal::Drift)
    }
}

#[cfg(test)]
mod tests;
