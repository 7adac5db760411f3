//! A word that resembles none.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached(banana = 1)] //~ ERROR does not know the word `banana`
//~^ NOTE the words are `ttl`, `tti`
//~^^ NOTE told is `params(banana = ..)`
fn f(n: u32) -> u32 {
    n
}

fn main() {}
