//! A version that is no number.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached(version = "3")] //~ ERROR `version` takes a number
//~^ NOTE write `version = 3`
fn f(n: u32) -> u32 {
    n
}

fn main() {}
