//! Results whose type has no name.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached]
fn f(n: u32) -> impl Iterator<Item = u32> { //~ ERROR a result of type `impl Trait` cannot be cached
    //~^ NOTE name the type
    0..n
}

fn uses() {
    f::clear();
    f(1);
}

fn main() {}
