//! What people find at a SQL prompt: a view of the drift of artifacts, and a comment on everything.
#![allow(clippy::unwrap_used, reason = "tests")]

mod server;

use std::collections::BTreeSet;

use guildhall_conformance::log::Log;
use guildhall_conformance::workload::{Mix, Workload};
use guildhall_core::{ArtifactQuery, Drift, OpsDb as _, Position, Projector as _, Rebuild as _};
use guildhall_store_postgres::{Partitions, PostgresStore};
use server::Database;
use sqlx::{Connection as _, PgConnection};

async fn ask(database: &Database, sql: &'static str) -> Vec<String> {
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let answer = sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    answer
}

/// Every artifact by the queries, a row a line.
async fn queried(store: &PostgresStore) -> Vec<String> {
    let mut query = ArtifactQuery::default();
    let mut lines = Vec::new();
    loop {
        let page = store.ops_db().artifacts(&query).await.unwrap();
        lines.extend(page.rows.iter().map(|row| {
            let state = row.custody_state.map(|state| state.to_string()).unwrap_or_default();
            let since = row.drift_since.map(|since| since.to_string()).unwrap_or_default();
            let (id, accord, name) = (row.id, row.accord_binding_id, &row.name);
            let (kind, tier, cid, drift) = (&row.artifact_type, row.tier, row.cid, row.drift);
            format!(
                "{id}|{accord}|{name}|{kind}|{tier}|{cid}|{state}|{drift}|{since}|{}",
                row.position
            )
        }));
        query.after = page.next;
        if query.after.is_none() {
            lines.sort();
            return lines;
        }
    }
}

const VIEW: &str = "SELECT concat_ws('|', id, accord_binding_id, name, artifact_type, tier, cid, \
    coalesce(custody_state, ''), drift, \
    coalesce(to_char(drift_since AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), ''), position) \
    COLLATE \"C\" AS line FROM guildhall.artifact_drift ORDER BY line";

#[tokio::test]
async fn the_view_of_drift_says_what_the_queries_say_before_and_after_a_rebuild() {
    let database = Database::create();
    let store = PostgresStore::open(database.url()).await.unwrap();
    let log = Log::of(Workload::new(11, Mix::DENSE).take(2000));
    store.projector().start().unwrap().apply(log.rest(Position::ZERO)).await.unwrap();
    let expected = queried(&store).await;
    let drifts: BTreeSet<_> =
        expected.iter().filter_map(|line| line.split('|').nth(7)?.parse().ok()).collect();
    assert_eq!(drifts, Drift::ALL.iter().copied().collect(), "all four are there");
    assert_eq!(ask(&database, VIEW).await, expected);
    for partitions in [Partitions::On, Partitions::Off] {
        let projector = store.projector().partitions(partitions).start().unwrap();
        let mut generation = projector.begin_rebuild().await.unwrap();
        generation.apply(log.rest(Position::ZERO)).await.unwrap();
        assert!(generation.swap(None).await.unwrap());
        assert_eq!(ask(&database, VIEW).await, expected, "{partitions:?}");
        assert_eq!(queried(&store).await, expected, "{partitions:?}");
    }
}

/// Of every table, view and column in the schema, but for partitions, those that say nothing.
const SILENT: &str = "SELECT concat_ws('.', relname, attname) FROM pg_class \
    LEFT JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped \
    WHERE relnamespace = 'guildhall'::regnamespace AND relkind IN ('r', 'p', 'v') \
    AND NOT relispartition AND (obj_description(pg_class.oid, 'pg_class') IS NULL \
    OR col_description(pg_class.oid, attnum) IS NULL)";

#[tokio::test]
async fn every_table_and_column_says_what_it_holds_also_after_a_rebuild() {
    let database = Database::create();
    let store = PostgresStore::open(database.url()).await.unwrap();
    assert_eq!(ask(&database, SILENT).await, [""; 0]);
    for partitions in [Partitions::On, Partitions::Off] {
        let projector = store.projector().partitions(partitions).start().unwrap();
        assert!(projector.begin_rebuild().await.unwrap().swap(None).await.unwrap());
        assert_eq!(ask(&database, SILENT).await, [""; 0], "{partitions:?}");
    }
}
