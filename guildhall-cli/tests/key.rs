//! Keys: made once, for their owner alone.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use common::Folder;

#[test]
fn a_key_is_made_once_and_its_public_half_shown() {
    let folder = Folder::new();
    let vkey = folder.succeed(&["key", "new", "guildhall/demo", "--out", "log.key"]);
    assert_eq!(folder.names(), ["log.key"], "no database is made");
    assert_eq!(folder.succeed(&["key", "show", "log.key"]), vkey);
    let shown = folder.json(&["key", "show", "log.key"]);
    assert_eq!(shown["vkey"], vkey.trim_end());
    assert_eq!((&shown["name"], &shown["type"]), (&"guildhall/demo".into(), &"ed25519".into()));
    let id = shown["id"].as_str().unwrap();
    assert!(vkey.starts_with(&format!("guildhall/demo+{id}+A")), "{vkey}");

    let file = folder.path("log.key");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    let before = fs::read(&file).unwrap();
    let said = folder.fail(1, &["key", "new", "guildhall/demo", "--out", "log.key"]);
    assert!(said.contains("exists already") && said.contains("key show"), "{said}");
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn a_witness_has_a_key_of_another_type() {
    let folder = Folder::new();
    let arguments = ["key", "new", "w.example/1", "--out", "w.key", "--witness"];
    let shown = folder.json(&arguments);
    assert_eq!(shown["type"], "cosignature");
    assert!(shown["vkey"].as_str().unwrap().contains("+B"), "{shown}");
}

#[test]
fn a_key_that_will_not_do_is_refused_with_what_to_do() {
    let folder = Folder::new();
    folder.succeed(&["key", "new", "w.example", "--out", "open.key"]);
    let secret = fs::read_to_string(folder.path("open.key")).unwrap();
    fs::set_permissions(folder.path("open.key"), Permissions::from_mode(0o644)).unwrap();
    fs::write(folder.path("other"), "no key").unwrap();
    fs::set_permissions(folder.path("other"), Permissions::from_mode(0o600)).unwrap();
    for (arguments, code, expected) in [
        (&["key", "show", "open.key"][..], 1, "chmod 600 open.key"),
        (&["key", "show", "other"], 1, "does not hold a private key"),
        (&["key", "show", "missing"], 1, "check the path"),
        (&["key", "show", "."], 1, "not a regular file"),
        (&["key", "new", "two words", "--out", "new.key"], 2, "cannot name a key"),
        (&["key", "new", "a+b", "--out", "new.key"], 2, "cannot name a key"),
        (&["key", "new", "w.example"], 2, "--out"),
        (&["key", "new", "w.example", "--out", "no/such/folder"], 1, "check the path"),
    ] {
        let said = folder.fail(code, arguments);
        assert!(said.contains(expected), "{arguments:?}: {said}");
        assert!(!said.contains(secret.trim_end()), "{said}");
    }
    assert_eq!(folder.names(), ["open.key", "other"]);
}
