//! Dates, times and spans of them.
//!
//! Called by `write` and `read`, each for its half.

use super::extension as ext;
use super::fault::{Fault, name_of};
use super::kind::{Kind, kind_of, kinds};
use super::read::{Read, Reader, finished, number, unlike};
use super::write::{Writer, Written, cast};
use pyo3::prelude::*;
use pyo3::types::{
    PyDate, PyDateAccess, PyDateTime, PyDelta, PyDeltaAccess, PyTime, PyTimeAccess, PyTuple,
    PyTzInfo, PyTzInfoAccess,
};

pub(super) fn write(to: &mut Writer, kind: Kind, value: &Bound<'_, PyAny>) -> Written {
    match kind {
        Kind::TimeDelta => to.extended(ext::TIMEDELTA, |to| {
            let span = cast::<PyDelta>(value)?;
            to.signed(span.get_days().into())?;
            to.signed(span.get_seconds().into())?;
            to.signed(span.get_microseconds().into())
        }),
        Kind::Date => to.extended(ext::DATE, |to| write_date(to, cast::<PyDate>(value)?)),
        Kind::Time => to.extended(ext::TIME, |to| {
            let time = cast::<PyTime>(value)?;
            write_time(to, time, time.get_tzinfo())
        }),
        Kind::DateTime => to.extended(ext::DATETIME, |to| {
            let moment = cast::<PyDateTime>(value)?;
            write_date(to, moment)?;
            write_time(to, moment, moment.get_tzinfo())
        }),
        _ => write_zone(to, value),
    }
}

fn write_zone(to: &mut Writer, value: &Bound<'_, PyAny>) -> Written {
    let said = value.call_method0("__getinitargs__")?;
    let said = cast::<PyTuple>(&said)?;
    to.extended(ext::TIMEZONE, |to| {
        let offset = said.get_item(0)?;
        let offset = cast::<PyDelta>(&offset)?;
        to.signed(i64::from(offset.get_days()) * 86_400 + i64::from(offset.get_seconds()))?;
        to.signed(offset.get_microseconds().into())?;
        if said.len() > 1 { to.value(&said.get_item(1)?) } else { to.nil() }
    })
}

fn write_date(to: &mut Writer, date: &impl PyDateAccess) -> Written {
    to.signed(date.get_year().into())?;
    to.unsigned(date.get_month().into())?;
    to.unsigned(date.get_day().into())
}

fn write_time<'py>(
    to: &mut Writer,
    time: &impl PyTimeAccess,
    zone: Option<Bound<'py, PyTzInfo>>,
) -> Written {
    for part in [time.get_hour(), time.get_minute(), time.get_second()] {
        to.unsigned(part.into())?;
    }
    to.unsigned(time.get_microsecond().into())?;
    to.boolean(time.get_fold())?;
    match zone.map(Bound::into_any) {
        None => to.nil(),
        Some(zone) if kind_of(&zone)? == Kind::TimeZone => write_zone(to, &zone),
        Some(zone) => {
            let name = name_of(&zone);
            let why = format!(
                "it is {name}, whose rules are not in the value: convert it to \
                `datetime.timezone.utc`, or drop the zone"
            );
            Err(Fault::type_(why).within(|| ".tzinfo".to_owned()))
        }
    }
}

pub(super) fn read<'py>(reader: &mut Reader<'py>, type_: i8, data: &[u8]) -> Read<'py> {
    let py = reader.py;
    match type_ {
        ext::TIMEDELTA => {
            let [days, seconds, microseconds] = numbers(reader, data)?;
            let made = PyDelta::new(py, days, seconds, microseconds, false);
            // Its constructor carries over what is too much: that was not written so.
            let carries =
                !(0..86_400).contains(&seconds) || !(0..1_000_000).contains(&microseconds);
            if carries { Err(unlike("a timedelta")) } else { finished(py, "a timedelta", made) }
        }
        ext::DATE => {
            let [year, month, day] = numbers(reader, data)?;
            finished(py, "a date", PyDate::new(py, year, small(month)?, small(day)?))
        }
        ext::TIME => {
            let [hour, minute, second, microsecond, fold, zone] = reader.exactly(data)?;
            let zone = zone_or_none(zone)?;
            let made = PyTime::new_with_fold(
                py,
                number(&hour)?,
                number(&minute)?,
                number(&second)?,
                number(&microsecond)?,
                zone.as_ref(),
                flag(&fold)?,
            );
            finished(py, "a time", made)
        }
        ext::DATETIME => {
            let [year, month, day, hour, minute, second, microsecond, fold, zone] =
                reader.exactly(data)?;
            let zone = zone_or_none(zone)?;
            let made = PyDateTime::new_with_fold(
                py,
                number(&year)?,
                number(&month)?,
                number(&day)?,
                number(&hour)?,
                number(&minute)?,
                number(&second)?,
                number(&microsecond)?,
                zone.as_ref(),
                flag(&fold)?,
            );
            finished(py, "a datetime", made)
        }
        _ => read_zone(reader, data),
    }
}

/// Whole numbers that are all of an extension's data.
fn numbers<const N: usize>(reader: &mut Reader<'_>, data: &[u8]) -> PyResult<[i32; N]> {
    let mut numbers = [0; N];
    for (to, item) in numbers.iter_mut().zip(reader.exactly::<N>(data)?) {
        *to = number(&item)?;
    }
    Ok(numbers)
}

fn read_zone<'py>(reader: &mut Reader<'py>, data: &[u8]) -> Read<'py> {
    let py = reader.py;
    let [seconds, microseconds, name] = reader.exactly(data)?;
    let offset = PyDelta::new(py, 0, number(&seconds)?, number(&microseconds)?, true);
    let offset = finished(py, "a time zone", offset)?;
    let class = kinds(py).timezone.bind(py);
    let made = match name.is_none() {
        true => class.call1((offset,)),
        false => class.call1((offset, name)),
    };
    finished(py, "a time zone", made)
}

fn zone_or_none<'py>(zone: Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyTzInfo>>> {
    if zone.is_none() {
        return Ok(None);
    }
    zone.cast_into().map(Some).map_err(|_| unlike("a time zone"))
}

fn small(number: i32) -> PyResult<u8> {
    u8::try_from(number).map_err(|_| unlike("a date"))
}

fn flag(item: &Bound<'_, PyAny>) -> PyResult<bool> {
    item.extract().map_err(|_| unlike("a truth value"))
}
