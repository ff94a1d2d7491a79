//! ARCHITECTURE.md is a map of files that are there.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

/// The files and folders of the repository, as paths from its root.
fn collect(folder: &Path, root: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), entry.file_name());
        if name == "target" || name == ".git" {
            continue;
        }
        found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        if entry.file_type().unwrap().is_dir() {
            collect(&path, root, found);
        }
    }
}

/// `a/{b,c}.rs` is `a/b.rs` and `a/c.rs`.
fn expand(named: &str) -> Vec<String> {
    let Some((before, rest)) = named.split_once('{') else { return vec![named.to_owned()] };
    let (inside, after) = rest.split_once('}').unwrap();
    inside.split(',').flat_map(|it| expand(&format!("{before}{it}{after}"))).collect()
}

#[test]
fn every_file_that_the_map_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut there = Vec::new();
    collect(root, root, &mut there);
    let map = include_str!("../../ARCHITECTURE.md");
    // What is between backquotes, and is a path: a folder, or a file of a kind that we write.
    let quoted = map.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let is_path = |named: &&str| {
        let is_file =
            [".rs", ".md", ".sql", ".json", ".jsonl"].iter().any(|it| named.ends_with(it));
        (is_file || named.ends_with('/')) && !named.starts_with('/') && !named.contains(' ')
    };
    let named: Vec<_> = quoted.filter(is_path).flat_map(expand).collect();
    assert!(named.len() > 200, "{}", named.len());
    for path in named {
        // An ellipsis, or nothing, stands for the folder that was named before.
        let end = path.trim_start_matches("…/").trim_end_matches('/');
        let is_it = |it: &String| {
            it.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('/'))
        };
        assert!(there.iter().any(is_it), "ARCHITECTURE.md names {path}");
    }
}
