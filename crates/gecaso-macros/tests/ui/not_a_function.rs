//! The attribute where it means nothing.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached]
struct S; //~ ERROR `#[cached]` belongs on a function, not on a `struct`
//~^ NOTE put it on the function whose results

#[cached]
impl S { //~ ERROR `#[cached]` belongs on a function, not on a `impl`
    //~^ NOTE put it on the functions inside
    fn m(&self) -> u32 {
        1
    }
}

#[cached]
pub trait T { //~ ERROR `#[cached]` belongs on a function, not on a `trait`
    #[cached]
    fn declared(&self) -> u32; //~ ERROR a declaration has no body
}

#[cached]
const N: u32 = 1; //~ ERROR `#[cached]` belongs on a function, not on a `const`

fn uses() -> u32 {
    S.m() + N
}

fn main() {}
