//! Results in the order of their use, guarded by the interpreter's lock alone: what
//! `functools.lru_cache` keeps them in, without an object for each.
//!
//! ```text
//! index   0 3 0 1 2 0 ..      by hash, from its home on; 0: free
//! slots   head  1  2  3  ..   in a ring: head <-> newest <-> .. <-> oldest <-> head
//! ```
//!
//! Called by `loose`. Nothing of Python's runs while the table is borrowed: comparing may change it
//! or drop it, and so it is looked at anew after each comparison that may. Must not know functions.

use super::arguments::Borrowed;
use super::compare::Raised;
use super::object::{self, Object};
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use std::cell::UnsafeCell;
use std::mem::{replace, take};

/// The number of a slot. The index has no room for more than 2^32.
type Slot = u32;

/// The slot that the ring begins and ends at.
const HEAD: Slot = 0;
/// Of the first index: 2^3 places.
const FIRST: u32 = 3;

pub(crate) struct Recent(UnsafeCell<Table>);

// SAFETY: every method that looks inside asks for the interpreter's lock.
unsafe impl Sync for Recent {}
// SAFETY: as above; references to Python's objects may be sent.
unsafe impl Send for Recent {}

struct Table {
    index: Vec<Slot>,
    /// 64 less the binary logarithm of the places in `index`.
    shift: u32,
    slots: Vec<Entry>,
    /// The most entries that are kept.
    most: usize,
    /// Whether that is a bound, and not only as many as can be numbered.
    bounded: bool,
    /// How often a key has come or gone.
    changes: u64,
    hits: u64,
    misses: u64,
}

/// Both nothing in the head only.
struct Entry {
    hash: u64,
    key: Option<Object>,
    value: Option<Object>,
    newer: Slot,
    older: Slot,
}

/// What a table looked like when a key was not there.
pub(super) struct Absent {
    changes: u64,
}

impl Recent {
    /// Keeps so many entries; without a bound, as many as can be numbered.
    pub(crate) fn new(most: Option<usize>) -> Self {
        let countable = Slot::MAX as usize - 1;
        Recent(UnsafeCell::new(Table {
            most: most.map_or(countable, |most| most.min(countable)),
            bounded: most.is_some(),
            changes: 0,
            hits: 0,
            misses: 0,
            ..Table::empty()
        }))
    }

    /// # Safety
    ///
    /// So for all methods: the interpreter's lock is held; and the result is let go of before
    /// anything of Python's runs.
    #[inline]
    #[allow(clippy::mut_from_ref)] // see the head of this file
    unsafe fn table(&self) -> &mut Table {
        // SAFETY: the caller's: nobody else has it.
        unsafe { &mut *self.0.get() }
    }

    /// The value for a key with this hash, counted as a hit and as the newest use. `same` says of a
    /// key whether it is the wanted one, and may run anything, as long as this lives.
    #[inline]
    pub(super) unsafe fn get(
        &self,
        hash: u64,
        same: impl Fn(Borrowed) -> Result<bool, Raised>,
    ) -> Result<Result<Object, Absent>, Raised> {
        // SAFETY: the caller's.
        unsafe {
            let found = self.find(hash, same)?;
            let table = self.table();
            let Some(slot) = found else {
                table.misses += 1;
                return Ok(Err(Absent { changes: table.changes }));
            };
            table.hits += 1;
            table.renew(slot);
            let value = table.slots[slot as usize].value.as_ref();
            Ok(Ok(value.expect("of an entry").clone()))
        }
    }

    #[inline]
    unsafe fn find(
        &self,
        hash: u64,
        same: impl Fn(Borrowed) -> Result<bool, Raised>,
    ) -> Result<Option<Slot>, Raised> {
        // SAFETY: the caller's; no borrow of the table outlasts a look at one place.
        unsafe {
            let mut changes = self.table().changes;
            let mut place = self.table().home(hash);
            loop {
                let table = self.table();
                let slot = table.index[place];
                if slot == HEAD {
                    return Ok(None);
                }
                let entry = &table.slots[slot as usize];
                place = table.after(place);
                if entry.hash != hash {
                    continue;
                }
                // The table may let go of it meanwhile.
                let key = entry.key.clone().expect("of an entry");
                let pointer = key.as_ptr();
                let same = same(pointer);
                let now = self.table().slots.get(slot as usize).and_then(|one| one.key.as_ref());
                let stays = now.is_some_and(|now| std::ptr::eq(now.as_ptr(), pointer));
                ffi::Py_DECREF(key.into_ptr());
                if same? && stays {
                    return Ok(Some(slot)); // whatever else has come or gone
                }
                let table = self.table();
                if table.changes != changes {
                    (changes, place) = (table.changes, table.home(hash));
                }
            }
        }
    }

    /// Keeps a value for a key that was `absent`. If it has come meanwhile, the value that came
    /// stays where there is a bound, and goes where there is none: as with functools. What leaves
    /// is dropped, which may run anything.
    pub(super) unsafe fn put(
        &self,
        hash: u64,
        absent: Absent,
        same: impl Fn(Borrowed) -> Result<bool, Raised>,
        key: Object,
        value: Object,
    ) -> Result<(), Raised> {
        // SAFETY: the caller's.
        unsafe {
            if self.table().changes != absent.changes
                && let Some(slot) = self.find(hash, same)?
            {
                let table = self.table();
                let other = if table.bounded {
                    Some(value)
                } else {
                    table.slots[slot as usize].value.replace(value)
                };
                drop((key, other));
                return Ok(());
            }
            if let Some((key, value)) = self.table().insert(hash, key, value) {
                ffi::Py_DECREF(key.into_ptr());
                ffi::Py_DECREF(value.into_ptr());
            }
            Ok(())
        }
    }

    /// Hits, misses, entries.
    pub(crate) fn counts(&self, _: Python<'_>) -> (u64, u64, usize) {
        // SAFETY: the lock is held; nothing else runs.
        let table = unsafe { self.table() };
        (table.hits, table.misses, table.slots.len() - 1)
    }

    /// Counts a call that was not looked for.
    pub(super) unsafe fn count_miss(&self) {
        // SAFETY: the caller's.
        unsafe { self.table().misses += 1 };
    }

    /// Forgets all entries and counts. Their drop may run anything.
    pub(crate) fn clear(&self, _: Python<'_>) {
        // SAFETY: the lock is held; the borrow ends before what was there is dropped.
        let old = unsafe {
            let table = self.table();
            let (most, bounded, changes) = (table.most, table.bounded, table.changes + 1);
            replace(table, Table { most, bounded, changes, ..Table::empty() })
        };
        drop(old);
    }

    /// Shows the collector all keys and values.
    pub(crate) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        // SAFETY: a collection holds the lock, and is begun by what the table never does while it
        // is borrowed: making objects, and letting go of them.
        let table = unsafe { self.table() };
        let mut kept = table.slots.iter().flat_map(|one| one.key.iter().chain(&one.value));
        kept.try_for_each(|one| object::visit(visit, one))
    }
}

impl Table {
    fn empty() -> Self {
        let head = Entry { hash: 0, key: None, value: None, newer: HEAD, older: HEAD };
        Table {
            index: vec![HEAD; 1 << FIRST],
            shift: 64 - FIRST,
            slots: vec![head],
            most: 0,
            bounded: true,
            changes: 0,
            hits: 0,
            misses: 0,
        }
    }

    /// Where a hash is looked for first. By the highest bits of a product, on which all bits of the
    /// hash have a say: Python's hashes of whole numbers are those numbers.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        (hash.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize
    }

    #[inline]
    fn after(&self, place: usize) -> usize {
        (place + 1) & (self.index.len() - 1)
    }

    /// Makes an entry the newest.
    #[inline]
    fn renew(&mut self, slot: Slot) {
        if self.slots[HEAD as usize].older != slot {
            self.unlink(slot);
            self.link(slot);
        }
    }

    #[inline]
    fn unlink(&mut self, slot: Slot) {
        let Entry { newer, older, .. } = self.slots[slot as usize];
        self.slots[newer as usize].older = older;
        self.slots[older as usize].newer = newer;
    }

    /// As the newest.
    #[inline]
    fn link(&mut self, slot: Slot) {
        let next = replace(&mut self.slots[HEAD as usize].older, slot);
        self.slots[next as usize].newer = slot;
        let entry = &mut self.slots[slot as usize];
        (entry.newer, entry.older) = (HEAD, next);
    }

    /// Puts an entry in whose key is not there, as the newest; what had to leave for it.
    fn insert(&mut self, hash: u64, key: Object, value: Object) -> Option<(Object, Object)> {
        self.changes += 1;
        let (key, value) = (Some(key), Some(value));
        if self.slots.len() <= self.most {
            let slot = self.slots.len() as Slot;
            self.slots.push(Entry { hash, key, value, newer: HEAD, older: HEAD });
            self.link(slot);
            // At most half of the places are taken, so that ways are short.
            if 2 * self.slots.len() > self.index.len() {
                self.grow();
            } else {
                self.enter(slot);
            }
            return None;
        }
        let slot = self.slots[HEAD as usize].newer;
        self.leave(slot);
        let entry = &mut self.slots[slot as usize];
        entry.hash = hash;
        let old = (replace(&mut entry.key, key), replace(&mut entry.value, value));
        self.renew(slot);
        self.enter(slot);
        old.0.zip(old.1)
    }

    /// Into the index.
    #[inline]
    fn enter(&mut self, slot: Slot) {
        let mut place = self.home(self.slots[slot as usize].hash);
        while self.index[place] != HEAD {
            place = self.after(place);
        }
        self.index[place] = slot;
    }

    /// Out of the index. Those behind it on the same way move up, as far as their homes allow.
    #[inline]
    fn leave(&mut self, slot: Slot) {
        let mut free = self.home(self.slots[slot as usize].hash);
        while self.index[free] != slot {
            free = self.after(free);
        }
        let mut place = self.after(free);
        while self.index[place] != HEAD {
            let home = self.home(self.slots[self.index[place] as usize].hash);
            let mask = self.index.len() - 1;
            // How far it is from its home, and from the free place.
            if place.wrapping_sub(home) & mask >= place.wrapping_sub(free) & mask {
                self.index[free] = self.index[place];
                free = place;
            }
            place = self.after(place);
        }
        self.index[free] = HEAD;
    }

    #[cold]
    fn grow(&mut self) {
        self.shift -= 1;
        self.index = vec![HEAD; 2 * take(&mut self.index).len()];
        for slot in 1..self.slots.len() as Slot {
            self.enter(slot);
        }
    }
}
