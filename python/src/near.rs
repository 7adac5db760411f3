//! A storage of the core, in this process: what the package's `MemoryStorage` and `LRUStorage`
//! hold.

use crate::raw::arguments::Key;
use crate::raw::object::Object;
use gecaso::{Cache, LruStorage, MemoryStorage};
use pyo3::prelude::*;
use std::time::Duration;

/// One storage, which any number of functions may share.
#[pyclass(frozen, module = "gecaso._gecaso")]
pub(crate) struct Near {
    kind: Kind,
}

enum Kind {
    Memory(MemoryStorage),
    Lru(LruStorage),
}

#[pymethods]
impl Near {
    /// Without a bound if there is none; in order of use if `lru`.
    #[new]
    fn new(maxsize: Option<usize>, lru: bool) -> Self {
        let kind = match (maxsize, lru) {
            (Some(bound), true) => Kind::Lru(LruStorage::new(bound)),
            (Some(bound), false) => Kind::Memory(MemoryStorage::bounded(bound)),
            // Nothing is ever evicted, so there is no order either.
            (None, _) => Kind::Memory(MemoryStorage::unbounded()),
        };
        Near { kind }
    }

    fn __len__(&self) -> usize {
        match &self.kind {
            Kind::Memory(storage) => storage.len(),
            Kind::Lru(storage) => storage.len(),
        }
    }
}

impl Near {
    /// A cache of its own in this storage.
    pub(crate) fn open(&self, ttl: Option<Duration>) -> Cache<Key, Object> {
        let builder = match &self.kind {
            Kind::Memory(storage) => Cache::builder().storage(storage),
            Kind::Lru(storage) => Cache::builder().storage(storage),
        };
        match ttl {
            Some(ttl) => builder.ttl(ttl).build(),
            None => builder.build(),
        }
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Near>()
}
