//! What the gecaso crate is called where the attribute is used: Cargo.toml may rename it.
//!
//! Called by `driver`. A small scanner, not a TOML parser: it reads
//! `name = { package = "gecaso" }`, `name.package = "gecaso"`, `[dependencies.name]` tables and
//! `workspace = true`, and falls back to `gecaso` for whatever it does not understand (the word
//! `crate` overrides it). Must not fail.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use std::path::Path;

/// The path of the crate in the user's code.
pub(crate) fn krate() -> TokenStream {
    let name = std::env::var_os("CARGO_MANIFEST_DIR")
        .and_then(|dir| find(Path::new(&dir)))
        .unwrap_or_else(|| "gecaso".to_string());
    let name = Ident::new(&name.replace('-', "_"), Span::call_site());
    quote!(::#name)
}

/// The new name, if there is one.
fn find(dir: &Path) -> Option<String> {
    let manifest = std::fs::read_to_string(dir.join("Cargo.toml")).ok()?;
    let dependencies = dependencies(&manifest);
    if dependencies.iter().any(|one| one.name == "gecaso" && one.package.is_none()) {
        return None;
    }
    let direct = dependencies.iter().find(|one| one.package.as_deref() == Some("gecaso"));
    if let Some(one) = direct {
        return Some(one.name.clone());
    }
    let inherited: Vec<_> = dependencies.into_iter().filter(|one| one.workspace).collect();
    if inherited.is_empty() {
        return None;
    }
    let root = dir
        .ancestors()
        .filter_map(|dir| std::fs::read_to_string(dir.join("Cargo.toml")).ok())
        .find(|manifest| manifest.lines().any(|line| table(line).is_some_and(in_workspace)))?;
    let shared = self::dependencies(&root);
    let renamed = |name: &str| {
        shared.iter().any(|one| one.name == name && one.package.as_deref() == Some("gecaso"))
    };
    inherited.into_iter().find(|one| renamed(&one.name)).map(|one| one.name)
}

#[derive(Debug, Default, PartialEq)]
struct Dependency {
    name: String,
    package: Option<String>,
    workspace: bool,
}

fn in_workspace(table: &str) -> bool {
    table == "workspace" || table.starts_with("workspace.")
}

/// The name in `[name]`.
fn table(line: &str) -> Option<&str> {
    let line = line.trim().strip_prefix('[')?;
    if line.starts_with('[') {
        return Some("");
    }
    Some(line.split(']').next()?.trim())
}

fn is_dependencies(part: &str) -> bool {
    matches!(part, "dependencies" | "dev-dependencies" | "build-dependencies")
}

/// Every dependency in a manifest, of every kind and target.
fn dependencies(manifest: &str) -> Vec<Dependency> {
    let mut found: Vec<Dependency> = Vec::new();
    // In a list of dependencies; or in the table of one, which is then the last found.
    let (mut in_list, mut in_one) = (false, false);
    for line in logical_lines(manifest) {
        if let Some(name) = table(&line) {
            let parts = dotted(name);
            let last = parts.len().wrapping_sub(1);
            in_list = parts.last().is_some_and(|part| is_dependencies(part));
            in_one = last >= 1
                && last != usize::MAX
                && parts.get(last - 1).is_some_and(|part| is_dependencies(part));
            if in_one {
                found.push(Dependency { name: parts[last].clone(), ..Dependency::default() });
            }
            continue;
        }
        let Some((left, right)) = line.split_once('=') else { continue };
        let path = dotted(left);
        let (name, field) = match (in_list, in_one, &path[..]) {
            (true, _, [name]) => (Some(name), None),
            (true, _, [name, field]) => (Some(name), Some(field.as_str())),
            (_, true, [field]) => (None, Some(field.as_str())),
            _ => continue,
        };
        if let Some(name) = name
            && found.last().is_none_or(|last| last.name != *name)
        {
            found.push(Dependency { name: name.clone(), ..Dependency::default() });
        }
        let Some(one) = found.last_mut() else { continue };
        let mut set = |field: &str, value: &str| match field {
            "package" => one.package = Some(unquoted(value)),
            "workspace" => one.workspace = value.trim() == "true",
            _ => {}
        };
        match field {
            Some(field) => set(field, right),
            None => {
                let inline = right.trim().trim_start_matches('{').trim_end_matches('}');
                for pair in inline.split(',') {
                    if let Some((field, value)) = pair.split_once('=') {
                        set(field.trim(), value);
                    }
                }
            }
        }
    }
    found
}

/// Lines without comments; one that ends inside brackets continues.
fn logical_lines(manifest: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = String::new();
    for line in manifest.lines() {
        open.push_str(uncommented(line));
        let depth = |from: char, to: char| open.matches(from).count() > open.matches(to).count();
        if depth('{', '}') || depth('[', ']') {
            open.push(' ');
        } else {
            lines.push(std::mem::take(&mut open));
        }
    }
    lines
}

fn uncommented(line: &str) -> &str {
    let mut quote = None;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') => return &line[..at],
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
    }
    line
}

fn unquoted(text: &str) -> String {
    text.trim().trim_matches(['"', '\'']).to_string()
}

/// `target.'cfg(unix)'.dependencies` in parts.
fn dotted(path: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quote = None;
    for c in path.trim().chars() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            (None, '.') => parts.push(String::new()),
            _ => parts.last_mut().expect("never empty").push(c),
        }
    }
    parts.iter().map(|part| part.trim().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(manifest: &str) -> Option<String> {
        let all = dependencies(manifest);
        all.into_iter().find(|one| one.package.as_deref() == Some("gecaso")).map(|one| one.name)
    }

    #[test]
    fn a_renamed_dependency_is_found() {
        for manifest in [
            "[dependencies]\na = \"1\"\ncachelib = { version = \"1\", package = \"gecaso\" } # x",
            "[dependencies]\ncachelib.package = \"gecaso\"\ncachelib.path = \"..\"",
            "[dependencies.cachelib]\npath = \"..\"\npackage = 'gecaso'\n[features]\na = []",
            "[target.'cfg(unix)'.dependencies]\n\"cachelib\" = {package=\"gecaso\"}",
            "[dev-dependencies]\ncachelib = { features = [\n \"a\", # x\n], package = \"gecaso\" }",
        ] {
            assert_eq!(renamed(manifest).as_deref(), Some("cachelib"), "{manifest}");
        }
        assert_eq!(renamed("[dependencies]\ngecaso = \"1\""), None);
        assert_eq!(renamed("[package.metadata]\nx = { package = \"gecaso\" }"), None);
        assert_eq!(renamed("[dependencies]\n# cachelib = { package = \"gecaso\" }"), None);
    }

    #[test]
    fn an_inherited_dependency_is_seen_as_one() {
        for manifest in [
            "[dependencies]\ncachelib.workspace = true",
            "[dependencies]\ncachelib = { workspace = true }",
            "[dependencies.cachelib]\nworkspace = true",
        ] {
            let all = dependencies(manifest);
            assert!(all.iter().any(|one| one.name == "cachelib" && one.workspace), "{manifest}");
        }
        let root = "[workspace.dependencies]\ncachelib = { package = \"gecaso\", path = \"x\" }";
        assert_eq!(renamed(root).as_deref(), Some("cachelib"));
    }
}
