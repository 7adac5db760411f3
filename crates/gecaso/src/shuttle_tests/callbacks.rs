//! Foreign code that calls back: keys, values and wakers that use the cache from their `Hash`,
//! `Eq`, `Clone`, `Drop` and `wake`. No lock is held there, so nothing ever hangs.

use super::world::{Label, Stamped, World};
use super::{give_up_after, pick, scenarios, switch};
use crate::outcome::Value;
use shuttle::future::block_on;
use shuttle::thread::scope;
use std::cell::RefCell;
use std::hash::{Hash, Hasher};
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

scenarios![
    keys_and_values_call_back,
    keys_and_values_call_back_while_others_cancel,
    keys_and_values_call_back_while_they_are_evicted,
    wakers_call_back,
];

type Nosies = World<NosyKey, NosyValue>;

// All threads of an execution are on one thread of the system, which runs one scenario.
std::thread_local! {
    static WORLD: RefCell<Weak<Nosies>> = const { RefCell::new(Weak::new()) };
}

// What is called back does not call back again, or it would never end.
shuttle::thread_local! {
    static BUSY: std::cell::Cell<bool> = std::cell::Cell::new(false);
}

/// Keys that collide, and use the cache whenever they run.
#[derive(Debug)]
struct NosyKey(u32);

impl Label for NosyKey {
    fn of(number: u32) -> Self {
        NosyKey(number)
    }
}

impl Hash for NosyKey {
    fn hash<H: Hasher>(&self, _: &mut H) {
        call_back();
    }
}

impl PartialEq for NosyKey {
    fn eq(&self, other: &Self) -> bool {
        call_back();
        self.0 == other.0
    }
}

impl Eq for NosyKey {}

impl Clone for NosyKey {
    fn clone(&self) -> Self {
        call_back();
        NosyKey(self.0)
    }
}

impl Drop for NosyKey {
    fn drop(&mut self) {
        call_back();
    }
}

#[derive(Debug)]
struct NosyValue(u64);

impl Stamped for NosyValue {
    fn stamp(number: u32, version: u32) -> Self {
        NosyValue(u64::stamp(number, version))
    }
    fn number(&self) -> u32 {
        self.0.number()
    }
    fn version(&self) -> u32 {
        self.0.version()
    }
}

impl Clone for NosyValue {
    fn clone(&self) -> Self {
        call_back();
        NosyValue(self.0)
    }
}

impl Drop for NosyValue {
    fn drop(&mut self) {
        call_back();
    }
}

/// Now and then uses the cache, in some way.
fn call_back() {
    if BUSY.try_with(|busy| busy.replace(true)) != Ok(false) {
        return;
    }
    let world = WORLD.with(|world| world.borrow().upgrade());
    if let Some(world) = world.filter(|_| !std::thread::panicking()) {
        let number = 1 + pick(2);
        match pick(16) {
            0 => drop(world.look(number)),
            1 => world.invalidate(number),
            2 => drop(world.insert(number)),
            3 => world.clear(),
            4 => drop(world.call(number)),
            5 => drop(world.cache.stats()),
            _ => {}
        }
    }
    let _ = BUSY.try_with(|busy| busy.set(false));
}

/// Runs a scenario with a world that foreign code calls back. Its threads return nothing: what a
/// thread returns may be dropped, and call back, when nobody waits for the thread any more.
fn with_world(capacity: usize, scenario: impl FnOnce(&Nosies)) {
    let world = Arc::new(World::of(capacity));
    world.allow(16); // calls from inside of others run uncached where they would wait in a ring
    WORLD.with(|slot| *slot.borrow_mut() = Arc::downgrade(&world));
    scenario(&world);
    WORLD.with(|slot| *slot.borrow_mut() = Weak::new());
    world.settle(1..4);
}

fn keys_and_values_call_back() {
    with_world(3, |world| {
        scope(|s| {
            s.spawn(|| drop((world.call(1), world.call(2))));
            s.spawn(|| {
                drop(world.call(2));
                world.invalidate(2);
            });
            s.spawn(|| drop((world.insert(1), world.call(3))));
        });
    });
}

fn keys_and_values_call_back_while_others_cancel() {
    with_world(2, |world| {
        scope(|s| {
            s.spawn(|| drop(block_on(give_up_after(1 + pick(4), world.call_async(1)))));
            s.spawn(|| drop(block_on(give_up_after(1 + pick(4), world.call_async(1)))));
            s.spawn(|| drop((world.call(1), world.refresh(2))));
        });
    });
}

fn keys_and_values_call_back_while_they_are_evicted() {
    with_world(1, |world| {
        scope(|s| {
            s.spawn(|| drop((world.call(1), world.call(2))));
            s.spawn(|| drop((world.call(2), world.call(3))));
            s.spawn(|| {
                world.insert(3);
                world.clear();
            });
        });
    });
}

/// Wakes a thread, after it has used the cache.
struct NosyWaker {
    world: Weak<World<u32, u64>>,
    thread: shuttle::thread::Thread,
}

impl NosyWaker {
    fn call_back(&self) {
        let Some(world) = self.world.upgrade() else { return };
        // Nothing that waits: those who come after it are not awake yet.
        match pick(4) {
            0 => drop(world.look(1)),
            1 => world.invalidate(1),
            2 => world.clear(),
            _ => drop(world.insert(1)),
        }
    }
}

impl Wake for NosyWaker {
    fn wake(self: Arc<Self>) {
        self.call_back();
        self.thread.unpark();
    }
}

impl Drop for NosyWaker {
    fn drop(&mut self) {
        self.call_back();
    }
}

/// Polls with a new waker each time, so that the old one is dropped where the new one takes its
/// place.
fn block_on_nosily<V: Value>(world: &Arc<World<u32, u64>>, future: impl Future<Output = V>) -> V {
    let mut future = pin!(future);
    loop {
        let thread = shuttle::thread::current();
        let waker = Waker::from(Arc::new(NosyWaker { world: Arc::downgrade(world), thread }));
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        drop(waker);
        if pick(2) == 0 {
            shuttle::thread::park();
        }
    }
}

fn wakers_call_back() {
    let world = Arc::new(World::<u32, u64>::of(2));
    world.allow(4);
    scope(|s| {
        s.spawn(|| {
            world.call_with(1, || {
                let body = world.begin(1);
                (0..3).for_each(|_| switch());
                body.end()
            })
        });
        s.spawn(|| block_on_nosily(&world, world.call_async(1)));
        s.spawn(|| {
            block_on_nosily(&world, give_up_after(1 + pick(3), world.call_async(1))).is_some()
        });
    });
    world.settle(1..3);
}
