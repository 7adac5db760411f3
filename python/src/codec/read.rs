//! Python's values out of MessagePack that anybody may have written.
//!
//! Every length is checked against what is there before it is used, nothing is imported, and of
//! users' classes nothing runs but the `__hash__` and `__eq__` of those that are keys of a dict or
//! elements of a set. Called by `pack`; must not know envelopes.

use super::extension as ext;
use super::fault::{blamed, refused};
use super::kind::kinds;
use super::write::FRACTION;
use super::{array, class, moment};
use gecaso::face::format::{DEPTH, Fault, Head, Input, write};
use pyo3::prelude::*;
use pyo3::types::{
    PyByteArray, PyBytes, PyComplex, PyDict, PyFrozenSet, PyInt, PyList, PySet, PyString, PyTuple,
    PyType,
};

/// What reads values.
pub(super) struct Reader<'py> {
    pub(super) py: Python<'py>,
    /// How many more arrays, maps and extensions may lie in one another.
    depth: u8,
    /// Whether only what Rust takes for a parameter is read.
    for_params: bool,
}

/// What a value is read for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum As {
    Value,
    /// A key of a dict or an element of a set: an array that is one is a tuple.
    Key,
}

pub(super) type Read<'py> = PyResult<Bound<'py, PyAny>>;

fn malformed(fault: Fault) -> PyErr {
    refused(format!("the packed value cannot be read: {fault}"))
}

pub(super) fn unlike(what: &str) -> PyErr {
    refused(format!("the packed value has {what} that is none"))
}

/// A value that is all of these bytes.
pub(super) fn value<'py>(py: Python<'py>, bytes: &[u8]) -> Read<'py> {
    let mut reader = Reader { py, depth: DEPTH, for_params: false };
    let mut input = Input::new(bytes);
    // Whatever is raised on the way, by whichever class: the bytes have asked for it.
    let value = reader.item(&mut input, As::Value);
    let value = value.map_err(|error| blamed(py, "a part", error))?;
    reader.end(&input)?;
    Ok(value)
}

/// Parameters that are all of these bytes.
pub(super) fn params<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyDict>> {
    let mut reader = Reader { py, depth: DEPTH, for_params: true };
    let mut input = Input::new(bytes);
    let Head::Map(length) = input.head().map_err(malformed)? else {
        return Err(refused("the packed parameters are no map"));
    };
    let params = PyDict::new(py);
    for _ in 0..length {
        let Head::Text(length) = input.head().map_err(malformed)? else {
            return Err(refused("a packed parameter has no name"));
        };
        let name = input.text(length).map_err(malformed)?;
        params.set_item(name, reader.item(&mut input, As::Value)?)?;
    }
    reader.end(&input)?;
    Ok(params)
}

impl<'py> Reader<'py> {
    fn end(&self, input: &Input<'_>) -> PyResult<()> {
        if input.is_empty() { Ok(()) } else { Err(refused("something follows a packed value")) }
    }

    fn deeper<T>(&mut self, inside: impl FnOnce(&mut Self) -> PyResult<T>) -> PyResult<T> {
        let too_deep = || refused(format!("the packed value is nested more than {DEPTH} deep"));
        self.depth = self.depth.checked_sub(1).ok_or_else(too_deep)?;
        let done = inside(self)?;
        self.depth += 1;
        Ok(done)
    }

    fn item(&mut self, input: &mut Input<'_>, read_as: As) -> Read<'py> {
        let py = self.py;
        let first = input.peek().map_err(malformed)?;
        let head = input.head().map_err(malformed)?;
        Ok(match head {
            Head::Nil => py.None().into_bound(py),
            Head::Bool(value) => value.into_pyobject(py)?.to_owned().into_any(),
            Head::Unsigned(value) => value.into_pyobject(py)?.into_any(),
            Head::Signed(value) => value.into_pyobject(py)?.into_any(),
            Head::Float32(value) => f64::from(value).into_pyobject(py)?.into_any(),
            Head::Float64(value) => value.into_pyobject(py)?.into_any(),
            Head::Text(length) => {
                PyString::new(py, input.text(length).map_err(malformed)?).into_any()
            }
            Head::Binary(length) => binary(py, first, input.take(length).map_err(malformed)?)?,
            Head::Array(length) => {
                let is_longer = matches!((first, length), (0xdc, ..16) | (0xdd, ..0x1_0000));
                match is_longer || read_as == As::Key {
                    true => self.tuple(input, length, read_as)?,
                    false => self.list(input, length)?,
                }
            }
            Head::Map(_) | Head::Extension(..) if self.for_params => {
                return Err(refused("a packed parameter is no plain data"));
            }
            Head::Map(length) => self.dict(input, length)?,
            Head::Extension(write::SOME, length) => {
                let mut inner = Input::new(input.take(length).map_err(malformed)?);
                let value = self.deeper(|reader| reader.item(&mut inner, read_as))?;
                self.end(&inner)?;
                value
            }
            Head::Extension(type_, length) => {
                let data = input.take(length).map_err(malformed)?;
                self.deeper(|reader| reader.extension(type_, data))?
            }
        })
    }

    fn list(&mut self, input: &mut Input<'_>, length: usize) -> Read<'py> {
        let list = PyList::empty(self.py);
        self.deeper(|reader| {
            (0..length).try_for_each(|_| list.append(reader.item(input, As::Value)?))
        })?;
        Ok(list.into_any())
    }

    fn tuple(&mut self, input: &mut Input<'_>, length: usize, read_as: As) -> Read<'py> {
        let items = self.deeper(|reader| {
            (0..length).map(|_| reader.item(input, read_as)).collect::<PyResult<Vec<_>>>()
        })?;
        Ok(PyTuple::new(self.py, items)?.into_any())
    }

    fn dict(&mut self, input: &mut Input<'_>, length: usize) -> Read<'py> {
        let dict = PyDict::new(self.py);
        self.deeper(|reader| {
            for _ in 0..length {
                let key = reader.item(input, As::Key)?;
                let value = reader.item(input, As::Value)?;
                dict.set_item(key, value)
                    .map_err(|error| blamed(reader.py, "a key of a dict", error))?;
            }
            Ok(())
        })?;
        if dict.len() != length {
            Err(refused("a packed dict has a key twice"))
        } else {
            Ok(dict.into_any())
        }
    }

    /// The items that are all of an extension's data.
    fn items(&mut self, data: &[u8], read_as: As) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let mut input = Input::new(data);
        let mut items = Vec::new();
        while !input.is_empty() {
            items.push(self.item(&mut input, read_as)?);
        }
        Ok(items)
    }

    pub(super) fn exactly<const N: usize>(
        &mut self,
        data: &[u8],
    ) -> PyResult<[Bound<'py, PyAny>; N]> {
        let items = self.items(data, As::Value)?;
        items.try_into().map_err(|_| refused("a packed value has other parts than it should"))
    }

    fn extension(&mut self, type_: i8, data: &[u8]) -> Read<'py> {
        let py = self.py;
        let kinds = kinds(py);
        let whole = |items: &[Bound<'py, PyAny>]| {
            items.iter().all(|item| item.is_exact_instance_of::<PyInt>())
        };
        match type_ {
            ext::LARGE => large(py, data),
            ext::COMPLEX => {
                let (real, imaginary) =
                    data.split_first_chunk().ok_or_else(|| unlike("a number"))?;
                let imaginary = imaginary.try_into().map_err(|_| unlike("a number"))?;
                let [real, imaginary] = [*real, imaginary].map(f64::from_be_bytes);
                Ok(PyComplex::from_doubles(py, real, imaginary).into_any())
            }
            ext::SURROGATES => PyBytes::new(py, data)
                .call_method1("decode", ("utf-8", "surrogatepass"))
                .map_err(|error| blamed(py, "a text", error)),
            ext::BYTEARRAY => Ok(PyByteArray::new(py, data).into_any()),
            ext::TUPLE => Ok(PyTuple::new(py, self.items(data, As::Value)?)?.into_any()),
            ext::SET => {
                let items = self.items(data, As::Key)?;
                let count = items.len();
                let set = PySet::new(py, items).map_err(|error| blamed(py, "a set", error))?;
                if set.len() == count { Ok(set.into_any()) } else { Err(unlike("a set")) }
            }
            ext::FROZENSET => {
                let items = self.items(data, As::Key)?;
                let count = items.len();
                let set = PyFrozenSet::new(py, items)
                    .map_err(|error| blamed(py, "a frozenset", error))?;
                if set.len() == count { Ok(set.into_any()) } else { Err(unlike("a frozenset")) }
            }
            ext::RANGE => match self.exactly::<3>(data)? {
                parts if whole(&parts) => py
                    .get_type::<pyo3::types::PyRange>()
                    .call1(PyTuple::new(py, parts)?)
                    .map_err(|error| blamed(py, "a range", error)),
                _ => Err(unlike("a range")),
            },
            ext::TIMEDELTA | ext::DATE | ext::TIME | ext::DATETIME | ext::TIMEZONE => {
                moment::read(self, type_, data)
            }
            ext::DECIMAL => {
                let text = std::str::from_utf8(data).map_err(|_| unlike("a decimal"))?;
                let made = kinds.decimal.bind(py).call1((text,));
                let made = made.map_err(|error| blamed(py, "a decimal", error))?;
                // The constructor takes more than is written.
                match made.str()?.to_str()?.replace('e', "E") == text {
                    true => Ok(made),
                    false => Err(unlike("a decimal")),
                }
            }
            ext::FRACTION => {
                let parts = self.exactly::<2>(data)?;
                if data.len() > FRACTION || !whole(&parts) {
                    return Err(unlike("a fraction"));
                }
                let made = kinds.fraction.bind(py).call1((&parts[0], &parts[1]));
                let made = made.map_err(|error| blamed(py, "a fraction", error))?;
                match made.getattr("denominator")?.eq(&parts[1])? {
                    true => Ok(made),
                    false => Err(unlike("a fraction")),
                }
            }
            ext::UUID if data.len() == 16 => {
                let named = PyDict::new(py);
                named.set_item("bytes", PyBytes::new(py, data))?;
                let made = kinds.uuid.bind(py).call((), Some(&named));
                finished(py, "a UUID", made)
            }
            ext::PATH => {
                let [which, text] = self.exactly(data)?;
                let class = kinds.paths.get(number::<usize>(&which)?);
                let (Some(class), Ok(text)) = (class, text.cast::<PyString>()) else {
                    return Err(unlike("a path"));
                };
                finished(py, "a path of this system", class.bind(py).call1((text,)))
            }
            ext::ARRAY => array::build(self.exactly(data)?),
            ext::SCALAR => array::build_scalar(self.exactly(data)?),
            ext::ENUM => {
                let [module, name, member] = self.exactly(data)?;
                let class = self.class(&module, &name)?;
                let made = match member.cast::<PyString>() {
                    Ok(member) => class::find_member(&class, member.to_str()?),
                    Err(_) if member.is_exact_instance_of::<PyInt>() => {
                        class::find_combined(&class, &member)
                    }
                    Err(_) => Err(unlike("a member of an enum")),
                };
                finished(py, "a member of an enum", made)
            }
            ext::DATACLASS | ext::NAMEDTUPLE => self.instance(type_, data),
            _ => Err(refused("the packed value is of a kind that this version does not know")),
        }
    }

    /// A class that this process has already.
    fn class(
        &self,
        module: &Bound<'py, PyAny>,
        name: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyType>> {
        let (Ok(module), Ok(name)) = (module.cast::<PyString>(), name.cast::<PyString>()) else {
            return Err(unlike("a class"));
        };
        class::find(self.py, module.to_str()?, name.to_str()?)?.ok_or_else(|| {
            refused(format!(
                "the packed value is of the class `{module}.{name}`, which this process has not \
                 imported: import it before"
            ))
        })
    }

    fn instance(&mut self, type_: i8, data: &[u8]) -> Read<'py> {
        let mut input = Input::new(data);
        let module = self.item(&mut input, As::Value)?;
        let name = self.item(&mut input, As::Value)?;
        let class = self.class(&module, &name)?;
        let mut parts = Vec::new();
        while !input.is_empty() {
            let Head::Text(length) = input.head().map_err(malformed)? else {
                return Err(unlike("a field"));
            };
            let name = input.text(length).map_err(malformed)?;
            parts.push((name, self.item(&mut input, As::Value)?));
        }
        let made = match type_ {
            ext::DATACLASS => class::build_dataclass(&class, parts),
            _ => class::build_namedtuple(&class, parts),
        };
        finished(self.py, "an instance of its class", made)
    }
}

/// What a constructor made, or a refusal: it has refused the parts.
pub(super) fn finished<'py, T>(
    py: Python<'py>,
    what: &str,
    made: PyResult<Bound<'py, T>>,
) -> Read<'py> {
    made.map(Bound::into_any).map_err(|error| blamed(py, what, error))
}

pub(super) fn number<'py, T: for<'a> FromPyObject<'a, 'py>>(
    item: &Bound<'py, PyAny>,
) -> PyResult<T> {
    let is_whole = item.is_exact_instance_of::<PyInt>();
    let number = is_whole.then(|| item.extract::<T>().ok()).flatten();
    number.ok_or_else(|| unlike("a number"))
}

/// Bytes, or a whole number in a longer form than bytes have.
fn binary<'py>(py: Python<'py>, first: u8, data: &[u8]) -> Read<'py> {
    Ok(match (first, <[u8; 16]>::try_from(data)) {
        (write::SIGNED_WIDE, Ok(wide)) => i128::from_be_bytes(wide).into_pyobject(py)?.into_any(),
        (write::UNSIGNED_WIDE, Ok(wide)) => u128::from_be_bytes(wide).into_pyobject(py)?.into_any(),
        _ => PyBytes::new(py, data).into_any(),
    })
}

fn large<'py>(py: Python<'py>, data: &[u8]) -> Read<'py> {
    let signed = PyDict::new(py);
    signed.set_item("signed", true)?;
    let number = py.get_type::<PyInt>();
    number.call_method("from_bytes", (PyBytes::new(py, data), "big"), Some(&signed))
}
