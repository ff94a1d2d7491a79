//! A database from before there was any history: it is migrated, says from where on it has some, and a
//! rebuild brings in the rest.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod ops_support;

use guildhall_core::{OpsDb, Position, Projector, Rebuild};
use guildhall_store_sqlite::SqliteStore;
use ops_support::{append, batch, catch_up, count, dump, log, raw_at, store_with};

/// Takes out what the migration to history, and those after it, put in.
const BEFORE: &str = "DROP TABLE artifact_revisions; DROP TABLE deployment_changes; \
    DROP TABLE row_counts; \
    DROP INDEX custody_transitions_by_position; DROP INDEX custody_transitions_by_actor; \
    DROP INDEX custody_transitions_by_time; DROP INDEX verification_results_by_series; \
    DROP INDEX deployment_states_by_target; DROP INDEX deployment_states_by_since; \
    DROP INDEX accord_bindings_by_effect; \
    ALTER TABLE projector_checkpoints DROP COLUMN history_from; \
    DELETE FROM guildhall_migrations WHERE family = 'ops' AND number >= 10";

async fn history_from(store: &SqliteStore) -> Option<Position> {
    store.ops_db().checkpoints().await.unwrap()[0].history_from
}

async fn project(store: &SqliteStore) {
    let projector = store.projector().start().unwrap();
    catch_up(store, &projector, 300).await;
    projector.release_lease().await.unwrap();
}

#[tokio::test]
async fn a_database_from_before_has_history_from_where_it_stood_until_a_rebuild() {
    let events = log(20, 1500);
    let (first, later) = events.split_at(900);
    let (folder, store) = store_with(first).await;
    project(&store).await;
    assert_eq!(history_from(&store).await, None);
    let stood = store.ops_db().checkpoint("ops_db").await.unwrap().unwrap().position;
    drop(store);
    let path = folder.path().join("guildhall.db");
    raw_at(&path).execute_batch(BEFORE).unwrap();

    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(history_from(&store).await, Some(stood));
    // How it stands is where its history begins: a row for each artifact and for each target.
    assert_eq!(count(&store, "artifact_revisions"), count(&store, "governed_artifacts"));
    assert_eq!(count(&store, "deployment_changes"), count(&store, "deployment_states"));
    append(&store, later).await;
    project(&store).await;
    assert_eq!(history_from(&store).await, Some(stood));
    assert!(count(&store, "deployment_changes") > count(&store, "deployment_states"));
    drop(store);
    let store = SqliteStore::open(&path).await.unwrap();
    let projector = store.projector().start().unwrap();
    assert_eq!(history_from(&store).await, Some(stood));

    let mut generation = projector.begin_rebuild().await.unwrap();
    generation.apply(batch(&store, 0, 5000).await).await.unwrap();
    generation.seal().await.unwrap();
    // What the tables lacked is no sign that the log was rewritten.
    let live = projector.checkpoint().await.unwrap().position;
    assert_eq!(generation.differences(live).await.unwrap(), []);
    assert!(generation.swap(None).await.unwrap());
    drop(generation);
    assert_eq!(history_from(&store).await, None);
    let (_folder, other) = store_with(&events).await;
    project(&other).await;
    // Each append has times and ids of its own; changes of targets have neither.
    let changes = |store: &SqliteStore| {
        let rows = dump(store).into_iter();
        rows.filter(|row| row.starts_with("deployment_changes: ")).collect::<Vec<_>>()
    };
    assert!(!changes(&store).is_empty());
    assert_eq!(changes(&store), changes(&other));
    assert_eq!(count(&store, "artifact_revisions"), count(&other, "artifact_revisions"));
}
