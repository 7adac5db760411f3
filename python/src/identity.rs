//! Objects that are compared by their identity are not kept alive by keys: a token stands in their
//! place. When such an object goes, so do the entries that it was an argument of.
//!
//! That is what makes methods safe to cache: each instance has entries of its own, and they end with
//! it. Called by `raw/arguments` for each such argument, and by `function` when an entry is stored.

#![allow(unsafe_code)] // looks at types by their slots

use crate::function::Function;
use crate::raw::arguments::{Borrowed, Key};
use crate::raw::compare::{Raised, is_by_identity};
use crate::raw::object::Object;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyWeakrefReference;
use std::collections::{HashMap, HashSet};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// Stands for an object that is alive. Its own weak reference calls it when that has gone.
#[pyclass(frozen, weakref, module = "gecaso")]
pub(crate) struct Token {
    /// Where the object is.
    address: usize,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    entries: Vec<Note>,
    /// At so many it is time to see which have gone.
    tidy_at: usize,
}

/// An entry that has a token in its key.
struct Note {
    function: Py<PyWeakrefReference>,
    hash: u64,
    key: Key<false>,
}

const TIDY_AT: usize = 64;

struct Alive {
    token: Py<Token>,
    /// Kept, because a weak reference that is dropped calls nobody.
    _reference: Py<PyAny>,
}

static TOKENS: LazyLock<Mutex<HashMap<usize, Alive>>> = LazyLock::new(Default::default);

/// No Python object is made or dropped while this is held.
fn tokens() -> MutexGuard<'static, HashMap<usize, Alive>> {
    TOKENS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether an argument is represented by a token.
#[inline]
pub(crate) unsafe fn is_weak(object: Borrowed) -> bool {
    // SAFETY: the caller's: a valid object.
    unsafe {
        let type_ = ffi::Py_TYPE(object);
        // The types of nearly all arguments, which have a hash of their own.
        (*type_).tp_weaklistoffset != 0 && is_by_identity(type_)
    }
}

/// The token of an argument, if it has one.
pub(crate) unsafe fn token(object: Borrowed) -> Result<Option<Object>, Raised> {
    // SAFETY: the caller's.
    unsafe {
        if !is_weak(object) {
            return Ok(None);
        }
        let known = tokens().get(&(object as usize)).map(|alive| alive.token.as_ptr());
        if let Some(token) = known {
            return Ok(Some(Object::from_borrowed(token)));
        }
        Python::attach(|py| {
            let object = Bound::from_borrowed_ptr(py, object);
            make(&object).map(Some).map_err(|error| {
                error.restore(py);
                Raised
            })
        })
    }
}

fn make(object: &Bound<'_, PyAny>) -> PyResult<Object> {
    let py = object.py();
    let address = object.as_ptr() as usize;
    let token = Bound::new(py, Token { address, notes: Mutex::default() })?;
    let reference = PyWeakrefReference::new_with(object, &token).map_err(|_| {
        PyTypeError::new_err(format!("a {} cannot be referred to weakly", object.get_type()))
    })?;
    let alive = Alive { token: token.clone().unbind(), _reference: reference.into_any().unbind() };
    let made = Object::from(token.into_any());
    // Making them may have run a collection, and that anything.
    let (token, lost) = match tokens().entry(address) {
        std::collections::hash_map::Entry::Occupied(known) => {
            (Object::from(known.get().token.bind(py).clone().into_any()), Some(alive))
        }
        std::collections::hash_map::Entry::Vacant(vacant) => {
            vacant.insert(alive);
            (made, None)
        }
    };
    drop(lost);
    Ok(token)
}

#[pymethods]
impl Token {
    /// The object is going.
    fn __call__(slf: &Bound<'_, Self>, _reference: &Bound<'_, PyAny>) {
        let py = slf.py();
        let this = slf.get();
        let gone = {
            let mut tokens = tokens();
            match tokens.get(&this.address) {
                Some(alive) if alive.token.is(slf) => tokens.remove(&this.address),
                _ => None,
            }
        };
        let notes = std::mem::take(&mut *this.notes());
        for note in notes.entries {
            if let Some(function) = note.function(py) {
                function.get().forget(note.hash, &note.key);
            }
        }
        drop(gone);
    }
}

impl Token {
    fn is_alive(&self, slf: &Bound<'_, Self>) -> bool {
        tokens().get(&self.address).is_some_and(|alive| alive.token.is(slf))
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers an entry, so that it can go with the object.
    fn note(&self, py: Python<'_>, note: Note) {
        let mut notes = self.notes();
        notes.entries.push(note);
        if notes.entries.len() < notes.tidy_at.max(TIDY_AT) {
            return;
        }
        let entries = std::mem::take(&mut notes.entries);
        drop(notes);
        let is_there = |note: &Note| {
            note.function(py).is_some_and(|function| function.get().holds(note.hash, &note.key))
        };
        // A call that was loaded again and again is noted once: a function has one weak reference, and
        // other keys of the same hash are so rare that theirs may wait for their eviction.
        let mut seen = HashSet::new();
        let mut is_first = |note: &Note| seen.insert((note.function.as_ptr() as usize, note.hash));
        let (kept, gone): (Vec<Note>, Vec<Note>) =
            entries.into_iter().partition(|note| is_there(note) && is_first(note));
        let mut notes = self.notes();
        notes.tidy_at = 2 * kept.len();
        notes.entries.extend(kept);
        drop(notes);
        drop(gone);
    }
}

impl Note {
    fn function<'py>(&self, py: Python<'py>) -> Option<Bound<'py, Function>> {
        self.function.bind(py).upgrade_as::<Function>().ok().flatten()
    }
}

/// An entry with these parts in its key has been stored.
pub(crate) fn stored(function: &Bound<'_, Function>, hash: u64, key: &Key<false>) {
    let py = function.py();
    let key_object = key.0.bind(py);
    let in_tuple = key_object.cast::<pyo3::types::PyTuple>().map(|parts| parts.as_slice().to_vec());
    let parts = in_tuple.unwrap_or_else(|_| vec![key_object.clone()]);
    for part in parts {
        if let (Ok(token), Ok(reference)) =
            (part.cast_exact::<Token>(), PyWeakrefReference::new(function))
        {
            let note = Note { function: reference.unbind(), hash, key: key.clone() };
            token.get().note(py, note);
            // It may have gone while the body ran, which was the last to hold it.
            if !token.get().is_alive(token) {
                function.get().forget(hash, key);
            }
        }
    }
}
