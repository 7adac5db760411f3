//! A predicate of the wrong type.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached(cache_if = |n: &u64| *n > 1)] //~ ERROR mismatched types
fn f(n: u32) -> u32 {
    n
}

fn main() {}
