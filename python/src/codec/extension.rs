//! The types of MessagePack's extensions that are Python's own. Frozen: stored values are made of
//! them. Type 1 is the `Some` of Rust; a Rust reader takes all others for a miss.
//!
//! ```text
//! LARGE           whole number beyond 128 bits: two's complement, big-endian, as short as can be
//! COMPLEX         two floats of 64 bits, big-endian
//! SURROGATES      text with lone surrogates: UTF-8 that encodes them like all others
//! BYTEARRAY       the bytes
//! TUPLE           items; only of 65,536 and more
//! SET FROZENSET   items
//! RANGE           start, stop, step: whole numbers
//! TIMEDELTA       days, seconds, microseconds
//! DATE            year, month, day
//! TIME            hour, minute, second, microsecond, fold (boolean), zone (TIMEZONE or nil)
//! DATETIME        year, month, day, and on as in TIME
//! TIMEZONE        seconds and microseconds east of UTC, name (text or nil)
//! DECIMAL         text, as `str` writes it
//! FRACTION        numerator, denominator: whole numbers without a common divisor
//! UUID            16 bytes
//! PATH            0 PurePosixPath, 1 PureWindowsPath, 2 PosixPath, 3 WindowsPath; text
//! ARRAY           of numpy: dtype (text), F order (boolean), shape (whole numbers in an array),
//!                 bytes of the items
//! SCALAR          of numpy: dtype (text), bytes
//! ENUM            module, name of the class, name of the member or value of a combination of flags
//! DATACLASS       module, name of the class, then name and value of each field
//! NAMEDTUPLE      the same
//! ```
//!
//! Where there is no "bytes" or "floats" the data is MessagePack, one item after the other, up to
//! the end. Used by `write` and `read`.

pub(super) const LARGE: i8 = 2;
pub(super) const COMPLEX: i8 = 3;
pub(super) const SURROGATES: i8 = 4;
pub(super) const BYTEARRAY: i8 = 5;
pub(super) const TUPLE: i8 = 6;
pub(super) const SET: i8 = 7;
pub(super) const FROZENSET: i8 = 8;
pub(super) const RANGE: i8 = 9;
pub(super) const TIMEDELTA: i8 = 10;
pub(super) const DATE: i8 = 11;
pub(super) const TIME: i8 = 12;
pub(super) const DATETIME: i8 = 13;
pub(super) const TIMEZONE: i8 = 14;
pub(super) const DECIMAL: i8 = 15;
pub(super) const FRACTION: i8 = 16;
pub(super) const UUID: i8 = 17;
pub(super) const PATH: i8 = 18;
pub(super) const ARRAY: i8 = 19;
pub(super) const SCALAR: i8 = 20;
pub(super) const ENUM: i8 = 21;
pub(super) const DATACLASS: i8 = 22;
pub(super) const NAMEDTUPLE: i8 = 23;
