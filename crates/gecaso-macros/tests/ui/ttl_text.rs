//! Lifetimes that cannot be read.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached(ttl = "1 fortnight")] //~ ERROR `ttl` has an unknown unit "fortnight"
//~^ NOTE "1h 30m", "250ms" or "1d"
fn f(n: u32) -> u32 {
    n
}

#[cached(max_wait = "10")] //~ ERROR `max_wait` does not say the unit of "10"
fn g(n: u32) -> u32 {
    n
}

fn main() {}
