//! Runs the examples in a folder of its own.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use serde_json::Value;

static PROJECTOR: LazyLock<PathBuf> = LazyLock::new(|| built("projector"));
static CONSOLE: LazyLock<PathBuf> = LazyLock::new(|| built("console"));

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

    /// Runs, and answers standard output if all went well.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs, and answers the one message of the failure.
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
