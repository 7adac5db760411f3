//! Locks and shared atomics: the only file that names them.
//!
//! Swapped for shuttle's under `cfg(shuttle)`, where a scheduler of its own tries the
//! interleavings. A test build counts what a call locks and which shared lines it writes (`tally`).

#[cfg(not(shuttle))]
pub(crate) use std::{
    sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic},
    thread, thread_local,
};

#[cfg(shuttle)]
pub(crate) use shuttle::{
    sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic},
    thread, thread_local,
};

/// A mutex for the whole process; in model checks for one execution, which begins with a new one.
macro_rules! global {
    ($(#[$about:meta])* static $name:ident: Mutex<$inside:ty>;) => {
        $(#[$about])*
        #[cfg(not(shuttle))]
        static $name: std::sync::LazyLock<std::sync::Mutex<$inside>> =
            std::sync::LazyLock::new(Default::default);
        #[cfg(shuttle)]
        shuttle::lazy_static! {
            $(#[$about])*
            static ref $name: shuttle::sync::Mutex<$inside> = Default::default();
        }
    };
}
pub(crate) use global;

use std::sync::{PoisonError, TryLockError};

/// Locks a mutex. No foreign code ever runs under our locks, so poison carries no news.
#[inline]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    tally::add(tally::Kind::Exclusive);
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks a mutex if nobody holds it.
#[inline]
pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    tally::add(tally::Kind::Exclusive);
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Locks for reading, beside other readers.
#[inline]
pub(crate) fn read<T>(rwlock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    tally::add(tally::Kind::Shared);
    rwlock.read().unwrap_or_else(PoisonError::into_inner)
}

/// Locks for reading, if nobody writes.
#[inline]
pub(crate) fn try_read<T>(rwlock: &RwLock<T>) -> Option<RwLockReadGuard<'_, T>> {
    tally::add(tally::Kind::Shared);
    match rwlock.try_read() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Locks for writing.
#[inline]
pub(crate) fn write<T>(rwlock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    tally::add(tally::Kind::Exclusive);
    rwlock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Wakes, and survives a waker that panics: it is the business of one executor, while others wait
/// to be woken after it. The panic hook has reported it.
pub(crate) fn wake(waker: std::task::Waker) {
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| waker.wake()));
}

/// Counts, in a test build, what the current thread locked and wrote; costs nothing otherwise.
pub(crate) mod tally {
    /// What a call did to a line that other threads use.
    #[derive(Clone, Copy)]
    pub(crate) enum Kind {
        /// Took a lock that readers share (its word is still written).
        Shared,
        /// Took a lock alone.
        Exclusive,
        /// Wrote an atomic: a counter or a mark.
        Atomic,
    }

    #[cfg(not(test))]
    #[inline]
    pub(crate) fn add(_: Kind) {}

    #[cfg(test)]
    std::thread_local! {
        static COUNTS: std::cell::Cell<[u32; 3]> = const { std::cell::Cell::new([0; 3]) };
    }

    #[cfg(test)]
    pub(crate) fn add(kind: Kind) {
        COUNTS.with(|c| {
            let mut counts = c.get();
            counts[kind as usize] += 1;
            c.set(counts);
        });
    }

    /// What `f` did: (shared locks, exclusive locks, atomics written).
    #[cfg(test)]
    pub(crate) fn of<R>(f: impl FnOnce() -> R) -> (u32, u32, u32) {
        COUNTS.with(|c| c.set([0; 3]));
        f();
        let [shared, exclusive, atomic] = COUNTS.with(std::cell::Cell::get);
        (shared, exclusive, atomic)
    }
}
