//! The audit: tables that are what the log says, and tables that are not.

use guildhall_core::store::Kind;
use guildhall_core::{Decoded, Event, EventType, Json, Table};
use serde_json::Value;

use crate::common::LOG;
use crate::databases::Audited;
use crate::guide::Row;

pub(crate) const HELD: &[&str] = &[
    "A row of a table is changed",
    "A row is added to a table",
    "A row is removed from a table",
    "An entry is taken out of quarantine",
    "A custody chain is rewritten with hashes recomputed",
    "A link of a custody chain is changed",
    "Content is changed under its CID",
    "The checkpoint is moved",
];

mod each {
    crate::on_both! {
        tables_in_order_hold
        a_changed_row_is_found_in_every_table
        an_added_row_is_found_in_every_table
        a_removed_row_is_found_in_every_table
        an_entry_taken_out_of_quarantine_is_found
        a_rewritten_chain_is_found
        a_changed_link_is_found
        changed_content_is_found
        a_moved_checkpoint_is_found
        many_differences_are_counted_and_some_named
        history_that_begins_later_is_compared_from_there_on
    }
}

fn table_of<'r>(report: &'r Value, table: &str) -> &'r Value {
    report["tables"].as_array().unwrap().iter().find(|it| it["table"] == table).unwrap()
}

fn tables_in_order_hold(audited: &Audited) {
    let report = audited.json(0, &["audit"]);
    assert_eq!(report["holds"], true, "{report}");
    assert_eq!((&report["entries"], &report["wrong"]), (&150.into(), &0.into()));
    assert_eq!(report["checkpoint"]["position"], 150);
    for table in &Table::ALL {
        let table = table_of(&report, table.name);
        assert_eq!(table["rows"], table["expected"], "{table}");
        assert!(table["rows"].as_u64().unwrap() > 0, "{table} is not tested");
    }
    assert!(report["chains"].as_u64().unwrap() >= 8, "{report}");
    let text = audited.succeed(&["audit"]);
    assert!(text.starts_with("the tables are what the log says\n"), "{text}");
    // What was said on standard error was not a finding, and nothing stays behind.
    if !audited.is_postgres() {
        assert_eq!(audited.folder.names(), ["guildhall.db"]);
    }
}

/// A column that takes any value of its kind, and one that the log does not make, in SQL and as it is shown.
fn plain_column(table: &Table) -> (&'static str, &'static str, &'static str) {
    if table.name == "row_counts" {
        return ("rows", "9000", "9000");
    }
    let plain = ["actor", "verifier", "bound_by", "content_schema", "desired_cid", "event_type"];
    let names = table.columns.iter().map(|column| column.name);
    let column = names.into_iter().find(|name| plain.contains(name)).unwrap_or("cid");
    (column, "'mallory'", "\"mallory\"")
}

/// The first row of a table, as a condition.
fn first_of(table: &Table) -> String {
    format!("position = (SELECT min(position) FROM {})", table.name)
}

fn a_changed_row_is_found_in_every_table(audited: &Audited) {
    for table in &Table::ALL {
        let (name, (column, value, _)) = (table.name, plain_column(table));
        audited.tamper(&format!("UPDATE {name} SET {column} = {value} WHERE {}", first_of(table)));
    }
    let printed = Row::of("A row of a table is changed").is_found_in(audited);
    for table in &Table::ALL {
        let (column, _, shown) = plain_column(table);
        let said = format!("{column} is {shown}, expected ");
        let line = printed.lines().find(|line| line.contains(&format!(" {}, ", table.name)));
        assert!(line.is_some_and(|line| line.contains(&said)), "{}: {printed}", table.name);
    }
}

fn an_added_row_is_found_in_every_table(audited: &Audited) {
    for table in &Table::ALL {
        let key = table.key[0];
        let other = match table.columns.iter().find(|column| column.name == key).unwrap().kind {
            Kind::Uuid => "{uuid:7}",
            _ => "9000",
        };
        let columns: Vec<_> = table.columns.iter().map(|column| column.name).collect();
        let values = columns.iter().map(|column| if *column == key { other } else { column });
        let (name, into, values) = (table.name, columns.join(", "), values.collect::<Vec<_>>());
        audited.tamper(&format!(
            "INSERT INTO {name} ({into}) SELECT {} FROM {name} WHERE {}",
            values.join(", "),
            first_of(table)
        ));
    }
    Row::of("A row is added to a table").is_found_in(audited);
    let report = audited.json(1, &["audit"]);
    for table in &Table::ALL {
        let found = table_of(&report, table.name);
        assert_eq!(
            (&found["added"], &found["changed"], &found["missing"]),
            (&1.into(), &0.into(), &0.into()),
            "{found}"
        );
        let named = report["findings"].as_array().unwrap().iter();
        let mut named = named.filter(|it| it["finding"] == "added" && it["table"] == table.name);
        assert!(named.next().is_some(), "{report}");
    }
}

fn a_removed_row_is_found_in_every_table(audited: &Audited) {
    for table in Table::ALL.iter().rev() {
        audited.tamper(&format!("DELETE FROM {} WHERE {}", table.name, first_of(table)));
    }
    Row::of("A row is removed from a table").is_found_in(audited);
    let report = audited.json(1, &["audit"]);
    for table in &Table::ALL {
        assert_eq!(table_of(&report, table.name)["missing"], 1, "{report}");
    }
}

fn an_entry_taken_out_of_quarantine_is_found(audited: &Audited) {
    audited.tamper("DELETE FROM quarantined_entries");
    Row::of("An entry is taken out of quarantine").is_found_in(audited);
}

/// Its hashes fit each other, so that only the log knows better.
fn a_rewritten_chain_is_found(audited: &Audited) {
    // The last link of a chain, hashed anew with another reason; nothing links to it.
    let line = std::fs::read_to_string(LOG).unwrap().lines().nth(146).unwrap().to_owned();
    let entry: Value = serde_json::from_str(&line).unwrap();
    let payload = Json::from_value(&entry["data"]).unwrap();
    let (kind, stream) = (EventType::new(entry["type"].as_str().unwrap()), &entry["subject"]);
    let stream = stream.as_str().unwrap().parse().unwrap();
    let decoded = guildhall_core::event::decode(&kind, stream, payload.as_str());
    let Ok(Decoded::Event(Event::CustodyTransitioned(mut link))) = decoded else {
        panic!("{line}")
    };
    "because".clone_into(&mut link.reason);
    let hash = guildhall_core::custody::link_hash(&link);
    audited.tamper(&format!(
        "UPDATE custody_transitions SET reason = 'because', hash = {{hash:{hash}}} \
         WHERE position = 147"
    ));
    let report = audited.json(1, &["audit"]);
    let is_chain = |it: &&Value| it["finding"] == "chain";
    assert_eq!(
        report["findings"].as_array().unwrap().iter().filter(is_chain).count(),
        0,
        "{report}"
    );
    Row::of("A custody chain is rewritten with hashes recomputed").is_found_in(audited);
}

fn a_changed_link_is_found(audited: &Audited) {
    audited.tamper(
        "UPDATE custody_transitions SET reason = 'because' \
         WHERE position = (SELECT max(position) FROM custody_transitions)",
    );
    Row::of("A link of a custody chain is changed").is_found_in(audited);
}

fn changed_content_is_found(audited: &Audited) {
    audited.tamper(
        "UPDATE governed_artifacts SET content = '{\"ttl\":1}' \
         WHERE position = (SELECT max(position) FROM governed_artifacts)",
    );
    Row::of("Content is changed under its CID").is_found_in(audited);
}

fn a_moved_checkpoint_is_found(audited: &Audited) {
    audited.tamper("UPDATE projector_checkpoints SET position = 140");
    let printed = Row::of("The checkpoint is moved").is_found_in(audited);
    assert!(printed.contains("no entry makes this row"), "what comes after it: {printed}");
}

fn many_differences_are_counted_and_some_named(audited: &Audited) {
    audited.tamper("UPDATE verification_results SET verifier = 'mallory'");
    let report = audited.json(1, &["audit"]);
    let rows = table_of(&report, "verification_results")["rows"].as_u64().unwrap();
    assert_eq!(report["wrong"].as_u64(), Some(rows));
    let named = report["findings"].as_array().unwrap().len() as u64;
    assert!((1..=rows).contains(&named), "{named} of {rows}");
    let position = report["findings"][0]["position"].as_u64().unwrap();
    assert!((1..=150).contains(&position));
}

/// As a database that was made before there were tables of history has them, without what no entry brought.
fn history_that_begins_later_is_compared_from_there_on(audited: &Audited) {
    let before = audited.json(0, &["audit"]);
    assert_eq!((&before["history_from"], &before["uncompared"]), (&Value::Null, &0.into()));
    audited.tamper(
        "UPDATE projector_checkpoints SET history_from = 100;
         DELETE FROM artifact_revisions WHERE position <= 100 AND position <> 93;
         DELETE FROM deployment_changes WHERE position <= 100;
         UPDATE artifact_revisions SET revision = revision + 5",
    );
    let report = audited.json(0, &["audit"]);
    assert_eq!((&report["holds"], &report["history_from"]), (&true.into(), &100.into()));
    assert_eq!(report["uncompared"], 1, "{report}");
    let revisions = table_of(&report, "artifact_revisions");
    assert_eq!((&revisions["rows"], &revisions["expected"]), (&1.into(), &1.into()), "{revisions}");
    let text = audited.succeed(&["audit"]);
    let note =
        "have their history from position 100 on: 1 of their rows are of entries up to there";
    assert!(text.contains(note), "{text}");

    // What came after is compared as ever.
    audited.tamper("UPDATE artifact_revisions SET content_schema = 'urn:x' WHERE position > 100");
    let text = audited.ends_with(1, &["audit"]);
    assert!(text.contains("of position 145: content_schema is \"urn:x\", expected"), "{text}");
    audited.tamper("DELETE FROM artifact_revisions WHERE position > 100");
    let report = audited.json(1, &["audit"]);
    assert_eq!(table_of(&report, "artifact_revisions")["missing"], 1, "{report}");

    // A rebuild makes them whole.
    audited.succeed(&["rebuild"]);
    let report = audited.json(0, &["audit"]);
    assert_eq!((&report["history_from"], &report["uncompared"]), (&Value::Null, &0.into()));
    assert_eq!(report["tables"], before["tables"]);
}
