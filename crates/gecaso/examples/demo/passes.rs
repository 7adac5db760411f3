//! What the demo does with the list of files: asks for each of them, in one way or another.
//!
//! Knows nothing of tables.

use crate::content::{BODIES, Content, content_of, read_through};
use crate::progress::Progress;
use crate::walk::{Found, changed};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};

/// What came of asking for every file once.
pub(crate) struct Pass {
    pub(crate) contents: Vec<io::Result<Content>>,
    pub(crate) took: Duration,
    /// How often the costly body ran.
    pub(crate) bodies: u64,
}

/// Asks for every file once, looking up its length and time first as any caller would have to.
pub(crate) fn pass(
    what: &'static str,
    files: &[Found],
    ask: impl Fn(&Path, u64, SystemTime) -> io::Result<Content>,
) -> Pass {
    let mut progress = Progress::new(what, Some(files.len()));
    let (before, begun) = (BODIES.load(Relaxed), Instant::now());
    let mut contents = Vec::with_capacity(files.len());
    for file in files {
        let stat = || {
            let meta = fs::symlink_metadata(&file.path)?;
            let is_same = meta.len() == file.length && changed(&meta)? == file.changed;
            is_same.then_some(()).ok_or_else(|| io::Error::other("it changed since it was listed"))
        };
        contents.push(stat().and_then(|()| ask(&file.path, file.length, file.changed)));
        progress.at(contents.len() as u64);
    }
    let took = begun.elapsed();
    progress.end();
    Pass { contents, took, bodies: BODIES.load(Relaxed) - before }
}

/// What a hit costs, in nanoseconds: the call alone, over all files again and again. The rounds are
/// short, so that on a busy machine most of them are not interrupted.
pub(crate) fn hit_cost(files: &[Found]) -> f64 {
    let mut files = files.iter().cycle();
    let mut rounds = [0.0; ROUNDS];
    for round in &mut rounds {
        let (mut calls, begun) = (0, Instant::now());
        while begun.elapsed() < Duration::from_millis(1) {
            for file in files.by_ref().take(64) {
                let content = content_of(&file.path, file.length, file.changed);
                std::hint::black_box(content.is_ok());
            }
            calls += 64;
        }
        *round = begun.elapsed().as_nanos() as f64 / f64::from(calls);
    }
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

const ROUNDS: usize = 101;

/// 64 threads ask for one key that is neither in memory nor in the folder: how often the body ran,
/// if all got the right answer. `None`: the file has changed meanwhile.
pub(crate) fn crowd(file: &Found, right: Content) -> Result<Option<u64>, String> {
    const THREADS: usize = 64;
    read_through::invalidate(&file.path, file.length, file.changed);
    content_of::invalidate(&file.path, file.length, file.changed);
    let (before, all_here) = (BODIES.load(Relaxed), Barrier::new(THREADS));
    let ask = || {
        all_here.wait();
        content_of(&file.path, file.length, file.changed)
    };
    let answers = std::thread::scope(|threads| {
        let threads: Vec<_> = (0..THREADS).map(|_| threads.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join()).collect::<Vec<_>>()
    });
    let bodies = BODIES.load(Relaxed) - before;
    for answer in answers {
        match answer {
            Ok(Ok(content)) if content == right => {}
            Ok(Ok(content)) => return Err(format!("{}: {content:?}", file.path.display())),
            Ok(Err(_)) => return Ok(None),
            Err(_) => return Err(format!("{}: a thread panicked", file.path.display())),
        }
    }
    Ok(Some(bodies))
}
