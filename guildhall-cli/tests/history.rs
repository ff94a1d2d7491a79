//! What was: the changes between positions, an artifact's history, and lists as of a moment.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::Folder;
use serde_json::Value;

fn rows(document: &Value) -> &Vec<Value> {
    document["rows"].as_array().unwrap()
}

#[test]
fn changes_between_two_positions_are_told_in_the_order_of_the_log() {
    let folder = Folder::imported();
    let all = folder.json(&["changes", "--from", "0", "--limit", "500"]);
    let positions: Vec<_> =
        rows(&all).iter().map(|row| row["position"].as_u64().unwrap()).collect();
    assert!(positions.is_sorted() && positions.len() > 20, "{positions:?}");
    let registered = rows(&all).iter().filter(|row| row["kind"] == "registered");
    assert_eq!(registered.count(), 9);
    let opened = rows(&all).iter().filter(|row| row["kind"] == "ceremony_opened").count();
    let closed = rows(&all).iter().filter(|row| row["kind"] == "ceremony_closed").count();
    let open = folder.json(&["ceremony", "list"]);
    assert_eq!(opened - closed, rows(&open).len());
    // A page goes on where the one before ended, and a range holds what is in it alone.
    let first = folder.json(&["changes", "--from", "0", "--limit", "3"]);
    let next = first["next"].as_str().unwrap();
    let second = folder.json(&["changes", "--from", "0", "--limit", "3", "--after", next]);
    assert_eq!([rows(&first).clone(), rows(&second).clone()].concat(), rows(&all)[..6]);
    let (from, to) = (positions[5].to_string(), positions[9].to_string());
    let some = folder.json(&["changes", "--from", &from, "--to", &to]);
    assert_eq!(rows(&some)[..], rows(&all)[6..10]);
}

#[test]
fn an_artifact_has_its_history() {
    let folder = Folder::imported();
    let all = folder.json(&["changes", "--from", "0", "--limit", "500"]);
    let of_it: Vec<_> = rows(&all).iter().filter(|row| row["name"] == "quay-core").collect();
    let history = folder.json(&["history", "quay-core", "--limit", "500"]);
    assert_eq!(rows(&history).iter().collect::<Vec<_>>(), of_it);
    assert_eq!(rows(&history)[0]["kind"], "registered");
    let table = folder.succeed(&["history", "quay-core", "-q"]);
    assert!(table.contains("POSITION") && table.contains("registered"), "{table}");
}

#[test]
fn lists_and_artifacts_are_shown_as_of_a_moment() {
    let folder = Folder::imported();
    let listed =
        |arguments: &[&str]| rows(&folder.json(&[&["artifact", "list"], arguments].concat())).len();
    assert_eq!((listed(&[]), listed(&["--as-of", "0"])), (9, 0));
    assert_eq!(listed(&["--as-of", "2000-01-01T00:00:00Z"]), 0);
    let history = folder.json(&["history", "quay-core"]);
    let registered = rows(&history)[0]["position"].as_u64().unwrap().to_string();
    let then = folder.json(&["artifact", "show", "quay-core", "--as-of", &registered]);
    assert_eq!(then["artifact"]["cid"], rows(&history)[0]["cid"]);
    assert_eq!(then["artifact"]["custody_state"], Value::Null);
    assert_eq!(then["drift"], "undeployed");
    for list in ["accord", "ceremony", "verification"] {
        assert_eq!(rows(&folder.json(&[list, "list", "--as-of", "0"])).len(), 0, "{list}");
    }
    let before = folder.json(&["changes", "--from", "0", "--to", &registered, "--limit", "500"]);
    let links = rows(&before).iter().filter(|row| row["transition"].is_object()).count();
    let then = folder.json(&["status", "--as-of", &registered]);
    assert_eq!(then["overview"]["custody_transitions"], links);
    let head = folder.json(&["status"])["head"].as_u64().unwrap();
    let beyond = (head + 1).to_string();
    let error = folder.fail(1, &["artifact", "list", "--as-of", &beyond]);
    assert!(error.contains("stands at position") && error.contains("guildhall status"), "{error}");
    let error = folder.fail(2, &["artifact", "list", "--as-of", "yesterday"]);
    assert!(error.contains("neither a position nor"), "{error}");
}
