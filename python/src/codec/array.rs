//! numpy's arrays and scalars: the type of their items, their shape and their bytes.
//!
//! Nothing is done where numpy is not imported: there is no such value then, and none is made of
//! bytes. Called by `kind`, `write` and `read`.

use super::extension as ext;
use super::fault::{Fault, blamed, refused};
use super::kind::{Kind, kinds};
use super::write::{Writer, cast};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyInt, PyModule, PyString, PyTuple, PyType};

fn numpy(py: Python<'_>) -> PyResult<Option<Bound<'_, PyModule>>> {
    let module = kinds(py).modules.bind(py).get_item("numpy")?;
    Ok(module.and_then(|module| module.cast_into().ok()))
}

/// Whether a type is one of numpy's.
pub(super) fn kind(type_: &Bound<'_, PyType>) -> PyResult<Kind> {
    let Some(numpy) = numpy(type_.py())? else { return Ok(Kind::Other) };
    // While numpy is being imported, they may be missing.
    let named = |name| numpy.dict().get_item(name);
    if named("ndarray")?.is_some_and(|array| type_.is(&array)) {
        return Ok(Kind::Array);
    }
    let is_scalar = named("generic")?.is_some_and(|scalar| {
        // A subclass of a user's is not one: all of numpy's say that they are.
        let module = type_.getattr("__module__").and_then(|module| module.eq("numpy"));
        module.unwrap_or(false) && type_.mro().iter().any(|base| base.is(&scalar))
    });
    Ok(if is_scalar { Kind::Scalar } else { Kind::Other })
}

/// The type of an item, taken apart.
struct Items<'a> {
    order: u8,
    kind: u8,
    size: usize,
    text: &'a str,
}

impl<'a> Items<'a> {
    /// `<f8`, `|b1`, `<M8[ns]`: plain data alone, of at least a byte.
    fn parse(text: &'a str) -> Option<Self> {
        let [order @ (b'<' | b'>' | b'|'), kind, rest @ ..] = text.as_bytes() else { return None };
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (size, unit) = rest.split_at(digits);
        let size: usize = std::str::from_utf8(size).ok()?.parse().ok()?;
        let is_known = match kind {
            b'b' | b'i' | b'u' | b'f' | b'c' | b'S' | b'U' => unit.is_empty(),
            b'M' | b'm' => match unit {
                [] => true,
                [b'[', unit @ .., b']'] => unit.iter().all(u8::is_ascii_alphanumeric),
                _ => false,
            },
            _ => false,
        };
        let size = if *kind == b'U' { size.checked_mul(4)? } else { size };
        (is_known && size > 0).then_some(Items { order: *order, kind: *kind, size, text })
    }

    /// Whether any such bytes are items that numpy itself could have made.
    fn takes(&self, data: &[u8]) -> bool {
        match self.kind {
            b'b' => data.iter().all(|byte| *byte < 2),
            b'U' => data.as_chunks::<4>().0.iter().all(|unit| {
                let number = match self.order {
                    b'>' => u32::from_be_bytes(*unit),
                    _ => u32::from_le_bytes(*unit),
                };
                number <= 0x10_ffff
            }),
            _ => true,
        }
    }
}

fn type_of_items(value: &Bound<'_, PyAny>) -> Result<String, Fault> {
    let type_ = value.getattr("dtype")?;
    let text: String = type_.getattr("str")?.extract()?;
    let is_whole = type_.getattr("names")?.is_none();
    match Items::parse(&text) {
        Some(_) if is_whole => Ok(text),
        _ => Err(Fault::type_(format!("its items are of the numpy type `{type_}`"))),
    }
}

pub(super) fn write(to: &mut Writer, value: &Bound<'_, PyAny>) -> Result<(), Fault> {
    let items = type_of_items(value)?;
    let flags = value.getattr("flags")?;
    let by_columns = flags.getattr("f_contiguous")?.is_truthy()?
        && !flags.getattr("c_contiguous")?.is_truthy()?;
    let shape: Vec<u64> = value.getattr("shape")?.extract()?;
    let data = value.call_method1("tobytes", (if by_columns { "F" } else { "C" },))?;
    to.extended(ext::ARRAY, |to| {
        to.text(&items)?;
        to.boolean(by_columns)?;
        let shape = pyo3::types::PyList::new(value.py(), shape)?;
        to.value(shape.as_any())?;
        to.binary(cast::<PyBytes>(&data)?.as_bytes())
    })
}

pub(super) fn write_scalar(to: &mut Writer, value: &Bound<'_, PyAny>) -> Result<(), Fault> {
    let items = type_of_items(value)?;
    let data = value.call_method0("tobytes")?;
    to.extended(ext::SCALAR, |to| {
        to.text(&items)?;
        to.binary(cast::<PyBytes>(&data)?.as_bytes())
    })
}

/// Out of the type of the items, the order, the shape and the bytes.
pub(super) fn build(parts: [Bound<'_, PyAny>; 4]) -> PyResult<Bound<'_, PyAny>> {
    let [items, by_columns, shape, data] = parts;
    let is_shape = shape
        .cast_exact::<pyo3::types::PyList>()
        .is_ok_and(|shape| shape.iter().all(|length| length.is_exact_instance_of::<PyInt>()));
    if !is_shape || !by_columns.is_exact_instance_of::<PyBool>() {
        return Err(unlike());
    }
    let shape: Vec<usize> = shape.extract().map_err(|_| unlike())?;
    make(&items, &shape, by_columns.is_truthy()?, &data)
}

/// Out of the type of the item and its bytes.
pub(super) fn build_scalar(parts: [Bound<'_, PyAny>; 2]) -> PyResult<Bound<'_, PyAny>> {
    let [items, data] = parts;
    make(&items, &[], false, &data)?.get_item(PyTuple::empty(items.py()))
}

fn unlike() -> PyErr {
    refused("the packed value has an array that is none")
}

fn make<'py>(
    items: &Bound<'py, PyAny>,
    shape: &[usize],
    by_columns: bool,
    data: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = items.py();
    let (Ok(items), Ok(data)) = (items.cast::<PyString>(), data.cast::<PyBytes>()) else {
        return Err(unlike());
    };
    let items = Items::parse(items.to_str()?).ok_or_else(unlike)?;
    let size = shape.iter().try_fold(items.size, |size, length| size.checked_mul(*length));
    let data = data.as_bytes();
    if size != Some(data.len()) || !items.takes(data) {
        return Err(unlike());
    }
    let Some(numpy) = numpy(py)? else {
        return Err(refused("the packed value has an array of numpy: import numpy before"));
    };
    let build = || {
        let type_ = numpy.getattr("dtype")?.call1((items.text,))?;
        let order = if by_columns { "F" } else { "C" };
        let arguments = pyo3::types::PyDict::new(py);
        arguments.set_item("buffer", PyByteArray::new(py, data))?;
        arguments.set_item("order", order)?;
        let shape = PyTuple::new(py, shape)?;
        let view = numpy.getattr("ndarray")?.call((shape, type_), Some(&arguments))?;
        // One that owns what it shows.
        view.call_method1("copy", (order,))
    };
    build().map_err(|error| blamed(py, "an array", error))
}
