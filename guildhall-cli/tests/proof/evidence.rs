//! Evidence of one artifact, checked with nothing but the file and a key.

use guildhall_proof::Signer as _;
use serde_json::Value;

use crate::common::Folder;
use crate::databases::Audited;
use crate::guide::Row;
use crate::sealing::{given_keys, log_key, sealed_to};

pub(crate) const HELD: &[&str] = &[
    "An entry is left out of evidence",
    "A row of evidence is changed",
    "Evidence is of an older seal",
    "A proof of one entry is changed",
];

mod each {
    crate::on_both! {
        every_artifact_has_evidence_that_holds_elsewhere
        what_was_never_sealed_has_none
        an_entry_left_out_is_found
        a_changed_row_is_found
        an_older_seal_is_found
        every_entry_has_a_proof_that_holds_elsewhere
        a_changed_proof_of_an_entry_is_found
    }
}

pub(crate) fn artifacts(audited: &Audited) -> Vec<String> {
    let listed = audited.json(0, &["artifact", "list"]);
    let rows = listed["rows"].as_array().unwrap().iter();
    rows.map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

fn every_artifact_has_evidence_that_holds_elsewhere(audited: &Audited) {
    sealed_to(audited, "seal", 1);
    let (elsewhere, key) = (Folder::new(), log_key(1).key().to_string());
    let artifacts = artifacts(audited);
    assert_eq!(artifacts.len(), 9);
    for artifact in &artifacts {
        let written = audited.json(0, &["evidence", artifact, "-o", "evidence.json"]);
        assert_eq!(written["size"], 151, "{written}");
        let (from, to) = (audited.folder.path("evidence.json"), elsewhere.path("evidence.json"));
        std::fs::copy(from, to).unwrap();
        let report = elsewhere.json(&["check", "evidence.json", "--key", &key]);
        assert_eq!(
            (&report["artifact_id"], &report["failure"]),
            (&artifact.as_str().into(), &Value::Null)
        );
        assert_eq!((&report["size"], &report["complete_up_to"]), (&151.into(), &150.into()));
        assert_eq!(report["held"].as_array().unwrap().len(), 8, "{report}");
        let text = elsewhere.succeed(&["check", "evidence.json", "--key", &key]);
        assert!(text.starts_with("the evidence holds\n"), "{text}");
    }
    assert_eq!(elsewhere.names(), ["evidence.json"], "no database is made there");
    let other = log_key(2).key().to_string();
    let refused = elsewhere.run(&["check", "evidence.json", "--key", &other]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(elsewhere.run(&["check", "evidence.json"]).status.code(), Some(2));
    std::fs::write(elsewhere.path("none.json"), "{}").unwrap();
    assert_eq!(elsewhere.run(&["check", "none.json", "--key", &key]).status.code(), Some(3));
    // By its name, to standard output.
    let name =
        audited.json(0, &["artifact", "list"])["rows"][0]["name"].as_str().unwrap().to_owned();
    let text = audited.succeed(&["evidence", &name]);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["format"], "guildhall.evidence.v1");
}

fn what_was_never_sealed_has_none(audited: &Audited) {
    let artifact = artifacts(audited).remove(0);
    let said = audited.ends_with(1, &["evidence", &artifact]);
    assert!(said.contains("the log was never sealed"), "{said}");
    sealed_to(audited, "seal", 1);
    let unknown = "01a13522-4200-71c6-a266-39ac2c65d900";
    let said = audited.ends_with(1, &["evidence", unknown]);
    assert!(said.contains("has no entry among the 150"), "{said}");
}

/// Evidence of the artifact of the last entry, changed.
fn changed(audited: &Audited, change: impl FnOnce(&mut Value)) {
    given_keys(audited);
    sealed_to(audited, "seal", 1);
    let artifact = "01a15877-ab00-7d75-9813-f04895b4702f";
    let text = audited.succeed(&["evidence", artifact]);
    let mut evidence = serde_json::from_str(&text).unwrap();
    change(&mut evidence);
    std::fs::write(audited.folder.path("evidence.json"), evidence.to_string()).unwrap();
}

fn an_entry_left_out_is_found(audited: &Audited) {
    changed(audited, |evidence| {
        evidence["streams"][0]["entries"].as_array_mut().unwrap().remove(3);
    });
    Row::of("An entry is left out of evidence").is_found_in(audited);
}

fn a_changed_row_is_found(audited: &Audited) {
    changed(audited, |evidence| {
        let row = &mut evidence["rows"]["verification_results"][0];
        assert_ne!(row["verifier"], "mallory");
        row["verifier"] = "mallory".into();
    });
    Row::of("A row of evidence is changed").is_found_in(audited);
}

/// All of it holds, and it is not complete up to what is known to have happened.
fn an_older_seal_is_found(audited: &Audited) {
    changed(audited, |_| {});
    audited.succeed(&["check", "evidence.json", "--keys", "keys"]);
    audited.succeed(&["check", "evidence.json", "--keys", "keys", "--at-least", "150"]);
    sealed_to(audited, "later", 1);
    Row::of("Evidence is of an older seal").is_found_in(audited);
}

fn every_entry_has_a_proof_that_holds_elsewhere(audited: &Audited) {
    let said = audited.ends_with(1, &["evidence", "--entry", "60"]);
    assert!(said.contains("the log was never sealed"), "{said}");
    given_keys(audited);
    sealed_to(audited, "seal", 1);
    for position in ["1", "60", "150", "151"] {
        let written = audited.json(0, &["evidence", "--entry", position, "-o", "it.tlog-proof"]);
        assert_eq!((&written["size"], &written["entries"]), (&151.into(), &1.into()), "{written}");
        assert_eq!(written["position"].to_string(), position);
        let report = audited.json(0, &["check", "it.tlog-proof", "--keys", "keys"]);
        assert_eq!(report["failure"], Value::Null, "{report}");
        assert_eq!(report["entry"]["position"].to_string(), position);
        assert_eq!(report["held"], serde_json::json!(["seal", "witnesses", "entries"]));
        assert_eq!(report["unknown"][1]["unknown"], "unwitnessed");
    }
    let text = audited.succeed(&["check", "it.tlog-proof", "--keys", "keys"]);
    for said in [
        "the evidence holds\n",
        "position 151, version 1 of its stream\n",
        "chronicle.indexed.v1\n",
        "not known    whether the entry counts",
        "not known    whether others were shown another history",
    ] {
        assert!(text.contains(said), "{said:?} is not in:\n{text}");
    }
    // To standard output, as others read it.
    let text = audited.succeed(&["evidence", "--entry", "60"]);
    assert!(text.starts_with("c2sp.org/tlog-proof@v1\nextra "), "{text}");
    for beyond in ["0", "152"] {
        let said = audited.ends_with(1, &["evidence", "--entry", beyond]);
        assert!(said.contains(&format!("no entry at position {beyond} is sealed")), "{said}");
    }
    // What such a file is not about.
    let at_least = ["check", "it.tlog-proof", "--keys", "keys", "--at-least", "151"];
    assert!(audited.ends_with(2, &at_least).contains("--at-least"));
    assert!(audited.ends_with(2, &["evidence"]).contains("ID|NAME|CID"));
    assert!(audited.ends_with(2, &["evidence", "x", "--entry", "1"]).contains("--entry"));
    // One that another program made of something else.
    let lines = text.lines().filter(|line| !line.starts_with("extra "));
    let other: String = lines.map(|line| format!("{line}\n")).collect();
    std::fs::write(audited.folder.path("other.tlog-proof"), other).unwrap();
    let said = audited.ends_with(3, &["check", "other.tlog-proof", "--keys", "keys"]);
    assert!(said.contains("does not hold the entry that it is a proof of"), "{said}");
}

fn a_changed_proof_of_an_entry_is_found(audited: &Audited) {
    given_keys(audited);
    sealed_to(audited, "seal", 1);
    let text = audited.succeed(&["evidence", "--entry", "60"]);
    let changed = text.replacen("\nindex 59\n", "\nindex 60\n", 1);
    assert_ne!(changed, text);
    std::fs::write(audited.folder.path("60.tlog-proof"), changed).unwrap();
    Row::of("A proof of one entry is changed").is_found_in(audited);
}
