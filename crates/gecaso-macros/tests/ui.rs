//! Every mistake has one message, at its place, with the way out: checks the files in `ui/`.
//!
//! A file says what it expects: `//~ ERROR text` on the line of an error, `//~^ ERROR text` one
//! line below it (one `^` a line), and `//~ NOTE text` for what else that error must say. Each
//! error is compared by line and by a part of its text; an error nobody expects fails the test. No
//! snapshots: those break with each compiler. `GECASO_UI=name` checks the files with that in their
//! name only, `GECASO_UI_CRATE=path` with another copy of the library.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// What one diagnostic says, all of it.
#[derive(Debug)]
struct Said {
    line: usize,
    text: String,
}

/// What a file expects at a line.
#[derive(Debug)]
struct Expected {
    line: usize,
    is_error: bool,
    text: String,
}

#[test]
fn mistakes_are_explained() {
    let only = std::env::var("GECASO_UI").unwrap_or_default();
    let mut files: Vec<PathBuf> = fs::read_dir(Path::new(HERE).join("tests/ui"))
        .expect("the folder of mistakes")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter(|path| stem(path).contains(&only))
        .collect();
    files.sort();
    assert!(!only.is_empty() || files.len() >= 28, "only {} mistakes", files.len());
    let package = package("ui", "gecaso = { path = GECASO }", "", &files);
    let said = check(&package);
    let mut report = String::new();
    for file in &files {
        let source = fs::read_to_string(file).expect("readable");
        let name = stem(file);
        compare(&name, &expectations(&source), said.get(&name), &mut report);
    }
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn a_renamed_dependency_is_found() {
    for (name, dependency, workspace) in [
        ("renamed", "cachelib = { package = \"gecaso\", path = GECASO }", ""),
        (
            "inherited",
            "cache-lib.workspace = true",
            "[workspace.dependencies]\ncache-lib = { package = \"gecaso\", path = GECASO }",
        ),
    ] {
        let krate = dependency.split([' ', '.']).next().unwrap_or_default().replace('-', "_");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.rs"));
        let source = format!(
            "#[{krate}::cached({krate}::LruStorage::new(3), ttl = 5)]\n\
             fn f(n: u32, text: &str) -> Result<u32, String> {{ Ok(n + text.len() as u32) }}\n\
             #[{krate}::cached]\nasync fn g<T: Send>(n: u32) -> Option<u32> {{ Some(n) }}\n\
             #[derive(Clone, PartialEq, Eq, Hash, {krate}::Key)]\nstruct S;\n\
             impl S {{ #[{krate}::cached] fn m(&self) -> u32 {{ 1 }} }}\n\
             fn main() {{\n    f(1, \"a\").unwrap();\n    drop(g::<u8>(1));\n    S.m();\n    \
             f::invalidate(1, \"a\");\n}}\n"
        );
        fs::write(&folder, source).expect("writable");
        let package = package(name, dependency, workspace, &[folder]);
        let said = check(&package);
        assert!(said.values().all(Vec::is_empty), "{name}: {said:#?}");
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().and_then(|stem| stem.to_str()).expect("a plain name").to_string()
}

/// Writes a package with a binary for each file.
fn package(name: &str, dependency: &str, workspace: &str, files: &[PathBuf]) -> PathBuf {
    let root = Path::new(HERE).join("../..");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).expect("a folder");
    let gecaso = std::env::var("GECASO_UI_CRATE")
        .map_or_else(|_| root.join("crates/gecaso"), PathBuf::from)
        .canonicalize()
        .expect("the crate");
    let gecaso = format!("{:?}", gecaso.display().to_string());
    let mut manifest = format!(
        "[package]\nname = \"gecaso-{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         autobins = false\n\n[workspace]\n{workspace}\n\n[dependencies]\n{dependency}\n"
    )
    .replace("GECASO", &gecaso);
    for file in files {
        let (name, path) = (stem(file), file.display().to_string());
        write!(manifest, "\n[[bin]]\nname = \"{name}\"\npath = {path:?}\n").expect("a string");
    }
    fs::write(folder.join("Cargo.toml"), manifest).expect("writable");
    // The versions of the workspace, so that nothing needs the network.
    let lock = root.join("Cargo.lock");
    if lock.exists() {
        fs::copy(lock, folder.join("Cargo.lock")).expect("writable");
    }
    folder
}

/// The errors of each binary.
fn check(package: &Path) -> BTreeMap<String, Vec<Said>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["check", "--bins", "--keep-going", "--message-format=json", "--offline", "-q"])
        .current_dir(package)
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("checked"))
        .env_remove("RUSTFLAGS")
        .output()
        .expect("cargo runs");
    let mut all: BTreeMap<String, Vec<Said>> = BTreeMap::new();
    let mut finished = false;
    let mut seen = std::collections::BTreeSet::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        finished |= message["reason"] == "build-finished";
        if message["target"]["kind"][0] != "bin" {
            assert!(message["message"]["level"] != "error", "{}", message["message"]["rendered"]);
            continue;
        }
        let name = message["target"]["name"].as_str().unwrap_or_default().to_string();
        let errors = all.entry(name).or_default();
        let message = &message["message"];
        let spans = message["spans"].as_array().cloned().unwrap_or_default();
        if message["level"] != "error" || spans.is_empty() {
            continue;
        }
        // Cargo shows the same message once, and an expansion repeats the user's expressions.
        if !seen.insert(message["rendered"].to_string()) {
            continue;
        }
        let mut text = String::new();
        collect(message, &mut text);
        let primary = spans.iter().find(|span| span["is_primary"] == true);
        let line = primary.and_then(|span| span["line_start"].as_u64()).unwrap_or(0);
        errors.push(Said { line: usize::try_from(line).unwrap_or(0), text });
    }
    assert!(finished, "cargo did not come that far:\n{}", String::from_utf8_lossy(&output.stderr));
    all
}

/// Message, labels and notes.
fn collect(message: &Value, text: &mut String) {
    let mut add = |value: &Value| {
        text.push_str(value.as_str().unwrap_or_default());
        text.push('\n');
    };
    add(&message["message"]);
    for span in message["spans"].as_array().into_iter().flatten() {
        add(&span["label"]);
    }
    for child in message["children"].as_array().into_iter().flatten() {
        collect(child, text);
    }
}

fn expectations(source: &str) -> Vec<Expected> {
    let mut expected: Vec<Expected> = Vec::new();
    for (index, line) in source.lines().enumerate() {
        let Some((_, comment)) = line.split_once("//~") else { continue };
        let text = comment.trim_start_matches('^');
        let up = comment.len() - text.len();
        let (kind, text) = text.trim().split_once(' ').expect("`//~ ERROR text`");
        assert!(kind == "ERROR" || kind == "NOTE", "neither ERROR nor NOTE: {line}");
        expected.push(Expected {
            line: index + 1 - up,
            is_error: kind == "ERROR",
            text: text.trim().to_string(),
        });
    }
    expected
}

fn compare(name: &str, expected: &[Expected], said: Option<&Vec<Said>>, report: &mut String) {
    let mut said: Vec<&Said> = said.into_iter().flatten().collect();
    let complete: Vec<&Said> = said.clone();
    let mut fail = |line: usize, what: String| {
        let _ = writeln!(report, "tests/ui/{name}.rs:{line}: {what}");
    };
    if !expected.iter().any(|one| one.is_error) {
        fail(1, "expects no error at all".to_string());
    }
    for one in expected {
        let fits = |said: &&Said| said.line == one.line && said.text.contains(&one.text);
        if !one.is_error {
            if !complete.iter().any(fits) {
                fail(one.line, format!("no error here says `{}`", one.text));
            }
        } else if let Some(at) = said.iter().position(fits) {
            said.remove(at);
        } else {
            fail(one.line, format!("missing: `{}`", one.text));
        }
    }
    for said in said {
        fail(said.line, format!("unexpected:\n    {}", said.text.trim().replace('\n', "\n    ")));
    }
}
