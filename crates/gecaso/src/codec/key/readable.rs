//! Keys for people: `users/v0(7,"a b",[1,2])`.
//!
//! Called by `identity`. As injective as the encoding that it is read from: values of different
//! kinds are written differently, and what stands beside a value never occurs bare inside of one.
//! Printable ASCII alone, and `~` nowhere but before the digest of a key that was cut.

use super::identity::Identity;
use super::read::{DEPTH, Integer, Malformed, Reader, Token};
use std::fmt::{self, Write};

/// Symbols of a readable key, at most.
const MOST: usize = 200;
/// What is left of one that is longer, before `~` and 32 hex digits.
const CUT: usize = MOST - 33;

/// The key of a call.
pub(super) fn of_call(identity: &Identity, args: &[u8]) -> String {
    let mut line = Line(String::with_capacity(MOST));
    let mut reader = Reader::new(args);
    let is_whole = head(&mut line, identity)
        // The arguments of a function are a tuple, whose parentheses set them off.
        .and_then(|()| match Reader::new(args).token() {
            Ok(Token::Tuple(_)) => Ok(()),
            _ => line.put(":"),
        })
        .and_then(|()| line.value(&mut reader, 1))
        .is_ok();
    let Line(mut text) = line;
    if !is_whole || !reader.rest().is_empty() || text.len() > MOST {
        cut(&mut text, CUT, identity, args);
    }
    text
}

/// A key that is of no call: after the version comes what none of those has there. It ends in the
/// word even if the name must be cut.
pub(super) fn reserved(identity: &Identity, what: &str) -> String {
    let mut line = Line(String::with_capacity(MOST));
    let is_whole = head(&mut line, identity).is_ok();
    let (Line(mut text), tail) = (line, 1 + what.len());
    if !is_whole || text.len() + tail > MOST {
        cut(&mut text, CUT - tail, identity, what.as_bytes());
    }
    text + "/" + what
}

fn head(line: &mut Line, identity: &Identity) -> Result<(), Stop> {
    line.escaped(identity.name.as_bytes(), |byte| {
        byte.is_ascii_graphic() && !b"/%~\"\\".contains(&byte)
    })?;
    write!(line, "/v{}", identity.version)?;
    Ok(())
}

/// What was written of a key, up to `most` symbols, and a digest of everything.
fn cut(text: &mut String, most: usize, identity: &Identity, args: &[u8]) {
    text.truncate(most);
    text.push('~');
    text.extend(identity.digest_with(args).map(char::from));
}

/// No more is written: there is no room, or the value cannot be read.
struct Stop;

impl From<Malformed> for Stop {
    fn from(_: Malformed) -> Self {
        Stop
    }
}

impl From<fmt::Error> for Stop {
    fn from(_: fmt::Error) -> Self {
        Stop
    }
}

/// What has been written; it may grow past [`MOST`] by one piece.
struct Line(String);

impl Write for Line {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        if self.0.len() > MOST {
            return Err(fmt::Error);
        }
        // Longer than that, it is cut anyway. All of it is ASCII.
        self.0.push_str(&piece[..piece.len().min(MOST + 1)]);
        Ok(())
    }
}

impl Line {
    fn put(&mut self, piece: &str) -> Result<(), Stop> {
        Ok(self.write_str(piece)?)
    }

    fn value(&mut self, from: &mut Reader<'_>, depth: usize) -> Result<(), Stop> {
        if depth > DEPTH {
            return Err(Stop);
        }
        match from.token()? {
            Token::None => self.put("None"),
            Token::Some => self.wrapped("Some(", from, depth),
            Token::Ok => self.wrapped("Ok(", from, depth),
            Token::Err => self.wrapped("Err(", from, depth),
            Token::Bool(is_true) => self.put(if is_true { "true" } else { "false" }),
            Token::Integer(integer) => self.integer(integer),
            Token::Float(bits) => match f64::from_bits(bits) {
                nan if nan.is_nan() => Ok(write!(self, "nan:{bits:016x}")?),
                float => Ok(write!(self, "{float:?}")?),
            },
            Token::Float32(bits) => match f32::from_bits(bits) {
                nan if nan.is_nan() => Ok(write!(self, "f32(nan:{bits:08x})")?),
                float => Ok(write!(self, "f32({float:?})")?),
            },
            Token::Text(text) => self.quoted("\"", text.as_bytes()),
            Token::Bytes(bytes) => self.quoted("b\"", bytes),
            Token::Path(bytes) => self.quoted("path\"", bytes),
            Token::OsText(bytes) => self.quoted("os\"", bytes),
            Token::Ip(address) => Ok(write!(self, "ip({address})")?),
            Token::Duration(seconds, nanoseconds) => {
                self.seconds("duration(", seconds, nanoseconds)
            }
            Token::Time(seconds, nanoseconds) => self.seconds("time(", seconds, nanoseconds),
            Token::Tuple(count) => self.items("(", count, ")", from, depth),
            Token::List(count) => self.items("[", count, "]", from, depth),
            Token::Set(count) => self.items("{", count, "}", from, depth),
            // Not to be taken for an empty set.
            Token::Map(0) => self.put("{:}"),
            Token::Map(count) => self.entries(count, from, depth),
            Token::Struct(name, count) => {
                self.name(name)?;
                self.fields(count, from, depth)
            }
            Token::Variant(name, variant, count) => {
                self.name(name)?;
                self.put("::")?;
                self.name(variant)?;
                if count > 0 { self.fields(count, from, depth) } else { Ok(()) }
            }
        }
    }

    fn wrapped(&mut self, open: &str, from: &mut Reader<'_>, depth: usize) -> Result<(), Stop> {
        self.put(open)?;
        self.value(from, depth + 1)?;
        self.put(")")
    }

    fn items(
        &mut self,
        open: &str,
        count: u64,
        close: &str,
        from: &mut Reader<'_>,
        depth: usize,
    ) -> Result<(), Stop> {
        self.put(open)?;
        for index in 0..count {
            self.put(if index > 0 { "," } else { "" })?;
            self.value(from, depth + 1)?;
        }
        self.put(close)
    }

    fn entries(&mut self, count: u64, from: &mut Reader<'_>, depth: usize) -> Result<(), Stop> {
        for index in 0..count {
            self.put(if index > 0 { "," } else { "{" })?;
            self.value(from, depth + 1)?;
            self.put(":")?;
            self.value(from, depth + 1)?;
        }
        self.put("}")
    }

    fn fields(&mut self, count: u64, from: &mut Reader<'_>, depth: usize) -> Result<(), Stop> {
        self.put("{")?;
        for index in 0..count {
            self.put(if index > 0 { "," } else { "" })?;
            self.name(from.name()?)?;
            self.put(":")?;
            self.value(from, depth + 1)?;
        }
        self.put("}")
    }

    /// In decimal as far as 128 bits go.
    fn integer(&mut self, Integer { is_negative, magnitude }: Integer<'_>) -> Result<(), Stop> {
        self.put(if is_negative { "-" } else { "" })?;
        let mut bytes = [0; 16];
        if let Some(start) = bytes.len().checked_sub(magnitude.len()) {
            bytes[start..].copy_from_slice(magnitude);
            return Ok(write!(self, "{}", u128::from_be_bytes(bytes))?);
        }
        self.put("0x")?;
        magnitude.iter().try_for_each(|byte| Ok(write!(self, "{byte:02x}")?))
    }

    fn seconds(&mut self, open: &str, whole: Integer<'_>, nanoseconds: u32) -> Result<(), Stop> {
        self.put(open)?;
        self.integer(whole)?;
        Ok(write!(self, ",{nanoseconds})")?)
    }

    fn quoted(&mut self, open: &str, bytes: &[u8]) -> Result<(), Stop> {
        self.put(open)?;
        for &byte in bytes {
            match byte {
                b'"' | b'\\' => write!(self, "\\{}", char::from(byte))?,
                b' '..b'~' => self.write_char(char::from(byte))?,
                _ => write!(self, "\\x{byte:02x}")?,
            }
        }
        self.put("\"")
    }

    /// A name in a structure; never nothing, so that its braces are not those of a set.
    fn name(&mut self, name: &str) -> Result<(), Stop> {
        if name.is_empty() {
            return self.put("%");
        }
        self.escaped(name.as_bytes(), |byte| byte.is_ascii_alphanumeric() || byte == b'_')
    }

    fn escaped(&mut self, bytes: &[u8], is_plain: impl Fn(u8) -> bool) -> Result<(), Stop> {
        for &byte in bytes {
            match is_plain(byte) {
                true => self.write_char(char::from(byte))?,
                false => write!(self, "%{byte:02x}")?,
            }
        }
        Ok(())
    }
}
