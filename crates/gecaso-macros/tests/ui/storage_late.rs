//! A storage behind a word.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached(ttl = 5, gecaso::LruStorage::new(16))] //~ ERROR the storage comes first
//~^ NOTE #[cached(LruStorage::new(16), ttl = 100)]
fn f(n: u32) -> u32 {
    n
}

fn main() {}
