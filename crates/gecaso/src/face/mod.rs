//! What a face in another language is made of, beside the macro: Python's, in `python/`.
//!
//! Hidden, and no promise is made about anything in here. `calls` is the path of a call, `format`
//! what far storages keep. Must not know any language.

pub mod calls;
#[cfg(feature = "far")]
pub mod format;
