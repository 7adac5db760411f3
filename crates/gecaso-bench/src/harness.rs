//! Timing: pinned worker threads, slices of all peers in an order shuffled anew each round, and the
//! figure that is quoted of them.
//!
//! Called by the rows. Knows no peer: it is handed slices to run.

use crate::work::Rng;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

type Job = Box<dyn FnOnce() + Send>;

/// Worker threads that live as long as the run, one pinned to each core.
pub(crate) struct Pool {
    workers: Vec<Sender<Job>>,
}

/// What a slice took, and what its threads counted, added up.
pub(crate) struct Took {
    pub(crate) time: Duration,
    pub(crate) count: u64,
}

/// CPU time of the calling thread. Other processes on the machine take nothing from it.
fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn pin(core: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    // Where pinning is forbidden the figures are noisier, and right.
    let _ = rustix::thread::sched_setaffinity(None, &set);
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl Pool {
    pub(crate) fn new(threads: usize) -> Self {
        let workers = (0..threads)
            .map(|number| {
                let (sender, jobs) = channel::<Job>();
                std::thread::spawn(move || {
                    pin(number % cores());
                    jobs.into_iter().for_each(|job| job());
                });
                sender
            })
            .collect();
        Pool { workers }
    }

    /// Runs `slice(thread number)` on so many threads at once. One thread is timed by its own CPU
    /// clock; more by the wall clock, from the first start to the last end.
    pub(crate) fn run(
        &self,
        threads: usize,
        slice: Arc<dyn Fn(usize) -> u64 + Send + Sync>,
    ) -> Took {
        let (sender, results) = channel();
        let spin = threads <= cores();
        let (ready, barrier) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(threads)));
        for (number, worker) in self.workers[..threads].iter().enumerate() {
            let (slice, sender) = (slice.clone(), sender.clone());
            let (ready, barrier) = (ready.clone(), barrier.clone());
            let job = move || {
                if spin {
                    ready.fetch_add(1, SeqCst);
                    while ready.load(SeqCst) < threads {
                        std::hint::spin_loop();
                    }
                } else {
                    barrier.wait();
                }
                let (begun, cpu_before) = (Instant::now(), cpu_time());
                let count = slice(number);
                let (cpu, ended) = (cpu_time() - cpu_before, Instant::now());
                let _ = sender.send((begun, ended, cpu, count));
            };
            worker.send(Box::new(job)).expect("workers live as long as the pool");
        }
        drop(sender);
        let results: Vec<_> = results.into_iter().collect();
        assert_eq!(results.len(), threads, "a worker panicked");
        let count = results.iter().map(|result| result.3).sum();
        if threads == 1 {
            return Took { time: results[0].2, count };
        }
        let begun = results.iter().map(|result| result.0).min().expect("there are threads");
        let ended = results.iter().map(|result| result.1).max().expect("there are threads");
        Took { time: ended - begun, count }
    }
}

/// How long to measure.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// What a slice is to take.
    pub(crate) slice: Duration,
}

/// One peer's slices in one column: given a number of calls for each thread, runs them.
pub(crate) struct Lane<'a> {
    pub(crate) run: Box<dyn FnMut(usize) -> Took + 'a>,
}

/// What a lane came to: nanoseconds of core time per call, and counts per call.
#[derive(Clone, Copy)]
pub(crate) struct Figure {
    pub(crate) quoted: f64,
    pub(crate) min: f64,
    pub(crate) count: f64,
}

/// Sizes the slices of every lane, then runs each once a round, in an order shuffled anew.
///
/// The unit is nanoseconds of core time: wall time times min(threads, cores) over calls. It stays
/// the same from one thread to two where scaling is perfect.
pub(crate) fn interleave(lanes: &mut [Lane<'_>], threads: usize, effort: Effort) -> Vec<Figure> {
    let calls: Vec<usize> = lanes.iter_mut().map(|lane| size(lane, effort.slice)).collect();
    let width = threads.min(cores()) as f64;
    let mut samples = vec![Vec::new(); lanes.len()];
    let mut counts = vec![0; lanes.len()];
    let mut order: Vec<usize> = (0..lanes.len()).collect();
    let mut rng = Rng::new(99);
    for _ in 0..effort.rounds {
        rng.shuffle(&mut order);
        for &at in &order {
            let took = (lanes[at].run)(calls[at]);
            let nanos = took.time.as_secs_f64() * 1e9 * width;
            samples[at].push(nanos / (calls[at] * threads) as f64);
            counts[at] += took.count;
        }
    }
    let figure = |at: usize| {
        let all_calls = (calls[at] * threads * effort.rounds) as f64;
        // The wall clock runs on while other processes have the cores, which only ever adds: the
        // lower quartile is closer to what the threads do to each other than the median is.
        let rank = if threads > 1 { 4 } else { 2 };
        let (quoted, min) = ranked(&samples[at], rank);
        Figure { quoted, min, count: counts[at] as f64 / all_calls }
    };
    (0..lanes.len()).map(figure).collect()
}

/// The sample at one `part`-th of all (2: the median), and the least.
pub(crate) fn ranked(samples: &[f64], part: usize) -> (f64, f64) {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[sorted.len() / part], sorted[0])
}

/// Calls per thread that fill a slice.
fn size(lane: &mut Lane<'_>, slice: Duration) -> usize {
    let mut calls = 500;
    // One-off work (a table that grows, maintenance that fell behind) must not set the size: three
    // trials in a row have to fit.
    let mut fitting = 0;
    for _ in 0..30 {
        let took = (lane.run)(calls).time.as_secs_f64().max(1e-9);
        let short = slice.as_secs_f64() / took;
        if (0.7..1.4).contains(&short) {
            fitting += 1;
            if fitting == 3 {
                break;
            }
        } else {
            fitting = 0;
            calls = ((calls as f64 * short.clamp(0.2, 8.0)) as usize).clamp(100, 16_000_000);
        }
    }
    calls
}
