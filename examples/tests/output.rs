//! What the arguments name beside the database: checked before it is touched, and nothing is
//! overwritten or lost on the way.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use common::{Folder, stderr};
use guildhall_examples::story;

#[test]
fn what_cannot_be_read_or_written_leaves_no_database_behind() {
    let folder = Folder::new();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("localhost:{}", holder.local_addr().unwrap().port());
    let mut cases = vec![
        (["--chronicle", "absent.jsonl"], "absent.jsonl"),
        (["--chronicle", "."], "it is a folder"),
        (["--export", "absent/out.jsonl"], "its folder does not exist"),
        (["--export", "."], "it is a folder"),
    ];
    if cfg!(feature = "console") {
        cases.push((["--serve", taken.as_str()], "in use"));
    }
    for (arguments, expected) in cases {
        let error = folder.fail(&arguments);
        assert!(error.contains(expected), "{error}");
        assert!(folder.names().is_empty(), "{arguments:?} left {:?}", folder.names());
    }
}

#[test]
fn an_export_is_for_its_owner_alone() {
    let folder = Folder::new();
    fs::write(folder.path("out.jsonl"), "what was there").unwrap();
    folder.succeed(&["--export", "out.jsonl"]);
    let mode = fs::metadata(folder.path("out.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read_to_string(folder.path("out.jsonl")).unwrap(), story::JSONL);
    assert_eq!(folder.names(), ["guildhall.db", "out.jsonl"]);
}

#[test]
fn an_export_follows_no_link() {
    let folder = Folder::new();
    fs::write(folder.path("victim"), "untouched").unwrap();
    symlink("victim", folder.path("out.jsonl.partial")).unwrap();
    symlink("victim", folder.path("link.jsonl")).unwrap();
    for (target, expected) in [("out.jsonl", "in the way"), ("link.jsonl", "symbolic link")] {
        let output = folder.run(&["--export", target, "--json"]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(expected), "{said}");
        assert_eq!(fs::read_to_string(folder.path("victim")).unwrap(), "untouched");
    }
    assert!(!folder.path("out.jsonl").exists());
}

#[test]
fn what_a_killed_export_left_is_replaced() {
    let folder = Folder::new();
    fs::write(folder.path("out.jsonl.partial"), "half").unwrap();
    folder.succeed(&["--export", "out.jsonl"]);
    assert_eq!(folder.names(), ["guildhall.db", "out.jsonl"]);
}

/// The projector by way of a shell, which redirects as this says.
fn redirected(folder: &Folder, how: &str) -> std::process::Output {
    let projector = folder.projector(&[]);
    let mut shell = std::process::Command::new("sh");
    shell.arg("-c").arg(format!("exec \"$0\" --export - {how}")).arg(projector.get_program());
    shell.current_dir(folder.path("")).output().unwrap()
}

#[test]
fn an_export_that_nobody_can_get_is_a_failure_or_said_to_be_lost() {
    let folder = Folder::new();
    for nowhere in [">&-", ">/dev/null"] {
        let output = redirected(&folder, nowhere);
        assert_eq!(output.status.code(), Some(0), "{nowhere}: {}", stderr(&output));
        assert!(stderr(&output).contains("to the null device"), "{}", stderr(&output));
    }
    for how in ["1</dev/zero", ">/dev/full"] {
        let output = redirected(&folder, how);
        assert_eq!(output.status.code(), Some(1), "{how}: {}", stderr(&output));
    }
}
