//! Runs the examples in a folder of its own.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{LazyLock, mpsc};
use std::time::Duration;

use guildhall_store_sqlite::rusqlite::Connection;
use serde_json::Value;

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

static PROJECTOR: LazyLock<PathBuf> = LazyLock::new(|| built("projector"));
static CONSOLE: LazyLock<PathBuf> = LazyLock::new(|| built("console"));

/// What the example of two houses that witness each other says and how it ends.
pub(crate) fn two_guildhalls() -> Output {
    Command::new(built("two_guildhalls")).output().unwrap()
}

/// A built example. `cargo test` builds it; `cargo test --test cli` alone may not.
fn built(example: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap();
    // target/debug/deps/cli-0123 stands beside target/debug/examples/projector.
    let profile = this.parent().unwrap().parent().unwrap();
    let path =
        profile.join("examples").join(example).with_extension(std::env::consts::EXE_EXTENSION);
    if !path.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "-p", "guildhall-examples", "--example", example]);
        cargo.arg("--target-dir").arg(profile.parent().unwrap());
        for (feature, is_on) in [
            ("postgres", cfg!(feature = "postgres")),
            ("console", cfg!(feature = "console")),
            ("witness", cfg!(feature = "witness")),
            ("log", cfg!(feature = "log")),
            ("suite", cfg!(feature = "suite")),
        ] {
            if is_on {
                cargo.args(["--features", feature]);
            }
        }
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success(), "building the {example} example");
    }
    path
}

/// A folder and, in it, `guildhall.db`, the default database.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
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

    /// How many entries the Chronicle has in the database of this name, read as a copy would be.
    pub(crate) fn entries_in(&self, name: &str) -> u64 {
        let connection = Connection::open(self.path(name)).unwrap();
        let count = connection
            .query_row("SELECT count(*) FROM chronicle_entries", [], |row| row.get::<_, i64>(0));
        count.unwrap().try_into().unwrap()
    }

    /// The projector, about to run here.
    pub(crate) fn projector(&self, arguments: &[&str]) -> Command {
        self.example(&PROJECTOR, arguments)
    }

    /// The console, about to run here.
    pub(crate) fn console(&self, arguments: &[&str]) -> Command {
        self.example(&CONSOLE, arguments)
    }

    fn example(&self, path: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(path);
        command.current_dir(self.0.path()).args(arguments).env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.projector(arguments).output().unwrap()
    }

    /// Runs it, and returns standard output if all went well.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs it, and returns the one message of the failure.
    pub(crate) fn fail(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let stderr = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let errors: Vec<_> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{stderr}");
        errors[0].to_owned()
    }

    /// The report of a run.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["--json"]].concat();
        let stdout = self.succeed(&arguments);
        assert_eq!(stdout.lines().count(), 1, "{stdout}");
        serde_json::from_str(&stdout).unwrap()
    }
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A follower, and the lines that it prints.
pub(crate) struct Follower {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Follower {
    pub(crate) fn start(folder: &Folder, arguments: &[&str]) -> Self {
        let mut child = folder.projector(&[arguments, &["--follow"]].concat()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (line, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for text in stdout.lines() {
                let _ = line.send(text.unwrap());
            }
        });
        Self { child, lines }
    }

    pub(crate) fn line_with(&self, wanted: &str) -> String {
        loop {
            let line = self
                .lines
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| panic!("no line with {wanted:?}"));
            if line.contains(wanted) {
                return line;
            }
        }
    }

    /// Waits for its end; returns its exit code and what it said on standard error.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }

    /// Sends it a signal and waits for its end.
    #[cfg(unix)]
    pub(crate) fn end(self, with: &str) -> (Option<i32>, String) {
        signal(&self.child, with);
        self.ended()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal, such as `-TERM`.
#[cfg(unix)]
pub(crate) fn signal(child: &Child, signal: &str) {
    let kill = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
}
