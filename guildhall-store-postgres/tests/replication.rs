//! Logical replication: the log's tables go to another server, and there whoever likes projects them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::large_futures, reason = "tests")]

mod common;
mod projecting;
mod read_tables;
mod server;

use std::sync::Arc;
use std::time::Duration;

use common::append_one;
use guildhall_core::{Chronicle, Position, Rebuild as _};
use guildhall_projector::{Settings as RuntimeSettings, catch_up, rebuild};
use guildhall_store_postgres::PostgresStore;
use projecting::{append_all, assert_projected, log, within};
use server::{Database, Server, Settings, execute};
use sqlx::{Connection as _, PgConnection};

/// As `DBA.md` has it.
const PUBLISH: &str = "CREATE PUBLICATION guildhall_log FOR TABLE \
    guildhall.chronicle_entries, guildhall.chronicle_head, guildhall.chronicle_origin";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_of_the_log_gets_all_of_it_and_projects_it() {
    let publisher = Server::start(Settings::for_standbys());
    let here = Database::create_on(&publisher.url("postgres"));
    let store = PostgresStore::open(here.url()).await.unwrap();
    let entries = log(300);
    append_all(&store.chronicle(), &entries[..200]).await;
    execute(here.url(), PUBLISH);

    let subscriber = Server::start(Settings::for_standbys());
    let there = Database::create_on(&subscriber.url("postgres"));
    execute(there.url(), &publisher.dump_schema(here.url()));
    let subscribe = format!(
        "CREATE SUBSCRIPTION guildhall_log CONNECTION '{}' PUBLICATION guildhall_log \
         WITH (synchronous_commit = on)",
        here.url()
    );
    execute(there.url(), &subscribe);
    within(is_copied(there.url())).await;
    // Each has a list of migrations of its own: one that is newer is in nobody's way.
    for url in [there.url(), here.url()] {
        let newer = "INSERT INTO guildhall.guildhall_migrations \
            (family, number, name) VALUES ('test', 1, 'test')";
        execute(url, newer);
    }
    let copy = PostgresStore::open(there.url()).await.unwrap();
    let copied = copy.chronicle();
    let reach = |head: Position| {
        let copied = copied.clone();
        async move {
            let last = head.previous();
            within(async move {
                while copied.wait_beyond(last, Duration::from_secs(1)).await.unwrap() < head {}
            })
            .await;
        }
    };
    reach(Position::new(200)).await;
    // Then one commit after the other, of one entry and of several.
    append_all(&store.chronicle(), &entries[200..299]).await;
    append_all(&store.chronicle(), &entries[299..]).await;
    reach(Position::new(300)).await;
    assert_eq!(copied.origin().await.unwrap(), store.chronicle().origin().await.unwrap());

    let projector = Arc::new(copy.projector().start().unwrap());
    let runtime = RuntimeSettings::default();
    catch_up(Arc::new(copied.clone()), projector, &runtime, |_| {}).await.unwrap();
    assert_projected(there.url(), &store.chronicle()).await;
    // The publisher's tables are made anew meanwhile, and nobody there is in the way.
    let builder = store.projector().start().unwrap();
    rebuild(Arc::new(store.chronicle()), &builder, &runtime, |_| {}).await.unwrap();
    append_all(&store.chronicle(), &log(301)[300..]).await;
    reach(Position::new(301)).await;
    // Cut off from its publisher, it is a log like any other.
    execute(there.url(), "DROP SUBSCRIPTION guildhall_log");
    assert_eq!(append_one(&copied, 1).await.position, Position::new(302));
}

/// Waits until every table has been copied once.
async fn is_copied(url: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let open = "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'";
    while sqlx::query_scalar::<_, i64>(open).fetch_one(&mut connection).await.unwrap() > 0 {
        tokio::task::yield_now().await;
    }
}

/// A table that is made anew is one that the subscribers do not have: they would stop at its first row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_is_refused_where_its_tables_are_published() {
    let server = Server::start(Settings::for_standbys());
    for publish in
        ["FOR ALL TABLES", "FOR TABLES IN SCHEMA guildhall", "FOR TABLE guildhall.accord_bindings"]
    {
        let database = Database::create_on(&server.url("postgres"));
        let store = PostgresStore::open(database.url()).await.unwrap();
        execute(database.url(), &format!("CREATE PUBLICATION everything {publish}"));
        let refused = store.projector().start().unwrap().begin_rebuild().await;
        let error = refused.err().unwrap();
        assert!(!error.is_transient(), "{error:?}");
        let said = error.source.to_string();
        assert!(said.contains("the publication everything has "), "{publish}: {said}");
        execute(database.url(), "DROP PUBLICATION everything");
        execute(database.url(), PUBLISH);
        let generation = store.projector().start().unwrap().begin_rebuild().await;
        assert!(generation.unwrap().swap(None).await.unwrap());
    }
}
