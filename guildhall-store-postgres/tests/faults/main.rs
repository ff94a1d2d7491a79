//! What happens to a server and to the way there, under a projector that runs: it goes on, or says
//! why not, and nothing is lost or doubled.
#![allow(clippy::unwrap_used, clippy::panic, clippy::large_futures, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../projecting/mod.rs"]
mod projecting;
#[path = "../proxy/mod.rs"]
mod proxy;
#[path = "../read_tables/mod.rs"]
mod read_tables;
#[path = "../server/mod.rs"]
mod server;

mod cut_off;
mod lasting;
mod restarts;
mod silent;

use std::time::Duration;

use guildhall_core::{Append, AppendError, Chronicle};
use guildhall_store_postgres::{PostgresOptions, PostgresStore};
use projecting::within;
use server::{Database, Server};
use sqlx::{Connection, PgConnection};

/// A server with a store.
async fn store_on(server: &Server) -> (Database, PostgresStore) {
    let database = Database::create_on(&server.url("postgres"));
    let store = open(database.url()).await;
    (database, store)
}

/// The store at a URL, without much patience for a server that does not answer.
async fn open(url: &str) -> PostgresStore {
    let mut options = PostgresOptions::at(url);
    options.acquire_timeout = Duration::from_secs(2);
    PostgresStore::open_with(options).await.unwrap()
}

/// Appends, again and again where that fails in a way that may pass: the same ids, so nothing is
/// appended twice.
async fn append_stubbornly(chronicle: &dyn Chronicle, append: Append) {
    let mut look = tokio::time::interval(Duration::from_millis(20));
    while let Err(error) = chronicle.append(append.clone()).await {
        assert!(matches!(&error, AppendError::Store(error) if error.is_transient()), "{error:?}");
        look.tick().await;
    }
}

/// Waits until no transaction is open in a database.
async fn no_transaction_is_open(server: &Server, database: &Database) {
    let mut watching = PgConnection::connect(&server.url("postgres")).await.unwrap();
    let mut look = tokio::time::interval(Duration::from_millis(5));
    within(async {
        loop {
            look.tick().await;
            let open: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND xact_start IS NOT NULL",
            )
            .bind(database.name())
            .fetch_one(&mut watching)
            .await
            .unwrap();
            if open == 0 {
                return;
            }
        }
    })
    .await;
}
