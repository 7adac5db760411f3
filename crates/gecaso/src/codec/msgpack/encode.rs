//! Writes a value as MessagePack. Called by `append` alone.
//!
//! Must not trust the value: it may be too large, too deep, or announce another number of elements
//! than it has.

use super::{Fault, write};
use crate::codec::limits;
use serde::ser::{self, Serialize};

/// The writer. What was there before is left alone.
pub(super) struct Encoder<'o> {
    out: &'o mut Vec<u8>,
    /// How long `out` may become.
    end: usize,
    limit: usize,
    /// How many more arrays and maps may lie in one another.
    depth: u8,
    /// How many more `Some`s and newtypes: they write nothing, and take stack all the same.
    wraps: u8,
}

impl<'o> Encoder<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>, limit: usize) -> Self {
        let end = out.len().saturating_add(limit);
        Encoder { out, end, limit, depth: limits::DEPTH, wraps: limits::DEPTH }
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if self.end - self.out.len() < bytes.len() {
            return Err(self.too_large());
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn head(&mut self, head: &write::Head) -> Result<(), Fault> {
        self.put(head.bytes())
    }

    /// Puts a head before what was written since `start`.
    fn head_at(&mut self, start: usize, head: &write::Head) -> Result<(), Fault> {
        self.head(head)?;
        let length = head.bytes().len();
        self.out[start..].rotate_right(length);
        Ok(())
    }

    #[cold]
    fn too_large(&self) -> Fault {
        Fault::new(format!("it takes more than {} bytes", self.limit))
    }

    #[inline]
    fn length(&self, length: usize) -> Result<u32, Fault> {
        u32::try_from(length).map_err(|_| self.too_large())
    }

    #[inline]
    fn text(&mut self, text: &str) -> Result<(), Fault> {
        let length = self.length(text.len())?;
        self.head(&write::text(length))?;
        self.put(text.as_bytes())
    }

    #[inline]
    fn enter(&mut self) -> Result<(), Fault> {
        self.depth = self.depth.checked_sub(1).ok_or_else(Fault::too_deep)?;
        Ok(())
    }

    #[inline]
    fn wrapped<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        self.wraps = self.wraps.checked_sub(1).ok_or_else(Fault::too_deep)?;
        value.serialize(&mut *self)?;
        self.wraps += 1;
        Ok(())
    }

    /// A map of one entry, by the name of an enum's variant.
    #[inline]
    fn variant(&mut self, name: &str) -> Result<(), Fault> {
        self.enter()?;
        self.head(&write::map(1))?;
        self.text(name)
    }

    /// Elements of a container whose head is written already.
    fn counted(&mut self, of: Of, length: usize, levels: u8) -> Result<Elements<'_, 'o>, Fault> {
        let length32 = self.length(length)?;
        let head = match of {
            Of::Items => write::array(length32),
            Of::Entries => write::map(length32),
        };
        self.enter()?;
        self.head(&head)?;
        let start = self.out.len();
        Ok(Elements { encoder: self, of, start, said: Some(length), seen: 0, levels })
    }

    /// Elements of which nobody knows how many: the head is put before them at the end.
    fn uncounted(&mut self, of: Of) -> Result<Elements<'_, 'o>, Fault> {
        self.enter()?;
        let start = self.out.len();
        Ok(Elements { encoder: self, of, start, said: None, seen: 0, levels: 1 })
    }
}

#[derive(Clone, Copy)]
enum Of {
    Items,
    Entries,
}

/// What is being written of an array or a map.
pub(super) struct Elements<'e, 'o> {
    encoder: &'e mut Encoder<'o>,
    of: Of,
    start: usize,
    said: Option<usize>,
    seen: usize,
    /// How many levels end with it: two, if it lies in the map of an enum's variant.
    levels: u8,
}

impl Elements<'_, '_> {
    #[inline]
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        self.seen += 1;
        value.serialize(&mut *self.encoder)
    }

    #[inline]
    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Fault> {
        self.seen += 1;
        self.encoder.text(name)?;
        value.serialize(&mut *self.encoder)
    }

    #[inline]
    fn finish(self) -> Result<(), Fault> {
        match self.said {
            Some(said) if said == self.seen => {}
            Some(said) => return Err(miscounted(said, self.seen)),
            None => {
                let length = self.encoder.length(self.seen)?;
                let head = match self.of {
                    Of::Items => write::array(length),
                    Of::Entries => write::map(length),
                };
                self.encoder.head_at(self.start, &head)?;
            }
        }
        self.encoder.depth += self.levels;
        Ok(())
    }
}

#[cold]
fn miscounted(said: usize, seen: usize) -> Fault {
    Fault::new(format!("its `Serialize` announces {said} elements and writes {seen}"))
}

macro_rules! numbers {
    ($($method:ident: $type:ty => $head:ident as $wide:ty),* $(,)?) => { $(
        #[inline]
        fn $method(self, value: $type) -> Result<(), Fault> {
            self.head(&write::$head(<$wide>::from(value)))
        }
    )* };
}

impl<'e, 'o> ser::Serializer for &'e mut Encoder<'o> {
    type Ok = ();
    type Error = Fault;
    type SerializeSeq = Elements<'e, 'o>;
    type SerializeTuple = Elements<'e, 'o>;
    type SerializeTupleStruct = Elements<'e, 'o>;
    type SerializeTupleVariant = Elements<'e, 'o>;
    type SerializeMap = Elements<'e, 'o>;
    type SerializeStruct = Elements<'e, 'o>;
    type SerializeStructVariant = Elements<'e, 'o>;

    numbers! {
        serialize_bool: bool => boolean as bool,
        serialize_u8: u8 => unsigned as u64,
        serialize_u16: u16 => unsigned as u64,
        serialize_u32: u32 => unsigned as u64,
        serialize_u64: u64 => unsigned as u64,
        serialize_i8: i8 => signed as i64,
        serialize_i16: i16 => signed as i64,
        serialize_i32: i32 => signed as i64,
        serialize_i64: i64 => signed as i64,
        serialize_f32: f32 => float32 as f32,
        serialize_f64: f64 => float64 as f64,
    }

    fn serialize_u128(self, value: u128) -> Result<(), Fault> {
        self.serialize_bytes(&value.to_be_bytes())
    }

    fn serialize_i128(self, value: i128) -> Result<(), Fault> {
        self.serialize_bytes(&value.to_be_bytes())
    }

    fn serialize_char(self, value: char) -> Result<(), Fault> {
        self.text(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), Fault> {
        self.text(value)
    }

    #[inline]
    fn serialize_bytes(self, value: &[u8]) -> Result<(), Fault> {
        let length = self.length(value.len())?;
        self.head(&write::binary(length))?;
        self.put(value)
    }

    #[inline]
    fn serialize_none(self) -> Result<(), Fault> {
        self.head(&write::nil())
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Fault> {
        let start = self.out.len();
        self.wrapped(value)?;
        if self.out.get(start).copied().is_some_and(write::looks_like_none) {
            let length = u8::try_from(self.out.len() - start).map_err(|_| Fault::too_deep())?;
            self.head_at(start, &write::some(length))?;
        }
        Ok(())
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), Fault> {
        self.head(&write::nil())
    }

    #[inline]
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Fault> {
        self.head(&write::array(0))
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Fault> {
        self.text(variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Fault> {
        self.wrapped(value)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Fault> {
        self.variant(variant)?;
        value.serialize(&mut *self)?;
        self.depth += 1;
        Ok(())
    }

    #[inline]
    fn serialize_seq(self, length: Option<usize>) -> Result<Elements<'e, 'o>, Fault> {
        match length {
            Some(length) => self.counted(Of::Items, length, 1),
            None => self.uncounted(Of::Items),
        }
    }

    #[inline]
    fn serialize_tuple(self, length: usize) -> Result<Elements<'e, 'o>, Fault> {
        self.counted(Of::Items, length, 1)
    }

    #[inline]
    fn serialize_tuple_struct(
        self,
        _: &'static str,
        length: usize,
    ) -> Result<Elements<'e, 'o>, Fault> {
        self.counted(Of::Items, length, 1)
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Elements<'e, 'o>, Fault> {
        self.variant(variant)?;
        self.counted(Of::Items, length, 2)
    }

    #[inline]
    fn serialize_map(self, length: Option<usize>) -> Result<Elements<'e, 'o>, Fault> {
        match length {
            Some(length) => self.counted(Of::Entries, length, 1),
            None => self.uncounted(Of::Entries),
        }
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Elements<'e, 'o>, Fault> {
        self.counted(Of::Entries, length, 1)
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Elements<'e, 'o>, Fault> {
        self.variant(variant)?;
        self.counted(Of::Entries, length, 2)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

macro_rules! sequences {
    ($($sequence:ident::$method:ident),* $(,)?) => { $(
        impl ser::$sequence for Elements<'_, '_> {
            type Ok = ();
            type Error = Fault;
            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
                self.item(value)
            }
            #[inline]
            fn end(self) -> Result<(), Fault> {
                self.finish()
            }
        }
    )* };
}
sequences! {
    SerializeSeq::serialize_element, SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field, SerializeTupleVariant::serialize_field,
}

macro_rules! structs {
    ($($structure:ident),*) => { $(
        impl ser::$structure for Elements<'_, '_> {
            type Ok = ();
            type Error = Fault;
            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Fault> {
                self.field(name, value)
            }
            #[inline]
            fn end(self) -> Result<(), Fault> {
                self.finish()
            }
        }
    )* };
}
structs!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Elements<'_, '_> {
    type Ok = ();
    type Error = Fault;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Fault> {
        self.item(key)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        value.serialize(&mut *self.encoder)
    }

    #[inline]
    fn end(self) -> Result<(), Fault> {
        self.finish()
    }
}
