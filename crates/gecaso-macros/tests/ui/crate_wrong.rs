//! A path that is none.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached(crate = "gecaso")] //~ ERROR `crate` takes a path
fn f(n: u32) -> u32 {
    n
}

fn main() {}
