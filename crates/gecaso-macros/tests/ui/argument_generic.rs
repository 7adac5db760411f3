//! A type parameter that is not said to be hashable.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached]
fn f<T: ToString>(value: T) -> String { //~ ERROR argument `value` cannot be part of a cache key
    //~^ NOTE add `skip(value)` or `key = ..`
    value.to_string()
}

fn main() {}
