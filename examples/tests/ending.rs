//! However a program ends, what it did is whole: the database stands alone, the exit code and the
//! message say what happened.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::{Folder, Follower, PATIENCE, signal, stderr};
use guildhall_examples::story;

fn assert_stands_alone(folder: &Folder, entries: u64) {
    assert!(folder.path("guildhall.db").exists());
    for beside in ["guildhall.db-wal", "guildhall.db-shm"] {
        assert!(!folder.path(beside).exists(), "{beside} is left");
    }
    std::fs::copy(folder.path("guildhall.db"), folder.path("copy.db")).unwrap();
    assert_eq!(folder.entries_in("copy.db"), entries, "a copy of the file is the whole");
}

#[test]
fn after_a_run_a_copy_of_the_file_is_the_whole_log() {
    let folder = Folder::new();
    folder.succeed(&[]);
    assert_stands_alone(&folder, 150);
    let copied = folder.json(&["--database", "sqlite:copy.db"]);
    assert_eq!(copied, folder.json(&[]));
}

#[test]
fn a_follower_that_is_told_to_end_leaves_the_file_alone() {
    for how in ["-TERM", "-INT"] {
        let folder = Folder::new();
        let follower = Follower::start(&folder, &[]);
        follower.line_with("following");
        let (code, said) = follower.end(how);
        assert_eq!(code, Some(0), "{how}: {said}");
        assert_stands_alone(&folder, 150);
    }
}

#[test]
fn an_interrupted_import_says_so_keeps_what_it_has_and_goes_on() {
    let folder = Folder::new();
    let mut child = folder.projector(&["--generate", "1000000"]).spawn().unwrap();
    let began = std::time::Instant::now();
    // The first entries are in the log beside the file.
    let has_begun = || {
        let beside = std::fs::metadata(folder.path("guildhall.db-wal"));
        beside.is_ok_and(|found| found.len() > 1 << 20)
    };
    while !has_begun() {
        assert!(began.elapsed() < PATIENCE && child.try_wait().unwrap().is_none());
        std::thread::yield_now();
    }
    signal(&child, "-TERM");
    let output = child.wait_with_output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("error: interrupted"), "{said}");
    let kept = folder.entries_in("guildhall.db");
    assert!(kept > 0 && kept.is_multiple_of(4096), "{kept}");
    assert_stands_alone(&folder, kept);
    assert_eq!(folder.json(&["--generate", "1000"])["head"], kept);
}

#[test]
fn a_failure_leaves_the_file_alone_too() {
    let folder = Folder::new();
    std::fs::write(folder.path("bad.jsonl"), format!("{}{{", lines(0, 10))).unwrap();
    folder.fail(&["--chronicle", "bad.jsonl"]);
    assert_stands_alone(&folder, 10);
}

/// The story's lines from here to there.
fn lines(from: usize, to: usize) -> String {
    story::JSONL.split_inclusive('\n').skip(from).take(to - from).collect()
}

#[test]
fn a_follower_that_fails_says_why() {
    // What ended it and that it ended are heard at once: again and again, either may come first.
    for _ in 0..12 {
        let folder = Folder::new();
        std::fs::write(folder.path("first.jsonl"), lines(0, 60)).unwrap();
        std::fs::write(folder.path("all.jsonl"), lines(0, 70)).unwrap();
        let follower =
            Follower::start(&folder, &["--chronicle", "first.jsonl", "--halt-on-violation"]);
        follower.line_with("following");
        folder.succeed(&["--chronicle", "all.jsonl"]);
        let (code, said) = follower.ended();
        assert_eq!(code, Some(1), "{said}");
        let errors: Vec<_> = said.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(errors.len() == 1 && errors[0].contains("CC04"), "{said}");
    }
}
