//! The projector: checkpoints, leases, halting, read models.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod ops_support;

use std::time::Duration;

use guildhall_core::{
    ApplyError, Batch, Code, ContinuityError, Judged, Lease, OPS_DB, OnViolation, OpsDb, Origin,
    Position, Projector, Verdict,
};
use guildhall_store_sqlite::{ReadModel, SqliteStore, rusqlite};
use ops_support::{append, batch, catch_up, count, dump, log, raw, store_with};

#[tokio::test]
async fn the_tables_do_not_depend_on_batches_restarts_or_memory() {
    let (_folder, store) = store_with(&log(20, 1500)).await;
    let projector = store.projector().start().unwrap();
    catch_up(&store, &projector, 10_000).await;
    let expected = dump(&store);
    for table in ops_support::TABLES {
        assert!(count(&store, table.0) > 2, "{table:?} is hardly filled");
    }
    for (size, memory_bytes) in [(1, 32 << 20), (7, 0), (100, 5_000)] {
        let folder = tempfile::tempdir().unwrap();
        let mut options = store.options().clone();
        options.ops_path = Some(folder.path().join("ops.db"));
        loop {
            let store = SqliteStore::open_with(options.clone()).await.unwrap();
            let projector = store.projector().memory_bytes(memory_bytes).start().unwrap();
            projector.hold_lease().await.unwrap();
            for _ in 0..50 {
                let at = projector.checkpoint().await.unwrap().position;
                projector.apply(batch(&store, at.get(), size).await).await.unwrap();
            }
            projector.release_lease().await.unwrap();
            let head = guildhall_core::Chronicle::head(&store.chronicle()).await.unwrap();
            let checkpoint = store.ops_db().checkpoint(OPS_DB).await.unwrap().unwrap();
            if checkpoint.position == head.position {
                assert_eq!(checkpoint.leaf_hash, head.leaf_hash);
                assert_eq!(dump(&store), expected, "batches of {size}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn an_overlapping_batch_changes_nothing_twice_and_a_gap_is_refused() {
    let (_folder, store) = store_with(&log(5, 200)).await;
    let projector = store.projector().start().unwrap();
    let applied = projector.apply(batch(&store, 0, 100).await).await.unwrap();
    assert_eq!((applied.position, applied.entries), (Position::new(100), 100));
    let before = dump(&store);
    let applied = projector.apply(batch(&store, 20, 50).await).await.unwrap();
    assert_eq!((applied.position, applied.entries), (Position::new(100), 0));
    assert_eq!(dump(&store), before);
    let applied = projector.apply(batch(&store, 50, 60).await).await.unwrap();
    assert_eq!((applied.position, applied.entries), (Position::new(110), 10));
    let gap = projector.apply(batch(&store, 111, 5).await).await.unwrap_err();
    assert!(matches!(gap, ApplyError::Continuity(ContinuityError::Gap { .. })), "{gap}");
}

#[tokio::test]
async fn another_origin_and_a_rewritten_entry_are_refused() {
    let (_folder, store) = store_with(&log(5, 50)).await;
    let projector = store.projector().start().unwrap();
    projector.apply(batch(&store, 0, 10).await).await.unwrap();
    let before = dump(&store);
    let other = Batch::decode(Origin::unique(), Vec::new()).unwrap();
    let refused = projector.apply(other).await.unwrap_err();
    assert!(
        matches!(refused, ApplyError::Continuity(ContinuityError::OtherOrigin { .. })),
        "{refused}"
    );
    let sql = "UPDATE projector_checkpoints SET leaf_hash = zeroblob(32)";
    assert_eq!(raw(&store).execute(sql, []).unwrap(), 1);
    let refused = projector.apply(batch(&store, 5, 10).await).await.unwrap_err();
    assert!(
        matches!(refused, ApplyError::Continuity(ContinuityError::Rewritten { .. })),
        "{refused}"
    );
    assert_eq!(dump(&store), before);
}

#[tokio::test]
async fn a_deposed_projector_stands_by_and_loads_what_the_other_wrote() {
    let (_folder, store) = store_with(&log(10, 600)).await;
    let other_store = SqliteStore::open(store.options().ops_file()).await.unwrap();
    let first = store.projector().lease_time(Duration::ZERO).start().unwrap();
    let second = other_store.projector().lease_time(Duration::from_secs(3600)).start().unwrap();
    first.apply(batch(&store, 0, 100).await).await.unwrap();
    // Its lease has lapsed already.
    second.apply(batch(&store, 100, 200).await).await.unwrap();
    let before = dump(&store);
    let refused = first.apply(batch(&store, 300, 10).await).await.unwrap_err();
    assert!(matches!(refused, ApplyError::Standby { .. }), "{refused}");
    assert!(matches!(first.hold_lease().await.unwrap(), Lease::Standby { .. }));
    first.release_lease().await.unwrap();
    assert!(matches!(first.hold_lease().await.unwrap(), Lease::Standby { .. }));
    assert_eq!(dump(&store), before);
    second.release_lease().await.unwrap();
    assert_eq!(first.hold_lease().await.unwrap(), Lease::Held);
    catch_up(&store, &first, 100).await;
    let handed_over = dump(&store);

    let folder = tempfile::tempdir().unwrap();
    let mut options = store.options().clone();
    options.ops_path = Some(folder.path().join("ops.db"));
    let alone = SqliteStore::open_with(options).await.unwrap();
    catch_up(&alone, &alone.projector().start().unwrap(), 1000).await;
    assert_eq!(handed_over, dump(&alone));
}

#[tokio::test]
async fn a_halting_projector_applies_what_precedes_and_stops() {
    let (_folder, store) = store_with(&log(10, 600)).await;
    let projector = store.projector().on_violation(OnViolation::Halt).start().unwrap();
    let halted = projector.apply(batch(&store, 0, 10_000).await).await.unwrap_err();
    let ApplyError::Halted { position, violation } = halted else { panic!("{halted}") };
    assert_eq!(violation.code(), Code::CC06);
    let checkpoint = projector.checkpoint().await.unwrap();
    assert_eq!(checkpoint.position, position.previous());
    let again = projector.apply(batch(&store, checkpoint.position.get(), 10).await).await;
    assert!(matches!(again, Err(ApplyError::Halted { position: at, .. }) if at == position));
    assert_eq!(count(&store, "quarantined_entries"), 0);
}

/// Counts entries, and refuses one position.
struct Counting {
    refuses: Option<u64>,
}

impl ReadModel for Counting {
    fn name(&self) -> &str {
        "counting"
    }

    fn apply(
        &mut self,
        transaction: &rusqlite::Transaction<'_>,
        entries: &[Judged<'_>],
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        transaction.execute_batch("CREATE TABLE IF NOT EXISTS counting (position INTEGER)")?;
        for Judged { entry, .. } in entries {
            transaction.execute("INSERT INTO counting VALUES (?1)", [entry.position.as_i64()])?;
            if self.refuses == Some(entry.position.get()) {
                return Err("not this one".into());
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_failing_read_model_rolls_the_whole_batch_back() {
    let (_folder, store) = store_with(&log(5, 100)).await;
    let projector = store.projector().read_model(Counting { refuses: Some(60) }).start().unwrap();
    projector.apply(batch(&store, 0, 50).await).await.unwrap();
    let before = dump(&store);
    let refused = projector.apply(batch(&store, 50, 50).await).await.unwrap_err();
    assert!(matches!(&refused, ApplyError::ReadModel { name, .. } if name == "counting"));
    assert_eq!(dump(&store), before);
    assert_eq!(count(&store, "counting"), 50);
    assert_eq!(projector.checkpoint().await.unwrap().position, Position::new(50));
    // What precedes can still be applied: the heads were forgotten with the transaction.
    projector.apply(batch(&store, 50, 9).await).await.unwrap();
    assert_eq!(count(&store, "counting"), 59);
}

#[tokio::test]
async fn a_read_model_that_is_added_later_catches_up_by_itself() {
    let (_folder, store) = store_with(&log(5, 100)).await;
    let events = log(5, 100);
    let plain = store.projector().start().unwrap();
    catch_up(&store, &plain, 1000).await;
    plain.release_lease().await.unwrap();
    let before = dump(&store);
    let projector = store.projector().read_model(Counting { refuses: None }).start().unwrap();
    assert_eq!(projector.checkpoint().await.unwrap().position, Position::ZERO);
    catch_up(&store, &projector, 40).await;
    assert_eq!(dump(&store), before);
    assert_eq!(count(&store, "counting"), i64::try_from(events.len()).unwrap());
    append(&store, &log(1, 0)[..1]).await;
    catch_up(&store, &projector, 40).await;
    assert_eq!(count(&store, "counting"), i64::try_from(events.len()).unwrap() + 1);
}

/// Writes down what it is told of entries in quarantine.
struct Refused;

impl ReadModel for Refused {
    fn name(&self) -> &str {
        "refused"
    }

    fn apply(
        &mut self,
        transaction: &rusqlite::Transaction<'_>,
        entries: &[Judged<'_>],
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        transaction.execute_batch(
            "CREATE TABLE IF NOT EXISTS refused (position INTEGER, code TEXT, reason TEXT)",
        )?;
        for Judged { entry, verdict, .. } in entries {
            if let Verdict::Quarantined(row) = verdict {
                let values = (entry.position.as_i64(), row.code.as_str(), &row.reason);
                transaction.execute("INSERT INTO refused VALUES (?1, ?2, ?3)", values)?;
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_read_model_is_told_every_verdict_also_those_from_before_its_time() {
    let (_folder, store) = store_with(&log(10, 600)).await;
    let plain = store.projector().start().unwrap();
    plain.apply(batch(&store, 0, 400).await).await.unwrap();
    plain.release_lease().await.unwrap();
    let projector = store.projector().read_model(Refused).start().unwrap();
    for first in [0, 300] {
        projector.apply(batch(&store, first, 300).await).await.unwrap();
    }
    assert!(count(&store, "refused") > 2);
    let differing = "SELECT count(*) FROM quarantined_entries FULL JOIN refused
                     USING (position, code, reason)";
    let found: i64 = raw(&store).query_row(differing, [], |row| row.get(0)).unwrap();
    assert_eq!(found, count(&store, "refused"));
    assert_eq!(found, count(&store, "quarantined_entries"));
}

#[tokio::test]
async fn a_halt_holds_the_read_models_back_too() {
    let (_folder, store) = store_with(&log(10, 600)).await;
    let projector = store
        .projector()
        .on_violation(OnViolation::Halt)
        .read_model(Counting { refuses: None })
        .start()
        .unwrap();
    let halted = projector.apply(batch(&store, 0, 10_000).await).await.unwrap_err();
    let ApplyError::Halted { position, .. } = halted else { panic!("{halted}") };
    assert_eq!(count(&store, "counting"), position.previous().as_i64());
}

#[tokio::test]
async fn two_read_models_of_one_name_are_refused() {
    let (_folder, store) = store_with(&[]).await;
    let builder = store.projector().read_model(Counting { refuses: None });
    let error = builder.read_model(Counting { refuses: None }).start().unwrap_err();
    assert!(!error.is_transient(), "{error}");
}

#[tokio::test]
async fn links_and_history_are_append_only_whatever_connection_asks() {
    let (_folder, store) = store_with(&log(5, 200)).await;
    let projector = store.projector().start().unwrap();
    catch_up(&store, &projector, 1000).await;
    let before = dump(&store);
    let connection = raw(&store);
    connection.pragma_update(None, "foreign_keys", false).unwrap();
    for (table, known_key, attacks) in [
        (
            "custody_transitions",
            "link",
            [
                "UPDATE custody_transitions SET actor = 'mallory'",
                "REPLACE INTO custody_transitions (rowid, artifact_id, seq, to_state, cid, actor, \
                 reason, evidence, occurred_at, hash, position) SELECT rowid, artifact_id, 999, \
                 to_state, cid, 'mallory', reason, evidence, occurred_at, hash, position \
                 FROM custody_transitions LIMIT 1",
            ],
        ),
        (
            "artifact_revisions",
            "revision",
            [
                "UPDATE artifact_revisions SET content = '1'",
                "REPLACE INTO artifact_revisions (rowid, artifact_id, revision, cid, content, \
                 content_schema, recorded_at, position) SELECT rowid, artifact_id, 999, cid, '1', \
                 content_schema, recorded_at, position FROM artifact_revisions LIMIT 1",
            ],
        ),
        (
            "deployment_changes",
            "change",
            [
                "UPDATE deployment_changes SET health = 'healthy'",
                "REPLACE INTO deployment_changes (rowid, artifact_id, target, observed_at, \
                 desired_cid, health, health_since, position) SELECT rowid, artifact_id, 'mallory', \
                 observed_at, desired_cid, health, health_since, position \
                 FROM deployment_changes LIMIT 1",
            ],
        ),
    ] {
        let [update, replace_row] = attacks.map(str::to_owned);
        let (append_only, known) = ("is append-only", format!("has this {known_key} already"));
        let known = known.as_str();
        let again = format!("INTO {table} SELECT * FROM {table} LIMIT 1");
        for (attack, refusal) in [
            (update, append_only),
            (format!("DELETE FROM {table}"), append_only),
            (format!("INSERT {again}"), known),
            (format!("REPLACE {again}"), known),
            (format!("INSERT OR IGNORE {again}"), known),
            (replace_row, "has this row already"),
        ] {
            let refused = connection.execute(&attack, []).expect_err(&attack).to_string();
            assert_eq!(refused, format!("{table} {refusal}"), "{attack}");
        }
    }
    assert_eq!(dump(&store), before);
}
