//! What `gecaso.lru_cache` makes: functools' semantics over the core's storage.
//!
//! Keys are the arguments as they are given, compared by `==`; bodies of one key may run side by
//! side, as they do there. The hit path is in `raw/loose`.

use crate::raw::arguments::Key;
use crate::raw::entry;
use crate::raw::loose;
use crate::raw::object::{self, Object};
use gecaso::face::calls;
use gecaso::{Cache, LruStorage, MemoryStorage};
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A function under `lru_cache`.
#[pyclass(frozen, subclass, dict, weakref, module = "gecaso._gecaso")]
pub(crate) struct LruCache {
    vectorcall: ffi::vectorcallfunc,
    inner: Option<Box<Inner>>,
}

pub(crate) struct Inner {
    pub(crate) body: Object,
    pub(crate) typed: bool,
    /// Whether nothing is kept.
    pub(crate) is_off: bool,
    /// Stands before names in a key: an object that no caller has.
    pub(crate) marker: Object,
    pub(crate) cache: Cache<Key<true>, Object>,
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
}

#[pymethods]
impl LruCache {
    #[new]
    fn new(body: &Bound<'_, PyAny>, maxsize: Option<usize>, typed: bool) -> Self {
        let cache = match maxsize {
            Some(bound) => Cache::new(LruStorage::new(bound)),
            None => Cache::new(MemoryStorage::unbounded()),
        };
        let inner = Inner {
            body: body.clone().into(),
            typed,
            is_off: maxsize == Some(0),
            marker: body.py().get_type::<LruCache>().into_any().into(),
            cache,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        };
        LruCache { vectorcall: loose::call, inner: Some(Box::new(inner)) }
    }

    /// Only what finds a call slot here; calls go another way.
    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        slf.as_any().call(args, kwargs)
    }

    fn __get__<'py>(
        slf: &Bound<'py, Self>,
        instance: Option<&Bound<'py, PyAny>>,
        _owner: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        object::method(slf.as_any(), instance)
    }

    /// Hits, misses, entries.
    fn _counts(&self) -> (u64, u64, u64) {
        let inner = self.inner();
        let entries = inner.cache.stats().entries;
        (inner.hits.load(Relaxed), inner.misses.load(Relaxed), entries)
    }

    fn _clear(&self) {
        let inner = self.inner();
        inner.hits.store(0, Relaxed);
        inner.misses.store(0, Relaxed);
        drop(inner.cache.clear());
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Some(inner) = &self.inner else { return Ok(()) };
        let mut outcome = object::visit(&visit, &inner.body);
        calls::show_entries(&inner.cache, |key, value| {
            if outcome.is_ok() {
                outcome = object::visit(&visit, &key.0).and_then(|()| object::visit(&visit, value));
            }
        });
        outcome
    }

    fn __clear__(&self) {
        if let Some(inner) = &self.inner {
            drop(inner.cache.clear());
        }
    }
}

impl LruCache {
    #[inline]
    pub(crate) fn inner(&self) -> &Inner {
        match &self.inner {
            Some(inner) => inner,
            None => unreachable!("nobody outside has one without"),
        }
    }
}

/// Makes calls of this subclass of `LruCache` go the short way.
#[pyfunction]
fn install_lru_cache(class: &Bound<'_, PyType>) -> PyResult<()> {
    let py = class.py();
    let probe = Bound::new(py, LruCache { vectorcall: loose::call, inner: None })?;
    let offset = entry::offset_in(probe.as_any(), &raw const probe.get().vectorcall);
    entry::install(&py.get_type::<LruCache>(), offset);
    entry::install(class, offset);
    Ok(())
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<LruCache>()?;
    module.add_function(wrap_pyfunction!(install_lru_cache, module)?)
}
