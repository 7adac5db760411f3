//! What is measured: groups of columns, each a task over some keys by some threads.
//!
//! Called by `main`. Fills the peers' storages, has the harness time them, hands over tables.

use crate::harness::{Effort, Figure, Lane, Pool, interleave, ranked};
use crate::peers::{Peer, SlowTask, TIGHT, Task, bodies_of};
use crate::table::{Cell, Table};
use crate::work::{Keys, Rng, SLOW_BODIES, mix};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

/// Which keys a column asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    One,
    Thousand,
    /// Never asked before.
    Fresh,
    /// zipf(0.99) over a million.
    Zipf,
}

struct Group {
    name: &'static str,
    title: &'static str,
    task: Task,
    columns: &'static [(&'static str, Asked, usize)],
}

const HITS: &[(&str, Asked, usize)] =
    &[("1k keys, 1t", Asked::Thousand, 1), ("1k keys, 2t", Asked::Thousand, 2)];
const FRESH: &[(&str, Asked, usize)] =
    &[("1 thread", Asked::Fresh, 1), ("2 threads", Asked::Fresh, 2)];

const GROUPS: &[Group] = &[
    Group {
        name: "hit-f",
        title: "hit of a memoized f(u64) -> u64",
        task: Task::F,
        columns: &[("1 key, 1t", Asked::One, 1), ("1 key, 2t", Asked::One, 2), HITS[0], HITS[1]],
    },
    Group {
        name: "hit-g",
        title: "hit of a memoized g(&str) -> Arc<str>",
        task: Task::G,
        columns: HITS,
    },
    Group {
        name: "hit-h",
        title: "hit of a memoized h(&str, u32) -> Result<String, E>",
        task: Task::H,
        columns: HITS,
    },
    Group {
        name: "hit-async",
        title: "hit of a memoized async f(u64) -> u64, one poll",
        task: Task::AsyncF,
        columns: HITS,
    },
    Group {
        name: "hit-ttl",
        title: "hit of f with a lifetime of an hour",
        task: Task::Ttl,
        columns: HITS,
    },
    Group {
        name: "hit-lru",
        title: "hit of f in least-recently-used order",
        task: Task::Lru,
        columns: HITS,
    },
    Group {
        name: "miss",
        title: "miss of f: new keys, a body that returns at once, 100k places, all taken",
        task: Task::Miss,
        columns: FRESH,
    },
    Group {
        name: "insert",
        title: "insertion by hand: new keys, 100k places, all taken",
        task: Task::Insert,
        columns: FRESH,
    },
    Group {
        name: "mixed",
        title: "f over zipf(0.99) of 1M keys, 100k places (share of calls that ran the body)",
        task: Task::Mixed,
        columns: &[("1 thread", Asked::Zipf, 1), ("2 threads", Asked::Zipf, 2)],
    },
];

/// Threads, and tasks, that miss one key at once.
const STAMPEDE: [(&str, usize); 2] = [("64 threads", 64), ("1000 tasks", 1000)];

/// Names of all groups.
pub(crate) fn names() -> Vec<&'static str> {
    GROUPS.iter().map(|group| group.name).chain(["stampede"]).collect()
}

/// Measures the groups whose name contains `only`, and hands each table over as it is ready.
pub(crate) fn run(peers: &[Peer], only: &str, effort: Effort, mut show: impl FnMut(&Table)) {
    let pool = Pool::new(2);
    for group in GROUPS.iter().filter(|group| group.name.contains(only)) {
        show(&measure(group, peers, &pool, effort));
    }
    if "stampede".contains(only) {
        show(&stampede(peers, effort.rounds));
    }
}

/// The first of so many numbers that nobody has used as a key.
fn fresh(count: usize) -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1 << 40);
    NEXT.fetch_add(count, Relaxed)
}

fn measure(group: &Group, peers: &[Peer], pool: &Pool, effort: Effort) -> Table {
    let with_text = matches!(group.task, Task::G | Task::H);
    let peers: Vec<_> =
        peers.iter().filter_map(|peer| Some((peer, peer.slice(group.task)?))).collect();
    let mut table = Table::new(group.name, format!("{}, ns", group.title));
    table.rows = peers.iter().map(|(peer, _)| (peer.name, Vec::new())).collect();
    for (number, &(label, asked, threads)) in group.columns.iter().enumerate() {
        let keys = Arc::new(match asked {
            Asked::One => Keys::uniform(1, with_text),
            Asked::Thousand | Asked::Fresh => Keys::uniform(1000, with_text),
            Asked::Zipf => Keys::zipf(1_000_000, 1 << 20, 0.99),
        });
        if number == 0 || asked == Asked::Thousand {
            for (peer, slice) in &peers {
                let (slice, keys) = (slice.clone(), keys.clone());
                let fill = move |_| match asked {
                    Asked::Fresh => bodies_of(&slice, &keys, fresh(2 * TIGHT), 2 * TIGHT),
                    _ => bodies_of(&slice, &keys, 0, keys.ids.len()),
                };
                let fill = Arc::new(fill);
                for _ in 0..2 {
                    pool.run(1, fill.clone());
                    (peer.settle)();
                }
            }
        }
        let mut lanes: Vec<Lane<'_>> = peers
            .iter()
            .map(|(_, slice)| {
                let (slice, keys) = (slice.clone(), keys.clone());
                let mut from = 0;
                let run = move |calls: usize| {
                    let begin = match asked {
                        Asked::Fresh => fresh(threads * calls),
                        _ => from,
                    };
                    from = (from + calls) % keys.ids.len();
                    let (slice, keys) = (slice.clone(), keys.clone());
                    let share = move |thread: usize| {
                        let apart = if asked == Asked::Fresh { calls } else { keys.ids.len() / 2 };
                        bodies_of(&slice, &keys, begin + thread * apart, calls)
                    };
                    pool.run(threads, Arc::new(share))
                };
                Lane { run: Box::new(run) }
            })
            .collect();
        let figures = interleave(&mut lanes, threads, effort);
        table.columns.push(label);
        for (row, figure) in table.rows.iter_mut().zip(figures) {
            row.1.push(Some(cell(asked, figure)));
        }
    }
    table
}

fn cell(asked: Asked, figure: Figure) -> Cell {
    let note = match asked {
        Asked::Zipf => format!("{:.1}%", figure.count * 100.0),
        // A peer that lost entries did not measure hits: the table says so.
        Asked::One | Asked::Thousand if figure.count > 0.0005 => {
            format!("{:.1}% miss", figure.count * 100.0)
        }
        _ => String::new(),
    };
    Cell { value: figure.quoted, min: figure.min, compared: true, note }
}

/// Everybody misses one key at once; its body takes 20 ms.
fn stampede(peers: &[Peer], rounds: usize) -> Table {
    let title = "stampede: all miss one key at once, the body takes 20 ms".to_string();
    let mut table = Table::new("stampede", title);
    let peers: Vec<&Peer> = peers.iter().filter(|peer| peer.slow.is_some()).collect();
    table.rows = peers.iter().map(|peer| (peer.name, Vec::new())).collect();
    table.columns = vec!["64 threads: bodies", "ms in all", "1000 tasks: bodies", "ms in all"];
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime starts");
    for (kind, count) in STAMPEDE {
        let mut took = vec![(Vec::new(), Vec::new()); peers.len()];
        let mut order: Vec<usize> = (0..peers.len()).collect();
        let mut rng = Rng::new(5);
        for _ in 0..rounds {
            rng.shuffle(&mut order);
            for &at in &order {
                let key = mix(fresh(1) as u64);
                SLOW_BODIES.store(0, SeqCst);
                let time = match (kind, peers[at].slow, peers[at].slow_task) {
                    ("64 threads", Some(slow), _) => storm_of_threads(count, key, slow),
                    (_, _, Some(task)) => runtime.block_on(storm_of_tasks(count, key, task)),
                    _ => continue,
                };
                took[at].0.push(SLOW_BODIES.load(SeqCst) as f64);
                took[at].1.push(time.as_secs_f64() * 1e3);
            }
        }
        for (row, (bodies, millis)) in table.rows.iter_mut().zip(&took) {
            for (samples, compared) in [(bodies, false), (millis, true)] {
                let note = String::new();
                row.1.push((!samples.is_empty()).then(|| {
                    let (value, min) = ranked(samples, 2);
                    Cell { value, min, compared, note }
                }));
            }
        }
    }
    table
}

fn storm_of_threads(count: usize, key: u64, call: fn(u64) -> u64) -> Duration {
    let barrier = Barrier::new(count + 1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    assert_eq!(call(key), key);
                })
            })
            .collect();
        barrier.wait();
        let begun = Instant::now();
        for thread in threads {
            thread.join().expect("a peer panicked");
        }
        begun.elapsed()
    })
}

async fn storm_of_tasks(count: usize, key: u64, call: SlowTask) -> Duration {
    let begun = Instant::now();
    let tasks: Vec<_> = (0..count).map(|_| tokio::spawn(call(key))).collect();
    for task in tasks {
        assert_eq!(task.await.expect("a peer panicked"), key);
    }
    begun.elapsed()
}
