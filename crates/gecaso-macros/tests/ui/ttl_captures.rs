//! A lifetime made from an argument.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached(ttl = std::time::Duration::from_secs(n))] //~ ERROR mismatched types
//~^ NOTE do not capture any variables
fn f(n: u64) -> u64 {
    n
}

fn main() {}
