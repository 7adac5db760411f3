//! A slip in a word; the handle stays.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached(tll = 100)] //~ ERROR does not know the word `tll`
//~^ NOTE did you mean `ttl`?
fn f(n: u32) -> u32 {
    n
}

fn uses() -> u32 {
    f::invalidate(1);
    f::clear();
    f::peek(1).unwrap_or(f(1)) + f::refresh(2) + f::uncached(3)
}

fn main() {}
