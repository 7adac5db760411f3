//! A union: nobody can tell which field holds.

#![allow(dead_code)]

use gecaso::Key;

#[derive(Key)]
union Either { //~ ERROR a `union` cannot be part of a key
    //~^ NOTE use an `enum`
    number: u32,
    float: f32,
}

fn main() {}
