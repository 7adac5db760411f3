//! A key that cannot be compared.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

struct Rough;

#[cached(key = (n, rough))]
fn f(n: u32, rough: &Rough) -> u32 { //~ ERROR argument `rough` cannot be part of a cache key
    //~^ NOTE make `key` of what can be compared
    n
}

#[cached(key = Some(Rough))] //~ ERROR `key = Some(Rough)` cannot be part of a cache key
//~^ NOTE make `key` of what can be compared
fn g(n: u32) -> u32 {
    n
}

fn main() {}
