//! A storage made from an argument: it is made once, for all calls.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached(gecaso::LruStorage::new(n))] //~ ERROR mismatched types
//~^ NOTE do not capture any variables
fn f(n: usize) -> usize {
    n
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct S;

impl S {
    #[cached(gecaso::LruStorage::new(n))] //~ ERROR mismatched types
    //~^ NOTE do not capture any variables
    fn m(&self, n: usize) -> usize {
        n
    }
}

fn main() {}
