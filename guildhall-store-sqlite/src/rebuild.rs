//! Rebuilding: the next generation of the tables is filled beside the live one, without keys,
//! indexes, triggers or foreign keys; those are made afterwards, and then the tables swap names.
//!
//! What belongs to a table is read from the schema as it is, so it is described only once, and an
//! index that an embedder added is made again too.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use guildhall_core::store::{Filler, ProjectorSettings};
use guildhall_core::{
    Applied, ApplyError, Batch, Checkpoint, Difference, Generation, Position, StoreError,
};

use crate::connection::DatabaseFile;
use crate::crew::Crew;
use crate::error::Doing;
use crate::heads::load_heads;
use crate::lease::{load_row, save_row};
use crate::workers::{Workers, run_blocking};

mod next_tables;

use next_tables::NextTables;

/// A generation of the Ops DB under construction.
pub(crate) struct SqliteGeneration {
    checkpoint: Checkpoint,
    worker: Workers<Building>,
}

impl fmt::Debug for SqliteGeneration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SqliteGeneration")
            .field("checkpoint", &self.checkpoint)
            .finish_non_exhaustive()
    }
}

impl SqliteGeneration {
    /// Throws an unfinished generation away and starts an empty one.
    pub(crate) async fn begin(
        file: DatabaseFile,
        crew: Arc<Crew>,
        settings: ProjectorSettings,
    ) -> Result<Self, StoreError> {
        const DOING: &str = "beginning a rebuild";
        crew.check_open(DOING)?;
        let building = run_blocking(DOING, move || Building::begin(file, &settings)).await??;
        let worker = Workers::spawn(&crew, "guildhall-rebuild", vec![building])?;
        Ok(Self { checkpoint: Checkpoint::ZERO, worker })
    }
}

#[async_trait]
impl Generation for SqliteGeneration {
    fn checkpoint(&self) -> Checkpoint {
        self.checkpoint.clone()
    }

    async fn apply(&mut self, batch: Batch) -> Result<Applied, ApplyError> {
        let (applied, checkpoint) =
            self.worker.run("rebuilding", move |building| building.apply(batch)).await?;
        self.checkpoint = checkpoint;
        applied
    }

    async fn seal(&mut self) -> Result<(), StoreError> {
        self.worker.run("sealing a rebuild", Building::seal).await
    }

    async fn differences(&mut self, live: Position) -> Result<Vec<Difference>, StoreError> {
        const DOING: &str = "comparing a rebuild with the live tables";
        self.worker.run(DOING, move |building| building.differences(live).doing(DOING)).await
    }

    async fn swap(&mut self, rewind_from: Option<Position>) -> Result<bool, StoreError> {
        self.worker.run("swapping in a rebuild", move |building| building.swap(rewind_from)).await
    }
}

/// The thread's own. Dropped before it is swapped in, it throws its tables away.
struct Building {
    /// Of the projector whose tables these are to be.
    name: String,
    filler: Filler,
    tables: NextTables,
}

impl Building {
    fn begin(file: DatabaseFile, settings: &ProjectorSettings) -> Result<Self, StoreError> {
        let (name, filler) = (settings.name.clone(), Filler::new(settings));
        Ok(Self { name, filler, tables: NextTables::make(file)? })
    }

    fn apply(
        &mut self,
        batch: Batch,
    ) -> Result<(Result<Applied, ApplyError>, Checkpoint), ApplyError> {
        const DOING: &str = "rebuilding";
        let Self { filler, tables, .. } = self;
        tables.check_not_live(DOING)?;
        let mut loading = filler.begin(batch)?;
        if let Some((keys, heads)) = loading.missing() {
            load_heads(&tables.connection, &tables.statements, keys, heads)
                .doing("loading heads")?;
        }
        let folded = loading.fold()?;
        let (changes, deployments) = (folded.changes(), folded.deployments());
        tables.write(DOING, |transaction, statements| {
            statements.write(transaction, changes, deployments).doing(DOING)
        })?;
        let applied = folded.written();
        if let Some(held) = filler.spill()? {
            tables.write_held(held)?;
        }
        Ok((applied, filler.checkpoint().clone()))
    }

    fn seal(&mut self) -> Result<(), StoreError> {
        if let Some(held) = self.filler.release()? {
            self.tables.write_held(held)?;
        }
        self.tables.seal()
    }

    fn differences(&mut self, live: Position) -> rusqlite::Result<Vec<Difference>> {
        let rebuilt = self.filler.checkpoint().position;
        self.tables.differences(live, &self.name, rebuilt)
    }

    fn swap(&mut self, rewind_from: Option<Position>) -> Result<bool, StoreError> {
        if self.tables.are_live() {
            return Ok(true);
        }
        self.seal()?;
        let Self { name, filler, tables } = self;
        tables.swap(|transaction| {
            let live = load_row(transaction, name)?;
            let Some(row) = live.swapped(filler.checkpoint(), rewind_from) else {
                return Ok(false);
            };
            save_row(transaction, name, &row)?;
            Ok(true)
        })
    }
}
