//! Where the demo keeps results between its runs, and how that folder has behaved.
//!
//! Knows nothing of what is kept.

use crate::progress::grouped;
use crate::storage::FileStorage;
use gecaso::{Far, FarStats, Trouble};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// `GECASO_DEMO_CACHE`, or `target/demo-cache` of this workspace, which `make clean` removes.
pub(crate) fn folder() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    let own = || workspace.unwrap_or(Path::new(".")).join("target").join("demo-cache");
    std::env::var_os("GECASO_DEMO_CACHE").map_or_else(own, PathBuf::from)
}

/// What the folder said when it first failed.
static FIRST_TROUBLE: OnceLock<String> = OnceLock::new();

/// The folder as a storage.
pub(crate) fn files() -> Far {
    Far::new(FileStorage::new(folder())).on_trouble(|trouble| {
        if let Trouble::Failed { .. } = trouble {
            FIRST_TROUBLE.get_or_init(|| trouble.to_string());
        }
    })
}

/// What was found in the folder and is no result of this function; and what it failed to do.
/// `None`: nothing.
pub(crate) fn unusable(far: &FarStats) -> Option<(u64, String)> {
    let kinds = [
        (far.corrupt, "corrupt"),
        (far.foreign, "foreign"),
        (far.outdated, "of another version"),
        (far.disbelieved + far.expired, "too old or too new"),
    ];
    told(&kinds, "entries in the folder are no results: ")
}

/// As [`unusable`], of operations.
pub(crate) fn failed(far: &FarStats) -> Option<(u64, String)> {
    let kinds = [(far.errors, "errors"), (far.timeouts, "too late"), (far.skipped, "not tried")];
    let first = FIRST_TROUBLE.get().map(|said| format!("; {said}")).unwrap_or_default();
    told(&kinds, "operations on the folder: ").map(|(sum, text)| (sum, text + &first))
}

fn told(kinds: &[(u64, &str)], what: &str) -> Option<(u64, String)> {
    let sum = kinds.iter().map(|(count, _)| count).sum();
    let seen = kinds.iter().filter(|(count, _)| *count > 0);
    let texts: Vec<_> = seen.map(|(count, kind)| format!("{} {kind}", grouped(*count))).collect();
    (sum > 0).then(|| (sum, what.to_owned() + &texts.join(", ")))
}
