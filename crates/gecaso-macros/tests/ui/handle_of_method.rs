//! A method cannot choose the name of a handle.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[derive(Clone, PartialEq, Eq, Hash)]
struct S;

impl S {
    #[cached(handle = other)] //~ ERROR a method has no handle of its own name
    //~^ NOTE use `gecaso::handle(Type::method)`
    fn m(&self) -> u32 {
        1
    }
}

fn main() {}
