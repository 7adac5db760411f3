//! Results that cannot be handed out twice.

#![allow(dead_code, unused_variables)]

use gecaso::cached;

struct Socket;

#[cached]
fn f(n: u32) -> Socket { //~ ERROR a result of type `Socket` cannot be cached
    //~^ NOTE derive `Clone`, or return `Arc<Socket>`
    Socket
}

#[cached]
async fn g(n: u32) -> Result<std::rc::Rc<u32>, String> { //~ ERROR a result of type `Rc<u32>` cannot
    Ok(std::rc::Rc::new(n))
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct S;

impl S {
    #[cached]
    fn m(&self, n: u32) -> Option<Socket> { //~ ERROR a result of type `Socket` cannot be cached
        None
    }
}

fn uses() {
    f::clear();
    f(1);
}

fn main() {}
