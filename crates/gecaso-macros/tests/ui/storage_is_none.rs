//! A storage expression that is no storage.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached(16)] //~ ERROR `{integer}` is not a storage
//~^ NOTE LruStorage::new(128)
fn f(n: u32) -> u32 {
    n
}

fn main() {}
