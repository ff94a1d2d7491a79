//! Attacks on the log by raw SQL, from a connection that set nothing: SQLite's defaults, with
//! `recursive_triggers` and `foreign_keys` off.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::{append_one, new_folder};
use guildhall_core::{Chronicle, Position, ReadLimit};
use guildhall_store_sqlite::SqliteStore;
use rusqlite::Connection;

/// The columns of a new, third row, of which an attack replaces some.
const NEXT: [(&str, &str); 9] = [
    ("position", "3"),
    ("event_id", "randomblob(16)"),
    ("stream_id", "(SELECT stream_id FROM chronicle_entries WHERE position = 2)"),
    ("version", "3"),
    ("event_type", "'t'"),
    ("payload", "'{}'"),
    ("metadata", "'{}'"),
    ("recorded_at", "'2026-11-23T10:05:00.000000Z'"),
    ("leaf_hash", "zeroblob(32)"),
];

fn insert(verb: &str, changed: &[(&str, &str)]) -> String {
    let value = |column: &str, plain: &'static str| {
        changed
            .iter()
            .find(|(name, _)| *name == column)
            .map_or(plain.to_owned(), |c| c.1.to_owned())
    };
    let columns: Vec<&str> = NEXT.iter().map(|(column, _)| *column).collect();
    let values: Vec<String> = NEXT.iter().map(|(column, plain)| value(column, plain)).collect();
    format!("{verb} INTO chronicle_entries ({}) VALUES ({})", columns.join(", "), values.join(", "))
}

#[tokio::test]
async fn nothing_recorded_can_be_changed_removed_or_replaced() {
    let known_event = ("event_id", "(SELECT event_id FROM chronicle_entries WHERE position = 1)");
    let mut attacks: Vec<String> = [
        "UPDATE chronicle_entries SET payload = '{}'",
        "UPDATE chronicle_entries SET position = 7 WHERE position = 2",
        "UPDATE OR REPLACE chronicle_entries SET position = 1 WHERE position = 2",
        "UPDATE OR IGNORE chronicle_entries SET version = 9 WHERE position = 2",
        "DELETE FROM chronicle_entries",
        "DELETE FROM chronicle_entries WHERE position = 2",
        "REPLACE INTO chronicle_entries SELECT * FROM chronicle_entries",
        "UPDATE chronicle_origin SET origin = 'mine'",
        "DELETE FROM chronicle_origin",
        "INSERT INTO chronicle_origin VALUES (2, 'mine')",
        "REPLACE INTO chronicle_origin VALUES (1, 'mine')",
        "INSERT INTO chronicle_origin VALUES (1, 'mine')
         ON CONFLICT (id) DO UPDATE SET origin = excluded.origin",
    ]
    .map(str::to_owned)
    .into();
    for verb in ["INSERT", "INSERT OR REPLACE", "REPLACE", "INSERT OR ROLLBACK", "INSERT OR FAIL"] {
        attacks.push(insert(verb, &[("position", "1")]));
        attacks.push(insert(verb, &[("position", "2")]));
        attacks.push(insert(verb, &[("position", "4")]));
        attacks.push(insert(verb, &[("position", "0")]));
        attacks.push(insert(verb, &[("position", "-1")]));
        attacks.push(insert(verb, &[("position", "NULL")]));
        attacks.push(insert(verb, &[known_event]));
        attacks.push(insert(verb, &[("version", "1")]));
        attacks.push(insert(verb, &[("version", "2")]));
        attacks.push(insert(verb, &[("version", "4")]));
        attacks.push(insert(verb, &[("event_id", "zeroblob(15)")]));
        attacks.push(insert(verb, &[("event_id", "'0123456789abcdef'")]));
        attacks.push(insert(verb, &[("stream_id", "zeroblob(17)"), ("version", "1")]));
        attacks.push(insert(verb, &[("leaf_hash", "zeroblob(31)")]));
        attacks.push(insert(verb, &[("recorded_at", "'2026-11-23'")]));
        attacks.push(insert(verb, &[("metadata", "'{'")]));
        attacks.push(insert(verb, &[("payload", "NULL")]));
    }
    for key in ["position", "event_id", "stream_id, version"] {
        let values: &[(&str, &str)] = match key {
            "position" => &[("position", "1")],
            "event_id" => &[known_event],
            _ => &[("version", "1")],
        };
        let plain = insert("INSERT", values);
        attacks.push(format!("{plain} ON CONFLICT ({key}) DO UPDATE SET payload = '{{}}'"));
    }

    let folder = new_folder();
    let path = folder.path().join("guildhall.db");
    let chronicle = SqliteStore::open(&path).await.unwrap().chronicle();
    append_one(&chronicle, 1).await;
    append_one(&chronicle, 1).await;
    let before = chronicle.read(Position::ZERO, ReadLimit::entries(9)).await.unwrap();
    let origin = chronicle.origin().await.unwrap();

    for recursive_triggers in ["off", "on"] {
        let stranger = Connection::open(&path).unwrap();
        stranger
            .execute_batch(&format!("PRAGMA recursive_triggers = {recursive_triggers}"))
            .unwrap();
        for attack in &attacks {
            assert!(stranger.execute(attack, []).is_err(), "{attack}");
        }
        // These are told nothing, and change nothing.
        for changed in [&[("position", "1")][..], &[known_event], &[("version", "1")]] {
            let plain = insert("INSERT", changed);
            let _ = stranger.execute(&insert("INSERT OR IGNORE", changed), []);
            let _ = stranger.execute(&format!("{plain} ON CONFLICT DO NOTHING"), []);
        }
        let after = chronicle.read(Position::ZERO, ReadLimit::entries(9)).await.unwrap();
        assert_eq!(after, before, "recursive_triggers {recursive_triggers}");
        assert_eq!(chronicle.origin().await.unwrap(), origin);
    }

    // The attacks failed for what they changed: the row that they vary is welcome.
    Connection::open(&path).unwrap().execute(&insert("INSERT", &[]), []).unwrap();
    assert_eq!(append_one(&chronicle, 1).await.position, Position::new(4));
}
