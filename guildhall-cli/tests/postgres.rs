//! The program on PostgreSQL does what it does on SQLite.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;
#[path = "../../guildhall-store-postgres/tests/server/mod.rs"]
mod server;

use common::{Folder, LOG, Running, stderr};
use server::Database;

#[test]
fn a_log_is_imported_projected_shown_and_exported() {
    let (folder, database) = (Folder::new(), Database::create());
    let on = |arguments: &[&str]| {
        folder.guildhall(arguments).env("GUILDHALL_DATABASE", database.url()).output().unwrap()
    };
    let json = |arguments: &[&str]| -> serde_json::Value {
        let output = on(&[arguments, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    // A database that holds none of it is not read, and says what to do.
    let missing = on(&["status"]);
    assert_eq!(missing.status.code(), Some(3), "{}", stderr(&missing));
    assert!(stderr(&missing).contains("guildhall migrate"), "{}", stderr(&missing));
    assert_eq!(json(&["migrate"])["head"], 0);
    assert_eq!(json(&["import", LOG])["appended"], 150);
    assert_eq!(json(&["project"])["quarantined"], 1);
    assert_eq!(json(&["rebuild"])["entries"], 150);
    let status = json(&["status"]);
    assert_eq!((&status["is_healthy"], &status["lag"]), (&true.into(), &0.into()));
    assert!(status["sizes"]["schema_bytes"].as_u64().unwrap() > 100_000);
    let of_file = Folder::imported().json(&["status"]);
    assert_eq!(status["overview"], of_file["overview"]);
    assert_eq!(status["checkpoint"], of_file["checkpoint"]);
    let exported = on(&["export"]);
    assert_eq!(exported.stdout, std::fs::read(LOG).unwrap());
    assert!(folder.names().is_empty(), "nothing is written here");
}

#[test]
fn an_error_of_the_server_is_said_once_and_without_its_source_lines() {
    let (folder, database) = (Folder::new(), Database::create());
    let url = database.url().replace(database.name(), "no_such_database");
    let said = folder.fail(1, &["--database", &url, "migrate"]);
    assert_eq!(said.matches("does not exist").count(), 1, "{said}");
    assert!(!said.contains(" at line "), "{said}");
    assert_eq!(said.lines().count(), 2, "{said}");
}

#[test]
fn a_doctor_knows_the_server_and_who_holds_the_lease() {
    let (folder, database) = (Folder::new(), Database::create());
    let on = |arguments: &[&'static str]| -> Vec<String> {
        let database = ["--database", database.url()].map(str::to_owned);
        database.into_iter().chain(arguments.iter().map(|it| (*it).to_owned())).collect()
    };
    let run = |arguments: &[&'static str]| {
        let arguments = on(arguments);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        folder.run(&arguments)
    };
    assert_eq!(run(&["import", LOG]).status.code(), Some(0));
    let following = on(&["project", "--follow", "--json"]);
    let following: Vec<_> = following.iter().map(String::as_str).collect();
    let mut following = Running::start(folder.guildhall(&following));
    following.line_with("\"position\":150");
    let status = run(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert!(status["projectors"][0]["lease"]["until"].is_string(), "{status}");
    // The servers of tests do not sync, which no other should do.
    let checkup = run(&["doctor", "--json", "--thorough"]);
    let checkup: serde_json::Value = serde_json::from_slice(&checkup.stdout).unwrap();
    let findings = checkup["findings"].as_array().unwrap();
    let found = |about: &str| findings.iter().find(|it| it["about"] == about);
    assert_eq!(found("server").unwrap()["severity"], "fine");
    assert_eq!(found("log").unwrap()["severity"], "fine");
    if std::env::var_os(server::URL_VARIABLE).is_none() {
        assert_eq!(found("durability").unwrap()["severity"], "problem");
        assert_eq!(found("role").unwrap()["severity"], "warning");
    }
    following.signal("-TERM");
    assert_eq!(following.ended().0, Some(0));
}
