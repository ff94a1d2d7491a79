//! An embedder's own read models, beside the Ops DB and in its transaction.

use std::error::Error;
use std::iter::successors;
use std::ops::RangeInclusive;

use async_trait::async_trait;
use guildhall_core::store::{CheckpointRow, News};
use guildhall_core::{ApplyError, Fault, Judged, Position, QuarantinedEntry, StoreError, Table};
use sqlx::PgConnection;

use crate::database::Database;
use crate::error::{Doing, fault};
use crate::lease::{LeaseRow, save_row};
use crate::ops_rows::Columns;

const DOING: &str = "applying a read model";

/// An embedder's read model, in tables of its own in the Ops DB's database. It is applied in the
/// transaction of the Ops DB, where the batch's rows are already visible, and has its own row in
/// `projector_checkpoints`, so one that is added later catches up from its own checkpoint.
///
/// ```
/// use guildhall_core::Judged;
/// use guildhall_store_postgres::{ReadModel, sqlx::{self, PgConnection}};
///
/// struct EntriesPerDay;
///
/// #[async_trait::async_trait]
/// impl ReadModel for EntriesPerDay {
///     fn name(&self) -> &str {
///         "entries_per_day"
///     }
///
///     async fn apply(
///         &mut self,
///         transaction: &mut PgConnection,
///         entries: &[Judged<'_>],
///     ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
///         let days: Vec<_> = entries
///             .iter()
///             .map(|it| it.entry.recorded_at.to_string()[..10].to_owned())
///             .collect();
///         sqlx::query(
///             "INSERT INTO reports.entries_per_day (day, entries) \
///              SELECT day::date, count(*) FROM unnest($1::text[]) AS day GROUP BY 1 \
///              ON CONFLICT (day) DO UPDATE SET entries = entries_per_day.entries + excluded.entries",
///         )
///         .bind(days)
///         .execute(transaction)
///         .await?;
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait ReadModel: Send {
    /// Its name in `projector_checkpoints`: always the same, and no other's.
    fn name(&self) -> &str;

    /// Applies entries that are new to it, in order and without a gap, each with its verdict in the
    /// Ops DB. The transaction may be rolled back and the entries may come again; state kept outside
    /// it has to allow for that.
    ///
    /// The search path is `pg_catalog, pg_temp`, whoever made the pool: qualify names, also in triggers
    /// of your tables. The planner's settings are the role's defaults; `lock_timeout` is a second, as
    /// others wait for this transaction, and the server ends the transaction if it receives nothing
    /// for as long as a lease holds.
    ///
    /// # Errors
    /// Any: nothing of the batch is applied then, to the Ops DB either. Where the error or its cause
    /// is a transient [`sqlx::Error`] (the connection broke, a lock could not be had), the batch is
    /// tried again; anything else stops the projector.
    async fn apply(
        &mut self,
        transaction: &mut PgConnection,
        entries: &[Judged<'_>],
    ) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// A read model ended the transaction that it was to write in.
#[derive(Debug, thiserror::Error)]
#[error("it ended the projector's transaction")]
struct EndedTransaction;

/// Undoes what the projector told the planner for its own look-ups.
const PLAN_AS_USUAL: &str = "SET LOCAL enable_seqscan = DEFAULT; \
    SET LOCAL enable_hashjoin = DEFAULT; SET LOCAL enable_mergejoin = DEFAULT; SET LOCAL jit = DEFAULT";

/// The rows of read models, locked.
pub(crate) async fn lock_rows(
    transaction: &mut PgConnection,
    own: &LeaseRow,
    names: &[String],
) -> Result<Vec<CheckpointRow>, StoreError> {
    let mut rows = Vec::with_capacity(names.len());
    for name in names {
        let (row, _) = own.lock(transaction, name).await.doing("reading a checkpoint")?;
        rows.push(row);
    }
    Ok(rows)
}

/// The entries in quarantine at these positions.
pub(crate) async fn load_quarantined(
    transaction: &mut PgConnection,
    database: &Database,
    positions: &RangeInclusive<Position>,
) -> Result<Vec<QuarantinedEntry>, sqlx::Error> {
    let load = Table::expand(
        "SELECT {quarantined_entries.*} FROM {schema}.quarantined_entries \
         WHERE position BETWEEN $1 AND $2",
    );
    let rows = sqlx::query(database.sql(&load))
        .bind(positions.start().as_i64())
        .bind(positions.end().as_i64())
        .fetch_all(transaction)
        .await?;
    rows.iter().map(|row| Columns::of(row).row()).collect()
}

/// Makes plans as an embedder expects them from here on.
pub(crate) async fn plan_as_usual(transaction: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::raw_sql(PLAN_AS_USUAL).execute(transaction).await.doing(DOING).map(drop)
}

/// Applies what is new to a read model, and writes its row.
pub(crate) async fn show(
    transaction: &mut PgConnection,
    database: &Database,
    model: &mut dyn ReadModel,
    news: &News<'_>,
) -> Result<(), ApplyError> {
    let name = model.name().to_owned();
    let before = transaction_id(transaction).await.doing("reading a checkpoint")?;
    let failed = |source| failure(name.clone(), source);
    model.apply(transaction, &news.entries).await.map_err(failed)?;
    if transaction_id(transaction).await.map_err(|error| failed(error.into()))? != before {
        return Err(failed(EndedTransaction.into()));
    }
    save_row(transaction, database, &name, news.row).await.doing("writing a checkpoint")?;
    Ok(())
}

/// What the projector makes of a read model's error.
fn failure(name: String, source: Box<dyn Error + Send + Sync>) -> ApplyError {
    let first: &(dyn Error + 'static) = &*source;
    let mut causes = successors(Some(first), |&error| error.source());
    let driver = causes.find_map(|error| error.downcast_ref::<sqlx::Error>());
    ApplyError::ReadModel { name, fault: driver.map_or(Fault::Permanent, fault), source }
}

async fn transaction_id(transaction: &mut PgConnection) -> Result<String, sqlx::Error> {
    sqlx::query_scalar("SELECT pg_catalog.pg_current_xact_id()::text").fetch_one(transaction).await
}
