//! Events that the program records, or refuses.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::{Folder, LOG};
use serde_json::{Value, json};

/// The zone `calder.example`, deployed since position 96.
const ZONE: &str = "01a10b53-be40-7621-a03f-e0bbdb7b8e1f";
const ZONE_CID: &str = "bafkreicosfnm5xae7jeyhbc5h3ciuhyu56lqh63hanx46dfbmggf44ugqm";
const ZONE_HASH: &str = "67c22365fad3ab49e7858210876bb2adf8677f81ff03b2e0661b2de7eb04326b";

/// `CA004 administrators`, about which this ceremony is open.
const POLICY: &str = "01a11a8f-e3c0-7e84-acb1-763e79ad690e";
const CEREMONY: &str = "01a1f2e4-2380-72f4-b57b-730a8d166163";

/// After everything that the log tells.
const AT: [&str; 2] = ["--at", "2026-11-20T09:00:00Z"];

fn moved<'a>(artifact: &'a str, to: &'a str) -> Vec<&'a str> {
    let who = ["--actor", "kari.solheim", "--reason", "audit"];
    [&["record", "transition", "--artifact", artifact, "--to", to][..], &who, &AT].concat()
}

#[test]
fn a_transition_is_completed_and_recorded_once() {
    let folder = Folder::imported();
    let id = ["--event-id", "01a1f793-7ac0-7595-9f41-000000000001", "--correlation-id", "CHG-1"];
    let suspend = [&moved(ZONE, "suspended")[..], &id].concat();
    let recorded = folder.json(&suspend);
    assert_eq!((&recorded["outcome"], &recorded["position"]), (&json!("recorded"), &json!(151)));
    assert_eq!((&recorded["version"], &recorded["data"]["seq"]), (&json!(27), &json!(8)));
    assert_eq!(recorded["data"]["from_state"], "deployed");
    assert_eq!(recorded["data"]["prev_hash"], ZONE_HASH);
    assert_eq!(recorded["data"]["cid"], ZONE_CID);
    let again = folder.json(&suspend);
    assert_eq!(again["outcome"], "recorded_before");
    assert_eq!((&again["position"], &again["data"]), (&json!(151), &recorded["data"]));
    let shown = folder.json(&["log", "show", "151"]);
    assert_eq!(shown["metadata"], json!({"correlationid": "CHG-1"}));
    assert_eq!(folder.json(&["project"])["quarantined"], 0, "it is sound");
    assert_eq!(folder.json(&["log", "show", "151"])["fate"], "applied");
}

#[test]
fn what_breaks_an_invariant_is_refused_with_its_code_and_writes_nothing() {
    let folder = Folder::imported();
    let nobody = "01a10b53-be40-7621-a03f-000000000000";
    let other = ["--ceremony", nobody];
    for (arguments, code) in [
        (moved(ZONE, "ratified"), "CC04"),
        (moved(nobody, "drafted"), "CC11"),
        ([&moved(POLICY, "ratified")[..], &other].concat(), "CC09"),
        (
            [
                &moved(ZONE, "retired")[..],
                &["--cid", "bafkreiablk6x6xgfpiw5ss3vsdyevwaiijzzaxxdh3c45pvomitwvf7ymi"],
            ]
            .concat(),
            "CC08",
        ),
        ([&moved(ZONE, "retired")[..10], &["--at", "2026-11-01T00:00:00Z"]].concat(), "CC07"),
    ] {
        for dry_run in [&["--dry-run"][..], &[]] {
            let arguments = [&arguments[..], dry_run].concat();
            let said = folder.fail(1, &arguments);
            assert!(said.contains(&format!("error: {code}: ")), "{arguments:?}: {said}");
            assert!(said.contains("help: "), "{said}");
            let output = folder.run(&[&arguments[..], &["--json"]].concat());
            assert_eq!(output.status.code(), Some(1));
            let document: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(
                (&document["outcome"], &document["code"]),
                (&json!("refused"), &json!(code))
            );
        }
    }
    assert_eq!(folder.json(&["status"])["head"], 150);
}

#[test]
fn a_dry_run_says_what_would_be_recorded_and_writes_nothing() {
    let folder = Folder::imported();
    let before = std::fs::read(folder.path("guildhall.db")).unwrap();
    let dry = [&moved(POLICY, "ratified")[..], &["--dry-run"]].concat();
    let document = folder.json(&dry);
    assert_eq!((&document["outcome"], &document["position"]), (&json!("sound"), &Value::Null));
    assert_eq!(document["data"]["ceremony_id"], CEREMONY, "the ceremony that is closed");
    let text = folder.succeed(&dry);
    assert!(
        text.starts_with("would be recorded: custody.transitioned.v1, version 14 of "),
        "{text}"
    );
    assert_eq!(folder.names(), ["guildhall.db"]);
    assert_eq!(std::fs::read(folder.path("guildhall.db")).unwrap(), before);
    let empty = Folder::new();
    assert!(empty.fail(1, &dry).contains("there is no database"));
    assert!(empty.fail(1, &moved(ZONE, "suspended")).contains("there is no database"));
    assert!(empty.names().is_empty());
}

#[test]
fn an_artifact_goes_from_its_accord_to_an_observation_by_flags() {
    let folder = Folder::new();
    folder.succeed(&["migrate"]);
    std::fs::write(folder.path("terms.json"), r#"{"quorum": 2}"#).unwrap();
    std::fs::write(folder.path("zone.json"), r#"{"a":1}"#).unwrap();
    let accord = ["record", "accord", "--name", "change control", "--by", "board"];
    let accord = folder.json(&[&accord[..], &["--terms", "terms.json"]].concat());
    let accord = accord["stream_id"].as_str().unwrap();
    let artifact =
        ["record", "artifact", "--accord", accord, "--name", "example.com", "--tier", "0"];
    let content = ["--type", "dns_zone", "--content", "zone.json", "--schema", "urn:zone"];
    let artifact = folder.json(&[&artifact[..], &content].concat());
    let cid = "bafkreiablk6x6xgfpiw5ss3vsdyevwaiijzzaxxdh3c45pvomitwvf7ymi";
    assert_eq!(artifact["data"]["cid"], cid, "as the design has it");
    let id = artifact["stream_id"].as_str().unwrap();
    let act = ["--actor", "ada", "--reason", "why not"];
    let to =
        |state| [&["record", "transition", "--artifact", id, "--to", state][..], &act].concat();
    folder.succeed(&to("drafted"));
    let opened = folder.json(&[&["record", "open-ceremony", "--artifact", id][..], &act].concat());
    assert_eq!(opened["data"]["to_state"], "ceremony_open");
    assert!(opened["data"]["ceremony_id"].is_string());
    folder.succeed(&to("ratified"));
    folder.succeed(&to("deployed"));
    let seen = ["--target", "ns1", "--desired", cid, "--observed", cid];
    folder.succeed(&[&["record", "observation", "--artifact", id][..], &seen].concat());
    let passed = ["--verifier", "auditor", "--outcome", "passed", "--evidence", r#"{"by":"hand"}"#];
    folder.succeed(&[&["record", "verification", "--artifact", id][..], &passed].concat());
    std::fs::write(folder.path("zone.json"), r#"{"a":2}"#).unwrap();
    let revised = ["record", "revision", "--artifact", id, "--content", "zone.json"];
    let revised = folder.json(&[&revised[..], &["--schema", "urn:zone"]].concat());
    assert_eq!(revised["data"]["previous_cid"], cid);
    assert_eq!(folder.json(&["project"])["quarantined"], 0);
    let overview = folder.json(&["status"])["overview"].clone();
    assert_eq!(overview["custody_transitions"], 4);
    assert_eq!(
        (&overview["healthy_deployments"], &overview["verifications"]),
        (&json!(1), &json!(1))
    );
}

#[test]
fn an_event_from_json_is_a_line_of_an_export_or_what_matters_of_one() {
    let folder = Folder::new();
    folder.succeed(&["migrate"]);
    let log = std::fs::read_to_string(LOG).unwrap();
    for (position, line) in log.lines().enumerate().take(12) {
        std::fs::write(folder.path("line.json"), line).unwrap();
        let recorded = folder.json(&["record", "line.json"]);
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(recorded["position"], position + 1);
        assert_eq!((&recorded["event_id"], &recorded["data"]), (&line["id"], &line["data"]));
        let shown = folder.json(&["log", "show", &(position + 1).to_string()]);
        assert_eq!(shown["recorded_at"], line["time"]);
    }
    let event = json!({
        "type": "custody.transitioned.v1", "subject": ZONE,
        "data": {
            "artifact_id": ZONE, "to_state": "suspended", "actor": "kari.solheim",
            "reason": "audit", "occurred_at": "2026-10-08T09:00:00+02:00",
        },
    });
    std::fs::write(folder.path("event.json"), serde_json::to_string_pretty(&event).unwrap())
        .unwrap();
    let recorded = folder.json(&["record", "event.json"]);
    assert_eq!(recorded["data"]["occurred_at"], "2026-10-08T07:00:00.000000Z");
    assert_eq!((&recorded["data"]["seq"], &recorded["version"]), (&json!(5), &json!(7)));
}

#[test]
fn wrong_json_is_told_with_its_place_and_is_wrong_usage() {
    let folder = Folder::imported();
    let event =
        |data: &str| format!("{{\"type\": \"custody.transitioned.v1\",\n \"data\": {data}}}");
    let whole = format!(
        r#"{{"artifact_id": "{ZONE}", "to_state": "suspended", "actor": "a", "reason": "b"}}"#
    );
    for (text, expected) in [
        ("{", "line 1 column 1"),
        ("{\"type\": 1}", "line 1 column 10"),
        (r#"{"type": "custody.moved.v1", "data": {}}"#, "custody.moved.v1"),
        (&event("{\"artifact_id\": \"x\"}"), "line 2 column 28"),
        (&event(&whole.replace("reason", "raeson")), "unknown field `raeson`"),
        (&event(&whole.replace("\"actor\"", "\"reason\"")), "duplicate field `reason`"),
        (&event(&whole.replace("suspended", "gone")), "unknown variant `gone`"),
        (&event(&whole.replace("}", ", \"seq\": 8}")), "seq is given and hash is not"),
        (&(event(&whole) + "\n" + &event(&whole)), "trailing characters at line 3 column 1"),
        (&event(&whole.replace("\"b\"", "\"b\", \"evidence\": {\"a\":1,\"a\":2}")), "\"a\""),
        (
            &event(&whole).replace("\"data\"", &format!("\"subject\": \"{POLICY}\", \"data\"")),
            "and data is about",
        ),
    ] {
        std::fs::write(folder.path("event.json"), text).unwrap();
        let said = folder.fail(2, &["record", "event.json"]);
        assert!(said.contains("event.json: ") && said.contains(expected), "{text}: {said}");
    }
    folder.fail(2, &["record"]);
    folder.fail(2, &["record", "transition", "--artifact", "x"]);
    folder.fail(2, &["record", "transition", "--artifact", ZONE, "--to", "gone"]);
    folder.fail(2, &[&["record", "event.json"][..], &moved(ZONE, "retired")[1..]].concat());
    folder.fail(1, &["record", "absent.json"]);
    assert_eq!(folder.json(&["status"])["head"], 150);
}
