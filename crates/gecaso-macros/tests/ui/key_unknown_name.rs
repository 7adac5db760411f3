//! A key from something that is not there.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached(key = id)] //~ ERROR cannot find value `id`
fn f(n: u32) -> u32 {
    n
}

fn main() {}
