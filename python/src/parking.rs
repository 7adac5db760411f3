//! How a thread of Python's waits for another one's body: without the interpreter's lock, and
//! looking up now and then, so that Ctrl-C ends it.

use crate::failed;
use gecaso::face::calls;
use pyo3::prelude::*;
use std::time::Duration;

/// Signals are looked for this often.
const LOOK_UP: Duration = Duration::from_millis(50);

#[allow(unsafe_code)]
fn park() {
    // SAFETY: only asks.
    if unsafe { pyo3::ffi::PyGILState_Check() } == 0 {
        return std::thread::park();
    }
    Python::attach(|py| {
        py.detach(|| std::thread::park_timeout(LOOK_UP));
        if let Err(error) = py.check_signals() {
            failed::escape(error);
        }
    });
}

/// To be called in a child process, before anything else of gecaso's.
#[pyfunction]
fn after_fork() {
    calls::after_fork();
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    calls::park_by(park);
    module.add_function(wrap_pyfunction!(after_fork, module)?)
}
