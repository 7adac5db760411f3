//! Heads of MessagePack items as bytes, always the shortest: the tables of the format's
//! specification, from left to right. A leaf.

/// Nothing: `()` and `None`.
pub(super) const NIL: u8 = 0xc0;

/// The extension type of a `Some` around what begins with a nil, as in `Some(None)`, which would
/// otherwise be read as `None`. Its data is what lies inside of the `Some`.
pub const SOME: i8 = 1;

/// What a bin of 16 bytes begins with where it is a whole number of 128 bits that a language
/// without widths has written: one with a sign, and one without. Ours say their width, and are
/// bins like all others; both are longer than need be, so that a reader can tell them from bytes.
pub const SIGNED_WIDE: u8 = 0xc5;
/// See [`SIGNED_WIDE`].
pub const UNSIGNED_WIDE: u8 = 0xc6;

/// A head: its bytes and how many of them there are.
pub struct Head([u8; 9], u8);

impl Head {
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.0[..usize::from(self.1)]
    }

    #[inline]
    fn one(marker: u8) -> Self {
        Head([marker, 0, 0, 0, 0, 0, 0, 0, 0], 1)
    }

    #[inline]
    fn with<const N: usize>(marker: u8, number: [u8; N]) -> Self {
        let mut bytes = [0; 9];
        bytes[0] = marker;
        bytes[1..=N].copy_from_slice(&number);
        Head(bytes, N as u8 + 1)
    }
}

/// Nothing.
#[inline]
pub fn nil() -> Head {
    Head::one(NIL)
}

/// False or true.
#[inline]
pub fn boolean(value: bool) -> Head {
    Head::one(0xc2 | u8::from(value))
}

/// A whole number.
#[inline]
pub fn unsigned(value: u64) -> Head {
    if value < 0x80 {
        Head::one(value as u8)
    } else if let Ok(value) = u8::try_from(value) {
        Head::with(0xcc, value.to_be_bytes())
    } else if let Ok(value) = u16::try_from(value) {
        Head::with(0xcd, value.to_be_bytes())
    } else if let Ok(value) = u32::try_from(value) {
        Head::with(0xce, value.to_be_bytes())
    } else {
        Head::with(0xcf, value.to_be_bytes())
    }
}

/// A whole number, below zero or not.
#[inline]
pub fn signed(value: i64) -> Head {
    if let Ok(value) = u64::try_from(value) {
        unsigned(value)
    } else if value >= -32 {
        Head::one(value as u8)
    } else if let Ok(value) = i8::try_from(value) {
        Head::with(0xd0, value.to_be_bytes())
    } else if let Ok(value) = i16::try_from(value) {
        Head::with(0xd1, value.to_be_bytes())
    } else if let Ok(value) = i32::try_from(value) {
        Head::with(0xd2, value.to_be_bytes())
    } else {
        Head::with(0xd3, value.to_be_bytes())
    }
}

#[inline]
pub(super) fn float32(value: f32) -> Head {
    Head::with(0xca, value.to_be_bytes())
}

/// A float.
#[inline]
pub fn float64(value: f64) -> Head {
    Head::with(0xcb, value.to_be_bytes())
}

/// A text of so many bytes.
#[inline]
pub fn text(length: u32) -> Head {
    match length {
        0..32 => Head::one(0xa0 | length as u8),
        32..0x100 => Head::with(0xd9, (length as u8).to_be_bytes()),
        0x100..0x1_0000 => Head::with(0xda, (length as u16).to_be_bytes()),
        _ => Head::with(0xdb, length.to_be_bytes()),
    }
}

/// So many bytes.
#[inline]
pub fn binary(length: u32) -> Head {
    match length {
        0..0x100 => Head::with(0xc4, (length as u8).to_be_bytes()),
        0x100..0x1_0000 => Head::with(0xc5, (length as u16).to_be_bytes()),
        _ => Head::with(0xc6, length.to_be_bytes()),
    }
}

/// An array of so many items.
#[inline]
pub fn array(length: u32) -> Head {
    match length {
        0..16 => Head::one(0x90 | length as u8),
        16..0x1_0000 => Head::with(0xdc, (length as u16).to_be_bytes()),
        _ => Head::with(0xdd, length.to_be_bytes()),
    }
}

/// A map of so many entries.
#[inline]
pub fn map(length: u32) -> Head {
    match length {
        0..16 => Head::one(0x80 | length as u8),
        16..0x1_0000 => Head::with(0xde, (length as u16).to_be_bytes()),
        _ => Head::with(0xdf, length.to_be_bytes()),
    }
}

/// The head of a `Some` that holds so many bytes.
pub(super) fn some(length: u8) -> Head {
    match length {
        1 => Head::with(0xd4, [SOME as u8]),
        _ => Head::with(0xc7, [length, SOME as u8]),
    }
}

/// Whether an item that begins so could be taken for a `None`, if a `Some` around it left no trace.
pub(super) fn looks_like_none(first: u8) -> bool {
    // We write no other extensions than that of `some`.
    matches!(first, NIL | 0xd4 | 0xc7)
}
