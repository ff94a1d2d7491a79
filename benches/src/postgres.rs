//! PostgreSQL: Guildhall's ways of filling the Ops DB, and what they are held against.

use std::sync::Arc;
use std::time::Instant;

use anyhow::bail;
use futures::TryStreamExt;
use guildhall_projector::{Settings, catch_up, rebuild};
use guildhall_store_postgres::PostgresStore;
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::cluster::{Cluster, Database};
use crate::machine::peak_bytes;
use crate::recorded::record;
use crate::rounds::Turn;

/// Guildhall's projector, from nothing.
pub const CATCH_UP: &str = "catch-up";
/// Guildhall's rebuild, beside an empty live generation: the same work as the others do.
pub const REBUILD: &str = "rebuild";
/// Guildhall's rebuild, beside a live generation that holds all of it, and is dropped in the end.
pub const REBUILD_OVER: &str = "rebuild over a full one";
/// Floor (a): binary COPY of the finished rows, in memory as PostgreSQL takes them, into the indexed
/// tables, in one transaction.
pub const FINISHED_ROWS: &str = "finished rows";
/// Floor (b): `INSERT … SELECT` over the Chronicle in one transaction into the indexed tables.
pub const SET_BASED: &str = "set-based SQL";
/// Floor (c): the same, with every key, index and foreign key made afterwards.
pub const KEYS_AFTERWARDS: &str = "set-based, keys afterwards";

/// All of them, in the order in which they are shown.
pub const WAYS: [&str; 6] =
    [CATCH_UP, REBUILD, REBUILD_OVER, FINISHED_ROWS, SET_BASED, KEYS_AFTERWARDS];

/// The tables that all of them fill, referenced ones first. Guildhall fills those of history as well,
/// which no floor does.
const TABLES: [&str; 5] = [
    "accord_bindings",
    "governed_artifacts",
    "custody_transitions",
    "deployment_states",
    "verification_results",
];

const SET_BASED_SQL: &str = include_str!("postgres/set_based.sql");

/// The databases of a run: one with a Chronicle and an empty Ops DB, and one whose Ops DB is full.
#[derive(Debug)]
pub struct Databases {
    log: Database,
    filled: Database,
}

impl Databases {
    /// Records so many entries and fills an Ops DB from them.
    ///
    /// # Errors
    /// The store's.
    pub async fn make(cluster: &Cluster, entries: usize) -> anyhow::Result<Self> {
        let log = Database::create_on(cluster.url());
        let store = PostgresStore::open(log.url()).await?;
        let chronicle = store.chronicle();
        record(&chronicle, entries).await?;
        let mut connection = PgConnection::connect(log.url()).await?;
        sqlx::raw_sql("VACUUM (FREEZE, ANALYZE)").execute(&mut connection).await?;
        connection.close().await?;
        drop(store);
        let filled = Database::copy_on(cluster.url(), log.name());
        let store = PostgresStore::open(filled.url()).await?;
        project(&store).await?;
        Ok(Self { log, filled })
    }

    /// What a turn needs to know of them.
    pub fn place(&self) -> Place {
        Place {
            admin_url: self.log.admin_url().to_owned(),
            log: self.log.name().to_owned(),
            filled: self.filled.name().to_owned(),
            filled_url: self.filled.url().to_owned(),
        }
    }
}

/// Where the databases of a run are.
#[derive(Debug, Serialize, Deserialize)]
pub struct Place {
    admin_url: String,
    log: String,
    filled: String,
    filled_url: String,
}

impl Place {
    /// Takes one turn: fills an Ops DB in this way. The time ends when all of it is committed.
    ///
    /// # Errors
    /// Where the way is none of [`WAYS`], and the store's.
    pub async fn turn(&self, way: &str) -> anyhow::Result<Turn> {
        let before = if way == REBUILD_OVER { &self.filled } else { &self.log };
        let database = Database::copy_on(&self.admin_url, before);
        let mut connection = PgConnection::connect(database.url()).await?;
        let entries: i64 = sqlx::query_scalar("SELECT position FROM guildhall.chronicle_head")
            .fetch_one(&mut connection)
            .await?;
        let seconds = match way {
            CATCH_UP => {
                let store = PostgresStore::open(database.url()).await?;
                let began = Instant::now();
                project(&store).await?;
                began.elapsed()
            }
            REBUILD | REBUILD_OVER => {
                let store = PostgresStore::open(database.url()).await?;
                let (chronicle, projector) = (Arc::new(store.chronicle()), store.projector());
                let projector = projector.start()?;
                let began = Instant::now();
                rebuild(chronicle, &projector, &Settings::default(), |_| {}).await?;
                began.elapsed()
            }
            FINISHED_ROWS => {
                let rows = FinishedRows::read(&self.filled_url).await?;
                let began = Instant::now();
                rows.copy_into(&mut connection).await?;
                began.elapsed()
            }
            SET_BASED => {
                let began = Instant::now();
                let mut transaction = connection.begin().await?;
                sqlx::raw_sql(SET_BASED_SQL).execute(&mut *transaction).await?;
                transaction.commit().await?;
                began.elapsed()
            }
            KEYS_AFTERWARDS => {
                let keys = Keys::read(&mut connection).await?;
                let script = format!("{}\n{SET_BASED_SQL}\n{}", keys.drop, keys.create);
                let began = Instant::now();
                let mut transaction = connection.begin().await?;
                sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut *transaction).await?;
                transaction.commit().await?;
                began.elapsed()
            }
            other => bail!("{other:?} is not a way to fill the Ops DB"),
        };
        let peak_bytes = peak_bytes();
        let digest = digest(&mut connection).await?;
        connection.close().await?;
        #[expect(clippy::cast_precision_loss, reason = "a log has fewer than 2^53 entries")]
        let rate = entries as f64 / seconds.as_secs_f64();
        Ok(Turn { rate, peak_bytes, digest: Some(digest), latency: None })
    }
}

async fn project(store: &PostgresStore) -> anyhow::Result<()> {
    let (chronicle, projector) = (Arc::new(store.chronicle()), store.projector().start()?);
    catch_up(chronicle, Arc::new(projector), &Settings::default(), |_| {}).await?;
    Ok(())
}

/// Rows as a binary COPY takes them, by table.
struct FinishedRows(Vec<(&'static str, Vec<u8>)>);

impl FinishedRows {
    async fn read(url: &str) -> anyhow::Result<Self> {
        let mut connection = PgConnection::connect(url).await?;
        let mut tables = Vec::new();
        for table in TABLES {
            let copy = format!("COPY guildhall.{table} TO STDOUT (FORMAT binary)");
            let mut rows = Vec::new();
            let mut chunks = connection.copy_out_raw(&copy).await?;
            while let Some(chunk) = chunks.try_next().await? {
                rows.extend_from_slice(&chunk);
            }
            drop(chunks);
            tables.push((table, rows));
        }
        connection.close().await?;
        Ok(Self(tables))
    }

    async fn copy_into(&self, connection: &mut PgConnection) -> anyhow::Result<()> {
        let mut transaction = connection.begin().await?;
        for (table, rows) in &self.0 {
            let copy = format!("COPY guildhall.{table} FROM STDIN (FORMAT binary)");
            let mut copy = transaction.copy_in_raw(&copy).await?;
            for chunk in rows.chunks(256 << 10) {
                copy.send(chunk).await?;
            }
            copy.finish().await?;
        }
        Ok(transaction.commit().await?)
    }
}

/// The statements that take the keys, indexes and foreign keys from the tables and make them again.
struct Keys {
    drop: String,
    create: String,
}

impl Keys {
    async fn read(connection: &mut PgConnection) -> anyhow::Result<Self> {
        let tables: Vec<_> = TABLES
            .iter()
            .chain(&["artifact_revisions", "deployment_changes"])
            .map(|table| format!("guildhall.{table}"))
            .collect();
        let (drop, create) = sqlx::query_as(include_str!("postgres/keys.sql"))
            .bind(tables)
            .fetch_one(connection)
            .await?;
        Ok(Self { drop, create })
    }
}

/// A digest of every row of every table, whatever the order in which they were written.
async fn digest(connection: &mut PgConnection) -> anyhow::Result<String> {
    let mut digests = Vec::new();
    for table in TABLES {
        let digest = format!(
            "SELECT concat_ws(' ', count(*), sum(hashtextextended(it::text, 0)::numeric))
             FROM guildhall.{table} AS it"
        );
        let digest: String =
            sqlx::query_scalar(AssertSqlSafe(digest)).fetch_one(&mut *connection).await?;
        digests.push(digest);
    }
    Ok(digests.join(", "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn every_way_fills_the_tables_alike() {
        let cluster = Cluster::start();
        let databases = Databases::make(&cluster, 5_000).await.unwrap();
        let mut connection = PgConnection::connect(databases.filled.url()).await.unwrap();
        let expected = digest(&mut connection).await.unwrap();
        let constraints = |keys: &Keys| keys.create.lines().count();
        let keys = Keys::read(&mut connection).await.unwrap();
        assert!(constraints(&keys) > 15, "{}", keys.create);
        connection.close().await.unwrap();
        for way in WAYS {
            let turn = databases.place().turn(way).await.unwrap();
            assert_eq!(turn.digest.as_ref(), Some(&expected), "{way}");
        }
    }

    #[tokio::test]
    async fn tables_that_differ_have_other_digests() {
        let cluster = Cluster::start();
        let databases = Databases::make(&cluster, 300).await.unwrap();
        let mut connection = PgConnection::connect(databases.filled.url()).await.unwrap();
        let before = digest(&mut connection).await.unwrap();
        let change = "UPDATE guildhall.deployment_states SET detail = '1' WHERE ctid = '(0,1)'";
        sqlx::raw_sql(change).execute(&mut connection).await.unwrap();
        assert_ne!(digest(&mut connection).await.unwrap(), before);
    }
}
