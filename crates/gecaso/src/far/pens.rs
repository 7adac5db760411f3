//! What this process has written to a function's keys and has not forgotten yet: the order of the
//! writes of each key, and since when the storage is believed about it.
//!
//! A far storage may be slow, fail, and do things late or in another order. So
//!
//! - one write per key is under way at a time; of those that come meanwhile only the last is done;
//! - what is being written is read from here, not from the storage;
//! - a removal leaves a *fence*: what was loaded before it is not believed, whatever the storage
//!   says, not even when the removal has been confirmed;
//! - a removal that failed is *owed*: until it has been repeated the storage is not asked.
//!
//! Called by `part`, under its lock. Pure data: performs nothing, runs no foreign code, knows no
//! storage.

use super::breaker::Method;
use crate::params::Params;
use crate::receipt::Heard;
use crate::signal::Signal;
use crate::time::Stamp;
use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::Arc;

/// Fences kept of keys with nothing under way. The oldest goes first.
pub(super) const FENCES: usize = 4_096;
/// Keys that may wait for their writes; see [`Pens::is_full`].
pub(super) const WAITING: usize = 4_096;
/// Bytes that may wait to be written; see [`Pens::is_laden`].
pub(super) const BYTES: usize = 64 << 20;

/// What is written.
#[derive(Clone)]
pub(super) enum Write {
    /// An entry, in its envelope, with what the storage is told beside it, and when its load began.
    Set(Arc<[u8]>, Arc<Params>, Stamp),
    Remove,
}

impl Write {
    /// The storage's method.
    pub(super) fn method(&self) -> Method {
        match self {
            Write::Set(..) => Method::Set,
            Write::Remove => Method::Remove,
        }
    }
}

#[derive(Default)]
pub(super) struct Pens {
    pens: BTreeMap<Arc<str>, Pen>,
    /// Keys with nothing under way and their fences, the oldest first; some have been used again
    /// since.
    resting: VecDeque<(Arc<str>, Stamp)>,
    /// How many of `pens` are at rest.
    at_rest: usize,
    /// How many removals are owed.
    owed: usize,
    /// What is waiting or under way, in bytes.
    bytes: usize,
}

/// One key.
#[derive(Default)]
struct Pen {
    /// What was loaded before is not believed; 0: all is.
    fence: Stamp,
    running: Option<Entry>,
    next: Option<Entry>,
    /// A removal failed, and is to be repeated.
    owes: bool,
    is_resting: bool,
    /// A write ended without an answer, and may still come: the fence is kept until a clear.
    is_doubtful: bool,
    /// The fence under which it stands in `resting`.
    listed: Stamp,
}

struct Entry {
    write: Write,
    heard: Vec<Heard>,
    /// Whether what was there before has to go, even if this fails: it is a removal, or an entry
    /// put in from outside, or has taken the place of one that was.
    removes: bool,
}

impl Entry {
    /// What it keeps in memory.
    fn bytes(&self) -> usize {
        match &self.write {
            Write::Set(bytes, ..) => bytes.len(),
            Write::Remove => 0,
        }
    }
}

/// What is known about a key without asking the storage.
pub(super) enum Known {
    /// This is being written.
    Written(Arc<[u8]>),
    /// It was removed, and the storage need not know yet.
    Removed,
    /// Nothing is being written: the storage is asked, and believed as far as the fence lets it.
    Resting,
}

impl Pens {
    pub(super) fn known(&self, key: &str) -> Known {
        if self.pens.is_empty() {
            return Known::Resting; // as nearly always
        }
        let Some(pen) = self.pens.get(key) else { return Known::Resting };
        match pen.next.as_ref().or(pen.running.as_ref()).map(|entry| &entry.write) {
            Some(Write::Set(bytes, ..)) => Known::Written(bytes.clone()),
            Some(Write::Remove) => Known::Removed,
            None if pen.owes => Known::Removed,
            None => Known::Resting,
        }
    }

    /// Whether what was loaded since `begun` may be stored.
    pub(super) fn admits(&self, key: &str, begun: Stamp) -> bool {
        self.pens.get(key).is_none_or(|pen| begun >= pen.fence)
    }

    /// Whether so many keys wait for their writes, or may be written late, that the next must not.
    pub(super) fn is_full(&self) -> bool {
        self.pens.len() - self.at_rest >= WAITING
    }

    /// Whether so many bytes wait that no entry may be added.
    pub(super) fn is_laden(&self) -> bool {
        self.bytes >= BYTES
    }

    /// The fence of a key; 0: none.
    pub(super) fn fence(&self, key: &str) -> Stamp {
        self.pens.get(key).map_or(0, |pen| pen.fence)
    }

    /// Queues a write in the place of any that waits. With a fence, nothing older is believed from
    /// now on. Whether the caller is to begin it: else somebody does who is at this key already.
    pub(super) fn queue(
        &mut self,
        key: &Arc<str>,
        write: Write,
        fence: Option<Stamp>,
        heard: Option<Heard>,
    ) -> bool {
        let pen = self.pens.entry(key.clone()).or_default();
        self.at_rest -= usize::from(mem::take(&mut pen.is_resting));
        if let Some(fence) = fence {
            pen.fence = pen.fence.max(fence);
        }
        let mut new = Entry { write, heard: heard.into_iter().collect(), removes: fence.is_some() };
        self.bytes += new.bytes();
        if let Some(replaced) = pen.next.take() {
            self.bytes -= replaced.bytes();
            // Those who waited for what is replaced wait for what replaces it.
            new.heard.extend(replaced.heard);
            new.removes |= replaced.removes;
        }
        pen.next = Some(new);
        pen.running.is_none()
    }

    /// Begins the write that waits, if none is under way.
    pub(super) fn begin(&mut self, key: &str) -> Option<Write> {
        let pen = self.pens.get_mut(key)?;
        if pen.running.is_some() {
            return None;
        }
        pen.running = pen.next.take();
        pen.running.as_ref().map(|entry| entry.write.clone())
    }

    /// The write that was under way has ended; those who wait for it are to be told, outside of the
    /// lock. Whether another one waits.
    pub(super) fn end(&mut self, key: &str, done: bool) -> (Vec<Heard>, bool) {
        let Some((key, _)) = self.pens.get_key_value(key) else { return (Vec::new(), false) };
        let key = key.clone();
        let pen = self.pens.get_mut(&key).expect("seen above");
        let Some(ended) = pen.running.take() else { return (Vec::new(), pen.next.is_some()) };
        self.bytes -= ended.bytes();
        let owes = !done && (pen.owes || ended.removes);
        let owed = mem::replace(&mut pen.owes, owes);
        self.owed = self.owed + usize::from(pen.owes) - usize::from(owed);
        if let Write::Set(_, _, begun) = ended.write {
            // Without an answer there may be what was there before, and this may come later. Only
            // what is at least as new is believed; from then on, also of what is answered.
            pen.is_doubtful |= !done;
            if !done || pen.fence != 0 {
                pen.fence = pen.fence.max(begun);
            }
        }
        let goes_on = pen.next.is_some();
        if !goes_on {
            self.rest(&key);
        }
        (ended.heard, goes_on)
    }

    /// Nothing is under way at this key any more.
    fn rest(&mut self, key: &Arc<str>) {
        let Some(pen) = self.pens.get_mut(key) else { return };
        if pen.owes {
            return;
        }
        if pen.fence == 0 {
            self.pens.remove(key);
            return;
        }
        if pen.is_doubtful {
            return;
        }
        pen.is_resting = true;
        self.at_rest += 1;
        if pen.listed != pen.fence {
            pen.listed = pen.fence;
            self.resting.push_back((key.clone(), pen.fence));
        }
        let rests = |pens: &BTreeMap<Arc<str>, Pen>, key: &Arc<str>, fence: Stamp| {
            pens.get(key).is_some_and(|pen| pen.is_resting && pen.fence == fence)
        };
        while self.at_rest > FENCES {
            let Some((oldest, fence)) = self.resting.pop_front() else { break };
            if rests(&self.pens, &oldest, fence) {
                self.pens.remove(&oldest);
                self.at_rest -= 1;
            }
        }
        if self.resting.len() > 2 * FENCES {
            let pens = &self.pens;
            self.resting.retain(|(key, fence)| rests(pens, key, *fence));
        }
    }

    /// Tells somebody more of the write that waits for this key, or that is under way.
    pub(super) fn attend(&mut self, key: &str, heard: Heard) {
        let pen = self.pens.get_mut(key);
        if let Some(entry) = pen.and_then(|pen| pen.next.as_mut().or(pen.running.as_mut())) {
            entry.heard.push(heard);
        }
    }

    /// Says how the write ends that waits for this key, or that is under way.
    pub(super) fn heed(&mut self, key: &str) -> Option<Heard> {
        let pen = self.pens.get_mut(key)?;
        let entry = pen.next.as_mut().or(pen.running.as_mut())?;
        let heard: Heard = Arc::new(Signal::new());
        entry.heard.push(heard.clone());
        Some(heard)
    }

    /// Begins to repeat removals that are owed, at most so many.
    pub(super) fn begin_owed(&mut self, most: usize) -> Vec<Arc<str>> {
        if self.owed == 0 {
            return Vec::new();
        }
        let owed = self.pens.iter_mut().filter(|(_, pen)| pen.owes && pen.running.is_none());
        let begin = |(key, pen): (&Arc<str>, &mut Pen)| {
            pen.running = Some(Entry { write: Write::Remove, heard: Vec::new(), removes: true });
            key.clone()
        };
        owed.take(most).map(begin).collect()
    }

    /// Removals that are owed.
    pub(super) fn owed(&self) -> usize {
        self.owed
    }

    /// Whether a write is under way, or waits.
    #[cfg(all(test, shuttle))]
    pub(super) fn is_writing(&self) -> bool {
        self.pens.values().any(|pen| pen.running.is_some() || pen.next.is_some())
    }

    /// Forgets all that has not begun: an epoch has begun in which nothing older is believed. Those
    /// who wait are to be told, outside of the lock.
    pub(super) fn clear(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        self.pens.retain(|_, pen| {
            if let Some(next) = pen.next.take() {
                self.bytes -= next.bytes();
                heard.extend(next.heard);
            }
            let running = pen.running.take();
            *pen = Pen { running, ..Pen::default() };
            pen.running.is_some()
        });
        self.resting.clear();
        (self.at_rest, self.owed) = (0, 0);
        heard
    }
}
