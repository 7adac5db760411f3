//! An argument to skip that is not there; a receiver too.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached(skip(con))] //~ ERROR the function has no argument `con` to skip
//~^ NOTE it has `n`, `conn`
fn f(n: u32, conn: u32) -> u32 {
    n + conn
}

#[cached(skip(self))] //~ ERROR the function has no argument `self` to skip
fn g(n: u32) -> u32 {
    n
}

fn main() {}
