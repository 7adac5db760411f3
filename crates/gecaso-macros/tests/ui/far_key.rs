//! An argument that cannot be part of a key outside of the process.

#![allow(dead_code, unused_variables)]

use gecaso::{Params, Result, Storage, cached};

struct Elsewhere;

impl Storage for Elsewhere {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }
    async fn set(&self, key: &str, value: &[u8], params: &Params) -> Result<()> {
        Ok(())
    }
    async fn remove(&self, keys: &[&str]) -> Result<()> {
        Ok(())
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Report(String);

#[cached(Elsewhere)] //~ ERROR `Report` cannot be part of a key outside of this
fn f(n: Report) -> usize {
    n.0.len()
}

fn main() {}
