//! Results that borrow.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached]
fn f(text: &str) -> &str { //~ ERROR a result that borrows cannot be cached
    //~^ NOTE `String` for `&str`
    text
}

#[cached]
fn g<'a>(text: &'a str) -> Option<std::borrow::Cow<'a, str>> { //~ ERROR a result that borrows
    Some(text.into())
}

#[cached]
fn fine(n: u32) -> &'static str {
    "fine"
}

fn uses() {
    f::invalidate("a");
    f("a");
    fine(1);
}

fn main() {}
