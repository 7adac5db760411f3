//! A decorated function: what the package's `Cached` inherits from.
//!
//! The hit path is in `raw/entry`, everything that is not in a hurry is here. Conventions, names
//! and words are the package's, in Python.

use crate::awaiting::Awaiting;
use crate::codec;
use crate::failed;
use crate::identity::Tied;
use crate::near::Near;
use crate::raw::arguments::{Call, Few, Given, Holding, Key, Parameter, Parts, Signature};
use crate::raw::compare::Hashed;
use crate::raw::entry::{self, Kept};
use crate::raw::object::{self, Object};
use gecaso::Cache;
use gecaso::face::calls;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple, PyType};
use std::cell::Cell;
use std::time::Duration;

/// A function whose results are kept.
#[pyclass(frozen, subclass, dict, weakref, module = "gecaso._gecaso")]
pub(crate) struct Function {
    vectorcall: ffi::vectorcallfunc,
    /// Nothing only in the one that `install` looks at.
    inner: Option<Box<Inner>>,
}

pub(crate) struct Inner {
    pub(crate) body: Object,
    pub(crate) signature: Signature,
    /// Makes the key in the place of the arguments.
    pub(crate) make_key: Option<Object>,
    /// What the parts of keys are called, if keys are their canonical bytes: what is one call in a
    /// storage outside of this process is one flight here. Such a key is also the first argument of
    /// the body.
    encoded: Option<Vec<String>>,
    /// Makes the copy that a caller gets.
    copy: Option<Object>,
    pub(crate) cache: Cache<Key, Object>,
    is_async: bool,
    single: bool,
}

impl Inner {
    #[inline]
    pub(crate) fn is_single(&self) -> bool {
        self.single
    }

    #[inline]
    pub(crate) fn copies(&self) -> bool {
        self.copy.is_some()
    }

    /// A copy of a value, or null and an exception.
    pub(crate) fn copy(&self, py: Python<'_>, value: Object) -> *mut ffi::PyObject {
        let Some(copy) = &self.copy else { return value.into_ptr() };
        entry::call_one(&copy.bind(py), value.bind(py))
    }

    /// The name of the function, for messages.
    pub(crate) fn name(&self, py: Python<'_>) -> String {
        let name = self.body.bind(py).getattr("__qualname__");
        name.map_or_else(|_| "function".into(), |name| name.to_string())
    }

    /// The parameter that a part of a key comes from.
    pub(crate) fn name_of_part(&self, py: Python<'_>, at: usize) -> Option<String> {
        if self.make_key.is_some() {
            return None;
        }
        let mut parts = self.signature.parameters.iter().filter(|one| !one.is_skipped);
        parts.nth(at).map(|parameter| parameter.name.bind(py).to_string())
    }

    /// Whether keys are bytes, and handed to the body.
    #[inline]
    pub(crate) fn is_encoded(&self) -> bool {
        self.encoded.is_some()
    }

    /// What a call is told apart by, as bytes.
    pub(crate) fn encode<'py>(&self, py: Python<'py>, given: Given) -> PyResult<Bound<'py, PyAny>> {
        let parts = match &self.make_key {
            Some(make_key) => vec![entry::call_given(&make_key.bind(py), given)?],
            None => self.bound(py, given)?,
        };
        let names = self.encoded.as_deref().unwrap_or_default();
        let name = |index: usize| match names.get(index) {
            Some(name) => format!("`{name}`"),
            None => format!("{}", index + 1),
        };
        let bytes = codec::encode_arguments(&parts, &name)?;
        Ok(PyBytes::new(py, &bytes).into_any())
    }

    /// The arguments of a call bound to the signature; what came by `**more` is a dict at the end.
    fn bound<'py>(&self, py: Python<'py>, given: Given) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let Some(bound) = entry::bound(py, self, given) else { return Err(self.misfit(py, given)) };
        if self.signature.more != Some(true) {
            return Ok(bound);
        }
        let marker = bound.iter().position(|part| part.as_ptr() == self.signature.marker.as_ptr());
        let more = PyDict::new(py);
        let first = marker.unwrap_or(bound.len());
        for pair in bound.get(first + 1..).unwrap_or_default().chunks_exact(2) {
            more.set_item(&pair[0], &pair[1])?;
        }
        Ok(bound.into_iter().take(first).chain([more.into_any()]).collect())
    }

    /// Why arguments do not fit the signature: as Python says it.
    pub(crate) fn misfit(&self, py: Python<'_>, given: Given) -> PyErr {
        let bound = || {
            let inspect = py.import("inspect")?;
            let signature = inspect.call_method1("signature", (self.body.bind(py),))?;
            let (args, kwargs) = entry::to_python(py, given)?;
            signature.call_method("bind", args, Some(&kwargs))
        };
        match bound() {
            Err(error) => error,
            Ok(_) => PyTypeError::new_err("the arguments do not fit the signature"),
        }
    }
}

/// A parameter as the package describes it: name, default, whether it is skipped.
type Described<'py> = (Bound<'py, PyString>, Option<(Bound<'py, PyAny>,)>, bool);

#[pymethods]
impl Function {
    #[new]
    #[pyo3(signature = (body, storage, *, parameters, by_position_only, by_position, rest, more,
                        make_key, encoded, copy, ttl, is_async))]
    #[allow(clippy::too_many_arguments)] // by name only, from one place
    fn new(
        body: &Bound<'_, PyAny>,
        storage: &Bound<'_, Near>,
        parameters: Vec<Described<'_>>,
        by_position_only: usize,
        by_position: usize,
        rest: Option<bool>,
        more: Option<bool>,
        make_key: Option<Bound<'_, PyAny>>,
        encoded: Option<Vec<String>>,
        copy: Option<Bound<'_, PyAny>>,
        ttl: Option<f64>,
        is_async: bool,
    ) -> PyResult<Self> {
        let py = body.py();
        if by_position_only > by_position || by_position > parameters.len() {
            return Err(PyValueError::new_err("parameters out of order"));
        }
        let ttl = ttl.map(Duration::try_from_secs_f64).transpose();
        let ttl = ttl.map_err(|error| PyValueError::new_err(error.to_string()))?;
        let mut known = Vec::new();
        for (name, default, is_skipped) in parameters {
            let name = PyString::intern(py, name.to_str()?).into_any().into();
            let default = default.map(|(default,)| default.into());
            known.push(Parameter { name, default, is_skipped });
        }
        let is_simple = rest.is_none() && more.is_none() && known.iter().all(|one| !one.is_skipped);
        let marker = py.get_type::<Function>().into_any().into();
        // Keys are the arguments, and not made of them.
        let is_direct = is_simple && make_key.is_none() && encoded.is_none();
        let is_fast = is_direct && by_position == known.len();
        let signature = Signature {
            few: if is_direct { Few::new(&known) } else { None },
            all_by_position: if is_fast { known.len() } else { usize::MAX },
            parameters: known,
            by_position_only,
            by_position,
            rest,
            more,
            marker,
            is_simple,
        };
        let single = make_key.is_some() || encoded.is_some() || signature.is_single();
        let inner = Inner {
            body: body.clone().into(),
            signature,
            make_key: make_key.map(Object::from),
            encoded,
            copy: copy.map(Object::from),
            cache: storage.get().open(ttl),
            is_async,
            single,
        };
        let is_one = is_fast && inner.signature.parameters.len() == 1 && !inner.copies();
        let vectorcall = match (is_async, is_one) {
            (false, false) => entry::call::<false>,
            (false, true) => entry::call::<true>,
            (true, false) => entry::call_async::<false>,
            (true, true) => entry::call_async::<true>,
        };
        Ok(Function { vectorcall, inner: Some(Box::new(inner)) })
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

    /// The value that is kept for a call, in a tuple, or nothing. Counts nothing.
    #[pyo3(signature = (args, kwargs))]
    fn _peek<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Option<(Bound<'py, PyAny>,)>> {
        let py = args.py();
        let inner = self.inner();
        let found = self.with_key(args, kwargs, |call, _| match call {
            Either::Plain(call) => calls::peek(&inner.cache, call),
            Either::Foreign(call) => calls::peek(&inner.cache, call),
        })?;
        Ok(found.map(|value| (value.bind(py),)))
    }

    /// Removes what is kept for a call.
    #[pyo3(signature = (args, kwargs))]
    fn _invalidate(
        &self,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let inner = self.inner();
        self.with_key(args, kwargs, |call, _| {
            drop(match call {
                Either::Plain(call) => calls::invalidate(&inner.cache, call),
                Either::Foreign(call) => calls::invalidate(&inner.cache, call),
            });
        })
    }

    /// Keeps a value for a call.
    #[pyo3(signature = (value, args, kwargs))]
    fn _insert(
        slf: &Bound<'_, Self>,
        value: Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let inner = slf.get().inner();
        let value = Object::from(value);
        let tied = slf.get().with_key(args, kwargs, |call, tied| {
            drop(match call {
                Either::Plain(call) => calls::insert(&inner.cache, call, value),
                Either::Foreign(call) => calls::insert(&inner.cache, call, value),
            });
            tied
        })?;
        if let Some(tied) = tied {
            tied.stored(slf);
        }
        Ok(())
    }

    /// Runs the body of a synchronous function and keeps what it returns; of an asynchronous one,
    /// something to await that does.
    #[pyo3(signature = (args, kwargs))]
    fn _refresh<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let inner = slf.get().inner();
        let kept = Kept::from_python(args, kwargs);
        let mut parts = Parts::new();
        let hashed = entry::key_of_kept(py, inner, &kept, &mut parts)?;
        let Hashed { hash, is_plain } = hashed;
        let raised = Cell::new(false);
        let single = inner.is_single();
        let tied = Tied::of(&parts, hashed);
        let parts = parts.as_slice();
        let missed = match is_plain {
            true => {
                calls::missed(&inner.cache, &Call::<true> { hash, parts, single, raised: &raised })
            }
            false => {
                calls::missed(&inner.cache, &Call::<false> { hash, parts, single, raised: &raised })
            }
        };
        if inner.is_async {
            let awaiting = Awaiting::new(slf, missed, tied, kept, true);
            return Ok(awaiting.into_bound(py)?.into_any());
        }
        let body = || entry::run_kept(inner, &kept);
        let reload = || calls::reload(&inner.cache, missed, body);
        let value = failed::caught(py, || crate::chain::within(py, reload))?;
        if let Some(tied) = &tied {
            tied.stored(slf);
        }
        Ok(value.bind(py))
    }

    /// The arguments of a call bound to the signature; what came by `**more` is a dict at the end.
    #[pyo3(signature = (args, kwargs))]
    fn _bind<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let kept = Kept::from_python(args, kwargs);
        PyTuple::new(args.py(), self.inner().bound(args.py(), kept.given())?)
    }

    /// The canonical bytes of a call's arguments: its key, if keys are encoded.
    #[pyo3(signature = (args, kwargs))]
    fn _encode<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let kept = Kept::from_python(args, kwargs);
        self.inner().encode(args.py(), kept.given())
    }

    /// Removes every entry.
    fn _clear(&self) {
        drop(self.inner().cache.clear());
    }

    /// Hits, misses, loads, seconds in loads, evictions, expirations, entries.
    fn _stats(&self) -> (u64, u64, u64, f64, u64, u64, u64) {
        let stats = self.inner().cache.stats();
        (
            stats.hits,
            stats.misses,
            stats.loads,
            stats.load_time.as_secs_f64(),
            stats.evictions,
            stats.expirations,
            stats.entries,
        )
    }

    /// In a child process: what ran in threads that it does not have never lands.
    fn _after_fork(&self) {
        calls::forget_flights(&self.inner().cache);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Some(inner) = &self.inner else { return Ok(()) };
        let mut outcome = Ok(());
        let mut see = |object: &Object| {
            if outcome.is_ok() {
                outcome = object::visit(&visit, object);
            }
        };
        see(&inner.body);
        inner.make_key.iter().for_each(&mut see);
        inner.copy.iter().for_each(&mut see);
        inner.signature.parameters.iter().flat_map(|one| &one.default).for_each(&mut see);
        inner.signature.few.iter().flat_map(|few| few.defaults.iter().flatten()).for_each(&mut see);
        // An entry that is being changed is not seen, and so taken to be in use.
        calls::show_entries(&inner.cache, |key, value| {
            see(&key.0);
            see(value);
        });
        outcome
    }

    fn __clear__(&self) {
        if let Some(inner) = &self.inner {
            drop(inner.cache.clear());
        }
    }
}

/// A call in search of its entry, of either kind.
enum Either<'a> {
    Plain(&'a Call<'a, true>),
    Foreign(&'a Call<'a, false>),
}

impl Function {
    #[inline]
    pub(crate) fn inner(&self) -> &Inner {
        match &self.inner {
            Some(inner) => inner,
            None => unreachable!("nobody outside has one without"),
        }
    }

    /// Does something with the entry of a call. Comparing keys may raise.
    fn with_key<T>(
        &self,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
        act: impl FnOnce(Either<'_>, Option<Tied>) -> T,
    ) -> PyResult<T> {
        let py = args.py();
        let inner = self.inner();
        let kept = Kept::from_python(args, kwargs);
        let mut parts = Parts::new();
        let hashed = entry::key_of_kept(py, inner, &kept, &mut parts)?;
        let Hashed { hash, is_plain } = hashed;
        let raised = Cell::new(false);
        let single = inner.is_single();
        let tied = Tied::of(&parts, hashed);
        let parts = parts.as_slice();
        let done = match is_plain {
            true => act(Either::Plain(&Call { hash, parts, single, raised: &raised }), tied),
            false => act(Either::Foreign(&Call { hash, parts, single, raised: &raised }), tied),
        };
        match raised.get() {
            true => Err(PyErr::fetch(py)),
            false => Ok(done),
        }
    }

    /// Removes an entry that has this token in its key: nobody can ask for it any more.
    pub(crate) fn forget(&self, hash: u64, is_plain: bool, token: &Object) {
        let cache = &self.inner().cache;
        drop(match is_plain {
            true => calls::invalidate(cache, &Holding::<true> { hash, part: token }),
            false => calls::invalidate(cache, &Holding::<false> { hash, part: token }),
        });
    }

    /// Whether there is such an entry.
    pub(crate) fn holds(&self, hash: u64, is_plain: bool, token: &Object) -> bool {
        let cache = &self.inner().cache;
        match is_plain {
            true => calls::peek(cache, &Holding::<true> { hash, part: token }).is_some(),
            false => calls::peek(cache, &Holding::<false> { hash, part: token }).is_some(),
        }
    }
}

/// Makes calls of this subclass of `Function` go the short way.
#[pyfunction]
fn install(class: &Bound<'_, PyType>) -> PyResult<()> {
    let py = class.py();
    let probe = Bound::new(py, Function { vectorcall: entry::call::<false>, inner: None })?;
    let offset = entry::offset_in(probe.as_any(), &raw const probe.get().vectorcall);
    entry::install(&py.get_type::<Function>(), offset);
    entry::install(class, offset);
    Ok(())
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Function>()?;
    module.add_function(wrap_pyfunction!(install, module)?)
}
