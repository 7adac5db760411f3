//! Attributes of a derived key: there are none, since each would merge keys.

#![allow(dead_code)]

use gecaso::Key;

#[derive(Key)]
struct Request {
    path: String,
    #[key(skip)] //~ ERROR `#[derive(Key)]` has no attributes: a field that is left out would give
    //~^ NOTE leave it out of the type, pass the argument with `skip`, or implement `Key` by hand
    id: u64,
}

#[derive(Key)]
#[key(name = "other")] //~ ERROR `#[derive(Key)]` has no attributes
enum Shape {
    #[key(skip)] //~ ERROR `#[derive(Key)]` has no attributes
    Nothing,
    Circle(#[key(skip)] u32), //~ ERROR `#[derive(Key)]` has no attributes
}

fn main() {}
