//! The example's story, end to end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "health.rs"]
mod health;

#[cfg(unix)]
use std::io::{BufRead as _, BufReader};
use std::process::Command;
#[cfg(unix)]
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use guildhall_core::memory::{MemoryChronicle, MemoryOpsDb};
use guildhall_projector::ceremony::{
    CeremonyFeed, CeremonyOrchestrator, FeedError, FeedState, FeedStatus, Intake,
};
use tokio::sync::watch;
use tokio::time::timeout;

/// The built example. `cargo test` builds it; `cargo test --test fake` alone may not.
fn example() -> Command {
    let this = std::env::current_exe().unwrap();
    // target/debug/deps/fake-0123 stands beside target/debug/examples/kube_watch.
    let profile = this.parent().unwrap().parent().unwrap();
    let extension = std::env::consts::EXE_EXTENSION;
    let path = profile.join("examples").join("kube_watch").with_extension(extension);
    if !path.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "-p", "guildhall-kube-example", "--example", "kube_watch"]);
        cargo.arg("--target-dir").arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success(), "building the example");
    }
    let mut command = Command::new(path);
    command.env_remove("RUST_LOG");
    command
}

#[test]
fn without_a_cluster_the_story_shows_what_is_recorded_and_what_is_not() {
    let output = example().arg("--fake").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let mut rest = text.as_str();
    for expected in [
        "calder.example: opened by amara.osei: raise the TTL\n",
        "calder.example: withdrawn by jonas.weber: superseded\n",
        "calder.example: opened by amara.osei: raise the TTL, once more\n",
        "refused    change-control/ingress-1/",
        "CC08",
        "refused    change-control/nonsense/",
        "unknown variant `Perhaps\\n  recorded   at 99   ingress: ratified by nobody: \\u{1b}[1mtrust me`",
        "calder.example: ratified by jonas.weber: two approvals\n",
        "failed: ",
        "ingress: opened by amara.osei: three replicas\n",
        "ingress: rejected by jonas.weber: no rollback plan\n",
        "6 steps recorded, 0 known",
    ] {
        let found = rest.find(expected);
        let found = found.unwrap_or_else(|| panic!("{expected:?} is not in its place in\n{text}"));
        rest = &rest[found + expected.len()..];
    }
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert!(!text.lines().any(|line| line.starts_with("  recorded   at 99")), "{text}");
}

/// Says what it is told to, again and again.
struct Complaining(watch::Receiver<&'static str>);

#[async_trait]
impl CeremonyFeed for Complaining {
    fn name(&self) -> &str {
        "complaining"
    }

    async fn run(&self, intake: &Intake) -> Result<(), FeedError> {
        let mut told = self.0.clone();
        loop {
            let words = *told.borrow_and_update();
            intake.refuse("a/b\u{202e}/c".to_owned(), None, words.to_owned());
            intake.failing(&std::io::Error::other(words));
            told.changed().await?;
        }
    }
}

#[tokio::test]
async fn an_error_is_said_when_it_changes_and_nothing_in_it_reaches_the_terminal() {
    let (tells, told) = watch::channel("forbidden (403)");
    let (chronicle, ops_db) = (MemoryChronicle::new(), MemoryOpsDb::new());
    let orchestrator = CeremonyOrchestrator::new(Arc::new(chronicle), Arc::new(ops_db))
        .feed(Arc::new(Complaining(told)))
        .start();
    let mut health = health::Health::default();
    for (words, shown) in [
        ("forbidden (403)", "forbidden (403)"),
        (
            "who asks? (401)\nlistening\u{2028}\u{1b}[2J",
            "who asks? (401)\\nlistening\\u{2028}\\u{1b}[2J",
        ),
    ] {
        tells.send_replace(words);
        let says = |status: &FeedStatus| {
            status.last_error.as_ref().is_some_and(|error| error.message == words)
        };
        let status = timeout(Duration::from_secs(20), async {
            loop {
                match orchestrator.status().feeds.swap_remove(0) {
                    status if says(&status) => return status,
                    _ => tokio::task::yield_now().await,
                }
            }
        });
        let status = status.await.expect("it is never said");
        assert_eq!(status.state, FeedState::BackingOff, "the state stays as it is");
        let failed = format!("failed: {shown}");
        let refused = format!("  refused    a/b\\u{{202e}}/c: {shown}");
        assert_eq!(health.news(&status), [failed, refused]);
        assert!(health.news(&status).is_empty(), "it is said once");
    }
    orchestrator.shutdown().await;
}

#[test]
fn without_a_cluster_it_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let output = example()
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .env_remove("KUBECONFIG")
        .env_remove("KUBERNETES_SERVICE_HOST")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(said.contains("no cluster: $KUBECONFIG") && said.contains("--fake"), "{said}");
}

#[cfg(unix)]
#[test]
fn told_to_end_it_leaves_the_file_of_the_database_alone() {
    for how in ["-TERM", "-INT"] {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("config");
        // Nobody is there: it tries again and again.
        let config = "{apiVersion: v1, kind: Config, current-context: a, \
            clusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}], \
            users: [{name: a, user: {}}], contexts: [{name: a, context: {cluster: a, user: a}}]}";
        std::fs::write(&kubeconfig, config).unwrap();
        let mut child = example()
            .current_dir(folder.path())
            .env("KUBECONFIG", &kubeconfig)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let failing = lines.find(|line| line.as_ref().unwrap().starts_with("failed: "));
        assert!(failing.is_some(), "it never came to watch: {:?}", child.wait());
        assert!(folder.path().join("guildhall.db-wal").exists(), "there is something to fold in");
        let kill = Command::new("kill").args([how, &child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        let said: Vec<_> = lines.map(Result::unwrap).collect();
        assert!(child.wait().unwrap().success(), "{how}: {said:?}");
        assert!(said.iter().any(|line| line.starts_with("0 steps recorded")), "{how}: {said:?}");
        let mut left: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort_unstable();
        assert_eq!(left, ["config", "guildhall.db"], "{how}");
    }
}
