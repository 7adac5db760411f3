//! A name that is no text.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached(name = users)] //~ ERROR `name` takes a text in quotes
//~^ NOTE write `name = "users"`
fn f(n: u32) -> u32 {
    n
}

fn main() {}
