//! The program on PostgreSQL does what it does on SQLite.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;
#[path = "../../guildhall-store-postgres/tests/server/mod.rs"]
mod server;

use std::process::Command;

use common::{Folder, LOG, Running, stderr};
use serde_json::Value;
use server::{Database, Server, Settings, Stop, execute};

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

/// The program on a database of a server.
struct On<'s> {
    folder: &'s Folder,
    url: &'s str,
}

impl On<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.folder.guildhall(arguments);
        command.env("GUILDHALL_DATABASE", self.url);
        command
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.command(&[arguments, &["--json"]].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn fail(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", stderr(&output));
        stderr(&output)
    }
}

/// Suspends the zone `calder.example`, which has been deployed since position 96.
const SUSPEND: [&str; 14] = [
    "record",
    "transition",
    "--artifact",
    "01a10b53-be40-7621-a03f-e0bbdb7b8e1f",
    "--to",
    "suspended",
    "--actor",
    "kari.solheim",
    "--reason",
    "audit",
    "--at",
    "2026-11-20T09:00:00Z",
    "--event-id",
    "01a1f793-7ac0-7595-9f41-000000000001",
];

#[test]
fn events_are_recorded_and_the_log_is_shown_as_in_a_file() {
    let (folder, database, of_file) = (Folder::new(), Database::create(), Folder::imported());
    let on = On { folder: &folder, url: database.url() };
    on.json(&["import", LOG]);
    on.json(&["project"]);
    for asked in [&["log", "show", "12"][..], &["log", "tail", "-n", "150"]] {
        assert_eq!(on.json(asked), of_file.json(asked), "{asked:?}");
    }
    let dry = on.json(&[&SUSPEND[..], &["--dry-run"]].concat());
    assert_eq!((&dry["outcome"], &on.json(&["status"])["head"]), (&"sound".into(), &150.into()));
    let recorded = on.json(&SUSPEND);
    assert_eq!(recorded, of_file.json(&SUSPEND));
    assert_eq!((&recorded["outcome"], &recorded["position"]), (&"recorded".into(), &151.into()));
    assert_eq!(on.json(&SUSPEND)["outcome"], "recorded_before");
    assert_eq!(on.json(&["log", "show", "151"])["fate"], "pending");
    on.json(&["project"]);
    assert_eq!(on.json(&["log", "show", "151"])["fate"], "applied");
    let ratify = [&SUSPEND[..5], &["ratified"], &SUSPEND[6..12]].concat();
    let said = on.fail(&ratify);
    assert!(said.contains("error: CC04: "), "{said}");
    assert_eq!(on.json(&["status"])["head"], 151);
    assert!(on.fail(&["log", "show", "152"]).contains("there is no entry at position 152"));
}

#[test]
fn what_was_is_told_as_of_a_file() {
    let (folder, database, of_file) = (Folder::new(), Database::create(), Folder::imported());
    let on = On { folder: &folder, url: database.url() };
    on.json(&["import", LOG]);
    on.json(&["project"]);
    let period = ["--since", "2026-10-01T00:00:00Z", "--before", "2026-12-01T00:00:00Z"];
    for asked in [
        &["deployment", "health"][..],
        &["deployment", "drifts"],
        &["deployment", "drifts", "--target", "quay-core-2"],
        &["deployment", "recovery"],
        &["deployment", "recovery", "--as-of", "99"],
    ] {
        let asked = [asked, &period].concat();
        assert_eq!(on.json(&asked), of_file.json(&asked), "{asked:?}");
    }
    for asked in [
        &["posture", "--by", "accord", "--until", "2026-11-12T00:00:00Z"][..],
        &["deployment", "show", "quay-core", "quay-core-1"],
        &["deployment", "show", "quay-core", "quay-core-2", "--as-of", "2026-11-11T00:00:00Z"],
        &["ceremony", "list", "--actor", "hanna.lund"],
        &["changes", "--from", "2026-11-09T17:00:00Z", "--artifact", "quay-core"],
    ] {
        assert_eq!(on.json(asked), of_file.json(asked), "{asked:?}");
    }
}

#[test]
fn what_cannot_be_recorded_is_said_and_recorded_once_where_it_is_tried_again() {
    let folder = Folder::new();
    let server = Server::start(Settings::default());
    let database = Database::create_on(&server.url("postgres"));
    let on = On { folder: &folder, url: database.url() };
    on.json(&["import", LOG]);
    // Who may only look.
    execute(database.url(), "CREATE ROLE looker LOGIN");
    execute(database.url(), "GRANT USAGE ON SCHEMA guildhall TO looker");
    execute(database.url(), "GRANT SELECT ON ALL TABLES IN SCHEMA guildhall TO looker");
    let url = database.url().replace("user=guildhall", "user=looker");
    let looker = On { folder: &folder, url: &url };
    assert_eq!(looker.json(&["log", "show", "150"])["position"], 150);
    let said = looker.fail(&SUSPEND);
    assert!(said.contains("permission denied"), "{said}");
    assert_eq!(said.lines().count(), 2, "{said}");
    assert_eq!(on.json(&["log", "tail", "-n", "1"])["rows"][0]["position"], 150);

    server.stop(Stop::Immediate);
    for asked in [&SUSPEND[..], &["log", "show", "150"]] {
        let said = on.fail(asked);
        assert!(said.contains("help: check that the server runs"), "{said}");
    }
    server.boot();
    assert_eq!(on.json(&SUSPEND)["outcome"], "recorded");
    assert_eq!(on.json(&SUSPEND)["outcome"], "recorded_before");
    assert_eq!(on.json(&["log", "show", "151"])["event_id"], SUSPEND[13]);
}

#[test]
fn who_follows_the_log_waits_for_a_server_that_crashed() {
    let folder = Folder::new();
    let server = Server::start(Settings::default());
    let database = Database::create_on(&server.url("postgres"));
    let on = On { folder: &folder, url: database.url() };
    on.json(&["import", LOG]);
    let follow = ["log", "tail", "-n", "1", "--follow", "--json"];
    let mut following = Running::start(on.command(&follow));
    assert!(following.line_with("").starts_with("{\"position\":150,"));
    server.stop(Stop::Immediate);
    following.error_with("trying again: ");
    server.boot();
    on.json(&SUSPEND);
    assert!(following.line_with("").starts_with("{\"position\":151,"), "none is left out");
    following.signal("-TERM");
    assert_eq!(following.ended().0, Some(0));
}
