//! The longest single step of a storage that grows to a million entries and loses them again: what
//! one insertion, one removal and a `clear` take at most. Rivals are not asked.
//!
//! Called by `main`. Times each step by the wall clock, so other processes show; the median of the
//! rounds is quoted, and the least beside it.

use crate::table::{Cell, Table};
use gecaso::{Cache, MemoryStorage};
use std::time::{Duration, Instant};

pub(crate) const GROUP: &str = "pauses";
const ENTRIES: u64 = 1_000_000;

fn scrambled(n: u64) -> u64 {
    (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Nanoseconds.
fn time<R>(act: impl FnOnce() -> R) -> f64 {
    let begun = Instant::now();
    let done = act();
    let took = begun.elapsed().as_nanos() as f64;
    drop(done);
    took
}

/// The longest insertion, the longest removal, and a `clear`.
fn round(cache: &Cache<u64, u64>) -> [f64; 3] {
    let longest =
        |step: &dyn Fn(u64)| (0..ENTRIES).map(|n| time(|| step(scrambled(n)))).fold(0.0, f64::max);
    let insertion = longest(&|key| drop(cache.insert(key, key)));
    let removal = longest(&|key| drop(cache.invalidate(&key)));
    (0..ENTRIES).for_each(|n| drop(cache.insert(scrambled(n), n)));
    [insertion, removal, time(|| cache.clear())]
}

pub(crate) fn table(rounds: usize) -> Table {
    let title = "the longest step of a storage that grows to a million entries, in ns".to_string();
    let mut table = Table::new(GROUP, title);
    table.columns.extend(["insertion", "removal", "clear"]);
    let builder = || Cache::builder().storage(MemoryStorage::unbounded());
    let rows = [
        ("MemoryStorage", builder().build()),
        ("MemoryStorage, ttl", builder().ttl(Duration::from_secs(3_600)).build()),
    ];
    for (name, cache) in rows {
        let figures: Vec<[f64; 3]> = (0..rounds.max(1)).map(|_| round(&cache)).collect();
        let cells = (0..3).map(|column| {
            let mut steps: Vec<f64> = figures.iter().map(|figures| figures[column]).collect();
            steps.sort_by(f64::total_cmp);
            let (value, min) = (steps[steps.len() / 2], steps[0]);
            Some(Cell { value, min, compared: false, note: String::new() })
        });
        table.rows.push((name, cells.collect()));
    }
    table
}
