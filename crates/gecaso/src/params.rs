//! What every `set` is told beside the bytes: the lifetime, and the extra parameters of the cache.

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, Serialize, SerializeMap, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What every [`set`](crate::Storage::set) is told: how long the entry is fresh, and the extra
/// parameters that were given with the cache, by name.
///
/// ```
/// use gecaso::{Param, Params};
/// use std::time::Duration;
///
/// let params = Params::new()
///     .with_ttl(Duration::from_secs(60))
///     .with("some_additional_cool_param", "Hell yeah!");
/// assert_eq!(params.ttl(), Some(Duration::from_secs(60)));
/// assert_eq!(params.get("some_additional_cool_param"), Some(&Param::from("Hell yeah!")));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Params {
    ttl: Option<Duration>,
    extra: BTreeMap<String, Param>,
}

impl Params {
    /// None at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with a lifetime.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// The same with one more parameter, or another value for it.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Param>) -> Self {
        self.extra.insert(name.into(), value.into());
        self
    }

    /// How long the entry is fresh, from now on; `None`: until it is removed.
    pub fn ttl(&self) -> Option<Duration> {
        self.ttl
    }

    /// An extra parameter.
    pub fn get(&self, name: &str) -> Option<&Param> {
        self.extra.get(name)
    }

    /// The extra parameters, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Param)> {
        self.extra.iter().map(|(name, value)| (&**name, value))
    }
}

/// The value of an extra parameter: plain data.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Param {
    /// Nothing; Python's `None`.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number that an `i64` does not hold. [`Param::from`] makes it of those alone.
    Large(u64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Several of them.
    List(Vec<Param>),
}

macro_rules! from {
    ($($type:ty: $param:ident),* $(,)?) => { $(
        impl From<$type> for Param {
            fn from(value: $type) -> Self {
                Param::$param(value.into())
            }
        }
    )* };
}
from! {
    bool: Bool,
    i8: Int, i16: Int, i32: Int, i64: Int, u8: Int, u16: Int, u32: Int,
    f32: Float, f64: Float,
    &str: Text, String: Text,
    &[u8]: Bytes, Vec<u8>: Bytes,
}

impl From<isize> for Param {
    fn from(value: isize) -> Self {
        Param::Int(value as i64) // no target has a wider one
    }
}

impl From<u64> for Param {
    /// [`Param::Int`] as far as that goes, [`Param::Large`] beyond.
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or(Param::Large(value), Param::Int)
    }
}

impl From<usize> for Param {
    /// As from a `u64`.
    fn from(value: usize) -> Self {
        Param::from(value as u64) // no target has a wider one
    }
}

/// The name that the lifetime goes by among the extra parameters.
const TTL: &str = "ttl";

/// A map by name. The lifetime is in it as `ttl`, in seconds: a whole number if it is one, else a
/// float. So a fraction of a second is exact to the nanosecond up to 52 days, and rounded beyond.
impl Serialize for Params {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.extra.contains_key(TTL) {
            return Err(S::Error::custom(
                "`ttl` is the lifetime: give it by the cache's `ttl`, or by `Params::with_ttl`",
            ));
        }
        let length = self.extra.len() + usize::from(self.ttl.is_some());
        let mut map = serializer.serialize_map(Some(length))?;
        if let Some(ttl) = self.ttl {
            match ttl.subsec_nanos() {
                0 => map.serialize_entry(TTL, &ttl.as_secs())?,
                _ => map.serialize_entry(TTL, &ttl.as_secs_f64())?,
            }
        }
        for (name, value) in &self.extra {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Params {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Params;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of parameters by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Params, A::Error> {
                let mut params = Params::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == TTL {
                        params.ttl = Some(map.next_value::<Seconds>()?.0);
                    } else {
                        params.extra.insert(name, map.next_value()?);
                    }
                }
                Ok(params)
            }
        }
        deserializer.deserialize_map(Map)
    }
}

/// A lifetime as it is written: seconds, whole or not.
struct Seconds(Duration);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Seconds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of seconds, zero or more")
            }

            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Seconds, E> {
                Ok(Seconds(Duration::from_secs(seconds)))
            }

            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Seconds, E> {
                Duration::try_from_secs_f64(seconds).map(Seconds).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Number)
    }
}

impl Serialize for Param {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Param::Null => serializer.serialize_unit(),
            Param::Bool(value) => serializer.serialize_bool(*value),
            Param::Int(value) => serializer.serialize_i64(*value),
            Param::Large(value) => serializer.serialize_u64(*value),
            Param::Float(value) => serializer.serialize_f64(*value),
            Param::Text(value) => serializer.serialize_str(value),
            Param::Bytes(value) => serializer.serialize_bytes(value),
            Param::List(values) => serializer.collect_seq(values),
        }
    }
}

impl<'de> Deserialize<'de> for Param {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Plain;
        impl<'de> Visitor<'de> for Plain {
            type Value = Param;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("plain data")
            }

            fn visit_unit<E>(self) -> Result<Param, E> {
                Ok(Param::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Param, E> {
                Ok(Param::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Param, E> {
                Ok(Param::Int(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Param, E> {
                Ok(Param::from(value))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Param, E> {
                Ok(Param::Float(value))
            }

            fn visit_str<E>(self, value: &str) -> Result<Param, E> {
                Ok(Param::Text(value.to_owned()))
            }

            fn visit_bytes<E>(self, value: &[u8]) -> Result<Param, E> {
                Ok(Param::Bytes(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Param, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                Ok(Param::List(values))
            }
        }
        deserializer.deserialize_any(Plain)
    }
}
