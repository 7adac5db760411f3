//! The one error type: opaque, cheap to clone, with a message that says what happened, where, and
//! what to do. A leaf: imports nothing of ours.

use std::fmt;
use std::sync::Arc;

/// What went wrong in gecaso itself. The errors of your own functions are never wrapped in it.
#[derive(Clone)]
pub struct Error {
    message: Arc<str>,
}

/// The error of somebody else's code: whatever it is, `?` makes this of it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A result that may fail in any way: what the methods of a [`Storage`](crate::Storage) return, so
/// that `?` takes whatever error their client has.
pub type Result<T, E = BoxError> = std::result::Result<T, E>;

impl Error {
    #[cold]
    pub(crate) fn new(message: impl Into<Arc<str>>) -> Self {
        Error { message: message.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gecaso::Error({:?})", &*self.message)
    }
}

impl std::error::Error for Error {}
