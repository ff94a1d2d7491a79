//! What `docs/operate.md` shows is what runs.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::path::Path;
use std::process::Command;

use common::{Folder, LOG, stderr};

/// The commands of the guide's blocks, one after the other, each with the heading that it stands under.
fn commands(guide: &str) -> Vec<(&str, &str)> {
    let (mut heading, mut is_shell, mut commands) = ("", false, Vec::new());
    for line in guide.lines() {
        match line {
            "```sh" => is_shell = true,
            "```" => is_shell = false,
            command if is_shell && !command.is_empty() => commands.push((heading, command)),
            _ => heading = line.strip_prefix("## ").unwrap_or(heading),
        }
    }
    commands
}

#[test]
fn every_command_of_the_guide_does_what_it_says() {
    let folder = Folder::new();
    std::fs::copy(LOG, folder.path("log.jsonl")).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_guildhall")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let commands = commands(include_str!("../../docs/operate.md"));
    assert!(commands.len() > 10, "{commands:?}");
    for (heading, command) in commands {
        let output = Command::new("sh")
            .args(["-c", command])
            .current_dir(folder.path(""))
            .env("PATH", &path)
            .env_remove("GUILDHALL_DATABASE")
            .output()
            .unwrap();
        // Found by the shell, or not: then it is said which program is missing.
        assert!(output.status.success(), "{heading}: {command}: {}", stderr(&output));
    }
    let exported = std::fs::read_to_string(folder.path("backup.jsonl")).unwrap();
    assert_eq!(exported, std::fs::read_to_string(LOG).unwrap());
}
