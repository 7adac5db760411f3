//! What the calls are about: the keys, in the order in which they are asked for, and the bodies.
//!
//! Used by the rows and by every peer. Knows no peer and no clock.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A bijective mixer: numbers look random, so nobody gains from an identity hash.
#[inline]
pub(crate) fn mix(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A seeded stream of numbers: every run asks for the same keys.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Rng(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// Between 0 and 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, (self.next() % (i as u64 + 1)) as usize);
        }
    }
}

/// Keys in the order in which they are asked for. Both forms lie in memory in that order, so that
/// reading the caller's own key is prefetched and costs every peer the same.
pub(crate) struct Keys {
    pub(crate) ids: Vec<u64>,
    /// The same keys as text of `TEXT` bytes each, one after the other; empty if no row wants it.
    text: String,
}

/// Bytes of a key in text form.
const TEXT: usize = 32;

/// The key in text form.
pub(crate) fn text_of(id: u64) -> String {
    format!("user:profile:v2:{id:016x}")
}

impl Keys {
    fn new(ids: Vec<u64>, with_text: bool) -> Self {
        let mut text = String::new();
        if with_text {
            ids.iter().for_each(|&id| text.push_str(&text_of(id)));
        }
        Keys { ids, text }
    }

    /// `n` different keys, drawn uniformly.
    pub(crate) fn uniform(n: usize, with_text: bool) -> Self {
        let mut rng = Rng::new(7);
        let ids = (0..1 << 16).map(|_| mix(rng.next() % n as u64)).collect();
        Self::new(ids, with_text)
    }

    /// `draws` of zipf(`theta`) over `n` keys.
    pub(crate) fn zipf(n: usize, draws: usize, theta: f64) -> Self {
        let mut sum = 0.0;
        let cumulated: Vec<f64> = (1..=n)
            .map(|rank| {
                sum += 1.0 / (rank as f64).powf(theta);
                sum
            })
            .collect();
        let mut rng = Rng::new(11);
        let ids = (0..draws)
            .map(|_| {
                let at = rng.unit() * sum;
                mix(cumulated.partition_point(|c| *c < at).min(n - 1) as u64)
            })
            .collect();
        Self::new(ids, false)
    }

    #[inline]
    pub(crate) fn text(&self, at: usize) -> &str {
        &self.text[at * TEXT..(at + 1) * TEXT]
    }
}

thread_local! {
    static BODIES: Cell<u64> = const { Cell::new(0) };
}

/// Bodies run by this thread so far.
pub(crate) fn bodies() -> u64 {
    BODIES.get()
}

fn count() {
    BODIES.set(BODIES.get() + 1);
}

/// The error of `body_h`.
#[derive(Clone, Debug)]
pub(crate) struct Failed;

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("failed")
    }
}

impl std::error::Error for Failed {}

#[inline(never)]
pub(crate) fn body_f(id: u64) -> u64 {
    count();
    id.wrapping_mul(3)
}

#[inline(never)]
pub(crate) fn body_g(s: &str) -> Arc<str> {
    count();
    Arc::from(s)
}

#[inline(never)]
pub(crate) fn body_h(a: &str, b: u32) -> Result<String, Failed> {
    count();
    if b == u32::MAX { Err(Failed) } else { Ok(a.to_owned()) }
}

/// How long the bodies of a stampede take.
const SLOW: Duration = Duration::from_millis(20);

/// Slow bodies run by all threads together.
pub(crate) static SLOW_BODIES: AtomicU64 = AtomicU64::new(0);

pub(crate) fn body_slow(id: u64) -> u64 {
    SLOW_BODIES.fetch_add(1, Relaxed);
    std::thread::sleep(SLOW);
    id
}

pub(crate) async fn body_slow_async(id: u64) -> u64 {
    SLOW_BODIES.fetch_add(1, Relaxed);
    tokio::time::sleep(SLOW).await;
    id
}
