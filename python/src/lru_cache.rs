//! What `gecaso.lru_cache` makes: functools' semantics, without the core.
//!
//! Keys are the arguments as they are given, compared by `==`; bodies of one key may run side by
//! side, as they do there. So there are no flights, and the interpreter's lock is enough. Calls are
//! in `raw/loose`, results in `raw/recent`.

use crate::raw::entry;
use crate::raw::loose;
use crate::raw::object::{self, Object};
use crate::raw::recent::Recent;
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

/// A function under `lru_cache`.
#[pyclass(frozen, subclass, dict, weakref, module = "gecaso._gecaso")]
pub(crate) struct LruCache {
    vectorcall: ffi::vectorcallfunc,
    inner: Option<Box<Inner>>,
}

pub(crate) struct Inner {
    pub(crate) body: Object,
    pub(crate) typed: bool,
    /// Stands before names in a key: an object that no caller has.
    pub(crate) marker: Object,
    pub(crate) entries: Recent,
}

#[pymethods]
impl LruCache {
    #[new]
    fn new(body: &Bound<'_, PyAny>, maxsize: Option<usize>, typed: bool) -> Self {
        let inner = Inner {
            body: body.clone().into(),
            typed,
            marker: body.py().get_type::<LruCache>().into_any().into(),
            entries: Recent::new(maxsize),
        };
        let vectorcall = if maxsize == Some(0) { loose::call_unkept } else { loose::call };
        LruCache { vectorcall, inner: Some(Box::new(inner)) }
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
    fn _counts(&self, py: Python<'_>) -> (u64, u64, usize) {
        self.inner().entries.counts(py)
    }

    fn _clear(&self, py: Python<'_>) {
        self.inner().entries.clear(py);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Some(inner) = &self.inner else { return Ok(()) };
        object::visit(&visit, &inner.body)?;
        inner.entries.visit(&visit)
    }

    fn __clear__(&self) {
        if let Some(inner) = &self.inner {
            Python::attach(|py| inner.entries.clear(py));
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
