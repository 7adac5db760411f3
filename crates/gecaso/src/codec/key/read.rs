//! Reads an encoded key back, one value at a time; only what `encoder` could have written is
//! accepted.
//!
//! Called by `readable` and `tree`, which follow the values into each other. Takes any bytes: it
//! never panics, and borrows whatever it returns from them.

use super::tag;
use std::net::IpAddr;

/// How deep values may lie in each other; the outermost one lies at 1.
pub(super) const DEPTH: usize = 128;

/// Not the encoding of a key, or one that is nested too deeply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// The beginning of a value; what is inside of it must be read next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Token<'a> {
    None,
    Some,
    Ok,
    Err,
    Bool(bool),
    Integer(Integer<'a>),
    /// Bits.
    Float(u64),
    /// Bits.
    Float32(u32),
    Text(&'a str),
    Bytes(&'a [u8]),
    Path(&'a [u8]),
    OsText(&'a [u8]),
    Ip(IpAddr),
    Duration(Integer<'a>, u32),
    Time(Integer<'a>, u32),
    Tuple(u64),
    List(u64),
    Set(u64),
    Map(u64),
    Struct(&'a str, u64),
    Variant(&'a str, &'a str, u64),
}

/// A whole number of any size: big-endian, without leading zeros.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Integer<'a> {
    pub(super) is_negative: bool,
    pub(super) magnitude: &'a [u8],
}

/// What is left to read.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The beginning of the next value.
    pub(super) fn token(&mut self) -> Result<Token<'a>, Malformed> {
        Ok(match self.byte()? {
            tag::NONE => Token::None,
            // Only what would look like another `Option` is marked.
            tag::SOME if matches!(self.rest.first(), Some(&(tag::NONE | tag::SOME))) => Token::Some,
            tag::OK => Token::Ok,
            tag::ERR => Token::Err,
            tag::FALSE => Token::Bool(false),
            tag::TRUE => Token::Bool(true),
            tag::WHOLE => Token::Integer(self.magnitude(false)?),
            tag::NEGATIVE => Token::Integer(self.magnitude(true)?),
            tag::FLOAT => Token::Float(u64::from_be_bytes(self.array()?)),
            tag::FLOAT32 => Token::Float32(u32::from_be_bytes(self.array()?)),
            tag::TEXT => Token::Text(self.name()?),
            tag::BYTES => Token::Bytes(self.block()?),
            tag::PATH => Token::Path(self.block()?),
            tag::OS_TEXT => Token::OsText(self.block()?),
            tag::IP => {
                let bytes = self.block()?;
                let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
                let v6 = <[u8; 16]>::try_from(bytes).map(IpAddr::from);
                Token::Ip(v4.or(v6).map_err(|_| Malformed)?)
            }
            tag::DURATION => {
                let (seconds, nanoseconds) = self.seconds()?;
                Token::Duration(seconds, nanoseconds)
            }
            tag::TIME => {
                let (seconds, nanoseconds) = self.seconds()?;
                Token::Time(seconds, nanoseconds)
            }
            tag::TUPLE => Token::Tuple(self.varint()?),
            tag::LIST => Token::List(self.varint()?),
            tag::SET => Token::Set(self.varint()?),
            tag::MAP => Token::Map(self.varint()?),
            tag::STRUCT => Token::Struct(self.name()?, self.varint()?),
            tag::VARIANT => Token::Variant(self.name()?, self.name()?, self.varint()?),
            _ => return Err(Malformed),
        })
    }

    /// The name of a field.
    pub(super) fn name(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.block()?).map_err(|_| Malformed)
    }

    fn seconds(&mut self) -> Result<(Integer<'a>, u32), Malformed> {
        // Not by `token`, which comes here: any bytes may call for seconds of seconds.
        let seconds = match self.byte()? {
            tag::WHOLE => self.magnitude(false)?,
            tag::NEGATIVE => self.magnitude(true)?,
            _ => return Err(Malformed),
        };
        match u32::try_from(self.varint()?) {
            Ok(nanoseconds @ ..1_000_000_000) => Ok((seconds, nanoseconds)),
            _ => Err(Malformed),
        }
    }

    fn magnitude(&mut self, is_negative: bool) -> Result<Integer<'a>, Malformed> {
        let magnitude = self.block()?;
        match magnitude.first() {
            Some(0) => Err(Malformed),
            None if is_negative => Err(Malformed),
            _ => Ok(Integer { is_negative, magnitude }),
        }
    }

    fn block(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
        let (block, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(block)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*array)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut n = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(Malformed);
            }
            n |= bits << shift;
            if byte & 0x80 == 0 {
                // A last byte of zero says nothing: it could have been left out.
                return if byte == 0 && shift > 0 { Err(Malformed) } else { Ok(n) };
            }
        }
        Err(Malformed)
    }
}
