//! Canonical keys of Python's values: the tree that the core writes as bytes.
//!
//! What is equal is the same key, and what has another type another one; `docs/format.md` has the
//! table. Nothing is ever made of a `repr`. Called where the arguments of a call become the key of
//! a far storage; must not know functions.

use super::class::{self, Member};
use super::fault::{Fault, Within, step_to};
use super::kind::{Kind, kind_of};
use super::write::cast;
use gecaso::face::format::{DEPTH, Integer, Tree, arguments};
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyBytes, PyComplex, PyComplexMethods, PyDateAccess, PyDelta, PyDeltaAccess, PyDict,
    PyFloat, PyInt, PyList, PyString, PyTimeAccess, PyTuple,
};
use std::net::IpAddr;

const ADVICE: &str = "leave it out with `_skip`, make the key yourself with `_key`, or give its \
    class a method `__gecaso_key__` that returns plain data";

/// The method that a class may have to say what its values are.
const OWN: &str = "__gecaso_key__";

/// The canonical bytes of a call's arguments, as one tuple. `name` says what an argument is called.
///
/// # Errors
///
/// A `TypeError` that names an argument, or a place inside of it, that is no plain data; a
/// `ValueError` if it is nested too deep; whatever a `__gecaso_key__` raises.
pub(crate) fn encode_arguments(
    parts: &[Bound<'_, PyAny>],
    name: &dyn Fn(usize) -> String,
) -> PyResult<Vec<u8>> {
    let tree = |(index, part)| {
        let raise = |fault: Fault| {
            fault.raise(&format!("the argument {}", name(index)), "be part of a key", ADVICE)
        };
        tree(part, DEPTH).map_err(raise)
    };
    Ok(arguments(parts.iter().enumerate().map(tree).collect::<PyResult<_>>()?))
}

/// `encode_arguments` for Python: names may be fewer than arguments.
#[pyfunction]
#[pyo3(signature = (parts, names = None))]
pub(super) fn _encode_arguments<'py>(
    py: Python<'py>,
    parts: Bound<'py, PyTuple>,
    names: Option<Vec<String>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let parts: Vec<_> = parts.iter().collect();
    let name = |index: usize| {
        let name = names.as_ref().and_then(|names| names.get(index));
        name.map_or_else(|| format!("{}", index + 1), |name| format!("`{name}`"))
    };
    Ok(PyBytes::new(py, &encode_arguments(&parts, &name)?))
}

/// One value. So deep may values still lie in this one.
fn tree(value: &Bound<'_, PyAny>, depth: u8) -> Result<Tree, Fault> {
    let too_deep =
        || Fault::value(format!("it is nested more than {DEPTH} deep, or contains itself"));
    let inner = depth.checked_sub(1).ok_or_else(too_deep)?;
    let kind = kind_of(value)?;
    if matches!(kind, Kind::Enum | Kind::Dataclass | Kind::NamedTuple | Kind::Other)
        && let Some(own) = own(value, inner)?
    {
        return Ok(own);
    }
    Ok(match kind {
        Kind::None => Tree::None,
        Kind::Bool => Tree::Bool(value.is(PyBool::new(value.py(), true))),
        Kind::Int => Tree::Integer(integer(cast(value)?)?),
        Kind::Float => Tree::Float(cast::<PyFloat>(value)?.value().to_bits()),
        Kind::Text => Tree::Text(text(cast(value)?)?),
        Kind::Bytes => Tree::Bytes(cast::<PyBytes>(value)?.as_bytes().to_vec()),
        Kind::Tuple => Tree::Tuple(items(cast(value)?, inner)?),
        // As it is now: what is read of its items may run code that changes it.
        Kind::List => Tree::List(items(&cast::<PyList>(value)?.to_tuple(), inner)?),
        Kind::Set | Kind::FrozenSet => Tree::Set(elements(value, inner)?),
        Kind::Dict => Tree::Map(entries(cast(value)?, inner)?),
        Kind::TimeDelta => {
            let span = cast::<PyDelta>(value)?;
            let seconds = i64::from(span.get_days()) * 86_400 + i64::from(span.get_seconds());
            Tree::Duration(number(seconds), nanoseconds(span.get_microseconds() as u32))
        }
        Kind::DateTime => moment(cast(value)?, inner)?,
        Kind::Path(which) => path(value, which)?,
        Kind::Ip => address(value)?,
        Kind::Enum => member(value, inner)?,
        Kind::Dataclass => {
            let class = value.get_type();
            let fields = class::dataclass_fields(&class)?;
            // As its `==`.
            let compared = fields.into_iter().filter(|(_, is_compared)| *is_compared);
            let mut parts = Vec::new();
            for (name, _) in compared {
                let part = value.getattr(&name)?;
                parts.push((text(&name)?, tree(&part, inner).within(|| format!(".{name}"))?));
            }
            Tree::Struct(name_of(value)?, parts)
        }
        Kind::NamedTuple => {
            let mut parts = Vec::new();
            for (name, part) in class::namedtuple_parts(value)? {
                parts.push((text(&name)?, tree(&part, inner).within(|| format!(".{name}"))?));
            }
            Tree::Struct(name_of(value)?, parts)
        }
        Kind::Complex => {
            let value = cast::<PyComplex>(value)?;
            let part = |part: f64| Tree::Float(part.to_bits());
            pythons("complex", vec![("real", part(value.real())), ("imag", part(value.imag()))])
        }
        Kind::Range => attributes("range", value, &["start", "stop", "step"], inner)?,
        Kind::Fraction => {
            attributes("fractions.Fraction", value, &["numerator", "denominator"], inner)?
        }
        Kind::Uuid => attributes("uuid.UUID", value, &["bytes"], inner)?,
        Kind::Decimal => {
            // `Decimal("1")` and `Decimal("1.0")` are equal, and not the same to a function.
            let digits = value.str()?.to_str()?.replace('e', "E");
            pythons("decimal.Decimal", vec![("str", Tree::Text(digits))])
        }
        Kind::Date => attributes("datetime.date", value, &["year", "month", "day"], inner)?,
        Kind::Time => time(cast(value)?, inner)?,
        Kind::TimeZone => {
            let said = value.call_method0("__getinitargs__")?;
            let said = tree(&said, inner)?;
            pythons("datetime.timezone", vec![("0", said)])
        }
        // What is changed in place is no key; arrays are large, and compare item by item.
        Kind::ByteArray | Kind::Array | Kind::Scalar | Kind::Other => {
            return Err(Fault::unknown(value));
        }
    })
}

/// What the class itself says its value is: a structure around that.
fn own(value: &Bound<'_, PyAny>, inner: u8) -> Result<Option<Tree>, Fault> {
    let Some(method) = value.get_type().getattr_opt(OWN)? else { return Ok(None) };
    let said = method.call1((value,))?;
    let said = tree(&said, inner).within(|| format!(".{OWN}()"))?;
    Ok(Some(Tree::Struct(name_of(value)?, vec![("0".to_owned(), said)])))
}

/// The name of a value's class, without its module. Names with a dot are those of Python's library.
fn name_of(value: &Bound<'_, PyAny>) -> Result<String, Fault> {
    let name = text(&value.get_type().name()?)?;
    match name.contains('.') {
        true => Err(Fault::type_(format!("the name of its class, `{name}`, has a dot in it"))),
        false => Ok(name),
    }
}

/// A type of Python's library that has no kind of its own: no class of a user's has such a name.
fn pythons(name: &str, fields: Vec<(&str, Tree)>) -> Tree {
    let name = if name.contains('.') { name.to_owned() } else { format!("builtins.{name}") };
    Tree::Struct(name, fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn attributes(
    name: &str,
    value: &Bound<'_, PyAny>,
    names: &[&'static str],
    inner: u8,
) -> Result<Tree, Fault> {
    let field = |name: &&'static str| Ok((*name, tree(&value.getattr(*name)?, inner)?));
    Ok(pythons(name, names.iter().map(field).collect::<Result<_, Fault>>()?))
}

fn integer(value: &Bound<'_, PyInt>) -> Result<Integer, Fault> {
    if let Ok(small) = value.extract::<i128>() {
        let magnitude = small.unsigned_abs().to_be_bytes().to_vec();
        return Ok(Integer { is_negative: small < 0, magnitude });
    }
    let bits: usize = value.call_method0("bit_length")?.extract()?;
    let absolute = value.call_method0("__abs__")?;
    let bytes = absolute.call_method1("to_bytes", (bits.div_ceil(8), "big"))?;
    let magnitude = cast::<PyBytes>(&bytes)?.as_bytes().to_vec();
    Ok(Integer { is_negative: value.lt(0)?, magnitude })
}

fn number(value: i64) -> Integer {
    let magnitude = value.unsigned_abs().to_be_bytes().to_vec();
    Integer { is_negative: value < 0, magnitude }
}

fn nanoseconds(microseconds: u32) -> u32 {
    microseconds * 1000
}

fn text(value: &Bound<'_, PyString>) -> Result<String, Fault> {
    let why = "it is a text with lone surrogates, which has no UTF-8";
    value.to_str().map(str::to_owned).map_err(|_| Fault::type_(why))
}

fn items(items: &Bound<'_, PyTuple>, inner: u8) -> Result<Vec<Tree>, Fault> {
    let item = |(index, item)| tree(&item, inner).within(|| format!("[{index}]"));
    items.iter().enumerate().map(item).collect()
}

fn elements(set: &Bound<'_, PyAny>, inner: u8) -> Result<Vec<Tree>, Fault> {
    let element = |element: PyResult<Bound<'_, PyAny>>| {
        tree(&element?, inner).within(|| " (an element)".to_owned())
    };
    set.try_iter()?.map(element).collect()
}

fn entries(dict: &Bound<'_, PyDict>, inner: u8) -> Result<Vec<(Tree, Tree)>, Fault> {
    let entry = |entry: Bound<'_, PyAny>| {
        let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = entry.extract()?;
        let of_key = tree(&key, inner).within(|| " (a key)".to_owned())?;
        Ok((of_key, tree(&value, inner).within(|| step_to(&key))?))
    };
    dict.items().iter().map(entry).collect()
}

/// A moment, or what a clock on the wall shows.
fn moment(value: &Bound<'_, pyo3::types::PyDateTime>, inner: u8) -> Result<Tree, Fault> {
    let offset = value.call_method0("utcoffset")?;
    let microseconds = i64::from(value.get_microsecond());
    let days = days_since_1970(value.get_year(), value.get_month(), value.get_day());
    let [hours, minutes, seconds] =
        [value.get_hour(), value.get_minute(), value.get_second()].map(i64::from);
    let shown = ((days * 24 + hours) * 60 + minutes) * 60 + seconds;
    if offset.is_none() {
        let fold = Tree::Bool(value.get_fold());
        let time = Tree::Time(number(shown), nanoseconds(value.get_microsecond()));
        // A zone that does not say its offset takes part as what it says itself.
        let zone = value.getattr("tzinfo")?;
        let zone = tree(&zone, inner).within(|| ".tzinfo".to_owned())?;
        let fields = vec![("shown", time), ("fold", fold), ("tzinfo", zone)];
        return Ok(pythons("datetime.datetime", fields));
    }
    let offset = cast::<PyDelta>(&offset)?;
    let east = i64::from(offset.get_days()) * 86_400 + i64::from(offset.get_seconds());
    let microseconds = microseconds - i64::from(offset.get_microseconds());
    let carried = microseconds.div_euclid(1_000_000);
    let rest = microseconds.rem_euclid(1_000_000) as u32;
    Ok(Tree::Time(number(shown - east + carried), nanoseconds(rest)))
}

/// Of the proleptic Gregorian calendar.
fn days_since_1970(year: i32, month: u8, day: u8) -> i64 {
    // Years begin in March: the day that comes and goes is the last one.
    let (year, month) = (i64::from(year), i64::from(month));
    let year = if month > 2 { year } else { year - 1 };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn time(value: &Bound<'_, pyo3::types::PyTime>, inner: u8) -> Result<Tree, Fault> {
    let zone = value.getattr("tzinfo")?;
    let zone = tree(&zone, inner).within(|| ".tzinfo".to_owned())?;
    let [hours, minutes, seconds] =
        [value.get_hour(), value.get_minute(), value.get_second()].map(i64::from);
    let shown = (hours * 60 + minutes) * 60 + seconds;
    let shown = Tree::Duration(number(shown), nanoseconds(value.get_microsecond()));
    let fields = vec![("shown", shown), ("fold", Tree::Bool(value.get_fold())), ("tzinfo", zone)];
    Ok(pythons("datetime.time", fields))
}

/// Those of this system are paths; those of the other one are only texts to it.
fn path(value: &Bound<'_, PyAny>, which: usize) -> Result<Tree, Fault> {
    let is_windows = which % 2 == 1;
    let shown = value.call_method0("as_posix")?;
    let shown = shown.cast::<PyString>().map_err(PyErr::from)?;
    let bytes = match is_windows {
        // Equal in whatever case; `C:` is the form that Rust writes.
        true => {
            let mut shown = text(shown)?;
            if shown.as_bytes().get(1) == Some(&b':') {
                shown[..1].make_ascii_uppercase();
            }
            shown.into_bytes()
        }
        false => {
            let os = value.py().import("os")?;
            let bytes = os.call_method1("fsencode", (shown,))?;
            cast::<PyBytes>(&bytes)?.as_bytes().to_vec()
        }
    };
    if is_windows == cfg!(windows) {
        return Ok(Tree::Path(bytes));
    }
    let name = if is_windows { "pathlib.PureWindowsPath" } else { "pathlib.PurePosixPath" };
    Ok(pythons(name, vec![("0", Tree::Path(bytes))]))
}

fn address(value: &Bound<'_, PyAny>) -> Result<Tree, Fault> {
    if value.getattr_opt("scope_id")?.is_some_and(|scope| !scope.is_none()) {
        return Err(Fault::type_("it is an address with a scope, which only this machine knows"));
    }
    let bytes = value.getattr("packed")?;
    let bytes = cast::<PyBytes>(&bytes)?.as_bytes();
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let v6 = <[u8; 16]>::try_from(bytes).map(IpAddr::from);
    v4.or(v6).map(Tree::Ip).map_err(|_| Fault::unknown(value))
}

fn member(value: &Bound<'_, PyAny>, inner: u8) -> Result<Tree, Fault> {
    let name = name_of(value)?;
    Ok(match class::member_of(value)? {
        Member::Named(member) => Tree::Variant(name, text(&member)?, Vec::new()),
        Member::Combined(flags) => Tree::Struct(name, vec![("0".to_owned(), tree(&flags, inner)?)]),
    })
}
