//! Every broken rule has its message.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached(skip(nobody))] //~ ERROR the function has no argument `nobody` to skip
const fn f(log: &mut Vec<u32>) -> &str {
    //~^ ERROR a `const fn` cannot be cached
    //~^^ ERROR argument `log` is `&mut`
    //~^^^ ERROR a result that borrows cannot be cached
    ""
}

fn main() {}
