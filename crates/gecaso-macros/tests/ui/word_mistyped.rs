//! A slip in a word; the handle stays.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached(tll = 100)] //~ ERROR does not know the word `tll`
//~^ NOTE did you mean `ttl`?
fn f(n: u32) -> u32 {
    n
}

#[cached(tll = 100)] //~ ERROR does not know the word `tll`
fn g<T: Clone + Send + Sync + 'static>(n: u32) -> Result<String, T> {
    Ok(n.to_string())
}

fn uses() -> u32 {
    f::invalidate(1);
    f::clear();
    f::insert_with_ttl(1, 2, std::time::Duration::ZERO);
    f::with(1, |n| n.count_ones());
    g::with::<u8, _>(1, |text| text.len());
    f::peek(1).unwrap_or(f(1)) + f::refresh(2) + f::uncached(3)
}

fn main() {}
