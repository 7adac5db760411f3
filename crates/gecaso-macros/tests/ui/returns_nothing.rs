//! Functions that return nothing.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached]
fn f(n: u32) {} //~ ERROR `f` returns nothing that could be cached
//~^ NOTE return a value

#[cached]
async fn g(n: u32) -> () {} //~ ERROR `g` returns nothing that could be cached

#[cached]
fn fine(n: u32) -> Result<(), String> {
    Ok(())
}

fn main() {}
