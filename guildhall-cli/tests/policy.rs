//! A policy of one's own, from a file: who may do what is the same wherever it is judged.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::{Folder, LOG};
use serde_json::Value;

const FOUR_EYES: &str = r#"{"rules": [{"rule": "four_eyes", "to": "ratified"}]}"#;
const CEREMONY: &str = "01a1f793-7ac0-7595-9f41-000000000001";

/// A folder with a policy, and a database that holds an artifact with a ceremony that ada opened.
struct Opened {
    folder: Folder,
    artifact: String,
}

impl Opened {
    fn new() -> Self {
        let folder = Folder::new();
        folder.succeed(&["migrate"]);
        std::fs::write(folder.path("json"), "{}").unwrap();
        std::fs::write(folder.path("policy.json"), FOUR_EYES).unwrap();
        let accord = ["record", "accord", "--name", "a", "--by", "board", "--terms", "json"];
        let accord = folder.json(&accord);
        let under = ["record", "artifact", "--accord", accord["stream_id"].as_str().unwrap()];
        let zone = ["--name", "zone", "--type", "dns_zone", "--tier", "1", "--content", "json"];
        let artifact = folder.json(&[&under[..], &zone, &["--schema", "urn:zone"]].concat());
        let opened = Self { folder, artifact: artifact["stream_id"].as_str().unwrap().to_owned() };
        opened.folder.succeed(&opened.moved("drafted", "ada"));
        let open = ["record", "open-ceremony", "--artifact", &opened.artifact];
        let act = ["--ceremony", CEREMONY, "--actor", "ada", "--reason", "please"];
        opened.folder.succeed(&[&open[..], &act].concat());
        opened
    }

    fn moved<'a>(&'a self, to: &'a str, actor: &'a str) -> [&'a str; 10] {
        let artifact = &self.artifact;
        [
            "record",
            "transition",
            "--artifact",
            artifact,
            "--to",
            to,
            "--actor",
            actor,
            "--reason",
            "so",
        ]
    }

    fn ratified<'a>(&'a self, actor: &'a str) -> Vec<&'a str> {
        [&self.moved("ratified", actor)[..], &["--ceremony", CEREMONY]].concat()
    }
}

const BY: [&str; 2] = ["--custody-policy", "policy.json"];

#[test]
fn whoever_opened_a_ceremony_does_not_ratify_it() {
    let opened = Opened::new();
    let folder = &opened.folder;
    for dry_run in [&["--dry-run"][..], &[]] {
        let said = folder.fail(1, &[&opened.ratified("ada")[..], &BY, dry_run].concat());
        assert!(
            said.contains("CC04") && said.contains("the actor who opened a ceremony"),
            "{said}"
        );
    }
    // The environment says it as well.
    let mut command = folder.guildhall(&opened.ratified("ada"));
    let output =
        command.env("GUILDHALL_CUSTODY_POLICY", folder.path("policy.json")).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", common::stderr(&output));
    folder.succeed(&[&opened.ratified("grace")[..], &BY].concat());
    assert_eq!(folder.json(&[&["project"][..], &BY].concat())["quarantined"], 0);
    folder.succeed(&[&["why", "zone"][..], &BY].concat());
}

#[test]
fn a_log_that_somebody_else_wrote_is_projected_under_it() {
    let opened = Opened::new();
    let folder = &opened.folder;
    // The standard policy lets ada ratify what ada asked for.
    folder.succeed(&opened.ratified("ada"));
    assert_eq!(folder.json(&[&["project"][..], &BY].concat())["quarantined"], 1);
    let rows = folder.json(&["quarantine", "list"]);
    assert_eq!(rows["rows"][0]["code"], "CC04");
    // Tables that another policy would make are not put in the place of these without a word.
    let said = folder.fail(1, &["rebuild"]);
    assert!(said.contains("are not the live ones"), "{said}");
    let rebuilt = folder.json(&["rebuild", "--accept-rewritten"]);
    assert_eq!(rebuilt["quarantined"], 0);
}

#[test]
fn a_doctor_notices_tables_that_were_projected_under_another() {
    let opened = Opened::new();
    let folder = &opened.folder;
    folder.succeed(&opened.ratified("ada"));
    folder.succeed(&["project"]);
    let found = |arguments: &[&str]| -> Value {
        let checkup = folder.json(&[&["doctor", "--thorough"][..], arguments].concat());
        let findings = checkup["findings"].as_array().unwrap().clone();
        findings.into_iter().find(|it| it["about"] == "chains").unwrap()
    };
    assert_eq!(found(&[])["severity"], "fine");
    let other = found(&BY);
    assert_eq!(other["severity"], "warning");
    let said = other["found"].as_str().unwrap();
    assert!(said.contains("under another policy: 1 of 1 chains; of zone, link 3"), "{said}");
    // So does whoever asks about the one artifact, and it does not hold.
    let output = folder.run(&[&["why", "zone"][..], &BY].concat());
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn what_holds_no_policy_is_refused_before_anything_is_touched() {
    let folder = Folder::new();
    for (text, wrong) in [
        ("{}x", "trailing"),
        (r#"{"rules":[{"rule":"six_eyes","to":"ratified"}]}"#, "six_eyes"),
        (r#"{"rules":[{"rule":"four_eyes","to":"done"}]}"#, "done"),
        (r#"{"rules":[],"rulez":[]}"#, "rulez"),
    ] {
        std::fs::write(folder.path("policy.json"), text).unwrap();
        let said = folder.fail(2, &[&["import", LOG][..], &BY].concat());
        assert!(said.contains("policy.json holds no policy") && said.contains(wrong), "{said}");
        assert!(said.contains("four_eyes"), "the help shows one: {said}");
    }
    let said = folder.fail(1, &["import", LOG, "--custody-policy", "missing.json"]);
    assert!(said.contains("reading the policy from missing.json"), "{said}");
    assert_eq!(folder.names(), ["policy.json"]);
}
