//! Fields that cannot be part of a key: one error each, at the field's type.

#![allow(dead_code)]

use gecaso::Key;

struct Connection;
struct Socket;

#[derive(Key)]
struct Request {
    path: String,
    conn: Connection, //~ ERROR `Connection` cannot be part of a key outside of this process
    //~^ NOTE `#[derive(gecaso::Key)]`
    all: Vec<Socket>, //~ ERROR `Socket` cannot be part of a key outside of this process
}

#[derive(Key)]
enum Origin {
    Nowhere,
    Somewhere(
        u32,
        Option<Connection>, //~ ERROR `Connection` cannot be part of a key outside of this process
    ),
}

fn main() {}
