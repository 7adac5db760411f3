//! What few shards need: one of something for each slot, made for the first that needs it.
//!
//! Used by `array` alone. Knows no entry.

#![allow(unsafe_code)]

use super::super::policy::SlotId;
use crate::sync::atomic::{AtomicPtr, Ordering};
use std::ptr;

/// Null: none needs it.
pub(super) struct BySlot<A> {
    first: AtomicPtr<A>,
    slots: usize,
}

impl<A> BySlot<A> {
    pub(super) fn new(slots: usize) -> Self {
        BySlot { first: AtomicPtr::new(ptr::null_mut()), slots }
    }

    /// Whether nobody needs any.
    #[inline]
    pub(super) fn is_unused(&self) -> bool {
        self.first.load(Ordering::Acquire).is_null()
    }

    #[inline]
    pub(super) fn get(&self, id: SlotId) -> Option<&A> {
        // Acquire: they were made before.
        let first = self.first.load(Ordering::Acquire);
        if first.is_null() {
            return None;
        }
        assert!((id as usize) < self.slots, "a slot of another array");
        // SAFETY: one for each slot; kept as long as this.
        Some(unsafe { &*first.add(id as usize) })
    }

    /// Makes them, if they are not there. Only under the lock.
    #[cold]
    pub(super) fn made(&self, new: impl Fn() -> A, id: SlotId) -> &A {
        if self.first.load(Ordering::Relaxed).is_null() {
            let all: Box<[A]> = (0..self.slots).map(|_| new()).collect();
            self.first.store(Box::into_raw(all).cast(), Ordering::Release);
        }
        self.get(id).expect("made just now")
    }
}

impl<A> Drop for BySlot<A> {
    fn drop(&mut self) {
        let first = self.first.load(Ordering::Relaxed);
        if !first.is_null() {
            // SAFETY: leaked by `made`, with this length.
            drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(first, self.slots)) });
        }
    }
}
