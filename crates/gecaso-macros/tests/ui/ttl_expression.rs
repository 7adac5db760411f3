//! A lifetime that is no `Duration`.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

const MINUTES: u64 = 60;

#[cached(ttl = 5 * MINUTES)] //~ ERROR mismatched types
//~^ NOTE expected `Duration`, found `u64`
fn f(n: u32) -> u32 {
    n
}

fn main() {}
