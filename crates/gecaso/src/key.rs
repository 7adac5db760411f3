//! What makes two calls the same call: a query looks an entry up by borrowed arguments, and only a
//! miss builds the owned key.
//!
//! Called by `cache` and by the macro's expansion. Knows nothing of storages, flights or time.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};

/// What a key must be to live in this process: comparable, and free to travel between threads.
///
/// Implemented for every type that qualifies; there is nothing to write.
pub trait NearKey: Eq + Clone + Send + Sync + 'static {}
impl<K: Eq + Clone + Send + Sync + 'static> NearKey for K {}

/// A borrowed view of a key `K`: enough to look it up, and to build it once it must be stored.
///
/// # Contract
///
/// For every key `k`, `self.matches(&k)` holds exactly if `self.to_key() == k`, and queries that
/// match the same key hash alike.
pub trait Query<K> {
    /// Feeds the parts of the key to `state`.
    fn hash_into<H: Hasher>(&self, state: &mut H);

    /// Whether `key` is the key of this query, by the real `Eq` of every part.
    fn matches(&self, key: &K) -> bool;

    /// Builds the owned key.
    fn to_key(&self) -> K;

    /// Whether comparing these keys runs only code of the standard library that cannot call out.
    ///
    /// Such keys are compared in place, under the lock of a shard; all others outside of it. All
    /// queries of one cache that may be of the same key say the same.
    fn is_plain() -> bool;

    /// Whether these keys can be compared, and values of `V` cloned, in place.
    #[inline]
    fn is_plain_with<V: 'static>() -> bool {
        Self::is_plain() && is_plain::<V>()
    }
}

/// The query of a `Cache` used by hand: anything the key can be borrowed as, as in `HashMap::get`.
pub(crate) struct ByRef<'a, K, Q: ?Sized> {
    query: &'a Q,
    /// Keys of a plain type are compared under a lock. If they are asked for as something of a
    /// user's, whose `Eq` is foreign, the key is built first and compared by its own.
    key: Option<K>,
}

impl<'a, K, Q> ByRef<'a, K, Q>
where
    K: 'static,
    Q: ?Sized + ToOwned<Owned = K>,
{
    #[inline]
    pub(crate) fn new(query: &'a Q) -> Self {
        let foreign = is_plain::<K>() && !is_plain_view::<Q, K>();
        ByRef { query, key: foreign.then(|| query.to_owned()) }
    }
}

impl<K, Q> Query<K> for ByRef<'_, K, Q>
where
    K: Borrow<Q> + Clone + Eq + 'static,
    Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
{
    #[inline]
    fn hash_into<H: Hasher>(&self, state: &mut H) {
        self.query.hash(state);
    }

    #[inline]
    fn matches(&self, key: &K) -> bool {
        match &self.key {
            None => key.borrow() == self.query,
            Some(own) => key == own,
        }
    }

    #[inline]
    fn to_key(&self) -> K {
        self.key.clone().unwrap_or_else(|| self.query.to_owned())
    }

    #[inline]
    fn is_plain() -> bool {
        is_plain::<K>()
    }
}

/// Whether a plain `K` seen as `Q` is still compared by code of the standard library.
#[inline]
pub(crate) fn is_plain_view<Q: ?Sized, K: 'static>() -> bool {
    let view = typeid::of::<Q>();
    view == typeid::of::<K>()
        || view == typeid::of::<str>()
        || view == typeid::of::<[u8]>()
        || view == typeid::of::<std::path::Path>()
}

/// Whether `T` is one of the standard types whose `Eq` and `Clone` cannot run foreign code.
///
/// The comparison of type ids folds to a constant in optimised builds.
#[inline]
pub(crate) fn is_plain<T: 'static>() -> bool {
    use std::any::TypeId;
    let id = TypeId::of::<T>();
    macro_rules! any_of {
        ($($t:ty),* $(,)?) => { $(id == TypeId::of::<$t>())||* };
    }
    any_of! {
        (), bool, char, u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64,
        String, &'static str, std::sync::Arc<str>, std::sync::Arc<String>, Box<str>,
        Vec<u8>, std::sync::Arc<[u8]>, Box<[u8]>, std::sync::Arc<Vec<u8>>,
        std::path::PathBuf, std::time::Duration, std::time::SystemTime, std::time::Instant,
        std::net::IpAddr, std::net::SocketAddr, [u8; 16], [u8; 32],
        Option<u64>, Option<u32>, Option<i64>, Option<String>,
    }
}
