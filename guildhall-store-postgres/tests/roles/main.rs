//! `roles.sql`: each of the five roles does its work through the library, and nothing beyond it.
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

mod frozen;
mod partitions;
mod rights;
mod script;

use std::path::Path;
use std::time::Duration;

use guildhall_store_postgres::{OpenError, PostgresOptions, PostgresProjector, PostgresStore};
use projecting::assert_projected;
use proxy::Proxy;
use server::{Database, Server, Settings, execute};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// How long a lease holds.
const LEASE: Duration = Duration::from_millis(100);

/// A server with a Guildhall whose owner is `guildhall_owner`, and somebody to log in as each other
/// role: `as_writer`, `as_projector`, `as_sealer`, `as_reader`.
struct Guild {
    database: Database,
    server: Server,
    schema: &'static str,
}

fn script() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/roles.sql"))
}

impl Guild {
    async fn start() -> Self {
        let server = Server::start(Settings::default());
        let database = Database::create_on(&server.url("postgres"));
        let guild = Self { database, server, schema: "guildhall" };
        guild.run_script(&[]).unwrap();
        for role in ["writer", "projector", "sealer", "reader"] {
            let create = format!("CREATE ROLE as_{role} LOGIN IN ROLE guildhall_{role}");
            execute(guild.database.url(), &create);
        }
        // What it makes is to belong to it, and to nobody who is granted it.
        execute(guild.database.url(), "ALTER ROLE guildhall_owner LOGIN");
        guild.open("guildhall_owner").await.unwrap();
        guild.run_script(&[]).unwrap();
        guild
    }

    fn run_script(&self, variables: &[(&str, &str)]) -> Result<String, String> {
        self.server.psql(self.database.url(), variables, script())
    }

    fn url(&self, user: &str) -> String {
        self.database.url().replace("user=guildhall", &format!("user={user}"))
    }

    async fn open(&self, user: &str) -> Result<PostgresStore, OpenError> {
        let mut options = PostgresOptions::at(self.url(user));
        options.schema = self.schema.to_owned();
        PostgresStore::open_with(options).await
    }

    /// A projector that reaches its server through a proxy.
    async fn projector_behind(&self, proxy: &Proxy) -> PostgresProjector {
        let url = proxy.url(self.database.name()).replace("=guildhall", "=as_projector");
        let store = PostgresStore::open(url + "&statement-cache-capacity=0").await.unwrap();
        store.projector().lease_time(LEASE).start().unwrap()
    }

    async fn connect(&self, user: &str) -> PgConnection {
        PgConnection::connect(&self.url(user)).await.unwrap()
    }

    async fn assert_tables_are_as_expected(&self) {
        let reader = self.open("as_reader").await.unwrap();
        assert_projected(self.database.url(), &reader.chronicle()).await;
    }
}

/// The SQLSTATE with which a statement fails; nothing where it succeeds. It leaves no trace.
async fn refusal(connection: &mut PgConnection, sql: &str) -> Option<String> {
    let mut transaction = connection.begin().await.unwrap();
    let outcome = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut *transaction).await;
    transaction.rollback().await.unwrap();
    match outcome {
        Ok(_) => None,
        Err(sqlx::Error::Database(error)) => Some(error.code().unwrap().into_owned()),
        Err(other) => panic!("{sql}: {other}"),
    }
}

const REFUSED: &str = "42501";
