//! What is SQLite's own about the queries: rows that somebody spoilt, and the view for people. What they
//! find is for the conformance suite to show.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod ops_support;

use std::collections::BTreeSet;

use guildhall_core::{
    AccordId, ArtifactId, ArtifactQuery, ArtifactSort, ArtifactSummary, Cursor, Drift, Json, OpsDb,
    Position, Rebuild as _, Tier,
};
use guildhall_store_sqlite::{SqliteOpsDb, SqliteStore};
use ops_support::{batch, catch_up, log, raw, store_with};
use uuid::Uuid;

async fn projected() -> (tempfile::TempDir, SqliteStore, SqliteOpsDb) {
    let (folder, store) = store_with(&log(60, 900)).await;
    let projector = store.projector().start().unwrap();
    catch_up(&store, &projector, 1000).await;
    let ops_db = store.ops_db();
    (folder, store, ops_db)
}

/// Every row of a query, in pages of `limit`.
async fn all(ops_db: &SqliteOpsDb, mut query: ArtifactQuery, limit: u32) -> Vec<ArtifactSummary> {
    query.limit = limit;
    let mut rows = Vec::new();
    loop {
        let page = ops_db.artifacts(&query).await.unwrap();
        assert!(page.rows.len() <= usize::try_from(limit).unwrap());
        rows.extend(page.rows);
        match page.next {
            Some(next) => query.after = Some(next),
            None => return rows,
        }
    }
}

#[tokio::test]
async fn a_row_that_fits_no_type_is_a_permanent_error_and_a_strange_cursor_starts_anew() {
    let (_folder, store, ops_db) = projected().await;
    let whole = all(&ops_db, ArtifactQuery::default(), 500).await;
    let by_tier = ArtifactQuery::default().sort(ArtifactSort::Tier).limit(5);
    let after = ops_db.artifacts(&by_tier).await.unwrap().next;
    for after in [after, Some(Cursor::from_text("nonsense")), Some(Cursor::from_text("[]"))] {
        let query = ArtifactQuery::default().after(after).limit(500);
        assert_eq!(ops_db.artifacts(&query).await.unwrap().rows, whole);
    }
    let connection = raw(&store);
    connection
        .execute_batch("UPDATE governed_artifacts SET cid = 'no cid' WHERE tier = 1")
        .unwrap();
    let error = ops_db.artifacts(&ArtifactQuery::default()).await.unwrap_err();
    assert!(!error.is_transient(), "{error}");
    assert_eq!(ops_db.checkpoint("nobody").await.unwrap(), None);
    assert!(ops_db.checkpoint("ops_db").await.unwrap().unwrap().position > Position::ZERO);
    let everything = ArtifactQuery::default().content_contains(Json::null());
    assert!(ops_db.artifacts(&everything).await.is_err());
}

/// For people with a SQL prompt, who ask nobody's library.
#[tokio::test]
async fn the_view_of_drift_says_what_the_queries_say_before_and_after_a_rebuild() {
    let (_folder, store) = store_with(&log(200, 900)).await;
    let (projector, ops_db) = (store.projector().start().unwrap(), store.ops_db());
    catch_up(&store, &projector, 1000).await;
    let mut expected = all(&ops_db, ArtifactQuery::default(), 500).await;
    expected.sort_by_key(|row| row.id);
    let drifts: BTreeSet<_> = expected.iter().map(|row| row.drift).collect();
    assert_eq!(drifts, Drift::ALL.iter().copied().collect(), "all four are there");
    let viewed = || {
        let connection = raw(&store);
        let mut load = connection.prepare("SELECT * FROM artifact_drift ORDER BY id").unwrap();
        let rows = load.query_map([], |row| {
            let text = |at| row.get::<_, Option<String>>(at);
            Ok(ArtifactSummary {
                id: ArtifactId::from_uuid(Uuid::from_bytes(row.get(0)?)),
                accord_binding_id: AccordId::from_uuid(Uuid::from_bytes(row.get(1)?)),
                name: row.get(2)?,
                artifact_type: row.get(3)?,
                tier: Tier::new(row.get(4)?).unwrap(),
                cid: text(5)?.unwrap().parse().unwrap(),
                custody_state: text(6)?.map(|state| state.parse().unwrap()),
                drift: text(7)?.unwrap().parse().unwrap(),
                drift_since: text(8)?.map(|since| since.parse().unwrap()),
                position: Position::from_i64(row.get(9)?).unwrap(),
            })
        });
        rows.unwrap().map(Result::unwrap).collect::<Vec<_>>()
    };
    assert_eq!(viewed(), expected);
    let mut generation = projector.begin_rebuild().await.unwrap();
    generation.apply(batch(&store, 0, 10_000).await).await.unwrap();
    assert!(generation.swap(None).await.unwrap());
    assert_eq!(viewed(), expected);
}
