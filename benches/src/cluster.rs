//! The PostgreSQL server of a run.

use std::env;

use sqlx::{Connection, PgConnection};

#[path = "../../guildhall-store-postgres/tests/server/mod.rs"]
mod server;

pub(crate) use server::Database;
use server::{Server, Settings};

/// A server with PostgreSQL's default settings, every commit synced, behind a Unix socket: one of
/// the run's own that is thrown away with it, or the one at `GUILDHALL_TEST_POSTGRES_URL`.
#[derive(Debug)]
pub struct Cluster {
    url: String,
    /// Stopped when dropped.
    _own: Option<Server>,
}

impl Cluster {
    /// Starts it.
    ///
    /// # Panics
    /// Where there are no server programs; it says what to install.
    pub fn start() -> Self {
        if let Ok(url) = env::var(server::URL_VARIABLE) {
            return Self { url, _own: None };
        }
        let own = Server::start(Settings { fsync: true, ..Settings::default() });
        Self { url: own.url("postgres"), _own: Some(own) }
    }

    /// Which server it is, such as `PostgreSQL 15.18`.
    ///
    /// # Errors
    /// Where it cannot be asked.
    pub async fn version(&self) -> anyhow::Result<String> {
        let mut connection = PgConnection::connect(&self.url).await?;
        let version: String = sqlx::query_scalar("SELECT current_setting('server_version')")
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        Ok(format!("PostgreSQL {version}"))
    }

    /// How to reach the database from which others are made.
    pub fn url(&self) -> &str {
        &self.url
    }
}
