//! Values of users' classes: enums, dataclasses and named tuples, found by name and put together
//! without running anything of theirs.
//!
//! A class is found among the modules that are imported already, by looking into their dicts and
//! those of the classes themselves: no module's or class's own way of finding attributes is asked.
//! Dataclasses are put together field by field: no `__init__`, `__new__`, `__post_init__`,
//! `__setattr__` or `__set__` runs. Called by `kind`, `key`, `write` and `read`.

use super::fault::{Fault, refused};
use super::kind::kinds;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMappingProxy, PyModule, PyString, PyTuple, PyType};

/// `Py_TPFLAGS_HEAPTYPE`: made by a `class` statement, or as if.
const MADE_AT_RUN_TIME: u64 = 1 << 9;

/// A field: its name, and what is in it.
pub(super) type Part<'py> = (Bound<'py, PyString>, Bound<'py, PyAny>);

/// What a class itself says under this name, or a base of it.
fn look<'py>(class: &Bound<'py, PyType>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    for base in class.mro().iter() {
        let own = base.getattr("__dict__")?;
        let own = own.cast::<PyMappingProxy>()?;
        if own.contains(name)? {
            return own.get_item(name).map(Some);
        }
    }
    Ok(None)
}

fn descends(class: &Bound<'_, PyType>, from: &Bound<'_, PyType>) -> bool {
    class.mro().iter().any(|base| base.is(from))
}

pub(super) fn is_enum(class: &Bound<'_, PyType>) -> bool {
    descends(class, kinds(class.py()).enum_.bind(class.py()))
}

pub(super) fn is_dataclass(class: &Bound<'_, PyType>) -> PyResult<bool> {
    Ok(look(class, "__dataclass_fields__")?.is_some() && is_made_of(class, None)?)
}

pub(super) fn is_namedtuple(class: &Bound<'_, PyType>) -> PyResult<bool> {
    let tuple = class.py().get_type::<PyTuple>();
    Ok(descends(class, &tuple) && is_made_of(class, Some(&tuple))? && fields_of(class)?.is_some())
}

/// Whether a class is made of classes like it, `object`, and that other one.
fn is_made_of(class: &Bound<'_, PyType>, other: Option<&Bound<'_, PyType>>) -> PyResult<bool> {
    let object = class.py().get_type::<PyAny>();
    for base in class.mro().iter() {
        let is_known = base.is(&object) || other.is_some_and(|other| base.is(other));
        if !is_known && base.getattr("__flags__")?.extract::<u64>()? & MADE_AT_RUN_TIME == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The names of a named tuple's fields.
fn fields_of<'py>(class: &Bound<'py, PyType>) -> PyResult<Option<Vec<Bound<'py, PyString>>>> {
    let Some(fields) = look(class, "_fields")? else { return Ok(None) };
    let Ok(fields) = fields.cast_into_exact::<PyTuple>() else { return Ok(None) };
    Ok(fields.iter().map(|name| name.cast_into_exact::<PyString>().ok()).collect())
}

/// The fields of a dataclass: their names, and whether its `==` looks at them.
pub(super) fn dataclass_fields<'py>(
    class: &Bound<'py, PyType>,
) -> PyResult<Vec<(Bound<'py, PyString>, bool)>> {
    let py = class.py();
    // Where there is a dataclass, this is imported.
    let module = kinds(py).modules.bind(py).get_item("dataclasses")?;
    let module = module.ok_or_else(|| refused("the module `dataclasses` is not imported"))?;
    let fields = module.call_method1("fields", (class,))?.cast_into::<PyTuple>()?;
    let field = |field: Bound<'py, PyAny>| {
        let name = field.getattr("name")?.cast_into::<PyString>()?;
        Ok((name, field.getattr("compare")?.is_truthy()?))
    };
    fields.iter().map(field).collect()
}

/// The fields of a named tuple and what is in them.
pub(super) fn namedtuple_parts<'py>(value: &Bound<'py, PyAny>) -> Result<Vec<Part<'py>>, Fault> {
    let items = value.cast::<PyTuple>().map_err(PyErr::from)?;
    let fields = fields_of(&value.get_type())?.unwrap_or_default();
    if fields.len() != items.len() {
        return Err(Fault::type_("it is a named tuple whose length is not that of its fields"));
    }
    refuse_extras(value, &[])?;
    Ok(fields.into_iter().zip(items.iter()).collect())
}

/// The fields of a dataclass and what is in them: all that there is to it.
pub(super) fn dataclass_parts<'py>(value: &Bound<'py, PyAny>) -> Result<Vec<Part<'py>>, Fault> {
    let fields = dataclass_fields(&value.get_type())?;
    let names: Vec<_> = fields.into_iter().map(|(name, _)| name).collect();
    refuse_extras(value, &names)?;
    let part = |name: Bound<'py, PyString>| {
        let Some(part) = value.getattr_opt(&name)? else {
            return Err(Fault::type_(format!("its field `{name}` has no value")));
        };
        Ok((name, part))
    };
    names.into_iter().map(part).collect()
}

/// What an instance has beside its fields would be lost; but what is computed comes again.
fn refuse_extras(value: &Bound<'_, PyAny>, fields: &[Bound<'_, PyString>]) -> Result<(), Fault> {
    let py = value.py();
    let Some(own) = value.getattr_opt("__dict__")? else { return Ok(()) };
    let Ok(own) = own.cast_into::<PyDict>() else { return Ok(()) };
    for name in own.keys() {
        let mut is_field = false;
        for field in fields {
            is_field |= name.eq(field)?;
        }
        let name = name.cast_into::<PyString>().map_err(PyErr::from)?;
        let computed = look(&value.get_type(), name.to_str()?)?;
        let property = kinds(py).cached_property.bind(py);
        if !is_field && !computed.is_some_and(|computed| computed.get_type().is(property)) {
            return Err(Fault::type_(format!("it has an attribute `{name}` that is no field")));
        }
    }
    Ok(())
}

/// How a class is found again.
pub(super) fn path_of<'py>(class: &Bound<'py, PyType>) -> Result<[Bound<'py, PyString>; 2], Fault> {
    let py = class.py();
    let module = class.getattr("__module__")?.cast_into::<PyString>().map_err(PyErr::from)?;
    let name = class.qualname()?;
    let found = find(py, module.to_str()?, name.to_str()?)?;
    if !found.is_some_and(|found| found.is(class)) {
        let why = format!("its class `{module}.{name}` is not to be found there");
        return Err(Fault::type_(why));
    }
    Ok([module, name])
}

/// A class by its module and its name in there, if all of that is there already.
pub(super) fn find<'py>(
    py: Python<'py>,
    module: &str,
    name: &str,
) -> PyResult<Option<Bound<'py, PyType>>> {
    let Some(module) = kinds(py).modules.bind(py).get_item(module)? else { return Ok(None) };
    let Ok(module) = module.cast_into::<PyModule>() else { return Ok(None) };
    let mut names = name.split('.');
    let first = module.dict().get_item(names.next().unwrap_or_default())?;
    let mut found = first.and_then(|first| first.cast_into::<PyType>().ok());
    for name in names {
        let Some(outer) = found else { return Ok(None) };
        let own = outer.getattr("__dict__")?;
        let own = own.cast::<PyMappingProxy>()?;
        let inner = own.contains(name)?.then(|| own.get_item(name)).transpose()?;
        found = inner.and_then(|inner| inner.cast_into::<PyType>().ok());
    }
    Ok(found)
}

/// A dataclass with these fields, in this order.
pub(super) fn build_dataclass<'py>(
    class: &Bound<'py, PyType>,
    parts: Vec<(&str, Bound<'py, PyAny>)>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    let kinds = kinds(py);
    if !is_dataclass(class)? {
        return Err(refused(format!("`{}` is no dataclass any more", class.qualname()?)));
    }
    let fields = dataclass_fields(class)?;
    let names = fields.iter().map(|(name, _)| name.to_str()).collect::<PyResult<Vec<_>>>()?;
    expect_fields(class, &names, &parts)?;
    let made = kinds.object_new.bind(py).call1((class,))?;
    let own = kinds.object_get.bind(py).call1((&made, "__dict__")).ok();
    let own = own.and_then(|own| own.cast_into_exact::<PyDict>().ok());
    for (name, part) in parts {
        let slot = look(class, name)?;
        let slot = slot.filter(|slot| slot.get_type().is(kinds.member_descriptor.bind(py)));
        match (slot, &own) {
            (Some(slot), _) => drop(slot.call_method1("__set__", (&made, part))?),
            (None, Some(own)) => own.set_item(PyString::intern(py, name), part)?,
            (None, None) => return Err(refused(format!("no place for the field `{name}`"))),
        }
    }
    Ok(made)
}

/// A named tuple with these fields, in this order.
pub(super) fn build_namedtuple<'py>(
    class: &Bound<'py, PyType>,
    parts: Vec<(&str, Bound<'py, PyAny>)>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    let fields = if is_namedtuple(class)? { fields_of(class)? } else { None };
    let Some(fields) = fields else {
        return Err(refused(format!("`{}` is no named tuple any more", class.qualname()?)));
    };
    let names = fields.iter().map(|name| name.to_str()).collect::<PyResult<Vec<_>>>()?;
    expect_fields(class, &names, &parts)?;
    let items = PyTuple::new(py, parts.into_iter().map(|(_, item)| item))?;
    kinds(py).tuple_new.bind(py).call1((class, items))
}

fn expect_fields(
    class: &Bound<'_, PyType>,
    names: &[&str],
    parts: &[(&str, Bound<'_, PyAny>)],
) -> PyResult<()> {
    if names.iter().eq(parts.iter().map(|(name, _)| name)) {
        return Ok(());
    }
    let name = class.qualname()?;
    Err(refused(format!("the fields of `{name}` are not those that were packed")))
}

/// How a member of an enum is told from the others.
pub(super) enum Member<'py> {
    Named(Bound<'py, PyString>),
    /// Flags that have no name together.
    Combined(Bound<'py, PyAny>),
}

fn members<'py>(class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyDict>> {
    let members = look(class, "_member_map_")?;
    let members = members.and_then(|members| members.cast_into::<PyDict>().ok());
    members.ok_or_else(|| refused(format!("`{class}` has no members")))
}

pub(super) fn member_of<'py>(value: &Bound<'py, PyAny>) -> Result<Member<'py>, Fault> {
    let (py, class) = (value.py(), value.get_type());
    let name = value.getattr("_name_")?;
    if let Ok(name) = name.cast_into::<PyString>()
        && members(&class)?.get_item(&name)?.is_some_and(|member| member.is(value))
    {
        return Ok(Member::Named(name));
    }
    if descends(&class, kinds(py).flag.bind(py)) {
        return Ok(Member::Combined(value.getattr("_value_")?));
    }
    Err(Fault::type_(format!("it is {} that is no member", super::fault::name_of(value))))
}

/// The member of an enum that is called so.
pub(super) fn find_member<'py>(
    class: &Bound<'py, PyType>,
    name: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let member = if is_enum(class) { members(class)?.get_item(name)? } else { None };
    member.ok_or_else(|| refused(format!("the packed value has a member that `{class}` has not")))
}

/// The combination of flags that has this value: of members alone, and by Python's own code.
pub(super) fn find_combined<'py>(
    class: &Bound<'py, PyType>,
    value: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    let kinds = kinds(py);
    let unlike = || refused(format!("the packed value has flags that `{class}` has not"));
    let missing = look(class, "_missing_")?.ok_or_else(unlike)?;
    let mut is_pythons = false;
    for flag in [&kinds.flag, &kinds.int_flag] {
        is_pythons |= look(flag.bind(py), "_missing_")?.is_some_and(|own| own.is(&missing));
    }
    let is_plain = class.get_type().is(kinds.enum_meta.bind(py));
    if !is_pythons || !is_plain || !descends(class, kinds.flag.bind(py)) {
        return Err(unlike());
    }
    let mut rest = value.clone();
    for member in members(class)?.values() {
        let member = member.getattr("_value_")?;
        rest = rest.bitand(member.bitxor(-1)?)?;
    }
    if rest.eq(0)? { class.call1((value,)) } else { Err(unlike()) }
}
