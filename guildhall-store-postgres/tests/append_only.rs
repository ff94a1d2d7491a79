//! Attacks on the log and on the chains by raw SQL, from its owner, with and without the role of a replica.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;
mod projecting;
mod read_tables;
mod server;

use std::sync::Arc;

use common::append_one;
use guildhall_core::{Chronicle, Position, Projector, ReadLimit};
use guildhall_projector::{Settings, catch_up, rebuild};
use guildhall_store_postgres::{DEFAULT_SCHEMA, Partitions, PostgresStore};
use projecting::{append_all, assert_projected, log};
use read_tables::read_tables;
use server::Database;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// The columns of a new, third row, of which an attack replaces some.
const NEXT: [(&str, &str); 9] = [
    ("position", "3"),
    ("event_id", "gen_random_uuid()"),
    ("stream_id", "(SELECT stream_id FROM guildhall.chronicle_entries WHERE position = 2)"),
    ("version", "3"),
    ("event_type", "'t'"),
    ("payload", "'{}'"),
    ("metadata", "'{}'"),
    ("recorded_at", "'2026-11-23T10:05:00Z'"),
    ("leaf_hash", "sha256('')"),
];

fn insert(changed: &[(&str, &str)]) -> String {
    let value = |column: &str, plain: &'static str| {
        let changed = changed.iter().find(|(name, _)| *name == column);
        changed.map_or(plain.to_owned(), |(_, value)| (*value).to_owned())
    };
    let columns: Vec<&str> = NEXT.iter().map(|(column, _)| *column).collect();
    let values: Vec<String> = NEXT.iter().map(|(column, plain)| value(column, plain)).collect();
    format!(
        "INSERT INTO guildhall.chronicle_entries ({}) VALUES ({})",
        columns.join(", "),
        values.join(", ")
    )
}

/// The same, with the head moved as an append moves it.
fn append(changed: &[(&str, &str)], head: u64) -> String {
    format!(
        "WITH head AS (UPDATE guildhall.chronicle_head SET position = {head} RETURNING 1) {}",
        insert(changed)
    )
}

/// What the triggers say, and how the messages of the columns' own constraints begin.
const REFUSES_UPDATE: &str = "refuses UPDATE: what is recorded stays as it is";
const REFUSES_DELETE: &str = "refuses DELETE: what is recorded stays as it is";
const REFUSES_TRUNCATE: &str = "refuses TRUNCATE: what is recorded stays as it is";
const ONLY_THE_NEXT: &str = "chronicle_entries takes only the next position and version";
const AT_THE_LAST: &str = "chronicle_head stands at the last entry";
const TAKEN: &str = "duplicate key value violates unique constraint";
const CHECKED: &str = "violates check constraint";
const MISSING: &str = "violates not-null constraint";

/// Each attack, and the words of whatever refuses it.
fn attacks() -> Vec<(String, &'static str)> {
    let known_event =
        ("event_id", "(SELECT event_id FROM guildhall.chronicle_entries WHERE position = 1)");
    let mut attacks: Vec<(String, &str)> = [
        ("UPDATE guildhall.chronicle_entries SET payload = '{}'", REFUSES_UPDATE),
        ("UPDATE guildhall.chronicle_entries SET position = 7 WHERE position = 2", REFUSES_UPDATE),
        (
            "UPDATE ONLY guildhall.chronicle_entries SET leaf_hash = leaf_hash WHERE position = 2",
            REFUSES_UPDATE,
        ),
        ("DELETE FROM guildhall.chronicle_entries", REFUSES_DELETE),
        ("DELETE FROM guildhall.chronicle_entries WHERE position = 2", REFUSES_DELETE),
        ("TRUNCATE guildhall.chronicle_entries", REFUSES_TRUNCATE),
        (
            "TRUNCATE guildhall.chronicle_entries, guildhall.chronicle_head CASCADE",
            REFUSES_TRUNCATE,
        ),
        (
            "WITH gone AS (DELETE FROM guildhall.chronicle_entries RETURNING *) SELECT * FROM gone",
            REFUSES_DELETE,
        ),
        ("UPDATE guildhall.chronicle_head SET position = 1", AT_THE_LAST),
        ("UPDATE guildhall.chronicle_head SET position = 2", AT_THE_LAST),
        ("UPDATE guildhall.chronicle_head SET position = 3", AT_THE_LAST),
        ("UPDATE guildhall.chronicle_head SET id = 2", CHECKED),
        ("INSERT INTO guildhall.chronicle_head VALUES (2, 9)", CHECKED),
        (
            "INSERT INTO guildhall.chronicle_head VALUES (1, 9)
             ON CONFLICT (id) DO UPDATE SET position = excluded.position",
            AT_THE_LAST,
        ),
        ("DELETE FROM guildhall.chronicle_head", REFUSES_DELETE),
        ("TRUNCATE guildhall.chronicle_head", REFUSES_TRUNCATE),
        ("UPDATE guildhall.chronicle_origin SET origin = 'mine'", REFUSES_UPDATE),
        ("DELETE FROM guildhall.chronicle_origin", REFUSES_DELETE),
        ("TRUNCATE guildhall.chronicle_origin", REFUSES_TRUNCATE),
        ("INSERT INTO guildhall.chronicle_origin VALUES (2, 'mine')", CHECKED),
        (
            "INSERT INTO guildhall.chronicle_origin VALUES (1, 'mine')
             ON CONFLICT (id) DO UPDATE SET origin = excluded.origin",
            REFUSES_UPDATE,
        ),
    ]
    .map(|(attack, refusal)| (attack.to_owned(), refusal))
    .into();
    // Out of order, without the head and with it.
    attacks.push((insert(&[]), ONLY_THE_NEXT));
    attacks.push((append(&[], 4), ONLY_THE_NEXT));
    for (position, refusal) in [
        ("1", TAKEN),
        ("2", TAKEN),
        ("4", ONLY_THE_NEXT),
        ("0", CHECKED),
        ("-1", CHECKED),
        ("NULL", MISSING),
    ] {
        attacks.push((insert(&[("position", position)]), refusal));
        attacks.push((append(&[("position", position)], 3), refusal));
        attacks.push((append(&[("position", position)], 4), refusal));
    }
    // A row that is left out on conflict leaves the head where nothing stands.
    for (changed, refusal, left_out) in [
        (known_event, TAKEN, AT_THE_LAST),
        (("version", "1"), TAKEN, AT_THE_LAST),
        (("version", "2"), TAKEN, AT_THE_LAST),
        (("version", "4"), ONLY_THE_NEXT, ONLY_THE_NEXT),
        (("version", "0"), CHECKED, CHECKED),
        (("stream_id", "gen_random_uuid()"), ONLY_THE_NEXT, ONLY_THE_NEXT),
        (("event_id", "NULL"), MISSING, MISSING),
        (("leaf_hash", "'\\x00'"), CHECKED, CHECKED),
        (("recorded_at", "'infinity'"), CHECKED, CHECKED),
        (("recorded_at", "'4000-01-01 BC'"), CHECKED, CHECKED),
        (
            ("metadata", "'{'"),
            "invalid input syntax for type json",
            "invalid input syntax for type json",
        ),
        (("metadata", "'[]'"), CHECKED, CHECKED),
        (("payload", "NULL"), MISSING, MISSING),
        (("event_type", "''"), CHECKED, CHECKED),
    ] {
        attacks.push((append(&[changed], 3), refusal));
        attacks.push((append(&[changed], 3) + " ON CONFLICT DO NOTHING", left_out));
    }
    for (key, taken) in [
        ("position", ("position", "1")),
        ("event_id", known_event),
        ("stream_id, version", ("version", "1")),
    ] {
        let plain = append(&[taken], 3);
        let attack = format!("{plain} ON CONFLICT ({key}) DO UPDATE SET payload = '{{}}'");
        attacks.push((attack, REFUSES_UPDATE));
    }
    attacks
}

/// What the server says of a statement that it refuses.
async fn refusal_of(connection: &mut PgConnection, sql: &str) -> Option<String> {
    let outcome = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await;
    outcome.err().map(|error| error.to_string())
}

#[tokio::test]
async fn nothing_recorded_can_be_changed_removed_or_put_out_of_order() {
    let database = Database::create();
    let chronicle = PostgresStore::open(database.url()).await.unwrap().chronicle();
    append_one(&chronicle, 1).await;
    append_one(&chronicle, 1).await;
    let before = chronicle.read(Position::ZERO, ReadLimit::entries(9)).await.unwrap();
    let origin = chronicle.origin().await.unwrap();

    let mut stranger = PgConnection::connect(database.url()).await.unwrap();
    for role in ["origin", "replica", "local"] {
        let role = format!("SET session_replication_role = {role}");
        sqlx::raw_sql(AssertSqlSafe(role.clone())).execute(&mut stranger).await.unwrap();
        for (attack, refusal) in attacks() {
            let refused = refusal_of(&mut stranger, &attack).await;
            let is_refused = refused.as_ref().is_some_and(|refused| refused.contains(refusal));
            assert!(is_refused, "{role}: {attack}: {refused:?}");
        }
        let after = chronicle.read(Position::ZERO, ReadLimit::entries(9)).await.unwrap();
        assert_eq!(after, before, "{role}");
        assert_eq!(chronicle.origin().await.unwrap(), origin);
    }

    // The attacks failed for what they changed: the row that they vary is welcome.
    sqlx::raw_sql(AssertSqlSafe(append(&[], 3))).execute(&mut stranger).await.unwrap();
    assert_eq!(append_one(&chronicle, 1).await.position, Position::new(4));
}

/// What the triggers of the chains say.
const A_LINK_STAYS: &str = ": a link stays as it is";

/// The table of the chains and, where it has any, its partitions.
async fn tables_of_chains(connection: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT relid::regclass::text FROM pg_partition_tree('guildhall.custody_transitions')
         UNION SELECT 'guildhall.custody_transitions'",
    )
    .fetch_all(connection)
    .await
    .unwrap()
}

#[tokio::test]
async fn no_link_of_a_chain_can_be_changed_or_removed() {
    let database = Database::create();
    let store = PostgresStore::open(database.url()).await.unwrap();
    let chronicle = Arc::new(store.chronicle());
    append_all(&*chronicle, &log(300)).await;
    let projector = Arc::new(store.projector().start().unwrap());
    catch_up(chronicle.clone(), projector, &Settings::default(), |_| {}).await.unwrap();
    let before = read_tables(database.url(), DEFAULT_SCHEMA).await;
    assert!(before.custody_transitions.len() > 20);

    let mut stranger = PgConnection::connect(database.url()).await.unwrap();
    // As they were made, and as a rebuild makes them: plain, divided, plain again.
    for partitions in [None, Some(Partitions::Off), Some(Partitions::On), Some(Partitions::Off)] {
        if let Some(partitions) = partitions {
            let builder = store.projector().partitions(partitions).start().unwrap();
            rebuild(chronicle.clone(), &builder, &Settings::default(), |_| {}).await.unwrap();
            builder.release_lease().await.unwrap();
        }
        let tables = tables_of_chains(&mut stranger).await;
        assert_eq!(tables.len() > 1, partitions == Some(Partitions::On), "{tables:?}");
        for role in ["origin", "replica", "local"] {
            let play = format!("SET session_replication_role = {role}");
            sqlx::raw_sql(AssertSqlSafe(play)).execute(&mut stranger).await.unwrap();
            for table in &tables {
                let mut refused = 0;
                for attack in [
                    format!("UPDATE {table} SET reason = 'another'"),
                    format!("UPDATE ONLY {table} SET hash = hash"),
                    format!("DELETE FROM {table}"),
                    format!("DELETE FROM {table} WHERE seq > 1"),
                    format!("TRUNCATE {table}"),
                    format!("TRUNCATE {table}, guildhall.governed_artifacts CASCADE"),
                    format!("WITH gone AS (DELETE FROM {table} RETURNING *) SELECT * FROM gone"),
                    format!(
                        "INSERT INTO {table} SELECT * FROM {table}
                         ON CONFLICT (artifact_id, seq) DO UPDATE SET reason = 'another'"
                    ),
                    format!(
                        "MERGE INTO {table} AS it USING {table} AS same
                         ON it.artifact_id = same.artifact_id AND it.seq = same.seq
                         WHEN MATCHED THEN DELETE"
                    ),
                ] {
                    let Some(refusal) = refusal_of(&mut stranger, &attack).await else { continue };
                    assert!(refusal.contains(A_LINK_STAYS), "{role}: {attack}: {refusal}");
                    refused += 1;
                }
                // A partition may be empty, and the table that it is a part of itself is.
                assert!(refused >= 2, "{role}: {table}");
            }
            let after = read_tables(database.url(), DEFAULT_SCHEMA).await;
            assert_eq!(after.custody_transitions, before.custody_transitions, "{role}");
        }
        assert_projected(database.url(), &*chronicle).await;
    }
}
