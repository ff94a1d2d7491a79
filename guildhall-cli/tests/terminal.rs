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
