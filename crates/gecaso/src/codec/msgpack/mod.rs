//! Values as MessagePack, through serde: structs are maps by field name, enums go by the names of
//! their variants. The bytes are those of `rmp_serde::to_vec_named`, but for a `Some` around a nil
//! (`write`). What is read is also traced, so that a type that has changed is noticed (`shape`).
//!
//! Called by the envelope. Knows nothing of storages, keys or functions.

mod access;
mod decode;
mod encode;
pub(crate) mod read;
mod same;
mod shape;
#[cfg(test)]
mod tests;
pub(crate) mod write;

pub(crate) use shape::Shape;

use super::limits;
use decode::Decoder;
use encode::Encoder;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;

/// Why a value could not be written or read: a sentence without a capital letter.
#[derive(Debug)]
pub struct Fault(Box<str>);

impl Fault {
    #[cold]
    fn new(message: impl Into<Box<str>>) -> Self {
        Fault(message.into())
    }

    #[cold]
    fn too_deep() -> Self {
        Fault::new(format!("it is nested more than {} deep", limits::DEPTH))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

impl serde::ser::Error for Fault {
    #[cold]
    fn custom<T: fmt::Display>(message: T) -> Self {
        Fault::new(message.to_string())
    }
}

impl serde::de::Error for Fault {
    #[cold]
    fn custom<T: fmt::Display>(message: T) -> Self {
        Fault::new(message.to_string())
    }
}

/// Writes a value behind what is in `out`; at most `limit` bytes.
pub(crate) fn append<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    value: &T,
    limit: usize,
) -> Result<(), Fault> {
    value.serialize(&mut Encoder::new(out, limit))
}

/// Reads a value of plain data, of which no trace is wanted.
pub(crate) fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    Ok(read(bytes)?.0)
}

/// Reads a value, and tells the shape of its type: what it asked for, in order.
///
/// A type that asks for whatever comes (`flatten`, `untagged`, tags inside) hides its fields from
/// the trace. It is written again instead, and what it writes must be what it has read.
pub(crate) fn from_bytes_traced<T: Serialize + DeserializeOwned>(
    bytes: &[u8],
) -> Result<(T, Shape), Fault> {
    let (value, shape, sees_through) = read(bytes)?;
    if !sees_through {
        let mut again = Vec::with_capacity(bytes.len());
        // It may come out longer than it was: twice the room decides that as well.
        append(&mut again, &value, bytes.len().saturating_mul(2))?;
        if !same::is_same(bytes, &again) {
            return Err(Fault::new("what was read does not write what it was read from"));
        }
    }
    Ok((value, shape))
}

/// The value, its shape, and whether the trace has seen all of the type.
fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, Shape, bool), Fault> {
    let mut decoder = Decoder::new(bytes);
    let value = T::deserialize(&mut decoder)?;
    let (shape, sees_through) = decoder.finish()?;
    Ok((value, shape, sees_through))
}
