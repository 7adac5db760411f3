//! Who waits for whom: keeps a call from waiting for itself, however far the way round is.
//!
//! Every body runs inside its flight, and a flight begun by a body has that body's flight as parent:
//! the *chain* of a call. A call inside a chain that is about to wait for another flight asks here
//! first. If that flight can only land after one of the chain's own flights, waiting would never end
//! and the caller runs its body uncached instead. Calls outside of every body (nearly all) never come
//! here.
//!
//! Called by `call`. Knows flights only as links; knows no key, value or storage.

use crate::sync;
use std::cell::RefCell;
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// A flight, seen as a link of a chain.
pub(crate) trait Link: Send + Sync {
    /// Where the link stands in its chain.
    fn place(&self) -> &Place;
    /// Gives up the parent, so that a long chain is dropped link by link and not by recursion.
    fn take_parent(&mut self) -> Option<Chain>;
}

/// The innermost flight of a call; its parents are the rest of the chain.
pub(crate) type Chain = Arc<dyn Link>;

/// Where a flight stands: under which flight's body it was begun.
pub(crate) struct Place {
    parent: Option<Chain>,
    /// Flights above this one.
    depth: u32,
    /// Address of the outermost flight; `None` if it is this one. Kept alive by the parents.
    root: Option<usize>,
}

impl Place {
    pub(crate) fn under(parent: Option<Chain>) -> Self {
        let depth = parent.as_ref().map_or(0, |parent| parent.place().depth + 1);
        let root = parent.as_ref().map(|parent| root(&**parent));
        Place { parent, depth, root }
    }

    pub(crate) fn take_parent(&mut self) -> Option<Chain> {
        self.parent.take()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut next = self.parent.take();
        while let Some(mut link) = next {
            next = Arc::get_mut(&mut link).and_then(Link::take_parent);
        }
    }
}

fn address(link: &dyn Link) -> usize {
    std::ptr::from_ref(link).cast::<()>().addr()
}

fn root(link: &dyn Link) -> usize {
    link.place().root.unwrap_or(address(link))
}

/// Whether `link` is `of` or one of the flights above it.
fn is_at_or_above(link: &dyn Link, of: &dyn Link) -> bool {
    if root(link) != root(of) {
        return false;
    }
    let mut below = of;
    while below.place().depth > link.place().depth {
        match &below.place().parent {
            Some(parent) => below = &**parent,
            None => return false,
        }
    }
    address(below) == address(link)
}

sync::thread_local! {
    static CURRENT: RefCell<Option<Chain>> = const { RefCell::new(None) };
}

/// The chain that the calling code runs in.
pub(crate) fn current() -> Option<Chain> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// Sets the current chain until dropped.
struct Enter {
    before: Option<Chain>,
}

impl Enter {
    fn chain(chain: Option<Chain>) -> Self {
        let swap = |current: &RefCell<Option<Chain>>| current.replace(chain);
        Enter { before: CURRENT.try_with(swap).ok().flatten() }
    }
}

impl Drop for Enter {
    fn drop(&mut self) {
        let before = self.before.take();
        // A thread that is ending has no chain to go back to.
        let ours = CURRENT.try_with(|current| current.replace(before)).ok();
        drop(ours);
    }
}

/// Runs a future inside a chain, wherever and by whomever it is polled.
pub(crate) async fn inside<F: Future>(chain: Option<Chain>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let _enter = Enter::chain(chain.clone());
        future.as_mut().poll(cx)
    })
    .await
}

/// Makes a spawned task part of the call that spawns it.
///
/// gecaso notices that a body waits for itself, over any number of other cached functions, threads
/// and tasks, and then runs the inner call uncached instead of hanging. A task that a body spawns is
/// a stranger to it, unless it is wrapped in `scope`: only then are its calls known to be the body's.
/// (A stranger that waits for the very call that spawned it, while that waits for the stranger, is
/// freed by the bound on waiting, [`CacheBuilder::max_wait`](crate::CacheBuilder::max_wait).)
///
/// ```
/// # #[cfg(feature = "macros")] {
/// use gecaso::cached;
///
/// #[cached]
/// async fn sum(n: u64) -> u64 {
///     // sum(1) asks for itself from a task of its own: noticed, and run uncached.
///     let inner = smol::spawn(gecaso::scope(async move { if n == 1 { sum(1 - 1).await } else { 0 } }));
///     n + inner.await
/// }
/// assert_eq!(smol::block_on(sum(1)), 1);
/// # }
/// ```
pub fn scope<F: Future>(future: F) -> impl Future<Output = F::Output> {
    inside(current(), future)
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

/// One call waiting: the innermost flight it is in, and the flight it waits for.
struct Edge {
    waiter: Chain,
    target: Chain,
}

/// All waits from inside of chains, by the root of the waiter.
///
/// A lock of the standard library, in model checks too: nothing inside it yields, so there it is one
/// atomic step.
static WAITS: LazyLock<Mutex<HashMap<usize, Vec<Arc<Edge>>>>> = LazyLock::new(Mutex::default);

/// A wait that may go on. Ends when dropped.
pub(crate) struct Waiting {
    edge: Option<Arc<Edge>>,
}

/// Notes that a call in chain `me` waits for `target`; `None` if that could never end.
pub(crate) fn wait_for(me: Option<&Chain>, target: Chain) -> Option<Waiting> {
    let Some(me) = me else { return Some(Waiting { edge: None }) };
    let edge = Arc::new(Edge { waiter: me.clone(), target });
    let mut waits = WAITS.lock().unwrap_or_else(PoisonError::into_inner);
    if needs(&*edge.target, &**me, &waits) {
        drop(waits); // before the edge: its last flight may go, and a key with it
        return None;
    }
    waits.entry(root(&**me)).or_default().push(edge.clone());
    Some(Waiting { edge: Some(edge) })
}

/// Whether `target` can only land after a flight of the chain `me`: follows, from the target, every
/// wait of a call inside it, and so on.
fn needs(target: &dyn Link, me: &dyn Link, waits: &HashMap<usize, Vec<Arc<Edge>>>) -> bool {
    let mut seen = vec![address(target)];
    let mut open: Vec<&dyn Link> = vec![target];
    while let Some(link) = open.pop() {
        if is_at_or_above(link, me) {
            return true;
        }
        for edge in waits.get(&root(link)).into_iter().flatten() {
            if is_at_or_above(link, &*edge.waiter) && !seen.contains(&address(&*edge.target)) {
                seen.push(address(&*edge.target));
                open.push(&*edge.target);
            }
        }
    }
    false
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(edge) = self.edge.take() else { return };
        let mut waits = WAITS.lock().unwrap_or_else(PoisonError::into_inner);
        let root = root(&*edge.waiter);
        if let Some(edges) = waits.get_mut(&root) {
            edges.retain(|other| !Arc::ptr_eq(other, &edge));
            if edges.is_empty() {
                waits.remove(&root);
            }
        }
        drop(waits); // before the edge, as above
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Node(Place);
    impl Link for Node {
        fn place(&self) -> &Place {
            &self.0
        }
        fn take_parent(&mut self) -> Option<Chain> {
            self.0.take_parent()
        }
    }

    fn flight(parent: Option<&Chain>) -> Chain {
        Arc::new(Node(Place::under(parent.cloned())))
    }

    fn may_wait(me: &Chain, target: &Chain) -> Option<Waiting> {
        wait_for(Some(me), target.clone())
    }

    #[test]
    fn nobody_waits_for_a_flight_of_his_own_chain() {
        let a = flight(None);
        let b = flight(Some(&a));
        let c = flight(Some(&b));
        assert!(may_wait(&c, &c).is_none());
        assert!(may_wait(&c, &a).is_none());
        assert!(may_wait(&a, &c).is_none(), "a branch of a's body waits for what another one leads");
        let sibling = flight(Some(&a));
        assert!(may_wait(&sibling, &c).is_some(), "two branches of one body may wait");
        assert!(may_wait(&c, &flight(None)).is_some());
        assert!(wait_for(None, a).is_some(), "outside of every body");
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
        assert!(!WAITS.lock().unwrap().contains_key(&root(&*a)), "nothing is left in the books");
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
