//! Model checks of what memory order decides: loom tries the interleavings of a few threads, and
//! each value that a load may get by the rules of the language.
//!
//! `make model` runs them, all to the end (`LOOM_MAX_PREEMPTIONS=n` leaves some out). Each is the
//! least that shows one thing; the same code meets whole caches in `shuttle_tests`, where memory is
//! in order.

mod lanes;
mod versions;

use crate::lane;
use crate::sync::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Tries all that can happen.
fn check(scene: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.max_branches = 10_000;
    let tried = Arc::new(AtomicUsize::new(0));
    let count = tried.clone();
    model.check(move || {
        count.fetch_add(1, Relaxed);
        scene();
    });
    println!("{} executions", tried.load(Relaxed));
}

/// Runs this in a thread of its own, which has this number.
fn spawn(number: usize, run: impl FnOnce() + 'static) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        lane::is(number);
        run();
    })
}
