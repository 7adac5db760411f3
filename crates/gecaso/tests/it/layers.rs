//! Holds the house: dependencies point one way, one file reads the clock, one file names locks.
//!
//! Reads the sources of the library as text. A module that is new must take its place in `LAYERS`;
//! an exception that nobody needs any more must leave its table.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module, and the modules of ours that it may name. Each may name only what stands above it.
const LAYERS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("sync", &[]),
    // Which number a thread has.
    ("lane", &["sync"]),
    ("time", &["sync"]),
    ("key", &[]),
    ("outcome", &[]),
    ("snapshot", &[]),
    // How long entries are fresh: what users say of it.
    ("lifetime", &[]),
    // A policy sees slots and marks: no key, no value, no clock, no lock.
    ("memory/policy", &[]),
    ("blocking", &["sync"]),
    ("reentry", &["sync"]),
    // Said once; flights and receipts are made of it.
    ("signal", &["sync"]),
    ("receipt", &["blocking", "error", "signal", "time"]),
    // Drives futures, whatever they are.
    ("runner", &["blocking", "signal", "sync"]),
    // What is told with every set: the envelope holds it, too.
    ("params", &[]),
    ("codec", &["error", "params", "time"]),
    // A storage knows neither calls nor flights.
    ("memory", &["key", "lane", "memory/policy", "outcome", "snapshot", "sync", "time"]),
    // A far storage knows neither calls nor flights, but for the chain that it works for.
    (
        "far",
        &[
            "codec", "error", "params", "memory", "receipt", "reentry", "runner", "signal", "sync",
            "time",
        ],
    ),
    ("stats", &["far", "lane", "sync"]),
    // A flight does not know what it stores, or where.
    ("flight", &["error", "key", "outcome", "reentry", "signal", "snapshot", "sync", "time"]),
    ("storage", &["codec", "far", "key", "memory", "outcome"]),
    (
        "cache",
        &[
            "error", "far", "flight", "key", "lifetime", "memory", "outcome", "receipt", "stats",
            "storage",
        ],
    ),
    ("builder", &["cache", "params", "key", "lifetime", "memory", "outcome", "storage"]),
    ("fail_closed", &["cache", "error", "key", "outcome"]),
    (
        "call",
        &[
            "blocking", "cache", "error", "far", "flight", "key", "lifetime", "memory", "outcome",
            "receipt", "reentry", "snapshot", "time",
        ],
    ),
    // What generated code may name: it speaks to `Cache`, and knows no policy or flight; of
    // storages it hands out the default one's name.
    (
        "private",
        &[
            "cache", "call", "codec", "error", "far", "key", "lifetime", "memory", "outcome",
            "receipt", "stats", "storage",
        ],
    ),
    // What the face of another language may name; as `private`.
    (
        "face",
        &[
            "blocking", "cache", "call", "codec", "error", "key", "lane", "outcome", "receipt",
            "reentry", "time",
        ],
    ),
    // For the tests of users' storages.
    ("testing", &["blocking", "codec", "error", "far", "params", "signal", "sync", "time"]),
];

/// `Cache::builder` hands out the builder that makes a `Cache`: one type in two files.
const CIRCLE: (&str, &str) = ("cache", "builder");

/// Who may name the standard library's locks and atomics beside `sync`, and why.
const LOCKS: &[(&str, &str)] = &[
    ("lane.rs", "how many numbers were given out, in a static; never fewer than are in use"),
    ("reentry.rs", "numbers of flights, drawn in blocks: only that they differ matters"),
    ("stats.rs", "counters that nothing is decided by"),
    ("far/stats.rs", "counters that nothing is decided by"),
    ("time.rs", "the last stamp: it lives in a static"),
    ("memory/bound.rs", "stamps and a hint: whoever reads an old one evicts a little out of order"),
    ("memory/tuner.rs", "notes of hits and the rule: lost or late, they cost a little hit ratio"),
    ("private/erased.rs", "the list of a function's caches lives in a static"),
    ("private/slot.rs", "opening a cache happens once in a process"),
    ("private/method.rs", "the registry of methods lives in a static"),
];

/// A source file of the library: its path below `src`, and its code without comments and tests.
struct Source {
    path: String,
    text: String,
    code: String,
}

impl Source {
    /// Its module in `LAYERS`: the deepest whose path begins its own.
    fn module(&self) -> Option<&'static str> {
        let stem = self.path.trim_end_matches(".rs");
        let within = |name: &str| stem == name || stem.starts_with(&format!("{name}/"));
        let names = LAYERS.iter().map(|(name, _)| *name).filter(|name| within(name));
        names.max_by_key(|name| name.len())
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let read = |file: PathBuf| {
        let text = fs::read_to_string(&file).unwrap();
        let path = file.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
        Source { path, code: code(&text), text }
    };
    let sources: Vec<Source> = files.into_iter().map(read).collect();
    assert!(sources.len() >= LAYERS.len(), "the sources were not found below {}", root.display());
    sources
}

/// Those that are compiled into what users get.
fn shipped() -> Vec<Source> {
    let is_test =
        |source: &Source| source.path.contains("_tests/") || source.path.ends_with("tests.rs");
    sources().into_iter().filter(|source| !is_test(source)).collect()
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// The code that ships: no comments, nothing from the test module at the end of the file on.
fn code(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let begins = |pair: &[&str]| {
        let attribute = pair[0].starts_with("#[cfg(test") || pair[0].starts_with("#[cfg(all(test");
        let module = pair[1].starts_with("mod ") || pair[1].starts_with("pub(super) mod ");
        attribute && module && pair[1].ends_with('{')
    };
    let end = lines.windows(2).position(begins).unwrap_or(lines.len());
    let uncommented = lines[..end].iter().map(|line| line.split("//").next().unwrap_or(""));
    uncommented.collect::<Vec<_>>().join("\n")
}

/// The paths that follow `root` (such as `crate::`) in some code, groups in braces taken apart.
fn paths_after(root: &str, code: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for (at, _) in code.match_indices(root) {
        let preceding = code[..at].chars().next_back();
        if preceding.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        expand(&mut String::new(), &code[at + root.len()..], &mut paths);
    }
    paths
}

/// Reads one path or one group of paths, and returns what is behind it.
fn expand<'a>(prefix: &mut String, code: &'a str, into: &mut BTreeSet<String>) -> &'a str {
    let mut rest = code.trim_start();
    if let Some(mut group) = rest.strip_prefix('{') {
        loop {
            group = group.trim_start().trim_start_matches(',').trim_start();
            if let Some(behind) = group.strip_prefix('}') {
                return behind;
            }
            let before = group;
            group = expand(&mut prefix.clone(), group, into);
            // `as name`, or something that is no path: go on behind it.
            if let Some(next) = group.find([',', '}']) {
                group = &group[next..];
            }
            if group.len() == before.len() {
                return group;
            }
        }
    }
    let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    let (name, behind) = rest.split_at(length);
    rest = behind;
    prefix.push_str(name);
    match rest.strip_prefix("::") {
        Some(deeper) if !deeper.starts_with('<') => {
            prefix.push_str("::");
            expand(prefix, deeper, into)
        }
        _ => {
            into.insert(prefix.clone());
            rest
        }
    }
}

/// What the crate's root hands out under another name: `crate::Cache` is `cache::Cache`.
fn exports(sources: &[Source]) -> BTreeMap<String, String> {
    let lib = sources.iter().find(|source| source.path == "lib.rs").expect("lib.rs");
    let paths = paths_after("crate::", &lib.code);
    let split = |path: String| {
        let (module, name) = path.rsplit_once("::")?;
        let module = module.replace("::", "/");
        let within =
            |(name, _): &&(&str, _)| module == *name || module.starts_with(&format!("{name}/"));
        let known =
            LAYERS.iter().filter(within).map(|(name, _)| *name).max_by_key(|name| name.len());
        Some((name.to_owned(), known.map_or(module.clone(), str::to_owned)))
    };
    paths.into_iter().filter_map(split).collect()
}

#[test]
fn dependencies_point_one_way() {
    let order: Vec<&str> = LAYERS.iter().map(|(name, _)| *name).collect();
    for (at, (name, may)) in LAYERS.iter().enumerate() {
        for below in *may {
            let place = order.iter().position(|other| other == below);
            assert!(place.is_some_and(|place| place < at), "{name} may not stand above {below}");
        }
    }
    let sources = shipped();
    let exports = exports(&sources);
    let mut named = BTreeSet::new();
    let mut wrong = Vec::new();
    for source in sources.iter().filter(|source| source.path != "lib.rs") {
        let Some(module) = source.module() else {
            wrong.push(format!("{}: give it a place in LAYERS", source.path));
            continue;
        };
        let may = LAYERS.iter().find(|(name, _)| *name == module).expect("found above").1;
        let mut paths = paths_after("crate::", &source.code);
        if module == "memory" && source.code.contains("policy::") {
            // Below the rest of its folder, and named from there.
            paths.insert("memory::policy".to_owned());
        }
        for path in paths {
            let head = path.split("::").next().unwrap_or("");
            let target = match exports.get(head) {
                Some(module) => module.clone(),
                None if head == "__private" => "private".to_owned(),
                None if path == "memory::policy" => "memory/policy".to_owned(),
                None => head.to_owned(),
            };
            if target == module || (module, &*target) == CIRCLE {
                continue;
            }
            named.insert((module, target.clone()));
            if !may.contains(&&*target) {
                wrong
                    .push(format!("{}: `{module}` must not know `{target}` ({path})", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    for (name, may) in LAYERS {
        for below in *may {
            let is_named = named.contains(&(*name, (*below).to_owned()));
            assert!(is_named, "{name} does not name {below} any more: strike it out of LAYERS");
        }
    }
}

#[test]
fn a_policy_sees_slots_and_marks_and_nothing_else() {
    let sources = shipped();
    let policies = sources.iter().filter(|source| source.path.starts_with("memory/policy/"));
    let mut count = 0;
    for source in policies {
        count += 1;
        for word in ["crate::", "std::", "Mutex", "RwLock", "Nanos", "Stored", "Entry"] {
            let mut words = source.code.split(|c: char| !c.is_alphanumeric() && !"_:".contains(c));
            let is_named =
                |one: &str| one.starts_with(word) && !one.starts_with("std::collections");
            assert!(!words.any(is_named), "{} names {word}", source.path);
        }
    }
    assert!(count > 1, "the policies were not found");
}

#[test]
fn only_time_reads_the_clock() {
    for source in shipped() {
        let reads =
            ["Instant::now", "SystemTime::now", ".elapsed()", "UNIX_EPOCH", "clock_gettime"];
        for read in reads.into_iter().filter(|read| source.code.contains(read)) {
            assert_eq!(source.module(), Some("time"), "{} reads the clock: {read}", source.path);
        }
    }
}

#[test]
fn only_sync_names_locks_and_atomics() {
    let primitives = ["Mutex", "RwLock", "Condvar", "Barrier", "mpsc", "atomic"];
    let mut excused = BTreeSet::new();
    for source in shipped().iter().filter(|source| source.path != "sync.rs") {
        let mut paths = paths_after("std::sync::", &source.code);
        paths.extend(paths_after("core::sync::", &source.code));
        let is_primitive =
            |path: &&String| path.split("::").next().is_some_and(|head| primitives.contains(&head));
        if let Some(path) = paths.iter().find(is_primitive) {
            let excuse = LOCKS.iter().find(|(file, _)| *file == source.path);
            assert!(excuse.is_some(), "{} names std::sync::{path}: use `sync`", source.path);
            excused.insert(source.path.clone());
        }
    }
    for (file, reason) in LOCKS {
        assert!(excused.contains(*file), "{file} needs no exception any more ({reason})");
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut wrong = Vec::new();
    for source in sources() {
        assert!(source.text.starts_with("//! "), "{} opens without a word", source.path);
        for (number, line) in source.text.lines().enumerate() {
            if !line.is_ascii() || line.len() > 100 {
                wrong.push(format!(
                    "{}:{}: over 100 columns, or not ASCII",
                    source.path,
                    number + 1
                ));
            }
        }
        for name in ["utils", "common", "helpers", "misc", "types", "manager"] {
            let stem = source.path.trim_end_matches(".rs");
            assert!(!stem.split('/').any(|part| part == name), "{}: name it", source.path);
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn paths_are_read_out_of_groups() {
    let code = "use crate::{a, b::{C, d::E}, f as g};\nlet x = crate::h::<T>(); x::crate::no";
    let found: Vec<String> = paths_after("crate::", code).into_iter().collect();
    assert_eq!(found, ["a", "b::C", "b::d::E", "f", "h"]);
}
