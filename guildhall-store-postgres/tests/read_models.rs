//! An embedder's own read models: in the Ops DB's transaction, each with its own checkpoint.
#![allow(clippy::unwrap_used, clippy::panic, clippy::large_futures, reason = "tests")]

mod projecting;
mod read_tables;
mod server;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use guildhall_conformance::Compare as _;
use guildhall_conformance::log::Log;
use guildhall_core::{
    ApplyError, Judged, OnViolation, Position, Projector, StoreError, Tables, Verdict,
};
use guildhall_projector::{Runtime, State};
use guildhall_store_postgres::sqlx::{self, PgConnection};
use guildhall_store_postgres::{DEFAULT_SCHEMA, PostgresStore, ReadModel};
use projecting::{append_all, expected, log, settings, within};
use read_tables::read_tables;
use server::{Database, execute};
use sqlx::Connection as _;

/// What a read model does at a position.
#[derive(Debug, Clone)]
enum Mishap {
    /// It refuses the entry.
    Refusal,
    /// Its session is ended, the first time.
    Cut {
        was_cut: Arc<AtomicBool>,
        is_wrapped: bool,
    },
    Panic,
    /// It ends the transaction.
    Commit,
}

/// An embedder's own error, with the driver's as its cause.
#[derive(Debug, thiserror::Error)]
#[error("the count cannot be written")]
struct Uncounted(#[source] sqlx::Error);

/// Counts entries, up to a mishap.
#[derive(Debug, Default)]
struct Counting {
    mishap: Option<(u64, Mishap)>,
}

impl Counting {
    fn with(position: u64, mishap: Mishap) -> Self {
        Self { mishap: Some((position, mishap)) }
    }
}

#[async_trait]
impl ReadModel for Counting {
    fn name(&self) -> &str {
        "counting"
    }

    async fn apply(
        &mut self,
        transaction: &mut PgConnection,
        entries: &[Judged<'_>],
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let positions: Vec<i64> = entries.iter().map(|it| it.entry.position.as_i64()).collect();
        sqlx::query("INSERT INTO public.counting SELECT unnest($1::bigint[])")
            .bind(positions)
            .execute(&mut *transaction)
            .await?;
        let Some((position, mishap)) = &self.mishap else { return Ok(()) };
        if !entries.iter().any(|it| it.entry.position.get() == *position) {
            return Ok(());
        }
        match mishap {
            Mishap::Refusal => Err("not this one".into()),
            Mishap::Panic => panic!("on purpose"),
            Mishap::Commit => {
                sqlx::raw_sql("COMMIT; BEGIN").execute(transaction).await?;
                Ok(())
            }
            Mishap::Cut { was_cut, .. } if was_cut.swap(true, Ordering::Relaxed) => Ok(()),
            Mishap::Cut { is_wrapped, .. } => {
                let end = "SELECT pg_terminate_backend(pg_backend_pid())";
                let error = sqlx::raw_sql(end).execute(transaction).await.unwrap_err();
                Err(if *is_wrapped { Uncounted(error).into() } else { error.into() })
            }
        }
    }
}

/// A store in whose database entries can be counted, and a log.
async fn opened(count: usize) -> (Database, PostgresStore, Log) {
    let database = Database::create();
    let store = PostgresStore::open(database.url()).await.unwrap();
    execute(database.url(), "CREATE TABLE public.counting (position bigint PRIMARY KEY)");
    (database, store, Log::of(log(count)))
}

async fn tables(database: &Database) -> Tables {
    read_tables(database.url(), DEFAULT_SCHEMA).await
}

/// How many entries were counted.
async fn counted(database: &Database) -> i64 {
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let count = "SELECT count(*) FROM public.counting";
    sqlx::query_scalar(count).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn a_failing_read_model_rolls_the_whole_batch_back() {
    let (database, store, log) = opened(100).await;
    let refusing = Counting::with(60, Mishap::Refusal);
    let projector = store.projector().read_model(refusing).start().unwrap();
    projector.apply(log.batch(Position::ZERO, 50)).await.unwrap();
    let before = tables(&database).await;
    let refused = projector.apply(log.batch(Position::new(50), 50)).await.unwrap_err();
    assert!(matches!(&refused, ApplyError::ReadModel { name, .. } if name == "counting"));
    tables(&database).await.assert_are(&before);
    assert_eq!(counted(&database).await, 50);
    assert_eq!(projector.checkpoint().await.unwrap().position, Position::new(50));
    // What precedes can still be applied: the heads were forgotten with the transaction.
    projector.apply(log.batch(Position::new(50), 9)).await.unwrap();
    assert_eq!(counted(&database).await, 59);
}

#[tokio::test]
async fn a_read_model_that_is_added_later_catches_up_by_itself() {
    let (database, store, log) = opened(100).await;
    let plain = store.projector().start().unwrap();
    plain.apply(log.batch(Position::ZERO, 80)).await.unwrap();
    plain.release_lease().await.unwrap();
    let projector = store.projector().read_model(Counting::default()).start().unwrap();
    assert_eq!(projector.checkpoint().await.unwrap().position, Position::ZERO);
    projector.apply(log.batch(Position::ZERO, 40)).await.unwrap();
    assert_eq!(
        (counted(&database).await, projector.checkpoint().await.unwrap().position.get()),
        (40, 40)
    );
    projector.apply(log.rest(Position::new(40))).await.unwrap();
    assert_eq!(counted(&database).await, 100);
    assert_eq!(projector.checkpoint().await.unwrap().position, Position::new(100));
}

/// Writes down what it is told of entries in quarantine.
#[derive(Debug)]
struct Refused;

#[async_trait]
impl ReadModel for Refused {
    fn name(&self) -> &str {
        "refused"
    }

    async fn apply(
        &mut self,
        transaction: &mut PgConnection,
        entries: &[Judged<'_>],
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        for Judged { entry, verdict, .. } in entries {
            if let Verdict::Quarantined(row) = verdict {
                sqlx::query("INSERT INTO public.refused VALUES ($1, $2, $3)")
                    .bind(entry.position.as_i64())
                    .bind(row.code.as_str())
                    .bind(&row.reason)
                    .execute(&mut *transaction)
                    .await?;
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_read_model_is_told_every_verdict_also_those_from_before_its_time() {
    let (database, store, log) = opened(600).await;
    execute(
        database.url(),
        "CREATE TABLE public.refused (position bigint, code text, reason text)",
    );
    let plain = store.projector().start().unwrap();
    plain.apply(log.batch(Position::ZERO, 400)).await.unwrap();
    plain.release_lease().await.unwrap();
    let projector = store.projector().read_model(Refused).start().unwrap();
    projector.apply(log.batch(Position::ZERO, 300)).await.unwrap();
    projector.apply(log.rest(Position::new(300))).await.unwrap();
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let told = "SELECT position, code, reason FROM public.refused ORDER BY position";
    let told: Vec<(i64, String, String)> =
        sqlx::query_as(told).fetch_all(&mut connection).await.unwrap();
    let quarantined = tables(&database).await.quarantined_entries;
    let quarantined = quarantined
        .into_iter()
        .map(|row| (row.position.as_i64(), row.code.as_str().to_owned(), row.reason));
    assert!(told.len() > 2);
    assert_eq!(told, quarantined.collect::<Vec<_>>());
}

#[tokio::test]
async fn a_halt_holds_the_read_models_back_too() {
    let (database, store, log) = opened(600).await;
    let projector = store.projector().on_violation(OnViolation::Halt);
    let projector = projector.read_model(Counting::default()).start().unwrap();
    let halted = projector.apply(log.rest(Position::ZERO)).await.unwrap_err();
    let ApplyError::Halted { position, .. } = halted else { panic!("{halted}") };
    assert_eq!(counted(&database).await, position.previous().as_i64());
}

#[tokio::test]
async fn two_read_models_of_one_name_are_refused() {
    let (_database, store, _) = opened(0).await;
    let builder = store.projector().read_model(Counting::default());
    let error = builder.read_model(Counting::default()).start().unwrap_err();
    assert!(!error.is_transient(), "{error}");
}

#[tokio::test]
async fn a_read_model_that_ends_the_transaction_is_refused() {
    let (_database, store, log) = opened(50).await;
    let ending = Counting::with(20, Mishap::Commit);
    let projector = store.projector().read_model(ending).start().unwrap();
    let refused = projector.apply(log.rest(Position::ZERO)).await.unwrap_err();
    assert!(matches!(&refused, ApplyError::ReadModel { name, .. } if name == "counting"));
}

/// Another try helps against a lost connection, whether the driver's error is handed on or the cause
/// of the embedder's own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_lost_in_a_read_model_costs_a_retry() {
    for is_wrapped in [false, true] {
        let (database, store, _) = opened(0).await;
        let chronicle = Arc::new(store.chronicle());
        append_all(&*chronicle, &log(100)).await;
        let cut = Mishap::Cut { was_cut: Arc::default(), is_wrapped };
        let projector = store.projector().read_model(Counting::with(60, cut)).start().unwrap();
        let runtime = Runtime::spawn(chronicle.clone(), Arc::new(projector), settings());
        within(runtime.wait_until(Position::new(100))).await.unwrap();
        let status = runtime.status();
        assert!(status.is_healthy() && status.restarts > 0, "{status:?}");
        assert!(status.last_error.unwrap().message.contains("counting"));
        assert_eq!(counted(&database).await, 100);
        let mut found = tables(&database).await;
        found.projector_checkpoints.remove("counting");
        found.without_reasons().assert_are(&expected(&*chronicle).await);
    }
}

/// What panicked would panic again, so the runtime stops and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_a_read_model_stops_the_projector() {
    let (database, store, log_of) = opened(100).await;
    let panicking = Counting::with(60, Mishap::Panic);
    let projector = store.projector().read_model(panicking).start().unwrap();
    projector.apply(log_of.batch(Position::ZERO, 50)).await.unwrap();
    let before = tables(&database).await;
    let error = projector.apply(log_of.batch(Position::new(50), 50)).await.unwrap_err();
    assert!(matches!(&error, ApplyError::Store(StoreError { .. })) && !error.is_transient());
    tables(&database).await.assert_are(&before);
    projector.apply(log_of.batch(Position::new(50), 9)).await.unwrap();

    let (_database, store, _) = opened(0).await;
    let chronicle = Arc::new(store.chronicle());
    append_all(&*chronicle, &log(100)).await;
    let panicking = Counting::with(60, Mishap::Panic);
    let projector = store.projector().read_model(panicking).start().unwrap();
    let runtime = Runtime::spawn(chronicle, Arc::new(projector), settings());
    assert!(within(runtime.stopped()).await.is_err());
    assert_eq!(runtime.status().state, State::Failed);
}

/// Tells how its session plans, and how long it waits for locks.
#[derive(Debug)]
struct Settings;

#[async_trait]
impl ReadModel for Settings {
    fn name(&self) -> &str {
        "settings"
    }

    async fn apply(
        &mut self,
        transaction: &mut PgConnection,
        _: &[Judged<'_>],
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        sqlx::raw_sql(
            "CREATE TABLE public.settings AS SELECT name, setting, reset_val FROM pg_settings \
             WHERE name IN ('enable_seqscan', 'enable_hashjoin', 'enable_mergejoin', 'jit', 'lock_timeout')",
        )
        .execute(transaction)
        .await?;
        Ok(())
    }
}

/// What the projector tells the planner for its own look-ups is not for them.
#[tokio::test]
async fn a_read_model_has_the_plans_of_its_role() {
    let (database, store, log) = opened(20).await;
    let projector = store.projector().read_model(Settings).start().unwrap();
    projector.apply(log.rest(Position::ZERO)).await.unwrap();
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let differing = "SELECT string_agg(name || ' ' || setting, ', ' ORDER BY name)
                     FROM public.settings WHERE setting <> reset_val";
    let differing: String = sqlx::query_scalar(differing).fetch_one(&mut connection).await.unwrap();
    assert_eq!(differing, "lock_timeout 1000");
}
