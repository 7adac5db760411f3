//! An argument that cannot travel between threads.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached]
fn f(n: std::rc::Rc<u32>) -> u32 { //~ ERROR argument `n` cannot be part of a cache key
    //~^ NOTE Send + Sync
    *n
}

fn main() {}
