//! `guildhall diff`: files, and contents of an artifact from the log.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::Folder;
use serde_json::json;

#[test]
fn two_files_are_compared_for_people_and_as_a_patch() {
    let folder = Folder::imported();
    for (name, text) in
        [("a.json", r#"{"ttl":300,"ns":["a"]}"#), ("b.json", r#"{"ttl":60,"ns":["a"]}"#)]
    {
        std::fs::write(folder.path(name), text).unwrap();
    }
    let text = folder.succeed(&["diff", "a.json", "b.json"]);
    assert!(
        text.contains("-   \"ttl\": 300\n+   \"ttl\": 60\n") && text.contains("\"ns\": [\"a\"]"),
        "{text}"
    );
    let report = folder.json(&["diff", "a.json", "b.json"]);
    assert_eq!(report["operations"], json!([{"op": "replace", "path": "/ttl", "value": 60}]));
    assert!(folder.succeed(&["diff", "a.json", "a.json"]).contains("are equal"));
}

#[test]
fn contents_of_an_artifact_are_compared_by_number_and_by_default_the_last_two() {
    let folder = Folder::imported();
    let whole = folder.json(&["diff", "--artifact", "calder.example", "1"]);
    let last = folder.json(&["diff", "--artifact", "calder.example"]);
    assert!(!last["operations"].as_array().unwrap().is_empty());
    assert_eq!(whole["after"], last["after"]);
    let cid = whole["after"].as_str().unwrap().split(['(', ',']).nth(1).unwrap();
    let same = folder.json(&["diff", "--artifact", "calder.example", cid, cid]);
    assert_eq!(same["operations"], json!([]));
}
