//! A key that is a text: it is no template.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached(key = "{n}")] //~ ERROR `key` is the same for every call
//~^ NOTE a text alone is not filled in
fn f(n: u32) -> u32 {
    n
}

fn main() {}
