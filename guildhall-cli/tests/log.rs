//! What the log holds, as the program shows it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::{Folder, LOG};
use serde_json::Value;

/// The lines of the bundled Chronicle: what was recorded, told independently of the program.
fn line_of_the_log(position: usize) -> Value {
    let log = std::fs::read_to_string(LOG).unwrap();
    serde_json::from_str(log.lines().nth(position - 1).unwrap()).unwrap()
}

/// Where the one entry stands that breaks an invariant.
fn quarantined(folder: &Folder) -> u64 {
    let rows = folder.json(&["log", "tail", "-n", "150"]);
    let rows: Vec<_> = rows["rows"].as_array().unwrap().clone();
    assert_eq!(rows.len(), 150);
    let refused: Vec<_> = rows.iter().filter(|row| row["fate"] == "quarantined").collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    refused[0]["position"].as_u64().unwrap()
}

#[test]
fn an_entry_is_shown_whole() {
    let folder = Folder::imported();
    let (shown, line) = (folder.json(&["log", "show", "12"]), line_of_the_log(12));
    for (of_the_entry, of_the_line) in [
        ("position", "position"),
        ("event_id", "id"),
        ("stream_id", "subject"),
        ("version", "version"),
        ("type", "type"),
        ("recorded_at", "time"),
        ("data", "data"),
        ("leaf_hash", "leafhash"),
    ] {
        assert_eq!(shown[of_the_entry], line[of_the_line], "{of_the_entry}");
    }
    assert_eq!(shown["metadata"], serde_json::json!({"correlationid": "CHG-2104"}));
    assert_eq!((&shown["fate"], &shown["code"]), (&"applied".into(), &Value::Null));
    let text = folder.succeed(&["log", "show", "12"]);
    for expected in [
        "leaf hash    b2d389e58d193432327a736119ad8dd06002f7ca8418882b40ab3bc16d362821\n",
        "type         dev.guildhouse.chronicle.deployment.observed.v1\n",
        "stream       01a10b53-be40-7621-a03f-e0bbdb7b8e1f, version 6\n",
        "tables       applied\n",
        "\n  \"detail\": {\n    \"serial\": 2026100501\n  },\n",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in\n{text}");
    }
}

#[test]
fn an_entry_in_quarantine_says_why() {
    let folder = Folder::imported();
    let position = quarantined(&folder).to_string();
    let shown = folder.json(&["log", "show", &position]);
    let (code, reason) = (&shown["code"], shown["reason"].as_str().unwrap());
    assert_eq!(code, "CC04");
    let text = folder.succeed(&["log", "show", &position]);
    assert!(text.contains(&format!("tables       quarantined, CC04: {reason}\n")), "{text}");
}

#[test]
fn the_tail_has_the_last_entries_in_every_form() {
    let folder = Folder::imported();
    let names = folder.succeed(&["log", "tail", "-n", "3", "-o", "name"]);
    assert_eq!(names, "148\n149\n150\n");
    let csv = folder.succeed(&["log", "tail", "-n", "1", "-o", "csv"]);
    assert_eq!(
        csv,
        "position,recorded_at,type,stream_id,version,fate\n\
         150,2026-11-20T06:10:00.040000Z,verification.recorded.v1,\
         01a15877-ab00-7d75-9813-f04895b4702f,18,applied\n"
    );
    let table = folder.succeed(&["log", "tail"]);
    assert_eq!(table.lines().count(), 11, "{table}");
    let lines = folder.succeed(&["log", "tail", "-o", "jsonl"]);
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(first["data"], line_of_the_log(141)["data"]);
    let rows = folder.json(&["log", "tail", "-n", "1000"]);
    assert_eq!(rows["rows"].as_array().unwrap().len(), 150);
    assert!(folder.succeed(&["log", "tail", "-n", "0"]).is_empty());
}

#[test]
fn before_it_is_projected_an_entry_is_pending() {
    let folder = Folder::new();
    folder.succeed(&["import", LOG]);
    assert_eq!(folder.json(&["log", "show", "150"])["fate"], "pending");
    let text = folder.succeed(&["log", "show", "150"]);
    assert!(text.contains("tables       not applied yet\n"), "{text}");
}

#[test]
fn a_position_that_is_not_there_is_said_with_those_that_are() {
    let folder = Folder::imported();
    let said = folder.fail(1, &["log", "show", "151"]);
    assert!(said.contains("there is no entry at position 151"), "{said}");
    assert!(said.contains("from 1 to 150"), "{said}");
    folder.fail(1, &["log", "show", "0"]);
    folder.fail(2, &["log", "show", "-1"]);
    folder.fail(2, &["log", "show", "first"]);
    folder.fail(2, &["log", "tail", "-n", "many"]);
    let empty = Folder::new();
    assert!(empty.fail(1, &["log", "tail"]).contains("there is no database"));
    empty.succeed(&["migrate"]);
    assert!(empty.fail(1, &["log", "show", "1"]).contains("the Chronicle is empty"));
}

#[cfg(unix)]
#[test]
fn who_follows_prints_what_is_appended_until_told_to_end() {
    use common::Running;
    let folder = Folder::new();
    let log = std::fs::read_to_string(LOG).unwrap();
    let first: String = log.split_inclusive('\n').take(140).collect();
    std::fs::write(folder.path("first.jsonl"), first).unwrap();
    folder.succeed(&["import", "first.jsonl"]);
    let follow = ["log", "tail", "-n", "1", "--follow"];
    let mut text = Running::start(folder.guildhall(&follow));
    let mut json = Running::start(folder.guildhall(&[&follow[..], &["--json"]].concat()));
    let mut csv = Running::start(folder.guildhall(&[&follow[..], &["-o", "csv"]].concat()));
    assert!(text.line_with("").starts_with("140  "));
    assert!(json.line_with("").starts_with("{\"position\":140,"));
    assert!(csv.line_with("").starts_with("position,recorded_at,"));
    folder.succeed(&["import", LOG]);
    for position in 141..=150 {
        assert!(text.line_with("").starts_with(&format!("{position}  ")));
        let line: Value = serde_json::from_str(&json.line_with("")).unwrap();
        assert_eq!(line["data"], line_of_the_log(position)["data"]);
    }
    assert!(csv.line_with("150,").starts_with("150,"));
    for (running, signal) in [(text, "-TERM"), (json, "-INT"), (csv, "-TERM")] {
        running.signal(signal);
        assert_eq!(running.ended(), (Some(0), String::new()));
    }
}
