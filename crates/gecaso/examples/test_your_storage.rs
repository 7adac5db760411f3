//! A storage of your own, on files; the test that it keeps its promises, in one line; and how a
//! cache lives with it when it does not.

use gecaso::testing::{Chaos, check_storage};
use gecaso::{LruStorage, Params, Result, Storage};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// One file for each entry.
struct FileStorage {
    folder: PathBuf,
    /// Names for what is being written.
    drafts: AtomicU64,
}

impl FileStorage {
    fn new(folder: &Path) -> std::io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(FileStorage { folder: folder.to_owned(), drafts: AtomicU64::new(0) })
    }

    /// Any key as the name of a file: what is not plain, upper case included, by its code. Two keys
    /// are two names, on file systems that fold case, too. Names of files end at 255 symbols, so a
    /// long one goes into folders.
    fn path(&self, key: &str) -> PathBuf {
        let mut name = String::new();
        for byte in key.bytes() {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'_' => name.push(char::from(byte)),
                _ => name.push_str(&format!("%{byte:02x}")),
            }
        }
        let mut path = self.folder.clone();
        let mut rest = &*name;
        while rest.len() > 200 {
            let (folder, behind) = rest.split_at(200);
            path.push(format!("{folder}-"));
            rest = behind;
        }
        path.join(rest)
    }
}

impl Storage for FileStorage {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        match fs::read(self.path(key)) {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn set(&self, key: &str, value: &[u8], _: &Params) -> Result<()> {
        // Written elsewhere, and put in its place in one step: nobody ever reads half of it.
        let number = self.drafts.fetch_add(1, Ordering::Relaxed);
        let draft = self.folder.join(format!("draft-{}-{number}", std::process::id()));
        fs::File::create(&draft)?.write_all(value)?;
        let path = self.path(key);
        fs::create_dir_all(path.parent().expect("below the folder"))?;
        Ok(fs::rename(draft, path)?)
    }

    async fn remove(&self, keys: &[&str]) -> Result<()> {
        for key in keys {
            match fs::remove_file(self.path(key)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }
}

fn main() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("gecaso-example-{}", std::process::id()));

    // The one line: in a plain `#[test]`, say.
    check_storage(FileStorage::new(&folder)?);

    // A storage of yours may be wrapped, and what comes out is a storage.
    check_storage(LruStorage::over(FileStorage::new(&folder)?, 1_000));

    // How does what you build on it do when one operation in five fails? The seed makes it the same
    // failures each time, and the counts prove that they happened.
    let chaos = Chaos::new(FileStorage::new(&folder)?).seed(7).errors(0.2);
    let mut failed = 0;
    for n in 0..100 {
        let asked = pollster::block_on(chaos.get(&format!("key {n}")));
        failed += u64::from(asked.is_err());
    }
    assert_eq!(chaos.counts().errors, failed);
    assert!(failed > 0);
    chaos.heal();
    assert_eq!(pollster::block_on(chaos.get("key 1"))?, None);
    println!("{chaos:#?}");

    // What the report of a broken promise looks like: this storage loses one set in fifty.
    let forgetful = Chaos::new(FileStorage::new(&folder)?).seed(1).lost_sets(0.02);
    let report = std::panic::catch_unwind(|| check_storage(forgetful)).unwrap_err();
    println!("{}", report.downcast_ref::<String>().expect("a report"));

    fs::remove_dir_all(folder)?;
    Ok(())
}
