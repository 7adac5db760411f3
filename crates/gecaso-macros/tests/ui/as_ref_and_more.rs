//! An `impl AsRef` that the body may ask for more than its `as_ref()`.

#![allow(dead_code, unused_variables)]

use gecaso::cached;
use std::fmt::Display;

#[cached]
fn show(x: impl AsRef<str> + Display) -> String { //~ ERROR argument `x` cannot be part of a cache key
    //~^ NOTE add `skip(x)` or `key = ..`
    format!("<{x}>")
}

fn main() {}
