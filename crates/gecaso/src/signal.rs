//! Something that is said once, to all who wait for it: now or later, awaited or parked for.
//!
//! Under every flight and every receipt. Knows neither. Runs no foreign code under its lock: wakers
//! are cloned, woken and dropped outside.

use crate::sync::{self, Mutex};
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// Said once.
pub(crate) struct Signal<T> {
    state: Mutex<State<T>>,
}

enum State<T> {
    /// Not yet; these wait.
    Open(Seats),
    Said(T),
}

/// The wakers of those who wait.
#[derive(Default)]
struct Seats {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl<T> Signal<T> {
    pub(crate) fn new() -> Self {
        Signal { state: Mutex::new(State::Open(Seats::default())) }
    }

    /// Says it, and wakes those who wait. Said twice, the later word counts for those who ask then.
    pub(crate) fn say(&self, word: T) {
        let before = mem::replace(&mut *sync::lock(&self.state), State::Said(word));
        if let State::Open(seats) = before {
            seats.wakers.into_iter().flatten().for_each(sync::wake);
        }
    }
}

impl<T: Clone> Signal<T> {
    /// Waits until it is said.
    ///
    /// Cancellation: dropping the future takes its waker out, and concerns nobody else.
    pub(crate) fn heard(&self) -> Heard<'_, T> {
        Heard { signal: self, seat: None }
    }
}

/// Somebody who waits for a signal.
pub(crate) struct Heard<'a, T> {
    signal: &'a Signal<T>,
    seat: Option<usize>,
}

impl<T: Clone> Future for Heard<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let waker = cx.waker().clone(); // foreign code, like its drop: outside of the lock
        let replaced = match &mut *sync::lock(&self.signal.state) {
            State::Said(word) => return Poll::Ready(word.clone()),
            State::Open(seats) => {
                let number = *self.seat.get_or_insert_with(|| {
                    seats.free.pop().unwrap_or_else(|| {
                        seats.wakers.push(None);
                        seats.wakers.len() - 1
                    })
                });
                seats.wakers[number].replace(waker)
            }
        };
        drop(replaced);
        Poll::Pending
    }
}

impl<T> Drop for Heard<'_, T> {
    fn drop(&mut self) {
        let Some(number) = self.seat else { return };
        let waker = match &mut *sync::lock(&self.signal.state) {
            State::Open(seats) => {
                seats.free.push(number);
                seats.wakers[number].take()
            }
            State::Said(_) => None,
        };
        drop(waker);
    }
}
