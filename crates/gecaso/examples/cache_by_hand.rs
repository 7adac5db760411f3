//! Everything that the attribute does, with a `Cache` that is held and passed around.

use gecaso::{Cache, MemoryStorage};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// A client that owns its cache: it goes when the client goes.
struct Client {
    users: Cache<u64, Arc<str>>,
    queries: AtomicU32,
}

impl Client {
    fn new() -> Self {
        let users = Cache::builder()
            .storage(MemoryStorage::bounded(1_000))
            .ttl(Duration::from_secs(60))
            .name("users")
            .build();
        Client { users, queries: AtomicU32::new(0) }
    }

    fn query(&self, id: u64) -> Arc<str> {
        self.queries.fetch_add(1, Relaxed);
        format!("user {id}").into()
    }

    fn user(&self, id: u64) -> Arc<str> {
        self.users.get_with(&id, || self.query(id))
    }

    async fn user_async(&self, id: u64) -> Arc<str> {
        self.users.get_with_async(&id, async { self.query(id) }).await
    }
}

fn main() {
    let client = Client::new();
    // Eight threads, one body: values in an `Arc` are shared and never copied.
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| assert_eq!(&*client.user(7), "user 7"));
        }
    });
    assert_eq!(client.queries.load(Relaxed), 1);
    assert_eq!(&*pollster::block_on(client.user_async(7)), "user 7");
    assert_eq!(client.queries.load(Relaxed), 1);

    // Keys are looked up as they can be borrowed, as in a `HashMap`.
    let ports: Cache<String, u16> = Cache::new(MemoryStorage::default());
    let port = |text: &str| ports.try_get_with(text, || text.parse::<u16>());
    assert_eq!(port("80"), Ok(80));
    assert!(port("http").is_err()); // an error is never stored
    assert_eq!(ports.stats().entries, 1);

    ports.insert("https".into(), 443);
    assert_eq!((ports.get("https"), ports.peek("gopher")), (Some(443), None));
    assert_eq!(ports.refresh("https", || 8443), 8443);
    ports.invalidate("https");
    ports.clear();
    assert_eq!(ports.stats().entries, 0);
    println!("{:?}", client.users);
}
