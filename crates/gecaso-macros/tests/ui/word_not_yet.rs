//! A word that will come.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached(jitter = 0.1)] //~ ERROR does not know the word `jitter`
//~^ NOTE not supported yet
fn f(n: u32) -> u32 {
    n
}

fn main() {}
