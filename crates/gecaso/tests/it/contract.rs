//! Holds `docs/contract.md` and `docs/from-python.md` to the sources: every test that they name
//! exists.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the tests that are named as this module may be.
fn places(root: &Path, module: &str) -> Vec<PathBuf> {
    let path = module.replace("::", "/");
    let inline = path.rsplit_once('/').map_or(path.as_str(), |(outer, _)| outer);
    let files = [
        format!("crates/gecaso/tests/it/{path}.rs"),
        format!("crates/gecaso/src/{path}.rs"),
        format!("crates/gecaso-macros/tests/{path}.rs"),
        format!("crates/gecaso-redis-example/tests/{path}.rs"),
        // A module inside of the file.
        format!("crates/gecaso/tests/it/{inline}.rs"),
        format!("crates/gecaso/src/{inline}.rs"),
    ];
    files.iter().map(|file| root.join(file)).filter(|file| file.is_file()).collect()
}

fn exists(root: &Path, name: &str) -> bool {
    if let Some(mistake) = name.strip_prefix("ui/") {
        return root.join("crates/gecaso-macros/tests/ui").join(mistake).is_file();
    }
    let Some((module, test)) = name.rsplit_once("::") else { return false };
    let defines = |file: &PathBuf| {
        let text = fs::read_to_string(file).unwrap();
        text.contains(&format!("fn {test}("))
    };
    places(root, module).iter().any(defines)
}

/// What stands between backticks and names a test.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_:/.".contains(c);
    quoted.filter(move |name| {
        let names = name.contains("::") && !name.starts_with("gecaso::") || name.starts_with("ui/");
        names && name.chars().all(is_name) && !name.ends_with("..")
    })
}

#[test]
fn every_test_that_is_named_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (page, least) in [("docs/contract.md", 100), ("docs/from-python.md", 20)] {
        let text = fs::read_to_string(root.join(page)).unwrap();
        let names: Vec<&str> = named(&text).filter(|name| *name != "file::test").collect();
        assert!(names.len() > least, "only {} tests were found in {page}", names.len());
        let gone: Vec<_> = names.iter().filter(|name| !exists(&root, name)).collect();
        assert!(gone.is_empty(), "named in {page}, and not there: {gone:#?}");
    }
}

#[test]
fn a_test_that_does_not_exist_is_noticed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    assert!(exists(&root, "contract::a_test_that_does_not_exist_is_noticed"));
    assert!(!exists(&root, "contract::another_test"));
    assert!(!exists(&root, "another_file::every_test_that_is_named_exists"));
    assert!(!exists(&root, "ui/no_such_mistake.rs"));
    let text = "`a::b`, a::c and `gecaso::scope`, `ui/x.rs`\n`d`";
    assert_eq!(named(text).collect::<Vec<_>>(), ["a::b", "ui/x.rs"]);
}
