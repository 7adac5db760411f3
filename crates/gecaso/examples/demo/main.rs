//! The main job on real input: a costly function, cached over every file below a directory.
//!
//! `make demo`, or `make demo DIR=...`. Results are kept in memory and in a folder, where the next
//! run finds them. Reads every file without the cache, asks for all of them three times through it
//! (as the run begins; from the folder alone; from memory) and compares what came out. Files that
//! cannot be read are listed and left out. Exit code 2: the arguments are wrong; 1: a result is.

mod content;
mod kept;
mod passes;
mod progress;
#[path = "../file_storage/storage.rs"]
mod storage;
mod walk;

use content::{Content, content_of, read_through};
use passes::{Pass, crowd, hit_cost, pass};
use progress::{Progress, grouped};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use walk::{Found, Oddities, walk};

fn run(root: &Path) -> Result<String, String> {
    let mut odd = Oddities::default();
    let mut progress = Progress::new("looking for files", None);
    let mut files = walk(root, &kept::folder(), &mut odd, &mut progress);
    progress.end();
    let mut table = format!("every file below {}\n\n", root.display());

    // Reads the files into the system's memory: from here on all ways of asking read from there,
    // and the comparison is fair.
    let reading = pass("reading", &files, read_through::uncached);
    let mut readable = reading.contents.iter();
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
    let bare = pass("without the cache", files, read_through::uncached);
    let first = pass("first", files, content_of);
    let found_first = read_through::stats().hits;
    content_of::clear(); // what is kept in the folder stays there
    let folder = pass("again, from the folder", files, content_of);
    let found = read_through::stats().hits - found_first;
    let before = content_of::stats();
    let again = pass("again, from memory", files, content_of);
    let after = content_of::stats();

    let (contents, changed) = compare(files, [&bare, &first, &folder, &again])?;
    let mut row = |what: &str, figure: String, remark: &str| {
        let _ = writeln!(table, "{}", format!("{what:<14}{figure:>18}   {remark}").trim_end());
    };
    let sum = |of: fn(&Content) -> u64| grouped(contents.iter().map(|(_, it)| of(it)).sum());
    row("files", grouped(contents.len() as u64), "");
    row("bytes", sum(|content| content.bytes), "");
    row("lines", sum(|content| content.lines), "");
    row("words", sum(|content| content.words), "");
    let digest = contents.iter().fold(0_u64, |sum, (_, it)| sum.rotate_left(5) ^ it.digest);
    row("digest", format!("{digest:016x}"), "FNV-1a of each content, folded in order of path");
    let kept = kept::folder();
    let place = format!("of {} results, kept by earlier runs in {}", files.len(), kept.display());
    row("found", grouped(found_first), &place);
    row("computed", grouped(first.bodies), "by the costly function, when first asked for");
    row("uncached", millis(bare.took), "every file read again");
    row("first", millis(first.took), "every file asked for, with nothing in memory yet");
    let times = bare.took.as_secs_f64() / folder.took.as_secs_f64();
    let remark = format!("asked for again, {} from the folder: {times:.1} x", grouped(found));
    row("folder", millis(folder.took), &remark);
    row("cached", millis(again.took), "every file asked for again, its length and time looked up");
    let times = bare.took.as_secs_f64() / again.took.as_secs_f64();
    row("speed-up", format!("{times:.1} x"), "");
    row("a hit", format!("{:.0} ns", hit_cost(files)), "the call alone; median of 101 rounds");
    let (hits, misses) = (after.hits - before.hits, after.misses - before.misses);
    let ratio = 100.0 * hits as f64 / (hits + misses).max(1) as f64;
    let calls = format!("{} of {} calls when asked again", grouped(hits), grouped(hits + misses));
    row("hit ratio", format!("{ratio:.1} %"), &calls);

    if let Some((file, content)) = contents.iter().max_by_key(|(_, content)| content.bytes) {
        match crowd(file, *content)? {
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
    let far = read_through::stats().far;
    for (what, told) in [("unusable", kept::unusable(&far)), ("failed", kept::failed(&far))] {
        if let Some((count, remark)) = told {
            row(what, grouped(count), &remark);
        }
    }
    for (file, content) in contents {
        if !content.is_text {
            odd.note("not text (UTF-8); words and lines counted by bytes", &file.path, None);
        }
    }
    Ok(())
}

/// Files, each with what every pass has found in it.
type Alike<'a> = Vec<(&'a Found, Content)>;

/// What every pass has found alike; and how many files have changed meanwhile.
fn compare<'a>(files: &'a [Found], passes: [&Pass; 4]) -> Result<(Alike<'a>, u64), String> {
    let (mut contents, mut changed) = (Vec::with_capacity(files.len()), 0);
    for (at, file) in files.iter().enumerate() {
        match passes.map(|pass| pass.contents[at].as_ref().ok()) {
            [Some(bare), Some(first), Some(folder), Some(again)] => {
                if [first, folder, again].iter().any(|content| *content != bare) {
                    return Err(format!(
                        "{}: {bare:?} without the cache; with it {first:?}, then {folder:?}, then \
                         {again:?}",
                        file.path.display()
                    ));
                }
                contents.push((file, *bare));
            }
            _ => changed += 1,
        }
    }
    Ok((contents, changed))
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
    // Results outlive this process: their keys must not depend on where it was started.
    let root = fs::canonicalize(&root).unwrap_or(root);
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
