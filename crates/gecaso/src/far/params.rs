//! What every `set` is told beside the bytes: the lifetime, and the extra parameters of the cache.

use std::collections::BTreeMap;
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
