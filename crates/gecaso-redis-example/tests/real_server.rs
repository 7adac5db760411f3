//! The Redis storage against a real server: one that answers, one that is killed, stalled, emptied,
//! and one in which somebody else writes.

use gecaso::testing::check_storage_async;
use gecaso::{Cache, Far, Params, Storage};
use gecaso_redis_example::{RedisStorage, server::Server};
use redis::{Client, FromRedisValue, cmd};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

const DEADLINE: Duration = Duration::from_millis(100);
/// What a busy machine may add to a deadline.
const SLACK: Duration = Duration::from_millis(400);

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn far(server: &Server) -> Far {
    Far::new(RedisStorage::new(&server.url()).unwrap()).deadline(DEADLINE).on_trouble(|_| {})
}

fn cache(far: &Far) -> Cache<u64, String> {
    Cache::builder().storage(far.clone()).name("sleepers").build()
}

/// What the functions of these tests return.
fn slept(seconds: u64) -> String {
    format!("I have slept for {seconds} second(s)!")
}

/// One command, over a connection of its own.
fn ask<T: FromRedisValue>(server: &Server, words: &[&[u8]]) -> T {
    let mut connection = Client::open(server.url()).unwrap().get_connection().unwrap();
    let mut command = cmd(std::str::from_utf8(words[0]).unwrap());
    for word in &words[1..] {
        command.arg(word);
    }
    command.query(&mut connection).unwrap()
}

/// The keys of results; gecaso keeps a record of its own beside them.
fn keys(server: &Server) -> Vec<String> {
    let all: Vec<String> = ask(server, &[b"KEYS", b"*"]);
    all.into_iter().filter(|key| key.len() == 65).collect()
}

/// Calls until a call is a hit, and says how long that took.
fn until_hits(cache: &Cache<u64, String>) -> Duration {
    let begun = Instant::now();
    loop {
        let hits = cache.stats().far.hits;
        assert_eq!(cache.get_with(&1, || slept(1)), slept(1));
        if cache.stats().far.hits > hits {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", cache.stats().far);
    }
}

#[test]
fn the_storage_keeps_every_promise_of_the_conformance_suite() {
    let server = Server::start();
    let storage = RedisStorage::new(&server.url()).unwrap();
    runtime().block_on(check_storage_async(&storage));
    assert_eq!(ask::<usize>(&server, &[b"DBSIZE"]), 0);
}

#[test]
fn a_lifetime_is_kept_by_the_server_and_none_if_there_is_none() {
    let server = Server::start();
    let storage = RedisStorage::new(&server.url()).unwrap();
    let left = |key: &str| ask::<i64>(&server, &[b"PTTL", key.as_bytes()]);
    runtime().block_on(async {
        let nanos = |nanos| Params::new().with_ttl(Duration::from_nanos(nanos));
        storage.set("forever", b"1", &Params::new()).await.unwrap();
        storage.set("minute", b"2", &nanos(60_000_000_000)).await.unwrap();
        storage.set("eternity", b"3", &Params::new().with_ttl(Duration::MAX)).await.unwrap();
        assert_eq!((left("forever"), left("eternity")), (-1, -1));
        assert!((59_000..=60_000).contains(&left("minute")), "{}", left("minute"));
        storage.set("minute", b"4", &Params::new()).await.unwrap();
        assert_eq!(left("minute"), -1, "a set without a lifetime takes the old one away");
        assert_eq!(storage.get("minute").await.unwrap().as_deref(), Some(&b"4"[..]));

        // Rounded up to the millisecond, so that nothing ends before its time.
        storage.set("short", b"5", &nanos(1)).await.unwrap();
        while storage.get("short").await.unwrap().is_some() {
            tokio::task::yield_now().await;
        }
        storage.remove(&["minute", "not there", "forever"]).await.unwrap();
        storage.remove(&[]).await.unwrap();
    });
    assert_eq!(ask::<Vec<String>>(&server, &[b"KEYS", b"*"]), ["eternity"]);
}

#[test]
fn callers_of_every_kind_share_what_is_in_the_server() {
    let server = Server::start();
    let cache = cache(&far(&server));
    let hit = || unreachable!("it is there");
    assert_eq!(cache.get_with(&1, || slept(1)), slept(1), "outside of any runtime");
    assert_eq!(cache.get_with(&1, hit), slept(1));
    for runtime in [runtime(), one_thread()] {
        runtime.block_on(async {
            assert_eq!(cache.get_with(&1, hit), slept(1));
            assert_eq!(cache.get_with_async(&1, async { hit() }).await, slept(1));
        });
    }
    assert_eq!((cache.stats().loads, keys(&server).len()), (1, 1));

    // As another process would.
    let other = self::cache(&far(&server));
    assert_eq!(other.get_with(&1, hit), slept(1));
    other.invalidate(&1).wait().unwrap();
    assert_eq!((cache.get(&1), keys(&server).len()), (None, 0));
}

#[test]
fn a_thousand_tasks_that_miss_cost_one_look_and_one_body() {
    let server = Server::start();
    let cache = Arc::new(cache(&far(&server)));
    runtime().block_on(async {
        let call = |cache: Arc<Cache<u64, String>>| async move {
            let body = async {
                tokio::task::yield_now().await;
                slept(1)
            };
            assert_eq!(cache.get_with_async(&1, body).await, slept(1));
        };
        let tasks: Vec<_> = (0..1_000).map(|_| tokio::spawn(call(cache.clone()))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let stats = cache.stats();
    // Who comes when the body has landed finds it in the server.
    assert_eq!((stats.loads, stats.far.misses, stats.far.sets), (1, 1, 2), "and the epoch's");
}

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// The first caller makes the connection. Its runtime is blocked by that very call, and ends before
/// the storage does.
#[test]
fn a_connection_that_a_synchronous_caller_has_made_outlives_its_runtime() {
    for make in [runtime, one_thread] {
        let server = Server::start();
        let cache = cache(&far(&server));
        make().block_on(async { assert_eq!(cache.get_with(&1, || slept(1)), slept(1)) });
        let hit = || unreachable!("it is there");
        assert_eq!(cache.get_with(&1, hit), slept(1));
        make().block_on(async {
            assert_eq!(cache.get_with(&1, hit), slept(1));
            assert_eq!(cache.get_with_async(&1, async { hit() }).await, slept(1));
        });
        let far = cache.stats().far;
        assert_eq!((far.timeouts, far.errors), (0, 0), "{far:?}");
    }
}

/// A connection that an asynchronous caller has made ends with its runtime: that is an error, and
/// another one is made.
#[test]
fn a_connection_that_an_asynchronous_caller_has_made_is_made_anew() {
    for make in [runtime, one_thread] {
        let server = Server::start();
        let cache = cache(&far(&server));
        for n in 0..3 {
            make().block_on(async {
                assert_eq!(cache.get_with_async(&n, async { slept(n) }).await, slept(n));
            });
        }
        assert!(until_hits(&cache) < Duration::from_secs(1));
    }
}

#[test]
fn a_server_that_is_killed_costs_a_bounded_delay_and_hits_are_back_a_second_after_it_is() {
    let mut server = Server::start();
    let cache = cache(&far(&server));
    until_hits(&cache);
    server.kill();
    for n in 0..50 {
        let begun = Instant::now();
        assert_eq!(cache.get_with(&n, || slept(n)), slept(n));
        assert!(begun.elapsed() < DEADLINE + SLACK, "call {n} took {:?}", begun.elapsed());
    }
    let far = cache.stats().far;
    assert!(far.errors >= 5 && far.skipped > 0, "{far:?}");
    server.restart();
    let back = until_hits(&cache);
    println!("hits again {back:?} after the server was back");
    assert!(back < Duration::from_secs(1), "{back:?}");
}

#[test]
fn a_server_that_stalls_costs_no_call_more_than_the_deadline() {
    let server = Server::start();
    let cache = cache(&far(&server));
    until_hits(&cache);
    server.stall();
    let begun = Instant::now();
    for n in 0..50 {
        let begun = Instant::now();
        assert_eq!(cache.get_with(&n, || slept(n)), slept(n));
        assert!(begun.elapsed() < DEADLINE + SLACK, "call {n} took {:?}", begun.elapsed());
    }
    let all = begun.elapsed();
    println!("50 calls of a stalled server took {all:?}");
    assert!(all < DEADLINE * 10 + SLACK, "it is left alone after some calls: {all:?}");
    assert!(cache.stats().far.timeouts >= 5, "{:?}", cache.stats().far);
    server.go_on();
    let back = until_hits(&cache);
    println!("hits again {back:?} after the server went on");
    assert!(back < Duration::from_secs(1), "{back:?}");
}

#[test]
fn a_server_that_is_emptied_is_filled_again() {
    let server = Server::start();
    let cache = cache(&far(&server));
    until_hits(&cache);
    assert_eq!(ask::<String>(&server, &[b"FLUSHALL"]), "OK");
    let loads = cache.stats().loads;
    assert_eq!(cache.get_with(&1, || slept(1)), slept(1));
    assert_eq!(cache.get_with(&1, || unreachable!("a hit")), slept(1));
    assert_eq!((cache.stats().loads, keys(&server).len()), (loads + 1, 1));
}

#[test]
fn what_somebody_else_has_put_at_our_key_is_a_miss() {
    let server = Server::start();
    let cache = cache(&far(&server));
    until_hits(&cache);
    let key = keys(&server).pop().unwrap();
    let key = key.as_bytes();
    let entry: Vec<u8> = ask(&server, &[b"GET", key]);
    let damage: [&[&[u8]]; 6] = [
        &[b"RPUSH", key, b"a", b"list"],
        &[b"HSET", key, b"a", b"hash"],
        &[b"SET", key, b"text"],
        &[b"SET", key, b""],
        &[b"SET", key, &entry[1..]],
        &[b"SET", key, &entry[..entry.len() - 1]],
    ];
    for words in damage {
        let _: i64 = ask(&server, &[b"DEL", key]);
        let _: redis::Value = ask(&server, words);
        let loads = cache.stats().loads;
        assert_eq!(cache.get_with(&1, || slept(1)), slept(1));
        assert_eq!(cache.get_with(&1, || unreachable!("it was replaced")), slept(1), "{words:?}");
        assert_eq!(cache.stats().loads, loads + 1);
    }
    let far = cache.stats().far;
    assert_eq!((far.errors, far.foreign, far.corrupt), (2, 3, 1), "{far:?}");
}

#[test]
fn the_server_ends_with_whoever_started_it_also_by_a_panic() {
    let is_there = |port: &str| {
        let address: SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();
        TcpStream::connect(address).is_ok()
    };
    let panicked = std::panic::catch_unwind(|| {
        let server = Server::start();
        let url = server.url();
        let port = url.trim_end_matches('/').rsplit(':').next().unwrap().to_owned();
        assert!(is_there(&port));
        std::panic::panic_any(port);
    });
    let port = panicked.unwrap_err().downcast::<String>().unwrap();
    assert!(!is_there(&port));
}
