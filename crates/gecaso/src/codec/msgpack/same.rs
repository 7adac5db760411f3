//! Whether two messages say the same, in whatever order their maps and arrays do.
//!
//! Called by `from_bytes_traced` for types that hide their fields. A `HashMap` or a `HashSet` that
//! was read and is written again comes in another order; nothing else may differ.

use super::Fault;
use super::read::{Head, Input};
use crate::codec::limits;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one == other {
        return true;
    }
    let digest = |bytes| of_item(&mut Input::new(bytes), limits::DEPTH);
    matches!((digest(one), digest(other)), (Ok(one), Ok(other)) if one == other)
}

/// A digest of the next item, whatever the order of its elements.
fn of_item(input: &mut Input<'_>, depth: u8) -> Result<u64, Fault> {
    let deeper = || depth.checked_sub(1).ok_or_else(Fault::too_deep);
    let head = input.head()?;
    Ok(match head {
        Head::Nil => of(0, 0),
        Head::Bool(value) => of(1, u64::from(value)),
        Head::Unsigned(value) => of(2, value),
        Head::Signed(value) => of(3, value as u64),
        // One float, whichever width it was written in.
        Head::Float32(value) => of(4, f64::from(value).to_bits()),
        Head::Float64(value) => of(4, value.to_bits()),
        Head::Text(length) => xxh3_64_with_seed(input.take(length)?, 5),
        Head::Binary(length) => xxh3_64_with_seed(input.take(length)?, 6),
        Head::Array(length) => {
            let depth = deeper()?;
            let mut sum = 0_u64;
            for _ in 0..length {
                sum = sum.wrapping_add(of_item(input, depth)?);
            }
            of(7, of(length as u64, sum))
        }
        Head::Map(length) => {
            let depth = deeper()?;
            let mut sum = 0_u64;
            for _ in 0..length {
                let key = of_item(input, depth)?;
                sum = sum.wrapping_add(of(key, of_item(input, depth)?));
            }
            of(8, of(length as u64, sum))
        }
        Head::Extension(kind, length) => {
            xxh3_64_with_seed(input.take(length)?, of(9, u64::from(kind as u8)))
        }
    })
}

fn of(one: u64, other: u64) -> u64 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&one.to_le_bytes());
    bytes[8..].copy_from_slice(&other.to_le_bytes());
    xxh3_64(&bytes)
}
