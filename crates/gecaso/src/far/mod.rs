//! Storages outside of the process: what users write.
//!
//! Knows nothing of calls or flights.

mod breaker;
mod epoch;
mod erased;
mod lru;
mod object;
mod part;
mod pens;
mod stats;
mod tier;
mod writing;

pub use lru::LruOver;
pub(crate) use object::Mode;
pub use object::{Far, Trouble};
pub(crate) use part::Fetched;
pub use stats::FarStats;
pub use tier::FarWords;
pub(crate) use tier::{Change, FarTier, Leftover, Plan, Visit};

use crate::error::Result;
use crate::params::Params;
use std::future::Future;

/// A storage outside of this process, written with three methods.
///
/// What it gets to keep are bytes, with everything in them that gecaso needs to tell later whether
/// they are what they seem: a storage may lose them, damage them or mix them up, and a call is
/// still never answered with a wrong value. It may be slow, fail, or stall: a call then runs its
/// body.
///
/// There is no `dyn Storage`: to choose one at run time, put each into a [`Far`].
///
/// ```
/// use gecaso::{Params, Result, Storage};
/// use std::collections::HashMap;
/// use std::sync::Mutex;
///
/// #[derive(Default)]
/// struct Elsewhere(Mutex<HashMap<String, Vec<u8>>>);
///
/// impl Storage for Elsewhere {
///     async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
///         Ok(self.0.lock().unwrap().get(key).cloned())
///     }
///     async fn set(&self, key: &str, value: &[u8], _: &Params) -> Result<()> {
///         self.0.lock().unwrap().insert(key.to_owned(), value.to_vec());
///         Ok(())
///     }
///     async fn remove(&self, keys: &[&str]) -> Result<()> {
///         let mut entries = self.0.lock().unwrap();
///         keys.iter().for_each(|key| drop(entries.remove(*key)));
///         Ok(())
///     }
/// }
/// ```
pub trait Storage: Send + Sync + 'static {
    /// The bytes that were last set under this key, or `None` if there are none.
    ///
    /// # Errors
    ///
    /// Whatever the client says. It counts as a miss.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>>> + Send;

    /// Keeps these bytes under this key, in the place of what was there. `params` are the words of
    /// the cache that the storage may use: how long it need keep them, and whatever else was given.
    ///
    /// # Errors
    ///
    /// Whatever the client says. The bytes may have been stored or not: what was there before is
    /// not believed any more.
    fn set(
        &self,
        key: &str,
        value: &[u8],
        params: &Params,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Forgets these keys; those that are not there are no error.
    ///
    /// # Errors
    ///
    /// Whatever the client says. The keys are not believed from then on, and removed later.
    fn remove(&self, keys: &[&str]) -> impl Future<Output = Result<()>> + Send;

    /// The [`Far`] that this is, or points to; or that was made with the choices of one inside.
    #[doc(hidden)]
    fn as_far(&self) -> Option<Far> {
        None
    }
}

macro_rules! pointers {
    ($($pointer:ty),*) => { $(
        impl<S: Storage> Storage for $pointer {
            fn get(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>>> + Send {
                (**self).get(key)
            }
            fn set(
                &self,
                key: &str,
                value: &[u8],
                params: &Params,
            ) -> impl Future<Output = Result<()>> + Send {
                (**self).set(key, value, params)
            }
            fn remove(&self, keys: &[&str]) -> impl Future<Output = Result<()>> + Send {
                (**self).remove(keys)
            }
            fn as_far(&self) -> Option<Far> {
                (**self).as_far()
            }
        }
    )* };
}
pointers!(&'static S, Box<S>, std::sync::Arc<S>, std::sync::LazyLock<S>);
