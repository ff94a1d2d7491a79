//! What a server reports about itself, for its administrators.

use sqlx::Row;

use crate::database::Database;
use crate::standbys::Standbys;

/// What a server is, and how a store stands on it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerFacts {
    /// Its version, in its own words.
    pub version: String,
    /// Whether it only replays what another server writes.
    pub is_standby: bool,
    /// Whether the role that the store logs in as is a superuser, which can drop the triggers that keep
    /// tables append-only.
    pub is_superuser: bool,
    /// Whether what it has committed survives a power cut: `fsync` and `full_page_writes` are on.
    pub is_durable: bool,
    /// How many standbys follow it.
    pub standbys: u64,
    /// Whether a commit waits until a standby has it (`synchronous_standby_names` and
    /// `synchronous_commit`). If not, what was acknowledged may be lost when a standby takes over.
    pub is_synchronous: bool,
    /// How much space the tables of the schema take on its disk, with their indexes, in bytes.
    pub size_bytes: u64,
}

impl ServerFacts {
    pub(crate) async fn load(database: &Database) -> Result<Self, sqlx::Error> {
        let sql = database.sql(include_str!("sql/facts.sql"));
        let schema = database.schema().name();
        let asking = database.ask(async |connection| {
            let standbys = Standbys::load(&mut *connection).await?;
            Ok((sqlx::query(sql).bind(schema).fetch_one(connection).await?, standbys))
        });
        let (row, Standbys { count, is_synchronous }) = asking.await?;
        Ok(Self {
            version: row.try_get(0)?,
            is_standby: row.try_get(1)?,
            is_superuser: row.try_get(2)?,
            is_durable: row.try_get(3)?,
            standbys: count,
            is_synchronous,
            size_bytes: row.try_get::<i64, _>(4)?.cast_unsigned(),
        })
    }
}
