//! A constant function.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached]
const fn f(n: u32) -> u32 { //~ ERROR a `const fn` cannot be cached
    //~^ NOTE leave out `const`
    n
}

fn main() {}
