//! Words without their values.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached(ttl)] //~ ERROR `ttl` is written differently
//~^ NOTE write `ttl = 100`
fn f(n: u32) -> u32 {
    n
}

#[cached(ttl = , version = 1)] //~ ERROR `ttl` has no value
//~^ NOTE write `ttl = 100`
fn g(n: u32) -> u32 {
    n
}

fn main() {}
