//! A `&mut` inside of an argument: a hit would leave it as it was.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached]
fn fill((buffer, n): (&mut Vec<u8>, u8)) -> usize { //~ ERROR borrows inside of its type
    //~^ NOTE give it a name and add `skip(name)`
    buffer.push(n);
    buffer.len()
}

fn main() {}
