//! What is wrong, and what to do about it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::{Folder, LOG};
use guildhall_store_sqlite::rusqlite::Connection;
use serde_json::Value;

/// Changes what only the owner of the file can.
fn tamper(folder: &Folder, sql: &str) {
    let connection = Connection::open(folder.path("guildhall.db")).unwrap();
    let triggers: Vec<(String, String)> = {
        let list = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'";
        let mut found = connection.prepare(list).unwrap();
        let rows = found.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    for (name, _) in &triggers {
        connection.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    connection.execute_batch(sql).unwrap();
    for (_, sql) in &triggers {
        connection.execute_batch(sql).unwrap();
    }
}

/// What a checkup says about something: how bad, and what to do.
fn about<'c>(checkup: &'c Value, about: &str) -> (&'c str, &'c str) {
    let findings = checkup["findings"].as_array().unwrap();
    let finding = findings.iter().find(|it| it["about"] == about).unwrap();
    (finding["severity"].as_str().unwrap(), finding["help"].as_str().unwrap_or_default())
}

#[test]
fn a_database_in_order_is_said_to_be() {
    let folder = Folder::imported();
    let checkup = folder.json(&["doctor", "--thorough"]);
    assert_eq!(checkup["is_healthy"], true);
    for looked_at in ["file", "pages", "log", "tables"] {
        assert_eq!(about(&checkup, looked_at), ("fine", ""), "{looked_at}");
    }
    assert_eq!(about(&checkup, "quarantine").0, "warning");
    let text = folder.succeed(&["doctor"]);
    assert!(text.contains("ok       tables      up to date at position 150"), "{text}");
    assert!(text.contains("help: "), "{text}");
    assert_eq!(folder.names(), ["guildhall.db"]);
}

#[test]
fn tables_that_nobody_projects_are_a_warning() {
    let folder = Folder::new();
    folder.succeed(&["import", LOG]);
    let checkup = folder.json(&["doctor"]);
    let (severity, help) = about(&checkup, "tables");
    assert_eq!((severity, help.contains("guildhall project")), ("warning", true));
}

#[test]
fn what_is_wrong_is_named_with_a_remedy_and_exits_with_1() {
    for (sql, arguments, looked_at, remedy) in [
        (
            "DELETE FROM chronicle_entries WHERE position > 140",
            &["doctor", "--json"][..],
            "tables",
            "restore the whole log",
        ),
        (
            "UPDATE chronicle_entries SET payload = replace(payload, 'e', 'f') WHERE position = 70",
            &["doctor", "--json", "--thorough", "-q"],
            "log",
            "restore the whole log",
        ),
        (
            "DROP INDEX governed_artifacts_by_name",
            &["doctor", "--json"],
            "file",
            "recreate what is missing",
        ),
        ("PRAGMA application_id = 7", &["doctor", "--json"], "file", "name another file"),
    ] {
        let folder = Folder::imported();
        tamper(&folder, sql);
        let output = folder.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{sql}: {}", common::stderr(&output));
        let checkup: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(checkup["is_healthy"], false);
        let (severity, help) = about(&checkup, looked_at);
        assert_eq!((severity, help.contains(remedy)), ("problem", true), "{sql}: {checkup}");
    }
}

#[test]
fn status_says_that_a_log_was_cut() {
    let folder = Folder::imported();
    tamper(&folder, "DELETE FROM chronicle_entries WHERE position > 140");
    let output = folder.run(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("ends at position 140, before the checkpoint 150"), "{text}");
}

#[test]
fn what_cannot_be_looked_at_exits_with_3() {
    let folder = Folder::new();
    let said = folder.fail(3, &["doctor"]);
    assert!(said.contains("there is no database guildhall.db"), "{said}");
    // Nothing listens on port 1.
    let url = "postgres://guildhall:secret@127.0.0.1:1/ops";
    for command in ["doctor", "status"] {
        let said = folder.fail(3, &["--database", url, command]);
        assert!(said.contains("refused") && said.contains("server runs"), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
    assert!(folder.names().is_empty());
}
