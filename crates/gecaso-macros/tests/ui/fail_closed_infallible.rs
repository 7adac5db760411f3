//! A call that is to fail, of a function that cannot.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached(fail_closed)]
fn f(n: u32) -> u32 { //~ ERROR `fail_closed` needs a result that can say that the storage has
    //~^ NOTE expected a `Result` whose error is `From<gecaso::Error>`
    n
}

#[cached(fail_closed)]
fn g(n: u32) -> Result<u32, String> { //~ ERROR `fail_closed` needs a result that can say
    Ok(n)
}

fn main() {}
