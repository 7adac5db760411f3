//! Invalidation wins: after it has returned, nobody who asks gets a value whose load began before.

use gecaso::cached;
use std::sync::mpsc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

/// The source of truth, as a database would be.
static PRICE: Mutex<u32> = Mutex::new(1);

fn database() -> MutexGuard<'static, u32> {
    PRICE.lock().unwrap_or_else(PoisonError::into_inner)
}

type Gate = (mpsc::Sender<()>, mpsc::Receiver<()>);
/// While it is there, a load stops between reading and returning: tells that it has read, and
/// waits.
static SLOW: Mutex<Option<Gate>> = Mutex::new(None);

#[cached]
fn price(_article: u32) -> u32 {
    let read = *database();
    let gate = SLOW.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((has_read, go_on)) = gate {
        has_read.send(()).unwrap();
        go_on.recv().unwrap();
    }
    read
}

fn main() {
    let (has_read, seen) = mpsc::channel();
    let (go_on, wait) = mpsc::channel();
    *SLOW.lock().unwrap() = Some((has_read, wait));

    // A slow load has read the old price ...
    let slow = thread::spawn(|| price(7));
    seen.recv().unwrap();

    // ... the price changes, and the change is announced while that load still runs.
    *database() = 2;
    price::invalidate(7);

    // Whoever asks from now on gets the new price, and does not wait for the old load.
    assert_eq!(price(7), 2);
    go_on.send(()).unwrap();
    assert_eq!(slow.join().unwrap(), 1, "it began before: it may return what it has read");
    assert_eq!(price(7), 2, "and what it brought was not stored");

    // `insert` and `clear` are of the same kind. They are done when they return; the receipt is for
    // storages outside of this process, and may be dropped, waited for or awaited.
    price::insert(7, 3).wait().unwrap();
    assert_eq!(price(7), 3);
    pollster::block_on(price::clear()).unwrap();
    assert_eq!(price(7), 2);
    println!("{:?}", price::stats());
}
