//! Arguments that are to be changed.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

#[cached]
fn f(log: &mut Vec<u32>, n: u32) -> u32 { //~ ERROR argument `log` is `&mut`
    //~^ NOTE skip(log)
    log.push(n);
    n
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct S(u32);

impl S {
    #[cached]
    fn m(&mut self) -> u32 { //~ ERROR `self` is `&mut`
        //~^ NOTE skip(self)
        self.0 += 1;
        self.0
    }
}

fn uses() -> u32 {
    f::invalidate(&mut Vec::new(), 1);
    f(&mut Vec::new(), 1)
}

fn main() {}
