//! From the arguments of a call to its key, in place: bound to the signature, so that `f(1)`,
//! `f(a=1)` and `f(1, b=2)`, where 2 is the default, are one call; nothing is allocated unless the
//! key has to be stored.
//!
//! ```text
//! def f(a, b=2, *rest, c, **more)       f(1, 2, 3, 4, c=5, z=6)
//! parts:   a b c | rest..    | MORE name value ..   =   1 2 5 3 4 MORE "z" 6
//! ```
//!
//! Called by `entry` and `function`. A key of one part is that part, another one a tuple of them:
//! which of the two it is, the signature alone decides.

use super::compare::{self, Hashed, Raised, mix};
use super::object::Object;
use crate::identity;
use gecaso::face::calls::Query;
use pyo3::ffi;
use std::cell::Cell;
use std::hash::Hasher;
use std::mem::MaybeUninit;
use std::ptr::null_mut;

pub(crate) type Borrowed = *mut ffi::PyObject;

/// Parts that find room on the stack.
const ROOM: usize = 16;

/// Parameters that a function nearly always has at most.
pub(crate) const FEW: usize = 6;

/// A parameter that is part of the key or skipped.
pub(crate) struct Parameter {
    /// Interned, as the names in calls nearly always are.
    pub(crate) name: Object,
    pub(crate) default: Option<Object>,
    pub(crate) is_skipped: bool,
}

/// The parameters of a function.
pub(crate) struct Signature {
    /// In order: those by position only, by either, by name only.
    pub(crate) parameters: Vec<Parameter>,
    /// The first so many cannot be given by name.
    pub(crate) by_position_only: usize,
    /// The first so many can be given by position.
    pub(crate) by_position: usize,
    /// Whether there is a `*rest`, and whether it is part of the key.
    pub(crate) rest: Option<bool>,
    /// Whether there is a `**more`, and whether it is part of the key.
    pub(crate) more: Option<bool>,
    /// Stands in a key before names and values of `**more`: an object that nobody else has.
    pub(crate) marker: Object,
    /// Whether parameters are bound one to one, with nothing skipped and nothing variable.
    pub(crate) is_simple: bool,
    /// How many arguments a call gives that are its key as they are; no call gives `usize::MAX`.
    pub(crate) all_by_position: usize,
    /// If there are few parameters and the signature is simple.
    pub(crate) few: Option<Few>,
}

/// What is known of few parameters.
pub(crate) struct Few {
    /// What stands for those that a call leaves out, by position.
    pub(crate) defaults: [Option<Object>; FEW],
    pub(crate) count: usize,
}

impl Few {
    /// `None`: there are too many.
    pub(crate) fn new(parameters: &[Parameter]) -> Option<Self> {
        let default = |at: usize| parameters.get(at).and_then(|one| one.default.clone());
        let few = Few { defaults: std::array::from_fn(default), count: parameters.len() };
        (few.count <= FEW).then_some(few)
    }
}

/// A call as CPython hands it over.
#[derive(Clone, Copy)]
pub(crate) struct Given {
    pub(crate) args: *const Borrowed,
    /// Given by position.
    pub(crate) count: usize,
    /// A tuple of names, or null; their values follow those by position.
    pub(crate) names: Borrowed,
}

/// The parts of a key, borrowed from the call.
pub(crate) struct Parts {
    /// Written up to `count`, unless the parts are elsewhere.
    room: [MaybeUninit<Borrowed>; ROOM],
    spilled: Vec<Borrowed>,
    count: usize,
    has_tokens: bool,
    /// What keeps parts alive that no argument does.
    kept: Vec<Object>,
}

impl Parts {
    #[inline]
    pub(crate) fn new() -> Self {
        Parts {
            room: [const { MaybeUninit::uninit() }; ROOM],
            spilled: Vec::new(),
            count: 0,
            has_tokens: false,
            kept: Vec::new(),
        }
    }

    /// One part, whatever the signature: a key made by hand.
    pub(crate) fn one(part: &Object) -> Self {
        let mut parts = Parts::new();
        parts.push(part.as_ptr());
        parts.kept.push(part.clone());
        parts
    }

    /// Whether a part stands for an object that it does not keep alive.
    pub(crate) fn has_tokens(&self) -> bool {
        self.has_tokens
    }

    /// What keeps parts alive that no argument does: the tokens, and a key made by hand.
    pub(crate) fn kept(&self) -> &[Object] {
        &self.kept
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[Borrowed] {
        let start = match self.spilled.is_empty() {
            true => self.room.as_ptr().cast::<Borrowed>(),
            false => self.spilled.as_ptr(),
        };
        // SAFETY: `count` parts lie there.
        unsafe { std::slice::from_raw_parts(start, self.count) }
    }

    pub(crate) fn push(&mut self, part: Borrowed) {
        if self.count < ROOM && self.spilled.is_empty() {
            self.room[self.count].write(part);
        } else {
            if self.spilled.is_empty() {
                self.spilled = self.as_slice().to_vec();
            }
            self.spilled.push(part);
        }
        self.count += 1;
    }

    /// Hashes all parts. Objects that are compared by identity are replaced by tokens that do not
    /// keep them alive, if `weakly`.
    ///
    /// # Safety
    ///
    /// The parts are valid objects, and the interpreter's lock is held.
    pub(crate) unsafe fn hash(&mut self, weakly: bool) -> Result<Hashed, Raised> {
        // SAFETY: the caller's.
        unsafe {
            if weakly && self.as_slice().iter().any(|&part| identity::is_weak(part)) {
                self.weaken()?;
            }
            hash_in_place(self.as_slice())
        }
    }

    /// Replaces objects that are compared by identity by their tokens.
    unsafe fn weaken(&mut self) -> Result<(), Raised> {
        let strong: Vec<Borrowed> = self.as_slice().to_vec();
        let kept = std::mem::take(&mut self.kept);
        *self = Parts::new();
        self.kept = kept;
        for part in strong {
            // SAFETY: the caller's.
            let token = unsafe { identity::token(part)? };
            self.push(token.as_ref().map_or(part, Object::as_ptr));
            self.has_tokens |= token.is_some();
            self.kept.extend(token);
        }
        Ok(())
    }
}

/// Hashes parts, whatever they are. One part has the hash that it has as a key.
///
/// # Safety
///
/// As [`Parts::hash`].
#[inline]
pub(crate) unsafe fn hash_in_place(parts: &[Borrowed]) -> Result<Hashed, Raised> {
    // SAFETY: the caller's.
    unsafe {
        if let &[part] = parts {
            return compare::hash(part);
        }
        let mut all = Hashed { hash: parts.len() as u64, is_plain: true };
        for &part in parts {
            let one = compare::hash(part)?;
            all.hash = mix(all.hash, one.hash);
            all.is_plain &= one.is_plain;
        }
        Ok(all)
    }
}

/// Parts as one object: the part itself if it is a `single` one, or a tuple of them.
///
/// # Safety
///
/// As [`Parts::hash`].
pub(crate) unsafe fn to_object(parts: &[Borrowed], single: bool) -> Object {
    // SAFETY: the caller's.
    unsafe {
        if single {
            return Object::from_borrowed(parts[0]);
        }
        let tuple = ffi::PyTuple_New(parts.len() as ffi::Py_ssize_t);
        assert!(!tuple.is_null(), "no memory for a key of {} parts", parts.len());
        for (at, &part) in parts.iter().enumerate() {
            ffi::Py_INCREF(part);
            ffi::PyTuple_SET_ITEM(tuple, at as ffi::Py_ssize_t, part);
        }
        Object::from_owned(tuple)
    }
}

impl Signature {
    /// Whether keys are the one part that they have.
    #[inline]
    pub(crate) fn is_single(&self) -> bool {
        self.is_simple && self.parameters.len() == 1
    }

    /// The parts of a call that gives every parameter by position, where they are; no others.
    ///
    /// # Safety
    ///
    /// A call as CPython hands it over, and the interpreter's lock is held.
    #[inline]
    pub(crate) unsafe fn bind_in_place<'a>(&self, given: Given) -> Option<&'a [Borrowed]> {
        if !given.names.is_null() || given.count != self.all_by_position {
            return None;
        }
        if given.count == 0 {
            return Some(&[]); // there may be no pointer at all
        }
        // SAFETY: `count` arguments lie there.
        Some(unsafe { std::slice::from_raw_parts(given.args, given.count) })
    }

    /// The parts of a call of a simple signature with few parameters, in `room`; one that is null
    /// is missing. `None`: the call is for [`bind`](Self::bind), which knows all cases.
    ///
    /// # Safety
    ///
    /// As [`bind_in_place`](Self::bind_in_place).
    #[inline]
    pub(crate) unsafe fn bind_few<'a>(
        &self,
        given: Given,
        room: &'a mut [Borrowed; FEW],
    ) -> Option<&'a [Borrowed]> {
        let Few { defaults, count } = self.few.as_ref()?;
        if given.count > self.by_position {
            return None;
        }
        let pointer =
            |default: &Option<Object>| default.as_ref().map_or(null_mut(), Object::as_ptr);
        for (slot, default) in room.iter_mut().zip(defaults) {
            *slot = pointer(default);
        }
        // A loop with a known bound, and so none.
        for (at, slot) in room.iter_mut().enumerate() {
            if at == given.count {
                break;
            }
            // SAFETY: `count` arguments lie there.
            *slot = unsafe { *given.args.add(at) };
        }
        if given.names.is_null() {
            return room.get(..*count);
        }
        // SAFETY: after those by position lies one argument for each name.
        unsafe {
            for at in 0..ffi::PyTuple_GET_SIZE(given.names) {
                let name = ffi::PyTuple_GET_ITEM(given.names, at);
                let is = |parameter: &Parameter| std::ptr::eq(parameter.name.as_ptr(), name);
                let position = self.parameters.iter().position(is)?;
                if position < given.count.max(self.by_position_only) {
                    return None; // given twice, or not to be given by name
                }
                *room.get_mut(position)? = *given.args.add(given.count + at as usize);
            }
        }
        room.get(..*count)
    }

    /// The parts of a call's key; false if the call does not fit the signature.
    ///
    /// # Safety
    ///
    /// As [`bind_in_place`](Self::bind_in_place).
    pub(crate) unsafe fn bind(&self, given: Given, parts: &mut Parts) -> bool {
        let parameters = self.parameters.len();
        let mut bound = [null_mut(); ROOM];
        let mut many = Vec::new();
        let bound = if parameters <= ROOM {
            &mut bound[..parameters]
        } else {
            many.resize(parameters, null_mut());
            &mut many[..]
        };
        let by_position = given.count.min(self.by_position);
        if given.count > by_position && self.rest.is_none() {
            return false;
        }
        let mut more: Vec<(Borrowed, Borrowed)> = Vec::new();
        // SAFETY: `count` arguments lie there, then one for each name; `by_position` is at most the
        // number of parameters.
        unsafe {
            for (at, slot) in bound[..by_position].iter_mut().enumerate() {
                *slot = *given.args.add(at);
            }
            let names = match given.names.is_null() {
                true => 0,
                false => ffi::PyTuple_GET_SIZE(given.names) as usize,
            };
            for at in 0..names {
                let name = ffi::PyTuple_GET_ITEM(given.names, at as ffi::Py_ssize_t);
                let value = *given.args.add(given.count + at);
                match self.position(name) {
                    Some(at) if bound[at].is_null() => bound[at] = value,
                    Some(_) => return false,
                    None if self.more.is_some() => more.push((name, value)),
                    None => return false,
                }
            }
        }
        for (slot, parameter) in bound.iter_mut().zip(&self.parameters) {
            if slot.is_null() {
                let Some(default) = &parameter.default else { return false };
                *slot = default.as_ptr();
            }
            if !parameter.is_skipped {
                parts.push(*slot);
            }
        }
        if self.rest == Some(true) {
            for at in by_position..given.count {
                // SAFETY: `count` arguments lie there.
                parts.push(unsafe { *given.args.add(at) });
            }
        }
        if self.more == Some(true) && !more.is_empty() {
            // SAFETY: names are strings: comparing them runs nothing.
            more.sort_by(|a, b| unsafe { ffi::PyUnicode_Compare(a.0, b.0) }.cmp(&0));
            parts.push(self.marker.as_ptr());
            for (name, value) in more {
                parts.push(name);
                parts.push(value);
            }
        }
        true
    }

    /// The parameter of this name that may be given by name.
    unsafe fn position(&self, name: Borrowed) -> Option<usize> {
        let named = &self.parameters[self.by_position_only..];
        let is = |parameter: &Parameter| std::ptr::eq(parameter.name.as_ptr(), name);
        // SAFETY: both are strings.
        let equals = |parameter: &Parameter| unsafe {
            ffi::PyUnicode_Compare(parameter.name.as_ptr(), name) == 0
        };
        let at = named.iter().position(is).or_else(|| named.iter().position(equals));
        at.map(|at| at + self.by_position_only)
    }
}

/// A key as it is stored.
#[derive(Clone)]
pub(crate) struct Key(pub(crate) Object);

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        // SAFETY: keys are valid objects, and are compared where the core was called from Python.
        unsafe { unraised(compare::same(self.0.as_ptr(), other.0.as_ptr())) }
    }
}

impl Eq for Key {}

/// Two keys of which one cannot be compared are not the same; where a call compares, it raises.
unsafe fn unraised(compared: Result<bool, Raised>) -> bool {
    compared.unwrap_or_else(|Raised| {
        // SAFETY: the caller holds the interpreter's lock.
        unsafe { ffi::PyErr_Clear() };
        false
    })
}

/// A call in search of its entry. `PLAIN`: every part is.
pub(crate) struct Call<'a, const PLAIN: bool> {
    pub(crate) hash: u64,
    pub(crate) parts: &'a [Borrowed],
    /// Whether the key is the one part itself.
    pub(crate) single: bool,
    /// Set if comparing raised: the exception is the call's.
    pub(crate) raised: &'a Cell<bool>,
}

impl<const PLAIN: bool> Call<'_, PLAIN> {
    #[inline]
    fn compare(&self, key: &Key) -> Result<bool, Raised> {
        let key = key.0.as_ptr();
        let parts = self.parts;
        // SAFETY: valid objects, compared where the core was called from Python.
        unsafe {
            if self.single {
                return compare::same(parts[0], key);
            }
            let is_tuple = std::ptr::eq(ffi::Py_TYPE(key), &raw const ffi::PyTuple_Type);
            if !is_tuple || ffi::PyTuple_GET_SIZE(key) as usize != parts.len() {
                return Ok(false);
            }
            for (at, &part) in parts.iter().enumerate() {
                if !compare::same(part, ffi::PyTuple_GET_ITEM(key, at as ffi::Py_ssize_t))? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
    }
}

impl<const PLAIN: bool> Query<Key> for Call<'_, PLAIN> {
    #[inline]
    fn hash_into<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }

    #[inline]
    fn matches(&self, key: &Key) -> bool {
        if !PLAIN && self.raised.get() {
            return false;
        }
        self.compare(key).unwrap_or_else(|Raised| {
            self.raised.set(true);
            false
        })
    }

    fn to_key(&self) -> Key {
        // SAFETY: the parts are valid as long as the call.
        Key(unsafe { to_object(self.parts, self.single) })
    }

    #[inline]
    fn is_plain() -> bool {
        PLAIN
    }

    /// A value is cloned by counting one more, which runs nothing.
    #[inline]
    fn is_plain_with<V: 'static>() -> bool {
        PLAIN
    }
}

/// A call whose key is one text or whole number, in search of its entry: nearly every call of a
/// function with one parameter. `ASYNC` changes nothing but that each of the two who look for one
/// has the whole way to its entry inlined.
pub(crate) struct Atom<const ASYNC: bool> {
    pub(crate) hash: u64,
    pub(crate) part: Borrowed,
}

impl<const ASYNC: bool> Query<Key> for Atom<ASYNC> {
    #[inline]
    fn hash_into<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }

    #[inline]
    fn matches(&self, key: &Key) -> bool {
        // SAFETY: valid objects, compared where the core was called from Python.
        unsafe { unraised(compare::same(self.part, key.0.as_ptr())) }
    }

    fn to_key(&self) -> Key {
        // SAFETY: the part is valid as long as the call.
        Key(unsafe { Object::from_borrowed(self.part) })
    }

    #[inline]
    fn is_plain() -> bool {
        true
    }

    #[inline]
    fn is_plain_with<V: 'static>() -> bool {
        true
    }
}

/// In search of an entry that has this part in its key: the part itself, not one equal to it.
/// `PLAIN`: its key is.
pub(crate) struct Holding<'a, const PLAIN: bool> {
    /// Of the key.
    pub(crate) hash: u64,
    pub(crate) part: &'a Object,
}

impl<const PLAIN: bool> Query<Key> for Holding<'_, PLAIN> {
    fn hash_into<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }

    fn matches(&self, key: &Key) -> bool {
        let (key, part) = (key.0.as_ptr(), self.part.as_ptr());
        // SAFETY: keys are valid; an exact tuple has so many items.
        unsafe {
            if !std::ptr::eq(ffi::Py_TYPE(key), &raw const ffi::PyTuple_Type) {
                return std::ptr::eq(key, part);
            }
            (0..ffi::PyTuple_GET_SIZE(key)).any(|at| ffi::PyTuple_GET_ITEM(key, at) == part)
        }
    }

    fn to_key(&self) -> Key {
        Key(self.part.clone())
    }

    fn is_plain() -> bool {
        PLAIN
    }

    fn is_plain_with<V: 'static>() -> bool {
        PLAIN
    }
}
