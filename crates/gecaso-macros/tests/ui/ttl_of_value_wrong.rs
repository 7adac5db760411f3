//! A lifetime worked out from the value that is no `Duration`, or of another type's value.

#![allow(dead_code, unused_variables)]

use gecaso::cached;
use std::time::Duration;

#[cached(ttl = |n: &u64| *n)] //~ ERROR mismatched types
//~^ NOTE expected `Duration`, found `u64`
fn f(n: u64) -> u64 {
    n
}

#[cached(tti = |n: &u32| Duration::from_secs(5))] //~ ERROR mismatched types
fn g(n: u64) -> u64 {
    n
}

fn main() {}
