//! What a value must be able to do to be kept outside of the process. A leaf.

use serde::{Serialize, de::DeserializeOwned};

/// Values that can be kept outside of the process: whatever serde can write and read again.
///
/// Nothing is to be implemented: every type with serde's `Serialize` and `Deserialize` is one.
///
/// ```
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Report {
///     title: String,
///     pages: Vec<String>,
/// }
///
/// fn keep<T: gecaso::FarValue>(_: T) {}
/// keep(Report { title: "Cats".into(), pages: vec![] });
/// ```
///
/// A value is stored by the names of its fields and variants. When its type has changed, what was
/// stored before is computed again instead of being read as something it is not.
///
/// What serde is told to skip is not stored: the call that runs the body has it, and in a hit it is
/// its `Default`. Do not skip what callers look at.
///
/// Two types that ask serde for the same things, in the same order and by the same names, are one
/// type here, whatever they are called themselves: to `HashSet<u8>` and `Vec<u8>`, or to two
/// newtypes of `f64`, give another `version` of the function when one is put in the other's place.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be kept outside of this process",
    label = "serde cannot write it and read it again",
    note = "derive serde's `Serialize` and `Deserialize` for `{Self}`"
)]
pub trait FarValue: Serialize + DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> FarValue for T {}
