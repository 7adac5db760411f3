//! What kind of value an object is: by its exact type, never by what it can do.
//!
//! Called by `key` and `write`, which say what becomes of each kind, and by `read` for the types.
//! Must not know any format.

use super::class;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyComplex, PyDate, PyDateTime, PyDelta, PyDict, PyFloat,
    PyFrozenSet, PyInt, PyList, PyRange, PySet, PyString, PyTime, PyTuple, PyType,
};

/// What a value is. A subclass is never what it is derived from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    None,
    Bool,
    Int,
    Float,
    Text,
    Bytes,
    Tuple,
    List,
    Dict,
    Set,
    FrozenSet,
    Complex,
    ByteArray,
    Range,
    TimeDelta,
    Date,
    Time,
    DateTime,
    TimeZone,
    Decimal,
    Fraction,
    Uuid,
    /// One of [`Kinds::paths`].
    Path(usize),
    Ip,
    /// Of numpy.
    Array,
    Scalar,
    Enum,
    Dataclass,
    NamedTuple,
    Other,
}

/// The types that Python's own library defines in Python, and what else is looked up by name.
pub(super) struct Kinds {
    pub(super) timezone: Py<PyType>,
    pub(super) decimal: Py<PyType>,
    pub(super) fraction: Py<PyType>,
    pub(super) uuid: Py<PyType>,
    /// `PurePosixPath`, `PureWindowsPath`, `PosixPath`, `WindowsPath`.
    pub(super) paths: [Py<PyType>; 4],
    ips: [Py<PyType>; 2],
    pub(super) enum_: Py<PyType>,
    pub(super) flag: Py<PyType>,
    pub(super) int_flag: Py<PyType>,
    pub(super) enum_meta: Py<PyType>,
    pub(super) member_descriptor: Py<PyType>,
    pub(super) cached_property: Py<PyType>,
    pub(super) object_new: Py<PyAny>,
    pub(super) object_get: Py<PyAny>,
    pub(super) tuple_new: Py<PyAny>,
    /// `sys.modules`
    pub(super) modules: Py<PyDict>,
}

static KINDS: PyOnceLock<Kinds> = PyOnceLock::new();

/// Imports the modules of all these types.
pub(super) fn load(py: Python<'_>) -> PyResult<&'static Kinds> {
    KINDS.get_or_try_init(py, || {
        let type_ = |module: &str, name: &str| -> PyResult<Py<PyType>> {
            Ok(py.import(module)?.getattr(name)?.cast_into::<PyType>()?.unbind())
        };
        let built_in = |name: &str, method: &str| -> PyResult<Py<PyAny>> {
            Ok(py.import("builtins")?.getattr(name)?.getattr(method)?.unbind())
        };
        let path = |name| type_("pathlib", name);
        Ok(Kinds {
            timezone: type_("datetime", "timezone")?,
            decimal: type_("decimal", "Decimal")?,
            fraction: type_("fractions", "Fraction")?,
            uuid: type_("uuid", "UUID")?,
            paths: [
                path("PurePosixPath")?,
                path("PureWindowsPath")?,
                path("PosixPath")?,
                path("WindowsPath")?,
            ],
            ips: [type_("ipaddress", "IPv4Address")?, type_("ipaddress", "IPv6Address")?],
            enum_: type_("enum", "Enum")?,
            flag: type_("enum", "Flag")?,
            int_flag: type_("enum", "IntFlag")?,
            enum_meta: type_("enum", "EnumMeta")?,
            member_descriptor: type_("types", "MemberDescriptorType")?,
            cached_property: type_("functools", "cached_property")?,
            object_new: built_in("object", "__new__")?,
            object_get: built_in("object", "__getattribute__")?,
            tuple_new: built_in("tuple", "__new__")?,
            modules: py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?.unbind(),
        })
    })
}

/// The types, which the module has loaded.
pub(super) fn kinds(py: Python<'_>) -> &'static Kinds {
    KINDS.get(py).expect("loaded with the module")
}

/// What a value is.
pub(super) fn kind_of(value: &Bound<'_, PyAny>) -> PyResult<Kind> {
    macro_rules! exact {
        ($($type:ty => $kind:ident),* $(,)?) => {
            $(if value.is_exact_instance_of::<$type>() { return Ok(Kind::$kind); })*
        };
    }
    if value.is_none() {
        return Ok(Kind::None);
    }
    exact! {
        PyString => Text, PyInt => Int, PyBool => Bool, PyFloat => Float, PyDict => Dict,
        PyList => List, PyTuple => Tuple, PyBytes => Bytes, PyDateTime => DateTime, PySet => Set,
        PyFrozenSet => FrozenSet, PyDate => Date, PyTime => Time, PyDelta => TimeDelta,
        PyByteArray => ByteArray, PyComplex => Complex, PyRange => Range,
    }
    of_library(value)
}

#[cold]
fn of_library(value: &Bound<'_, PyAny>) -> PyResult<Kind> {
    let (py, type_) = (value.py(), value.get_type());
    let kinds = kinds(py);
    let known = [
        (&kinds.decimal, Kind::Decimal),
        (&kinds.uuid, Kind::Uuid),
        (&kinds.fraction, Kind::Fraction),
        (&kinds.timezone, Kind::TimeZone),
        (&kinds.ips[0], Kind::Ip),
        (&kinds.ips[1], Kind::Ip),
    ];
    if let Some((_, kind)) = known.iter().find(|(known, _)| type_.is(*known)) {
        return Ok(*kind);
    }
    if let Some(which) = kinds.paths.iter().position(|path| type_.is(path)) {
        return Ok(Kind::Path(which));
    }
    if class::is_enum(&type_) {
        return Ok(Kind::Enum);
    }
    if class::is_dataclass(&type_)? {
        return Ok(Kind::Dataclass);
    }
    if class::is_namedtuple(&type_)? {
        return Ok(Kind::NamedTuple);
    }
    super::array::kind(&type_)
}

/// Whether a value's `repr` is Python's own, and short.
pub(super) fn is_brief(value: &Bound<'_, PyAny>) -> bool {
    let most = 40;
    match value.cast_exact::<PyString>() {
        Ok(text) => text.len().is_ok_and(|length| length <= most),
        Err(_) => value.extract::<i64>().is_ok() && value.is_exact_instance_of::<PyInt>(),
    }
}
