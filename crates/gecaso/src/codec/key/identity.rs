//! Who a key belongs to, and the keys that a storage sees.
//!
//! Called by whatever speaks to a far storage, once per cache, then once per look-up. Must not know
//! what the arguments are: it gets their encoding.
//!
//! ```text
//! hashed:    <hex of the identity>_<hex of the arguments>    32 + 1 + 32 symbols
//! readable:  users/v0(7,"a b",[1,2])                         at most 200
//! reserved:  <hex of the identity>_epoch   users/v0/epoch    never one of the above
//! ```

use super::{encode, readable};

/// Hex digits of half a BLAKE3 digest: 128 bits.
const DIGITS: usize = 32;

/// The name and the version of a cache, ready to make keys of.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) version: u32,
    /// The encoding of the tuple `(name, version)`.
    pub(crate) encoded: Vec<u8>,
    /// The first 16 bytes of BLAKE3 over `encoded`, in lower-case hex.
    pub(crate) hex: [u8; DIGITS],
    /// The next 8 bytes of the same digest, the first of them the most significant.
    pub(crate) fingerprint: u64,
}

impl Identity {
    pub(crate) fn new(name: &str, version: u32) -> Self {
        let encoded = encode(&(name, version));
        let digest = blake3::hash(&encoded);
        let next = digest.as_bytes()[16..24].try_into().expect("8 bytes");
        Identity {
            name: name.to_owned(),
            version,
            hex: hex(&digest),
            fingerprint: u64::from_be_bytes(next),
            encoded,
        }
    }

    /// The key of a call with these arguments, given as their encoding.
    ///
    /// Two calls have the same key only if the digests of different encodings collide; whoever
    /// stores compares the encodings, too.
    pub(crate) fn storage_key(&self, args: &[u8], hash_key: bool) -> String {
        match hash_key {
            true => self.hashed(&hex(&blake3::hash(args))),
            false => readable::of_call(self, args),
        }
    }

    /// A key beside those of calls, for what the cache itself keeps there. `what` is a plain word.
    pub(crate) fn reserved_key(&self, what: &str, hash_key: bool) -> String {
        assert!(is_word(what), "a reserved key is named by a short word, not by {what:?}");
        match hash_key {
            true => self.hashed(what.as_bytes()),
            false => readable::reserved(self, what),
        }
    }

    /// The digest of everything: for a readable key that is cut.
    pub(super) fn digest_with(&self, args: &[u8]) -> [u8; DIGITS] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.encoded);
        hasher.update(args);
        hex(&hasher.finalize())
    }

    fn hashed(&self, tail: &[u8]) -> String {
        let mut key = Vec::with_capacity(DIGITS + 1 + tail.len());
        key.extend_from_slice(&self.hex);
        key.push(b'_');
        key.extend_from_slice(tail);
        String::from_utf8(key).expect("digits and a word")
    }
}

/// The key that is asked for to see whether a storage answers: no call's, since those have a `_`
/// behind 32 digits, or a `/`.
pub(crate) const PROBE: &str = "gecaso_probe";

/// The words of the keys that caches keep beside their entries.
const RESERVED: [&str; 1] = ["epoch"];

/// Whether this is a [reserved](Identity::reserved_key) key or the probe, not a call's; any text
/// may be asked about.
pub(crate) fn is_reserved(key: &str) -> bool {
    let hashed = key.split_at_checked(DIGITS).filter(|(hex, _)| {
        // A name may look like digits, but then there is a `/` behind it.
        hex.bytes().all(|digit| DIGIT.contains(&digit))
    });
    let word = hashed.and_then(|(_, tail)| tail.strip_prefix('_'));
    // In the key of a call, what is behind a `/` begins with the version, or ends in a quote.
    let behind = key.rsplit_once('/').map(|(_, tail)| tail);
    key == PROBE || word.into_iter().chain(behind).any(|word| RESERVED.contains(&word))
}

/// What a reserved key may be named by: too short to be digits of a digest.
fn is_word(what: &str) -> bool {
    (1..DIGITS).contains(&what.len())
        && what.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// The first half of a digest, in lower-case hex.
fn hex(digest: &blake3::Hash) -> [u8; DIGITS] {
    let mut digits = [0; DIGITS];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(digest.as_bytes()) {
        pair[0] = DIGIT[usize::from(byte >> 4)];
        pair[1] = DIGIT[usize::from(byte & 15)];
    }
    digits
}

const DIGIT: &[u8; 16] = b"0123456789abcdef";
