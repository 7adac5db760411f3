//! Who waits for whom: keeps a call from waiting for itself, however far the way round is.
//!
//! Every body runs inside its flight, and a flight begun by a body has that body's flight as
//! parent: the *chain* of a call. A call inside a chain that is about to wait for another flight
//! asks here first. If that flight can only land after one of the chain's own flights, waiting
//! would never end and the caller runs its body uncached instead. A call outside of every body, as
//! nearly all are, takes no lock here.
//!
//! Called by `call` and `flight`. Knows flights only as links; knows no key, value or storage.

use crate::sync;
use std::cell::Cell;
use std::collections::HashMap;
use std::future::Future;
use std::num::NonZeroU64;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

/// The number of a flight; never 0, so that "no flight" takes no place of its own.
pub(crate) type FlightId = NonZeroU64;

/// A flight and the flights whose bodies it was begun in, innermost first. One that was begun
/// outside of every body, as nearly all are, costs nothing.
#[derive(Clone)]
pub(crate) struct Chain {
    /// The number of the flight, its own in this process.
    pub(crate) id: FlightId,
    above: Option<Arc<Above>>,
}

struct Above {
    chain: Chain,
    /// Flights in `chain`.
    depth: u32,
    /// The outermost one.
    root: FlightId,
}

impl Chain {
    /// The chain of a new flight that begins inside of another one's body, or of none.
    #[inline]
    pub(crate) fn begin(inside: &Option<Chain>) -> Self {
        let above = inside.as_ref().map(|chain| {
            let (depth, root) = (chain.depth() + 1, chain.root());
            Arc::new(Above { chain: chain.clone(), depth, root })
        });
        Chain { id: fresh_id(), above }
    }

    fn depth(&self) -> u32 {
        self.above.as_ref().map_or(0, |above| above.depth)
    }

    fn root(&self) -> FlightId {
        self.above.as_ref().map_or(self.id, |above| above.root)
    }

    /// Whether the flight of this chain is that of `other`, or one of those above it.
    fn is_at_or_above(&self, other: &Chain) -> bool {
        if self.root() != other.root() {
            return false;
        }
        let mut below = other;
        while let Some(above) = &below.above {
            if below.depth() <= self.depth() {
                break;
            }
            below = &above.chain;
        }
        below.id == self.id
    }
}

impl Drop for Above {
    /// Drops a long chain link by link: recursion would take the stack that recursive bodies had.
    fn drop(&mut self) {
        let mut next = self.chain.above.take();
        while let Some(mut above) = next.and_then(Arc::into_inner) {
            next = above.chain.above.take();
        }
    }
}

/// A number that no other flight has. Threads draw them in blocks, so that they rarely meet.
fn fresh_id() -> FlightId {
    const BLOCK: u64 = 1 << 12;
    static NEXT: AtomicU64 = AtomicU64::new(0);
    std::thread_local! {
        static ID: Cell<u64> = const { Cell::new(0) };
    }
    ID.with(|id| {
        if id.get() % BLOCK == 0 {
            id.set(NEXT.fetch_add(BLOCK, Relaxed));
        }
        id.set(id.get() + 1);
        FlightId::new(id.get()).expect("numbers begin with 1")
    })
}

/// What the current chain begins with. Nearly always the number is all of it.
struct Innermost {
    id: Cell<Option<FlightId>>,
    /// Whether `ABOVE` holds anything.
    nested: Cell<bool>,
}

// The current chain in parts: a thread local that has nothing to drop costs next to nothing, the
// other one does.
sync::thread_local! {
    static INNERMOST: Innermost =
        const { Innermost { id: Cell::new(None), nested: Cell::new(false) } };
    static ABOVE: Cell<Option<Arc<Above>>> = const { Cell::new(None) };
}

/// The chain that the calling code runs in.
#[inline]
pub(crate) fn current() -> Option<Chain> {
    let (id, nested) = INNERMOST.with(|current| (current.id.get(), current.nested.get()));
    let above = if nested { current_above() } else { None };
    id.map(|id| Chain { id, above })
}

#[inline(never)]
fn current_above() -> Option<Arc<Above>> {
    let look = |above: &Cell<Option<Arc<Above>>>| {
        let chain = above.take();
        above.set(chain.clone());
        chain
    };
    ABOVE.try_with(look).ok().flatten()
}

/// Makes a chain the current one; returns the one before.
#[inline]
fn replace(chain: Option<Chain>) -> Option<Chain> {
    let (id, above) = chain.map_or((None, None), |chain| (Some(chain.id), chain.above));
    let (id, nested) = INNERMOST.with(|current| {
        let nested = current.nested.get();
        if nested != above.is_some() {
            current.nested.set(!nested);
        }
        (current.id.replace(id), nested)
    });
    if nested || above.is_some() {
        return replace_above(id, above);
    }
    id.map(|id| Chain { id, above: None })
}

/// The rest of that, where one of the two chains is longer than a flight; `id` is that of the one
/// before.
#[inline(never)]
fn replace_above(id: Option<FlightId>, above: Option<Arc<Above>>) -> Option<Chain> {
    match ABOVE.try_with(|current| current.replace(above)) {
        Ok(above) => id.map(|id| Chain { id, above }),
        Err(_) => {
            // A thread that is ending keeps no chains any more.
            INNERMOST.with(|current| {
                current.id.set(None);
                current.nested.set(false);
            });
            None
        }
    }
}

/// Makes what the calling thread does part of a chain, until the guard is dropped.
#[inline]
pub(crate) fn enter(chain: Chain) -> Enter {
    Enter::chain(Some(chain))
}

/// Sets the current chain until dropped.
pub(crate) struct Enter {
    before: Option<Chain>,
}

impl Enter {
    #[inline]
    fn chain(chain: Option<Chain>) -> Self {
        Enter { before: replace(chain) }
    }
}

impl Drop for Enter {
    #[inline]
    fn drop(&mut self) {
        let before = self.before.take();
        if before.as_ref().is_some_and(|chain| chain.above.is_some()) {
            drop(replace(before));
            return;
        }
        let id = before.map(|chain| chain.id);
        if INNERMOST.with(|current| current.nested.get()) {
            drop(replace(id.map(|id| Chain { id, above: None })));
        } else {
            INNERMOST.with(|current| current.id.set(id));
        }
    }
}

/// Runs a future inside a chain, wherever and by whomever it is polled, or dropped.
pub(crate) struct Inside<'a, F> {
    chain: Option<Chain>,
    future: Pin<&'a mut Option<F>>,
}

/// Runs the future that is there until it is ready, then empties its place; dropped before, it
/// empties the place inside of the chain, since what a cancelled body drops may be cached calls.
pub(crate) fn inside<F: Future>(
    chain: Option<Chain>,
    future: Pin<&mut Option<F>>,
) -> Inside<'_, F> {
    Inside { chain, future }
}

impl<F: Future> Future for Inside<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _enter = Enter::chain(self.chain.clone());
        let future = self.future.as_mut().as_pin_mut().expect("polled again after it was ready");
        let polled = future.poll(cx);
        if polled.is_ready() {
            self.future.set(None);
        }
        polled
    }
}

impl<F> Drop for Inside<'_, F> {
    fn drop(&mut self) {
        if self.future.is_some() {
            let _enter = Enter::chain(self.chain.take());
            self.future.set(None);
        }
    }
}

/// Makes a spawned task part of the call that spawns it.
///
/// gecaso notices that a body waits for itself, over any number of other cached functions, threads
/// and tasks, and then runs the inner call uncached instead of hanging. A task that a body spawns
/// is a stranger to it, unless it is wrapped in `scope`: only then are its calls known to be the
/// body's. (A stranger that waits for the very call that spawned it, while that waits for the
/// stranger, is freed by the bound on waiting,
/// [`CacheBuilder::max_wait`](crate::CacheBuilder::max_wait).)
///
/// ```
/// # #[cfg(feature = "macros")] {
/// use gecaso::cached;
/// use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
/// use std::{future::Future, pin::Pin};
///
/// static ASKED: AtomicBool = AtomicBool::new(false);
///
/// #[cached]
/// async fn answer() -> u32 {
///     if ASKED.swap(true, Relaxed) {
///         return 42;
///     }
///     // Asks for itself, from a task of its own: noticed, and run uncached.
///     smol::spawn(gecaso::scope(again())).await
/// }
///
/// fn again() -> Pin<Box<dyn Future<Output = u32> + Send>> {
///     Box::pin(answer())
/// }
///
/// assert_eq!(smol::block_on(answer()), 42);
/// # }
/// ```
pub fn scope<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let chain = current();
    async move { inside(chain, pin!(Some(future))).await }
}

/// Makes a closure that runs in another thread part of the call that makes it. See [`scope`].
///
/// ```
/// # fn work() {}
/// std::thread::spawn(gecaso::scope_fn(|| work())).join().unwrap();
/// ```
pub fn scope_fn<R>(run: impl FnOnce() -> R) -> impl FnOnce() -> R {
    let chain = current();
    move || {
        let _enter = Enter::chain(chain);
        run()
    }
}

/// One call waiting: the chain it is in, and the flight it waits for.
struct Edge {
    waiter: Chain,
    target: Chain,
}

sync::global! {
    /// All waits from inside of chains, by the outermost flight of the waiter.
    static WAITS: Mutex<HashMap<FlightId, Vec<Edge>>>;
}

/// In a child process: those who waited are not there.
#[cfg(not(shuttle))]
pub(crate) fn after_fork() {
    sync::lock(&WAITS).clear();
}

/// Calls that wait now from inside of chains.
#[cfg(shuttle)]
pub(crate) fn waits() -> usize {
    sync::lock(&WAITS).values().map(Vec::len).sum()
}

/// A wait that may go on. Ends when dropped.
pub(crate) struct Waiting {
    /// Root of the waiter, waiter, target.
    edge: Option<(FlightId, FlightId, FlightId)>,
}

/// Notes that a call in chain `me` waits for `target`; `None` if that could never end.
pub(crate) fn wait_for(me: Option<&Chain>, target: &Chain) -> Option<Waiting> {
    let Some(me) = me else { return Some(Waiting { edge: None }) };
    let mut waits = sync::lock(&WAITS);
    if needs(target, me, &waits) {
        return None;
    }
    let edge = Edge { waiter: me.clone(), target: target.clone() };
    waits.entry(me.root()).or_default().push(edge);
    Some(Waiting { edge: Some((me.root(), me.id, target.id)) })
}

/// Whether `target` can only land after a flight of the chain `me`: follows, from the target, every
/// wait of a call inside it, and so on.
fn needs(target: &Chain, me: &Chain, waits: &HashMap<FlightId, Vec<Edge>>) -> bool {
    let mut seen = vec![target.id];
    let mut open = vec![target];
    while let Some(flight) = open.pop() {
        if flight.is_at_or_above(me) {
            return true;
        }
        for edge in waits.get(&flight.root()).into_iter().flatten() {
            if flight.is_at_or_above(&edge.waiter) && !seen.contains(&edge.target.id) {
                seen.push(edge.target.id);
                open.push(&edge.target);
            }
        }
    }
    false
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some((root, waiter, target)) = self.edge else { return };
        let mut waits = sync::lock(&WAITS);
        let Some(edges) = waits.get_mut(&root) else { return };
        let is_this = |edge: &Edge| edge.waiter.id == waiter && edge.target.id == target;
        if let Some(at) = edges.iter().position(is_this) {
            edges.swap_remove(at);
        }
        if edges.is_empty() {
            waits.remove(&root);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight(inside: Option<&Chain>) -> Chain {
        Chain::begin(&inside.cloned())
    }

    fn may_wait(me: &Chain, target: &Chain) -> Option<Waiting> {
        wait_for(Some(me), target)
    }

    #[test]
    fn nobody_waits_for_a_flight_of_his_own_chain() {
        let a = flight(None);
        let b = flight(Some(&a));
        let c = flight(Some(&b));
        assert!(may_wait(&c, &c).is_none());
        assert!(may_wait(&c, &a).is_none());
        assert!(may_wait(&a, &c).is_some(), "one branch of a's body waits for what another leads");
        let sibling = flight(Some(&a));
        assert!(may_wait(&sibling, &c).is_some(), "two branches of one body may wait");
        assert!(may_wait(&c, &flight(None)).is_some());
        assert!(wait_for(None, &a).is_some(), "outside of every body");
    }

    #[test]
    fn the_call_that_would_close_the_circle_is_told_so() {
        let (a, b, c) = (flight(None), flight(None), flight(None));
        let in_a = flight(Some(&a));
        let first = may_wait(&in_a, &b);
        assert!(first.is_some());
        let second = may_wait(&b, &c);
        assert!(second.is_some());
        assert!(may_wait(&c, &a).is_none(), "a needs b needs c");
        assert!(may_wait(&c, &in_a).is_none());
        drop(second);
        assert!(may_wait(&c, &a).is_some(), "b does not wait any more");
        drop(first);
        assert!(!WAITS.lock().unwrap().contains_key(&a.root()), "nothing is left in the books");
    }

    #[test]
    fn a_chain_of_a_hundred_thousand_is_dropped_on_a_small_stack() {
        let run = || {
            let mut chain = flight(None);
            for _ in 0..100_000 {
                chain = flight(Some(&chain));
            }
            drop(chain);
        };
        std::thread::Builder::new().stack_size(128 * 1024).spawn(run).unwrap().join().unwrap();
    }
}
