//! The memory of `buckets`, as model checks have it: made of what the checker watches.
//!
//! Under shuttle each word has a lock of its own, which is where it may switch to another thread.
//! Under loom each word is an atomic that is read and written relaxed, as in the real memory: a
//! reader may get any value that the memory model allows. That memory is not used any more when it
//! is freed, loom is told by a cell that every access reads and the end writes.
//!
//! Used in the place of the real memory. Knows as little.

#![allow(unsafe_code)]

use super::buckets::{Cell, Header, PLACES, Word};
#[cfg(shuttle)]
use crate::sync::{self, Mutex};
#[cfg(gecaso_loom)]
use crate::sync::{
    atomic::{AtomicUsize, Ordering::Relaxed},
    cell::UnsafeCell,
};
use std::marker::PhantomData;
use std::mem::MaybeUninit;

#[cfg(shuttle)]
struct Place(Mutex<Word>);

#[cfg(shuttle)]
impl Place {
    fn new() -> Self {
        Place(Mutex::new(Word::uninit()))
    }

    unsafe fn load(&self) -> Word {
        *sync::lock(&self.0)
    }

    unsafe fn store(&self, word: Word) {
        *sync::lock(&self.0) = word;
    }
}

#[cfg(gecaso_loom)]
struct Place(AtomicUsize);

#[cfg(gecaso_loom)]
impl Place {
    fn new() -> Self {
        Place(AtomicUsize::new(0))
    }

    unsafe fn load(&self) -> Word {
        Word::new(self.0.load(Relaxed))
    }

    /// # Safety
    ///
    /// Every byte is set: the entries of these models have no padding.
    unsafe fn store(&self, word: Word) {
        // SAFETY: the contract above.
        self.0.store(unsafe { word.assume_init() }, Relaxed);
    }
}

/// Something that nobody may read when it has ended: loom finds who does, or might.
#[cfg(gecaso_loom)]
pub(super) struct Watched(UnsafeCell<bool>);

#[cfg(gecaso_loom)]
impl Watched {
    pub(super) fn new() -> Self {
        Watched(UnsafeCell::new(true))
    }

    /// Loom panics here, or in `end`, if nothing says which of the two comes first.
    pub(super) fn read(&self) {
        // SAFETY: loom looks whether anybody may be writing.
        self.0.with(|alive| assert!(unsafe { *alive }, "read when it had ended"));
    }

    pub(super) fn end(&self) {
        if std::thread::panicking() {
            return; // it has been found already
        }
        // SAFETY: as above.
        self.0.with_mut(|alive| assert!(unsafe { alive.replace(false) }, "ended twice"));
    }
}

pub(super) struct Buckets<K, V> {
    buckets: Vec<(Header, Vec<Place>)>,
    #[cfg(gecaso_loom)]
    alive: Watched,
    of: PhantomData<Cell<K, V>>,
}

// SAFETY: as the real ones.
unsafe impl<K: Send + Sync, V: Send + Sync> Send for Buckets<K, V> {}
// SAFETY: as the real ones.
unsafe impl<K: Send + Sync, V: Send + Sync> Sync for Buckets<K, V> {}

impl<K, V> Buckets<K, V> {
    pub(super) fn new(count: usize) -> Self {
        let place = |_| Place::new();
        let words = |_| (0..PLACES * Cell::<K, V>::WORDS).map(place).collect();
        let bucket = |at| (Header::default(), words(at));
        Buckets {
            buckets: (0..count).map(bucket).collect(),
            #[cfg(gecaso_loom)]
            alive: Watched::new(),
            of: PhantomData,
        }
    }

    pub(super) fn count(&self) -> usize {
        self.buckets.len()
    }

    pub(super) unsafe fn bucket(&self, bucket: usize) -> Bucket<'_, K, V> {
        Bucket { all: self, bucket }
    }

    pub(super) fn prefetch(&self, _: usize) {}
}

pub(super) struct Bucket<'a, K, V> {
    all: &'a Buckets<K, V>,
    bucket: usize,
}

impl<K, V> Clone for Bucket<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for Bucket<'_, K, V> {}

impl<'a, K, V> Bucket<'a, K, V> {
    pub(super) fn header(self) -> &'a Header {
        #[cfg(gecaso_loom)]
        self.all.alive.read();
        &self.all.buckets[self.bucket].0
    }

    fn words(self, at: usize) -> &'a [Place] {
        #[cfg(gecaso_loom)]
        self.all.alive.read();
        let words = Cell::<K, V>::WORDS;
        &self.all.buckets[self.bucket].1[at * words..][..words]
    }

    pub(super) unsafe fn load(self, at: usize) -> MaybeUninit<Cell<K, V>> {
        let mut cell = MaybeUninit::<Cell<K, V>>::uninit();
        for (word, from) in self.words(at).iter().enumerate() {
            // SAFETY: a cell has as many words at least.
            unsafe { cell.as_mut_ptr().cast::<Word>().add(word).write(from.load()) };
        }
        cell
    }

    pub(super) unsafe fn store(self, at: usize, cell: Cell<K, V>) {
        let cell = MaybeUninit::new(cell);
        for (word, to) in self.words(at).iter().enumerate() {
            // SAFETY: as in `load`.
            unsafe { to.store(cell.as_ptr().cast::<Word>().add(word).read()) };
        }
    }
}

#[cfg(gecaso_loom)]
impl<K, V> Drop for Buckets<K, V> {
    fn drop(&mut self) {
        self.alive.end();
    }
}
