//! Lifetimes of the wrong kind.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached(ttl = 1.5)] //~ ERROR `ttl` takes whole seconds or text
//~^ NOTE ttl = "1500ms"
fn f(n: u32) -> u32 {
    n
}

#[cached(ttl = -1)] //~ ERROR `ttl` cannot be negative
fn g(n: u32) -> u32 {
    n
}

#[cached(ttl = 10s)] //~ ERROR `ttl` wants its unit in quotes
//~^ NOTE ttl = "10s"
fn h(n: u32) -> u32 {
    n
}

fn main() {}
