//! `pack` and `unpack`: a value and its parameters as bytes, for who keeps them by hand.
//!
//! The envelope is that of every stored entry, without a function and without a key.

use super::FarValue;
use super::envelope::{self, Header, Refusal};
use super::limits::Limits;
use crate::error::Error;
use crate::params::Params;

/// Makes bytes of a value and its parameters: what [`unpack`] takes apart again.
///
/// For storing values where no cache does it: a [`Storage`](crate::Storage) gets bytes that are
/// packed already. They carry a checksum and the shape of the value's type.
///
/// ```
/// use gecaso::{Params, pack, unpack};
/// use std::time::Duration;
///
/// let params = Params::new().with_ttl(Duration::from_secs(60));
/// let bytes = pack(&vec![1, 2, 3], &params)?;
///
/// let (value, params) = unpack::<Vec<i32>>(&bytes)?;
/// assert_eq!(value, [1, 2, 3]);
/// assert_eq!(params.ttl(), Some(Duration::from_secs(60)));
///
/// assert!(unpack::<Vec<i64>>(&bytes).is_err(), "another type");
/// # Ok::<(), gecaso::Error>(())
/// ```
///
/// # Errors
///
/// If the value takes more than 16 MiB or the parameters more than 64 KiB, if the value is nested
/// more than 128 deep, if its `Serialize` fails, or if what it writes is not what its `Deserialize`
/// reads.
///
/// # Panics
///
/// Only if the value's own `Serialize` or `Deserialize` does.
pub fn pack<T: FarValue>(value: &T, params: &Params) -> Result<Vec<u8>, Error> {
    let header =
        Header { fingerprint: 0, epoch: 0, begun: 0, expires: u64::MAX, load_took: 0, key: &[] };
    envelope::seal(&header, params, value, &Limits::default())
}

/// Takes bytes apart that [`pack`] made.
///
/// A value is only given back if its type is what it was: a field that was added, removed,
/// renamed, moved or that has another type is an error, never a value that is almost right.
///
/// ```
/// let bytes = gecaso::pack(&"Hell yeah!".to_owned(), &gecaso::Params::new())?;
/// assert_eq!(gecaso::unpack::<String>(&bytes)?.0, "Hell yeah!");
/// assert!(gecaso::unpack::<String>(b"something else").is_err());
/// # Ok::<(), gecaso::Error>(())
/// ```
///
/// # Errors
///
/// If the bytes are not what [`pack`] made, or have changed since; if the value is of another type,
/// or its type has changed.
///
/// # Panics
///
/// Only if the value's own `Serialize` or `Deserialize` does.
pub fn unpack<T: FarValue>(bytes: &[u8]) -> Result<(T, Params), Error> {
    let unpacked = || {
        let opened = envelope::open(bytes, &Limits::default())?;
        Ok((opened.value()?, opened.params()?))
    };
    unpacked().map_err(|refusal: Refusal| Error::new(refusal.to_string()))
}
