//! What a storage in memory keeps of a call: its key and its value.
//!
//! Made by `call`, kept by `table`. Knows neither.

use super::raw::may_lie_inline;
use std::sync::Arc;

/// What is stored: the key, for exact comparison, and the value.
pub(crate) struct Entry<K, V> {
    pub(crate) key: K,
    pub(crate) value: V,
}

/// An entry in its place.
pub(crate) enum Stored<K, V> {
    /// Plain types of the standard library with nothing to drop: in the place itself.
    Inline(Entry<K, V>),
    /// Any other.
    Shared(Arc<Entry<K, V>>),
}

impl<K, V> Stored<K, V> {
    /// `plain`: comparing the key and cloning the value runs no foreign code.
    #[inline]
    pub(crate) fn new(key: K, value: V, plain: bool) -> Self {
        let entry = Entry { key, value };
        if plain && may_lie_inline::<K, V>() {
            Stored::Inline(entry)
        } else {
            Stored::Shared(Arc::new(entry))
        }
    }

    pub(crate) fn entry(&self) -> &Entry<K, V> {
        match self {
            Stored::Inline(entry) => entry,
            Stored::Shared(entry) => entry,
        }
    }
}
