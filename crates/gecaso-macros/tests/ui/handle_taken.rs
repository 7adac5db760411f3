//! The name of the handle belongs to a module already.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

mod f {}

#[cached]
//~^ ERROR the name `f` is defined multiple times
//~^^ ERROR cannot find function `__gecaso_call` in module `f`
//~^^^ ERROR cannot find function `uncached` in module `f`
fn f(n: u32) -> u32 { //~ ERROR expected type, found module `f`
    n
}

mod g {}

#[cached(handle = g_cache)]
fn g(n: u32) -> u32 {
    n
}

fn uses() {
    g_cache::invalidate(g(1));
}

fn main() {}
