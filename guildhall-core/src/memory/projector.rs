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
use crate::fold::OnViolation;
use crate::ids::{HolderId, Position};
use crate::ops::{Difference, Table};
use crate::projector::{Applied, ApplyError, Batch, Generation, Lease, Projector, Rebuild};
use crate::store::{Applier, Filler, Folded, Gathered, Projecting, ProjectorSettings};
use crate::time::now;

/// Projects into a [`MemoryOpsDb`] (see [`Projector`] for what it promises). Clones are one
/// projector and share its lease; [`MemoryOpsDb::projector`] makes a rival.
#[derive(Debug, Clone)]
pub struct MemoryProjector {
    database: Arc<Mutex<Database>>,
    holder: HolderId,
    settings: ProjectorSettings,
    applier: Arc<Mutex<Applier>>,
}

impl MemoryOpsDb {
    /// A projector of these tables, with a claim of its own to the lease.
    pub fn projector(&self) -> MemoryProjector {
        let settings = ProjectorSettings::new(Duration::from_secs(15));
        MemoryProjector::new(Arc::clone(&self.database), HolderId::new(), settings)
    }
}

impl MemoryProjector {
    fn new(database: Arc<Mutex<Database>>, holder: HolderId, settings: ProjectorSettings) -> Self {
        let applier = Arc::new(Mutex::new(Applier::new(settings.clone(), holder)));
        Self { database, holder, settings, applier }
    }

    /// The policy that moves of custody are judged by; the standard one by default.
    #[must_use]
    pub fn with_policy(self, policy: CustodyPolicy) -> Self {
        let settings = ProjectorSettings { policy, ..self.settings };
        Self::new(self.database, self.holder, settings)
    }

    /// What to do with an entry that breaks an invariant; quarantine by default.
    #[must_use]
    pub fn with_on_violation(self, on_violation: OnViolation) -> Self {
        let settings = ProjectorSettings { on_violation, ..self.settings };
        Self::new(self.database, self.holder, settings)
    }

    /// How long the lease holds without being renewed; 15 s by default.
    #[must_use]
    pub fn with_lease_time(self, lease_time: Duration) -> Self {
        let settings = ProjectorSettings { lease_time, ..self.settings };
        Self::new(self.database, self.holder, settings)
    }
}

#[async_trait]
impl Projector for MemoryProjector {
    async fn checkpoint(&self) -> Result<Checkpoint, StoreError> {
        Ok(lock(&self.database).row().checkpoint)
    }

    async fn apply(&self, batch: Batch) -> Result<Applied, ApplyError> {
        let (mut database, mut applier) = (lock(&self.database), lock(&self.applier));
        let turn = applier.take_turn(database.row(), now())?;
        let mut loading = turn.begin(batch, Vec::new())?;
        if let Some((keys, heads)) = loading.missing() {
            database.rows.load_heads(keys, heads);
        }
        commit(&mut database, loading.fold()?)
    }

    async fn gather(&self, batch: Batch) -> Result<Applied, ApplyError> {
        let (mut database, mut applier) = (lock(&self.database), lock(&self.applier));
        let turn = applier.take_turn(database.row(), now())?;
        let mut loading = turn.begin(batch, Vec::new())?;
        if let Some((keys, heads)) = loading.missing() {
            database.rows.load_heads(keys, heads);
        }
        match loading.gather()? {
            Gathered::Folded(folded) => commit(&mut database, folded),
            Gathered::HeldBack(held_back) => {
                database.projector = Some(held_back.row().clone());
                Ok(held_back.committed())
            }
        }
    }

    async fn hold_lease(&self) -> Result<Lease, StoreError> {
        let (mut database, mut applier) = (lock(&self.database), lock(&self.applier));
        match applier.take_turn(database.row(), now()) {
            Ok(turn) => {
                database.projector = Some(turn.row().clone());
                turn.held();
                Ok(Lease::Held)
            }
            Err(standby) => Ok(standby.into()),
        }
    }

    async fn release_lease(&self) -> Result<(), StoreError> {
        if let Some(row) = &mut lock(&self.database).projector {
            lock(&self.applier).release(&mut row.lease);
        }
        Ok(())
    }

    fn lease_time(&self) -> Duration {
        self.settings.lease_time
    }
}

/// Nothing fails here.
fn commit(database: &mut Database, folded: Folded<Projecting<'_>>) -> Result<Applied, ApplyError> {
    Arc::make_mut(&mut database.rows).write(folded.changes().clone());
    database.projector = Some(folded.row().clone());
    folded.committed()
}

#[async_trait]
impl Rebuild for MemoryProjector {
    async fn begin_rebuild(&self) -> Result<Box<dyn Generation>, StoreError> {
        let mut database = lock(&self.database);
        database.rebuilds += 1;
        Ok(Box::new(MemoryGeneration {
            database: Arc::clone(&self.database),
            rebuild: database.rebuilds,
            rows: Some(Rows::default()),
            filler: Filler::new(&self.settings),
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
    /// Which of the rebuilds it is; only the newest goes on.
    rebuild: u64,
    /// None once they are the live ones.
    rows: Option<Rows>,
    filler: Filler,
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
        self.filler.checkpoint().clone()
    }

    async fn apply(&mut self, batch: Batch) -> Result<Applied, ApplyError> {
        const DOING: &str = "rebuilding";
        self.check_newest(&lock(&self.database), DOING)?;
        let Some(rows) = &mut self.rows else {
            return Err(StoreError::permanent(DOING, RebuildError::Swapped).into());
        };
        let mut loading = self.filler.begin(batch)?;
        if let Some((keys, heads)) = loading.missing() {
            rows.load_heads(keys, heads);
        }
        let folded = loading.fold()?;
        rows.write(folded.changes().clone());
        let applied = folded.written();
        if let Some(held) = self.filler.spill()? {
            rows.write(held.rows().clone());
            held.written();
        }
        applied
    }

    async fn seal(&mut self) -> Result<(), StoreError> {
        self.check_newest(&lock(&self.database), "sealing a rebuild")?;
        if let Some(rows) = &mut self.rows
            && let Some(held) = self.filler.release()?
        {
            rows.write(held.rows().clone());
            held.written();
        }
        Ok(())
    }

    async fn differences(&mut self, live: Position) -> Result<Vec<Difference>, StoreError> {
        let database = lock(&self.database);
        let greatest = database.rows.greatest_position();
        let upto = Table::compared_up_to(live, greatest, self.filler.checkpoint().position);
        Ok(self.rows.as_ref().map_or_else(Vec::new, |rows| database.rows.differences(rows, upto)))
    }

    async fn swap(&mut self, rewind_from: Option<Position>) -> Result<bool, StoreError> {
        if self.rows.is_none() {
            return Ok(true);
        }
        self.seal().await?;
        let mut database = lock(&self.database);
        self.check_newest(&database, "swapping in a rebuild")?;
        let Some(row) = database.row().swapped(self.filler.checkpoint(), rewind_from) else {
            return Ok(false);
        };
        if let Some(rows) = self.rows.take() {
            database.rows = Arc::new(rows);
            database.projector = Some(row);
        }
        Ok(true)
    }
}
