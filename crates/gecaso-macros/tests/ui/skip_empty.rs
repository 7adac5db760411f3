//! Nothing to skip.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached(skip())] //~ ERROR `skip` takes at least one name
fn f(n: u32) -> u32 {
    n
}

#[cached(skip = n)] //~ ERROR `skip` is written differently
//~^ NOTE write `skip(conn)`
fn g(n: u32) -> u32 {
    n
}

#[cached(skip(n, n))] //~ ERROR `n` is skipped twice
fn h(n: u32) -> u32 {
    1
}

fn main() {}
