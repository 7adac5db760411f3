//! Writes keys: every length, every count and every order is decided here, so that an
//! implementation of `Key` cannot get them wrong.
//!
//! Called by implementations of `Key`. Must not know what the bytes are used for.

use super::{Key, tag};

/// Where a [`Key`] writes itself: a canonical encoding, in which different values never look alike.
///
/// Whatever has a `Key` of its own is written by its `encode`; the methods are for what has not.
///
/// ```
/// use gecaso::{Key, KeyEncoder};
///
/// enum Shape {
///     Circle { radius: u32 },
///     Polygon(Vec<(i32, i32)>),
/// }
///
/// impl Key for Shape {
///     fn encode(&self, to: &mut KeyEncoder) {
///         match self {
///             Shape::Circle { radius } => to.variant("Shape", "Circle", &[("radius", radius)]),
///             Shape::Polygon(corners) => to.variant("Shape", "Polygon", &[("0", corners)]),
///         }
///     }
/// }
///
/// let [a, b] = [Shape::Circle { radius: 1 }, Shape::Polygon(vec![(1, 1)])];
/// assert_ne!(KeyEncoder::encoded(&a), KeyEncoder::encoded(&b));
/// ```
#[derive(Debug)]
pub struct KeyEncoder {
    bytes: Vec<u8>,
    /// Values written by the `encode` that runs; those inside of them are not counted.
    values: usize,
}

/// Enough for most keys: a larger one grows.
const USUAL: usize = 64;

pub(super) fn encode<K: Key + ?Sized>(key: &K) -> Vec<u8> {
    let mut encoder = KeyEncoder { bytes: Vec::with_capacity(USUAL), values: 0 };
    encoder.child(key);
    encoder.bytes
}

impl KeyEncoder {
    /// The bytes of a key: to test an implementation of [`Key`].
    ///
    /// ```
    /// use gecaso::KeyEncoder;
    ///
    /// assert_eq!(KeyEncoder::encoded(&7_u8), KeyEncoder::encoded(&7_i64));
    /// assert_ne!(KeyEncoder::encoded(&7), KeyEncoder::encoded("7"));
    /// ```
    pub fn encoded<K: Key + ?Sized>(key: &K) -> Vec<u8> {
        encode(key)
    }

    /// Writes a whole number of any size: its absolute value in big-endian bytes, leading zeros or
    /// not. It is the same key as that number in any of Rust's types.
    ///
    /// ```
    /// use gecaso::{Key, KeyEncoder};
    ///
    /// struct Big {
    ///     is_negative: bool,
    ///     magnitude: Vec<u8>,
    /// }
    ///
    /// impl Key for Big {
    ///     fn encode(&self, to: &mut KeyEncoder) {
    ///         to.integer(self.is_negative, &self.magnitude);
    ///     }
    /// }
    ///
    /// let minus_256 = Big { is_negative: true, magnitude: vec![0, 1, 0] };
    /// assert_eq!(KeyEncoder::encoded(&minus_256), KeyEncoder::encoded(&-256));
    /// ```
    pub fn integer(&mut self, is_negative: bool, magnitude: &[u8]) {
        let zeros = magnitude.iter().take_while(|byte| **byte == 0).count();
        let magnitude = &magnitude[zeros..];
        let is_negative = is_negative && !magnitude.is_empty();
        self.framed(if is_negative { tag::NEGATIVE } else { tag::WHOLE }, magnitude);
    }

    /// Writes a list, like that of a `Vec` with these items.
    pub fn list<K: Key>(&mut self, items: impl IntoIterator<Item = K>) {
        self.open(tag::LIST);
        let at = self.reserve();
        let mut count = 0;
        for item in items {
            self.child(&item);
            count += 1;
        }
        self.fill(at, count);
    }

    /// Writes a set, like that of a `HashSet` with these items: in whatever order they come.
    pub fn set<K: Key>(&mut self, items: impl IntoIterator<Item = K>) {
        self.sorted(tag::SET, items, |to, item| to.child(&item));
    }

    /// Writes a map, like that of a `HashMap` with these entries: in whatever order they come.
    pub fn map<K: Key, V: Key>(&mut self, entries: impl IntoIterator<Item = (K, V)>) {
        self.sorted(tag::MAP, entries, |to, (key, value)| {
            to.child(&key);
            to.child(&value);
        });
    }

    /// Writes a structure: its name, then each field's name and value, in this order.
    ///
    /// What is derived looks the same; the fields of a tuple are called `"0"`, `"1"` and so on.
    pub fn structure(&mut self, name: &str, fields: &[(&str, &dyn Key)]) {
        self.open(tag::STRUCT);
        self.block(name.as_bytes());
        self.fields(fields);
    }

    /// Writes a variant of an enum: the names of both, then the fields, as in a
    /// [`structure`](Self::structure).
    pub fn variant(&mut self, name: &str, variant: &str, fields: &[(&str, &dyn Key)]) {
        self.open(tag::VARIANT);
        self.block(name.as_bytes());
        self.block(variant.as_bytes());
        self.fields(fields);
    }

    fn fields(&mut self, fields: &[(&str, &dyn Key)]) {
        self.varint(fields.len() as u64);
        for (name, value) in fields {
            self.block(name.as_bytes());
            self.child(*value);
        }
    }

    /// Begins a value of the `encode` that runs.
    pub(super) fn open(&mut self, tag: u8) {
        self.values += 1;
        self.bytes.push(tag);
    }

    /// A value inside of the one that was begun: exactly one, whatever its `encode` does.
    pub(crate) fn child<K: Key + ?Sized>(&mut self, key: &K) {
        let (start, outer) = (self.bytes.len(), std::mem::take(&mut self.values));
        key.encode(self);
        if self.values != 1 {
            self.gather(start);
        }
        self.values = outer;
    }

    /// Makes a tuple of the values from `start` on.
    #[cold]
    fn gather(&mut self, start: usize) {
        self.bytes.splice(start..start, [tag::TUPLE, 0]);
        self.fill(start + 1, self.values as u64);
    }

    /// A tag, and all that follows it as bytes.
    pub(super) fn framed(&mut self, tag: u8, bytes: &[u8]) {
        self.open(tag);
        self.block(bytes);
    }

    /// A number that is not negative, or what is left of one without its sign.
    pub(super) fn number(&mut self, is_negative: bool, magnitude: u128) {
        let bytes = magnitude.to_be_bytes();
        let zeros = magnitude.leading_zeros() as usize / 8;
        self.framed(if is_negative { tag::NEGATIVE } else { tag::WHOLE }, &bytes[zeros..]);
    }

    /// `Some`: the value itself, unless that could be taken for another `Option`.
    pub(super) fn some<K: Key + ?Sized>(&mut self, key: &K) {
        let start = self.bytes.len();
        self.values += 1;
        self.child(key);
        if matches!(self.bytes[start], tag::NONE | tag::SOME) {
            self.bytes.insert(start, tag::SOME);
        }
    }

    pub(super) fn slice<K: Key>(&mut self, items: &[K]) {
        self.open(tag::LIST);
        self.varint(items.len() as u64);
        for item in items {
            self.child(item);
        }
    }

    /// Begins a tuple; so many [children](Self::child) must follow.
    pub(crate) fn tuple(&mut self, count: usize) {
        self.open(tag::TUPLE);
        self.varint(count as u64);
    }

    /// Bytes that tell nothing of their length: one more must not be taken for another value.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn block(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn varint(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.bytes.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.bytes.push(n as u8);
    }

    /// Leaves room for a length or a count that is not known yet.
    pub(super) fn reserve(&mut self) -> usize {
        self.bytes.push(0);
        self.bytes.len() - 1
    }

    /// How many bytes stand behind the room at `at`.
    pub(super) fn since(&self, at: usize) -> u64 {
        (self.bytes.len() - at - 1) as u64
    }

    /// Fills the room at `at`.
    pub(super) fn fill(&mut self, at: usize, n: u64) {
        if n < 0x80 {
            self.bytes[at] = n as u8;
        } else {
            let tail = self.bytes.split_off(at + 1);
            self.bytes.pop();
            self.varint(n);
            self.bytes.extend_from_slice(&tail);
        }
    }

    /// Entries in the order of their bytes, which is the same in every process and language.
    fn sorted<I>(
        &mut self,
        tag: u8,
        entries: impl IntoIterator<Item = I>,
        write: impl Fn(&mut Self, I),
    ) {
        self.open(tag);
        let start = self.bytes.len();
        let mut ends = Vec::new();
        for entry in entries {
            write(self, entry);
            ends.push(self.bytes.len() - start);
        }
        let unordered = self.bytes.split_off(start);
        let mut from = 0;
        let slices = ends.into_iter().map(|end| &unordered[std::mem::replace(&mut from, end)..end]);
        let mut slices: Vec<&[u8]> = slices.collect();
        slices.sort_unstable();
        self.varint(slices.len() as u64);
        for slice in slices {
            self.bytes.extend_from_slice(slice);
        }
    }
}
