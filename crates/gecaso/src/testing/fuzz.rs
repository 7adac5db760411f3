//! What the fuzz targets call: the readers of bytes that anybody may have written. Each must take
//! any bytes at all without a panic, and hold what it says below.
//!
//! Called by `fuzz/` and by one test; nobody else. No part of the public interface.

use crate::codec::FarValue;
use crate::codec::envelope;
use crate::codec::limits::Limits;
use crate::codec::msgpack;
use xxhash_rust::xxh3::xxh3_64;

/// Opens bytes as an envelope of a `T`, as they are and with a checksum that is right. What opens
/// says the same after being sealed anew.
///
/// # Panics
///
/// If it does not.
pub fn envelope<T: FarValue>(bytes: &[u8]) {
    open::<T>(bytes);
    let mut signed = bytes.to_vec();
    if let Some((covered, sum)) = signed.split_last_chunk_mut::<8>() {
        *sum = xxh3_64(covered).to_le_bytes();
        open::<T>(&signed);
    }
}

fn open<T: FarValue>(bytes: &[u8]) {
    let limits = Limits::default();
    let Ok(opened) = envelope::open(bytes, &limits) else { return };
    let (Ok(value), Ok(params)) = (opened.value::<T>(), opened.params()) else { return };
    let again = envelope::seal(&opened.header(), &params, &value, &limits).expect("it was one");
    let reopened = envelope::open(&again, &limits).expect("what was sealed opens");
    assert_eq!(reopened.header(), opened.header());
    assert!(reopened.value::<T>().is_ok(), "and is read");
    assert!(reopened.params().is_ok(), "and its parameters");
}

/// Reads bytes as a `T`. What is read can be written, and read again.
///
/// # Panics
///
/// If it cannot.
pub fn msgpack<T: FarValue>(bytes: &[u8]) {
    let Ok((value, _)) = msgpack::from_bytes_traced::<T>(bytes) else { return };
    let mut again = Vec::new();
    msgpack::append(&mut again, &value, usize::MAX).expect("what was read can be written");
    assert!(msgpack::from_bytes_traced::<T>(&again).is_ok(), "and read again");
}

/// Reads bytes as an encoded key.
///
/// # Panics
///
/// If what is read is not what it was written as.
pub fn key(bytes: &[u8]) {
    crate::codec::key::fuzz(bytes);
}
