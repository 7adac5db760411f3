//! How large a stored entry may be. A leaf; asked before anything is sliced or allocated.

/// The most that a key may take, in bytes: its full encoding is kept beside the value.
pub(crate) const KEY: usize = 64 << 10;

/// The most that the parameters may take, in bytes.
pub(crate) const PARAMS: usize = 64 << 10;

/// The most that a value may take unless the cache says otherwise, in bytes.
pub(crate) const VALUE: usize = 16 << 20;

/// How deep arrays and maps may lie in one another, and how many `Some`s and newtypes may lie
/// around what is read. It bounds the stack that hostile bytes can ask for.
pub(crate) const DEPTH: u8 = 128;

/// The limits that can be chosen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The most that a value may take, in bytes.
    pub(crate) value: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { value: VALUE }
    }
}
