//! Who a value belongs to while a storage's `set` runs, so that `pack` can write it down: then the
//! function of the same name in Rust believes the entry.
//!
//! Kept in a context variable: a `set` may be a coroutine, and others run between its steps. Set by
//! whoever calls `set`, asked by `pack`. Must not know what is packed.
//!
//! An entry made here is of no epoch: it says 0. Rust believes such an entry if its load began more
//! than two seconds after the epoch did (`far/epoch` in the core), as it does with an entry that
//! was put in before it knew the epoch.

use super::identity::Identity;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::sync::Mutex;

/// What `pack` writes down with one value, and no other: as a context manager, around `set`.
#[pyclass(frozen, module = "gecaso._gecaso", name = "_Sealing")]
pub(crate) struct Sealing {
    value: Py<PyAny>,
    pub(super) fingerprint: u64,
    pub(super) epoch: u64,
    pub(super) begun: u64,
    pub(super) load_took: u64,
    /// `None`: too large to be written down; then nothing is.
    pub(super) key: Option<Vec<u8>>,
    /// What there was in the context before, while this is in it.
    before: Mutex<Vec<Py<PyAny>>>,
}

/// For the value of a call: `begun` and `load_took` in nanoseconds, the former since 1970.
pub(crate) fn sealing_for(
    identity: &Identity,
    arguments: &[u8],
    begun: u64,
    load_took: u64,
    value: &Bound<'_, PyAny>,
) -> Sealing {
    Sealing {
        value: value.clone().unbind(),
        fingerprint: identity.0.fingerprint(),
        epoch: 0,
        begun,
        load_took,
        key: identity.0.echo(arguments),
        before: Mutex::default(),
    }
}

/// For the record of an epoch that began then, which is a `None` under the epoch's key.
pub(crate) fn sealing_for_epoch(py: Python<'_>, identity: &Identity, epoch: u64) -> Sealing {
    let none = py.None().into_bound(py);
    Sealing { epoch, ..sealing_for(identity, &[], epoch, 0, &none) }
}

static CURRENT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Makes the context variable.
pub(super) fn load(py: Python<'_>) -> PyResult<()> {
    let make = || {
        let named = pyo3::types::PyDict::new(py);
        named.set_item("default", py.None())?;
        let class = py.import("contextvars")?.getattr("ContextVar")?;
        Ok(class.call(("gecaso._sealing",), Some(&named))?.unbind())
    };
    CURRENT.get_or_try_init(py, make).map(drop)
}

fn variable(py: Python<'_>) -> &Bound<'_, PyAny> {
    CURRENT.get(py).expect("loaded with the module").bind(py)
}

/// What is to be written down with this value.
pub(super) fn of<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, Sealing>>> {
    let current = variable(value.py()).call_method0("get")?;
    let current = current.cast_into::<Sealing>().ok();
    Ok(current.filter(|sealing| {
        let sealing = sealing.get();
        sealing.value.is(value) && sealing.key.is_some()
    }))
}

impl Sealing {
    fn before(&self) -> std::sync::MutexGuard<'_, Vec<Py<PyAny>>> {
        // Nothing of Python's runs while it is held.
        self.before.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[pymethods]
impl Sealing {
    pub(crate) fn __enter__(slf: &Bound<'_, Self>) -> PyResult<()> {
        let token = variable(slf.py()).call_method1("set", (slf,))?.unbind();
        slf.get().before().push(token);
        Ok(())
    }

    #[pyo3(signature = (*_raised))]
    pub(crate) fn __exit__(
        slf: &Bound<'_, Self>,
        _raised: &Bound<'_, pyo3::types::PyTuple>,
    ) -> PyResult<()> {
        let token = slf.get().before().pop();
        if let Some(token) = token {
            variable(slf.py()).call_method1("reset", (token,))?;
        }
        Ok(())
    }
}

/// `sealing_for` for Python. Times in nanoseconds.
#[pyfunction]
#[pyo3(signature = (name, version, arguments, value, begun, load_took = 0))]
pub(super) fn _sealing(
    name: &str,
    version: u32,
    arguments: &[u8],
    value: &Bound<'_, PyAny>,
    begun: u64,
    load_took: u64,
) -> Sealing {
    sealing_for(&Identity::new(name, version), arguments, begun, load_took, value)
}

/// `sealing_for_epoch` for Python.
#[pyfunction]
pub(super) fn _sealing_epoch(py: Python<'_>, name: &str, version: u32, epoch: u64) -> Sealing {
    sealing_for_epoch(py, &Identity::new(name, version), epoch)
}
