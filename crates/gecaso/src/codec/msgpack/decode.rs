//! Reads a value out of MessagePack, and traces what its type asks for. Called by `read` alone.
//!
//! Must not trust the bytes, nor be kinder than it must: what does not fit exactly is refused, and
//! the value computed again. A float is not read from a whole number, a struct not from an array,
//! and a field that the type does not have is a fault.

use super::access::{Entries, Items, Named, Variant};
use super::read::{self, Head, Input};
use super::shape::{Asked, Shape, Trace};
use super::{Fault, write};
use crate::codec::limits;
use serde::de::{self, Deserializer, Visitor};

/// The reader.
pub(super) struct Decoder<'de> {
    pub(super) input: Input<'de>,
    trace: Trace,
    /// Whether everything the type has was asked for by name or by kind.
    sees_through: bool,
    /// How many more arrays and maps may lie in one another.
    depth: u8,
    /// How many more `Some`s and newtypes: they take no bytes, and take stack all the same.
    wraps: u8,
}

impl<'de> Decoder<'de> {
    pub(super) fn new(bytes: &'de [u8]) -> Self {
        Decoder {
            input: Input::new(bytes),
            trace: Trace::new(),
            sees_through: true,
            depth: limits::DEPTH,
            wraps: limits::DEPTH,
        }
    }

    /// The shape, and whether the trace has seen all of the type.
    pub(super) fn finish(self) -> Result<(Shape, bool), Fault> {
        if self.input.is_empty() {
            Ok((self.trace.shape(), self.sees_through))
        } else {
            Err(Fault::new("something follows the value"))
        }
    }

    #[inline]
    fn nested<T>(
        &mut self,
        inside: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.depth = self.depth.checked_sub(1).ok_or_else(Fault::too_deep)?;
        let result = inside(self);
        self.depth += 1;
        result
    }

    #[inline]
    fn wrapped<T>(
        &mut self,
        inside: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.wraps = self.wraps.checked_sub(1).ok_or_else(Fault::too_deep)?;
        let result = inside(self);
        self.wraps += 1;
        result
    }

    #[inline]
    fn items<V: Visitor<'de>>(&mut self, length: usize, visitor: V) -> Result<V::Value, Fault> {
        self.nested(|decoder| {
            let mut items = Items { decoder, left: length };
            let value = visitor.visit_seq(&mut items)?;
            nothing_left(items.left, value)
        })
    }

    #[inline]
    fn entries<V: Visitor<'de>>(&mut self, length: usize, visitor: V) -> Result<V::Value, Fault> {
        self.nested(|decoder| {
            let mut entries = Entries { decoder, left: length };
            let value = visitor.visit_map(&mut entries)?;
            nothing_left(entries.left, value)
        })
    }

    /// An array, or bytes one by one: Python's `bytes` are read as a `Vec<u8>`, too.
    #[inline]
    pub(super) fn sequence<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        match self.input.head()? {
            Head::Array(length) => self.items(length, visitor),
            Head::Binary(length) => {
                let bytes = self.input.take(length)?;
                visitor.visit_seq(de::value::SeqDeserializer::new(bytes.iter().copied()))
            }
            head => Err(head.unlike("an array")),
        }
    }

    /// A map by field names.
    #[inline]
    pub(super) fn fields<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        match self.input.head()? {
            Head::Map(length) => self.nested(|decoder| {
                let mut fields = Named(Entries { decoder, left: length });
                let value = visitor.visit_map(&mut fields)?;
                nothing_left(fields.0.left, value)
            }),
            head => Err(head.unlike("a map of fields")),
        }
    }

    #[inline]
    fn integer<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        match self.input.head()? {
            Head::Unsigned(value) => visitor.visit_u64(value),
            Head::Signed(value) => visitor.visit_i64(value),
            head => Err(head.unlike("a whole number")),
        }
    }

    #[inline]
    pub(super) fn name<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        match self.input.head()? {
            Head::Text(length) => visitor.visit_borrowed_str(self.input.text(length)?),
            head => Err(head.unlike("a text")),
        }
    }

    #[inline]
    fn bytes<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        match self.input.head()? {
            Head::Binary(length) => visitor.visit_borrowed_bytes(self.input.take(length)?),
            head => Err(head.unlike("bytes")),
        }
    }

    #[inline]
    fn nothing<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        match self.input.head()? {
            Head::Nil => visitor.visit_unit(),
            head => Err(head.unlike("nil")),
        }
    }

    /// Whatever comes.
    fn any<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        self.sees_through = false;
        match self.input.head()? {
            Head::Nil => visitor.visit_unit(),
            Head::Bool(value) => visitor.visit_bool(value),
            Head::Unsigned(value) => visitor.visit_u64(value),
            Head::Signed(value) => visitor.visit_i64(value),
            Head::Float32(value) => visitor.visit_f32(value),
            Head::Float64(value) => visitor.visit_f64(value),
            Head::Text(length) => visitor.visit_borrowed_str(self.input.text(length)?),
            Head::Binary(length) => visitor.visit_borrowed_bytes(self.input.take(length)?),
            Head::Array(length) => self.items(length, visitor),
            Head::Map(length) => self.entries(length, visitor),
            Head::Extension(write::SOME, _) => self.wrapped(|decoder| visitor.visit_some(decoder)),
            head => Err(head.unlike("a value")),
        }
    }

    #[inline]
    pub(super) fn ask(&mut self, what: Asked) {
        self.trace.ask(what);
    }

    #[inline]
    pub(super) fn ask_many(&mut self, what: Asked, length: usize) {
        self.trace.ask_many(what, length);
    }

    #[inline]
    pub(super) fn ask_names(&mut self, what: Asked, names: &'static [&'static str]) {
        self.trace.ask_names(what, names);
    }
}

#[inline]
fn nothing_left<T>(left: usize, value: T) -> Result<T, Fault> {
    if left == 0 { Ok(value) } else { Err(Fault::new("it has more elements than the type")) }
}

/// Methods that ask for a kind and read it by one of the functions above.
macro_rules! asks {
    ($($method:ident: $asked:ident => $read:ident),* $(,)?) => { $(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            self.ask(Asked::$asked);
            self.$read(visitor)
        }
    )* };
}

impl<'de> Deserializer<'de> for &mut Decoder<'de> {
    type Error = Fault;

    asks! {
        deserialize_any: Any => any,
        deserialize_i8: I8 => integer,
        deserialize_i16: I16 => integer,
        deserialize_i32: I32 => integer,
        deserialize_i64: I64 => integer,
        deserialize_u8: U8 => integer,
        deserialize_u16: U16 => integer,
        deserialize_u32: U32 => integer,
        deserialize_u64: U64 => integer,
        deserialize_char: Char => name,
        deserialize_str: Str => name,
        deserialize_string: String => name,
        deserialize_bytes: Bytes => bytes,
        deserialize_byte_buf: ByteBuf => bytes,
        deserialize_unit: Unit => nothing,
        deserialize_seq: Seq => sequence,
        // A struct of ours asks for its names elsewhere (`Named`): this is a flattened one.
        deserialize_identifier: Identifier => any,
    }

    #[inline]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.ask(Asked::Bool);
        match self.input.head()? {
            Head::Bool(value) => visitor.visit_bool(value),
            head => Err(head.unlike("a bool")),
        }
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.ask(Asked::I128);
        let first = self.input.peek()?;
        match self.input.head()? {
            Head::Binary(16) => match i128::from_be_bytes(sixteen(&mut self.input)?) {
                // Written for a `u128`, it is 2^127 or more.
                ..0 if first == write::UNSIGNED_WIDE => Err(Fault::new("it is beyond 127 bits")),
                value => visitor.visit_i128(value),
            },
            Head::Unsigned(value) => visitor.visit_u64(value),
            Head::Signed(value) => visitor.visit_i64(value),
            head => Err(head.unlike("a whole number of 16 bytes")),
        }
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.ask(Asked::U128);
        let first = self.input.peek()?;
        match self.input.head()? {
            Head::Binary(16) => match i128::from_be_bytes(sixteen(&mut self.input)?) {
                ..0 if first == write::SIGNED_WIDE => Err(Fault::new("it is below zero")),
                value => visitor.visit_u128(value as u128),
            },
            Head::Unsigned(value) => visitor.visit_u64(value),
            head => Err(head.unlike("a whole number of 16 bytes")),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.ask(Asked::F32);
        match self.input.head()? {
            Head::Float32(value) => visitor.visit_f32(value),
            // Other languages have no narrower floats; nothing may be lost.
            Head::Float64(value) if value.is_nan() || f64::from(value as f32) == value => {
                visitor.visit_f32(value as f32)
            }
            head => Err(head.unlike("a float of four bytes")),
        }
    }

    #[inline]
    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.ask(Asked::F64);
        match self.input.head()? {
            Head::Float64(value) => visitor.visit_f64(value),
            Head::Float32(value) => visitor.visit_f64(f64::from(value)),
            head => Err(head.unlike("a float")),
        }
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.ask(Asked::Option);
        let first = self.input.peek()?;
        if write::looks_like_none(first) {
            match self.input.head()? {
                Head::Nil => return visitor.visit_none(),
                Head::Extension(write::SOME, _) => {}
                head => return Err(head.unlike("an option")),
            }
        }
        self.wrapped(|decoder| visitor.visit_some(decoder))
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.ask(Asked::UnitStruct);
        match self.input.head()? {
            Head::Array(0) => visitor.visit_unit(),
            head => Err(head.unlike("an empty array")),
        }
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.ask(Asked::Newtype);
        self.wrapped(|decoder| visitor.visit_newtype_struct(decoder))
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.ask_many(Asked::Tuple, length);
        self.sequence(visitor)
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.ask_many(Asked::TupleStruct, length);
        self.sequence(visitor)
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.ask(Asked::Map);
        match self.input.head()? {
            Head::Map(length) => self.entries(length, visitor),
            head => Err(head.unlike("a map")),
        }
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.ask_names(Asked::Struct, fields);
        self.fields(visitor)
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.ask_names(Asked::Enum, variants);
        if read::begins_text(self.input.peek()?) {
            return visitor.visit_enum(Variant { decoder: self, has_data: false });
        }
        match self.input.head()? {
            Head::Map(1) => {
                self.nested(|decoder| visitor.visit_enum(Variant { decoder, has_data: true }))
            }
            head => Err(head.unlike("a variant")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
        Err(Fault::new("a field that the type does not read"))
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

fn sixteen(input: &mut Input<'_>) -> Result<[u8; 16], Fault> {
    let bytes = input.take(16)?;
    bytes.try_into().map_err(|_| Fault::new("a whole number of another width"))
}
