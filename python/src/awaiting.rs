//! What a miss of an asynchronous function returns: a coroutine that takes the path of a call.
//!
//! Whoever awaits it drives it. Who leads drives the body in its own task, and what the body yields
//! is handed on to the loop as it is, so bodies run under any loop; who follows waits on something
//! of the loop's own, which the package makes (`_waiting`).
//!
//! The core's path is a Rust future: `resume` polls it, and what a poll leads to is told over the
//! `Bridge` between the future's body and the coroutine.

use crate::chain;
use crate::failed::{self, Failed};
use crate::function::Function;
use crate::identity::Tied;
use crate::raw::arguments::Key;
use crate::raw::entry::{Kept, run_kept};
use crate::raw::object::Object;
use crate::raw::resume::{self, Resumable, Resumed, Step};
use gecaso::face::calls::{self, Missed};
use pyo3::exceptions::{
    PyRuntimeError, PyRuntimeWarning, PyStopIteration, PyTypeError, PyValueError,
};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// A call that found nothing, to be awaited.
#[pyclass(frozen, weakref, name = "coroutine", module = "gecaso._gecaso")]
pub(crate) struct Awaiting {
    state: Mutex<State>,
}

enum State {
    New(Box<Start>),
    Running(Box<Running>),
    /// Being resumed at this moment.
    Busy,
    Done,
}

/// A call that has not begun.
struct Start {
    function: Py<Function>,
    missed: Missed<Key>,
    /// What the entry has to go with, if it has to.
    tied: Option<Tied>,
    kept: Kept,
    refreshes: bool,
}

struct Running {
    future: Pin<Box<dyn Future<Output = Result<Object, Failed>> + Send>>,
    bridge: Arc<Bridge>,
    waking: Arc<Waking>,
    /// What this call waits on while another one's body runs.
    waiting: Option<Py<PyAny>>,
    tied: Option<Tied>,
}

/// Between the coroutine and the body that the future polls. What both need is in here once, so
/// that the collector sees each reference.
struct Bridge {
    function: Py<Function>,
    kept: Kept,
    /// The body, from when it begins until it ends.
    body: Mutex<Option<Py<PyAny>>>,
    /// What goes into the body next.
    inbox: Mutex<Option<Resume>>,
    /// What the body has yielded.
    outbox: Mutex<Option<Object>>,
    /// What the body has raised that is nobody else's business.
    escaped: Mutex<Option<PyErr>>,
}

/// How a coroutine is resumed.
enum Resume {
    Send(Object),
    Throw(Object),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Awaiting {
    /// `tied`: what the entry has to go with, if it has to.
    pub(crate) fn new(
        function: &Bound<'_, Function>,
        missed: Missed<Key>,
        tied: Option<Tied>,
        kept: Kept,
        refreshes: bool,
    ) -> Self {
        let function = function.clone().unbind();
        let start = Start { function, missed, tied, kept, refreshes };
        Awaiting { state: Mutex::new(State::New(Box::new(start))) }
    }

    pub(crate) fn into_bound(self, py: Python<'_>) -> PyResult<Bound<'_, Self>> {
        Bound::new(py, self)
    }

    /// Goes on until there is something to wait for, or the end.
    fn go_on<'py>(&self, py: Python<'py>, how: Resume) -> PyResult<Step<'py>> {
        let state = std::mem::replace(&mut *lock(&self.state), State::Busy);
        let mut running = match (state, &how) {
            (State::Running(running), _) => running,
            (State::New(start), Resume::Send(value)) if !value.bind(py).is_none() => {
                *lock(&self.state) = State::New(start);
                let text = "can't send non-None value to a just-started coroutine";
                return Err(PyTypeError::new_err(text));
            }
            (State::New(start), Resume::Send(_)) => Box::new(start.run()),
            (State::New(start), Resume::Throw(error)) => {
                self.end();
                drop(start);
                return Err(PyErr::from_value(error.bind(py)));
            }
            (State::Busy, _) => {
                return Err(PyValueError::new_err("coroutine already executing"));
            }
            (State::Done, _) => {
                self.end();
                let text = "cannot reuse already awaited coroutine";
                return Err(PyRuntimeError::new_err(text));
            }
        };
        let step = running.go_on(py, how);
        match step {
            Ok(Step::Yielded(on)) => {
                *lock(&self.state) = State::Running(running);
                Ok(Step::Yielded(on))
            }
            step => {
                // The key is free before anybody hears of it.
                drop(running);
                self.end();
                step
            }
        }
    }

    fn end(&self) {
        *lock(&self.state) = State::Done;
    }
}

impl Start {
    fn run(self) -> Running {
        let Start { function, missed, tied, kept, refreshes } = self;
        let bridge = Arc::new(Bridge {
            function,
            kept,
            body: Mutex::default(),
            inbox: Mutex::default(),
            outbox: Mutex::default(),
            escaped: Mutex::default(),
        });
        let of_future = bridge.clone();
        let body = Body(bridge.clone());
        let future = async move {
            let cache = &of_future.function.get().inner().cache;
            match refreshes {
                true => calls::reload_async(cache, missed, body).await,
                false => calls::load_async(cache, missed, body).await,
            }
        };
        let waking = Arc::new(Waking::default());
        Running { future: Box::pin(future), bridge, waking, waiting: None, tied }
    }
}

impl Running {
    fn go_on<'py>(&mut self, py: Python<'py>, mut how: Resume) -> PyResult<Step<'py>> {
        loop {
            if let Some(waiting) = self.waiting.take() {
                let waiting = waiting.into_bound(py);
                match resumed(&waiting, how)? {
                    Step::Yielded(on) => {
                        self.waiting = Some(waiting.unbind());
                        return Ok(Step::Yielded(on));
                    }
                    Step::Returned(_) => how = Resume::Send(py.None().into_bound(py).into()),
                }
            }
            let in_body = lock(&self.bridge.body).is_some();
            match (&how, in_body) {
                (_, true) => *lock(&self.bridge.inbox) = Some(how),
                (Resume::Throw(error), false) => return Err(PyErr::from_value(error.bind(py))),
                (Resume::Send(_), false) => {}
            }
            self.waking.woken.store(false, Ordering::Release);
            match self.poll(py)? {
                Poll::Ready(value) => {
                    let function = &self.bridge.function;
                    if let Some(tied) = &self.tied {
                        tied.stored(function.bind(py));
                    }
                    let inner = function.get().inner();
                    return copied(py, inner, value).map(Step::Returned);
                }
                Poll::Pending => {}
            }
            if let Some(error) = lock(&self.bridge.escaped).take() {
                return Err(error);
            }
            if let Some(on) = lock(&self.bridge.outbox).take() {
                return Ok(Step::Yielded(on.bind(py)));
            }
            // Another call's body runs: wait until it lands.
            let waiter = py.import("gecaso._waiting")?.call_method0("waiter")?;
            let (waiting, wake): (Bound<'_, PyAny>, Bound<'_, PyAny>) = waiter.extract()?;
            self.waiting = Some(waiting.unbind());
            self.waking.set(py, wake);
            how = Resume::Send(py.None().into_bound(py).into());
        }
    }

    /// Ends what this call waits for, or its body: as `close` of a coroutine does.
    fn close(&mut self, py: Python<'_>) -> PyResult<()> {
        let body = lock(&self.bridge.body).take();
        match self.waiting.take().or(body) {
            Some(coroutine) => resume::close(coroutine.bind(py)),
            None => Ok(()),
        }
    }

    /// Polls the path of the call.
    fn poll(&mut self, py: Python<'_>) -> PyResult<Poll<Object>> {
        let waker = Waker::from(self.waking.clone());
        let future = self.future.as_mut();
        let poll = || future.poll(&mut Context::from_waker(&waker));
        match catch_unwind(AssertUnwindSafe(|| chain::within(py, poll))) {
            Ok(Poll::Pending) => Ok(Poll::Pending),
            Ok(Poll::Ready(outcome)) => failed::caught(py, || outcome).map(Poll::Ready),
            Err(payload) => failed::caught(py, || std::panic::resume_unwind(payload)),
        }
    }
}

fn copied<'py>(
    py: Python<'py>,
    inner: &crate::function::Inner,
    value: Object,
) -> PyResult<Bound<'py, PyAny>> {
    if !inner.copies() {
        return Ok(value.bind(py));
    }
    let copy = inner.copy(py, value);
    // SAFETY: a reference of ours, or null and an exception.
    #[allow(unsafe_code)]
    unsafe {
        Bound::from_owned_ptr_or_err(py, copy)
    }
}

fn resumed<'py>(coroutine: &Bound<'py, PyAny>, how: Resume) -> PyResult<Step<'py>> {
    let py = coroutine.py();
    match how {
        Resume::Send(value) => resume::send(coroutine, &value.bind(py)),
        Resume::Throw(error) => resume::throw(coroutine, error.bind(py)),
    }
}

/// The function's own coroutine, as a future.
struct Body(Arc<Bridge>);

impl Body {
    /// Calls the function.
    fn begin<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>, Failed> {
        let Bridge { function, kept, body, .. } = &*self.0;
        let made = run_kept(function.get().inner(), kept)?;
        let coroutine = resume::awaited(made.bind(py)).map_err(|error| failed::of(py, error))?;
        *lock(body) = Some(coroutine.clone().unbind());
        Ok(coroutine)
    }
}

impl Future for Body {
    type Output = Result<Object, Failed>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Python::attach(|py| {
            let bridge = &self.0;
            let body = lock(&bridge.body).as_ref().map(|body| body.bind(py).clone());
            let (coroutine, how) = match body {
                None => (self.begin(py)?, Resume::Send(py.None().into_bound(py).into())),
                Some(coroutine) => match lock(&bridge.inbox).take() {
                    Some(how) => (coroutine, how),
                    None => return Poll::Pending,
                },
            };
            // So that the tasks that the body begins know whose they are.
            let entered = chain::enter(py);
            let step = resumed(&coroutine, how);
            if let Some(entered) = entered {
                entered.leave(py);
            }
            if !matches!(step, Ok(Step::Yielded(_))) {
                let ended = lock(&bridge.body).take();
                drop(ended);
            }
            match step {
                Ok(Step::Yielded(on)) => {
                    *lock(&bridge.outbox) = Some(on.into());
                    Poll::Pending
                }
                Ok(Step::Returned(value)) => Poll::Ready(Ok(value.into())),
                Err(error) if failed::is_shared(py, &error) => {
                    Poll::Ready(Err(Failed::new(py, error)))
                }
                Err(error) => {
                    *lock(&bridge.escaped) = Some(error);
                    Poll::Pending
                }
            }
        })
    }
}

impl Drop for Body {
    /// A coroutine that is dropped in the middle is closed, as the interpreter would close it.
    fn drop(&mut self) {
        let body = lock(&self.0.body).take();
        if let Some(body) = body {
            Python::attach(|py| {
                let body = body.bind(py);
                if let Err(error) = resume::close(body) {
                    error.write_unraisable(py, Some(body));
                }
            });
        }
    }
}

/// Wakes a call that waits for another one's body.
#[derive(Default)]
struct Waking {
    woken: AtomicBool,
    /// Called to wake; nothing while nobody waits. One of PyO3's references, because a timer's
    /// thread, which does not hold the interpreter's lock, may be the last to let go of this.
    wake: Mutex<Option<Py<PyAny>>>,
}

impl Waking {
    /// From now on `wake` is called, if it need not be called already.
    fn set(&self, py: Python<'_>, wake: Bound<'_, PyAny>) {
        let before = lock(&self.wake).replace(wake.unbind());
        drop(before);
        if self.woken.load(Ordering::Acquire) {
            self.say(py);
        }
    }

    fn say(&self, py: Python<'_>) {
        let wake = lock(&self.wake).take();
        if let Some(wake) = wake {
            let wake = wake.bind(py);
            // A loop that is closed has nobody left who waits.
            if let Err(error) = wake.call0()
                && !error.is_instance_of::<PyRuntimeError>(py)
            {
                error.write_unraisable(py, Some(wake));
            }
        }
    }
}

impl Wake for Waking {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    /// From any thread, and outside of every lock.
    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        Python::try_attach(|py| self.say(py));
    }
}

#[pymethods]
impl Awaiting {
    fn __await__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        if matches!(*lock(&slf.get().state), State::Running(_)) {
            return Err(PyRuntimeError::new_err("coroutine is being awaited already"));
        }
        Ok(slf)
    }

    fn __iter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        Self::__await__(slf)
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let none = slf.py().None().into_bound(slf.py());
        Self::send(slf, none)
    }

    fn send<'py>(slf: &Bound<'py, Self>, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        stopped(py, slf.get().go_on(py, Resume::Send(value.into())))
    }

    #[pyo3(signature = (kind, value = None, traceback = None))]
    fn throw<'py>(
        slf: &Bound<'py, Self>,
        kind: Bound<'py, PyAny>,
        value: Option<Bound<'py, PyAny>>,
        traceback: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let error = match kind.cast::<pyo3::types::PyType>() {
            Err(_) => kind,
            Ok(kind) => match value {
                None => kind.call0()?,
                Some(value) if value.is_instance(kind)? => value,
                Some(value) => match value.cast::<PyTuple>() {
                    Ok(args) => kind.call1(args.clone())?,
                    Err(_) => kind.call1((value,))?,
                },
            },
        };
        if let Some(traceback) = traceback {
            error.call_method1("with_traceback", (traceback,))?;
        }
        stopped(py, slf.get().go_on(py, Resume::Throw(error.into())))
    }

    /// Ends the call: the body is closed, and somebody who waits runs it instead.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let mut state = std::mem::replace(&mut *lock(&self.state), State::Busy);
        let closed = match &mut state {
            State::Busy => return Err(PyValueError::new_err("coroutine already executing")),
            State::Running(running) => running.close(py),
            State::New(_) | State::Done => Ok(()),
        };
        drop(state);
        self.end();
        closed
    }

    #[getter]
    fn cr_running(&self) -> bool {
        matches!(*lock(&self.state), State::Busy)
    }

    #[getter]
    fn __name__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.of_function(py, "__name__")
    }

    #[getter]
    fn __qualname__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.of_function(py, "__qualname__")
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Ok(state) = self.state.try_lock() else { return Ok(()) };
        match &*state {
            State::New(start) => {
                visit.call(&start.function)?;
                start.kept.visit(&visit)
            }
            State::Running(running) => {
                let Bridge { function, kept, body, .. } = &*running.bridge;
                visit.call(function)?;
                kept.visit(&visit)?;
                running.waiting.iter().try_for_each(|waiting| visit.call(waiting))?;
                // Nobody is in there while the call is not being resumed.
                let Ok(body) = body.try_lock() else { return Ok(()) };
                body.iter().try_for_each(|body| visit.call(body))
            }
            State::Busy | State::Done => Ok(()),
        }
    }

    fn __clear__(&self) {
        let state = std::mem::replace(&mut *lock(&self.state), State::Done);
        drop(state);
    }
}

impl Drop for Awaiting {
    /// What nobody awaits has not run: nearly always a mistake. A body in the middle is closed.
    fn drop(&mut self) {
        let state = std::mem::replace(&mut *lock(&self.state), State::Done);
        if matches!(state, State::Busy | State::Done) {
            return;
        }
        Python::attach(|py| {
            // An exception may be on its way out of where this was.
            let raised = PyErr::take(py);
            if let State::New(start) = &state {
                warn_of(py, &start.function);
            }
            drop(state);
            if let Some(raised) = raised {
                raised.restore(py);
            }
        });
    }
}

fn warn_of(py: Python<'_>, function: &Py<Function>) {
    let name = function.getattr(py, "__qualname__");
    let name = name.map_or_else(|_| "function".into(), |name| name.to_string());
    let text = std::ffi::CString::new(format!("coroutine '{name}' was never awaited"));
    let Ok(text) = text else { return };
    if let Err(error) = PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), &text, 1) {
        error.write_unraisable(py, None);
    }
}

impl Awaiting {
    /// An attribute of the function that was called.
    fn of_function<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let function = match &*lock(&self.state) {
            State::New(start) => Some(start.function.clone_ref(py)),
            State::Running(running) => Some(running.bridge.function.clone_ref(py)),
            State::Busy | State::Done => None,
        };
        match function {
            Some(function) => function.into_bound(py).into_any().getattr(name),
            None => Ok(pyo3::types::PyString::new(py, "coroutine").into_any()),
        }
    }
}

/// A step as Python's protocol wants it: the end is an exception.
fn stopped<'py>(py: Python<'py>, step: PyResult<Step<'py>>) -> PyResult<Bound<'py, PyAny>> {
    match step? {
        Step::Yielded(on) => Ok(on),
        // Made by hand: a tuple or an exception would be taken for its arguments.
        Step::Returned(value) => {
            let stop = py.get_type::<PyStopIteration>().call1((value,))?;
            Err(PyErr::from_value(stop))
        }
    }
}

impl Resumable for Awaiting {
    const RESUMED: Resumed = |awaiting, value| match awaiting.cast::<Awaiting>() {
        Ok(awaiting) => awaiting.get().go_on(awaiting.py(), Resume::Send(value.into())),
        Err(error) => Err(error.into()),
    };
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Awaiting>()?;
    resume::install::<Awaiting>(&module.py().get_type::<Awaiting>());
    Ok(())
}
