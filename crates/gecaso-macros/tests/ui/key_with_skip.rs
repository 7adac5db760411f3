//! Words that contradict each other.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached(key = n, skip(m))] //~ ERROR `key` and `skip` contradict each other
//~^ NOTE leave out `skip`
fn f(n: u32, m: u32) -> u32 {
    n + m
}

fn main() {}
