//! Which bodies the running code is part of, also in tasks and threads that a body has begun.
//!
//! The core knows it for the thread that runs a body. Tasks inherit the context of who makes them,
//! as do threads of `asyncio.to_thread`: so the chain of an asynchronous body is kept in a context
//! variable, and a child that calls its parent's key runs the body instead of waiting for ever.

use crate::raw::context::Variable;
use gecaso::face::calls::{self, Chain};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A chain in the context variable.
#[pyclass(frozen, module = "gecaso._gecaso")]
struct Kept(Chain);

static VARIABLE: PyOnceLock<Variable> = PyOnceLock::new();
/// Whether there was ever a chain in it: before, nobody has to look.
static IS_USED: AtomicBool = AtomicBool::new(false);

fn variable(py: Python<'_>) -> PyResult<&Variable> {
    VARIABLE.get_or_try_init(py, || Variable::new(py, c"gecaso._chain"))
}

/// A chain in the context, until it is taken out.
pub(crate) struct Entered(Py<PyAny>);

/// Puts the running body's chain into the context.
pub(crate) fn enter(py: Python<'_>) -> Option<Entered> {
    let kept = Bound::new(py, Kept(calls::chain()?)).ok()?;
    let token = variable(py).ok()?.set(kept.as_any())?;
    IS_USED.store(true, Relaxed);
    Some(Entered(token))
}

impl Entered {
    /// Takes it out. In another context, where a coroutine may have been moved to, there is nothing
    /// to take out.
    pub(crate) fn leave(self, py: Python<'_>) {
        if let Ok(variable) = variable(py) {
            variable.reset(py, &self.0);
        }
    }
}

/// Runs something as part of the body that has begun this task or thread, if one has.
#[inline]
pub(crate) fn within<T>(py: Python<'_>, run: impl FnOnce() -> T) -> T {
    if IS_USED.load(Relaxed) && calls::chain().is_none() {
        let kept = variable(py).ok().and_then(|variable| variable.get(py));
        if let Some(kept) = kept.and_then(|kept| kept.cast_into_exact::<Kept>().ok()) {
            return calls::within(&kept.get().0, run);
        }
    }
    run()
}
