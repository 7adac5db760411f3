//! The peers, one file each, and what a peer says about itself: which tasks it can do, and how.
//!
//! A new peer is one file with `pub fn peer() -> Peer`, and two lines here. Knows no clock.

mod by_hand;
mod cached;
mod foyer;
mod gecaso;
mod lru;
mod moka;
mod quick_cache;

use crate::work::{Keys, bodies, mix};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Places in the storages of the rows in which nothing is evicted.
pub(crate) const ROOMY: usize = 10_000;
/// Places in the storages of the rows that evict.
pub(crate) const TIGHT: usize = 100_000;

/// What is timed. Every task of a peer has a storage of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Task {
    /// Hit of a memoized `f(u64) -> u64`.
    F,
    /// Hit of a memoized `g(&str) -> Arc<str>`.
    G,
    /// Hit of a memoized `h(&str, u32) -> Result<String, E>`.
    H,
    /// Hit of a memoized `async f(u64) -> u64`: one poll.
    AsyncF,
    /// Hit of `f` with a lifetime.
    Ttl,
    /// Hit of `f` in true least-recently-used order.
    Lru,
    /// Miss of `f` with `TIGHT` places, all taken.
    Miss,
    /// Insertion by hand with `TIGHT` places, all taken.
    Insert,
    /// `f` with `TIGHT` places, over keys some of which are there.
    Mixed,
}

/// So many calls from an offset on; the sum of what they returned.
pub(crate) type Slice = Arc<dyn Fn(&Keys, usize, usize) -> u64 + Send + Sync>;

/// One call of a stampede: a function whose body takes 20 ms.
pub(crate) type Slow = fn(u64) -> u64;
/// The same as a task.
pub(crate) type SlowTask = fn(u64) -> Pin<Box<dyn Future<Output = u64> + Send>>;

pub(crate) struct Peer {
    pub(crate) name: &'static str,
    tasks: Vec<(Task, Slice)>,
    pub(crate) slow: Option<Slow>,
    pub(crate) slow_task: Option<SlowTask>,
    /// Lets deferred work of the peer's own finish, after filling.
    pub(crate) settle: fn(),
}

impl Peer {
    fn new(name: &'static str) -> Self {
        Peer { name, tasks: Vec::new(), slow: None, slow_task: None, settle: || () }
    }

    pub(crate) fn slice(&self, task: Task) -> Option<Slice> {
        self.tasks.iter().find(|(of, _)| *of == task).map(|(_, slice)| slice.clone())
    }

    /// A task over numbers.
    fn ids(mut self, task: Task, call: impl Fn(u64) -> u64 + Send + Sync + 'static) -> Self {
        let slice = move |keys: &Keys, from: usize, calls: usize| {
            let (mut at, mut sum) = (from % keys.ids.len(), 0u64);
            for _ in 0..calls {
                sum = sum.wrapping_add(call(keys.ids[at]));
                at = if at + 1 < keys.ids.len() { at + 1 } else { 0 };
            }
            sum
        };
        self.tasks.push((task, Arc::new(slice)));
        self
    }

    /// A task over text.
    fn texts(mut self, task: Task, call: impl Fn(&str) -> usize + Send + Sync + 'static) -> Self {
        let slice = move |keys: &Keys, from: usize, calls: usize| {
            let (mut at, mut sum) = (from % keys.ids.len(), 0u64);
            for _ in 0..calls {
                sum = sum.wrapping_add(call(keys.text(at)) as u64);
                at = if at + 1 < keys.ids.len() { at + 1 } else { 0 };
            }
            sum
        };
        self.tasks.push((task, Arc::new(slice)));
        self
    }

    /// A task over numbers that is polled until it is ready: once, unless it has to wait for a lock
    /// that another thread holds.
    fn polled<F: Future<Output = u64>>(
        self,
        task: Task,
        call: impl Fn(u64) -> F + Send + Sync + 'static,
    ) -> Self {
        self.ids(task, move |id| {
            let mut future = pin!(call(id));
            loop {
                let mut context = Context::from_waker(Waker::noop());
                if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
                    return value;
                }
                std::hint::spin_loop();
            }
        })
    }

    /// A task over numbers never seen before: the offset is the first of them.
    fn fresh(mut self, task: Task, call: impl Fn(u64) -> u64 + Send + Sync + 'static) -> Self {
        let slice = move |_: &Keys, from: usize, calls: usize| {
            (from..from + calls).map(|n| call(mix(n as u64))).fold(0, u64::wrapping_add)
        };
        self.tasks.push((task, Arc::new(slice)));
        self
    }
}

/// How many bodies a slice ran.
pub(crate) fn bodies_of(slice: &Slice, keys: &Keys, from: usize, calls: usize) -> u64 {
    let before = bodies();
    std::hint::black_box(slice(keys, from, calls));
    bodies() - before
}

/// All peers; gecaso first: the others are compared with it.
pub(crate) fn all() -> Vec<Peer> {
    let mut peers = gecaso::peers();
    peers.extend(cached::peers());
    peers.extend([moka::peer(), quick_cache::peer(), foyer::peer(), by_hand::peer(), lru::peer()]);
    peers
}

/// The key of `h` for rivals that are looked up by a borrowed form of it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct HKey(pub(crate) String, pub(crate) u32);

/// The borrowed form: an expert's look-up without an allocation.
#[derive(Hash)]
pub(crate) struct HRef<'a>(pub(crate) &'a str, pub(crate) u32);

impl equivalent::Equivalent<HKey> for HRef<'_> {
    fn equivalent(&self, key: &HKey) -> bool {
        self.1 == key.1 && self.0 == key.0
    }
}
