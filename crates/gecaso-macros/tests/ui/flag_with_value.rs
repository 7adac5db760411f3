//! A flag with a value.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached(cache_err = true)] //~ ERROR `cache_err` is written differently
//~^ NOTE write `cache_err`
fn f(n: u32) -> Result<u32, ()> {
    Ok(n)
}

fn main() {}
