//! Who keeps something of the store locked, for those who waited in vain.

use std::fmt;

use sqlx::{PgConnection, Row};

use crate::database::Database;

/// A session that keeps something locked, as `pg_stat_activity` shows it to everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockHolder {
    /// The id of its server process, which `pg_terminate_backend` takes.
    pub pid: i32,
    /// The user it is logged in as; empty where it is not a client's.
    pub user: String,
    /// Its `application_name`; often empty.
    pub application: String,
}

impl fmt::Display for LockHolder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, user, application } = self;
        write!(formatter, "process {pid} of user {user:?}, application {application:?}")
    }
}

/// Another session kept something locked for too long: let it end, or end it with
/// `pg_terminate_backend`. The source of a transient [`StoreError`](guildhall_core::StoreError).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is locked by {holder}")]
#[non_exhaustive]
pub struct LockedByOther {
    /// What it keeps.
    pub what: &'static str,
    /// Who it is.
    pub holder: LockHolder,
}

/// Who keeps others from appending; none if nobody does, or several share it.
pub(crate) async fn find_head_holder(
    connection: &mut PgConnection,
    database: &Database,
) -> Result<Option<LockedByOther>, sqlx::Error> {
    let sql = include_str!("sql/find_head_holder.sql");
    find(connection, database, sql, "the head of the log").await
}

/// Who makes or rebuilds the schema's tables.
pub(crate) async fn find_maintainer(
    connection: &mut PgConnection,
    database: &Database,
) -> Result<Option<LockedByOther>, sqlx::Error> {
    let sql = include_str!("sql/find_maintainer.sql");
    find(connection, database, sql, "the list of migrations").await
}

async fn find(
    connection: &mut PgConnection,
    database: &Database,
    sql: &str,
    what: &'static str,
) -> Result<Option<LockedByOther>, sqlx::Error> {
    let found = sqlx::query(database.sql(sql))
        .bind(database.schema().name())
        .fetch_optional(connection)
        .await?;
    let Some(row) = found else { return Ok(None) };
    let holder = LockHolder {
        pid: row.try_get(0)?,
        user: row.try_get::<Option<String>, _>(1)?.unwrap_or_default(),
        application: row.try_get::<Option<String>, _>(2)?.unwrap_or_default(),
    };
    Ok(Some(LockedByOther { what, holder }))
}
