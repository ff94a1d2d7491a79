//! Each library fills the read model from a log that it recorded itself.

use guildhall_workload::{Mix, Workload};
use serde::{Deserialize, Serialize};
use sqlx::{Connection, PgConnection};

use crate::cluster::{Cluster, Database};
use crate::cqrs::PostgresEs;
use crate::decisions::DisintegratePostgres;
use crate::guildhall::Guildhall;
use crate::library::{Library, Name};
use crate::machine::peak_bytes;
use crate::read_model::digest;
use crate::rounds::Turn;

/// A database for each library, with the same log in it.
#[derive(Debug)]
pub(crate) struct Logs {
    entries: usize,
    databases: [Database; 3],
}

impl Logs {
    /// Records so many entries with each.
    pub(crate) async fn make(cluster: &Cluster, entries: usize) -> anyhow::Result<Self> {
        let databases = Name::ALL.map(|_| Database::create_on(cluster.url()));
        for (name, database) in Name::ALL.into_iter().zip(&databases) {
            match name {
                Name::Guildhall => record::<Guildhall>(database, entries).await?,
                Name::DisintegratePostgres => {
                    record::<DisintegratePostgres>(database, entries).await?;
                }
                Name::PostgresEs => record::<PostgresEs>(database, entries).await?,
            }
        }
        Ok(Self { entries, databases })
    }

    /// What a turn needs to know of them.
    pub(crate) fn place(&self) -> Place {
        let [first, ..] = &self.databases;
        Place {
            admin_url: first.admin_url().to_owned(),
            entries: self.entries,
            databases: self.databases.each_ref().map(|database| database.name().to_owned()),
        }
    }
}

async fn record<L: Library>(database: &Database, entries: usize) -> anyhow::Result<()> {
    L::create(database.url()).await?;
    let library = L::open(database.url(), 1).await?;
    library.record(Workload::new(7, Mix::CUSTODY).take(entries)).await?;
    let mut connection = PgConnection::connect(database.url()).await?;
    sqlx::raw_sql("VACUUM (FREEZE, ANALYZE)").execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

/// Where the databases of a run are.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Place {
    admin_url: String,
    entries: usize,
    databases: [String; 3],
}

impl Place {
    /// Takes one turn, on a copy of the library's database.
    pub(crate) async fn turn(&self, name: Name) -> anyhow::Result<Turn> {
        match name {
            Name::Guildhall => self.turn_of::<Guildhall>(name).await,
            Name::DisintegratePostgres => self.turn_of::<DisintegratePostgres>(name).await,
            Name::PostgresEs => self.turn_of::<PostgresEs>(name).await,
        }
    }

    async fn turn_of<L: Library>(&self, name: Name) -> anyhow::Result<Turn> {
        let [guildhall, disintegrate_postgres, postgres_es] = &self.databases;
        let log = match name {
            Name::Guildhall => guildhall,
            Name::DisintegratePostgres => disintegrate_postgres,
            Name::PostgresEs => postgres_es,
        };
        let database = Database::copy_on(&self.admin_url, log);
        let library = L::open(database.url(), 1).await?;
        let seconds = library.catch_up(self.entries).await?.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a log has fewer than 2^53 entries")]
        let rate = self.entries as f64 / seconds;
        let digest = Some(digest(database.url(), L::OPS_SCHEMA).await?);
        Ok(Turn { rate, peak_bytes: peak_bytes(), digest, latency: None })
    }
}
