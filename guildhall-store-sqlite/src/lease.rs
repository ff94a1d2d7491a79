//! Checkpoint rows, and the lease in the same row: who may write, and how far it got.

use guildhall_core::store::{CheckpointRow, LeaseState};
use guildhall_core::{Checkpoint, HolderId, OPS_DB, Origin, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use crate::ops_rows::{Columns, TimeText};

/// The row of this projector; none if none of that name ever ran.
pub(crate) fn find_row(
    connection: &Connection,
    projector: &str,
) -> rusqlite::Result<Option<CheckpointRow>> {
    let mut load = connection.prepare_cached(include_str!("sql/load_checkpoint.sql"))?;
    let row = load.query_row([projector], |row| {
        let mut columns = Columns::of_table(row, "projector_checkpoints");
        let checkpoint = checkpoint(&mut columns)?;
        let (generation, history_from) = (columns.value()?, columns.value()?);
        let holder = columns.value::<Option<HolderId>>()?;
        let until = columns.value::<Option<Timestamp>>()?;
        let (fence, renewed_at) = (columns.value()?, Some(columns.value()?));
        let lease = LeaseState { holder: holder.zip(until), fence, renewed_at };
        Ok(CheckpointRow { checkpoint, generation, history_from, lease })
    });
    row.optional()
}

/// The row of this projector, or that of one that never ran.
pub(crate) fn load_row(
    connection: &Connection,
    projector: &str,
) -> rusqlite::Result<CheckpointRow> {
    Ok(find_row(connection, projector)?.unwrap_or(CheckpointRow::NONE))
}

/// Writes the row of this projector.
pub(crate) fn save_row(
    connection: &Connection,
    projector: &str,
    row: &CheckpointRow,
) -> rusqlite::Result<()> {
    let CheckpointRow { checkpoint: Checkpoint { position, leaf_hash, origin }, lease, .. } = row;
    let mut save = connection.prepare_cached(include_str!("sql/save_checkpoint.sql"))?;
    save.execute(params![
        projector,
        position.as_i64(),
        leaf_hash.as_ref().map(|hash| hash.as_bytes()),
        origin.as_ref().map(Origin::as_str),
        TimeText::from(Timestamp::now()),
        row.generation,
        row.history_from.as_i64(),
        lease.holder.as_ref().map(|(holder, _)| holder.as_uuid().as_bytes()),
        lease.holder.map(|(_, until)| TimeText::from(until)),
        lease.fence,
    ])?;
    Ok(())
}

/// The checkpoint of the Ops DB; none if nothing was projected. An embedder's read model may be
/// beyond a log that was restored; its own projector reports that.
pub(crate) fn ops_checkpoint(connection: &Connection) -> rusqlite::Result<Option<Checkpoint>> {
    let mut load = connection.prepare_cached(
        "SELECT position, leaf_hash, origin FROM projector_checkpoints
         WHERE projector = ?1 AND position > 0",
    )?;
    let row = load.query_row([OPS_DB], |row| {
        checkpoint(&mut Columns::of_table(row, "projector_checkpoints"))
    });
    row.optional()
}

fn checkpoint(columns: &mut Columns<'_>) -> rusqlite::Result<Checkpoint> {
    Ok(Checkpoint {
        position: columns.value()?,
        leaf_hash: columns.value()?,
        origin: columns.value()?,
    })
}
