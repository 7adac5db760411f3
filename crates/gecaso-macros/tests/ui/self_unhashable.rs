//! A receiver that cannot be compared.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

struct Service;

impl Service {
    #[cached]
    fn load(&self, n: u32) -> u32 { //~ ERROR argument `self` cannot be part of a cache key
        //~^ NOTE add `skip(self)` or `key = ..`
        n
    }

    #[cached]
    async fn load_async(&self, n: u32) -> u32 { //~ ERROR argument `self` cannot be part of
        n
    }
}

fn uses() -> u32 {
    Service.load(1)
}

fn main() {}
