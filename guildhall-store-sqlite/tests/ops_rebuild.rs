//! Rebuilding beside the live tables.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod ops_support;

use guildhall_core::{Generation, OpsDb, Position, Projector, Rebuild};
use guildhall_store_sqlite::{SqliteProjector, SqliteStore, rusqlite};
use ops_support::{TABLES, batch, catch_up, dump, log, raw, store_with};

async fn fill(store: &SqliteStore, generation: &mut Box<dyn Generation>, most: usize) {
    loop {
        let batch = batch(store, generation.checkpoint().position.get(), most).await;
        if batch.entries().is_empty() {
            return;
        }
        generation.apply(batch).await.unwrap();
    }
}

async fn rebuild(store: &SqliteStore, projector: &SqliteProjector, most: usize) {
    let mut generation = projector.begin_rebuild().await.unwrap();
    fill(store, &mut generation, most).await;
    generation.seal().await.unwrap();
    assert!(generation.swap(None).await.unwrap());
}

/// What belongs to the tables, without the names that alternate.
fn schema(connection: &rusqlite::Connection) -> Vec<String> {
    let sql = "SELECT type || ' ' || rtrim(name, '_2') || ' on ' || tbl_name || ' ' \
               || substr(sql, instr(sql, '(')) FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY 1";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_rebuild_equals_a_catch_up_in_rows_and_in_schema_however_little_memory() {
    let (_folder, store) = store_with(&log(20, 1500)).await;
    let projector = store.projector().start().unwrap();
    catch_up(&store, &projector, 1000).await;
    let (rows, expected) = (dump(&store), schema(&raw(&store)));
    for memory_bytes in [256 << 20, 20_000, 0] {
        let builder = store.projector().rebuild_memory_bytes(memory_bytes);
        rebuild(&store, &builder.start().unwrap(), 100).await;
        assert_eq!(dump(&store), rows, "{memory_bytes} bytes");
        assert_eq!(schema(&raw(&store)), expected, "{memory_bytes} bytes");
        let broken: Option<String> = raw(&store)
            .query_row("SELECT \"table\" FROM pragma_foreign_key_check", [], |row| row.get(0))
            .ok();
        assert_eq!(broken, None);
    }
}

#[tokio::test]
async fn a_live_projector_goes_on_from_the_new_tables() {
    let events = log(20, 1500);
    let (_folder, store) = store_with(&events[..1000]).await;
    let projector = store.projector().start().unwrap();
    projector.apply(batch(&store, 0, 500).await).await.unwrap();
    rebuild(&store, &projector, 300).await;
    assert_eq!(projector.checkpoint().await.unwrap().position, Position::new(1000));
    ops_support::append(&store, &events[1000..]).await;
    catch_up(&store, &projector, 100).await;
    let went_on = dump(&store);
    rebuild(&store, &projector, 300).await;
    assert_eq!(dump(&store), went_on);
    for table in ["custody_transitions", "artifact_revisions", "deployment_changes"] {
        let refused = raw(&store).execute(&format!("DELETE FROM {table}"), []).unwrap_err();
        assert_eq!(refused.to_string(), format!("{table} is append-only"));
    }
}

#[tokio::test]
async fn batches_after_the_seal_are_applied_and_a_swap_that_comes_too_late_is_refused() {
    let (_folder, store) = store_with(&log(20, 1500)).await;
    let projector = store.projector().start().unwrap();
    let mut generation = projector.begin_rebuild().await.unwrap();
    generation.apply(batch(&store, 0, 700).await).await.unwrap();
    generation.seal().await.unwrap();
    projector.apply(batch(&store, 0, 800).await).await.unwrap();
    let before = dump(&store);
    assert!(!generation.swap(None).await.unwrap());
    assert_eq!(dump(&store), before);
    fill(&store, &mut generation, 250).await;
    assert!(generation.swap(None).await.unwrap());
    let swapped = dump(&store);
    rebuild(&store, &projector, 5000).await;
    assert_eq!(dump(&store), swapped);
}

#[tokio::test]
async fn what_a_dropped_rebuild_left_is_thrown_away_and_its_maker_cannot_write_on() {
    let (_folder, store) = store_with(&log(20, 500)).await;
    let projector = store.projector().start().unwrap();
    let mut first = projector.begin_rebuild().await.unwrap();
    first.apply(batch(&store, 0, 100).await).await.unwrap();
    let mut second = projector.begin_rebuild().await.unwrap();
    assert!(first.apply(batch(&store, 100, 100).await).await.is_err());
    assert!(first.swap(None).await.is_err());
    drop(first);
    fill(&store, &mut second, 100).await;
    assert!(second.swap(None).await.unwrap());
    let left: i64 = raw(&store)
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%\\_next' ESCAPE '\\' \
             OR name LIKE '%\\_retired' ESCAPE '\\'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_the_old_tables_or_the_new_ones() {
    let (_folder, store) = store_with(&log(20, 800)).await;
    let projector = store.projector().start().unwrap();
    catch_up(&store, &projector, 1000).await;
    let expected = store.ops_db().overview().await.unwrap();
    let reader = store.clone();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let seen = expected.clone();
    let reading = tokio::spawn(async move {
        let mut reads = 0_u64;
        while !*stopped.borrow() {
            assert_eq!(reader.ops_db().overview().await.unwrap(), seen);
            reads += 1;
        }
        reads
    });
    for _ in 0..3 {
        rebuild(&store, &projector, 500).await;
    }
    stop.send(true).unwrap();
    assert!(reading.await.unwrap() > 0);
}

#[tokio::test]
async fn what_an_embedder_made_on_the_tables_outlives_a_rebuild() {
    let (_folder, store) = store_with(&log(20, 300)).await;
    let projector = store.projector().start().unwrap();
    catch_up(&store, &projector, 1000).await;
    let connection = raw(&store);
    connection
        .execute_batch(
            "CREATE VIEW critical AS SELECT name FROM governed_artifacts WHERE tier = 0;
             CREATE INDEX embedders ON governed_artifacts (content_schema);",
        )
        .unwrap();
    let count = || -> i64 {
        connection.query_row("SELECT count(*) FROM critical", [], |row| row.get(0)).unwrap()
    };
    let before = count();
    assert!(before > 0);
    for name in ["embedders_2", "embedders"] {
        rebuild(&store, &projector, 500).await;
        assert_eq!(count(), before);
        let table: String = connection
            .query_row("SELECT tbl_name FROM sqlite_schema WHERE name = ?1", [name], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(table, TABLES[1].0);
    }
}
