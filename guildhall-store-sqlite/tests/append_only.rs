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

/// What the triggers say.
const APPEND_ONLY: &str = "chronicle_entries is append-only";
const NEXT_POSITION: &str = "chronicle_entries takes only the next position";
const NEXT_VERSION: &str = "chronicle_entries takes only the next version of a stream";
const KNOWN_EVENT: &str = "chronicle_entries has this event_id already";
const FIXED_ORIGIN: &str = "the origin of a Chronicle is fixed";

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
    let mut attacks: Vec<(String, &str)> = [
        ("UPDATE chronicle_entries SET payload = '{}'", APPEND_ONLY),
        ("UPDATE chronicle_entries SET position = 7 WHERE position = 2", APPEND_ONLY),
        ("UPDATE OR REPLACE chronicle_entries SET position = 1 WHERE position = 2", APPEND_ONLY),
        ("UPDATE OR IGNORE chronicle_entries SET version = 9 WHERE position = 2", APPEND_ONLY),
        ("DELETE FROM chronicle_entries", APPEND_ONLY),
        ("DELETE FROM chronicle_entries WHERE position = 2", APPEND_ONLY),
        ("REPLACE INTO chronicle_entries SELECT * FROM chronicle_entries", NEXT_POSITION),
        ("UPDATE chronicle_origin SET origin = 'mine'", FIXED_ORIGIN),
        ("DELETE FROM chronicle_origin", FIXED_ORIGIN),
        ("INSERT INTO chronicle_origin VALUES (2, 'mine')", FIXED_ORIGIN),
        ("REPLACE INTO chronicle_origin VALUES (1, 'mine')", FIXED_ORIGIN),
        (
            "INSERT INTO chronicle_origin VALUES (1, 'mine')
             ON CONFLICT (id) DO UPDATE SET origin = excluded.origin",
            FIXED_ORIGIN,
        ),
    ]
    .map(|(attack, refusal)| (attack.to_owned(), refusal))
    .into();
    for verb in ["INSERT", "INSERT OR REPLACE", "REPLACE", "INSERT OR ROLLBACK", "INSERT OR FAIL"] {
        for position in ["1", "2", "4", "0", "-1", "NULL"] {
            attacks.push((insert(verb, &[("position", position)]), NEXT_POSITION));
        }
        attacks.push((insert(verb, &[known_event]), KNOWN_EVENT));
        for version in ["1", "2", "4"] {
            attacks.push((insert(verb, &[("version", version)]), NEXT_VERSION));
        }
        // What the columns take is for their own constraints to say.
        for (changed, refusal) in [
            (&[("event_id", "zeroblob(15)")][..], "CHECK constraint failed: length(event_id) = 16"),
            (&[("event_id", "'0123456789abcdef'")], "cannot store TEXT value in BLOB column"),
            (
                &[("stream_id", "zeroblob(17)"), ("version", "1")],
                "CHECK constraint failed: length(stream_id) = 16",
            ),
            (&[("leaf_hash", "zeroblob(31)")], "CHECK constraint failed: length(leaf_hash) = 32"),
            (&[("recorded_at", "'2026-11-23'")], "CHECK constraint failed: length(recorded_at)"),
            (&[("metadata", "'{'")], "CHECK constraint failed: json_valid(metadata)"),
            (&[("payload", "NULL")], "NOT NULL constraint failed: chronicle_entries.payload"),
        ] {
            attacks.push((insert(verb, changed), refusal));
        }
    }
    for (key, taken, refusal) in [
        ("position", ("position", "1"), NEXT_POSITION),
        ("event_id", known_event, KNOWN_EVENT),
        ("stream_id, version", ("version", "1"), NEXT_VERSION),
    ] {
        let plain = insert("INSERT", &[taken]);
        let attack = format!("{plain} ON CONFLICT ({key}) DO UPDATE SET payload = '{{}}'");
        attacks.push((attack, refusal));
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
        for (attack, refusal) in &attacks {
            let refused = stranger.execute(attack, []).expect_err(attack).to_string();
            assert!(refused.contains(refusal), "{attack}: {refused}");
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
