//! What `with` shows is what is stored; where a generic signature misleads about that, it says so.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached]
fn f(n: u32) -> std::io::Result<String> {
    Ok(n.to_string())
}

#[derive(Clone)]
struct Result<T>(T);

#[cached]
fn g<T: Clone + Send + Sync + Default + 'static>(n: u32) -> Result<T> {
    Result(T::default())
}

fn uses() {
    f::with(1, |text| text.len());
    f::with(1, |result| result.is_ok()); //~ ERROR no method named `is_ok` found for reference `&String`
    g::<u8>(1);
    g::insert::<u8>(1, Result(2));
    g::with::<u8, _>(1, |result| ()); //~ ERROR `Result<u8>` is no `Result` and no `Option`
    //~^ NOTE use `peek`
}

fn main() {}
