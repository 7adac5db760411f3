//! Locks and shared atomics: the only file that names them.
//!
//! Swapped in model checks: for shuttle's under `cfg(shuttle)`, where a scheduler of its own tries
//! interleavings; for loom's under `cfg(gecaso_loom)`, which also tries what weak memory allows. A
//! test build counts what a call locks and which shared lines it writes (`tally`).

#[cfg(not(any(shuttle, gecaso_loom)))]
pub(crate) use std::{
    sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic},
    thread, thread_local,
};

#[cfg(shuttle)]
pub(crate) use shuttle::{
    sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic},
    thread, thread_local,
};

#[cfg(gecaso_loom)]
pub(crate) use loom::{
    cell,
    sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard},
    thread,
};

/// As the one of the standard library, with values that are known when it is compiled.
#[cfg(gecaso_loom)]
macro_rules! local {
    ($($(#[$about:meta])* static $name:ident: $inside:ty = const $init:block;)*) => {
        loom::thread_local! { $($(#[$about])* static $name: $inside = $init;)* }
    };
}
#[cfg(gecaso_loom)]
pub(crate) use local as thread_local;

#[cfg(gecaso_loom)]
pub(crate) mod atomic {
    pub(crate) use loom::sync::atomic::*;
    pub(crate) use std::sync::atomic::compiler_fence;
}

/// Whether this is a model check: all is small, and who waits for others lets them run.
pub(crate) const MODEL: bool = cfg!(any(shuttle, gecaso_loom));

/// A mutex for the whole process; in model checks for one execution, which begins with a new one.
macro_rules! global {
    ($(#[$about:meta])* static $name:ident: Mutex<$inside:ty>;) => {
        $(#[$about])*
        #[cfg(not(any(shuttle, gecaso_loom)))]
        static $name: std::sync::LazyLock<std::sync::Mutex<$inside>> =
            std::sync::LazyLock::new(Default::default);
        #[cfg(shuttle)]
        shuttle::lazy_static! {
            $(#[$about])*
            static ref $name: shuttle::sync::Mutex<$inside> = Default::default();
        }
        #[cfg(gecaso_loom)]
        loom::lazy_static! {
            $(#[$about])*
            static ref $name: loom::sync::Mutex<$inside> =
                loom::sync::Mutex::new(Default::default());
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
