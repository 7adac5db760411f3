//! A derived key of a generic type holds only if its parameter is one.

#![allow(dead_code)]

use gecaso::{Key, KeyEncoder};

struct Connection;

#[derive(Key)]
struct Labelled<T> {
    label: String,
    value: T,
}

fn uses() {
    KeyEncoder::encoded(&Labelled { label: String::new(), value: 1 });
    KeyEncoder::encoded(&Labelled { label: String::new(), value: Connection });
    //~^ ERROR `Connection` cannot be part of a key outside of this process
}

fn main() {}
