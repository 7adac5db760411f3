//! `pack` and `unpack`: a value and its parameters as the bytes of an envelope.
//!
//! Called by users' storages. Puts `write`, `read` and `sealing` together; must not know functions.

use super::fault::{Fault, Within, refused};
use super::lifetime::lifetime;
use super::pickle::PICKLE;
use super::write::Writer;
use super::{read, sealing};
use gecaso::face::format::{self, Entry, PARAMS, VALUE};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyMemoryView, PyString, PyTuple};
use std::time::Duration;

/// The name of the parameter that says how long an entry is fresh.
const TTL: &str = "ttl";

/// Makes bytes of a value and its parameters: what `unpack` takes apart again, and `gecaso::unpack`
/// in Rust where it is plain data.
///
/// A value is plain data (`None`, `bool`, `int`, `float`, `complex`, `str`, `bytes`, `bytearray`),
/// a `tuple`, `list`, `set`, `frozenset` or `dict` of such, a `range`, what `datetime`, `decimal`,
/// `fractions`, `uuid` and `pathlib` are for, an array or a scalar of numpy, or a member of an
/// `Enum`, a dataclass or a named tuple whose class is found by its name. It comes back equal, and
/// of the same type. Parameters are `None`, `bool`, `int` of 64 bits, `float`, `str`, `bytes`, and
/// lists of such; `ttl` is seconds, a `datetime.timedelta` or a text such as "1h 30m".
///
/// Raises `TypeError`, which names the place, for whatever else there is, and `ValueError` for what
/// takes more than 16 MiB or is nested more than 128 deep.
///
/// >>> import gecaso
/// >>> gecaso.unpack(gecaso.pack({1: ("a", None)}, ttl="1m"))
/// ({1: ('a', None)}, {'ttl': 60})
#[pyfunction]
#[pyo3(signature = (value, /, **params))]
pub(super) fn pack<'py>(
    value: &Bound<'py, PyAny>,
    params: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let (params, ttl) = write_params(params)?;
    let mut writer = Writer::new(VALUE);
    writer.value(value).map_err(|fault| fault.raise("value", "be packed", ADVICE))?;
    let entry = Entry::new(Entry::MESSAGEPACK, params, writer.into_bytes());
    seal(value, entry, ttl)
}

const ADVICE: &str = "store what it is made of, or keep it with a `gecaso.PickleCodec`";

/// Takes bytes apart that `pack` made, or Rust: a tuple of the value and its parameters.
///
/// The bytes may come from anybody: nothing is imported, no code of theirs runs, and what they
/// announce is held against what is there. Members of enums, dataclasses and named tuples come back
/// only if this process has imported their class and it has the same fields; no `__init__`,
/// `__new__` or `__post_init__` runs. The `ttl` comes back in seconds. An array of Rust's is a
/// list, a struct a dict.
///
/// Raises `gecaso.UnpackError`, a `ValueError`, for bytes that are none of these.
#[pyfunction]
#[pyo3(signature = (data, /))]
pub(super) fn unpack<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
    let py = data.py();
    let data = bytes_of(data)?;
    let entry = open(data.as_bytes(), Entry::MESSAGEPACK)?;
    let value = read::value(py, &entry.value)?;
    PyTuple::new(py, [value, read_params(py, &entry)?.into_any()])
}

/// The bytes of an entry, with what the call says of it if it is this value that is being stored.
pub(super) fn seal<'py>(
    value: &Bound<'py, PyAny>,
    mut entry: Entry<'_>,
    ttl: Option<Duration>,
) -> PyResult<Bound<'py, PyBytes>> {
    stamp(value, &mut entry, ttl)?;
    let bytes = entry.seal().map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(PyBytes::new(value.py(), &bytes))
}

/// What the call says of an entry if it is this value that is being stored.
pub(super) fn stamp(
    value: &Bound<'_, PyAny>,
    entry: &mut Entry<'_>,
    ttl: Option<Duration>,
) -> PyResult<()> {
    let Some(sealing) = sealing::of(value)? else { return Ok(()) };
    let sealing = sealing.get();
    let nanoseconds = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    let loaded = sealing.begun.saturating_add(sealing.load_took);
    entry.expires = ttl.map_or(u64::MAX, |ttl| loaded.saturating_add(nanoseconds(ttl)));
    entry.fingerprint = sealing.fingerprint;
    entry.epoch = sealing.epoch;
    entry.begun = sealing.begun;
    entry.load_took = sealing.load_took;
    entry.key = sealing.key.clone().unwrap_or_default().into();
    Ok(())
}

/// The parameters as they are stored, and the lifetime among them.
pub(super) fn write_params(
    params: Option<&Bound<'_, PyDict>>,
) -> PyResult<(Vec<u8>, Option<Duration>)> {
    let mut writer = Writer::for_params(PARAMS);
    let Some(params) = params else {
        writer.map(0).map_err(|fault| fault.raise("params", "be packed", ""))?;
        return Ok((writer.into_bytes(), None));
    };
    let given = params.get_item(TTL)?;
    let ttl = given.as_ref().map(|ttl| lifetime(TTL, ttl)).transpose()?.flatten();
    // The lifetime is written in its own form, and if it is `None` not at all.
    let count = params.len() - usize::from(given.is_some()) + usize::from(ttl.is_some());
    let mut write = || {
        writer.map(count)?;
        if let Some(ttl) = ttl {
            writer.text(TTL)?;
            match ttl.subsec_nanos() {
                0 => writer.unsigned(ttl.as_secs())?,
                _ => writer.float(ttl.as_secs_f64())?,
            }
        }
        for (name, value) in params.iter() {
            let name = name.cast_into::<PyString>().map_err(PyErr::from)?;
            let name = name.to_str()?;
            if name != TTL {
                writer.text(name)?;
                writer.value(&value).within(|| format!(" `{name}`"))?;
            }
        }
        Ok(())
    };
    let advice = "give None, a bool, an int of 64 bits, a float, a str, bytes, or a list of these";
    write().map_err(|fault: Fault| fault.raise("the parameter", "be packed", advice))?;
    Ok((writer.into_bytes(), ttl))
}

pub(super) fn read_params<'py>(py: Python<'py>, entry: &Entry<'_>) -> PyResult<Bound<'py, PyDict>> {
    read::params(py, &entry.params)
}

pub(super) fn open(bytes: &[u8], codec: u8) -> PyResult<Entry<'_>> {
    Entry::open(bytes, codec).map_err(|error| {
        match codec == Entry::MESSAGEPACK && Entry::open(bytes, PICKLE).is_ok() {
            true => refused("these bytes were packed by a `PickleCodec`: unpack them with that"),
            false => refused(error.to_string()),
        }
    })
}

/// The checksum of an envelope, for tests that make one by hand.
#[pyfunction]
pub(super) fn _checksum(bytes: &[u8]) -> u64 {
    format::checksum(bytes)
}

/// Bytes that nothing changes while they are read.
pub(super) fn bytes_of<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    if let Ok(bytes) = data.cast::<PyBytes>() {
        return Ok(bytes.clone());
    }
    if data.is_instance_of::<PyByteArray>() || data.is_instance_of::<PyMemoryView>() {
        let bytes = data.py().get_type::<PyBytes>().call1((data,))?;
        return Ok(bytes.cast_into()?);
    }
    let found = super::fault::name_of(data);
    Err(PyTypeError::new_err(format!("unpack takes bytes, and was given {found}")))
}
