//! Every wrong word is reported, not only the first.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached(tll = 100, verison = 3)]
//~^ ERROR does not know the word `tll`
//~^^ ERROR does not know the word `verison`
fn f(n: u32) -> u32 {
    n
}

fn main() {}
