//! A type with a lifetime.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

struct View<'a>(&'a str);

#[cached]
fn f(view: View<'_>, n: u32) -> usize { //~ ERROR argument `view` borrows inside of its type
    //~^ NOTE add `skip(view)`
    view.0.len()
}

#[cached]
fn g<'a>(view: &View<'a>) -> usize { //~ ERROR argument `view` borrows inside of its type
    view.0.len()
}

fn main() {}
