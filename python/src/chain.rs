//! Which bodies the running code is part of, also in tasks and threads that a body has begun.
//!
//! The core knows it for the thread that runs a body. Tasks inherit the context of who makes them,
//! as do threads of `asyncio.to_thread`: so the chain of an asynchronous body is kept in a context
//! variable, and a child that calls its parent's key runs the body instead of waiting for ever.

use gecaso::face::calls::{self, Chain};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A chain in the context variable.
#[pyclass(frozen, module = "gecaso._gecaso")]
struct Kept(Chain);

static VARIABLE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
/// Whether there was ever a chain in it: before, nobody has to look.
static IS_USED: AtomicBool = AtomicBool::new(false);

fn variable(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    let make = || {
        let named = PyDict::new(py);
        named.set_item("default", py.None())?;
        let class = py.import("contextvars")?.getattr("ContextVar")?;
        Ok(class.call(("gecaso._chain",), Some(&named))?.unbind())
    };
    VARIABLE.get_or_try_init(py, make).map(|variable| variable.bind(py))
}

/// A chain in the context, until it is taken out.
pub(crate) struct Entered(Py<PyAny>);

/// Puts the running body's chain into the context.
pub(crate) fn enter(py: Python<'_>) -> Option<Entered> {
    let kept = Bound::new(py, Kept(calls::chain()?)).ok()?;
    let token = variable(py).ok()?.call_method1("set", (kept,)).ok()?;
    IS_USED.store(true, Relaxed);
    Some(Entered(token.unbind()))
}

impl Entered {
    /// Takes it out. In another context, where a coroutine may have been moved to, there is nothing
    /// to take out.
    pub(crate) fn leave(self, py: Python<'_>) {
        if let Ok(variable) = variable(py) {
            drop(variable.call_method1("reset", (self.0,)));
        }
    }
}

/// Runs something as part of the body that has begun this task or thread, if one has.
#[inline]
pub(crate) fn within<T>(py: Python<'_>, run: impl FnOnce() -> T) -> T {
    if IS_USED.load(Relaxed) && calls::chain().is_none() {
        let kept = variable(py).and_then(|variable| variable.call_method0("get"));
        if let Ok(kept) = kept.and_then(|kept| Ok(kept.cast_into::<Kept>()?)) {
            return calls::within(&kept.get().0, run);
        }
    }
    run()
}
