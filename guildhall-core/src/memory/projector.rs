//! The projector of the tables in memory, and their next generation.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::database::Database;
use super::lock;
use super::ops_db::MemoryOpsDb;
use super::tables::Rows;
use crate::checkpoint::Checkpoint;
use crate::custody::CustodyPolicy;
use crate::error::StoreError;
use crate::fold::{Fold, Halt, OnViolation};
use crate::ids::{HolderId, Position};
use crate::ops::{Difference, Table};
use crate::projector::{Applied, ApplyError, Batch, Generation, Lease, OPS_DB, Projector, Rebuild};
use crate::time::now;

/// Projects into a [`MemoryOpsDb`] (see [`Projector`] for what it promises). Clones are one
/// projector and share its lease; [`MemoryOpsDb::projector`] makes a rival.
#[derive(Debug, Clone)]
pub struct MemoryProjector {
    database: Arc<Mutex<Database>>,
    holder: HolderId,
    settings: Settings,
}

#[derive(Debug, Clone)]
struct Settings {
    policy: CustodyPolicy,
    on_violation: OnViolation,
    lease_time: Duration,
}

impl MemoryOpsDb {
    /// A projector of these tables, with a claim of its own to the lease.
    pub fn projector(&self) -> MemoryProjector {
        MemoryProjector {
            database: Arc::clone(&self.database),
            holder: HolderId::new(),
            settings: Settings {
                policy: CustodyPolicy::standard(),
                on_violation: OnViolation::Quarantine,
                lease_time: Duration::from_secs(15),
            },
        }
    }
}

impl MemoryProjector {
    /// The policy that moves of custody are judged by; the standard one by default.
    #[must_use]
    pub fn with_policy(mut self, policy: CustodyPolicy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// What to do with an entry that breaks an invariant; quarantine by default.
    #[must_use]
    pub fn with_on_violation(mut self, on_violation: OnViolation) -> Self {
        self.settings.on_violation = on_violation;
        self
    }

    /// How long the lease holds without being renewed; 15 s by default.
    #[must_use]
    pub fn with_lease_time(mut self, lease_time: Duration) -> Self {
        self.settings.lease_time = lease_time;
        self
    }
}

/// Applies what is new in the batch to these tables, up to an entry that it halts before.
fn apply_to(
    rows: &mut Rows,
    checkpoint: &mut Checkpoint,
    batch: &Batch,
    settings: &Settings,
) -> Result<(Applied, Option<Halt>), ApplyError> {
    let fresh = batch.after(checkpoint)?;
    let Some(newest) = fresh.last() else {
        return Ok((Applied { position: checkpoint.position, ..Applied::default() }, None));
    };
    let mut fold = Fold::new(settings.policy.clone(), settings.on_violation);
    rows.load_heads(&fold.missing(fresh), fold.heads_mut());
    let halt = fold
        .apply(fresh.iter().cloned())
        .map_err(|error| ApplyError::of_fold(error, checkpoint.position))?;
    let last = halt.as_ref().map_or(newest.position, |halt| halt.position.previous());
    let changes = fold.take_changes();
    let applied = Applied {
        position: last,
        entries: last.get() - checkpoint.position.get(),
        quarantined: changes.quarantined.len() as u64,
        skipped: changes.skipped,
    };
    rows.write(changes);
    *checkpoint = batch.checkpoint_at(last, checkpoint);
    Ok((applied, halt))
}

fn or_halted((applied, halt): (Applied, Option<Halt>)) -> Result<Applied, ApplyError> {
    match halt {
        None => Ok(applied),
        Some(Halt { position, violation }) => Err(ApplyError::Halted { position, violation }),
    }
}

#[async_trait]
impl Projector for MemoryProjector {
    async fn checkpoint(&self) -> Result<Checkpoint, StoreError> {
        Ok(lock(&self.database).projector.clone().unwrap_or_default().checkpoint)
    }

    async fn apply(&self, batch: Batch) -> Result<Applied, ApplyError> {
        let mut database = lock(&self.database);
        let database = &mut *database;
        let mut row = database.projector.clone().unwrap_or_default();
        if let Lease::Standby { holder, until } =
            row.lease.take(self.holder, None, self.settings.lease_time, now())
        {
            return Err(ApplyError::Standby { projector: OPS_DB.to_owned(), holder, until });
        }
        // Refused, it writes nothing; so no copy of the tables is made.
        let outcome = apply_to(&mut database.rows, &mut row.checkpoint, &batch, &self.settings)?;
        database.projector = Some(row);
        or_halted(outcome)
    }

    async fn hold_lease(&self) -> Result<Lease, StoreError> {
        let mut database = lock(&self.database);
        let mut row = database.projector.clone().unwrap_or_default();
        let lease = row.lease.take(self.holder, None, self.settings.lease_time, now());
        if lease == Lease::Held {
            database.projector = Some(row);
        }
        Ok(lease)
    }

    async fn release_lease(&self) -> Result<(), StoreError> {
        if let Some(row) = &mut lock(&self.database).projector {
            row.lease.release(self.holder);
        }
        Ok(())
    }

    fn lease_time(&self) -> Duration {
        self.settings.lease_time
    }
}

#[async_trait]
impl Rebuild for MemoryProjector {
    async fn begin_rebuild(&self) -> Result<Box<dyn Generation>, StoreError> {
        let mut database = lock(&self.database);
        database.rebuilds += 1;
        Ok(Box::new(MemoryGeneration {
            database: Arc::clone(&self.database),
            settings: self.settings.clone(),
            rebuild: database.rebuilds,
            rows: Some(Rows::default()),
            checkpoint: Checkpoint::ZERO,
        }))
    }
}

/// A rebuild met what it cannot go on from.
#[derive(Debug, thiserror::Error)]
enum RebuildError {
    #[error("another rebuild was begun")]
    ThrownAway,
    #[error("this generation is the live one")]
    Swapped,
}

/// Tables that nobody reads yet.
#[derive(Debug)]
struct MemoryGeneration {
    database: Arc<Mutex<Database>>,
    settings: Settings,
    /// Which of the rebuilds it is; only the newest goes on.
    rebuild: u64,
    /// None once they are the live ones.
    rows: Option<Rows>,
    checkpoint: Checkpoint,
}

impl MemoryGeneration {
    fn check_newest(&self, database: &Database, doing: &'static str) -> Result<(), StoreError> {
        if database.rebuilds == self.rebuild {
            Ok(())
        } else {
            Err(StoreError::permanent(doing, RebuildError::ThrownAway))
        }
    }
}

#[async_trait]
impl Generation for MemoryGeneration {
    fn checkpoint(&self) -> Checkpoint {
        self.checkpoint.clone()
    }

    async fn apply(&mut self, batch: Batch) -> Result<Applied, ApplyError> {
        const DOING: &str = "rebuilding";
        self.check_newest(&lock(&self.database), DOING)?;
        let Some(rows) = &mut self.rows else {
            return Err(StoreError::permanent(DOING, RebuildError::Swapped).into());
        };
        or_halted(apply_to(rows, &mut self.checkpoint, &batch, &self.settings)?)
    }

    async fn seal(&mut self) -> Result<(), StoreError> {
        self.check_newest(&lock(&self.database), "sealing a rebuild")
    }

    async fn differences(&mut self, live: Position) -> Result<Vec<Difference>, StoreError> {
        let database = lock(&self.database);
        let greatest = database.rows.greatest_position();
        let upto = Table::compared_up_to(live, greatest, self.checkpoint.position);
        Ok(self.rows.as_ref().map_or_else(Vec::new, |rows| database.rows.differences(rows, upto)))
    }

    async fn swap(&mut self, rewind_from: Option<Position>) -> Result<bool, StoreError> {
        let mut database = lock(&self.database);
        let mut row = database.projector.clone().unwrap_or_default();
        if self.rows.is_none() {
            return Ok(true);
        }
        self.check_newest(&database, "swapping in a rebuild")?;
        let live = row.checkpoint.position;
        if live > self.checkpoint.position && rewind_from != Some(live) {
            return Ok(false);
        }
        if let Some(rows) = self.rows.take() {
            database.rows = rows;
            row.checkpoint = self.checkpoint.clone();
            database.projector = Some(row);
        }
        Ok(true)
    }
}
