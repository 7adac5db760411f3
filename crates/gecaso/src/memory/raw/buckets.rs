//! Where entries lie: buckets of places in one block of memory, read while somebody writes.
//!
//! ```text
//!   bucket   | tags 0..6, passed | version | hits | place 0 | place 1 | .. | place 6 |
//! ```
//!
//! A place is a few words: an entry whose types have nothing to drop, or a pointer to one that is
//! counted. Words are read one by one while they may be written; whether they belong together, the
//! version tells (`array`). In model checks `modelled` takes the place of the memory.
//!
//! Used by `array` alone. Knows no hash, no policy and no clock.

#![allow(unsafe_code)]

use super::super::entry::{Entry, Stored};
use crate::sync::atomic::{AtomicU32, AtomicU64};
use std::mem::{ManuallyDrop, MaybeUninit, needs_drop, size_of};
use std::sync::Arc;

/// Places in a bucket: with the count of those that passed, their tags fill a word.
pub(super) const PLACES: usize = 7;

pub(super) type Word = MaybeUninit<usize>;

/// What is in a place; the tag says which.
pub(super) union Cell<K, V> {
    inline: ManuallyDrop<Entry<K, V>>,
    shared: *const Entry<K, V>,
}

/// Whether entries of these types may lie in places themselves: there is nothing to drop. That they
/// may be copied bit by bit, their being plain says.
pub(in super::super) const fn may_lie_inline<K, V>() -> bool {
    !needs_drop::<Entry<K, V>>()
}

impl<K, V> Cell<K, V> {
    /// Words of a place.
    pub(super) const WORDS: usize = match may_lie_inline::<K, V>() {
        true => size_of::<Self>() / size_of::<Word>(),
        false => 1,
    };

    /// Of an entry, and whether it lies inline.
    #[inline]
    pub(super) fn new(stored: Stored<K, V>) -> (Self, bool) {
        match stored {
            Stored::Inline(entry) => {
                assert!(may_lie_inline::<K, V>(), "only what has nothing to drop");
                (Cell { inline: ManuallyDrop::new(entry) }, true)
            }
            Stored::Shared(entry) => (Cell { shared: Arc::into_raw(entry) }, false),
        }
    }

    /// # Safety
    ///
    /// It was made of an entry that lies `inline`, or of one that does not and is not dropped as
    /// long as the reference is used.
    #[inline]
    pub(super) unsafe fn entry(&self, inline: bool) -> &Entry<K, V> {
        // SAFETY: the contract above.
        unsafe { if inline { &self.inline } else { &*self.shared } }
    }

    /// The address of an entry that does not lie inline.
    ///
    /// # Safety
    ///
    /// It was made of one.
    #[inline]
    pub(super) unsafe fn shared(&self) -> *const Entry<K, V> {
        // SAFETY: the contract above.
        unsafe { self.shared }
    }

    /// What it was made of.
    ///
    /// # Safety
    ///
    /// As [`entry`](Self::entry); and nobody else makes the same of what this is a copy of, unless
    /// it lies inline.
    #[inline]
    pub(super) unsafe fn into_stored(self, inline: bool) -> Stored<K, V> {
        // SAFETY: the contract above; `into_raw` in `new`.
        unsafe {
            if inline {
                Stored::Inline(ManuallyDrop::into_inner(self.inline))
            } else {
                Stored::Shared(Arc::from_raw(self.shared))
            }
        }
    }
}

/// What a bucket says of its places.
#[cfg_attr(not(any(shuttle, gecaso_loom)), repr(C))]
#[cfg_attr(any(shuttle, gecaso_loom), derive(Default))]
pub(super) struct Header {
    /// A byte for each place, and in the highest how many have passed.
    pub(super) tags: AtomicU64,
    /// Odd while the content of a place changes; another one afterwards.
    pub(super) version: AtomicU32,
    /// Hits since the policy last asked, two bits for each place. Written by readers, and only when
    /// they change; of two at once one may be lost.
    pub(super) hits: AtomicU32,
}

/// Asks the processor for what lies there, ahead of its use.
#[inline]
pub(super) fn prefetch<T>(at: &T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint is never wrong.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(at).cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = at;
}

#[cfg(any(shuttle, gecaso_loom))]
pub(super) use super::modelled::{Bucket, Buckets};
#[cfg(not(any(shuttle, gecaso_loom)))]
pub(super) use memory::{Bucket, Buckets};

#[cfg(not(any(shuttle, gecaso_loom)))]
mod memory {
    use super::{Cell, Header, PLACES, Word, prefetch};
    use crate::sync::atomic::Ordering::Relaxed;
    use atomic_maybe_uninit::AtomicMaybeUninit;
    use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
    use std::marker::PhantomData;
    use std::mem::{MaybeUninit, size_of};
    use std::ptr::NonNull;

    /// Buckets do not straddle more lines of memory than they must.
    const LINE: usize = 64;

    pub(in super::super) struct Buckets<K, V> {
        start: NonNull<u8>,
        count: usize,
        of: PhantomData<Cell<K, V>>,
    }

    // SAFETY: every access is atomic; what is read is handed out by `array`, which says to whom.
    unsafe impl<K: Send + Sync, V: Send + Sync> Send for Buckets<K, V> {}
    // SAFETY: as above.
    unsafe impl<K: Send + Sync, V: Send + Sync> Sync for Buckets<K, V> {}

    impl<K, V> Buckets<K, V> {
        /// Where a word has four bytes, places alone might end in the middle of a header's.
        const STRIDE: usize = (size_of::<Header>()
            + PLACES * Cell::<K, V>::WORDS * size_of::<Word>())
        .next_multiple_of(align_of::<Header>());

        /// So many, at least one, all places free. Memory that the system gives zeroed is not
        /// touched.
        pub(in super::super) fn new(count: usize) -> Self {
            let layout = Self::layout(count);
            // SAFETY: there is a header at least.
            let start = unsafe { alloc_zeroed(layout) };
            let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
            Buckets { start, count, of: PhantomData }
        }

        fn layout(count: usize) -> Layout {
            assert!(count > 0, "no bucket at all");
            let size = count.checked_mul(Self::STRIDE).expect("more than there are addresses");
            Layout::from_size_align(size, LINE).expect("more than there are addresses")
        }

        #[inline]
        pub(in super::super) fn count(&self) -> usize {
            self.count
        }

        /// # Safety
        ///
        /// `bucket` is below the count.
        #[inline]
        pub(in super::super) unsafe fn bucket(&self, bucket: usize) -> Bucket<'_, K, V> {
            // SAFETY: within the block.
            Bucket { start: unsafe { self.start.add(bucket * Self::STRIDE) }, of: PhantomData }
        }

        /// Asks the processor for a bucket's memory, ahead of its use.
        #[inline]
        pub(in super::super) fn prefetch(&self, bucket: usize) {
            if bucket < self.count {
                // SAFETY: within the block.
                prefetch(unsafe { self.start.add(bucket * Self::STRIDE).as_ref() });
            }
        }
    }

    /// A bucket of those, for as long as they are there.
    pub(in super::super) struct Bucket<'a, K, V> {
        start: NonNull<u8>,
        of: PhantomData<&'a Cell<K, V>>,
    }

    impl<K, V> Clone for Bucket<'_, K, V> {
        fn clone(&self) -> Self {
            *self
        }
    }

    impl<K, V> Copy for Bucket<'_, K, V> {}

    impl<'a, K, V> Bucket<'a, K, V> {
        #[inline]
        pub(in super::super) fn header(self) -> &'a Header {
            // SAFETY: it lies there; zeros are a header; aligned, as `STRIDE` is.
            unsafe { self.start.cast().as_ref() }
        }

        /// The first word of a place.
        ///
        /// # Safety
        ///
        /// `at` is below `PLACES`.
        #[inline]
        unsafe fn place(self, at: usize) -> *mut Word {
            let words = size_of::<Header>() + at * Cell::<K, V>::WORDS * size_of::<Word>();
            // SAFETY: within the bucket.
            unsafe { self.start.add(words).cast().as_ptr() }
        }

        /// What the words of a place are now; they belong together if nobody has written meanwhile.
        ///
        /// # Safety
        ///
        /// As `place`.
        #[inline]
        pub(in super::super) unsafe fn load(self, at: usize) -> MaybeUninit<Cell<K, V>> {
            let mut cell = MaybeUninit::<Cell<K, V>>::uninit();
            let to = cell.as_mut_ptr().cast::<Word>();
            for word in 0..Cell::<K, V>::WORDS {
                // SAFETY: a place and a cell have as many words at least; both are aligned, since a
                // cell may be a pointer. All accesses to places are atomic.
                unsafe {
                    let from = self.place(at).add(word);
                    to.add(word).write(AtomicMaybeUninit::from_ptr(from).load(Relaxed));
                }
            }
            cell
        }

        /// Writes the words of a place.
        ///
        /// # Safety
        ///
        /// As `place`.
        #[inline]
        pub(in super::super) unsafe fn store(self, at: usize, cell: Cell<K, V>) {
            let cell = MaybeUninit::new(cell);
            let from = cell.as_ptr().cast::<Word>();
            for word in 0..Cell::<K, V>::WORDS {
                // SAFETY: as in `load`; what words of a cell are not set is never read as anything.
                unsafe {
                    let to = self.place(at).add(word);
                    AtomicMaybeUninit::from_ptr(to).store(from.add(word).read(), Relaxed);
                }
            }
        }
    }

    impl<K, V> Drop for Buckets<K, V> {
        fn drop(&mut self) {
            // SAFETY: allocated in `new` with this layout.
            unsafe { dealloc(self.start.as_ptr(), Self::layout(self.count)) };
        }
    }
}
