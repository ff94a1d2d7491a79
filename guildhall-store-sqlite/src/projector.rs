//! The projector of the Ops DB: loads heads, lets the fold judge, writes what it answers and the
//! checkpoint with it, in one transaction.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use guildhall_core::fold::{Fold, Halt};
use guildhall_core::{
    Applied, ApplyError, Batch, Checkpoint, CustodyPolicy, DecodedEntry, Generation, HolderId,
    Lease, Left, OPS_DB, OnViolation, Position, Projector, Rebuild, StoreError, Timestamp,
};
use rusqlite::{Connection, TransactionBehavior};

use crate::changes::{Deployments, Statements, sort_by_artifact};
use crate::connection::{DatabaseFile, Role};
use crate::error::{Doing, disagreement};
use crate::heads::load_heads;
use crate::lease::CheckpointRow;
use crate::place::Place;
use crate::read_model::{ReadModel, apply_read_models};
use crate::rebuild::SqliteGeneration;
use crate::store::SqliteStore;
use crate::workers::{Crew, Workers};

/// What a projector does and what it may use; [`SqliteStore::projector`] holds the defaults.
#[must_use]
pub struct ProjectorBuilder {
    file: DatabaseFile,
    crew: Arc<Crew>,
    settings: Settings,
    read_models: Vec<Box<dyn ReadModel>>,
}

/// What the projector and a rebuild of its tables share.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) policy: CustodyPolicy,
    pub(crate) on_violation: OnViolation,
    pub(crate) lease_time: Duration,
    pub(crate) memory_bytes: usize,
    pub(crate) rebuild_memory_bytes: usize,
}

/// Two read models of one projector, or a read model and the projector, have one name.
#[derive(Debug, thiserror::Error)]
#[error("the name {name:?} stands for two read models")]
struct NameTaken {
    name: String,
}

impl ProjectorBuilder {
    pub(crate) fn new(file: DatabaseFile, crew: Arc<Crew>, lease_time: Duration) -> Self {
        let settings = Settings {
            name: OPS_DB.to_owned(),
            policy: CustodyPolicy::standard(),
            on_violation: OnViolation::Quarantine,
            lease_time,
            memory_bytes: 32 << 20,
            rebuild_memory_bytes: 96 << 20,
        };
        Self { file, crew, settings, read_models: Vec::new() }
    }

    /// The policy that moves of custody are judged by; the standard one by default.
    pub fn policy(mut self, policy: CustodyPolicy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// What to do with an entry that breaks an invariant; quarantine by default.
    pub fn on_violation(mut self, on_violation: OnViolation) -> Self {
        self.settings.on_violation = on_violation;
        self
    }

    /// How long the lease holds without being renewed; the [store's](crate::SqliteOptions::lease_time)
    /// by default.
    pub fn lease_time(mut self, lease_time: Duration) -> Self {
        self.settings.lease_time = lease_time;
        self
    }

    /// How many bytes the heads may hold between batches, about; 32 MiB by default, enough for
    /// some 50,000 artifacts. What is forgotten is loaded again.
    pub fn memory_bytes(mut self, memory_bytes: usize) -> Self {
        self.settings.memory_bytes = memory_bytes;
        self
    }

    /// How many bytes of rows and heads a rebuild may hold back, about; 96 MiB by default, enough
    /// for some 30,000 artifacts with three targets each. A rebuild that needs more goes on at the
    /// pace of a catch-up.
    pub fn rebuild_memory_bytes(mut self, rebuild_memory_bytes: usize) -> Self {
        self.settings.rebuild_memory_bytes = rebuild_memory_bytes;
        self
    }

    /// Applies this read model too, in the same transaction.
    pub fn read_model(mut self, read_model: impl ReadModel + 'static) -> Self {
        self.read_models.push(Box::new(read_model));
        self
    }

    /// Starts the projector's thread, which owns its connection. Blocks for a moment.
    ///
    /// # Errors
    /// Permanent where two read models share a name or one is called as the projector is, or the
    /// store was opened for reading; otherwise the store's own.
    pub fn start(self) -> Result<SqliteProjector, StoreError> {
        const DOING: &str = "starting the projector";
        let mut names = vec![self.settings.name.as_str()];
        for model in &self.read_models {
            if names.contains(&model.name()) {
                return Err(StoreError::permanent(
                    DOING,
                    NameTaken { name: model.name().to_owned() },
                ));
            }
            names.push(model.name());
        }
        let names = names.into_iter().map(str::to_owned).collect();
        self.crew.check_open(DOING)?;
        let projecting = Projecting {
            connection: self.file.connect(Role::Project)?,
            place: self.file.place()?,
            file: self.file.clone(),
            settings: self.settings.clone(),
            holder: HolderId::new(),
            fence: None,
            statements: Statements::live(),
            read_models: self.read_models,
            written: None,
        };
        let worker = Workers::spawn(&self.crew, "guildhall-project", vec![projecting])?;
        Ok(SqliteProjector { worker, file: self.file, settings: self.settings, names })
    }
}

impl fmt::Debug for ProjectorBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ProjectorBuilder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// A projector of the Ops DB, still to be started.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let folder = tempfile::tempdir()?;
    /// use guildhall_core::{Batch, Chronicle, Projector, ReadLimit};
    /// use guildhall_store_sqlite::SqliteStore;
    ///
    /// let store = SqliteStore::open(folder.path().join("guildhall.db")).await?;
    /// let projector = store.projector().start()?;
    /// let at = projector.checkpoint().await?.position;
    /// let entries = store.chronicle().read(at, ReadLimit::entries(10_000)).await?;
    /// if let Some(origin) = store.chronicle().origin().await? {
    ///     projector.apply(Batch::decode(origin, entries)?).await?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn projector(&self) -> ProjectorBuilder {
        let crew = Arc::clone(self.ops_readers().crew());
        ProjectorBuilder::new(self.ops_file().clone(), crew, self.options().lease_time)
    }
}

/// Projects into the Ops DB (see [`Projector`] for what it promises). Clones are one projector.
///
/// The lease's clock is this host's; all who open the file are on it.
#[derive(Clone)]
pub struct SqliteProjector {
    worker: Workers<Projecting>,
    file: DatabaseFile,
    settings: Settings,
    /// Whose checkpoints it keeps.
    names: Vec<String>,
}

impl fmt::Debug for SqliteProjector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SqliteProjector")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Projector for SqliteProjector {
    async fn checkpoint(&self) -> Result<Checkpoint, StoreError> {
        let names = self.names.clone();
        self.worker
            .run("reading a checkpoint", move |projecting| {
                projecting.place.check().doing("reading a checkpoint")?;
                let transaction =
                    projecting.connection.transaction().doing("reading a checkpoint")?;
                furthest_behind(&transaction, &names)
            })
            .await
    }

    async fn checkpoints(&self) -> Result<Vec<(String, Checkpoint)>, StoreError> {
        let names = self.names.clone();
        self.worker
            .run("reading a checkpoint", move |projecting| {
                const DOING: &str = "reading a checkpoint";
                projecting.place.check().doing(DOING)?;
                let transaction = projecting.connection.transaction().doing(DOING)?;
                let load = |name: String| {
                    let row = CheckpointRow::load(&transaction, &name).doing(DOING)?;
                    Ok((name, row.checkpoint))
                };
                names.into_iter().map(load).collect::<Result<_, StoreError>>()
            })
            .await
    }

    async fn apply(&self, batch: Batch) -> Result<Applied, ApplyError> {
        let names = self.names.clone();
        self.worker
            .run("projecting", move |projecting| {
                // What a panic left is whole: the fold is put back only after a commit.
                projecting.apply(batch, &names)
            })
            .await
    }

    async fn hold_lease(&self) -> Result<Lease, StoreError> {
        self.worker.run("taking the lease", Projecting::hold_lease).await
    }

    async fn release_lease(&self) -> Result<(), StoreError> {
        self.worker.run("releasing the lease", Projecting::release_lease).await
    }

    fn lease_time(&self) -> Duration {
        self.settings.lease_time
    }
}

#[async_trait]
impl Rebuild for SqliteProjector {
    /// Rebuilds the Ops DB's tables; an embedder's read models stay as they are.
    async fn begin_rebuild(&self) -> Result<Box<dyn Generation>, StoreError> {
        let generation = SqliteGeneration::begin(
            self.file.clone(),
            Arc::clone(self.worker.crew()),
            self.settings.clone(),
        )
        .await?;
        Ok(Box::new(generation))
    }
}

fn furthest_behind(connection: &Connection, names: &[String]) -> Result<Checkpoint, StoreError> {
    let mut furthest: Option<Checkpoint> = None;
    for name in names {
        let row = CheckpointRow::load(connection, name).doing("reading a checkpoint")?;
        furthest = match furthest {
            Some(other) if other.position <= row.checkpoint.position => Some(other),
            _ => Some(row.checkpoint),
        };
    }
    Ok(furthest.unwrap_or(Checkpoint::ZERO))
}

/// What the projector's thread keeps between batches.
struct Projecting {
    connection: Connection,
    place: Place,
    file: DatabaseFile,
    settings: Settings,
    holder: HolderId,
    /// Under which fence it last held the lease.
    fence: Option<i64>,
    statements: Statements,
    read_models: Vec<Box<dyn ReadModel>>,
    /// How it left the tables, and the heads that go with that.
    written: Option<(Left, Fold)>,
}

impl Projecting {
    fn apply(&mut self, batch: Batch, names: &[String]) -> Result<Applied, ApplyError> {
        const DOING: &str = "projecting";
        let name = self.settings.name.as_str();
        let _turn = self.file.gate().enter();
        self.place.check().doing(DOING)?;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .doing(DOING)?;
        let mut row = CheckpointRow::load(&transaction, name).doing(DOING)?;
        // Taken out: whatever fails from here on, the heads may be ahead of the tables.
        let written = self.written.take();
        if let Lease::Standby { holder, until } =
            row.lease.take(self.holder, self.fence, self.settings.lease_time, Timestamp::now())
        {
            return Err(ApplyError::Standby { projector: name.to_owned(), holder, until });
        }
        let mut fold = match written {
            Some((left, fold)) if left.is_what(&row.left())? => fold,
            _ => Fold::new(self.settings.policy.clone(), self.settings.on_violation),
        };
        let before = furthest_behind(&transaction, names)?;
        let fresh = batch.after(&row.checkpoint)?;
        let keys = fold.missing(fresh);
        if !keys.is_empty() {
            load_heads(&transaction, &self.statements, &keys, fold.heads_mut())
                .doing("loading heads")?;
        }
        let mut last = batch.last_position().unwrap_or(before.position);
        let mut checkpoint = match fresh {
            [] => row.checkpoint.clone(),
            _ => batch.checkpoint_at(last, &row.checkpoint),
        };
        // The entries are moved into the fold unless somebody else needs them afterwards.
        let (halt, batch) = if self.read_models.is_empty()
            && self.settings.on_violation == OnViolation::Quarantine
        {
            (
                fold_entries(
                    &mut fold,
                    batch.into_entries_after(row.checkpoint.position),
                    row.checkpoint.position,
                )?,
                None,
            )
        } else {
            (fold_entries(&mut fold, fresh.to_vec(), row.checkpoint.position)?, Some(batch))
        };
        if let (Some(halt), Some(batch)) = (&halt, &batch) {
            last = halt.position.previous();
            checkpoint = batch.checkpoint_at(last, &row.checkpoint);
        }
        let mut changes = fold.take_changes();
        sort_by_artifact(&mut changes);
        self.statements
            .write(&transaction, &changes, Deployments::Upserted)
            .map_err(|error| disagreement(DOING, error, row.checkpoint.position))?;
        row.checkpoint = checkpoint;
        row.save(&transaction, name).doing(DOING)?;
        if let Some(batch) = &batch {
            apply_read_models(&transaction, &mut self.read_models, batch, last)?;
        }
        let after = furthest_behind(&transaction, names)?;
        transaction.commit().doing(DOING)?;
        self.place.check().doing(DOING)?;

        if fold.weight_bytes() > self.settings.memory_bytes {
            fold.forget_heads();
        }
        self.fence = Some(row.lease.fence);
        self.written = Some((row.left(), fold));
        if let Some(Halt { position, violation }) = halt {
            return Err(ApplyError::Halted { position, violation });
        }
        let mut applied = Applied::default();
        applied.position = after.position;
        applied.entries = after.position.get() - before.position.get();
        applied.quarantined = u64::try_from(changes.quarantined.len()).unwrap_or(u64::MAX);
        applied.skipped = changes.skipped;
        Ok(applied)
    }

    fn hold_lease(&mut self) -> Result<Lease, StoreError> {
        const DOING: &str = "taking the lease";
        let name = self.settings.name.as_str();
        let _turn = self.file.gate().enter();
        self.place.check().doing(DOING)?;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .doing(DOING)?;
        let mut row = CheckpointRow::load(&transaction, name).doing(DOING)?;
        let lease =
            row.lease.take(self.holder, self.fence, self.settings.lease_time, Timestamp::now());
        if lease == Lease::Held {
            row.save(&transaction, name).doing(DOING)?;
            transaction.commit().doing(DOING)?;
            self.place.check().doing(DOING)?;
            self.fence = Some(row.lease.fence);
        }
        Ok(lease)
    }

    fn release_lease(&mut self) -> Result<(), StoreError> {
        const DOING: &str = "releasing the lease";
        let name = self.settings.name.as_str();
        let _turn = self.file.gate().enter();
        self.place.check().doing(DOING)?;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .doing(DOING)?;
        let mut row = CheckpointRow::load(&transaction, name).doing(DOING)?;
        if row.lease.release(self.holder) {
            row.save(&transaction, name).doing(DOING)?;
            transaction.commit().doing(DOING)?;
        }
        Ok(())
    }
}

/// Folds entries whose heads are loaded.
pub(crate) fn fold_entries(
    fold: &mut Fold,
    entries: Vec<DecodedEntry>,
    checkpoint: Position,
) -> Result<Option<Halt>, ApplyError> {
    fold.apply(entries).map_err(|error| ApplyError::of_fold(error, checkpoint))
}
