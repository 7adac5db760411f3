//! A weigher that gives no weight, one that captures an argument, and what others call it.

#![allow(dead_code, unused_variables)]

use gecaso::{LruStorage, cached};

#[cached(LruStorage::weighted(100), weigher = |text: &String| text.len() as u64)] //~ ERROR mismatched types
//~^ NOTE expected `usize`, found `u64`
fn f(n: u64) -> String {
    n.to_string()
}

#[cached(LruStorage::weighted(100), weigher = |text: &String| n)] //~ ERROR mismatched types
//~^ NOTE do not capture any variables
fn g(n: usize) -> String {
    n.to_string()
}

#[cached(LruStorage::new(100), weight = 5)] //~ ERROR does not know the word `weight`
//~^ NOTE use `weigher = |value| ..`
fn h(n: usize) -> String {
    n.to_string()
}

#[cached(max_weight = 5)] //~ ERROR does not know the word `max_weight`
//~^ NOTE the storage has the bound
fn i(n: usize) -> String {
    n.to_string()
}

#[cached(on_removal = |key, value, cause| ())] //~ ERROR does not know the word `on_removal`
//~^ NOTE by hand
fn j(n: usize) -> String {
    n.to_string()
}

fn main() {}
