//! An unsafe function.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached]
unsafe fn f(n: u32) -> u32 { //~ ERROR an `unsafe fn` cannot be cached
    //~^ NOTE cache a safe function that calls this one
    n
}

fn main() {}
