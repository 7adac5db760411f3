//! A result of a type that may be a `Result`.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached]
fn f<R: From<u32> + Clone + Send + Sync + 'static>(n: u32) -> R { //~ ERROR `R` may turn out to be
    //~^ NOTE add `cache_err`
    R::from(n)
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct S<T>(T);

impl<T: Clone + Eq + std::hash::Hash + Send + Sync + 'static> S<T> {
    #[cached]
    fn m(&self) -> T { //~ ERROR `T` may turn out to be a `Result`
        self.0.clone()
    }
}

fn main() {}
