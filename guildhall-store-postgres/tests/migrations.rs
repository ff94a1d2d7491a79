//! Opening a schema: made once, known, and left alone when it is somebody else's.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;
mod server;

use common::append_one;
use guildhall_core::{Chronicle, Rebuild as _};
use guildhall_store_postgres::{Family, OpenError, Partitions, PostgresOptions, PostgresStore};
use server::{Database, execute};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

async fn open(database: &Database, schema: &str) -> Result<PostgresStore, OpenError> {
    let mut options = PostgresOptions::at(database.url());
    options.schema = schema.to_owned();
    PostgresStore::open_with(options).await
}

/// Everything that the catalogue holds in schemas of users.
async fn catalogue(database: &Database) -> Vec<String> {
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let sql = "SELECT format('%I.%I %s', nspname, relname, relkind) FROM pg_class c
               JOIN pg_namespace n ON n.oid = relnamespace
               WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
               UNION ALL SELECT 'schema ' || nspname FROM pg_namespace ORDER BY 1";
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap()
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_as_it_is() {
    let database = Database::create();
    open(&database, "guildhall").await.unwrap();
    execute(
        database.url(),
        "INSERT INTO guildhall.guildhall_migrations VALUES ('chronicle', 999, 'later')",
    );
    let before = catalogue(&database).await;
    match open(&database, "guildhall").await {
        Err(OpenError::NewerSchema { schema, family, found: 999, known }) => {
            assert_eq!((schema.as_str(), family), ("guildhall", Family::Chronicle));
            assert!(known < 999);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(catalogue(&database).await, before);
}

#[tokio::test]
async fn a_schema_of_another_program_is_refused_and_left_as_it_is() {
    for (schema, table) in [("guildhall", "songs"), ("public", "guildhall_songs")] {
        let database = Database::create();
        execute(
            database.url(),
            &format!(
                "CREATE SCHEMA IF NOT EXISTS {schema}; CREATE TABLE {schema}.{table} (title text)"
            ),
        );
        let before = catalogue(&database).await;
        match open(&database, schema).await {
            Err(OpenError::OtherProgram { schema: found, relation }) => {
                assert_eq!((found.as_str(), relation.as_str()), (schema, table));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(catalogue(&database).await, before);
    }
}

#[tokio::test]
async fn a_database_in_another_encoding_is_refused_and_left_as_it_is() {
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let database = Database::create_in(encoding);
        let before = catalogue(&database).await;
        match open(&database, "guildhall").await {
            Err(OpenError::OtherEncoding { found }) => assert_eq!(found, encoding),
            other => panic!("{other:?}"),
        }
        assert_eq!(catalogue(&database).await, before);
    }
}

#[tokio::test]
async fn a_pool_that_would_wait_for_itself_is_refused() {
    let database = Database::create();
    for few in [1, 2] {
        let pool = PgPoolOptions::new().max_connections(few).connect_lazy(database.url()).unwrap();
        let mut by_url = PostgresOptions::at(database.url());
        by_url.max_connections = few;
        for options in [PostgresOptions::with_pool(pool), by_url] {
            match PostgresStore::open_with(options).await {
                Err(OpenError::SmallPool { found }) => assert_eq!(found, few),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn payloads_that_jsonb_may_not_take_are_refused() {
    let database = Database::create();
    for (mebibytes, is_taken) in [(32, true), (33, false)] {
        let mut options = PostgresOptions::at(database.url());
        options.payload_limit_bytes = mebibytes << 20;
        match PostgresStore::open_with(options).await {
            Ok(_) => assert!(is_taken),
            Err(OpenError::LongPayloads { found }) => {
                assert!(!is_taken);
                assert_eq!(found, mebibytes << 20);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_database_that_is_read_only_by_default_is_written_to() {
    let database = Database::create();
    for setting in ["read_only = on", "isolation = 'serializable'"] {
        let set = format!("ALTER DATABASE {} SET default_transaction_{setting}", database.name());
        execute(database.admin_url(), &set);
    }
    let chronicle = open(&database, "guildhall").await.unwrap().chronicle();
    for _ in 0..3 {
        append_one(&chronicle, 1).await;
    }
}

#[tokio::test]
async fn a_backslash_in_a_name_is_one_whatever_sessions_take_it_for() {
    let database = Database::create();
    let set = format!("ALTER DATABASE {} SET standard_conforming_strings = off", database.name());
    execute(database.admin_url(), &set);
    let pool = PgPoolOptions::new().connect(database.url()).await.unwrap();
    for (mut options, schema) in [
        (PostgresOptions::at(database.url()), r"it\'s"),
        (PostgresOptions::with_pool(pool), r"\'; DROP SCHEMA public; --\"),
    ] {
        options.schema = schema.to_owned();
        let store = PostgresStore::open_with(options).await.unwrap();
        append_one(&store.chronicle(), 1).await;
        let builder = store.projector().partitions(Partitions::On).start().unwrap();
        assert!(builder.begin_rebuild().await.unwrap().swap(None).await.unwrap());
        let mut connection = PgConnection::connect(database.url()).await.unwrap();
        for function in ["extend_verification_months", "extend_change_months"] {
            let extend = format!("SELECT \"{schema}\".{function}(5)");
            let made: i32 =
                sqlx::query_scalar(AssertSqlSafe(extend)).fetch_one(&mut connection).await.unwrap();
            assert_eq!(made, 2, "{function}");
        }
    }
}

#[tokio::test]
async fn an_empty_schema_is_taken() {
    let database = Database::create();
    execute(database.url(), "CREATE SCHEMA guildhall");
    open(&database, "guildhall").await.unwrap();
}

#[tokio::test]
async fn a_text_that_names_no_schema_or_database_is_refused() {
    let database = Database::create();
    for schema in ["", "pg_catalog", "a$b", "tab\tbed"] {
        let refused = open(&database, schema).await;
        assert!(matches!(refused, Err(OpenError::BadSchema { .. })), "{schema:?}: {refused:?}");
    }
    for url in ["", "guildhall.db", "postgres://host:port/"] {
        let refused = PostgresStore::open(url).await;
        assert!(matches!(refused, Err(OpenError::BadUrl { .. })), "{url:?}: {refused:?}");
    }
}

#[tokio::test]
async fn stores_in_schemas_of_one_database_never_meet() {
    let database = Database::create();
    let names = [
        "guildhall",
        "Guildhall",
        "guild \"hall\"; DROP SCHEMA public",
        "ギルド",
        "{schema}",
        "a.b",
    ];
    let mut stores = Vec::new();
    for name in names {
        stores.push(open(&database, name).await.unwrap());
    }
    for (nth, store) in stores.iter().enumerate() {
        for _ in 0..=nth {
            append_one(&store.chronicle(), 1).await;
        }
    }
    let mut origins = Vec::new();
    for (nth, name) in names.into_iter().enumerate() {
        let chronicle = open(&database, name).await.unwrap().chronicle();
        assert_eq!(chronicle.head().await.unwrap().position.get(), nth as u64 + 1, "{name}");
        origins.push(chronicle.origin().await.unwrap());
    }
    origins.sort();
    origins.dedup();
    assert_eq!(origins.len(), names.len());
    let others = catalogue(&database).await.into_iter().filter(|it| it.starts_with("public."));
    assert_eq!(others.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_that_open_at_once_make_it_once() {
    let database = Database::create();
    let url = database.url().to_owned();
    let opening = (0..8).map(|_| tokio::spawn(PostgresStore::open(url.clone())));
    for opened in opening.collect::<Vec<_>>() {
        opened.await.unwrap().unwrap();
    }
}
