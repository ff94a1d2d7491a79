//! Digests: the same on every kind of database, and of everything in it.

use guildhall_core::Table;
use serde_json::Value;

use crate::databases::Audited;

fn digest_of<'d>(document: &'d Value, table: &str) -> &'d str {
    let mut tables = document["tables"].as_array().unwrap().iter();
    tables.find(|it| it["table"] == table).unwrap()["sha256"].as_str().unwrap()
}

#[test]
fn a_log_has_the_same_digests_on_both_kinds_of_database() {
    let (file, server) = (Audited::on_sqlite(), Audited::on_postgres());
    let document = file.json(0, &["digest"]);
    assert_eq!(document, server.json(0, &["digest"]));
    assert_eq!(
        (&document["position"], &document["origin"]),
        (&150.into(), &"guildhall/calder-harbour".into())
    );
    let text = file.succeed(&["digest"]);
    for table in &Table::ALL {
        let line = format!("{}  {}\n", digest_of(&document, table.name), table.name);
        assert!(text.contains(&line), "{text}");
    }
    assert!(text.contains(document["sha256"].as_str().unwrap()), "{text}");
}

#[test]
fn one_changed_column_changes_the_digest_of_its_table_and_of_all() {
    for audited in [Audited::on_sqlite(), Audited::on_postgres()] {
        let before = audited.json(0, &["digest"]);
        audited.tamper("UPDATE deployment_states SET health_since = observed_at");
        let after = audited.json(0, &["digest"]);
        for table in &Table::ALL {
            let is_same = digest_of(&before, table.name) == digest_of(&after, table.name);
            assert_eq!(is_same, table.name != "deployment_states", "{}", table.name);
        }
        assert_ne!(before["sha256"], after["sha256"]);
    }
}

/// The guide says how to make a digest with plain SQL; here with the statement that stands there.
#[test]
fn the_statement_in_the_guide_makes_the_same_digest() {
    let guide = include_str!("../../../docs/audit.md");
    let (_, statement) = guide.split_once("```sql\n-- SQLite\n").unwrap();
    let (statement, _) = statement.split_once("```").unwrap();
    let audited = Audited::on_sqlite();
    let path = audited.folder.path("guildhall.db");
    let connection = guildhall_store_sqlite::rusqlite::Connection::open(path).unwrap();
    let mut rows = connection.prepare(statement).unwrap();
    let rows = rows.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let text: String = rows.map(|row| row.unwrap() + "\n").collect();
    let digest = guildhall_proof::DataHash::of(text.as_bytes()).to_string();
    assert_eq!(digest, digest_of(&audited.json(0, &["digest"]), "custody_transitions"));
}
