//! What was: the changes between positions, an artifact's history, lists as of a moment, and how healthy targets were.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::BTreeSet;

use common::Folder;
use serde_json::{Value, json};

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
    // A time is the last entry that was recorded by then: that of position 119, here.
    let from = folder.json(&["changes", "--from", "119"]);
    for time in ["2026-11-09T16:12:00.04Z", "2026-11-09T17:13:00+01:00"] {
        assert_eq!(folder.json(&["changes", "--from", time]), from, "{time}");
    }
    let to = folder.json(&["changes", "--from", "0", "--to", "119", "--limit", "500"]);
    let until = ["changes", "--from", "2000-01-01T00:00:00Z", "--to", "2026-11-09T17:00:00Z"];
    assert_eq!(folder.json(&[&until[..], &["--limit", "500"]].concat()), to);
    assert_eq!(rows(&to).len() + rows(&from).len(), rows(&all).len());
    let error = folder.fail(2, &["changes", "--from", "yesterday"]);
    assert!(error.contains("neither a position nor"), "{error}");
}

#[test]
fn an_artifact_has_its_history() {
    let folder = Folder::imported();
    let history = folder.json(&["history", "quay-core", "--limit", "500"]);
    let positions: Vec<_> =
        rows(&history).iter().map(|row| row["position"].as_u64().unwrap()).collect();
    assert!(positions.is_sorted_by(|one, next| one > next), "{positions:?}");
    let first = rows(&history).last().unwrap();
    assert_eq!((&first["kind"], &first["revision"]), (&"revision".into(), &1.into()));
    // Every change of it is there, and every verification.
    let changes = folder.json(&["changes", "--from", "0", "--artifact", "quay-core"]);
    for change in rows(&changes) {
        assert!(rows(&history).iter().any(|row| row["position"] == change["position"]), "{change}");
    }
    let judged = folder.json(&["verification", "list", "--artifact", "quay-core"]);
    let verified = folder.json(&["history", "quay-core", "--kind", "verification"]);
    let positions = |document: &Value| -> BTreeSet<u64> {
        rows(document).iter().map(|row| row["position"].as_u64().unwrap()).collect()
    };
    assert_eq!(positions(&verified), positions(&judged));
    assert!(!positions(&judged).is_empty());
    let two = ["history", "quay-core", "--kind", "ceremony", "--kind", "transition"];
    let links = folder.json(&two);
    assert!(rows(&links).iter().all(|row| row["transition"].is_object()));
    let table = folder.succeed(&["history", "quay-core", "-q"]);
    assert!(table.contains("POSITION") && table.contains("registered"), "{table}");
    // Page by page it is the same.
    let page = folder.json(&["history", "quay-core", "--limit", "3"]);
    let next = page["next"].as_str().unwrap();
    let rest = folder.json(&["history", "quay-core", "--limit", "500", "--after", next]);
    assert_eq!([&rows(&page)[..], &rows(&rest)[..]].concat(), *rows(&history));
    let at = rows(&history)[2]["position"].to_string();
    let then = folder.json(&["history", "quay-core", "--limit", "500", "--as-of", &at]);
    assert_eq!(rows(&then)[..], rows(&history)[2..]);
    let error = folder.fail(2, &["history", "quay-core", "--kind", "weather"]);
    assert!(error.contains("kind of timeline entry"), "{error}");
}

#[test]
fn lists_and_artifacts_are_shown_as_of_a_moment() {
    let folder = Folder::imported();
    let listed =
        |arguments: &[&str]| rows(&folder.json(&[&["artifact", "list"], arguments].concat())).len();
    assert_eq!((listed(&[]), listed(&["--as-of", "0"])), (9, 0));
    assert_eq!(listed(&["--as-of", "2000-01-01T00:00:00Z"]), 0);
    let history = folder.json(&["history", "quay-core"]);
    let registered = rows(&history).last().unwrap()["position"].as_u64().unwrap().to_string();
    let then = folder.json(&["artifact", "show", "quay-core", "--as-of", &registered]);
    assert_eq!(then["artifact"]["cid"], rows(&history).last().unwrap()["cid"]);
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

/// The weeks that the story's drifts are in.
const AUTUMN: [&str; 4] =
    ["--since", "2026-10-01T00:00:00Z", "--before", "2026-12-01T00:00:00+00:00"];

#[test]
fn drifts_are_told_with_their_lengths_the_latest_first() {
    let folder = Folder::imported();
    let drifts = folder.json(&[&["deployment", "drifts"], &AUTUMN[..]].concat());
    let told: Vec<_> = rows(&drifts)
        .iter()
        .map(|row| (row["target"].as_str().unwrap(), &row["length_micros"], &row["ended_as"]))
        .collect();
    let (still, ended) = (Value::Null, |seconds: u64| Value::from(seconds * 1_000_000));
    assert_eq!(
        told,
        [
            ("quay-core-2", &still, &still),
            ("ring-corporate", &ended(54_840), &"healthy".into()),
            ("ns2.calder.example", &ended(2_139), &"healthy".into()),
            ("cal-jump-02", &ended(4_994), &"unknown".into()),
        ]
    );
    let of_one = ["--artifact", "calder.example", "--target", "ns2.calder.example", "-o", "csv"];
    let csv = folder.succeed(&[&["deployment", "drifts"], &of_one[..], &AUTUMN].concat());
    assert!(csv.contains(",healthy,0d 00:35:39,2026-11-04T05:41:00.000000Z,"), "{csv}");
    assert_eq!(csv.lines().count(), 2, "{csv}");
    let recovery = folder.json(&[&["deployment", "recovery"], &AUTUMN[..]].concat());
    let (total, mean) = (56_979_000_000_u64, 28_489_500_000_u64);
    let expected = json!({"drifts": 4, "recovered": 2, "total_micros": total, "mean_micros": mean});
    assert_eq!(recovery, expected);
    let text = folder.succeed(&[&["deployment", "recovery"], &AUTUMN[..]].concat());
    assert!(text.contains("mean         0d 07:54:49\n"), "{text}");
    // What was known before the target had recovered.
    let then = [&["deployment", "recovery", "--as-of", "99"], &AUTUMN[..]].concat();
    assert_eq!(folder.json(&then)["recovered"], 0);
    let error = folder.fail(2, &["deployment", "drifts", "--since", "9999-01-01T00:00:00Z"]);
    assert!(error.contains("--since") && error.contains("help: "), "{error}");
}

#[test]
fn targets_are_told_with_how_long_they_were_in_which_health() {
    let folder = Folder::imported();
    let days = ["--since", "2026-11-11T00:00:00Z", "--before", "2026-11-13T00:00:00Z"];
    let all = folder.json(&[&["deployment", "health"], &days[..]].concat());
    assert_eq!(rows(&all).len(), 14);
    for row in rows(&all) {
        let micros = ["healthy_micros", "drifted_micros", "unknown_micros"];
        let spent: u64 = micros.iter().map(|name| row[name].as_u64().unwrap()).sum();
        assert_eq!(spent, 2 * 86_400_000_000, "{row}");
    }
    let quay = ["deployment", "health", "--artifact", "quay-core", "--target", "quay-core-2"];
    let row = folder.json(&[&quay[..], &days].concat());
    let of_it = ["healthy_micros", "drifted_micros"].map(|name| &rows(&row)[0][name]);
    assert_eq!(of_it, [&json!(91_020_000_000_u64), &json!(81_780_000_000_u64)]);
    // Pages go on, and a cursor of another list is none.
    let mut limited = [&["deployment", "health", "--limit", "9"], &days[..]].concat();
    let first = folder.json(&limited);
    let next = first["next"].as_str().unwrap();
    limited.extend(["--after", next]);
    let second = folder.json(&limited);
    assert_eq!([rows(&first).clone(), rows(&second).clone()].concat(), *rows(&all));
    folder.fail(2, &["deployment", "drifts", "--after", next]);
}

#[test]
fn posture_is_told_day_by_day() {
    let folder = Folder::imported();
    let days = ["--until", "2026-11-12T12:00:00Z", "--days", "2"];
    let csv = folder.succeed(&[&["posture", "-o", "csv"], &days[..]].concat());
    let expected = "day,group,healthy,drifted,unknown,share_healthy\n\
                    2026-11-11,,12,0,2,85.7%\n2026-11-12,,11,1,2,78.5%\n";
    assert_eq!(csv, expected);
    let names = folder.succeed(&[&["posture", "-o", "name"], &days[..]].concat());
    assert_eq!(names, "2026-11-11\n2026-11-12\n");
    for by in ["tier", "artifact_type", "accord"] {
        let divided = folder.json(&[&["posture", "--by", by], &days[..]].concat());
        let healthy: u64 = rows(&divided).iter().map(|row| row["healthy"].as_u64().unwrap()).sum();
        assert_eq!(healthy, 12 + 11, "{by}");
    }
    let month = folder.json(&["posture", "--until", "2026-11-30T23:59:59Z"]);
    assert_eq!(
        (rows(&month).len(), &rows(&month)[0]["day"]),
        (30, &"2026-11-01T00:00:00.000000Z".into())
    );
    // By what was known before the drift was seen.
    let then = [&["posture", "--as-of", "122"], &days[..]].concat();
    assert_eq!(rows(&folder.json(&then))[1]["drifted"], 0);
    // At a position, time has stopped when that entry was recorded.
    let ends = folder.succeed(&["posture", "--as-of", "119", "--days", "1", "-o", "name"]);
    assert_eq!(ends, "2026-11-09\n");
    folder.fail(2, &["posture", "--days", "0"]);
    folder.fail(2, &["posture", "--by", "weather"]);
}

#[test]
fn what_runs_on_a_target_is_told_with_who_decided_it() {
    let folder = Folder::imported();
    let show = ["deployment", "show", "quay-core"];
    let decided = folder.json(&[&show[..], &["quay-core-1"]].concat());
    let position = |name: &str| &decided[name]["position"];
    assert_eq!(
        [position("revision"), position("opened"), position("ratified")],
        [&json!(33), &json!(35), &json!(43)]
    );
    assert_eq!(decided["state"]["health"], "healthy");
    let text = folder.succeed(&[&show[..], &["quay-core-1"]].concat());
    assert!(text.contains("ceremony     01a13522-78b0-7495-a424-897b2307ee8c\n"), "{text}");
    // What drifted there was never decided, and what ran there before was.
    let drifted = folder.json(&[&show[..], &["quay-core-2"]].concat());
    assert_eq!((&drifted["revision"], &drifted["ratified"]), (&Value::Null, &Value::Null));
    let text = folder.succeed(&[&show[..], &["quay-core-2"]].concat());
    assert!(
        text.contains("never had this content") && text.contains("ratified     never"),
        "{text}"
    );
    let before = ["quay-core-2", "--as-of", "2026-11-11T00:00:00Z"];
    assert_eq!(folder.json(&[&show[..], &before].concat())["ratified"]["position"], 43);
    let error = folder.fail(1, &[&show[..], &["nowhere"]].concat());
    assert!(error.contains("\"nowhere\"") && error.contains("artifact show"), "{error}");
}

#[test]
fn ceremonies_of_an_actor_are_those_they_opened_or_closed() {
    let folder = Folder::imported();
    let mut all = rows(&folder.json(&["ceremony", "list"])).clone();
    all.extend(rows(&folder.json(&["ceremony", "list", "--closed"])).iter().cloned());
    let by = "hanna.lund";
    all.retain(|row| row["opened_by"] == by || row["closed_by"] == by);
    all.sort_by_key(|row| row["opened_at"].as_str().unwrap().to_owned());
    assert!(all.len() > 1, "{all:?}");
    let found = folder.json(&["ceremony", "list", "--actor", by]);
    assert_eq!(*rows(&found), all);
    let first = folder.json(&["ceremony", "list", "--actor", by, "--limit", "1"]);
    let after = ["--limit", "500", "--after", first["next"].as_str().unwrap()];
    let rest = folder.json(&[&["ceremony", "list", "--actor", by], &after[..]].concat());
    assert_eq!(rows(&rest)[..], all[1..]);
    assert_eq!(rows(&folder.json(&["ceremony", "list", "--actor", "hanna"])).len(), 0);
}
