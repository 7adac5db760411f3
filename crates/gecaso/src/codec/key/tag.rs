//! The first byte of every encoded value, and what follows it. Frozen: stored keys are made of it.
//!
//! ```text
//! NONE FALSE TRUE            nothing
//! SOME OK ERR                a value
//! WHOLE NEGATIVE             length, magnitude: big-endian, without leading zeros
//! FLOAT FLOAT32              8 or 4 bytes, big-endian
//! TEXT BYTES PATH OS_TEXT    length, bytes
//! IP                         length (4 or 16), bytes
//! DURATION TIME              seconds: a whole or negative value; nanoseconds below 10^9: varint
//! TUPLE LIST                 count, values
//! SET                        count, values, ordered by their bytes
//! MAP                        count, then key and value in turn, ordered by the bytes of the two
//! STRUCT                     name, count, then name and value in turn
//! VARIANT                    name of the type, name of the variant, and on as in STRUCT
//! ```
//!
//! A length, a count and a varint are LEB128, as short as can be; a name is length and UTF-8.
//! Used by `encoder` and `read`. Zero is no tag, so that a block of zeros is no key.

pub(super) const NONE: u8 = 0x01;
pub(super) const SOME: u8 = 0x02;
pub(super) const FALSE: u8 = 0x03;
pub(super) const TRUE: u8 = 0x04;
pub(super) const WHOLE: u8 = 0x05;
pub(super) const NEGATIVE: u8 = 0x06;
pub(super) const FLOAT: u8 = 0x07;
pub(super) const FLOAT32: u8 = 0x08;
pub(super) const TEXT: u8 = 0x09;
pub(super) const BYTES: u8 = 0x0a;
pub(super) const TUPLE: u8 = 0x0b;
pub(super) const LIST: u8 = 0x0c;
pub(super) const SET: u8 = 0x0d;
pub(super) const MAP: u8 = 0x0e;
pub(super) const STRUCT: u8 = 0x0f;
pub(super) const VARIANT: u8 = 0x10;
pub(super) const OK: u8 = 0x11;
pub(super) const ERR: u8 = 0x12;
pub(super) const PATH: u8 = 0x13;
pub(super) const OS_TEXT: u8 = 0x14;
pub(super) const DURATION: u8 = 0x15;
pub(super) const TIME: u8 = 0x16;
pub(super) const IP: u8 = 0x17;
