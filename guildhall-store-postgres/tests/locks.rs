//! Locks that others hold: only who has rights in the schema can be in the way, for as long as told,
//! and is named.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;
mod server;

use std::error::Error;
use std::time::Duration;

use common::{append_one, event};
use guildhall_core::{Append, AppendError, Chronicle, NewEntry, Rebuild, StoreError};
use guildhall_store_postgres::{LockedByOther, OpenError, PostgresOptions, PostgresStore};
use server::{Database, Server, Settings, execute};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(60);

/// A session that calls itself "the culprit" and has run these statements.
async fn culprit(url: &str, statements: &str) -> (PgConnection, i32) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql("SET application_name = 'the culprit'").execute(&mut connection).await.unwrap();
    let statements = AssertSqlSafe(statements.to_owned());
    sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
    let pid =
        sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection).await.unwrap();
    (connection, pid)
}

fn named(error: &StoreError) -> &LockedByOther {
    assert!(error.is_transient(), "{error:?}");
    let source: &(dyn Error + 'static) = &*error.source;
    source.downcast_ref().unwrap_or_else(|| panic!("nobody is named: {error:?}"))
}

#[tokio::test]
async fn a_writer_that_idles_on_the_head_is_named_to_those_who_wait() {
    let database = Database::create();
    let pool = sqlx::PgPool::connect(database.url()).await.unwrap();
    for mut options in [PostgresOptions::at(database.url()), PostgresOptions::with_pool(pool)] {
        options.answer_timeout = Duration::from_secs(1);
        let chronicle = PostgresStore::open_with(options).await.unwrap().chronicle();
        append_one(&chronicle, 1).await;
        for hold in [
            "SELECT FROM guildhall.chronicle_head FOR UPDATE",
            "LOCK TABLE guildhall.chronicle_head IN EXCLUSIVE MODE",
            "LOCK TABLE guildhall.chronicle_entries",
        ] {
            let (mut holder, pid) = culprit(database.url(), &format!("BEGIN; {hold}")).await;
            let appending = chronicle.append(Append::of([NewEntry::new(&event(1))]));
            let refused = timeout(SOON, appending).await.expect("a bounded wait");
            let Err(AppendError::Store(error)) = refused else { panic!("{hold}: {refused:?}") };
            let locked = named(&error);
            assert_eq!(locked.holder.pid, pid);
            assert_eq!(locked.holder.user, "guildhall");
            assert_eq!(locked.holder.application, "the culprit");
            sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
            append_one(&chronicle, 1).await;
        }
    }
}

#[tokio::test]
async fn a_migration_that_does_not_end_is_named_to_those_who_open() {
    let database = Database::create();
    PostgresStore::open(database.url()).await.unwrap();
    execute(
        database.url(),
        "DROP FUNCTION guildhall.extend_change_months; DROP TABLE guildhall.row_counts;
         DELETE FROM guildhall.guildhall_migrations WHERE family = 'ops' AND number >= 11",
    );
    let lock = "BEGIN; LOCK TABLE guildhall.guildhall_migrations IN SHARE ROW EXCLUSIVE MODE";
    let (holder, pid) = culprit(database.url(), lock).await;
    let mut options = PostgresOptions::at(database.url());
    options.answer_timeout = Duration::from_millis(500);
    let opening = timeout(SOON, PostgresStore::open_with(options.clone()));
    match opening.await.expect("a bounded wait") {
        Err(OpenError::Store(error)) => assert_eq!(named(&error).holder.pid, pid),
        other => panic!("{other:?}"),
    }
    holder.close().await.unwrap();
    PostgresStore::open_with(options).await.unwrap();
}

/// The database is everybody's, and so are its advisory locks.
#[tokio::test]
async fn a_login_without_a_right_is_in_nobodys_way() {
    let server = Server::start(Settings::default());
    let database = Database::create_on(&server.url("postgres"));
    execute(database.url(), "CREATE ROLE stranger LOGIN");
    let stranger = database.url().replace("user=guildhall", "user=stranger");
    let (mut stranger, _) = culprit(
        &stranger,
        "SELECT pg_advisory_lock(hashtextextended('guildhall migrations guildhall', 0)),
                pg_advisory_lock(hashtextextended('guildhall rebuild guildhall', 0))",
    )
    .await;
    let opening = timeout(SOON, PostgresStore::open(database.url()));
    let store = opening.await.expect("nobody waits").unwrap();
    for mode in ["ACCESS SHARE", "SHARE UPDATE EXCLUSIVE", "ACCESS EXCLUSIVE"] {
        let lock = format!("BEGIN; LOCK TABLE guildhall.guildhall_migrations IN {mode} MODE");
        sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut stranger).await.unwrap_err();
        sqlx::raw_sql("ROLLBACK").execute(&mut stranger).await.unwrap();
    }
    let projector = store.projector().start().unwrap();
    let mut generation = projector.begin_rebuild().await.unwrap();
    assert!(generation.swap(None).await.unwrap());
}

/// Whose session this role may not end is waited for, and named.
#[tokio::test]
async fn a_rebuild_names_the_one_that_it_may_not_end() {
    let server = Server::start(Settings::default());
    let database = Database::create_on(&server.url("postgres"));
    execute(
        database.url(),
        "CREATE ROLE owning; CREATE ROLE one LOGIN IN ROLE owning; CREATE ROLE other LOGIN IN ROLE owning",
    );
    PostgresStore::open(database.url()).await.unwrap();
    execute(
        database.url(),
        "DO $$ DECLARE it text; BEGIN
            FOR it IN SELECT relname FROM pg_class
                WHERE relnamespace = 'guildhall'::regnamespace AND relkind = 'r'
            LOOP EXECUTE format('ALTER TABLE guildhall.%I OWNER TO owning', it); END LOOP;
            ALTER SCHEMA guildhall OWNER TO owning;
        END $$",
    );
    let url = |user: &str| database.url().replace("user=guildhall", &format!("user={user}"));
    let lock = "BEGIN; LOCK TABLE guildhall.guildhall_migrations IN SHARE UPDATE EXCLUSIVE MODE";
    let (_holder, pid) = culprit(&url("one"), lock).await;
    let store = PostgresStore::open(url("other")).await.unwrap();
    let projector = store.projector().start().unwrap();
    let refused = timeout(SOON, projector.begin_rebuild()).await.expect("a bounded wait");
    let error = refused.err().unwrap();
    assert_eq!(named(&error).holder.pid, pid);
    assert_eq!(named(&error).holder.user, "one");
}
