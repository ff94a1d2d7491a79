//! `guildhall seal` on both databases: once, again, staying, and where it must refuse.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;
#[path = "../../guildhall-store-postgres/tests/server/mod.rs"]
mod server;

use std::fs;

use common::{Folder, LOG, Running, stderr};
use guildhall_proof::{LogKeys, SignedSeal, VerifierKey};
use serde_json::Value;
use server::Database;

/// A folder with a log's key, and the database that commands in it are about.
struct Guild {
    folder: Folder,
    database: Option<Database>,
}

impl Guild {
    /// One on SQLite and one on PostgreSQL.
    fn both() -> [Self; 2] {
        [None, Some(Database::create())].map(|database| {
            let guild = Self { folder: Folder::new(), database };
            guild.json(&["import", LOG]);
            let origin = guild.json(&["status"])["origin"].as_str().unwrap_or_default().to_owned();
            guild.folder.succeed(&["key", "new", &origin, "--out", "log.key"]);
            guild
        })
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = self.folder.guildhall(arguments);
        if let Some(database) = &self.database {
            command.env("GUILDHALL_DATABASE", database.url());
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = self.command(arguments).output().unwrap();
        let said = stderr(&output);
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), said)
    }

    /// The document that it prints, whatever it ends with but wrong usage.
    fn json(&self, arguments: &[&str]) -> Value {
        let (code, out, said) = self.run(&[arguments, &["--json"]].concat());
        assert!(code.is_some_and(|code| code < 2), "{arguments:?}: {said}");
        serde_json::from_str(&out).unwrap_or_else(|_| panic!("{arguments:?}: {out}{said}"))
    }

    fn record(&self, name: &str) {
        fs::write(self.folder.path("terms.json"), "{}").unwrap();
        let what = ["record", "accord", "--name", name, "--terms", "terms.json", "--by", "ada"];
        let (code, _, said) = self.run(&what);
        assert_eq!(code, Some(0), "{said}");
    }

    fn seal_in(&self, folder: &str) -> SignedSeal {
        let path = self.folder.path(folder).join("checkpoint");
        let seal = SignedSeal::parse(fs::read(path).unwrap()).unwrap();
        let vkey = self.folder.succeed(&["key", "show", "log.key"]);
        let vkey: VerifierKey = vkey.trim_end().parse().unwrap();
        let keys = LogKeys::single(seal.seal().origin.clone(), vkey).unwrap();
        keys.verify(&seal).unwrap();
        seal
    }
}

#[test]
fn a_log_is_sealed_once_and_again_where_something_is_new() {
    for guild in Guild::both() {
        let seal = ["seal", "--key", "log.key", "--folder", "public"];
        let sealed = guild.json(&seal);
        assert_eq!((&sealed["size"], &sealed["head"]), (&151.into(), &151.into()), "{sealed}");
        assert_eq!(sealed["seals"], 1);
        assert_eq!(sealed["sinks"][0]["size"], 151);
        assert_eq!(sealed["sinks"][0]["error"], Value::Null);
        let signed = guild.seal_in("public");
        assert_eq!(signed.seal().size, 151);
        assert_eq!(signed.seal().root.to_string(), sealed["root"].as_str().unwrap());
        // One entry of the log has a type that nobody knows; the one that indexes it is not counted.
        assert_eq!(guild.json(&["project"])["skipped"], 1);

        let again = guild.json(&seal);
        assert_eq!((&again["size"], &again["seals"]), (&151.into(), &0.into()));
        assert_eq!(again["sealed_at"], sealed["sealed_at"]);
        let (_, said, _) = guild.run(&seal);
        assert!(said.contains("151 entries, as before: nothing is new"), "{said}");
        guild.record("another");
        let (code, said, _) = guild.run(&seal);
        assert_eq!(code, Some(0));
        assert!(said.contains("sealed       153 entries\n"), "{said}");
        assert!(said.contains("folder public: 153 entries\n"), "{said}");
        assert_eq!(guild.seal_in("public").seal().size, 153);
    }
}

#[test]
fn a_sealer_that_stays_seals_what_is_new_and_ends_on_sigterm() {
    for guild in Guild::both() {
        let arguments =
            ["seal", "--key", "log.key", "--folder", "public", "--every", "1", "--json"];
        let mut sealer = Running::start(guild.command(&arguments));
        let line = sealer.line_with("\"state\":\"live\",\"size\":151");
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["sinks"][0]["size"], 151);
        // Another stands by rather than seal too.
        let (code, _, said) = guild.run(&["seal", "--key", "log.key"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("one sealer is enough"), "{said}");
        guild.record("another");
        sealer.line_with("\"state\":\"live\",\"size\":153");
        sealer.signal("-TERM");
        let (code, said) = sealer.ended();
        assert_eq!(code, Some(0), "{said}");
        // The lease was given back.
        assert_eq!(guild.json(&["seal", "--key", "log.key"])["size"], 153);
    }
}

#[test]
fn a_database_restored_from_an_older_copy_is_not_sealed() {
    let guild = Guild { folder: Folder::imported(), database: None };
    guild.folder.succeed(&["key", "new", "guildhall/demo", "--out", "log.key"]);
    let older = guild.folder.path("older.db");
    fs::copy(guild.folder.path("guildhall.db"), &older).unwrap();
    let seal = ["seal", "--key", "log.key", "--folder", "public"];
    assert_eq!(guild.json(&seal)["size"], 151);
    fs::copy(&older, guild.folder.path("guildhall.db")).unwrap();
    let (code, _, said) = guild.run(&seal);
    assert_eq!(code, Some(1));
    assert!(said.contains("restored from an older copy"), "{said}");
    assert!(said.contains("151") && said.contains("150"), "both sizes: {said}");
    // It went on otherwise.
    guild.record("another");
    guild.record("one more");
    let (code, _, said) = guild.run(&seal);
    assert_eq!(code, Some(1));
    assert!(said.contains("two histories") && said.contains("do not throw away"), "{said}");
    assert_eq!(guild.seal_in("public").seal().size, 151);
}

#[test]
fn what_will_not_do_is_refused_with_what_to_do() {
    let folder = Folder::imported();
    folder.succeed(&["key", "new", "guildhall/demo", "--out", "log.key"]);
    folder.succeed(&["key", "new", "guildhall/demo", "--out", "new.key"]);
    folder.succeed(&["key", "new", "w.example", "--out", "w.key", "--witness"]);
    fs::write(folder.path("keys"), "guildhall.keys.v1\norigin other\n").unwrap();
    for (arguments, code, expected) in [
        (&["seal"][..], 2, "--key"),
        (&["seal", "--key", "missing"], 1, "check the path"),
        (&["seal", "--key", "w.key"], 1, "make a log's key"),
        (&["seal", "--key", "log.key", "--every", "0"], 2, "--every"),
        (&["seal", "--key", "log.key", "--entries", "5"], 2, "--every"),
        (&["seal", "--key", "log.key", "--keys", "keys"], 2, "guildhall key show"),
        (&["seal", "--key", "log.key", "--folder", "log.key"], 1, "log.key"),
        (&["--database", "sqlite:none.db", "seal", "--key", "log.key"], 1, "migrate"),
    ] {
        let said = folder.fail(code, arguments);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    // Another key needs those of before.
    assert_eq!(folder.json(&["seal", "--key", "log.key"])["size"], 151);
    let said = folder.fail(1, &["seal", "--key", "new.key"]);
    assert!(said.contains("name the keys of before"), "{said}");
    let origin = folder.json(&["status"])["origin"].as_str().unwrap().to_owned();
    let vkey = |file| folder.succeed(&["key", "show", file]).trim_end().to_owned();
    let keys = format!(
        "guildhall.keys.v1\norigin {origin}\nkey {} 0 152\nkey {} 152\n",
        vkey("log.key"),
        vkey("new.key")
    );
    fs::write(folder.path("keys"), keys).unwrap();
    folder.succeed(&["seal", "--key", "new.key", "--keys", "keys"]);
}

#[test]
fn a_folder_that_cannot_be_written_is_said_and_the_seal_is_made() {
    let folder = Folder::imported();
    folder.succeed(&["key", "new", "guildhall/demo", "--out", "log.key"]);
    fs::create_dir(folder.path("public")).unwrap();
    // What should be a folder in it is a file.
    fs::write(folder.path("public/tile"), "in the way").unwrap();
    let output = folder.run(&["seal", "--key", "log.key", "--folder", "public", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let sealed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&sealed["size"], &sealed["seals"]), (&151.into(), &1.into()));
    assert!(sealed["sinks"][0]["error"].as_str().unwrap().contains("public"), "{sealed}");
}
