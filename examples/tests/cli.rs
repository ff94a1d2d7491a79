//! The projector's command line, end to end, each test in a folder of its own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::io::{Read as _, Write as _};
use std::process::Stdio;

use common::{Folder, Follower, stderr};
use guildhall_examples::story;
use guildhall_store_sqlite::rusqlite::Connection;
use serde_json::{Value, json};

#[test]
fn the_first_run_tells_the_story() {
    let folder = Folder::new();
    let text = folder.succeed(&[]);
    for expected in [
        "Artifacts (9)",
        "calder.example",
        "conditional_access",
        "ceremony_open",
        "drifted",
        "Open ceremonies (1)",
        "administrators sign in with passkeys or smart cards only",
        "Latest verifications (25)",
        "inconclusive",
        "Quarantine (1)",
        "CC04",
        "position   150 of 150, up to date",
        "What to try next",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in\n{text}");
    }
    assert_eq!(folder.names(), ["guildhall.db"], "the file stands alone");
}

#[test]
fn the_second_run_is_up_to_date_and_says_the_same() {
    let folder = Folder::new();
    let first = folder.succeed(&[]);
    let second = folder.run(&[]);
    assert_eq!(String::from_utf8_lossy(&second.stdout), first);
    let said = stderr(&second);
    assert!(said.contains("imported 0 entries, 150 were there before"), "{said}");
    assert!(said.contains("up to date"), "{said}");
}

#[test]
fn the_json_report_is_what_the_story_must_become() {
    let report = Folder::new().json(&[]);
    assert_eq!(report["origin"], story::ORIGIN);
    assert_eq!(report["head"], 150);
    assert_eq!(report["checkpoint"]["position"], 150);
    let last = story::entries().last().unwrap().leaf_hash;
    assert_eq!(report["checkpoint"]["leaf_hash"], last.to_string());
    assert_eq!(
        report["overview"],
        json!({
            "accords": 3,
            "artifacts_by_tier": [3, 4, 2, 0],
            "healthy_deployments": 10,
            "drifted_deployments": 1,
            "unknown_deployments": 3,
            "custody_transitions": 43,
            "verifications": 25,
            "open_ceremonies": 1,
            "oldest_ceremony_opened_at": "2026-11-19T08:20:00.000000Z",
            "quarantined": 1,
        })
    );
    let artifacts: Vec<_> = report["artifacts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            ["tier", "artifact_type", "custody_state", "drift"].map(|column| row[column].clone())
        })
        .map(Value::from_iter)
        .collect();
    assert_eq!(
        Value::from(artifacts),
        json!([
            [0, "conditional_access", "ceremony_open", "healthy"],
            [0, "dns_zone", "deployed", "healthy"],
            [0, "yang_config", "deployed", "drifted"],
            [1, "intune_profile", "deployed", "healthy"],
            [1, "dsc_mof", "suspended", "unknown"],
            [1, "oci_image", "deployed", "healthy"],
            [1, "tls_certificate", "retired", "healthy"],
            [2, "jea_role", "rejected", "undeployed"],
            [2, "helm_values", "deployed", "unknown"],
        ])
    );
    assert_eq!(report["artifacts"][2]["drift_since"], "2026-11-12T01:17:00.000000Z");
    // One of its name servers was drifted until then.
    assert_eq!(report["artifacts"][1]["drift_since"], "2026-11-04T05:41:00.000000Z");
    assert_eq!(report["open_ceremonies"][0]["opened"]["actor"], "lucia.ferro");
    assert_eq!(report["verifications"][0]["outcome"], "inconclusive");
    assert_eq!(report["quarantined"][0]["code"], "CC04");
    assert_eq!(
        report["quarantined"][0]["event_type"],
        "dev.guildhouse.chronicle.custody.transitioned.v1"
    );
}

#[test]
fn wrong_usage_exits_with_2_and_writes_nothing() {
    let folder = Folder::new();
    for (arguments, expected) in [
        (&["--no-such-flag"][..], "--no-such-flag"),
        (&["story.jsonl"], "story.jsonl"),
        (&["--generate", "many"], "many"),
        (&["--generate", "-1"], "-1"),
        (&["--chronicle", "a", "--generate", "1"], "--generate"),
        (&["--database", "guildhall.db"], "sqlite:PATH"),
        (&["--database", "sqlite:"], "sqlite:PATH"),
        (&["--database", "mysql://guildhall:secret@localhost/ops"], "postgres://"),
        (&["--export", "-", "--json"], "--export -"),
        (&["--export", "-", "--follow"], "--export -"),
        (&["--database", "sqlite:file:x.db"], "sqlite:guildhall.db"),
        (&["--database", "sqlite://x.db"], "sqlite:guildhall.db"),
        (&["--database", "sqlite:x.db?mode=ro"], "no parameters"),
        (&["--serve", "7177"], ":7177"),
        (&["--serve", "0.0.0.0:7177"], "this machine"),
    ] {
        let output = folder.run(arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
        assert!(!said.contains("secret"), "{said}");
        assert!(output.stdout.is_empty());
    }
    assert!(folder.names().is_empty());
}

#[test]
fn a_feature_that_was_left_out_is_named() {
    let folder = Folder::new();
    for (arguments, feature, is_there) in [
        (
            ["--database", "postgres://guildhall:secret@127.0.0.1:1/ops"],
            "postgres",
            cfg!(feature = "postgres"),
        ),
        (["--serve", ":0"], "console", cfg!(feature = "console")),
    ] {
        if !is_there {
            let output = folder.run(&arguments);
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert!(said.contains(&format!("--features {feature}")), "{said}");
        }
    }
    assert!(folder.names().is_empty());
}

#[test]
fn help_names_every_flag_and_exit_code() {
    let help = Folder::new().succeed(&["--help"]);
    for expected in [
        "--database",
        "--chronicle",
        "--follow",
        "--rebuild",
        "--export",
        "--halt-on-violation",
        "--generate",
        "--json",
        "Examples:",
        "Exit codes: 0 done, 1 failed",
        "2 wrong usage",
    ] {
        assert!(help.contains(expected), "{expected:?} is not in\n{help}");
    }
}

#[test]
fn what_cannot_be_opened_exits_with_1() {
    let folder = Folder::new();
    let error = folder.fail(&["--chronicle", "absent.jsonl"]);
    assert!(error.contains("absent.jsonl") && error.contains("No such file"), "{error}");
    std::fs::write(
        folder.path("other.db"),
        "this is no database, and long enough to be read as one",
    )
    .unwrap();
    let error = folder.fail(&["--database", "sqlite:other.db"]);
    assert!(error.contains("other.db"), "{error}");
    let error = folder.fail(&["--database", "sqlite:absent/guildhall.db"]);
    assert!(error.contains("guildhall.db"), "{error}");
    // Nothing listens on port 1.
    if cfg!(feature = "postgres") {
        let error = folder.fail(&["--database", "postgres://guildhall:secret@127.0.0.1:1/ops"]);
        assert!(error.contains("refused") && !error.contains("secret"), "{error}");
    }
}

#[test]
fn an_export_imports_to_the_same_export() {
    let here = Folder::new();
    let exported = here.succeed(&["--export", "-"]);
    assert_eq!(exported, story::JSONL);

    let there = Folder::new();
    let mut child = there
        .projector(&["--chronicle", "-", "--export", "copy.jsonl", "--json"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(exported.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(std::fs::read_to_string(there.path("copy.jsonl")).unwrap(), exported);
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), here.json(&[]));
}

#[test]
fn a_bad_line_stops_the_import_and_the_mended_file_appends_the_rest() {
    let folder = Folder::new();
    let lines: Vec<_> = story::JSONL.lines().collect();
    let good = lines.join("\n");
    let bad = lines[10].replacen("\"time\"", "\"time\":\"2026-11-01T00:00:00Z\",\"time\"", 1);
    let file = folder.path("log.jsonl");
    std::fs::write(&file, [lines[..10].join("\n"), bad, lines[11..].join("\n")].join("\n"))
        .unwrap();
    let error = folder.fail(&["--chronicle", "log.jsonl"]);
    assert!(error.contains("log.jsonl: line 11: ") && error.contains("time"), "{error}");
    assert_eq!(
        folder.json(&[])["head"],
        150,
        "the story's own Chronicle is completed by the story"
    );

    let folder = Folder::new();
    // A line that begins another Chronicle states no place in it.
    let (head, data) = lines[0].split_once("\"data\":").unwrap();
    let (head, _) = head.split_once("\"position\":").unwrap();
    let first = format!("{head}\"data\":{data}").replace("calder-harbour", "elsewhere");
    let rest = lines[1..10].join("\r\n");
    let file = folder.path("log.jsonl");
    std::fs::write(&file, format!("{first}\n\n{rest}\r\n{{\"specversion\":")).unwrap();
    let error = folder.fail(&["--chronicle", "log.jsonl"]);
    assert!(error.contains("line 12: "), "{error}");
    let kept = folder.json(&[]);
    assert_eq!((&kept["head"], &kept["checkpoint"]["position"]), (&json!(10), &json!(10)));
    assert_eq!(kept["origin"], "guildhall/elsewhere");

    std::fs::write(&file, good).unwrap();
    let output = folder.run(&["--chronicle", "log.jsonl", "--json"]);
    assert!(stderr(&output).contains("imported 140 entries, 10 were there before"));
    let mended: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(mended["overview"], Folder::new().json(&[])["overview"]);
}

#[test]
fn an_import_says_which_lines_are_of_another_chronicle_or_differ_from_what_was_recorded() {
    let folder = Folder::new();
    assert!(!folder.run(&[]).stderr.is_empty());
    let lines: Vec<_> = story::JSONL.lines().collect();
    let elsewhere = |line: &str| line.replacen("calder-harbour", "elsewhere", 1);
    let later = |line: &str| line.replacen("\"time\":\"2026", "\"time\":\"2027", 1);
    let said = |text: &[&str]| {
        std::fs::write(folder.path("log.jsonl"), text.join("\n")).unwrap();
        let said = stderr(&folder.run(&["--chronicle", "log.jsonl", "--json"]));
        said.lines().find(|line| line.starts_with("imported")).unwrap().to_owned()
    };
    assert_eq!(said(&lines), "imported 0 entries, 150 were there before");
    let (others, differing) = (lines[..3].iter().map(|line| elsewhere(line)), later(lines[4]));
    let others: Vec<_> = others.collect();
    assert_eq!(
        said(&[lines[0], "", &others[1], &others[2]]),
        "imported 0 entries, 3 were there before; 2 lines of another Chronicle: the first is line 3"
    );
    // A line without its leaf hash is not held to its time.
    let differing = differing.replacen("\"leafhash\"", "\"wasleafhash\"", 1);
    assert_eq!(
        said(&[&others[0], &differing]),
        "imported 0 entries, 2 were there before; 1 line of another Chronicle: line 1; 1 line \
         recorded before with another time or metadata, which is kept: line 2"
    );
}

#[test]
fn a_rebuild_gives_the_same_report() {
    let folder = Folder::new();
    let before = folder.json(&[]);
    assert_eq!(folder.json(&["--rebuild"]), before);
    assert_eq!(Folder::new().json(&["--rebuild"]), before);
}

/// Cuts off the log after a position, as only the owner of its file can.
fn cut(folder: &Folder, after: u64) {
    let connection = Connection::open(folder.path("guildhall.db")).unwrap();
    let of_the_log = "SELECT name, sql FROM sqlite_schema
        WHERE type = 'trigger' AND tbl_name = 'chronicle_entries'";
    let triggers: Vec<(String, String)> = {
        let mut found = connection.prepare(of_the_log).unwrap();
        let rows = found.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    for (name, _) in &triggers {
        connection.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    let delete = format!("DELETE FROM chronicle_entries WHERE position > {after}");
    connection.execute_batch(&delete).unwrap();
    for (_, sql) in &triggers {
        connection.execute_batch(sql).unwrap();
    }
}

#[test]
fn after_its_log_was_cut_a_rebuild_with_consent_lets_it_go_on() {
    let folder = Folder::new();
    let whole = folder.json(&[]);
    cut(&folder, 140);
    let error = folder.fail(&[]);
    assert!(error.contains("140") && error.contains("150"), "{error}");
    let refused = folder.fail(&["--rebuild"]);
    assert!(refused.contains("custody_transitions: 2 rows gone"), "{refused}");
    assert_eq!(folder.entries_in("guildhall.db"), 140, "nothing was appended meanwhile");
    let again = folder.json(&["--rebuild", "--accept-rewritten"]);
    assert_eq!(again, whole, "the story is imported again");
    assert_eq!(folder.json(&[]), whole);
}

#[test]
fn halting_stops_before_the_violation() {
    let folder = Folder::new();
    let broken =
        story::JSONL.lines().position(|line| line.contains("nightly roll-out of approved roles"));
    let broken = broken.unwrap() + 1;
    for _ in 0..2 {
        let error = folder.fail(&["--halt-on-violation"]);
        assert!(error.contains(&format!("position {broken}")) && error.contains("CC04"), "{error}");
    }
    // Without the flag it goes on from there.
    assert_eq!(folder.json(&[]), Folder::new().json(&[]));
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let folder = Folder::new();
    folder.succeed(&["--generate", "2000", "--json"]);
    for arguments in [&["--export", "-"][..], &[], &["--json"]] {
        let mut child = folder.projector(arguments).spawn().unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
        assert!(!said.contains("panic"), "{said}");
    }
}

#[test]
fn generating_is_repeatable_and_idempotent() {
    let folder = Folder::new();
    let first = folder.json(&["--generate", "5000"]);
    assert_eq!(first["head"], 5000);
    assert_eq!(first["checkpoint"]["position"], 5000);
    assert_eq!(folder.json(&["--generate", "5000"]), first);
    // What is there already is the beginning of more.
    assert_eq!(folder.json(&["--generate", "5500"])["head"], 5500);
    let other = Folder::new();
    assert_eq!(other.json(&["--generate", "5000"]), first);
    assert_eq!(other.json(&[]), first, "the story does not go into another Chronicle");
}

#[cfg(unix)]
#[test]
fn a_follower_sees_what_another_process_appends() {
    let folder = Folder::new();
    let lines: Vec<_> = story::JSONL.split_inclusive('\n').collect();
    std::fs::write(folder.path("first.jsonl"), lines[..140].concat()).unwrap();
    let follower = Follower::start(&folder, &["--chronicle", "first.jsonl"]);
    follower.line_with("following");
    // The follower projects; the other process appends, and reports what that becomes.
    let report = folder.json(&[]);
    assert_eq!((&report["head"], &report["checkpoint"]["position"]), (&json!(150), &json!(150)));
    follower.line_with("position 150");
    assert_eq!(follower.end("-INT").0, Some(0));
    // It gave its lease up.
    assert_eq!(folder.json(&["--rebuild"]), report);
}

#[cfg(unix)]
#[test]
fn a_follower_in_json_prints_a_report_a_line() {
    let folder = Folder::new();
    std::fs::write(folder.path("none.jsonl"), "").unwrap();
    let follower = Follower::start(&folder, &["--json", "--chronicle", "none.jsonl"]);
    let first: Value = serde_json::from_str(&follower.line_with("")).unwrap();
    assert_eq!(first["head"], 0);
    folder.succeed(&[]);
    follower.line_with("\"position\":150");
    assert_eq!(follower.end("-INT").0, Some(0));
}
