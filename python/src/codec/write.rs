//! Python's values as MessagePack.
//!
//! Plain data is what Rust reads: see `docs/format.md`. Two things that Python tells apart and
//! MessagePack does not are told by the form of their head, which any reader takes: a tuple is an
//! array, and a whole number of 65 to 128 bits a bin of 16 bytes, in a longer form than need be.
//! All else is an extension. Called by `pack`; must not know envelopes.

use super::class::{self, Member};
use super::extension as ext;
use super::fault::{Fault, Within, step_to};
use super::kind::{Kind, kind_of};
use super::{array, moment};
use gecaso::face::format::{DEPTH, write};
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyComplex, PyComplexMethods, PyDict, PyFloat, PyInt, PyList,
    PyString, PyTuple,
};

/// Where values are written.
pub(super) struct Writer {
    out: Vec<u8>,
    /// The most that may be written, in bytes.
    limit: usize,
    /// How many more arrays, maps and extensions may lie in one another.
    depth: u8,
    /// Whether all that is written is what Rust takes for a parameter.
    for_params: bool,
}

pub(super) type Written = Result<(), Fault>;

/// Fractions are made canonical by a division that takes the square of this time.
pub(super) const FRACTION: usize = 8 << 10;

impl Writer {
    pub(super) fn new(limit: usize) -> Self {
        Writer { out: Vec::with_capacity(64), limit, depth: DEPTH, for_params: false }
    }

    pub(super) fn for_params(limit: usize) -> Self {
        Writer { for_params: true, ..Writer::new(limit) }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    fn put(&mut self, bytes: &[u8]) -> Written {
        if self.limit - self.out.len() < bytes.len() {
            return Err(Fault::value(format!("it takes more than {} bytes", self.limit)));
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn length(&self, length: usize) -> Result<u32, Fault> {
        // What is longer than that is beyond the limit anyway.
        u32::try_from(length)
            .map_err(|_| Fault::value(format!("it takes more than {} bytes", self.limit)))
    }

    pub(super) fn map(&mut self, length: usize) -> Written {
        let length = self.length(length)?;
        self.put(write::map(length).bytes())
    }

    pub(super) fn nil(&mut self) -> Written {
        self.put(write::nil().bytes())
    }

    pub(super) fn text(&mut self, text: &str) -> Written {
        let length = self.length(text.len())?;
        self.put(write::text(length).bytes())?;
        self.put(text.as_bytes())
    }

    pub(super) fn unsigned(&mut self, value: u64) -> Written {
        self.put(write::unsigned(value).bytes())
    }

    pub(super) fn float(&mut self, value: f64) -> Written {
        self.put(write::float64(value).bytes())
    }

    pub(super) fn signed(&mut self, value: i64) -> Written {
        self.put(write::signed(value).bytes())
    }

    pub(super) fn boolean(&mut self, value: bool) -> Written {
        self.put(write::boolean(value).bytes())
    }

    pub(super) fn binary(&mut self, bytes: &[u8]) -> Written {
        let length = self.length(bytes.len())?;
        self.put(write::binary(length).bytes())?;
        self.put(bytes)
    }

    fn deeper(&mut self, inside: impl FnOnce(&mut Self) -> Written) -> Written {
        let too_deep =
            || Fault::value(format!("it is nested more than {DEPTH} deep, or contains itself"));
        self.depth = self.depth.checked_sub(1).ok_or_else(too_deep)?;
        inside(self)?;
        self.depth += 1;
        Ok(())
    }

    /// An extension with these bytes.
    fn extension(&mut self, type_: i8, data: &[u8]) -> Written {
        let head = extension_head(type_, self.length(data.len())?);
        self.put(&head)?;
        self.put(data)
    }

    /// An extension with what is written inside.
    pub(super) fn extended(
        &mut self,
        type_: i8,
        inside: impl FnOnce(&mut Self) -> Written,
    ) -> Written {
        let start = self.out.len();
        self.deeper(inside)?;
        let data = self.out.split_off(start);
        self.extension(type_, &data)
    }

    /// Any value.
    pub(super) fn value(&mut self, value: &Bound<'_, PyAny>) -> Written {
        let kind = kind_of(value)?;
        if self.for_params && !is_param(kind) {
            return Err(Fault::unknown(value));
        }
        match kind {
            Kind::None => self.nil(),
            Kind::Bool => self.boolean(value.is(PyBool::new(value.py(), true))),
            Kind::Int => self.integer(cast(value)?),
            Kind::Float => self.float(value.cast::<PyFloat>().map_err(PyErr::from)?.value()),
            Kind::Text => self.string(cast(value)?),
            Kind::Bytes => self.binary(cast::<PyBytes>(value)?.as_bytes()),
            Kind::List => {
                // As it is now: what is read of its items may run code that changes it.
                let items = cast::<PyList>(value)?.to_tuple();
                let length = self.length(items.len())?;
                self.put(write::array(length).bytes())?;
                self.deeper(|to| to.items(&items))
            }
            Kind::Tuple => self.tuple(cast(value)?),
            Kind::Dict => self.dict(cast(value)?),
            Kind::Set => self.extended(ext::SET, |to| to.elements(value)),
            Kind::FrozenSet => self.extended(ext::FROZENSET, |to| to.elements(value)),
            Kind::Complex => {
                let value = cast::<PyComplex>(value)?;
                let parts = [value.real(), value.imag()].map(f64::to_be_bytes);
                self.extension(ext::COMPLEX, parts.as_flattened())
            }
            // Copied, as nothing else may change it meanwhile.
            Kind::ByteArray => {
                self.extension(ext::BYTEARRAY, &cast::<PyByteArray>(value)?.to_vec())
            }
            Kind::Range => self.attributes(ext::RANGE, value, &["start", "stop", "step"]),
            Kind::Fraction => self.fraction(value),
            Kind::Decimal => {
                // With a context of the user's, the exponent's letter may be a small one.
                let text = value.str()?.to_str()?.replace('e', "E");
                self.extension(ext::DECIMAL, text.as_bytes())
            }
            Kind::Uuid => {
                let bytes = value.getattr("bytes")?;
                self.extension(ext::UUID, cast::<PyBytes>(&bytes)?.as_bytes())
            }
            Kind::Path(which) => self.extended(ext::PATH, |to| {
                to.unsigned(which as u64)?;
                to.string(&value.str()?)
            }),
            Kind::TimeDelta | Kind::TimeZone | Kind::Date | Kind::Time | Kind::DateTime => {
                moment::write(self, kind, value)
            }
            Kind::Array => array::write(self, value),
            Kind::Scalar => array::write_scalar(self, value),
            Kind::Enum => self.member(value),
            Kind::Dataclass => self.parts(ext::DATACLASS, value, class::dataclass_parts(value)?),
            Kind::NamedTuple => {
                let parts = class::namedtuple_parts(value)?;
                self.parts(ext::NAMEDTUPLE, value, parts)
            }
            Kind::Ip | Kind::Other => Err(Fault::unknown(value)),
        }
    }

    fn integer(&mut self, value: &Bound<'_, PyInt>) -> Written {
        if let Ok(value) = value.extract::<i64>() {
            return self.signed(value);
        }
        if self.for_params {
            return Err(Fault::type_("it is a whole number beyond 64 bits"));
        }
        if let Ok(value) = value.extract::<u64>() {
            return self.unsigned(value);
        }
        if let Ok(value) = value.extract::<i128>() {
            self.put(&[write::SIGNED_WIDE, 0, 16])?;
            return self.put(&value.to_be_bytes());
        }
        if let Ok(value) = value.extract::<u128>() {
            self.put(&[write::UNSIGNED_WIDE, 0, 0, 0, 16])?;
            return self.put(&value.to_be_bytes());
        }
        self.extension(ext::LARGE, &large(value)?)
    }

    fn string(&mut self, value: &Bound<'_, PyString>) -> Written {
        match value.to_str() {
            Ok(text) => self.text(text),
            Err(_) if self.for_params => Err(Fault::type_("it is a text with lone surrogates")),
            Err(_) => {
                let bytes = value.call_method1("encode", ("utf-8", "surrogatepass"))?;
                self.extension(ext::SURROGATES, cast::<PyBytes>(&bytes)?.as_bytes())
            }
        }
    }

    fn items(&mut self, items: &Bound<'_, PyTuple>) -> Written {
        for (index, item) in items.iter().enumerate() {
            self.value(&item).within(|| format!("[{index}]"))?;
        }
        Ok(())
    }

    fn tuple(&mut self, tuple: &Bound<'_, PyTuple>) -> Written {
        let length = self.length(tuple.len())?;
        match length {
            0..16 => {
                self.put(&[0xdc])?;
                self.put(&(length as u16).to_be_bytes())?;
            }
            16..0x1_0000 => {
                self.put(&[0xdd])?;
                self.put(&length.to_be_bytes())?;
            }
            // Of these the list has the longest form.
            _ => return self.extended(ext::TUPLE, |to| to.items(tuple)),
        }
        self.deeper(|to| to.items(tuple))
    }

    fn dict(&mut self, dict: &Bound<'_, PyDict>) -> Written {
        // As it is now, as a list.
        let entries = dict.items().to_tuple();
        self.map(entries.len())?;
        self.deeper(|to| {
            for entry in entries.iter() {
                let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = entry.extract()?;
                to.value(&key).within(|| " (a key)".to_owned())?;
                to.value(&value).within(|| step_to(&key))?;
            }
            Ok(())
        })
    }

    fn elements(&mut self, set: &Bound<'_, PyAny>) -> Written {
        for element in set.try_iter()? {
            self.value(&element?).within(|| " (an element)".to_owned())?;
        }
        Ok(())
    }

    fn attributes(&mut self, type_: i8, value: &Bound<'_, PyAny>, names: &[&str]) -> Written {
        self.extended(type_, |to| {
            names.iter().try_for_each(|name| to.value(&value.getattr(*name)?))
        })
    }

    fn fraction(&mut self, value: &Bound<'_, PyAny>) -> Written {
        let start = self.out.len();
        self.attributes(ext::FRACTION, value, &["numerator", "denominator"])?;
        if self.out.len() - start > FRACTION {
            return Err(Fault::value(format!("it takes more than {FRACTION} bytes")));
        }
        Ok(())
    }

    fn member(&mut self, value: &Bound<'_, PyAny>) -> Written {
        let [module, name] = class::path_of(&value.get_type())?;
        let member = class::member_of(value)?;
        self.extended(ext::ENUM, |to| {
            to.string(&module)?;
            to.string(&name)?;
            match member {
                Member::Named(name) => to.string(&name),
                Member::Combined(value) => to.value(&value),
            }
        })
    }

    fn parts(
        &mut self,
        type_: i8,
        value: &Bound<'_, PyAny>,
        parts: Vec<class::Part<'_>>,
    ) -> Written {
        let [module, name] = class::path_of(&value.get_type())?;
        self.extended(type_, |to| {
            to.string(&module)?;
            to.string(&name)?;
            for (name, part) in &parts {
                to.string(name)?;
                to.value(part).within(|| format!(".{name}"))?;
            }
            Ok(())
        })
    }
}

/// What [`Kind`] has said it is.
pub(super) fn cast<'a, 'py, T: pyo3::PyTypeCheck>(
    value: &'a Bound<'py, PyAny>,
) -> Result<&'a Bound<'py, T>, Fault> {
    Ok(value.cast::<T>().map_err(PyErr::from)?)
}

fn is_param(kind: Kind) -> bool {
    use Kind::{Bool, Bytes, Float, Int, List, None, Text, Tuple};
    matches!(kind, None | Bool | Int | Float | Text | Bytes | List | Tuple)
}

/// Two's complement, as short as can be.
fn large(value: &Bound<'_, PyInt>) -> Result<Vec<u8>, Fault> {
    // One bit more than the absolute value has is always enough, and may be one byte too many.
    let bits: usize = value.call_method0("bit_length")?.extract()?;
    let signed = PyDict::new(value.py());
    signed.set_item("signed", true)?;
    let bytes = value.call_method("to_bytes", (bits / 8 + 1, "big"), Some(&signed))?;
    let bytes = cast::<PyBytes>(&bytes)?.as_bytes();
    let is_spare = |bytes: &[u8]| matches!(bytes, [0, 0..=0x7f, ..] | [0xff, 0x80..=0xff, ..]);
    Ok(if is_spare(bytes) { bytes[1..].to_vec() } else { bytes.to_vec() })
}

fn extension_head(type_: i8, length: u32) -> Vec<u8> {
    let (marker, size): (u8, &[u8]) = match length {
        1 => (0xd4, &[]),
        2 => (0xd5, &[]),
        4 => (0xd6, &[]),
        8 => (0xd7, &[]),
        16 => (0xd8, &[]),
        0..0x100 => (0xc7, &(length as u8).to_be_bytes()),
        0x100..0x1_0000 => (0xc8, &(length as u16).to_be_bytes()),
        _ => (0xc9, &length.to_be_bytes()),
    };
    [&[marker], size, &[type_ as u8]].concat()
}
