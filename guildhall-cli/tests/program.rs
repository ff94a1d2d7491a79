//! The program, run as people run it, each test in a folder of its own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::process::Stdio;

use common::{Folder, LOG, stderr};
use serde_json::{Value, json};

#[test]
fn a_log_is_imported_projected_shown_and_exported() {
    let folder = Folder::new();
    assert!(folder.succeed(&["import", LOG]).is_empty());
    let before = folder.json(&["status"]);
    assert_eq!((&before["head"], &before["lag"]), (&json!(150), &json!(150)));
    folder.succeed(&["project"]);
    let status = folder.json(&["status"]);
    assert_eq!((&status["is_healthy"], &status["lag"]), (&json!(true), &json!(0)));
    assert_eq!(status["overview"]["quarantined"], 1);
    assert!(status["sizes"]["file_bytes"].as_u64().unwrap() > 0);
    let exported = folder.succeed(&["export"]);
    assert_eq!(exported, std::fs::read_to_string(LOG).unwrap());
    assert_eq!(folder.names(), ["guildhall.db"], "the file stands alone");
}

#[test]
fn a_rebuild_and_a_second_projection_change_nothing() {
    let folder = Folder::imported();
    let status = folder.json(&["status"]);
    assert_eq!(folder.json(&["project"])["entries"], 0);
    assert_eq!(folder.json(&["rebuild"])["entries"], 150);
    let again = folder.json(&["status"]);
    assert_eq!(again["checkpoint"], status["checkpoint"]);
    assert_eq!(again["overview"], status["overview"]);
}

#[test]
fn status_says_what_is_wrong_and_exits_with_1() {
    let folder = Folder::new();
    folder.succeed(&["import", LOG]);
    let output = folder.run(&["status", "--max-lag", "149", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.is_empty(), "{}", stderr(&output));
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["problems"], json!(["the tables are 150 entries behind the log"]));
}

#[test]
fn wrong_usage_exits_with_2_and_touches_nothing() {
    let folder = Folder::new();
    for (arguments, expected) in [
        (&["--no-such-flag"][..], "--no-such-flag"),
        (&["stauts"], "'status'"),
        (&["import"], "FILE|-"),
        (&["project", "--folow"], "--folow"),
        (&["status", "--max-lag", "-1"], "-1"),
        (&["--database", "guildhall.db", "migrate"], "sqlite:PATH"),
        (&["--database", "mysql://guildhall:secret@localhost/ops", "migrate"], "postgres://"),
        (&["--database", "sqlite:x.db?mode=ro", "migrate"], "no parameters"),
        (&["export", "-", "--json"], "leave out --json"),
        (&["-q", "-v", "migrate"], "--quiet"),
        (&[], "Usage"),
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
fn a_mistyped_name_leaves_no_database_behind() {
    let folder = Folder::new();
    for (arguments, code, expected) in [
        (&["import", "absent.jsonl"][..], 1, "absent.jsonl"),
        (&["import", "."], 1, "it is a folder"),
        (&["export", "absent/out.jsonl"], 1, "its folder does not exist"),
        (&["project"], 1, "there is no database guildhall.db"),
        (&["rebuild"], 1, "guildhall migrate"),
        (&["export"], 1, "guildhall migrate"),
        (&["status"], 3, "there is no database guildhall.db"),
    ] {
        let output = folder.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{arguments:?}: {}", stderr(&output));
        assert!(folder.names().is_empty(), "{arguments:?} left {:?}", folder.names());
    }
}

#[test]
fn an_error_is_said_once_with_what_to_do() {
    let folder = Folder::new();
    let text = "this is no database, and long enough to be read as one";
    std::fs::write(folder.path("other.db"), text).unwrap();
    std::fs::write(folder.path("bad.jsonl"), "{}\n").unwrap();
    for (arguments, message, help) in [
        (
            &["--database", "sqlite:other.db", "migrate"][..],
            "other.db is not a SQLite database",
            "name another file",
        ),
        (&["import", "bad.jsonl"], "importing bad.jsonl: line 1: ", "correct the line"),
    ] {
        let output = folder.run(arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines.len(), 2, "{said}");
        assert!(lines[0].starts_with("error: ") && lines[0].contains(message), "{said}");
        assert!(lines[1].starts_with("help: ") && lines[1].contains(help), "{said}");
    }
    let untouched = std::fs::read_to_string(folder.path("other.db")).unwrap();
    assert_eq!(untouched, text);
}

#[test]
fn quiet_says_nothing_and_the_environment_names_the_database() {
    let folder = Folder::new();
    let mut importing = folder.guildhall(&["-q", "import", LOG]);
    let output = importing.env("GUILDHALL_DATABASE", "sqlite:a.db").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{}", stderr(&output));
    assert_eq!(folder.names(), ["a.db"]);
}

#[test]
fn a_password_in_the_environment_is_not_shown() {
    let folder = Folder::new();
    let url = "postgres://guildhall:secret@127.0.0.1:1/ops";
    for arguments in [&["--help"][..], &["status", "--help"], &["status"], &["-vv", "migrate"]] {
        let output = folder.guildhall(arguments).env("GUILDHALL_DATABASE", url).output().unwrap();
        let said = stderr(&output) + &String::from_utf8_lossy(&output.stdout);
        assert!(!said.contains("secret"), "{arguments:?}: {said}");
    }
}

#[test]
fn an_import_says_for_programs_what_it_did() {
    let folder = Folder::new();
    let mut child = folder.guildhall(&["import", "-", "--json"]).stdin(Stdio::piped()).spawn();
    let child = child.as_mut().unwrap();
    let log = std::fs::read(LOG).unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &log).unwrap();
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stdout.take().unwrap(), &mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let none = json!({"lines": 0, "first_line": null});
    assert_eq!(
        serde_json::from_str::<Value>(&said).unwrap(),
        json!({
            "lines": 150, "appended": 150, "recorded_before": 0, "position": 150,
            "foreign": none, "differing": none, "left_out": none,
        })
    );
}

#[test]
fn a_closed_pipe_is_no_failure_but_no_verdict_either() {
    let folder = Folder::imported();
    let cases = [
        (&["export"][..], 0),
        (&["log", "tail"], 0),
        (&["--help"], 0),
        (&["status"], 3),
        (&["status", "--json"], 3),
    ];
    for (arguments, code) in cases {
        let mut child = folder.guildhall(arguments).spawn().unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{arguments:?}: {said}");
        assert!(!said.contains("panic") && !said.contains("error"), "{said}");
    }
}

#[cfg(unix)]
#[test]
fn an_export_to_the_null_device_says_where_it_went() {
    let folder = Folder::imported();
    // As a shell opens it, as other programs do, and as it is there where standard output was closed.
    let write_only = std::fs::OpenOptions::new().write(true).open("/dev/null").unwrap();
    let both = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null").unwrap();
    for stdout in [write_only, both] {
        let output = folder.guildhall(&["export", "-"]).stdout(stdout).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stderr(&output).contains("150 entries to the null device"), "{}", stderr(&output));
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_written_is_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::imported();
    let set = |name, mode| {
        std::fs::set_permissions(folder.path(name), PermissionsExt::from_mode(mode)).unwrap();
    };
    set("guildhall.db", 0o444);
    set("", 0o555);
    let status = folder.json(&["status"]);
    set("", 0o755);
    assert_eq!(status["head"], 150);
    assert_eq!(folder.names(), ["guildhall.db"]);
}

#[test]
fn completions_and_manual_pages_are_made() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(folder.succeed(&["completions", shell]).contains("guildhall"), "{shell}");
    }
    folder.succeed(&["man", "."]);
    assert!(folder.names().contains(&"guildhall.1".to_owned()), "{:?}", folder.names());
    for page in ["guildhall-import.1", "guildhall-posture.1", "guildhall-deployment-drifts.1"] {
        assert!(folder.names().contains(&page.to_owned()), "{:?}", folder.names());
    }
}

#[test]
fn help_tells_exit_codes_and_every_command() {
    let help = Folder::new().succeed(&["--help"]);
    for expected in ["Exit codes: 0", "migrate", "import", "export", "project", "rebuild", "status"]
    {
        assert!(help.contains(expected), "{expected:?} is not in\n{help}");
    }
    assert!(!help.contains('\u{1b}'), "no colour where there is no terminal");
}
