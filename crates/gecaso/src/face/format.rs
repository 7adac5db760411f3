//! Keys and envelopes by hand: what a face needs whose values have no Rust type.
//!
//! Called by the crate of another language, which walks its own values. Must not know storages or
//! calls.

use crate::codec::envelope::{self, Refusal};
use crate::codec::key;
use crate::codec::limits::{self, Limits};
use crate::error::Error;
use std::borrow::Cow;

pub use crate::codec::key::tree::{Integer, Tree};
pub use crate::codec::msgpack::Fault;
pub use crate::codec::msgpack::read::{Head, Input};

/// The heads of MessagePack's items.
pub mod write {
    pub use crate::codec::msgpack::write::{
        SIGNED_WIDE, SOME, UNSIGNED_WIDE, array, binary, boolean, float64, map, nil, signed, text,
        unsigned,
    };
}

/// How deep values may lie in one another.
pub const DEPTH: u8 = limits::DEPTH;

/// The most that a value may take, in bytes.
pub const VALUE: usize = limits::VALUE;

/// The most that parameters may take, in bytes.
pub const PARAMS: usize = limits::PARAMS;

/// The canonical bytes of the arguments of a call.
pub fn arguments(values: Vec<Tree>) -> Vec<u8> {
    key::encode(&Tree::Tuple(values))
}

/// The name and the version of a cache, ready to make keys of.
#[derive(Debug, Clone)]
pub struct Identity(key::Identity);

impl Identity {
    /// Of a cache of this name.
    pub fn new(name: &str, version: u32) -> Self {
        Identity(key::Identity::new(name, version))
    }

    /// What entries of this cache say of themselves.
    pub fn fingerprint(&self) -> u64 {
        self.0.fingerprint
    }

    /// The key of a call, as a storage sees it.
    pub fn storage_key(&self, arguments: &[u8], hash_key: bool) -> String {
        self.0.storage_key(arguments, hash_key)
    }

    /// The key of the record of the epoch.
    pub fn epoch_key(&self, hash_key: bool) -> String {
        self.0.reserved_key("epoch", hash_key)
    }

    /// What an entry says of its key: the identity, then the arguments. `None`: too large.
    pub fn echo(&self, arguments: &[u8]) -> Option<Vec<u8>> {
        // As in a far tier: half of what an envelope has room for.
        let fits = arguments.len() <= limits::KEY / 2;
        fits.then(|| [&*self.0.encoded, arguments].concat())
    }
}

/// An envelope, taken apart. `docs/format.md` says what the fields are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// How the value is written.
    pub codec: u8,
    /// Of the cache; 0: packed by hand.
    pub fingerprint: u64,
    /// Of the cache's entries, when the load began.
    pub epoch: u64,
    /// When the load began: nanoseconds since 1970.
    pub begun: u64,
    /// When the entry expires: the same; `u64::MAX`: never.
    pub expires: u64,
    /// How long the load took, in nanoseconds.
    pub load_took: u64,
    /// The key's full encoding.
    pub key: Cow<'a, [u8]>,
    /// The parameters: a MessagePack map.
    pub params: Cow<'a, [u8]>,
    /// The value.
    pub value: Cow<'a, [u8]>,
}

impl<'a> Entry<'a> {
    /// The codec of values that Rust can read, too.
    pub const MESSAGEPACK: u8 = envelope::MESSAGEPACK;

    /// One that is packed by hand.
    pub fn new(codec: u8, params: Vec<u8>, value: Vec<u8>) -> Self {
        Entry {
            codec,
            fingerprint: 0,
            epoch: 0,
            begun: 0,
            expires: u64::MAX,
            load_took: 0,
            key: Cow::Borrowed(&[]),
            params: params.into(),
            value: value.into(),
        }
    }

    /// Its bytes.
    ///
    /// # Errors
    ///
    /// If the key, the parameters or the value are too large.
    pub fn seal(&self) -> Result<Vec<u8>, Error> {
        envelope::wrap(&self.header(), self.codec, &self.params, &self.value, &Limits::default())
    }

    /// Takes bytes apart, if the value is written by this codec.
    ///
    /// # Errors
    ///
    /// If they are no such envelope, whole and within the limits.
    pub fn open(bytes: &'a [u8], codec: u8) -> Result<Self, Error> {
        let refused = |refusal: Refusal| Error::new(refusal.to_string());
        let opened = envelope::open_of(bytes, codec, &Limits::default()).map_err(refused)?;
        let envelope::Header { fingerprint, epoch, begun, expires, load_took, key } =
            opened.header();
        let (params, value) = opened.parts();
        let [key, params, value] = [key, params, value].map(Cow::Borrowed);
        Ok(Entry { codec, fingerprint, epoch, begun, expires, load_took, key, params, value })
    }

    /// A digest of all of it that only who has the secret can make, over its `value` as it is now.
    pub fn signature(&self, secret: &Secret) -> [u8; 32] {
        let numbers = [self.fingerprint, self.epoch, self.begun, self.expires, self.load_took];
        let mut hasher = blake3::Hasher::new_keyed(&secret.0);
        hasher.update(&[self.codec]);
        for number in numbers {
            hasher.update(&number.to_le_bytes());
        }
        for part in [&self.key, &self.params, &self.value] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.finalize().into()
    }

    /// Whether a signature is that of this secret; it takes as long if it is not.
    pub fn is_signed(&self, secret: &Secret, signature: &[u8; 32]) -> bool {
        blake3::Hash::from_bytes(self.signature(secret)) == blake3::Hash::from_bytes(*signature)
    }

    fn header(&self) -> envelope::Header<'_> {
        let Entry { fingerprint, epoch, begun, expires, load_took, .. } = *self;
        envelope::Header { fingerprint, epoch, begun, expires, load_took, key: &self.key }
    }
}

/// What an envelope ends in.
pub fn checksum(covered: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(covered)
}

/// What signatures are made with.
pub struct Secret([u8; 32]);

impl Secret {
    /// For one purpose, out of what the user keeps secret.
    pub fn new(purpose: &str, secret: &[u8]) -> Self {
        Secret(blake3::derive_key(purpose, secret))
    }
}
