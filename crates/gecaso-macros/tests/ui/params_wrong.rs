//! Extra parameters that are none.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached(params())] //~ ERROR `params` takes at least one name with its value
//~^ NOTE write `params(region = "eu")`
fn f(n: u32) -> u32 {
    n
}

#[cached(params(region))] //~ ERROR `params` takes names with their values
fn g(n: u32) -> u32 {
    n
}

#[cached(params(ttl = 5))] //~ ERROR `ttl` is a word of its own
//~^ NOTE write `ttl = 100` beside `params`
fn h(n: u32) -> u32 {
    n
}

#[cached(params(a = 1, a = 2))] //~ ERROR the parameter `a` is given twice
fn i(n: u32) -> u32 {
    n
}

#[cached(hash_key = "no")] //~ ERROR `hash_key` takes `true` or `false`
fn j(n: u32) -> u32 {
    n
}

fn main() {}
