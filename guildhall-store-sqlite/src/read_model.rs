//! An embedder's own read models, beside the Ops DB and in its transaction.

use std::error::Error;
use std::iter::successors;

use guildhall_core::{ApplyError, Batch, DecodedEntry, Fault, Position};
use rusqlite::Transaction;

use crate::error::{Doing, fault};
use crate::lease::CheckpointRow;

/// A read model of an embedder's, in tables of its own in the Ops DB's file. It is applied in the
/// transaction of the Ops DB, which shows the batch already, and has its own row in
/// `projector_checkpoints`, so one that is added later catches up from its own checkpoint.
///
/// ```
/// use guildhall_core::DecodedEntry;
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
///         entries: &[DecodedEntry],
///     ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
///         transaction.execute_batch(
///             "CREATE TABLE IF NOT EXISTS entries_per_day (day TEXT PRIMARY KEY, entries INTEGER)",
///         )?;
///         let mut count = transaction.prepare_cached(
///             "INSERT INTO entries_per_day VALUES (substr(?1, 1, 10), 1) \
///              ON CONFLICT (day) DO UPDATE SET entries = entries + 1",
///         )?;
///         for entry in entries {
///             count.execute([entry.recorded_at.to_string()])?;
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait ReadModel: Send {
    /// Its name in `projector_checkpoints`: always the same, and no other's.
    fn name(&self) -> &str;

    /// Applies entries that are new to it, in order and without a gap. Whatever is kept outside
    /// the transaction must be ready for it to be rolled back and for the entries to come again.
    ///
    /// # Errors
    /// Any: nothing of the batch is applied then, the Ops DB's part neither. Where a
    /// [`rusqlite::Error`] that may pass is the error or the cause of it (somebody held a lock, a
    /// write failed), the batch is tried again; anything else stops the projector.
    fn apply(
        &mut self,
        transaction: &Transaction<'_>,
        entries: &[DecodedEntry],
    ) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// A read model ended the transaction that it was to write in.
#[derive(Debug, thiserror::Error)]
#[error("it ended the projector's transaction")]
struct EndedTransaction;

/// Applies to each read model what is new to it, up to and with `last`.
pub(crate) fn apply_read_models(
    transaction: &Transaction<'_>,
    models: &mut [Box<dyn ReadModel>],
    batch: &Batch,
    last: Position,
) -> Result<(), ApplyError> {
    for model in models {
        let name = model.name().to_owned();
        let failed = |source| failure(name.clone(), source);
        let mut row = CheckpointRow::load(transaction, &name).doing("reading a checkpoint")?;
        let entries = batch.after(&row.checkpoint)?;
        let entries = &entries[..entries.partition_point(|entry| entry.position <= last)];
        let Some(newest) = entries.last() else { continue };
        model.apply(transaction, entries).map_err(failed)?;
        if transaction.is_autocommit() {
            return Err(failed(EndedTransaction.into()));
        }
        row.checkpoint = batch.checkpoint_at(newest.position, &row.checkpoint);
        row.save(transaction, &name).doing("writing a checkpoint")?;
    }
    Ok(())
}

/// What the projector answers to a read model's error.
fn failure(name: String, source: Box<dyn Error + Send + Sync>) -> ApplyError {
    let first: &(dyn Error + 'static) = &*source;
    let mut causes = successors(Some(first), |&error| error.source());
    let driver = causes.find_map(|error| error.downcast_ref::<rusqlite::Error>());
    ApplyError::ReadModel { name, fault: driver.map_or(Fault::Permanent, fault), source }
}
