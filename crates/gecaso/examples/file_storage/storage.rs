//! A storage of one's own: a folder with one file per key.
//!
//! Used by the example beside this file and by the demo. Knows nothing of what the bytes mean.

use gecaso::{Params, Result, Storage};
use std::fs;
use std::io::ErrorKind::NotFound;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Keeps entries in files. The folder is made when the first one is set.
pub(crate) struct FileStorage {
    folder: PathBuf,
}

impl FileStorage {
    pub(crate) fn new(folder: impl Into<PathBuf>) -> Self {
        FileStorage { folder: folder.into() }
    }

    /// Keys are 65 digits and underscores, and so are names of files already; not so with
    /// `hash_key = false`.
    fn path(&self, key: &str) -> Result<PathBuf> {
        match key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            true => Ok(self.folder.join(key)),
            false => Err(format!("FileStorage cannot name a file {key:?}").into()),
        }
    }
}

impl Storage for FileStorage {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        match fs::read(self.path(key)?) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn set(&self, key: &str, value: &[u8], _: &Params) -> Result<()> {
        // Under a name of this write's own, then renamed: nobody reads half a file.
        static WRITES: AtomicU64 = AtomicU64::new(0);
        let (path, write) = (self.path(key)?, WRITES.fetch_add(1, Relaxed));
        let new = self.folder.join(format!("{}.{write}.new", std::process::id()));
        fs::create_dir_all(&self.folder)?;
        let renamed = fs::write(&new, value).and_then(|()| fs::rename(&new, path));
        renamed.map_err(|error| {
            let _ = fs::remove_file(&new); // a full disk gets its room back
            error.into()
        })
    }

    async fn remove(&self, keys: &[&str]) -> Result<()> {
        for key in keys {
            match fs::remove_file(self.path(key)?) {
                Err(error) if error.kind() != NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }
}
