//! Tables with partitions: turned on and off by a rebuild, extended ahead of time, retired by month.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod projecting;
mod read_tables;
mod server;

use std::sync::Arc;

use guildhall_conformance::Compare as _;
use guildhall_conformance::log::Log;
use guildhall_conformance::workload::{Mix, Workload};
use guildhall_core::{Position, Projector as _, Rebuild as _, Tables};
use guildhall_projector::{RuntimeError, Settings as RuntimeSettings, catch_up};
use guildhall_store_postgres::{DEFAULT_SCHEMA, Partitions, PostgresOptions, PostgresStore};
use read_tables::read_tables;
use server::{Database, execute};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// A store whose schema has an awkward name, and a log of the year 2026.
async fn opened(schema: &str) -> (Database, PostgresStore, Log) {
    let database = Database::create();
    let mut options = PostgresOptions::at(database.url());
    options.schema = schema.to_owned();
    let store = PostgresStore::open_with(options).await.unwrap();
    (database, store, Log::of(Workload::new(5, Mix::DENSE).take(400)))
}

async fn rebuild(store: &PostgresStore, log: &Log, partitions: Partitions) {
    let projector = store.projector().partitions(partitions).start().unwrap();
    let mut generation = projector.begin_rebuild().await.unwrap();
    generation.apply(log.rest(Position::ZERO)).await.unwrap();
    assert!(generation.swap(None).await.unwrap());
}

async fn tables(database: &Database, schema: &str) -> Tables {
    read_tables(database.url(), schema).await
}

/// The first column of an answer, a row a line.
async fn ask(database: &Database, sql: &str) -> Vec<Option<String>> {
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let answer = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    answer
}

const NAMES: &str = "SELECT relname::text FROM pg_class \
    WHERE relnamespace = (SELECT relnamespace FROM pg_class WHERE relname = 'guildhall_migrations') \
    ORDER BY relname COLLATE \"C\"";

const CHANGE_MONTHS: &str = "SELECT relname::text FROM pg_class WHERE relispartition \
    AND relname LIKE 'deployment_changes_%' AND relkind = 'r' ORDER BY relname COLLATE \"C\"";

const MONTHS: &str = "SELECT relname::text FROM pg_class WHERE relispartition \
    AND relname LIKE 'verification_results_%' AND relkind = 'r' ORDER BY relname COLLATE \"C\"";

#[tokio::test]
async fn a_rebuild_turns_them_on_and_off_and_keeps_every_row() {
    for schema in [DEFAULT_SCHEMA, "the \"north\" o'guild"] {
        let (database, store, log) = opened(schema).await;
        rebuild(&store, &log, Partitions::AsLive).await;
        let plain = tables(&database, schema).await;
        let names = ask(&database, NAMES).await;
        rebuild(&store, &log, Partitions::On).await;
        tables(&database, schema).await.assert_are(&plain);
        assert!(ask(&database, MONTHS).await.len() >= 12 + 1 + 3 + 2);
        assert!(ask(&database, CHANGE_MONTHS).await.len() >= 12 + 1 + 3 + 2);
        rebuild(&store, &log, Partitions::AsLive).await;
        tables(&database, schema).await.assert_are(&plain);
        assert!(ask(&database, MONTHS).await.len() >= 12 + 1 + 3 + 2);
        assert!(ask(&database, CHANGE_MONTHS).await.len() >= 12 + 1 + 3 + 2);
        // What is live has its projector go on.
        let divided = ask(&database, NAMES).await;
        assert!(!divided.iter().flatten().any(|name| name.contains("_next")), "{divided:?}");
        rebuild(&store, &log, Partitions::Off).await;
        tables(&database, schema).await.assert_are(&plain);
        assert_eq!(ask(&database, MONTHS).await, []);
        assert_eq!(ask(&database, CHANGE_MONTHS).await, []);
        assert_eq!(ask(&database, NAMES).await, names);
    }
}

#[tokio::test]
async fn the_projector_makes_the_months_to_come_and_moves_what_came_early() {
    let (database, store, log) = opened(DEFAULT_SCHEMA).await;
    rebuild(&store, &log, Partitions::On).await;
    let expected = tables(&database, DEFAULT_SCHEMA).await;
    let months = ask(&database, MONTHS).await;
    // As if it had been built four months ago: the present month is not there yet.
    execute(
        database.url(),
        "DO $$
        DECLARE part record; first text;
        BEGIN
            FOR part IN
                SELECT relname, substring(pg_get_expr(relpartbound, oid) FROM 'FROM \\(''([^'']+)''\\)') AS start
                FROM pg_class
                WHERE relispartition AND relname LIKE 'verification_results_2%' AND relkind = 'r'
                ORDER BY relname DESC LIMIT 4
            LOOP
                EXECUTE format('DROP TABLE guildhall.%I', part.relname);
                first := part.start;
            END LOOP;
            ALTER TABLE guildhall.verification_results
                DETACH PARTITION guildhall.verification_results_later;
            EXECUTE format(
                'ALTER TABLE guildhall.verification_results ATTACH PARTITION '
                'guildhall.verification_results_later FOR VALUES FROM (%L) TO (MAXVALUE)', first);
        END $$",
    );
    execute(
        database.url(),
        "INSERT INTO guildhall.verification_results \
         SELECT gen_random_uuid(), id, NULL, 'early', 'passed', 'null', now(), 1 \
         FROM guildhall.governed_artifacts",
    );
    let later = "SELECT count(*)::text FROM guildhall.verification_results_later";
    assert_ne!(ask(&database, later).await, [Some("0".to_owned())]);

    let projector = store.projector().start().unwrap();
    projector.apply(log.rest(Position::ZERO)).await.unwrap();
    assert_eq!(ask(&database, MONTHS).await, months);
    assert_eq!(ask(&database, later).await, [Some("0".to_owned())]);
    execute(database.url(), "DELETE FROM guildhall.verification_results WHERE verifier = 'early'");
    tables(&database, DEFAULT_SCHEMA).await.assert_are(&expected);
}

/// Changes of targets refuse to be removed, and yet go from the part of what is later to their months.
#[tokio::test]
async fn the_months_of_changes_are_made_and_none_of_their_rows_can_be_changed() {
    let (database, store, log) = opened(DEFAULT_SCHEMA).await;
    rebuild(&store, &log, Partitions::On).await;
    let expected = tables(&database, DEFAULT_SCHEMA).await;
    assert!(!expected.deployment_changes.is_empty());
    // A clock that is four months ahead.
    let row = "SELECT artifact_id, target || ' ahead', now() + interval '4 months', desired_cid, observed_cid, \
        NULL, health, now() + interval '4 months', 1 FROM guildhall.deployment_states LIMIT 1";
    execute(database.url(), &format!("INSERT INTO guildhall.deployment_changes {row}"));
    let later = "SELECT count(*)::text FROM guildhall.deployment_changes_later";
    assert_eq!(ask(&database, later).await, [Some("1".to_owned())]);
    let months = ask(&database, CHANGE_MONTHS).await.len();
    let extend = "SELECT guildhall.extend_change_months(6)::text";
    assert_eq!(ask(&database, extend).await, [Some("3".to_owned())]);
    assert_eq!(ask(&database, extend).await, [Some("0".to_owned())]);
    assert_eq!(ask(&database, CHANGE_MONTHS).await.len(), months + 3);
    assert_eq!(ask(&database, later).await, [Some("0".to_owned())]);
    let all = tables(&database, DEFAULT_SCHEMA).await.deployment_changes;
    assert_eq!(all.len(), expected.deployment_changes.len() + 1);
    // It is opened as it is, and every part refuses what the whole refuses.
    PostgresStore::open(database.url()).await.unwrap();
    let parts = ask(&database, CHANGE_MONTHS).await.into_iter().flatten();
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    for part in parts.chain(["deployment_changes".to_owned()]) {
        let refused = sqlx::raw_sql(AssertSqlSafe(format!("TRUNCATE guildhall.{part}")));
        let refused = refused.execute(&mut connection).await.expect_err(&part);
        assert!(refused.to_string().contains("a change stays as it is"), "{part}: {refused}");
    }
    let moved = "SELECT tableoid::regclass::text FROM guildhall.deployment_changes WHERE target LIKE '% ahead'";
    let moved = ask(&database, moved).await[0].clone().unwrap();
    for replication in ["origin", "replica"] {
        for statement in
            [format!("UPDATE {moved} SET position = 2"), format!("DELETE FROM {moved}")]
        {
            let set = format!("SET session_replication_role = {replication}; {statement}");
            let refused = sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut connection).await;
            let refused = refused.expect_err(&statement);
            assert!(refused.to_string().contains("a change stays as it is"), "{refused}");
        }
    }
    let mut owner = PgConnection::connect(database.url()).await.unwrap();
    let refused = sqlx::raw_sql("SELECT guildhall.extend_change_months(121)");
    let refused = refused.execute(&mut owner).await.unwrap_err();
    assert!(refused.to_string().contains("more than 120"), "{refused}");
}

#[tokio::test]
async fn the_oldest_month_is_retired_and_its_rows_are_in_its_table() {
    let (database, store, log) = opened(DEFAULT_SCHEMA).await;
    rebuild(&store, &log, Partitions::On).await;
    let all = tables(&database, DEFAULT_SCHEMA).await.verification_results;
    let retire = "SELECT guildhall.retire_verification_month()";
    // A year of months is there whatever the log holds.
    let (oldest, count) = loop {
        let oldest = ask(&database, MONTHS).await[0].clone().unwrap();
        assert_eq!(ask(&database, retire).await, [Some(format!("{oldest}_retired"))]);
        let count = format!("SELECT count(*)::text FROM guildhall.{oldest}_retired");
        if ask(&database, &count).await != [Some("0".to_owned())] {
            break (oldest, count);
        }
    };
    let left = tables(&database, DEFAULT_SCHEMA).await.verification_results;
    let month = oldest.strip_prefix("verification_results_").unwrap().replace('_', "-");
    let is_left = |row: &&_| {
        let row: &guildhall_core::VerificationResult = row;
        !row.verified_at.to_string().starts_with(&month)
    };
    let retired: usize = ask(&database, &count).await[0].as_ref().unwrap().parse().unwrap();
    assert!(retired > 0);
    assert_eq!(left.len() + retired, all.len());
    assert_eq!(left, all.iter().filter(is_left).cloned().collect::<Vec<_>>());
    // What still comes of that month has its place; the present month and those to come stay.
    execute(
        database.url(),
        &format!(
            "INSERT INTO guildhall.verification_results SELECT gen_random_uuid(), id, NULL, 'late', \
             'passed', 'null', '{month}-02', 1 FROM guildhall.governed_artifacts LIMIT 1"
        ),
    );
    for _ in 0..200 {
        if ask(&database, retire).await == [None] {
            break;
        }
    }
    assert_eq!(ask(&database, MONTHS).await.len(), 4 + 2);
    // A rebuild has the whole log to go by, and what was retired is not in its way.
    rebuild(&store, &log, Partitions::AsLive).await;
    assert_eq!(tables(&database, DEFAULT_SCHEMA).await.verification_results, all);
    // Nor when it is retired again.
    let first = ask(&database, MONTHS).await[0].clone().unwrap();
    for ending in ["_retired_2", "_retired_3"] {
        assert_eq!(ask(&database, retire).await, [Some(format!("{first}{ending}"))]);
        rebuild(&store, &log, Partitions::AsLive).await;
    }
    assert_eq!(tables(&database, DEFAULT_SCHEMA).await.verification_results, all);
}

/// A rebuild that compares takes no month that was retired for a log that was rewritten, and still finds
/// what is missing in the others.
#[tokio::test]
async fn a_month_that_was_retired_comes_back_with_a_rebuild() {
    let database = Database::create();
    let store = PostgresStore::open(database.url()).await.unwrap();
    let chronicle = Arc::new(store.chronicle());
    projecting::append_all(&*chronicle, &projecting::log(400)).await;
    let settings = RuntimeSettings::default();
    let projector = store.projector().partitions(Partitions::On).start().unwrap();
    catch_up(chronicle.clone(), Arc::new(projector.clone()), &settings, |_| {}).await.unwrap();
    let rebuild = async || {
        guildhall_projector::rebuild(chronicle.clone(), &projector, &settings, |_| {}).await
    };
    rebuild().await.unwrap();
    let all = tables(&database, DEFAULT_SCHEMA).await.verification_results;
    let retire = "SELECT guildhall.retire_verification_month()";
    while tables(&database, DEFAULT_SCHEMA).await.verification_results.len() == all.len() {
        assert_ne!(ask(&database, retire).await, [None]);
    }
    rebuild().await.unwrap();
    assert_eq!(tables(&database, DEFAULT_SCHEMA).await.verification_results, all);

    execute(
        database.url(),
        "DELETE FROM guildhall.verification_results WHERE id = \
         (SELECT id FROM guildhall.verification_results ORDER BY verified_at DESC LIMIT 1)",
    );
    match rebuild().await {
        Err(RuntimeError::Rewritten { differences, .. }) => {
            let said: Vec<_> = differences.iter().map(ToString::to_string).collect();
            assert!(
                said.len() == 1 && said[0].starts_with("verification_results: 1 row new"),
                "{said:?}"
            );
        }
        other => panic!("{other:?}"),
    }
}

/// Readers would queue up behind whoever waits.
#[tokio::test]
async fn whoever_retires_a_month_does_not_wait_for_long() {
    let (database, store, log) = opened(DEFAULT_SCHEMA).await;
    rebuild(&store, &log, Partitions::On).await;
    let mut reader = PgConnection::connect(database.url()).await.unwrap();
    let mut reading = reader.begin().await.unwrap();
    let read = "SELECT FROM guildhall.verification_results";
    sqlx::raw_sql(read).execute(&mut *reading).await.unwrap();
    let mut owner = PgConnection::connect(database.url()).await.unwrap();
    let retire = sqlx::raw_sql("SELECT guildhall.retire_verification_month()");
    let error = retire.execute(&mut owner).await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().unwrap(), "55P03");
}

#[tokio::test]
async fn months_are_made_for_ten_years_at_most() {
    let (database, store, log) = opened(DEFAULT_SCHEMA).await;
    rebuild(&store, &log, Partitions::On).await;
    let made = "SELECT guildhall.extend_verification_months(120)::text";
    assert_eq!(ask(&database, made).await, [Some("117".to_owned())]);
    let mut owner = PgConnection::connect(database.url()).await.unwrap();
    let refused = sqlx::raw_sql("SELECT guildhall.extend_verification_months(121)");
    let refused = refused.execute(&mut owner).await.unwrap_err();
    assert!(refused.to_string().contains("more than 120"), "{refused}");
}

/// What is not made can be made later; and what an embedder set on its connections stays.
#[tokio::test]
async fn months_that_cannot_be_made_do_not_stop_the_projector() {
    let (database, _, log) = opened(DEFAULT_SCHEMA).await;
    let pool = PgPoolOptions::new().max_connections(3).after_connect(|connection, _| {
        Box::pin(async move {
            sqlx::raw_sql("SET lock_timeout = '7s'").execute(connection).await.map(drop)
        })
    });
    let pool = pool.connect(database.url()).await.unwrap();
    let store = PostgresStore::open_with(PostgresOptions::with_pool(pool.clone())).await.unwrap();
    let projector = store.projector().start().unwrap();
    projector.apply(log.batch(Position::ZERO, 10)).await.unwrap();
    projector.release_lease().await.unwrap();
    for _ in 0..3 {
        let mut connection = pool.acquire().await.unwrap();
        let wait: String =
            sqlx::query_scalar("SHOW lock_timeout").fetch_one(&mut *connection).await.unwrap();
        assert_eq!(wait, "7s");
    }
    execute(database.url(), "DROP FUNCTION guildhall.extend_verification_months");
    let projector = store.projector().start().unwrap();
    projector.apply(log.batch(Position::new(10), 10)).await.unwrap();
}

#[tokio::test]
async fn no_part_of_a_chain_can_be_changed() {
    let (database, store, log) = opened(DEFAULT_SCHEMA).await;
    rebuild(&store, &log, Partitions::On).await;
    for table in ["custody_transitions", "custody_transitions_0", "custody_transitions_7"] {
        for replication in ["origin", "replica"] {
            for statement in [
                format!("UPDATE guildhall.{table} SET reason = 'other'"),
                format!("DELETE FROM guildhall.{table}"),
                format!("TRUNCATE guildhall.{table}"),
            ] {
                let mut connection = PgConnection::connect(database.url()).await.unwrap();
                let set = format!("SET session_replication_role = {replication}; {statement}");
                let refused = sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut connection).await;
                let refused = refused.expect_err(&statement);
                assert!(refused.to_string().contains("a link stays as it is"), "{refused}");
            }
        }
    }
}
