//! A function for foreign callers.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached]
extern "C" fn f(n: u32) -> u32 { //~ ERROR an `extern` function cannot be cached
    //~^ NOTE cache a Rust function that this one calls
    n
}

fn main() {}
