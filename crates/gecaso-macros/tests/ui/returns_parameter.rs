//! A result of a type that may be a `Result`.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached]
fn f<R: From<u32> + Clone + Send + Sync + 'static>(n: u32) -> R { //~ ERROR `R` may turn out to be
    //~^ NOTE add `cache_err`
    R::from(n)
}

// The parameters of an `impl` cannot be seen from here: what they stand for is looked at when the
// cache is opened.
#[derive(Clone, PartialEq, Eq, Hash)]
struct S<T>(T);

impl<T: Clone + Eq + std::hash::Hash + Send + Sync + 'static> S<T> {
    #[cached]
    fn m(&self) -> T {
        self.0.clone()
    }
}

fn main() {}
