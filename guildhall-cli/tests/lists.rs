//! Every list in every form that it can be printed in: the same rows, whichever is asked for.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::BTreeSet;

use common::Folder;
use serde_json::Value;

/// Every list, with arguments by which it has rows of the bundled Chronicle, whatever day it is.
const LISTS: [&str; 13] = [
    "accord list",
    "artifact list",
    "ceremony list --closed",
    "ceremony show 01a13522-78b0-7495-a424-897b2307ee8c",
    "changes --from 0",
    "deployment drifts --since 2026-10-01T00:00:00Z --before 2026-12-01T00:00:00Z",
    "deployment health --since 2026-10-01T00:00:00Z --before 2026-12-01T00:00:00Z",
    "deployment list",
    "history quay-core",
    "log tail",
    "posture --until 2026-11-30T00:00:00Z",
    "quarantine list",
    "verification list",
];

/// The command without its arguments: its words up to the first that is none of a command's.
fn command_of(list: &str) -> String {
    let two = ["list", "show", "drifts", "health", "tail"];
    let mut words = list.split(' ');
    let first = words.next().unwrap();
    match words.next() {
        Some(second) if two.contains(&second) => format!("{first}-{second}"),
        _ => first.to_owned(),
    }
}

/// The names of a table's columns, which at least two spaces separate.
fn names_of(header: &str) -> Vec<String> {
    let names = header.split("  ").map(str::trim).filter(|name| !name.is_empty());
    names.map(|name| name.to_lowercase().replace(' ', "_")).collect()
}

#[test]
fn every_list_has_the_same_rows_in_every_form() {
    let folder = Folder::imported();
    for list in LISTS {
        let print = |form: &str| {
            let arguments: Vec<&str> = list.split(' ').chain(["-q", "-o", form]).collect();
            folder.succeed(&arguments)
        };
        let document: Value = serde_json::from_str(&print("json")).unwrap();
        let rows = document["rows"].as_array().unwrap();
        assert!(!rows.is_empty() && document.get("next").is_some(), "{list}: {document}");
        let arguments: Vec<&str> = list.split(' ').collect();
        assert_eq!(folder.json(&arguments), document, "{list}: --json is -o json");

        let lines = print("jsonl");
        let same: Vec<Value> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(&same, rows, "{list}");

        let text = print("csv");
        let mut csv = csv::Reader::from_reader(text.as_bytes());
        let columns: Vec<String> = csv.headers().unwrap().iter().map(str::to_owned).collect();
        // The reader refuses a record with more fields than the header, or fewer.
        let records: Vec<_> = csv.records().map(Result::unwrap).collect();
        assert_eq!(records.len(), rows.len(), "{list}: {text}");

        let table = print("table");
        let mut lines_of_table = table.lines();
        assert_eq!(names_of(lines_of_table.next().unwrap()), columns, "{list}: {table}");
        let lines_of_table: Vec<_> = lines_of_table.collect();
        assert_eq!(lines_of_table.len(), rows.len(), "{list}: {table}");
        for (line, record) in lines_of_table.iter().zip(&records) {
            assert!(line.starts_with(&record[0]), "{list}: {line}");
        }

        let names = print("name");
        assert_eq!(names.lines().count(), rows.len(), "{list}: {names}");
        for (name, row) in names.lines().zip(lines.lines()) {
            assert!(!name.is_empty() && row.contains(name), "{list}: {name} names {row}");
        }
    }
}

/// A new list fails here until it is among [`LISTS`].
#[test]
fn no_list_is_left_out() {
    let folder = Folder::new();
    folder.succeed(&["man", "."]);
    // Evidence is written to a file by a flag of the same name.
    let flag = r"\fB\-o\fR, \fB\-\-output\fR \fI<FORM>\fR";
    let is_list =
        |page: &&String| std::fs::read_to_string(folder.path(page)).unwrap().contains(flag);
    let pages = folder.names();
    let pages = pages.iter().filter(|page| page.ends_with(".1")).filter(is_list);
    let name = |page: &String| page.replacen("guildhall-", "", 1).replace(".1", "");
    let found: BTreeSet<String> = pages.map(name).collect();
    assert_eq!(found, LISTS.map(command_of).into());
}
