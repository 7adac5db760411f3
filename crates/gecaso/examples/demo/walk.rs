//! Lists the files below a directory, and keeps a list of what is odd about them.
//!
//! Knows nothing of what is read from the files.

use crate::progress::Progress;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A file below the directory, with all that its key is made of.
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) length: u64,
    pub(crate) changed: SystemTime,
}

/// When a file was last changed in any way. Results are kept for longer than a process lives, and
/// the time of modification can be set back by whoever copies or unpacks a file.
#[cfg(unix)]
pub(crate) fn changed(meta: &fs::Metadata) -> io::Result<SystemTime> {
    use std::os::unix::fs::MetadataExt;
    let seconds = u64::try_from(meta.ctime()).unwrap_or(0);
    let nanos = u32::try_from(meta.ctime_nsec()).unwrap_or(0);
    Ok(SystemTime::UNIX_EPOCH + std::time::Duration::new(seconds, nanos))
}

/// When a file was last changed.
#[cfg(not(unix))]
pub(crate) fn changed(meta: &fs::Metadata) -> io::Result<SystemTime> {
    meta.modified()
}

/// What could not be read or is worth saying: how often, and the first three.
#[derive(Default)]
pub(crate) struct Oddities(pub(crate) BTreeMap<&'static str, (u64, Vec<String>)>);

impl Oddities {
    pub(crate) fn note(&mut self, kind: &'static str, path: &Path, why: Option<&io::Error>) {
        let (count, first) = self.0.entry(kind).or_default();
        *count += 1;
        if first.len() < 3 {
            let why = why.map(|error| format!(": {error}")).unwrap_or_default();
            first.push(format!("{}{why}", path.display()));
        }
    }
}

/// Lists the regular files below a directory, sorted. Symlinks are not followed, so there are no
/// loops and no file is met twice; those that lead nowhere are noted. `own` is left out: a folder
/// of results must not hold results about itself, or it doubles with every run.
pub(crate) fn walk(
    root: &Path,
    own: &Path,
    odd: &mut Oddities,
    progress: &mut Progress,
) -> Vec<Found> {
    let is_own = |folder: &Path| {
        let same = || Some(fs::canonicalize(folder).ok()? == fs::canonicalize(own).ok()?);
        folder.file_name() == own.file_name() && same().unwrap_or(false)
    };
    let (mut files, mut open) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = open.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                odd.note("unreadable directories", &folder, Some(&error));
                continue;
            }
        };
        for entry in entries {
            let path = match entry {
                Ok(entry) => entry.path(),
                Err(error) => {
                    odd.note("unreadable directories", &folder, Some(&error));
                    break;
                }
            };
            if path.file_name().is_some_and(|name| name.to_str().is_none()) {
                odd.note("names that are not UTF-8 (read all the same)", &path, None);
            }
            match fs::symlink_metadata(&path) {
                Ok(meta) if meta.is_dir() && is_own(&path) => {
                    odd.note("folder of the demo's own (left out)", &path, None);
                }
                Ok(meta) if meta.is_dir() => open.push(path),
                Ok(meta) if meta.is_file() => match changed(&meta) {
                    Ok(changed) => files.push(Found { path, length: meta.len(), changed }),
                    Err(error) => odd.note("unreadable files", &path, Some(&error)),
                },
                Ok(meta) if meta.is_symlink() => match fs::metadata(&path) {
                    Ok(_) => odd.note("symlinks (not followed)", &path, None),
                    Err(error) => odd.note("broken symlinks", &path, Some(&error)),
                },
                Ok(_) => odd.note("neither files nor directories", &path, None),
                Err(error) => odd.note("unreadable files", &path, Some(&error)),
            }
            progress.at(files.len() as u64);
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}
