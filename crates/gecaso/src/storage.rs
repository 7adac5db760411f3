//! What the storage expression of a cache may be.
//!
//! A conversion with an inferred marker, so that users write just the storage. Knows nothing of
//! calls or flights.

use crate::far::Plan;
use crate::key::NearKey;
use crate::memory::{Attach, LruStorage, MemoryStorage};
use crate::outcome::Value;

/// A storage as one cache uses it: with the types of its keys and values.
pub struct Tier<K: NearKey, V: Value> {
    pub(crate) near: Attach,
    pub(crate) far: Option<Plan<K, V>>,
}

impl<K: NearKey, V: Value> std::fmt::Debug for Tier<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tier")
    }
}

/// Marker of storages in this process.
#[derive(Debug, Clone, Copy)]
pub struct Near;

/// Everything that can be given as a storage: [`MemoryStorage`], [`LruStorage`], references to them
/// and to a `LazyLock` that holds one; and every [`Storage`](crate::Storage) outside of the
/// process, if keys and values can be made bytes. The marker `M` is inferred. Not to be implemented
/// outside.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a storage",
    label = "expected a storage, such as `LruStorage::new(128)` or `MemoryStorage::bounded(1_000)`",
    note = "your own type is one if it implements `gecaso::Storage`"
)]
pub trait IntoTier<K: NearKey, V: Value, M> {
    /// Attaches a cache with these types to the storage.
    fn into_tier(self) -> Tier<K, V>;
}

/// Marker of storages outside of it.
#[cfg(feature = "far")]
#[derive(Debug, Clone, Copy)]
pub struct Outside;

#[cfg(feature = "far")]
impl<K, V, S> IntoTier<K, V, Outside> for S
where
    K: NearKey + crate::Key,
    V: Value + crate::FarValue,
    S: crate::Storage,
{
    fn into_tier(self) -> Tier<K, V> {
        let far = Plan::new(self);
        // Nothing of it is kept here.
        let near = MemoryStorage::none(far.far().clock()).attach();
        Tier { near, far: Some(far) }
    }
}

impl<K: NearKey, V: Value> IntoTier<K, V, Near> for Tier<K, V> {
    fn into_tier(self) -> Tier<K, V> {
        self
    }
}

macro_rules! near {
    ($($storage:ty),*) => { $(
        impl<K: NearKey, V: Value> IntoTier<K, V, Near> for $storage {
            fn into_tier(self) -> Tier<K, V> {
                Tier { near: self.attach(), far: None }
            }
        }

        impl<K: NearKey, V: Value> IntoTier<K, V, Near> for &$storage {
            fn into_tier(self) -> Tier<K, V> {
                Tier { near: self.attach(), far: None }
            }
        }

        impl<K: NearKey, V: Value> IntoTier<K, V, Near> for &std::sync::LazyLock<$storage> {
            fn into_tier(self) -> Tier<K, V> {
                Tier { near: self.attach(), far: None }
            }
        }
    )* };
}

near!(MemoryStorage, LruStorage);
