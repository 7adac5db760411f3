//! Why entries leave, and who is told: the listener of a function.
//!
//! `table` collects what leaves under its locks, and tells when none is held. Knows no lock.

use super::entry::{Entry, Stored};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Why an entry has left its storage: what a [listener](crate::CacheBuilder::on_removal) is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RemovalCause {
    /// Its time was over. It was met, or reclaimed by an insertion, some time after that.
    Expired,
    /// It made room for another one.
    Evicted,
    /// There is a newer value for its key; or one was brought that is too heavy to be stored.
    Replaced,
    /// By [`invalidate`](crate::Cache::invalidate) or
    /// [`invalidate_if`](crate::Cache::invalidate_if).
    Invalidated,
    /// By [`clear`](crate::Cache::clear).
    Cleared,
}

impl RemovalCause {
    /// Whether nobody asked for the removal: it was the time or the bound.
    pub fn is_automatic(self) -> bool {
        matches!(self, RemovalCause::Expired | RemovalCause::Evicted)
    }
}

/// A function's listener. Its clones are the same.
pub(crate) type Listener<K, V> = Arc<dyn Fn(&K, &V, RemovalCause) + Send + Sync>;

/// Tells of one entry. A listener that panics has reported it through the panic hook: that is no
/// reason for the call that happens to be here to fail.
pub(super) fn tell<K, V>(listener: &Listener<K, V>, stored: &Stored<K, V>, cause: RemovalCause) {
    let Entry { key, value } = stored.entry();
    let _ = catch_unwind(AssertUnwindSafe(|| listener(key, value, cause)));
}

/// What left other functions' tables, of whatever type: dropped, and told to their listeners, where
/// no lock is held.
pub(super) trait Gone: Send {
    fn tell(self: Box<Self>);
}

/// Entries that were removed to make room, or because their time was over.
pub(super) struct Evicted {
    /// How many.
    pub(super) count: usize,
    /// The places that they leave to whoever took them out.
    pub(super) weight: usize,
    pub(super) gone: Box<dyn Gone>,
}

/// What an operation pushed out. To be [told](Self::tell), or at least dropped, by the caller when
/// no lock is held.
pub(crate) struct Displaced<K, V> {
    /// What left, and why. The first without an allocation.
    one: Option<(Stored<K, V>, RemovalCause)>,
    /// All else, which is rare.
    rest: Option<Box<Rest<K, V>>>,
    /// A shard where something is left that somebody reads at this moment.
    pub(super) late: Option<usize>,
}

struct Rest<K, V> {
    more: Vec<(Stored<K, V>, RemovalCause)>,
    /// From other functions' tables, or from other shards.
    elsewhere: Vec<Evicted>,
}

impl<K, V> Displaced<K, V> {
    pub(crate) fn nothing() -> Self {
        Displaced { one: None, rest: None, late: None }
    }

    #[inline]
    pub(super) fn is_nothing(&self) -> bool {
        self.one.is_none() && self.rest.is_none() && self.late.is_none()
    }

    #[inline(never)]
    fn rest(&mut self) -> &mut Rest<K, V> {
        let none = || Box::new(Rest { more: Vec::new(), elsewhere: Vec::new() });
        self.rest.get_or_insert_with(none)
    }

    #[inline]
    pub(super) fn push(&mut self, stored: Stored<K, V>, cause: RemovalCause) {
        match self.one {
            None => self.one = Some((stored, cause)),
            Some(_) => self.rest().more.push((stored, cause)),
        }
    }

    /// What left other functions' tables, or other shards.
    pub(super) fn push_elsewhere(&mut self, evicted: impl IntoIterator<Item = Evicted>) {
        self.rest().elsewhere.extend(evicted);
    }

    /// Tells the listeners of what left, and drops it. Runs foreign code: no lock is held.
    #[inline]
    pub(super) fn tell(mut self, listener: Option<&Listener<K, V>>) {
        if listener.is_some() || self.rest.is_some() {
            self.tell_some(listener);
        }
    }

    #[inline(never)]
    fn tell_some(&mut self, listener: Option<&Listener<K, V>>) {
        if let Some(listener) = listener {
            let more = self.rest.iter().flat_map(|rest| &rest.more);
            for (stored, cause) in self.one.iter().chain(more) {
                tell(listener, stored, *cause);
            }
        }
        let elsewhere = self.rest.iter_mut().flat_map(|rest| rest.elsewhere.drain(..));
        elsewhere.for_each(|evicted| evicted.gone.tell());
    }
}
