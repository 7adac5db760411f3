//! Envelopes taken apart and put together by hand, from `docs/format.md` alone.
//!
//! Used by the tests of what is stored; knows nothing of how gecaso does it.

use xxhash_rust::xxh3::xxh3_64;

pub(crate) const HEAD: usize = 68;

/// An envelope as another language may write it: no shape, no function, no key.
pub(crate) fn wrap(value: &[u8]) -> Vec<u8> {
    wrap_with(&[0x80], value)
}

/// The same with parameters: a MessagePack map.
pub(crate) fn wrap_with(params: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEAD];
    bytes[..4].copy_from_slice(b"\xc1gcs");
    bytes[4] = 1;
    bytes[5] = 1;
    bytes[40..48].fill(0xff);
    bytes[60..64].copy_from_slice(&u32::try_from(params.len()).unwrap().to_le_bytes());
    bytes[64..68].copy_from_slice(&u32::try_from(value.len()).unwrap().to_le_bytes());
    bytes.extend_from_slice(params);
    bytes.extend_from_slice(value);
    bytes.extend_from_slice(&[0; 8]);
    sign(&mut bytes);
    bytes
}

/// Makes the checksum right again.
pub(crate) fn sign(bytes: &mut [u8]) {
    let (covered, sum) = bytes.split_last_chunk_mut::<8>().expect("an envelope");
    *sum = xxh3_64(covered).to_le_bytes();
}

/// The value's bytes.
pub(crate) fn value(bytes: &[u8]) -> &[u8] {
    let start = HEAD + length(bytes, 56) + length(bytes, 60);
    let value = &bytes[start..bytes.len() - 8];
    assert_eq!(value.len(), length(bytes, 64));
    value
}

/// The bytes of the parameters.
pub(crate) fn params(bytes: &[u8]) -> &[u8] {
    let start = HEAD + length(bytes, 56);
    &bytes[start..start + length(bytes, 60)]
}

fn length(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}
