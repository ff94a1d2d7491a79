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

fn attacks() -> Vec<String> {
    let known_event =
        ("event_id", "(SELECT event_id FROM guildhall.chronicle_entries WHERE position = 1)");
    let mut attacks: Vec<String> = [
        "UPDATE guildhall.chronicle_entries SET payload = '{}'",
        "UPDATE guildhall.chronicle_entries SET position = 7 WHERE position = 2",
        "UPDATE ONLY guildhall.chronicle_entries SET leaf_hash = leaf_hash WHERE position = 2",
        "DELETE FROM guildhall.chronicle_entries",
        "DELETE FROM guildhall.chronicle_entries WHERE position = 2",
        "TRUNCATE guildhall.chronicle_entries",
        "TRUNCATE guildhall.chronicle_entries, guildhall.chronicle_head CASCADE",
        "WITH gone AS (DELETE FROM guildhall.chronicle_entries RETURNING *) SELECT * FROM gone",
        "UPDATE guildhall.chronicle_head SET position = 1",
        "UPDATE guildhall.chronicle_head SET position = 2",
        "UPDATE guildhall.chronicle_head SET position = 3",
        "UPDATE guildhall.chronicle_head SET id = 2",
        "INSERT INTO guildhall.chronicle_head VALUES (2, 9)",
        "INSERT INTO guildhall.chronicle_head VALUES (1, 9)
         ON CONFLICT (id) DO UPDATE SET position = excluded.position",
        "DELETE FROM guildhall.chronicle_head",
        "TRUNCATE guildhall.chronicle_head",
        "UPDATE guildhall.chronicle_origin SET origin = 'mine'",
        "DELETE FROM guildhall.chronicle_origin",
        "TRUNCATE guildhall.chronicle_origin",
        "INSERT INTO guildhall.chronicle_origin VALUES (2, 'mine')",
        "INSERT INTO guildhall.chronicle_origin VALUES (1, 'mine')
         ON CONFLICT (id) DO UPDATE SET origin = excluded.origin",
    ]
    .map(str::to_owned)
    .into();
    // Out of order, without the head and with it.
    attacks.push(insert(&[]));
    attacks.push(append(&[], 4));
    for position in ["1", "2", "4", "0", "-1", "NULL"] {
        attacks.push(insert(&[("position", position)]));
        attacks.push(append(&[("position", position)], 3));
        attacks.push(append(&[("position", position)], 4));
    }
    for changed in [
        known_event,
        ("version", "1"),
        ("version", "2"),
        ("version", "4"),
        ("version", "0"),
        ("stream_id", "gen_random_uuid()"),
        ("event_id", "NULL"),
        ("leaf_hash", "'\\x00'"),
        ("recorded_at", "'infinity'"),
        ("recorded_at", "'4000-01-01 BC'"),
        ("metadata", "'{'"),
        ("metadata", "'[]'"),
        ("payload", "NULL"),
        ("event_type", "''"),
    ] {
        attacks.push(append(&[changed], 3));
        attacks.push(append(&[changed], 3) + " ON CONFLICT DO NOTHING");
    }
    for key in ["position", "event_id", "stream_id, version"] {
        let taken = match key {
            "position" => ("position", "1"),
            "event_id" => known_event,
            _ => ("version", "1"),
        };
        let plain = append(&[taken], 3);
        attacks.push(format!("{plain} ON CONFLICT ({key}) DO UPDATE SET payload = '{{}}'"));
    }
    attacks
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
        for attack in attacks() {
            let outcome = sqlx::raw_sql(AssertSqlSafe(attack.clone())).execute(&mut stranger).await;
            assert!(outcome.is_err(), "{role}: {attack}");
        }
        let after = chronicle.read(Position::ZERO, ReadLimit::entries(9)).await.unwrap();
        assert_eq!(after, before, "{role}");
        assert_eq!(chronicle.origin().await.unwrap(), origin);
    }

    // The attacks failed for what they changed: the row that they vary is welcome.
    sqlx::raw_sql(AssertSqlSafe(append(&[], 3))).execute(&mut stranger).await.unwrap();
    assert_eq!(append_one(&chronicle, 1).await.position, Position::new(4));
}

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
                    let outcome = sqlx::raw_sql(AssertSqlSafe(attack)).execute(&mut stranger).await;
                    refused += usize::from(outcome.is_err());
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
