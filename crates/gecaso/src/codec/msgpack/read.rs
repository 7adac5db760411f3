//! MessagePack items out of bytes that anybody may have written: every length is checked against
//! what is there before it is used. A leaf; knows nothing of serde.

use super::Fault;

/// The head of an item. Numbers come whole; of texts, bytes and extensions their data follows, of
/// arrays and maps their elements.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)] // the specification says what they are
pub enum Head {
    Nil,
    Bool(bool),
    Unsigned(u64),
    /// Below zero.
    Signed(i64),
    Float32(f32),
    Float64(f64),
    Text(usize),
    Binary(usize),
    Array(usize),
    Map(usize),
    Extension(i8, usize),
}

/// What is left to read.
pub struct Input<'de> {
    rest: &'de [u8],
    /// Every element of every array and map takes at least one byte of its own, so all of them
    /// together are no more than there are bytes. This many may still be announced: a message that
    /// announces more is refused before anything is made of its number.
    unclaimed: usize,
}

impl<'de> Input<'de> {
    /// All of these bytes.
    pub fn new(bytes: &'de [u8]) -> Self {
        Input { rest: bytes, unclaimed: bytes.len() }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The byte that the next item begins with.
    #[inline]
    pub fn peek(&self) -> Result<u8, Fault> {
        self.rest.first().copied().ok_or_else(too_short)
    }

    /// So many bytes.
    #[inline]
    pub fn take(&mut self, length: usize) -> Result<&'de [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(too_short)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A text of so many bytes.
    #[inline]
    pub fn text(&mut self, length: usize) -> Result<&'de str, Fault> {
        std::str::from_utf8(self.take(length)?).map_err(|_| Fault::new("a text is not UTF-8"))
    }

    #[inline]
    fn number<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (number, rest) = self.rest.split_first_chunk().ok_or_else(too_short)?;
        self.rest = rest;
        Ok(*number)
    }

    #[inline]
    fn length8(&mut self) -> Result<usize, Fault> {
        Ok(usize::from(u8::from_be_bytes(self.number()?)))
    }

    #[inline]
    fn length16(&mut self) -> Result<usize, Fault> {
        Ok(usize::from(u16::from_be_bytes(self.number()?)))
    }

    #[inline]
    fn length32(&mut self) -> Result<usize, Fault> {
        // Where it does not fit, there are not as many bytes either.
        Ok(usize::try_from(u32::from_be_bytes(self.number()?)).unwrap_or(usize::MAX))
    }

    #[inline]
    fn claim(&mut self, elements: usize) -> Result<(), Fault> {
        self.unclaimed = self.unclaimed.checked_sub(elements).ok_or_else(too_short)?;
        Ok(())
    }

    #[inline]
    fn array(&mut self, length: usize) -> Result<Head, Fault> {
        self.claim(length)?;
        Ok(Head::Array(length))
    }

    #[inline]
    fn map(&mut self, length: usize) -> Result<Head, Fault> {
        self.claim(length.saturating_mul(2))?;
        Ok(Head::Map(length))
    }

    #[inline]
    fn extension(&mut self, length: usize) -> Result<Head, Fault> {
        Ok(Head::Extension(i8::from_be_bytes(self.number()?), length))
    }

    /// Reads the next head: the tables of the format's specification, from right to left.
    #[inline]
    pub fn head(&mut self) -> Result<Head, Fault> {
        let [marker] = self.number()?;
        Ok(match marker {
            0x00..=0x7f => Head::Unsigned(u64::from(marker)),
            0x80..=0x8f => self.map(usize::from(marker & 0x0f))?,
            0x90..=0x9f => self.array(usize::from(marker & 0x0f))?,
            0xa0..=0xbf => Head::Text(usize::from(marker & 0x1f)),
            0xc0 => Head::Nil,
            0xc1 => return Err(Fault::new("0xc1 begins no item")),
            0xc2 => Head::Bool(false),
            0xc3 => Head::Bool(true),
            0xc4 => Head::Binary(self.length8()?),
            0xc5 => Head::Binary(self.length16()?),
            0xc6 => Head::Binary(self.length32()?),
            0xc7 => {
                let length = self.length8()?;
                self.extension(length)?
            }
            0xc8 => {
                let length = self.length16()?;
                self.extension(length)?
            }
            0xc9 => {
                let length = self.length32()?;
                self.extension(length)?
            }
            0xca => Head::Float32(f32::from_be_bytes(self.number()?)),
            0xcb => Head::Float64(f64::from_be_bytes(self.number()?)),
            0xcc => Head::Unsigned(u64::from(u8::from_be_bytes(self.number()?))),
            0xcd => Head::Unsigned(u64::from(u16::from_be_bytes(self.number()?))),
            0xce => Head::Unsigned(u64::from(u32::from_be_bytes(self.number()?))),
            0xcf => Head::Unsigned(u64::from_be_bytes(self.number()?)),
            0xd0 => signed(i64::from(i8::from_be_bytes(self.number()?))),
            0xd1 => signed(i64::from(i16::from_be_bytes(self.number()?))),
            0xd2 => signed(i64::from(i32::from_be_bytes(self.number()?))),
            0xd3 => signed(i64::from_be_bytes(self.number()?)),
            0xd4 => self.extension(1)?,
            0xd5 => self.extension(2)?,
            0xd6 => self.extension(4)?,
            0xd7 => self.extension(8)?,
            0xd8 => self.extension(16)?,
            0xd9 => Head::Text(self.length8()?),
            0xda => Head::Text(self.length16()?),
            0xdb => Head::Text(self.length32()?),
            0xdc => {
                let length = self.length16()?;
                self.array(length)?
            }
            0xdd => {
                let length = self.length32()?;
                self.array(length)?
            }
            0xde => {
                let length = self.length16()?;
                self.map(length)?
            }
            0xdf => {
                let length = self.length32()?;
                self.map(length)?
            }
            0xe0..=0xff => Head::Signed(i64::from(marker as i8)),
        })
    }
}

/// Whether an item that begins so is a text.
#[inline]
pub(super) fn begins_text(first: u8) -> bool {
    matches!(first, 0xa0..=0xbf | 0xd9..=0xdb)
}

/// Other writers may write what is not below zero as signed, too.
#[inline]
fn signed(value: i64) -> Head {
    u64::try_from(value).map_or(Head::Signed(value), Head::Unsigned)
}

#[cold]
fn too_short() -> Fault {
    Fault::new("it announces more than there is")
}

impl Head {
    #[cold]
    pub(super) fn unlike(self, wanted: &str) -> Fault {
        let found = match self {
            Head::Nil => "nil",
            Head::Bool(_) => "a bool",
            Head::Unsigned(_) | Head::Signed(_) => "a whole number",
            Head::Float32(_) | Head::Float64(_) => "a float",
            Head::Text(_) => "a text",
            Head::Binary(_) => "bytes",
            Head::Array(_) => "an array",
            Head::Map(_) => "a map",
            Head::Extension(..) => "an extension",
        };
        Fault::new(format!("{found} where {wanted} is wanted"))
    }
}
