//! Somebody with a SQL prompt changes the log or the tables: it is noticed and said, whatever was
//! removed to do it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod ops_support;

use std::error::Error;
use std::time::Duration;

use guildhall_core::{
    Append, AppendError, ApplyError, ArtifactRevised, Chronicle, Cid, Disagreement, Event, Json,
    Lease, LogFault, NewEntry, OpsDb, Outcome, Position, Projector, ReadLimit, Rebuild, StoreError,
    VerificationRecorded, Version,
};
use guildhall_store_sqlite::{SqliteStore, rusqlite};
use ops_support::{append, batch, catch_up, log, raw, store_with};

const ALL: ReadLimit = ReadLimit::entries(usize::MAX);

/// Runs SQL as an attacker who has dropped the triggers, and makes them again afterwards.
fn attack(store: &SqliteStore, sql: &str) {
    let connection = raw(store);
    let mut load =
        connection.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").unwrap();
    let triggers = load.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let triggers: Vec<(String, String)> = triggers.map(Result::unwrap).collect();
    for (name, _) in &triggers {
        connection.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    connection.execute_batch(sql).unwrap();
    for (_, trigger) in &triggers {
        connection.execute_batch(trigger).unwrap();
    }
}

fn log_fault(error: &StoreError) -> &LogFault {
    assert!(!error.is_transient(), "{error}");
    error.log_fault().unwrap_or_else(|| panic!("{error:?}"))
}

async fn append_error(store: &SqliteStore) -> StoreError {
    let entry = NewEntry::new(&log(1, 0)[0]);
    match store.chronicle().append(Append::of([entry])).await {
        Err(AppendError::Store(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_altered_entry_is_refused_by_every_read() {
    for change in [
        "payload = replace(payload, 'accord', 'acc0rd')",
        "recorded_at = '2020-01-01T00:00:00.000000Z'",
        "event_type = event_type || '0'",
        "event_id = zeroblob(16)",
        "stream_id = zeroblob(16)",
        "leaf_hash = zeroblob(32)",
    ] {
        let (_folder, store) = store_with(&log(3, 10)).await;
        let stream = store.chronicle().read(Position::new(1), ReadLimit::entries(1)).await.unwrap()
            [0]
        .stream_id;
        // A handle of its own, which has seen nothing.
        let other = SqliteStore::open(store.options().ops_file()).await.unwrap().chronicle();
        attack(&store, &format!("UPDATE chronicle_entries SET {change} WHERE position = 2"));
        assert_eq!(other.read(Position::ZERO, ReadLimit::entries(1)).await.unwrap().len(), 1);
        let mut refused = vec![
            other.read(Position::ZERO, ALL).await.unwrap_err(),
            other.read_decoded(Position::new(1), ReadLimit::entries(1)).await.unwrap_err(),
        ];
        if !change.starts_with("stream_id") {
            refused.push(other.read_stream(stream, Version::ZERO, ALL).await.unwrap_err());
        }
        for error in refused {
            let fault = log_fault(&error);
            let at = Position::new(2);
            assert!(
                matches!(fault, LogFault::Altered { position, .. } if *position == at),
                "{fault}"
            );
        }
    }
}

#[tokio::test]
async fn a_tail_that_was_cut_is_noticed_by_whoever_has_seen_it() {
    let (_folder, store) = store_with(&log(3, 10)).await;
    let head = store.chronicle().head().await.unwrap().position;
    let waiter = tokio::spawn({
        let chronicle = store.chronicle();
        async move { chronicle.wait_beyond(head, Duration::from_secs(30)).await }
    });
    attack(&store, "DELETE FROM chronicle_entries WHERE position > 4");
    let expected = LogFault::WentBack { seen: head, head: Position::new(4) };
    for error in [
        store.chronicle().head().await.unwrap_err(),
        store.chronicle().read(Position::ZERO, ReadLimit::entries(1)).await.unwrap_err(),
        store.chronicle().fix_origin("other".parse().unwrap()).await.unwrap_err(),
        append_error(&store).await,
        waiter.await.unwrap().unwrap_err(),
    ] {
        assert_eq!(log_fault(&error), &expected);
    }
    // It grows again, by somebody who has not seen it.
    let other = SqliteStore::open(store.options().ops_file()).await.unwrap();
    append(&other, &log(3, 20)).await;
    for error in [store.chronicle().head().await.unwrap_err(), append_error(&store).await] {
        let fault = log_fault(&error);
        assert!(
            matches!(fault, LogFault::Rewritten { position, .. } if *position == head),
            "{fault}"
        );
    }
}

#[tokio::test]
async fn another_origin_and_none_are_noticed() {
    let (_folder, store) = store_with(&log(3, 10)).await;
    store.chronicle().head().await.unwrap();
    attack(&store, "UPDATE chronicle_origin SET origin = 'other'");
    for error in [store.chronicle().origin().await.unwrap_err(), append_error(&store).await] {
        let fault = log_fault(&error);
        assert!(matches!(fault, LogFault::OriginChanged { .. }), "{fault}");
    }
    attack(&store, "DELETE FROM chronicle_origin");
    let other = SqliteStore::open(store.options().ops_file()).await.unwrap();
    for error in [
        other.chronicle().head().await.unwrap_err(),
        other.chronicle().read(Position::ZERO, ALL).await.unwrap_err(),
        append_error(&other).await,
        other.chronicle().fix_origin("other".parse().unwrap()).await.unwrap_err(),
    ] {
        let fault = log_fault(&error);
        assert!(matches!(fault, LogFault::NoOrigin { .. }), "{fault}");
    }
}

#[tokio::test]
async fn nothing_is_appended_to_a_log_that_ends_before_the_checkpoint_until_a_rebuild() {
    for is_split in [false, true] {
        let (folder, first) = store_with(&[]).await;
        let mut options = first.options().clone();
        options.ops_path = is_split.then(|| folder.path().join("ops.db"));
        drop(first);
        let store = SqliteStore::open_with(options.clone()).await.unwrap();
        append(&store, &log(3, 10)).await;
        let head = store.chronicle().head().await.unwrap().position;
        let projector = store.projector().start().unwrap();
        catch_up(&store, &projector, 100).await;
        projector.release_lease().await.unwrap();
        let chronicle = raw_of(&options.chronicle_path);
        drop((store, projector));

        // As where the log beside the file was left behind: nothing of the Chronicle is there.
        for trigger in ["chronicle_entries_refuse_delete", "chronicle_origin_refuse_delete"] {
            let sql: String = chronicle
                .query_row("SELECT sql FROM sqlite_schema WHERE name = ?1", [trigger], |row| {
                    row.get(0)
                })
                .unwrap();
            let table =
                if trigger.contains("origin") { "chronicle_origin" } else { "chronicle_entries" };
            chronicle
                .execute_batch(&format!("DROP TRIGGER {trigger}; DELETE FROM {table}; {sql}"))
                .unwrap();
        }
        let store = SqliteStore::open_with(options).await.unwrap();
        let expected = LogFault::WentBack { seen: head, head: Position::ZERO };
        let error = store.chronicle().fix_origin("other".parse().unwrap()).await.unwrap_err();
        assert_eq!(log_fault(&error), &expected);
        assert_eq!(log_fault(&append_error(&store).await), &expected);
        assert_eq!(store.chronicle().origin().await.unwrap(), None);
        // It is opened and read all the same, and a rebuild accepts what there is.
        assert_eq!(store.chronicle().head().await.unwrap().position, Position::ZERO);
        assert!(store.ops_db().overview().await.unwrap().artifacts() > 0);
        let projector = store.projector().start().unwrap();
        let mut generation = projector.begin_rebuild().await.unwrap();
        assert!(generation.swap(Some(head)).await.unwrap());
        append(&store, &log(3, 10)).await;
    }
}

fn raw_of(path: &std::path::Path) -> rusqlite::Connection {
    ops_support::raw_at(path)
}

#[tokio::test]
async fn a_checkpoint_that_was_set_back_or_deleted_is_said() {
    let set_back = "UPDATE projector_checkpoints SET position = 2, leaf_hash = \
                    (SELECT leaf_hash FROM chronicle_entries WHERE position = 2)";
    for sql in [set_back, "DELETE FROM projector_checkpoints"] {
        let (_folder, store) = store_with(&log(3, 60)).await;
        let projector = store.projector().start().unwrap();
        catch_up(&store, &projector, 100).await;
        projector.release_lease().await.unwrap();
        attack(&store, sql);
        // By the one that wrote them, and by one that comes after it.
        for projector in [projector, store.projector().start().unwrap()] {
            let at = projector.checkpoint().await.unwrap().position;
            let error = projector.apply(batch(&store, at.get(), 100).await).await.unwrap_err();
            assert!(matches!(error, ApplyError::Disagrees { .. }), "{error:?}");
            assert!(!error.is_transient() && error.to_string().contains("rebuild"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_checkpoint_that_moved_under_its_projector_is_said() {
    let (_folder, store) = store_with(&log(3, 60)).await;
    let projector = store.projector().start().unwrap();
    projector.apply(batch(&store, 0, 20).await).await.unwrap();
    attack(
        &store,
        "UPDATE projector_checkpoints SET position = 30, leaf_hash = \
         (SELECT leaf_hash FROM chronicle_entries WHERE position = 30)",
    );
    match projector.apply(batch(&store, 30, 5).await).await.unwrap_err() {
        ApplyError::Disagrees { found: Disagreement::CheckpointMoved { left }, .. } => {
            assert_eq!(left, Position::new(20));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_row_that_is_there_already_is_said_with_its_constraint() {
    let (_folder, store) = store_with(&log(3, 60)).await;
    let projector = store.projector().start().unwrap();
    projector.apply(batch(&store, 0, 20).await).await.unwrap();
    attack(
        &store,
        "INSERT INTO verification_results SELECT event_id, (SELECT id FROM governed_artifacts), \
         NULL, 'eve', 'passed', 'null', recorded_at, 1 FROM chronicle_entries WHERE position > 20",
    );
    match projector.apply(batch(&store, 20, 100).await).await.unwrap_err() {
        ApplyError::Disagrees { checkpoint, found: Disagreement::RowExists { constraint } } => {
            assert_eq!(checkpoint, Position::new(20));
            assert!(constraint.contains("verification_results"), "{constraint}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_row_that_is_missing_is_said() {
    let artifact_id = ops_support::artifact(0);
    let content = ops_support::json(r#"{"nth":0,"ttl":300,"zone":"z0"}"#);
    let revised = ops_support::json(r#"{"nth":0}"#);
    let revision = ArtifactRevised {
        artifact_id,
        cid: Cid::of(&revised),
        content: revised,
        content_schema: "https://example.com/schema".to_owned(),
        previous_cid: Cid::of(&content),
    };
    let verification = VerificationRecorded {
        artifact_id,
        evidence: Json::null(),
        outcome: Outcome::Passed,
        target: None,
        verified_at: ops_support::at(1),
        verifier: "bo".to_owned(),
    };
    let events: [(Event, &str); 2] =
        [(verification.into(), "FOREIGN KEY"), (revision.into(), "governed_artifacts")];
    for (event, expected) in events {
        let mut events = log(3, 0);
        let before = events.len();
        events.push(event);
        let (_folder, store) = store_with(&events).await;
        let projector = store.projector().start().unwrap();
        projector.apply(batch(&store, 0, before).await).await.unwrap();
        attack(&store, "PRAGMA foreign_keys = off; DELETE FROM governed_artifacts");
        let at = Position::new(u32::try_from(before).unwrap());
        match projector.apply(batch(&store, at.get(), 1).await).await.unwrap_err() {
            ApplyError::Disagrees {
                checkpoint,
                found: Disagreement::RowMissing { constraint },
            } => {
                assert_eq!(checkpoint, at);
                assert!(constraint.contains(expected), "{constraint}");
            }
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_doctored_row_is_named_for_good() {
    let (_folder, store) = store_with(&log(3, 60)).await;
    let projector = store.projector().start().unwrap();
    catch_up(&store, &projector, 100).await;
    let id = ops_support::artifact(0);
    let written = store.ops_db().artifact(id).await.unwrap().unwrap().artifact.position;
    for (column, value) in [
        ("cid", "'no CID'"),
        ("registered_at", "'this is no time of any sort'"),
        ("registered_at", "lower(registered_at)"),
        ("position", "-7"),
        ("content", "'[1, 2]'"),
    ] {
        let connection = raw(&store);
        connection
            .execute_batch("CREATE TEMP TABLE kept AS SELECT * FROM governed_artifacts")
            .unwrap();
        let sql = format!("UPDATE governed_artifacts SET {column} = {value} WHERE id = ?1");
        connection.execute(&sql, [id.as_uuid().as_bytes()]).unwrap();
        let error = store.ops_db().artifact(id).await.unwrap_err();
        assert!(!error.is_transient(), "{error}");
        let said = error.source().unwrap().to_string();
        let position = if column == "position" { "-7".to_owned() } else { written.to_string() };
        for part in
            [&format!("governed_artifacts.{column}"), &format!("position {position}"), "rebuild"]
        {
            assert!(said.contains(part), "{said}");
        }
        let sql = format!(
            "UPDATE governed_artifacts SET {column} = (SELECT {column} FROM kept WHERE kept.id = governed_artifacts.id)"
        );
        connection.execute(&sql, []).unwrap();
    }
}

#[tokio::test]
async fn a_lease_that_was_taken_under_a_clock_an_hour_ahead_has_lapsed() {
    let (_folder, store) = store_with(&log(3, 10)).await;
    let first = store.projector().start().unwrap();
    first.apply(batch(&store, 0, 5).await).await.unwrap();
    let second = store.projector().start().unwrap();
    assert!(matches!(second.hold_lease().await.unwrap(), Lease::Standby { .. }));
    let ahead = |column: &str| {
        format!("{column} = strftime('%Y-%m-%dT%H:%M:%S.000000Z', {column}, '+1 hour')")
    };
    let sql = format!(
        "UPDATE projector_checkpoints SET {}, {}",
        ahead("lease_until"),
        ahead("updated_at")
    );
    assert_eq!(raw(&store).execute(&sql, []).unwrap(), 1);
    assert_eq!(second.hold_lease().await.unwrap(), Lease::Held);
    // The fence protects from the one that held it.
    let refused = first.apply(batch(&store, 5, 5).await).await.unwrap_err();
    assert!(matches!(refused, ApplyError::Standby { .. }), "{refused}");
}
