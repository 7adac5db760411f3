//! What a storage in memory keeps of a call: its key and its value.
//!
//! Made by `call`, kept by `table`. Knows neither.

use std::sync::Arc;

/// What is stored: the key, for exact comparison, and the value.
pub(crate) struct Entry<K, V> {
    pub(crate) key: K,
    pub(crate) value: V,
}

/// An entry in its slot.
pub(crate) enum Stored<K, V> {
    /// Key and value are plain types of the standard library: compared and cloned in place.
    Plain(Entry<K, V>),
    /// Comparing or cloning may run foreign code: that happens outside of the lock.
    Foreign(Arc<Entry<K, V>>),
}

impl<K, V> Stored<K, V> {
    pub(crate) fn new(key: K, value: V, plain: bool) -> Self {
        let entry = Entry { key, value };
        if plain { Stored::Plain(entry) } else { Stored::Foreign(Arc::new(entry)) }
    }

    pub(crate) fn entry(&self) -> &Entry<K, V> {
        match self {
            Stored::Plain(entry) => entry,
            Stored::Foreign(entry) => entry,
        }
    }

    pub(super) fn foreign(&self) -> Option<&Arc<Entry<K, V>>> {
        match self {
            Stored::Plain(_) => None,
            Stored::Foreign(entry) => Some(entry),
        }
    }

    /// Another one for the same entry: plain types are cloned, which runs no foreign code.
    pub(super) fn copy(&self) -> Self
    where
        K: Clone,
        V: Clone,
    {
        match self {
            Stored::Plain(Entry { key, value }) => {
                Stored::Plain(Entry { key: key.clone(), value: value.clone() })
            }
            Stored::Foreign(entry) => Stored::Foreign(entry.clone()),
        }
    }
}
