//! Lifetimes as users give them: seconds, a `timedelta`, or a text such as `1h 30m`.
//!
//! Called by `pack`, and by whatever else takes a `ttl`. A leaf. The texts are those that Rust's
//! `#[cached]` takes.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDelta, PyDeltaAccess, PyFloat, PyInt, PyString};
use std::time::Duration;

/// A lifetime; `None`: none. `word` is what it is called in errors.
///
/// # Errors
///
/// A `TypeError` or a `ValueError` that says how to write one.
pub(crate) fn lifetime(word: &str, value: &Bound<'_, PyAny>) -> PyResult<Option<Duration>> {
    let wrong = |why: &str| PyValueError::new_err(format!("`{word}` {why}"));
    let too_long = || wrong("is too long");
    if value.is_none() {
        return Ok(None);
    }
    if value.is_exact_instance_of::<PyInt>() {
        if value.lt(0)? {
            return Err(wrong("cannot be negative"));
        }
        let seconds = value.extract().map_err(|_| too_long())?;
        return Ok(Some(Duration::from_secs(seconds)));
    }
    if let Ok(seconds) = value.cast_exact::<PyFloat>() {
        let seconds = seconds.value();
        if seconds.is_nan() || seconds < 0.0 {
            return Err(wrong("must be a number of seconds, zero or more"));
        }
        return Duration::try_from_secs_f64(seconds).map(Some).map_err(|_| too_long());
    }
    if let Ok(span) = value.cast::<PyDelta>() {
        let seconds = i64::from(span.get_days()) * 86_400 + i64::from(span.get_seconds());
        let seconds = u64::try_from(seconds).map_err(|_| wrong("cannot be negative"))?;
        // Below a million, as `timedelta` keeps them.
        let nanoseconds = span.get_microseconds() as u32 * 1000;
        return Ok(Some(Duration::new(seconds, nanoseconds)));
    }
    if let Ok(text) = value.cast::<PyString>() {
        let why = match parse(text.to_str()?) {
            Ok(span) => return Ok(Some(span)),
            Err(why) => why,
        };
        return Err(wrong(&format!("{why}; write it as \"1h 30m\", \"250ms\" or \"1d\"")));
    }
    let found = super::fault::name_of(value);
    Err(PyTypeError::new_err(format!(
        "`{word}` is {found}: give seconds, a `datetime.timedelta` or a text such as \"1h 30m\""
    )))
}

/// `1h 30m`, `250ms`, `1d`: each unit once, in any order.
fn parse(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("is empty".to_owned());
    }
    let (mut sum, mut seen) = (0_u128, Vec::new());
    while !rest.is_empty() {
        let digits = rest.find(|symbol: char| !symbol.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let letters = after.find(|symbol: char| !symbol.is_ascii_alphabetic());
        let (unit, after) = after.split_at(letters.unwrap_or(after.len()));
        if number.is_empty() {
            return Err(format!("cannot be read at \"{rest}\": a number is missing"));
        }
        let nanoseconds: u128 = match unit {
            "ns" => 1,
            "us" => 1_000,
            "ms" => 1_000_000,
            "s" | "sec" | "secs" | "second" | "seconds" => SECOND,
            "m" | "min" | "mins" | "minute" | "minutes" => 60 * SECOND,
            "h" | "hour" | "hours" => 3_600 * SECOND,
            "d" | "day" | "days" => 86_400 * SECOND,
            "w" | "week" | "weeks" => 7 * 86_400 * SECOND,
            "" => return Err(format!("does not say the unit of \"{number}\"")),
            other => return Err(format!("has an unknown unit \"{other}\"")),
        };
        if seen.contains(&nanoseconds) {
            return Err(format!("has the unit \"{unit}\" twice"));
        }
        seen.push(nanoseconds);
        let length = number.parse::<u128>().ok().and_then(|number| number.checked_mul(nanoseconds));
        let length = length.and_then(|length| sum.checked_add(length));
        sum = length.ok_or("is too long")?;
        rest = after.trim_start();
    }
    let seconds = u64::try_from(sum / SECOND).map_err(|_| "is too long")?;
    Ok(Duration::new(seconds, (sum % SECOND) as u32))
}

/// In nanoseconds.
const SECOND: u128 = 1_000_000_000;
