//! What a terminal shows.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::process::Command;

use common::Folder;

/// What the program writes to a terminal, by way of util-linux's `script`.
fn on_a_terminal(folder: &Folder, arguments: &str, variable: (&str, &str)) -> String {
    let program = env!("CARGO_BIN_EXE_guildhall");
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command"]).arg(format!("{program} {arguments}"));
    script.arg("/dev/null").current_dir(folder.path("")).env_remove("NO_COLOR");
    let output = script.env("TERM", "xterm").env(variable.0, variable.1).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn colours_are_for_terminals_and_for_those_who_want_them() {
    let folder = Folder::imported();
    let coloured = |variable| on_a_terminal(&folder, "status", variable).contains("\u{1b}[");
    assert!(coloured(("NO_COLOR", "")));
    assert!(!coloured(("NO_COLOR", "1")));
    assert!(!coloured(("TERM", "dumb")));
    assert!(!folder.succeed(&["status"]).contains('\u{1b}'));
}

#[test]
fn an_error_on_a_terminal_is_coloured_and_names_no_password() {
    let folder = Folder::new();
    let url = "postgres://guildhall:secret@127.0.0.1:1/ops";
    let said = on_a_terminal(&folder, &format!("--database {url} status"), ("LANG", "C"));
    assert!(said.contains("\u{1b}[31merror\u{1b}[0m: "), "{said}");
    assert!(!said.contains("secret"), "{said}");
}

#[test]
fn progress_fits_the_terminal_and_shows_no_rate_where_nothing_was_done() {
    let folder = Folder::imported();
    let program = env!("CARGO_BIN_EXE_guildhall");
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command"]);
    script.arg(format!("stty rows 24 cols 50; {program} rebuild; {program} project"));
    script.arg("/dev/null").current_dir(folder.path(""));
    let output = script.env("TERM", "xterm").output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let bars: Vec<_> = shown.split(['\r', '\n']).filter(|line| line.contains("150/150")).collect();
    assert!(bars.iter().any(|bar| bar.contains("rebuilding")), "{shown}");
    assert!(bars.iter().any(|bar| bar.contains("projecting")), "{shown}");
    for bar in bars {
        // What clears the line takes no room.
        let bar = bar.trim_start_matches("\u{1b}[2K");
        assert!(bar.chars().count() <= 50, "{bar:?}");
        assert!(!bar.contains("projecting") || !bar.contains("/s"), "{bar:?}");
    }
}
