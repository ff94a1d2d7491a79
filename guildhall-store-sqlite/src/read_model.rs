//! An embedder's own read models, beside the Ops DB and in its transaction.

use std::error::Error;
use std::iter::successors;
use std::ops::RangeInclusive;

use guildhall_core::store::{CheckpointRow, News};
use guildhall_core::{ApplyError, Fault, Judged, Position, QuarantinedEntry, StoreError, Table};
use rusqlite::{Connection, Transaction};

use crate::error::{Doing, fault};
use crate::lease::{load_row, save_row};
use crate::ops_rows::Columns;

/// An embedder's read model, in tables of its own in the Ops DB's file. It is applied in the
/// transaction of the Ops DB, where the batch's rows are already visible, and has its own row in
/// `projector_checkpoints`, so one that is added later catches up from its own checkpoint.
///
/// ```
/// use guildhall_core::Judged;
/// use guildhall_store_sqlite::{ReadModel, rusqlite::Transaction};
///
/// struct EntriesPerDay;
///
/// impl ReadModel for EntriesPerDay {
///     fn name(&self) -> &str {
///         "entries_per_day"
///     }
///
///     fn apply(
///         &mut self,
///         transaction: &Transaction<'_>,
///         entries: &[Judged<'_>],
///     ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
///         transaction.execute_batch(
///             "CREATE TABLE IF NOT EXISTS entries_per_day (day TEXT PRIMARY KEY, entries INTEGER)",
///         )?;
///         let mut count = transaction.prepare_cached(
///             "INSERT INTO entries_per_day VALUES (substr(?1, 1, 10), 1) \
///              ON CONFLICT (day) DO UPDATE SET entries = entries + 1",
///         )?;
///         for it in entries {
///             count.execute([it.entry.recorded_at.to_string()])?;
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait ReadModel: Send {
    /// Its name in `projector_checkpoints`: always the same, and no other's.
    fn name(&self) -> &str;

    /// Applies entries that are new to it, in order and without a gap, each with its verdict in the
    /// Ops DB. The transaction may be rolled back and the entries may come again; state kept outside
    /// it has to allow for that.
    ///
    /// # Errors
    /// Any: nothing of the batch is applied then, to the Ops DB either. Where the error or its cause
    /// is a transient [`rusqlite::Error`] (a lock was held, a write failed), the batch is tried again;
    /// anything else stops the projector.
    fn apply(
        &mut self,
        transaction: &Transaction<'_>,
        entries: &[Judged<'_>],
    ) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// A read model ended the transaction that it was to write in.
#[derive(Debug, thiserror::Error)]
#[error("it ended the projector's transaction")]
struct EndedTransaction;

/// The row of each read model.
pub(crate) fn load_rows(
    connection: &Connection,
    models: &[Box<dyn ReadModel>],
) -> Result<Vec<CheckpointRow>, StoreError> {
    let rows = models.iter().map(|model| load_row(connection, model.name()));
    rows.collect::<rusqlite::Result<_>>().doing("reading a checkpoint")
}

/// The entries in quarantine at these positions.
pub(crate) fn load_quarantined(
    connection: &Connection,
    positions: &RangeInclusive<Position>,
) -> rusqlite::Result<Vec<QuarantinedEntry>> {
    let mut load = connection.prepare_cached(&Table::expand(
        "SELECT {quarantined_entries.*} FROM quarantined_entries WHERE position BETWEEN ?1 AND ?2",
    ))?;
    let (first, last) = (positions.start().as_i64(), positions.end().as_i64());
    load.query_map([first, last], |row| Columns::of(row).row())?.collect()
}

/// Applies what is new to a read model, and writes its row.
pub(crate) fn show(
    transaction: &Transaction<'_>,
    model: &mut dyn ReadModel,
    news: &News<'_>,
) -> Result<(), ApplyError> {
    let name = model.name().to_owned();
    let failed = |source| failure(name.clone(), source);
    model.apply(transaction, &news.entries).map_err(failed)?;
    if transaction.is_autocommit() {
        return Err(failed(EndedTransaction.into()));
    }
    save_row(transaction, &name, news.row).doing("writing a checkpoint")?;
    Ok(())
}

/// What the projector makes of a read model's error.
fn failure(name: String, source: Box<dyn Error + Send + Sync>) -> ApplyError {
    let first: &(dyn Error + 'static) = &*source;
    let mut causes = successors(Some(first), |&error| error.source());
    let driver = causes.find_map(|error| error.downcast_ref::<rusqlite::Error>());
    ApplyError::ReadModel { name, fault: driver.map_or(Fault::Permanent, fault), source }
}
