//! Commands that ask, about the bundled Chronicle: what they answer are facts of its story.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::BTreeSet;

use common::Folder;
use guildhall_core::{
    AccordQuery, ArtifactQuery, ChangeQuery, DeploymentQuery, PeriodQuery, PostureQuery,
    TimelineQuery, VerificationQuery,
};
use serde_json::{Value, json};

fn column<'r>(document: &'r Value, name: &str) -> Vec<&'r str> {
    let rows = document["rows"].as_array().unwrap();
    rows.iter().map(|row| row[name].as_str().unwrap()).collect()
}

#[test]
fn artifacts_are_listed_by_every_filter() {
    let folder = Folder::imported();
    let names = |arguments: &[&str]| {
        let page = folder.json(&[&["artifact", "list"], arguments].concat());
        column(&page, "name").join(", ")
    };
    assert_eq!(folder.json(&["artifact", "list"])["rows"].as_array().unwrap().len(), 9);
    let cid = "bafkreigchzxjbuuba56pms45vdt3lyih2tl4l552q5s4blnmlxefpzpa4q";
    for (arguments, expected) in [
        (&["--drift", "drifted"][..], "quay-core"),
        (&["--drift", "unknown"], "JumpHostHardening, berth-scheduler"),
        (&["--drift", "unknown", "--tier", "2"], "berth-scheduler"),
        (
            &["--custody-state", "retired", "--custody-state", "rejected"],
            "ServiceDesk-DnsOperator, portal.calder.example",
        ),
        (&["--artifact-type", "dns_zone"], "calder.example"),
        (
            &["--accord", "Software delivery"],
            "berth-scheduler, berth/berth-scheduler:2.14.3, portal.calder.example",
        ),
        (&["--name", "quay-core", "--name", "calder.example"], "calder.example, quay-core"),
        (&["--name", "quay"], ""),
        (&["--name-begins", "quay", "--name-begins", "calder"], "calder.example, quay-core"),
        (&["--cid-begins", &cid[..20]], "quay-core"),
        (&["--name-contains", "QUAY"], "quay-core"),
        (&["--cid", cid], "quay-core"),
        (
            &["--tier", "0", "--sort", "position", "--descending"],
            "CA004 administrators, calder.example, quay-core",
        ),
        (&["--verdict", "failed"], "JumpHostHardening, berth/berth-scheduler:2.14.3, quay-core"),
        (&["--terms-contain", r#"{"approvals":{"quorum":9}}"#], ""),
        (&["--verified-before", "2026-10-01T00:00:00Z", "--custody-state", "deployed"], ""),
    ] {
        assert_eq!(names(arguments), expected, "{arguments:?}");
    }
}

#[test]
fn a_list_has_five_forms_and_goes_on_where_a_page_ended() {
    let folder = Folder::imported();
    let list =
        |arguments: &[&str]| folder.succeed(&[&["accord", "list", "-q"], arguments].concat());
    let table = list(&[]);
    assert!(table.starts_with("NAME ") && table.lines().count() == 4, "{table}");
    assert_eq!(list(&["-o", "jsonl"]).lines().count(), 3);
    let csv = list(&["-o", "csv"]);
    assert!(csv.starts_with("name,bound_by,effective_at,id\nIdentity and endpoints,kari.solheim,"));
    let ids = list(&["-o", "name"]);
    assert_eq!(ids.lines().next(), Some("01a10aa5-cb00-7220-a839-7b1dcdaf6e78"));
    let first = folder.json(&["accord", "list", "--limit", "2"]);
    let next = first["next"].as_str().unwrap();
    let second = folder.json(&["accord", "list", "--limit", "2", "--after", next]);
    assert_eq!(
        (column(&second, "name"), &second["next"]),
        (vec!["Software delivery"], &json!(null))
    );
    let said = folder.fail(2, &["verification", "list", "--after", next]);
    assert!(said.contains("--after") && said.contains("use the `next`"), "{said}");
}

#[test]
fn an_artifact_is_shown_by_its_id_name_or_cid() {
    let folder = Folder::imported();
    let shown = folder.json(&["artifact", "show", "quay-core"]);
    assert_eq!(shown["artifact"]["tier"], 0);
    assert_eq!(shown["chain"], json!({"links": 4, "holds": true, "code": null, "reason": null}));
    assert_eq!(shown["deployments"].as_array().unwrap().len(), 2);
    for name in ["id", "cid"] {
        let by = shown["artifact"][name].as_str().unwrap();
        assert_eq!(folder.json(&["artifact", "show", by]), shown, "{name}");
    }
    let content = folder.succeed(&["artifact", "content", "quay-core"]);
    assert_eq!(content.trim_end(), shown["artifact"]["content"].to_string());
    for arguments in [["artifact", "show"], ["artifact", "content"], ["accord", "show"]] {
        let said = folder.fail(1, &[&arguments[..], &["nobody"]].concat());
        assert!(said.contains("\"nobody\"") && said.contains("list`"), "{said}");
    }
    let said = folder.fail(3, &["why", "nobody"]);
    assert!(said.contains("there is no artifact \"nobody\""), "{said}");
}

#[test]
fn deployments_are_listed_by_target_health_and_order() {
    let folder = Folder::imported();
    let targets = |arguments: &[&str]| {
        let page = folder.json(&[&["deployment", "list"], arguments].concat());
        column(&page, "target").join(", ")
    };
    let unknown = ["--health", "unknown", "--sort", "health_since"];
    assert_eq!(targets(&unknown), "cal-jump-01, cal-jump-02, cluster-south");
    assert_eq!(
        targets(&[&unknown[..], &["--descending"]].concat()),
        "cluster-south, cal-jump-02, cal-jump-01"
    );
    assert_eq!(targets(&["--target-begins", "quay", "--health", "drifted"]), "quay-core-2");
    assert_eq!(targets(&["--artifact", "quay-core", "--target", "quay-core-1"]), "quay-core-1");
    assert_eq!(targets(&["--health", "drifted", "--as-of", "122"]), "");
    let first = folder.json(&["deployment", "list", "--limit", "2"]);
    let next = first["next"].as_str().unwrap();
    folder.fail(2, &["deployment", "list", "--sort", "target", "--after", next]);
    let earliest = folder.json(&["verification", "list", "--ascending", "--limit", "1"]);
    assert_eq!(
        folder.json(&["verification", "list", "--limit", "500"])["rows"].as_array().unwrap().last(),
        earliest["rows"].as_array().unwrap().first()
    );
}

#[test]
fn ceremonies_are_listed_open_or_closed_and_shown_with_their_votes() {
    let folder = Folder::imported();
    let open = folder.json(&["ceremony", "list"]);
    assert_eq!(column(&open, "name"), ["CA004 administrators"]);
    let closed = folder.json(&["ceremony", "list", "--closed"]);
    assert_eq!(closed["rows"].as_array().unwrap().len(), 11);
    let outcomes: BTreeSet<_> = column(&closed, "outcome").into_iter().collect();
    assert_eq!(outcomes, BTreeSet::from(["drafted", "ratified", "rejected"]));
    let show = |id: &str| folder.json(&["ceremony", "show", id])["rows"][0].clone();
    assert_eq!(show(column(&open, "ceremony_id")[0])["closed"], json!(null));
    let ratified = show("01a13522-78b0-7495-a424-897b2307ee8c");
    assert_eq!(
        (&ratified["name"], &ratified["opened"]["actor"]),
        (&json!("quay-core"), &json!("hanna.lund"))
    );
    assert_eq!(ratified["closed"]["evidence"]["votes"][0]["by"], "tomas.reiter");
    let withdrawn = folder.succeed(&["ceremony", "show", "01a15451-deb0-7da1-adab-a1d0f7bd846e"]);
    assert!(withdrawn.contains("outcome      withdrawn\n"), "{withdrawn}");
    folder.fail(1, &["ceremony", "show", "01a15451-deb0-7da1-adab-000000000000"]);
}

#[test]
fn verdicts_are_filtered_by_whom_of_what_and_when() {
    let folder = Folder::imported();
    let positions = |arguments: &[&str]| {
        let page = folder.json(&[&["verification", "list"], arguments].concat());
        let rows = page["rows"].as_array().unwrap();
        rows.iter().map(|row| row["position"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(positions(&["--verified-since", "2026-11-19T00:00:00Z"]), [150, 149, 148]);
    let quay = ["--artifact", "quay-core", "--verifier", "netconf-auditor"];
    let of = |arguments: &[&str]| positions(&[&quay, arguments].concat());
    let since = ["--verified-since", "2026-11-19T00:00:00Z"];
    assert_eq!(of(&since), [149, 148]);
    assert_eq!(of(&[&since[..], &["--target", "quay-core-2"]].concat()), [149]);
    assert_eq!(of(&["--standing", "--outcome", "failed"]), [149]);
    assert_eq!(of(&["--verified-before", "2026-10-01T00:00:00Z"]), [] as [u64; 0]);
}

#[test]
fn quarantine_and_the_log_explain_an_entry() {
    let folder = Folder::imported();
    let listed = folder.json(&["quarantine", "list"]);
    assert_eq!(
        (&listed["rows"][0]["position"], &listed["rows"][0]["code"]),
        (&json!(65), &json!("CC04"))
    );
    let explained = folder.json(&["quarantine", "explain", "65"]);
    assert_eq!(explained["reason"], "the policy does not permit rejected to deployed");
    assert_eq!(explained["entry"]["data"]["actor"], "ci-jea-roles");
    assert_eq!(folder.json(&["log", "show", "65"]), explained["entry"]);
    folder.fail(1, &["quarantine", "explain", "64"]);
    for position in ["0", "151"] {
        let said = folder.fail(1, &["log", "show", position]);
        assert!(said.contains("log tail"), "{said}");
    }
    assert_eq!(folder.succeed(&["log", "tail", "-n", "2", "-o", "name"]), "149\n150\n");
    // What is shown is what an export writes.
    let line = folder.succeed(&["export"]).lines().nth(64).map(str::to_owned).unwrap();
    let line = serde_json::from_str::<Value>(&line).unwrap();
    assert_eq!(
        (&line["data"], &line["leafhash"]),
        (&explained["entry"]["data"], &explained["entry"]["leaf_hash"])
    );
}

#[test]
fn why_goes_from_the_posture_back_to_the_votes() {
    let folder = Folder::imported();
    let why = folder.json(&["why", "quay-core"]);
    assert_eq!((&why["drift"], &why["holds"]), (&json!("drifted"), &json!(true)));
    assert_eq!(why["accord"]["position"], 2);
    let drifted = &why["targets"][1];
    assert_eq!(
        (&drifted["target"], &drifted["health"]),
        (&json!("quay-core-2"), &json!("drifted"))
    );
    assert_eq!((&drifted["position"], &drifted["entry"]["position"]), (&json!(136), &json!(136)));
    let content = |cid: &Value| {
        let contents = why["contents"].as_array().unwrap();
        contents.iter().find(|content| content["cid"] == *cid).unwrap()
    };
    let desired = content(&drifted["desired_cid"]);
    assert_eq!(desired["brought_by"]["position"], 33);
    assert_eq!(desired["ceremony_id"], "01a13522-78b0-7495-a424-897b2307ee8c");
    assert_eq!(
        (&desired["opened"]["position"], &desired["opened"]["actor"]),
        (&json!(35), &json!("hanna.lund"))
    );
    assert_eq!(
        (&desired["ratified"]["position"], &desired["ratified"]["holds"]),
        (&json!(43), &json!(true))
    );
    assert_eq!(desired["ratified"]["evidence"]["votes"][1]["by"], "ole.brandvik");
    let observed = content(&drifted["observed_cid"]);
    assert_eq!((&observed["brought_by"], &observed["ratified"]), (&json!(null), &json!(null)));
    // A revision is what brought the content that replaced a registered one.
    let revised = folder.json(&["why", "calder.example"]);
    assert_eq!(revised["contents"][0]["brought_by"]["position"], 93);
    assert_eq!(revised["contents"][0]["ratified"]["position"], 95);
}

#[test]
fn why_exits_with_1_where_the_tables_say_otherwise_than_the_log_or_the_chain() {
    let folder = Folder::imported();
    let meddle = |sql: &str| {
        let connection = rusqlite::Connection::open(folder.path("guildhall.db")).unwrap();
        connection.execute_batch(sql).unwrap();
    };
    meddle(
        "UPDATE deployment_states SET observed_cid = desired_cid, health = 'healthy'
         WHERE target = 'quay-core-2'",
    );
    let output = folder.run(&["why", "quay-core", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let why: Value = serde_json::from_slice(&output.stdout).unwrap();
    let problem = "the tables have an observation from position 136, the log does not";
    assert_eq!((&why["holds"], &why["problems"]), (&json!(false), &json!([problem])));
    meddle(
        "UPDATE governed_artifacts SET custody_seq = 3, custody_state = 'ratified' WHERE name = 'calder.example'",
    );
    let output = folder.run(&["why", "calder.example"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("its chain ends with link 7 (deployed), does not hold"), "{said}");
}

/// The words of a command's flags, but for those that every list has.
fn flags(folder: &Folder, command: &[&str]) -> BTreeSet<String> {
    let help = folder.succeed(&[command, &["--help"]].concat());
    let own = help.split("Everywhere:").next().unwrap();
    let flags = own.split_whitespace().filter_map(|word| word.strip_prefix("--"));
    let flags = flags.map(|flag| flag.trim_end_matches(',').replace('-', "_"));
    flags.filter(|flag| !["output", "help", "as_of"].contains(&flag.as_str())).collect()
}

#[test]
fn a_filter_has_the_word_that_it_has_everywhere() {
    let folder = Folder::new();
    for (command, words) in [
        (&["artifact", "list"][..], &ArtifactQuery::WORDS[..]),
        (&["accord", "list"], &AccordQuery::WORDS),
        (&["verification", "list"], &VerificationQuery::WORDS),
        (&["deployment", "list"], &DeploymentQuery::WORDS),
        (&["changes"], &ChangeQuery::WORDS),
        (&["history"], &TimelineQuery::WORDS),
        (&["deployment", "health"], &PeriodQuery::WORDS),
        (&["deployment", "drifts"], &PeriodQuery::WORDS),
        (&["posture"], &PostureQuery::WORDS),
    ] {
        let words: BTreeSet<_> = words.iter().map(|&word| word.to_owned()).collect();
        assert_eq!(flags(&folder, command), words, "{command:?}");
    }
}
