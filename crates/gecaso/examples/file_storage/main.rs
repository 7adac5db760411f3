//! A storage of one's own in three methods: results that outlive the process, in files, and least
//! recently used around it. This program runs itself a second time, over the same folder.
//!
//! A method may block, as these do: a file is read sooner than another thread is woken. The
//! deadline of a call then ends it only between two operations.

mod storage;

use gecaso::{LruOver, LruStorage, cached};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use storage::FileStorage;

/// At most so many of the entries that a process has set or found.
const MOST: usize = 3;

static FILES: LazyLock<LruOver<FileStorage>> = LazyLock::new(|| {
    let folder = std::env::args_os().nth(1).expect("the folder is given by the first process");
    LruStorage::over(FileStorage::new(folder), MOST)
});

static BODIES: AtomicU64 = AtomicU64::new(0);

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Report {
    title: String,
    words: Vec<String>,
}

#[cached(&FILES, ttl = "1 day")]
fn report(title: &str, words: usize) -> Report {
    BODIES.fetch_add(1, Relaxed);
    Report { title: title.into(), words: vec!["word".into(); words] }
}

/// The same storage serves an `async fn`, of other types. Of a `Result` only `Ok` is stored.
#[cached(&FILES)]
async fn port(text: &str) -> Result<u16, std::num::ParseIntError> {
    BODIES.fetch_add(1, Relaxed);
    text.parse()
}

fn first(folder: &Path) {
    let annual = report("annual", 2);
    assert_eq!(report("annual", 2), annual); // found in its file
    assert_eq!(pollster::block_on(port("80")), Ok(80));
    assert_eq!(pollster::block_on(port("80")), Ok(80));
    assert!(pollster::block_on(port("http")).is_err());
    assert_eq!((BODIES.load(Relaxed), report::stats().hits), (3, 1));

    // Keys are names of files: 65 symbols, whatever the arguments.
    let names = || fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
    assert_eq!(names().filter(|name| name.len() == 65).count(), 2);

    // A fourth entry, and the least recently used has lost its file.
    report("weekly", 1);
    report("annual", 2);
    report("daily", 1);
    assert_eq!((FILES.len(), names().filter(|name| name.len() == 65).count()), (MOST, MOST));
    assert_eq!(port::peek("80"), None);
    assert!(report::peek("annual", 2).is_some());

    // What `invalidate` returns says when the file is gone.
    report::invalidate("daily", 1).wait().expect("the file can be removed");
    assert_eq!(names().filter(|name| name.len() == 65).count(), 2);
}

/// Another process: nothing is in its memory, and no body runs.
fn second(folder: &Path) {
    let annual = Report { title: "annual".into(), words: vec!["word".into(); 2] };
    assert_eq!(report("annual", 2), annual);
    assert_eq!(BODIES.load(Relaxed), 0);
    assert_eq!(report::stats().far.hits, 1);

    // Whatever happens to a file, no call gets a wrong value of it: its body runs again.
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        if path.file_name().is_some_and(|name| name.len() == 65) {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).unwrap();
        }
    }
    assert_eq!(report("annual", 2), annual);
    assert_eq!((BODIES.load(Relaxed), report::stats().far.corrupt), (1, 1));

    // A folder that cannot be had is in nobody's way: the body runs, and that is all.
    fs::remove_dir_all(folder).unwrap();
    fs::write(folder, "not a folder").unwrap();
    assert_eq!(report("annual", 2), annual);
    assert_eq!((BODIES.load(Relaxed), report::stats().far.errors), (2, 2)); // a get, a set
}

fn itself() -> PathBuf {
    std::env::current_exe().expect("a program knows where it is")
}

/// Runs this program once more, over the folder.
fn again(folder: &Path, which: &str) -> ExitStatus {
    Command::new(itself()).arg(folder).arg(which).status().expect("it can be started")
}

fn main() {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match &*arguments {
        [folder, which] if which == "first" => first(Path::new(folder)),
        [folder, which] if which == "second" => second(Path::new(folder)),
        _ => {
            let name = format!("file-storage-{}", std::process::id());
            let folder: PathBuf = itself().with_file_name(name);
            let ended = ["first", "second"].map(|which| again(&folder, which));
            let _ = fs::remove_dir_all(&folder);
            let _ = fs::remove_file(&folder);
            assert!(ended.iter().all(ExitStatus::success), "{ended:?}");
            println!("the second process found in files what the first one had kept");
        }
    }
}
