//! Objects that are compared by their identity are not kept alive by keys: a token stands in their
//! place. When such an object goes, so do the entries that it was an argument of.
//!
//! That is what makes methods safe to cache: each instance has entries of its own, and they end
//! with it. Called by `raw/arguments` for each such argument, and where an entry is stored.

#![allow(unsafe_code)] // looks at types by their slots

use crate::function::Function;
use crate::raw::arguments::{Borrowed, Parts};
use crate::raw::compare::{Hashed, Raised, is_by_identity};
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

/// An entry that has the token in its key. Not its key: the other arguments in there may be large,
/// or may be what keeps the object alive.
struct Note {
    function: Py<PyWeakrefReference>,
    hash: u64,
    is_plain: bool,
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
        let token = Object::from(slf.clone().into_any());
        for note in notes.entries {
            note.forget(py, &token);
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
    fn note(slf: &Bound<'_, Self>, note: Note) {
        let (py, this) = (slf.py(), slf.get());
        let mut notes = this.notes();
        notes.entries.push(note);
        if notes.entries.len() < notes.tidy_at.max(TIDY_AT) {
            return;
        }
        let entries = std::mem::take(&mut notes.entries);
        drop(notes);
        let token = Object::from(slf.clone().into_any());
        let is_there = |note: &Note| {
            let function = note.function(py);
            function.is_some_and(|function| function.get().holds(note.hash, note.is_plain, &token))
        };
        // A call that was loaded again and again is noted once, as are calls whose keys share a
        // hash: a function has one weak reference.
        let mut seen = HashSet::new();
        let mut is_first = |note: &Note| seen.insert((note.function.as_ptr() as usize, note.hash));
        let (kept, gone): (Vec<Note>, Vec<Note>) =
            entries.into_iter().partition(|note| is_there(note) && is_first(note));
        let mut notes = this.notes();
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

    /// Removes the entry, or entries if several keys with the token share the hash.
    fn forget(&self, py: Python<'_>, token: &Object) {
        let Some(function) = self.function(py) else { return };
        loop {
            function.get().forget(self.hash, self.is_plain, token);
            if !function.get().holds(self.hash, self.is_plain, token) {
                return;
            }
        }
    }
}

/// The key of an entry that has to go with one of its arguments.
pub(crate) struct Tied {
    parts: Vec<Object>,
    hashed: Hashed,
}

impl Tied {
    /// Nothing if no argument is represented by a token.
    pub(crate) fn of(parts: &Parts, hashed: Hashed) -> Option<Tied> {
        parts.has_tokens().then(|| Tied { parts: parts.kept().to_vec(), hashed })
    }

    /// An entry with this key has been stored.
    pub(crate) fn stored(&self, function: &Bound<'_, Function>) {
        let py = function.py();
        let Hashed { hash, is_plain } = self.hashed;
        for part in &self.parts {
            let token = part.bind(py);
            if let (Ok(token), Ok(reference)) =
                (token.cast_exact::<Token>(), PyWeakrefReference::new(function))
            {
                let note = || Note { function: reference.clone().unbind(), hash, is_plain };
                Token::note(token, note());
                // It may have gone while the body ran, which was the last to hold it.
                if !token.get().is_alive(token) {
                    note().forget(py, part);
                }
            }
        }
    }
}
