//! What a storage is to be told, written as if it were a word.

#![allow(dead_code, unused_variables)]

use gecaso::{LruStorage, cached};

#[cached(LruStorage::new(9), region = "eu")] //~ ERROR does not know the word `region`
//~^ NOTE told is `params(region = ..)`
fn f(n: u32) -> u32 {
    n
}

fn main() {}
