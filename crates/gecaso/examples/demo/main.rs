//! The main job on real input: a costly function, cached over every file below a directory.
//!
//! `make demo`, or `make demo DIR=...`. Reads every file three times: through the cache (all
//! misses), without it, and through the cache again (all hits), and compares what came out. Files
//! that cannot be read are listed and left out. Exit code 2: the arguments are wrong; 1: a result
//! is.

mod content;
mod progress;
mod walk;

use content::{BODIES, Content, read_through};
use progress::{Progress, grouped};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Barrier;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};
use walk::{Found, Oddities, walk};

/// Asks for every file once, looking up its length and time first as any caller would have to.
fn pass(
    what: &'static str,
    files: &[Found],
    ask: impl Fn(&Path, u64, SystemTime) -> io::Result<Content>,
) -> (Vec<io::Result<Content>>, Duration) {
    let mut progress = Progress::new(what, Some(files.len()));
    let begun = Instant::now();
    let mut contents = Vec::with_capacity(files.len());
    for file in files {
        let stat = || {
            let meta = fs::symlink_metadata(&file.path)?;
            let is_same = meta.len() == file.length && meta.modified()? == file.modified;
            is_same.then_some(()).ok_or_else(|| io::Error::other("it changed since it was listed"))
        };
        contents.push(stat().and_then(|()| ask(&file.path, file.length, file.modified)));
        progress.at(contents.len() as u64);
    }
    let took = begun.elapsed();
    progress.end();
    (contents, took)
}

/// What a hit costs, in nanoseconds: the call alone, over all files again and again. The rounds are
/// short, so that on a busy machine most of them are not interrupted.
fn hit_cost(files: &[Found]) -> f64 {
    let mut files = files.iter().cycle();
    let mut rounds = [0.0; ROUNDS];
    for round in &mut rounds {
        let (mut calls, begun) = (0, Instant::now());
        while begun.elapsed() < Duration::from_millis(1) {
            for file in files.by_ref().take(64) {
                let content = read_through(&file.path, file.length, file.modified);
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

/// 64 threads ask for one missing key: how often the body ran, if all got the right answer. `None`:
/// the file has changed meanwhile.
fn crowd(file: &Found, right: Content) -> Result<Option<u64>, String> {
    const THREADS: usize = 64;
    read_through::invalidate(&file.path, file.length, file.modified);
    let (before, all_here) = (BODIES.load(Relaxed), Barrier::new(THREADS));
    let ask = || {
        all_here.wait();
        read_through(&file.path, file.length, file.modified)
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

fn run(root: &Path) -> Result<String, String> {
    let mut odd = Oddities::default();
    let mut progress = Progress::new("looking for files", None);
    let mut files = walk(root, &mut odd, &mut progress);
    progress.end();
    let mut table = format!("every file below {}\n\n", root.display());

    // The first pass brings the files into the cache, and into the system's memory: from here on
    // both sides read from there, and the comparison is fair.
    let (first, _) = pass("first, all misses", &files, read_through);
    let mut readable = first.iter();
    files.retain(|file| match readable.next() {
        Some(Err(error)) => {
            odd.note("unreadable files", &file.path, Some(error));
            false
        }
        _ => true,
    });
    if !files.is_empty() {
        measure(&files, &mut odd, &mut table)?;
    } else {
        let _ = writeln!(table, "files       0   nothing to measure");
    }
    for (kind, (count, first)) in &odd.0 {
        let _ = writeln!(table, "\n{} {kind}", grouped(*count));
        for one in first {
            let _ = writeln!(table, "    {one}");
        }
        if *count > first.len() as u64 {
            let _ = writeln!(table, "    ...");
        }
    }
    Ok(table)
}

/// The passes that are measured, and their table.
fn measure(files: &[Found], odd: &mut Oddities, table: &mut String) -> Result<(), String> {
    let (bare, uncached) = pass("without the cache", files, read_through::uncached);
    let before = read_through::stats();
    let (again, cached) = pass("again, all hits", files, read_through);
    let after = read_through::stats();

    let mut sum = Content { bytes: 0, lines: 0, words: 0, digest: 0, is_text: true };
    let mut changed = 0_u64;
    for ((file, bare), again) in files.iter().zip(&bare).zip(&again) {
        let (Ok(bare), Ok(again)) = (bare, again) else {
            changed += 1;
            continue;
        };
        if bare != again {
            return Err(format!(
                "{}: {bare:?} without the cache, {again:?} with it",
                file.path.display()
            ));
        }
        if !again.is_text {
            odd.note("not text (UTF-8); words and lines counted by bytes", &file.path, None);
        }
        sum.bytes += again.bytes;
        sum.lines += again.lines;
        sum.words += again.words;
        sum.digest = sum.digest.rotate_left(5) ^ again.digest;
    }
    let (hits, misses) = (after.hits - before.hits, after.misses - before.misses);
    let mut row = |what: &str, figure: String, remark: &str| {
        let _ = writeln!(table, "{}", format!("{what:<14}{figure:>18}   {remark}").trim_end());
    };
    row("files", grouped(files.len() as u64 - changed), "");
    row("bytes", grouped(sum.bytes), "");
    row("lines", grouped(sum.lines), "");
    row("words", grouped(sum.words), "");
    row(
        "digest",
        format!("{:016x}", sum.digest),
        "FNV-1a of each content, folded in order of path",
    );
    row("uncached", millis(uncached), "every file read again");
    row("cached", millis(cached), "every file asked for again, its length and time looked up");
    row("speed-up", format!("{:.1} x", uncached.as_secs_f64() / cached.as_secs_f64()), "");
    row("a hit", format!("{:.0} ns", hit_cost(files)), "the call alone; median of 101 rounds");
    let ratio = 100.0 * hits as f64 / (hits + misses).max(1) as f64;
    let calls = format!("{} of {} calls when asked again", grouped(hits), grouped(hits + misses));
    row("hit ratio", format!("{ratio:.1} %"), &calls);

    let largest = files
        .iter()
        .zip(&again)
        .filter_map(|(file, content)| content.as_ref().ok().map(|content| (file, *content)));
    if let Some((file, content)) = largest.max_by_key(|(_, content)| content.bytes) {
        match crowd(file, content)? {
            Some(1) => {
                row("64 threads", "1 body".to_owned(), "for one missing key, asked for at once")
            }
            Some(bodies) => {
                return Err(format!("64 threads, one missing key: {bodies} bodies ran"));
            }
            None => row("64 threads", "-".to_owned(), "the largest file has just changed"),
        }
    }
    if changed > 0 {
        row("changed", grouped(changed), "changed or gone since they were listed; left out");
    }
    Ok(())
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// The sources that cargo has downloaded for this build; else this workspace's own.
fn default_root() -> PathBuf {
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = || std::env::home_dir().map(|home| home.join(".cargo"));
    let sources = cargo.or_else(home).map(|cargo| cargo.join("registry").join("src"));
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    sources.filter(|sources| sources.is_dir()).unwrap_or(own)
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let root = match &*arguments {
        [] => default_root(),
        [directory] if !directory.to_string_lossy().starts_with("--") => directory.into(),
        _ => {
            eprintln!("usage: demo [DIRECTORY]");
            return ExitCode::from(2);
        }
    };
    let problem = match fs::metadata(&root) {
        Ok(meta) if meta.is_dir() => fs::read_dir(&root).err().map(|error| error.to_string()),
        Ok(_) => Some("it is not a directory".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(problem) = problem {
        eprintln!("demo: cannot read the directory {}: {problem}", root.display());
        eprintln!("demo: give another one: make demo DIR=...");
        return ExitCode::from(2);
    }
    match run(&root) {
        Ok(table) => match io::stdout().write_all(table.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE, // nobody reads any more
        },
        Err(wrong) => {
            eprintln!("demo: a wrong result: {wrong}");
            ExitCode::FAILURE
        }
    }
}
