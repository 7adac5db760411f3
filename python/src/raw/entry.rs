//! What CPython calls: the hit paths of synchronous and asynchronous functions.
//!
//! PyO3 has no vectorcall for its classes, so `install` adds it to a class of ours, as a class
//! written in C would have it from the start.

use super::arguments::{Atom, Borrowed, Call, FEW, Given, Key, Parts};
use super::calling;
use super::compare::{self, Hashed, mix};
use super::object::{self, Object};
use super::ready;
use crate::awaiting::Awaiting;
use crate::chain;
use crate::failed::{self, Failed};
use crate::function::{Function, Inner};
use crate::identity::Tied;
use gecaso::face::calls::{self, Missed};
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;

/// Makes calls of a class and of its subclass go through the pointer at `offset` of its instances.
pub(crate) fn install(class: &Bound<'_, PyType>, offset: usize) {
    // SAFETY: a heap type that nobody has an instance of yet; the interpreter's lock is held. The
    // offset is that of a field of type `vectorcallfunc` (see `offset_in`).
    unsafe {
        let type_ = class.as_type_ptr();
        (*type_).tp_vectorcall_offset = offset as ffi::Py_ssize_t;
        (*type_).tp_call = Some(ffi::PyVectorcall_Call);
        (*type_).tp_flags |= ffi::Py_TPFLAGS_HAVE_VECTORCALL | ffi::Py_TPFLAGS_METHOD_DESCRIPTOR;
        ffi::PyType_Modified(type_);
    }
}

/// Where in an instance a field lies.
pub(crate) fn offset_in<T>(instance: &Bound<'_, PyAny>, field: *const T) -> usize {
    field as usize - instance.as_ptr() as usize
}

fn given(args: *const Borrowed, flags: usize, names: Borrowed) -> Given {
    // The highest bit says that there is room before the first argument.
    let count = flags & !ffi::PY_VECTORCALL_ARGUMENTS_OFFSET;
    Given { args, count, names }
}

/// What a look-up came to that runs nothing of a user's.
enum Quick {
    Hit(Object),
    Miss(Missed<Key>),
    /// Only a look-up that may run something can tell.
    Unknown,
}

/// What a look-up came to.
enum Looked {
    Hit(Object),
    Miss(Missed<Key>, Beside),
    /// The call does not fit the signature: the body says how.
    Unbound,
    /// An exception is set.
    Raised,
}

/// What a miss comes with, beside its key.
#[derive(Default)]
struct Beside {
    /// What the entry has to go with, if it has to.
    tied: Option<Tied>,
    /// The key as the body is given it.
    encoded: Option<Object>,
}

/// Looks a call up, if that can be done without running anything of a user's.
///
/// # Safety
///
/// A call as CPython hands it over, and the interpreter's lock is held.
#[inline(never)] // by its size; what is in a hurry is in here already
unsafe fn look(inner: &Inner, given: Given) -> Quick {
    // SAFETY: the caller's.
    unsafe {
        if let Some(parts) = inner.signature.bind_in_place(given) {
            // Nearly every call: its arguments are the key as they lie there.
            if let Some(hash) = hash_plain(parts) {
                return find_plain(inner, parts, hash);
            }
        } else {
            let mut room = [null_mut(); FEW];
            if let Some(parts) = inner.signature.bind_few(given, &mut room)
                && let Some(hash) = hash_plain(parts)
            {
                return find_plain(inner, parts, hash);
            }
        }
        Quick::Unknown
    }
}

/// As [`look`], for a function with one parameter.
///
/// # Safety
///
/// As that.
#[inline(always)]
unsafe fn look_one<const ASYNC: bool>(inner: &Inner, given: Given) -> Quick {
    // SAFETY: the caller's.
    unsafe {
        if given.count == 1
            && given.names.is_null()
            && let Some(hash) = compare::hash_atom(*given.args)
        {
            return match calls::find(&inner.cache, &Atom::<ASYNC> { hash, part: *given.args }) {
                Ok(value) => Quick::Hit(value),
                Err(missed) => Quick::Miss(missed),
            };
        }
        look(inner, given)
    }
}

/// The hash of parts that are compared in place and kept alive by keys; nothing if one is null.
#[inline]
unsafe fn hash_plain(parts: &[Borrowed]) -> Option<u64> {
    // SAFETY: the caller's.
    unsafe {
        if let &[part] = parts {
            return if part.is_null() { None } else { compare::hash_atom(part) };
        }
        let mut all = parts.len() as u64;
        for &part in parts {
            if part.is_null() {
                return None;
            }
            all = mix(all, compare::hash_atom(part)?);
        }
        Some(all)
    }
}

#[inline]
unsafe fn find_plain(inner: &Inner, parts: &[Borrowed], hash: u64) -> Quick {
    let (single, raised) = (inner.is_single(), Cell::new(false));
    let call = Call::<true> { hash, parts, single, raised: &raised };
    let found = calls::find(&inner.cache, &call);
    if raised.get() {
        // Too deep a recursion: the long way compares again, and says so.
        // SAFETY: the lock is held.
        unsafe { ffi::PyErr_Clear() };
        return Quick::Unknown;
    }
    match found {
        Ok(value) => Quick::Hit(value),
        Err(missed) => Quick::Miss(missed),
    }
}

/// Any call: arguments by name, defaults, what is skipped, and values of users' types.
#[inline(never)]
unsafe fn look_long(inner: &Inner, given: Given) -> Looked {
    // SAFETY: the caller's.
    unsafe {
        let mut parts = Parts::new();
        let Some(hashed) = key(inner, given, &mut parts) else { return Looked::Raised };
        let Some(hashed) = hashed else { return Looked::Unbound };
        let Hashed { hash, is_plain } = hashed;
        let (single, raised) = (inner.is_single(), Cell::new(false));
        let given = parts.as_slice();
        let found = if is_plain {
            let call = Call::<true> { hash, parts: given, single, raised: &raised };
            calls::find(&inner.cache, &call)
        } else {
            let call = Call::<false> { hash, parts: given, single, raised: &raised };
            calls::find(&inner.cache, &call)
        };
        match found {
            _ if raised.get() => Looked::Raised,
            Ok(value) => Looked::Hit(value),
            Err(missed) => {
                let encoded = inner.is_encoded().then(|| Object::from_borrowed(given[0]));
                Looked::Miss(missed, Beside { tied: Tied::of(&parts, hashed), encoded })
            }
        }
    }
}

/// The hashed parts of a call's key. `None`: an exception is set; `Some(None)`: the call does not
/// fit the signature.
///
/// # Safety
///
/// As [`look`].
#[inline]
pub(crate) unsafe fn key(inner: &Inner, given: Given, parts: &mut Parts) -> Option<Option<Hashed>> {
    // SAFETY: the caller's.
    unsafe {
        if inner.is_encoded() {
            let key = Python::attach(|py| match inner.encode(py, given) {
                Ok(key) => Some(Object::from(key)),
                Err(error) => {
                    error.restore(py);
                    None
                }
            })?;
            *parts = Parts::one(&key);
        } else if let Some(make_key) = &inner.make_key {
            let key = calling::vectorcall(make_key.as_ptr(), given.args, given.count, given.names);
            if key.is_null() {
                return None;
            }
            *parts = Parts::one(&Object::from_owned(key));
        } else if !inner.signature.bind(given, parts) {
            return Some(None);
        }
        match parts.hash(true) {
            Ok(hashed) => Some(Some(hashed)),
            Err(_) => {
                explain_unhashable(inner, parts);
                None
            }
        }
    }
}

/// Says which argument cannot be hashed, and what to do.
#[cold]
unsafe fn explain_unhashable(inner: &Inner, parts: &Parts) {
    // SAFETY: an exception is set, and the interpreter's lock is held.
    Python::attach(|py| {
        let error = PyErr::fetch(py);
        if !error.is_instance_of::<PyTypeError>(py) {
            return error.restore(py);
        }
        let unhashable = parts.as_slice().iter().position(|&part| {
            // SAFETY: the parts are valid.
            let is = unsafe { super::compare::hash(part).is_err() };
            if is {
                drop(PyErr::take(py));
            }
            is
        });
        let name = unhashable.and_then(|at| inner.name_of_part(py, at));
        let what = match name {
            Some(name) => format!("argument {name:?} of {}()", inner.name(py)),
            None => format!("an argument of {}()", inner.name(py)),
        };
        let said = PyTypeError::new_err(format!(
            "{what} cannot be part of a cache key: {}; pass something hashable (a tuple, a \
             frozenset), leave it out with _skip=, or make the key yourself with _key=",
            error.value(py)
        ));
        said.set_cause(py, Some(error));
        said.restore(py);
    });
}

/// A call of a synchronous function. `ONE`: it has one parameter, which is its key, and its results
/// are handed out as they are.
///
/// # Safety
///
/// Called by CPython, through the pointer of a `Function`.
pub(crate) unsafe extern "C" fn call<const ONE: bool>(
    function: Borrowed,
    args: *const Borrowed,
    flags: usize,
    names: Borrowed,
) -> Borrowed {
    // SAFETY: called by CPython: the lock is held, and `function` is a `Function`.
    unsafe {
        let bound = Borrowed_::from_ptr(Python::assume_attached(), function);
        let function = bound.cast_unchecked::<Function>();
        let inner = function.get().inner();
        let given = given(args, flags, names);
        match if ONE { look_one::<false>(inner, given) } else { look(inner, given) } {
            Quick::Hit(value) if ONE || !inner.copies() => value.into_ptr(),
            quick => call_long(function, given, quick),
        }
    }
}

/// What is left to be done of a call that is no plain hit. It may run anything, which may let go of
/// the function.
#[inline(never)]
unsafe fn call_long(function: Borrowed_<'_, '_, Function>, given: Given, quick: Quick) -> Borrowed {
    let function: Bound<'_, Function> = function.to_owned();
    let inner = function.get().inner();
    // SAFETY: the caller's.
    unsafe {
        match looked(inner, given, quick) {
            Looked::Hit(value) => inner.copy(function.py(), value),
            Looked::Miss(missed, beside) => miss(&function, missed, given, beside),
            Looked::Unbound => call_body(inner, given),
            Looked::Raised => null_mut(),
        }
    }
}

/// Looks a call up to the end.
#[inline]
unsafe fn looked(inner: &Inner, given: Given, quick: Quick) -> Looked {
    match quick {
        Quick::Hit(value) => Looked::Hit(value),
        Quick::Miss(missed) => Looked::Miss(missed, Beside::default()),
        // SAFETY: the caller's.
        Quick::Unknown => unsafe { look_long(inner, given) },
    }
}

type Borrowed_<'a, 'py, T = PyAny> = pyo3::Borrowed<'a, 'py, T>;

/// Calls the function itself.
///
/// # Safety
///
/// As [`look`].
pub(crate) unsafe fn call_body(inner: &Inner, given: Given) -> Borrowed {
    let Given { args, count, names } = given;
    // SAFETY: the caller's.
    unsafe { calling::vectorcall(inner.body.as_ptr(), args, count, names) }
}

/// Calls something with one argument: what it returns, or null and an exception.
pub(crate) fn call_one(callable: &Bound<'_, PyAny>, argument: Bound<'_, PyAny>) -> Borrowed {
    // SAFETY: both are valid, and the lock is held.
    unsafe { calling::vectorcall(callable.as_ptr(), &argument.as_ptr(), 1, null_mut()) }
}

/// The body as the core wants it: its value, or what it raised.
///
/// # Safety
///
/// As [`look`].
pub(crate) unsafe fn run_body(inner: &Inner, given: Given) -> Result<Object, Failed> {
    // SAFETY: the caller's; what is not null is ours.
    unsafe {
        let value = call_body(inner, given);
        match value.is_null() {
            false => Ok(Object::from_owned(value)),
            true => Err(Python::attach(failed::raised)),
        }
    }
}

unsafe fn miss(
    function: &Bound<'_, Function>,
    missed: Missed<Key>,
    given: Given,
    beside: Beside,
) -> Borrowed {
    let inner = function.get().inner();
    let Beside { tied, encoded } = beside;
    let body = || {
        // SAFETY: the caller's.
        unsafe {
            match &encoded {
                None => run_body(inner, given),
                Some(key) => run_kept(inner, &Kept::new(Some(key), given)),
            }
        }
    };
    let load = || {
        let value = calls::load(&inner.cache, missed, body)?;
        if let Some(tied) = &tied {
            // Tells PyO3 that the lock is held: what it drops meanwhile goes at once.
            Python::attach(|_| tied.stored(function));
        }
        Ok(value)
    };
    let py = function.py();
    match failed::caught(py, || chain::within(py, load)) {
        Ok(value) => inner.copy(py, value),
        Err(error) => Python::attach(|py| {
            error.restore(py);
            null_mut()
        }),
    }
}

/// A call of an asynchronous function: something to await. `ONE`: as in [`call`].
///
/// # Safety
///
/// As [`call`].
pub(crate) unsafe extern "C" fn call_async<const ONE: bool>(
    function: Borrowed,
    args: *const Borrowed,
    flags: usize,
    names: Borrowed,
) -> Borrowed {
    // SAFETY: called by CPython: the lock is held, and `function` is a `Function`.
    unsafe {
        let bound = Borrowed_::from_ptr(Python::assume_attached(), function);
        let function = bound.cast_unchecked::<Function>();
        let inner = function.get().inner();
        let given = given(args, flags, names);
        match if ONE { look_one::<true>(inner, given) } else { look(inner, given) } {
            Quick::Hit(value) if ONE || !inner.copies() => ready::make(value),
            quick => call_async_long(function, given, quick),
        }
    }
}

/// As [`call_long`].
#[inline(never)]
unsafe fn call_async_long(
    function: Borrowed_<'_, '_, Function>,
    given: Given,
    quick: Quick,
) -> Borrowed {
    let function: Bound<'_, Function> = function.to_owned();
    let (py, inner) = (function.py(), function.get().inner());
    // SAFETY: the caller's.
    unsafe {
        match looked(inner, given, quick) {
            Looked::Hit(value) => match inner.copy(py, value) {
                copy if copy.is_null() => copy,
                copy => ready::make(Object::from_owned(copy)),
            },
            Looked::Miss(missed, Beside { tied, encoded }) => Python::attach(|py| {
                let kept = Kept::new(encoded.as_ref(), given);
                let awaiting = Awaiting::new(&function, missed, tied, kept, false);
                match awaiting.into_bound(py) {
                    Ok(awaiting) => awaiting.into_ptr(),
                    Err(error) => {
                        error.restore(py);
                        null_mut()
                    }
                }
            }),
            Looked::Unbound => call_body(inner, given),
            Looked::Raised => null_mut(),
        }
    }
}

/// A call that is kept for later: its arguments, each with a reference of its own.
pub(crate) struct Kept {
    values: Vec<Object>,
    /// Borrowed from `values`, in a form to hand over.
    pointers: Vec<usize>,
    count: usize,
    names: Option<Object>,
}

impl Kept {
    /// `first`: an argument before all others.
    ///
    /// # Safety
    ///
    /// As [`look`].
    pub(crate) unsafe fn new(first: Option<&Object>, given: Given) -> Self {
        // SAFETY: the caller's.
        unsafe {
            let names = match given.names.is_null() {
                true => None,
                false => Some(Object::from_borrowed(given.names)),
            };
            let named = match given.names.is_null() {
                true => 0,
                false => ffi::PyTuple_GET_SIZE(given.names) as usize,
            };
            let value = |at| Object::from_borrowed(*given.args.add(at));
            let rest = (0..given.count + named).map(value);
            let values: Vec<Object> = first.cloned().into_iter().chain(rest).collect();
            let pointers = values.iter().map(|value| value.as_ptr() as usize).collect();
            Kept { values, pointers, count: given.count + usize::from(first.is_some()), names }
        }
    }

    /// From a tuple and a dict of arguments.
    pub(crate) fn from_python(
        args: &Bound<'_, pyo3::types::PyTuple>,
        kwargs: Option<&Bound<'_, pyo3::types::PyDict>>,
    ) -> Self {
        let py = args.py();
        let mut values: Vec<Object> = args.iter().map(Object::from).collect();
        let count = values.len();
        let mut names = Vec::new();
        for (name, value) in kwargs.into_iter().flatten() {
            names.push(name);
            values.push(value.into());
        }
        let names = (!names.is_empty()).then(|| {
            let names = pyo3::types::PyTuple::new(py, names);
            Object::from(names.expect("as many names as there are").into_any())
        });
        let pointers = values.iter().map(|value| value.as_ptr() as usize).collect();
        Kept { values, pointers, count, names }
    }

    /// Shows the collector what is kept.
    pub(crate) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.values.iter().chain(&self.names).try_for_each(|one| object::visit(visit, one))
    }

    pub(crate) fn given(&self) -> Given {
        debug_assert_eq!(self.values.len(), self.pointers.len());
        Given {
            args: self.pointers.as_ptr().cast::<Borrowed>(),
            count: self.count,
            names: self.names.as_ref().map_or(null_mut(), Object::as_ptr),
        }
    }
}

/// Calls the function itself with what was kept.
pub(crate) fn run_kept(inner: &Inner, kept: &Kept) -> Result<Object, Failed> {
    // SAFETY: what was kept is valid, and only those who hold the lock have an `Inner` in hand.
    unsafe { run_body(inner, kept.given()) }
}

/// The parts of a call that was kept, hashed. `Err`: an exception.
pub(crate) fn key_of_kept(
    py: Python<'_>,
    inner: &Inner,
    kept: &Kept,
    parts: &mut Parts,
) -> PyResult<Hashed> {
    // SAFETY: what was kept is valid, and the lock is held.
    match unsafe { key(inner, kept.given(), parts) } {
        None => Err(PyErr::fetch(py)),
        Some(None) => Err(inner.misfit(py, kept.given())),
        Some(Some(hashed)) => Ok(hashed),
    }
}

/// The arguments as a tuple and a dict.
pub(crate) fn to_python<'py>(
    py: Python<'py>,
    given: Given,
) -> PyResult<(Bound<'py, pyo3::types::PyTuple>, Bound<'py, pyo3::types::PyDict>)> {
    // SAFETY: a call as CPython hands it over, or as it was kept; the lock is held.
    unsafe {
        let value = |at| Bound::from_borrowed_ptr(py, *given.args.add(at));
        let args = pyo3::types::PyTuple::new(py, (0..given.count).map(value).collect::<Vec<_>>())?;
        let kwargs = pyo3::types::PyDict::new(py);
        if let Some(names) = Bound::from_borrowed_ptr_or_opt(py, given.names) {
            for (at, name) in names.cast_into::<pyo3::types::PyTuple>()?.iter().enumerate() {
                kwargs.set_item(name, value(given.count + at))?;
            }
        }
        Ok((args, kwargs))
    }
}

/// The parts of a call's key as it is bound to the signature; nothing if it does not fit.
pub(crate) fn bound<'py>(
    py: Python<'py>,
    inner: &Inner,
    given: Given,
) -> Option<Vec<Bound<'py, PyAny>>> {
    let mut parts = Parts::new();
    // SAFETY: as in `to_python`.
    unsafe {
        let part = |part: &Borrowed| Bound::from_borrowed_ptr(py, *part);
        let fits = inner.signature.bind(given, &mut parts);
        fits.then(|| parts.as_slice().iter().map(part).collect())
    }
}

/// Calls something with the arguments of a call.
pub(crate) fn call_given<'py>(
    callable: &Bound<'py, PyAny>,
    given: Given,
) -> PyResult<Bound<'py, PyAny>> {
    let Given { args, count, names } = given;
    // SAFETY: as in `to_python`; the result is ours, or null and an exception.
    unsafe {
        let result = calling::vectorcall(callable.as_ptr(), args, count, names);
        Bound::from_owned_ptr_or_err(callable.py(), result)
    }
}

const _: () = assert!(size_of::<usize>() == size_of::<*mut c_void>());
