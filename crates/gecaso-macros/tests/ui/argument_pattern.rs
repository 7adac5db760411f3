//! A pattern that cannot be compared.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

struct Point {
    x: u32,
}

#[cached]
fn f(Point { x }: Point) -> u32 { //~ ERROR argument `Point { x }` cannot be part of a cache key
    //~^ NOTE give it a name and add `skip(name)` or `key = ..`
    x
}

fn main() {}
