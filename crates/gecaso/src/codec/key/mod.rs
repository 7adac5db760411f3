//! Keys as bytes: a canonical encoding of arguments, from which the keys of far storages are made.
//!
//! `encoder` writes it, `scalars` and `containers` say how the types of the standard library do,
//! `tag` draws the layout, `identity` makes the keys that a storage sees, `read` and `readable`
//! turn the bytes into something to look at. The format is described for other languages in
//! `docs/format.md`, held by `fixtures/keys.json`, and frozen. Called by whatever speaks to a far
//! storage. Must not know storages or values.

mod containers;
mod encoder;
mod identity;
mod read;
mod readable;
mod scalars;
mod tag;
pub(crate) mod tree;

pub use encoder::KeyEncoder;
pub(crate) use identity::{Identity, PROBE, is_reserved};
#[cfg(feature = "testing")]
pub(crate) use tree::fuzz;

/// What a type must be to be a part of a key *outside* of this process, where nothing compares keys
/// but their bytes.
///
/// Implemented for the types of the standard library. For your own, derive it (features `macros`
/// and `far`, both on by default):
///
/// ```
/// # #[cfg(feature = "macros")] {
/// use gecaso::{Key, KeyEncoder};
///
/// #[derive(Key)]
/// struct Point {
///     x: i64,
///     y: i64,
/// }
///
/// let [a, b] = [Point { x: 1, y: 23 }, Point { x: 12, y: 3 }];
/// assert_ne!(KeyEncoder::encoded(&a), KeyEncoder::encoded(&b));
/// # }
/// ```
///
/// Every field takes part: what is not part of a value's identity does not belong in an argument
/// that is part of the key.
///
/// # By hand
///
/// For a type that you cannot derive it for, or whose `Eq` is not that of its fields:
///
/// ```
/// use gecaso::{Key, KeyEncoder};
///
/// /// Compared without regard to case.
/// struct Host(String);
///
/// impl Key for Host {
///     fn encode(&self, to: &mut KeyEncoder) {
///         to.structure("Host", &[("0", &self.0.to_ascii_lowercase())]);
///     }
/// }
///
/// let [a, b] = ["example.org", "Example.ORG"].map(|name| Host(name.to_owned()));
/// assert_eq!(KeyEncoder::encoded(&a), KeyEncoder::encoded(&b));
/// ```
///
/// Two values must encode alike exactly if they are equal. If different ones do, a call gets what
/// was stored for another; if equal ones do not, an entry is missed, and not found to be removed.
///
/// Counts and lengths are written for you. An `encode` that writes several values has written the
/// tuple of them, and one that writes none, the empty tuple: whatever stands beside it is not
/// affected.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be part of a key outside of this process",
    label = "a far storage finds its entries by the bytes of the key, and needs `gecaso::Key`",
    note = "for a type of your own: `#[derive(gecaso::Key)]`",
    note = "for somebody else's: pass what tells its values apart, or `skip` the argument"
)]
pub trait Key {
    /// Writes this value: one call of a method of `to`, or of the `encode` of something else.
    fn encode(&self, to: &mut KeyEncoder);

    /// Writes several of them. Only bytes have a form of their own.
    #[doc(hidden)]
    fn encode_slice(items: &[Self], to: &mut KeyEncoder)
    where
        Self: Sized,
    {
        to.slice(items);
    }
}

/// The canonical bytes of a key.
pub(crate) fn encode<K: Key + ?Sized>(key: &K) -> Vec<u8> {
    encoder::encode(key)
}

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vector_tests;
