//! A storage of one's own in Redis (or Valkey): the three methods, and nothing else.
//!
//! Used by the example and the tests beside it. `server` starts a real server for them.

pub mod server;

use gecaso::{Params, Result, Storage};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisResult, cmd};
use std::sync::OnceLock;
use std::time::Duration;

/// Keeps entries in a Redis server, over one connection that all operations share.
///
/// The connection belongs to the runtime of whoever comes first. Synchronous callers bring gecaso's
/// own (feature `tokio`), which never ends. With that of an asynchronous caller it ends, and the
/// next operation but one has another.
///
/// # Panics
///
/// An operation that is awaited outside of tokio panics, which gecaso counts as a failure.
#[derive(Debug)]
pub struct RedisStorage {
    client: Client,
    /// Made by the first operation: it belongs to the runtime that it is made in.
    connection: OnceLock<ConnectionManager>,
}

impl RedisStorage {
    /// A storage in the server at `redis://host:port/`. Does not connect yet.
    ///
    /// # Errors
    ///
    /// If that is no URL of a Redis server.
    pub fn new(url: &str) -> RedisResult<Self> {
        Ok(RedisStorage { client: Client::open(url)?, connection: OnceLock::new() })
    }

    fn connection(&self) -> RedisResult<ConnectionManager> {
        if let Some(connection) = self.connection.get() {
            return Ok(connection.clone());
        }
        // One try at a time: when to try again is gecaso's business.
        let config = ConnectionManagerConfig::new().set_number_of_retries(0);
        let connection = ConnectionManager::new_lazy_with_config(self.client.clone(), config)?;
        Ok(self.connection.get_or_init(|| connection).clone())
    }
}

impl Storage for RedisStorage {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(cmd("GET").arg(key).query_async(&mut self.connection()?).await?)
    }

    async fn set(&self, key: &str, value: &[u8], params: &Params) -> Result<()> {
        let mut set = cmd("SET");
        set.arg(key).arg(value);
        if let Some(lifetime) = params.ttl().and_then(milliseconds) {
            set.arg("PX").arg(lifetime);
        }
        Ok(set.exec_async(&mut self.connection()?).await?)
    }

    async fn remove(&self, keys: &[&str]) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        Ok(cmd("UNLINK").arg(keys).exec_async(&mut self.connection()?).await?)
    }
}

/// Rounded up: an entry must not end before its time. `None`: longer than Redis can count.
fn milliseconds(lifetime: Duration) -> Option<u64> {
    const CENTURY: u128 = 100 * 365 * 24 * 60 * 60 * 1_000;
    let whole = lifetime.as_nanos().div_ceil(1_000_000).max(1);
    u64::try_from(whole).ok().filter(|_| whole < CENTURY)
}
