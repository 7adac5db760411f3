//! A type without a `Key` where one is needed.

#![allow(dead_code)]

use gecaso::KeyEncoder;

struct Connection;

fn uses(conn: &Connection, several: &[(u32, Connection)]) {
    KeyEncoder::encoded(conn); //~ ERROR `Connection` cannot be part of a key outside of this
    //~^ NOTE a far storage finds its entries by the bytes of the key, and needs `gecaso::Key`
    //~^^ NOTE for a type of your own: `#[derive(gecaso::Key)]`
    KeyEncoder::encoded(several); //~ ERROR `Connection` cannot be part of a key outside of this
    KeyEncoder::encoded(&std::time::Instant::now()); //~ ERROR `Instant` cannot be part of a key
}

fn main() {}
