//! What a type asks for while it is read, in order, as one number. A type that has changed asks for
//! something else, and its old values are noticed even where they could still be read: two fields
//! that have swapped places, a field with a default that came later.
//!
//! Field and variant names are part of a shape, names of types are not. The number is stored, so
//! the same build of gecaso is not the only one that must come to it: whatever changes it here
//! makes every stored value a miss.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The shape of a type, as one of its values shows it: an empty `Vec` has no elements to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape(pub(crate) u64);

/// What a type can ask for. The numbers are stored, as part of the digest: never change one.
#[derive(Debug, Clone, Copy)]
#[repr(u64)]
pub(super) enum Asked {
    Any = 1,
    Bool = 2,
    I8 = 3,
    I16 = 4,
    I32 = 5,
    I64 = 6,
    I128 = 7,
    U8 = 8,
    U16 = 9,
    U32 = 10,
    U64 = 11,
    U128 = 12,
    F32 = 13,
    F64 = 14,
    Char = 15,
    Str = 16,
    String = 17,
    Bytes = 18,
    ByteBuf = 19,
    Option = 20,
    Unit = 21,
    UnitStruct = 22,
    Newtype = 23,
    Seq = 24,
    Tuple = 25,
    TupleStruct = 26,
    Map = 27,
    Struct = 28,
    Enum = 29,
    Identifier = 30,
    UnitVariant = 31,
    NewtypeVariant = 32,
    TupleVariant = 33,
    StructVariant = 34,
}

/// The digest of what was asked for so far.
pub(super) struct Trace {
    digest: u64,
    /// Digests of lists of names met before, by where the list lies: a list is `'static`, so what
    /// lies there stays the same. A `Vec` of structs asks for the same list each time.
    lists: [(*const &'static str, usize, u64); 4],
}

/// The fraction of the golden ratio in 64 bits: odd, and its bits look like those of chance.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Trace {
    pub(super) fn new() -> Self {
        Trace { digest: SPREAD, lists: [(std::ptr::null(), 0, 0); 4] }
    }

    #[inline]
    fn add(&mut self, number: u64) {
        self.digest = fold(self.digest ^ number);
    }

    #[inline]
    pub(super) fn ask(&mut self, what: Asked) {
        self.add(what as u64);
    }

    /// Of a fixed length.
    #[inline]
    pub(super) fn ask_many(&mut self, what: Asked, length: usize) {
        self.ask(what);
        self.add(length as u64);
    }

    /// By these names, in this order.
    #[inline]
    pub(super) fn ask_names(&mut self, what: Asked, names: &'static [&'static str]) {
        self.ask(what);
        let place = (names.as_ptr() as usize >> 4) % self.lists.len();
        let (at, length, known) = self.lists[place];
        let digest = if at == names.as_ptr() && length == names.len() {
            known
        } else {
            let digest = of_names(names);
            self.lists[place] = (names.as_ptr(), names.len(), digest);
            digest
        };
        self.add(digest);
    }

    pub(super) fn shape(&self) -> Shape {
        Shape(self.digest)
    }
}

/// Both halves of the product, so that every bit of the number reaches every bit of the result.
#[inline]
fn fold(number: u64) -> u64 {
    let product = u128::from(number) * u128::from(SPREAD);
    (product as u64) ^ ((product >> 64) as u64)
}

fn of_names(names: &[&str]) -> u64 {
    let start = names.len() as u64;
    names.iter().fold(start, |digest, name| xxh3_64_with_seed(name.as_bytes(), digest))
}
