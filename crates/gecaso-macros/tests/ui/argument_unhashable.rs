//! Arguments that cannot be compared: one error each, whoever uses the handle.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

struct Connection;

#[cached]
fn f(conn: &Connection, n: u32) -> u32 { //~ ERROR argument `conn` cannot be part of a cache key
    //~^ NOTE add `skip(conn)` or `key = ..`
    n
}

#[cached]
async fn g(
    first: Connection, //~ ERROR argument `first` cannot be part of a cache key
    second: &dyn Fn(u32), //~ ERROR argument `second` cannot be part of a cache key
    third: Vec<Connection>, //~ ERROR argument `third` cannot be part of a cache key
    fourth: (u32, Option<&Connection>), //~ ERROR argument `fourth` cannot be part of a cache key
) -> Result<u32, String> {
    Ok(1)
}

fn uses() {
    f::invalidate(&Connection, 1);
    f::peek(&Connection, 1);
    f(&Connection, 1);
}

fn main() {}
