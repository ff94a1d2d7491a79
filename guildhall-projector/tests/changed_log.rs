//! A log that is changed under a running projector, and one that another projector leaves behind.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::{Arc, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use guildhall_core::memory::MemoryChronicle;
use guildhall_core::{
    Append, AppendError, Appended, ApplyError, Chronicle, ContinuityError, DecodedEntry,
    Disagreement, Entry, Head, Judged, LogFault, NewEntry, OPS_DB, Origin, Position, Projector,
    ReadLimit, StoreError, StreamId, Version,
};
use guildhall_projector::{Runtime, RuntimeError, Settings, catch_up, rebuild};
use guildhall_store_sqlite::rusqlite::{self, Transaction};
use guildhall_store_sqlite::{ReadModel, SqliteOptions, SqliteStore};
use support::{append, settings, stores};
use tokio::time::timeout;

async fn within<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), what).await.expect("it takes no longer")
}

/// A Chronicle that somebody exchanges for another under its readers: when they are told to, or once
/// an entry was read.
struct Exchanged {
    log: RwLock<Arc<MemoryChronicle>>,
    once_read: Option<(Position, Arc<MemoryChronicle>)>,
}

impl Exchanged {
    fn inner(&self) -> Arc<MemoryChronicle> {
        Arc::clone(&self.log.read().unwrap())
    }

    fn exchange(&self, with: Arc<MemoryChronicle>) {
        *self.log.write().unwrap() = with;
    }
}

#[async_trait]
impl Chronicle for Exchanged {
    async fn origin(&self) -> Result<Option<Origin>, StoreError> {
        self.inner().origin().await
    }

    async fn fix_origin(&self, origin: Origin) -> Result<Origin, StoreError> {
        self.inner().fix_origin(origin).await
    }

    async fn append(&self, append: Append) -> Result<Vec<Appended>, AppendError> {
        self.inner().append(append).await
    }

    async fn read(&self, after: Position, limit: ReadLimit) -> Result<Vec<Entry>, StoreError> {
        self.inner().read(after, limit).await
    }

    async fn read_decoded(
        &self,
        after: Position,
        limit: ReadLimit,
    ) -> Result<Vec<DecodedEntry>, StoreError> {
        let read = self.inner().read_decoded(after, limit).await;
        if let (Ok(entries), Some((at, with))) = (&read, &self.once_read)
            && entries.last().is_some_and(|last| last.position >= *at)
        {
            self.exchange(Arc::clone(with));
        }
        read
    }

    async fn read_stream(
        &self,
        stream: StreamId,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Vec<Entry>, StoreError> {
        self.inner().read_stream(stream, after, limit).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.inner().head().await
    }

    async fn wait_beyond(
        &self,
        position: Position,
        patience: Duration,
    ) -> Result<Position, StoreError> {
        self.inner().wait_beyond(position, patience).await
    }
}

/// The first entries of a log in a log of their own.
async fn first(log: &MemoryChronicle, entries: usize, origin: Option<Origin>) -> MemoryChronicle {
    let copy = MemoryChronicle::new();
    let origin = origin.unwrap_or(log.origin().await.unwrap().unwrap());
    copy.fix_origin(origin).await.unwrap();
    let read = log.read(Position::ZERO, ReadLimit::entries(entries)).await.unwrap();
    let again = read.into_iter().map(|entry| NewEntry {
        event_id: entry.event_id,
        stream_id: entry.stream_id,
        event_type: entry.event_type,
        payload: guildhall_core::Json::parse(&entry.payload).unwrap(),
        metadata: entry.metadata,
        recorded_at: Some(entry.recorded_at),
    });
    copy.append(Append::of(again)).await.unwrap();
    copy
}

/// What stops a runtime that follows a log of thirty entries, once that is exchanged.
async fn stopped_by(
    exchange: impl AsyncFnOnce(&MemoryChronicle) -> MemoryChronicle,
) -> RuntimeError {
    let (chronicle, ops_db) = stores(30).await;
    let log = RwLock::new(chronicle.clone());
    let log = Arc::new(Exchanged { log, once_read: None });
    let projector = ops_db.projector().with_lease_time(Duration::from_millis(60));
    // It waits for as long as the test may take, so that only the lease makes it look.
    let settings = settings().patience(Duration::from_secs(60));
    let runtime = Runtime::spawn(log.clone(), Arc::new(projector), settings);
    within(runtime.wait_until(Position::new(30))).await.unwrap();
    let before = ops_db.tables();
    log.exchange(Arc::new(exchange(&chronicle).await));
    let RuntimeError::Stopped(cause) = within(runtime.stopped()).await.unwrap_err() else {
        panic!("it goes on")
    };
    assert_eq!(ops_db.tables(), before);
    assert!(!runtime.status().is_healthy());
    Arc::try_unwrap(cause).unwrap_or_else(|cause| match &*cause {
        RuntimeError::Apply(ApplyError::Continuity(found)) => found.clone().into(),
        other => panic!("{other}"),
    })
}

#[tokio::test]
async fn a_tail_that_is_cut_off_stops_an_idle_follower() {
    let cause = stopped_by(async |log| first(log, 20, None).await).await;
    let RuntimeError::Apply(ApplyError::Continuity(found)) = cause else { panic!("{cause}") };
    let (head, checkpoint) = (Position::new(20), Position::new(30));
    assert_eq!(found, ContinuityError::EndsBefore { head, checkpoint });
}

#[tokio::test]
async fn a_tail_that_is_cut_off_and_grows_again_stops_an_idle_follower() {
    let cause = stopped_by(async |log| {
        let cut = first(log, 29, None).await;
        append(&cut, 5).await;
        cut
    })
    .await;
    assert!(matches!(
        cause,
        RuntimeError::Apply(ApplyError::Continuity(ContinuityError::Rewritten { .. }))
    ));
}

#[tokio::test]
async fn another_origin_stops_an_idle_follower() {
    let cause = stopped_by(async |log| first(log, 30, Some(Origin::unique())).await).await;
    assert!(matches!(
        cause,
        RuntimeError::Apply(ApplyError::Continuity(ContinuityError::OtherOrigin { .. }))
    ));
}

#[tokio::test]
async fn a_log_that_is_rewritten_between_two_reads_is_noticed_by_the_second() {
    let (chronicle, ops_db) = stores(60).await;
    let cut = first(&chronicle, 13, None).await;
    append(&cut, 80).await;
    let once_read = Some((Position::new(14), Arc::new(cut)));
    let log = Exchanged { log: RwLock::new(chronicle), once_read };
    // The lease is renewed too seldom to show it.
    let projector = ops_db.projector().with_lease_time(Duration::from_secs(3600));
    let runtime = Runtime::spawn(Arc::new(log), Arc::new(projector), settings());
    let RuntimeError::Stopped(cause) = within(runtime.stopped()).await.unwrap_err() else {
        panic!("it goes on")
    };
    let RuntimeError::Store(error) = &*cause else { panic!("{cause}") };
    assert!(matches!(error.log_fault(), Some(LogFault::Rewritten { .. })), "{error:?}");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn an_entry_larger_than_a_read_is_gone_beyond() {
    let (chronicle, ops_db) = stores(20).await;
    // Not one entry fits: each read returns one, whatever it begins with.
    let settings = settings().read_bytes(1);
    let runtime = Runtime::spawn(chronicle.clone(), Arc::new(ops_db.projector()), settings);
    within(runtime.wait_until(Position::new(20))).await.unwrap();
    append(&*chronicle, 2).await;
    within(runtime.wait_until(Position::new(22))).await.unwrap();
}

/// A read model that does nothing.
struct Idle(&'static str);

impl ReadModel for Idle {
    fn name(&self) -> &str {
        self.0
    }

    fn apply(
        &mut self,
        _: &Transaction<'_>,
        _: &[Judged<'_>],
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(())
    }
}

#[tokio::test]
async fn a_read_model_that_the_holder_of_the_lease_does_not_project_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("guildhall.db")).await.unwrap();
    let chronicle = Arc::new(store.chronicle());
    append(&*chronicle, 10).await;
    let lease = Duration::from_millis(600);
    let holder = store.projector().lease_time(lease).start().unwrap();
    let holder = Runtime::spawn(chronicle.clone(), Arc::new(holder), Settings::default());
    within(holder.wait_until_in(OPS_DB, Position::new(10))).await.unwrap();
    let refused = within(holder.wait_until_in("mine", Position::FIRST)).await.unwrap_err();
    assert!(matches!(refused, RuntimeError::NoReadModel { read_model } if read_model == "mine"));

    let rival = store.projector().lease_time(lease).read_model(Idle("mine")).start().unwrap();
    let rival: Arc<dyn Projector> = Arc::new(rival);
    let standby = Runtime::spawn(chronicle.clone(), rival, Settings::default());
    // What the other does is done, and what it leaves out is an error and not a wait for ever.
    within(standby.wait_until_in(OPS_DB, Position::new(10))).await.unwrap();
    let refused = within(standby.wait_until(Position::new(10))).await.unwrap_err();
    let RuntimeError::NotProjected { read_model, .. } = refused else { panic!("{refused}") };
    assert_eq!(read_model, "mine");
    let refused = within(standby.wait_until_in("mine", Position::new(10))).await.unwrap_err();
    assert!(matches!(refused, RuntimeError::NotProjected { .. }));
    assert!(!standby.status().is_healthy());

    within(holder.shutdown()).await.unwrap();
    // Whoever takes over projects it.
    within(async {
        while standby.wait_until_in("mine", Position::new(10)).await.is_err() {
            standby.watch_status().changed().await.unwrap();
        }
    })
    .await;
    assert!(standby.status().is_healthy());
    within(standby.shutdown()).await.unwrap();
}

/// What stops a runtime that follows a log of ten entries on SQLite, after `change` was made to its
/// checkpoint.
async fn stopped_by_moving_the_checkpoint(lease: Duration, change: &str) -> Arc<RuntimeError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guildhall.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let chronicle = Arc::new(store.chronicle());
    append(&*chronicle, 10).await;
    let projector = Arc::new(store.projector().lease_time(lease).start().unwrap());
    let runtime = Runtime::spawn(chronicle.clone(), projector, Settings::default());
    within(runtime.wait_until(Position::new(10))).await.unwrap();
    rusqlite::Connection::open(&path).unwrap().execute(change, []).unwrap();
    append(&*chronicle, 1).await;
    let RuntimeError::Stopped(cause) = within(runtime.stopped()).await.unwrap_err() else {
        panic!("it goes on")
    };
    cause
}

#[tokio::test]
async fn a_checkpoint_that_somebody_moved_beyond_the_log_stops_a_follower() {
    let change = "UPDATE projector_checkpoints SET position = position + 5";
    let cause = stopped_by_moving_the_checkpoint(Duration::from_millis(300), change).await;
    let RuntimeError::Apply(error) = &*cause else { panic!("{cause}") };
    assert!(
        matches!(error, ApplyError::Disagrees { .. })
            || matches!(error, ApplyError::Continuity(ContinuityError::EndsBefore { .. })),
        "{error}"
    );
}

#[tokio::test]
async fn a_checkpoint_that_somebody_moved_on_is_noticed_with_the_next_entry() {
    // To an entry of the log: without the one before it, nothing tells that it was not applied.
    let change = "UPDATE projector_checkpoints SET position = position + 1";
    let cause = stopped_by_moving_the_checkpoint(Duration::from_secs(3600), change).await;
    let RuntimeError::Apply(ApplyError::Disagrees { checkpoint, found }) = &*cause else {
        panic!("{cause}")
    };
    assert_eq!(*checkpoint, Position::new(11));
    assert_eq!(*found, Disagreement::CheckpointMoved { left: Position::new(10) });
}

#[tokio::test]
async fn a_checkpoint_that_somebody_set_back_is_not_projected_over() {
    let change = "UPDATE projector_checkpoints SET position = 0, leaf_hash = NULL, origin = NULL";
    let cause = stopped_by_moving_the_checkpoint(Duration::from_secs(3600), change).await;
    let RuntimeError::Apply(ApplyError::Disagrees { checkpoint, found }) = &*cause else {
        panic!("{cause}")
    };
    assert_eq!(*checkpoint, Position::ZERO);
    assert!(matches!(found, Disagreement::RowAhead { .. }), "{found}");
}

/// Edits an entry as who owns the file can: without the triggers, and with a new leaf hash.
async fn edit(path: &std::path::Path, position: u32, from: &str, to: &str) {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut triggers = connection
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1")
        .unwrap();
    let triggers: Vec<(String, String)> = triggers
        .query_map(["chronicle_entries"], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let store = SqliteStore::open(path).await.unwrap();
    let (origin, at) =
        (store.chronicle().origin().await.unwrap().unwrap(), Position::new(position));
    let read = store.chronicle().read(at.previous(), ReadLimit::entries(1)).await.unwrap();
    // Not to be waited for: the connection here keeps the file open.
    drop(store);
    let mut entry = read[0].clone();
    entry.payload = entry.payload.replace(from, to).into();
    for (name, _) in &triggers {
        connection.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    let sql = "UPDATE chronicle_entries SET payload = ?1, leaf_hash = ?2 WHERE position = ?3";
    let leaf_hash = entry.compute_leaf_hash(&origin);
    let changed = (&*entry.payload, leaf_hash.as_bytes(), at.as_i64());
    assert_eq!(connection.execute(sql, changed).unwrap(), 1);
    triggers.iter().for_each(|(_, sql)| connection.execute_batch(sql).unwrap());
}

fn accord_names(path: &std::path::Path) -> String {
    let sql = "SELECT group_concat(name ORDER BY position) FROM accord_bindings";
    rusqlite::Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// A log of thirty entries that was projected before somebody edited its fifth. Its leaf hashes are
/// right, and so is the one at the checkpoint: only the tables remember.
async fn projected_and_edited() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guildhall.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let chronicle = Arc::new(store.chronicle());
    append(&*chronicle, 30).await;
    let projector = Arc::new(store.projector().start().unwrap());
    within(catch_up(chronicle, projector, &Settings::default(), |_| {})).await.unwrap();
    drop(store);
    edit(&path, 5, "accord 4", "accord X").await;
    (folder, path)
}

#[tokio::test]
async fn a_rebuild_over_an_edited_log_launders_nothing_unasked() {
    let (_folder, path) = projected_and_edited().await;
    let store = SqliteStore::open(&path).await.unwrap();
    let (chronicle, projector) = (Arc::new(store.chronicle()), store.projector().start().unwrap());
    let before = accord_names(&path);
    let refused =
        within(rebuild(chronicle.clone(), &projector, &Settings::default(), |_| {})).await;
    let error = refused.unwrap_err();
    let said = "accord_bindings: 1 row changed, the first of position 5";
    assert!(error.to_string().contains(said), "{error}");
    let RuntimeError::Rewritten { differences, continuity: None } = error else {
        panic!("{error}")
    };
    assert_eq!(differences.len(), 1);
    assert_eq!(accord_names(&path), before);

    let accepting = Settings::default().accept_rewritten(true);
    let done = within(rebuild(chronicle, &projector, &accepting, |_| {})).await.unwrap();
    assert_eq!(done.differences, differences);
    assert_eq!(accord_names(&path), before.replace("accord 4,", "accord X,"));
}

#[tokio::test]
async fn a_checkpoint_that_was_deleted_does_not_hide_what_a_rebuild_differs_in() {
    let (_folder, path) = projected_and_edited().await;
    let delete = "DELETE FROM projector_checkpoints";
    rusqlite::Connection::open(&path).unwrap().execute(delete, []).unwrap();

    let store = SqliteStore::open(&path).await.unwrap();
    let (chronicle, projector) = (Arc::new(store.chronicle()), store.projector().start().unwrap());
    let before = accord_names(&path);
    let refused = within(rebuild(chronicle, &projector, &Settings::default(), |_| {})).await;
    assert!(matches!(refused, Err(RuntimeError::Rewritten { .. })), "{refused:?}");
    assert_eq!(accord_names(&path), before);
}

#[tokio::test]
async fn a_read_model_beyond_a_restored_log_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut options = SqliteOptions::at(path("chronicle.db"));
    options.ops_path = Some(path("ops.db"));
    let store = SqliteStore::open_with(options.clone()).await.unwrap();
    append(&store.chronicle(), 10).await;
    store.close().await.unwrap();
    std::fs::copy(path("chronicle.db"), path("backup.db")).unwrap();

    let settings = Settings::default().accept_rewritten(true);
    let store = SqliteStore::open_with(options.clone()).await.unwrap();
    append(&store.chronicle(), 5).await;
    let projector = store.projector().read_model(Idle("mine")).start().unwrap();
    let chronicle = Arc::new(store.chronicle());
    within(catch_up(chronicle, Arc::new(projector), &settings, |_| {})).await.unwrap();
    store.close().await.unwrap();

    // Last night's log, and the Ops DB of today.
    std::fs::rename(path("backup.db"), path("chronicle.db")).unwrap();
    let store = SqliteStore::open_with(options).await.unwrap();
    let chronicle = Arc::new(store.chronicle());
    let projector = Arc::new(store.projector().read_model(Idle("mine")).start().unwrap());
    within(rebuild(chronicle.clone(), &*projector, &settings, |_| {})).await.unwrap();
    // The log takes entries again, and the read model that a rebuild leaves alone is named.
    append(&*chronicle, 1).await;
    let error = within(catch_up(chronicle, projector, &settings, |_| {})).await.unwrap_err();
    let RuntimeError::Stopped(cause) = error else { panic!("{error}") };
    let RuntimeError::Apply(ApplyError::ReadModel { name, source, .. }) = &*cause else {
        panic!("{cause}")
    };
    assert_eq!(name, "mine");
    assert!(matches!(
        source.downcast_ref(),
        Some(ContinuityError::EndsBefore { checkpoint, .. }) if *checkpoint == Position::new(15)
    ));
}
