//! Runs the program in a folder of its own.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io::{BufRead as _, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

/// A Chronicle of 150 entries about nine artifacts, one of them in quarantine.
pub(crate) const LOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/story.jsonl");

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A folder and, in it, `guildhall.db`, the default database.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// One whose database holds the log and its tables.
    pub(crate) fn imported() -> Self {
        let folder = Self::new();
        folder.succeed(&["import", LOG]);
        folder.succeed(&["project"]);
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What is in it, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }

    /// The program, about to run here.
    pub(crate) fn guildhall(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_guildhall"));
        command.current_dir(self.0.path()).args(arguments);
        for variable in ["DATABASE", "CUSTODY_POLICY", "TOKEN"] {
            command.env_remove(format!("GUILDHALL_{variable}"));
        }
        command.env_remove("RUST_LOG").env_remove("NOTIFY_SOCKET");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.guildhall(arguments).output().unwrap()
    }

    /// Runs it, and returns standard output if all went well.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs it, and returns the message of a failure that ends with this exit code.
    pub(crate) fn fail(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        stderr(&output)
    }

    /// The document that a run prints.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let stdout = self.succeed(&[arguments, &["--json"]].concat());
        assert_eq!(stdout.lines().count(), 1, "{stdout}");
        serde_json::from_str(&stdout).unwrap()
    }
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A program that stays, and the lines that it writes.
pub(crate) struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    errors: mpsc::Receiver<String>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = read_lines(child.stdout.take().unwrap());
        let errors = read_lines(child.stderr.take().unwrap());
        Self { child, lines, errors }
    }

    /// Waits for a line on standard output with this text.
    pub(crate) fn line_with(&mut self, wanted: &str) -> String {
        find(&self.lines, wanted)
    }

    /// Waits for a line on standard error with this text.
    pub(crate) fn error_with(&mut self, wanted: &str) -> String {
        find(&self.errors, wanted)
    }

    /// Sends it a signal, such as `-TERM`.
    pub(crate) fn signal(&self, signal: &str) {
        let kill = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(kill.unwrap().success());
    }

    /// Waits for its end; returns its exit code and what it said on standard error besides.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        let said: Vec<_> = self.errors.iter().collect();
        (code, said.join("\n"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_lines(from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (line, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for text in BufReader::new(from).lines() {
            let _ = line.send(text.unwrap());
        }
    });
    lines
}

fn find(lines: &mpsc::Receiver<String>, wanted: &str) -> String {
    loop {
        let line =
            lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no line with {wanted:?}"));
        if line.contains(wanted) {
            return line;
        }
    }
}
