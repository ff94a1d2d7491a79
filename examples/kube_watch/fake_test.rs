//! The example's story, end to end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::process::Command;

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
        "unknown variant `Perhaps`",
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
