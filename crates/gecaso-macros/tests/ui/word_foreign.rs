//! A word of another cache.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached(max_size = 100)] //~ ERROR does not know the word `max_size`
//~^ NOTE #[cached(LruStorage::new(128))]
fn f(n: u32) -> u32 {
    n
}

fn main() {}
