//! Checkpoint rows, and the lease that stands in the same row: whoever may write, how far it got.

use std::time::Duration;

use guildhall_core::{Checkpoint, HolderId, Lease, Origin, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use crate::migrate::now;
use crate::rows::{Columns, TimeText};

/// A row of `projector_checkpoints`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckpointRow {
    pub(crate) checkpoint: Checkpoint,
    /// How many rebuilds were swapped in.
    pub(crate) generation: i64,
    /// Who may write, and until when.
    pub(crate) lease: Option<(HolderId, Timestamp)>,
    /// How often the lease changed hands.
    pub(crate) fence: i64,
}

impl CheckpointRow {
    const NONE: Self = Self { checkpoint: Checkpoint::ZERO, generation: 0, lease: None, fence: 0 };

    /// The row of this projector; none where none of that name ever ran.
    pub(crate) fn find(connection: &Connection, projector: &str) -> rusqlite::Result<Option<Self>> {
        let mut load = connection.prepare_cached(include_str!("sql/load_checkpoint.sql"))?;
        let row = load.query_row([projector], |row| {
            let mut columns = Columns::of(row);
            let checkpoint = Checkpoint {
                position: columns.position()?,
                leaf_hash: columns.nullable(Columns::leaf_hash)?,
                origin: columns.nullable(Columns::parsed::<Origin>)?,
            };
            let generation = columns.number()?;
            let holder = columns.nullable(Columns::uuid)?.map(HolderId::from_uuid);
            let until = columns.nullable(Columns::parsed::<Timestamp>)?;
            Ok(Self { checkpoint, generation, lease: holder.zip(until), fence: columns.number()? })
        });
        row.optional()
    }

    /// The row of this projector, or that of one that never ran.
    pub(crate) fn load(connection: &Connection, projector: &str) -> rusqlite::Result<Self> {
        Ok(Self::find(connection, projector)?.unwrap_or(Self::NONE))
    }

    /// Writes the row.
    pub(crate) fn save(&self, connection: &Connection, projector: &str) -> rusqlite::Result<()> {
        let Checkpoint { position, leaf_hash, origin } = &self.checkpoint;
        let mut save = connection.prepare_cached(include_str!("sql/save_checkpoint.sql"))?;
        save.execute(params![
            projector,
            position.as_i64(),
            leaf_hash.as_ref().map(|hash| hash.as_bytes()),
            origin.as_ref().map(Origin::as_str),
            TimeText::from(now()),
            self.generation,
            self.lease.as_ref().map(|(holder, _)| holder.as_uuid().as_bytes()),
            self.lease.map(|(_, until)| TimeText::from(until)),
            self.fence,
        ])?;
        Ok(())
    }

    /// Takes the lease for `holder` if it is free or lapsed, renews it if it is held under this
    /// fence. In the transaction that writes, this is what keeps a deposed projector from it.
    pub(crate) fn take_lease(
        &mut self,
        holder: HolderId,
        fence: Option<i64>,
        lease_time: Duration,
    ) -> Lease {
        let now = now();
        match self.lease {
            Some((found, until)) if found != holder && until > now => {
                return Lease::Standby { holder: found, until };
            }
            Some((found, _)) if found == holder && fence == Some(self.fence) => {}
            _ => self.fence += 1,
        }
        let micros = i64::try_from(lease_time.as_micros()).unwrap_or(i64::MAX);
        let until = Timestamp::from_micros(now.as_micros().saturating_add(micros));
        self.lease = Some((holder, until.unwrap_or(Timestamp::MAX)));
        Lease::Held
    }

    /// Gives the lease up if it is `holder`'s; answers whether it was.
    pub(crate) fn release_lease(&mut self, holder: HolderId) -> bool {
        self.lease.take_if(|(found, _)| *found == holder).is_some()
    }
}
