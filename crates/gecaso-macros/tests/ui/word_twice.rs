//! A word that is there twice.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached(ttl = 1, ttl = 2)] //~ ERROR `ttl` is there twice
//~^ NOTE keep one of them
fn f(n: u32) -> u32 {
    n
}

fn main() {}
