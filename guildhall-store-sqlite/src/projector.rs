//! The projector of the Ops DB: an [`Applier`] in a transaction of SQLite's.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use guildhall_core::store::{
    Applier, CheckpointRow, Deployments, Gathered, ProjectorSettings, Standby, Turn,
};
use guildhall_core::{
    Applied, ApplyError, Batch, Checkpoint, CustodyPolicy, Generation, HolderId, Lease,
    OnViolation, Projector, Rebuild, StoreError, Timestamp,
};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::changes::Statements;
use crate::connection::{DatabaseFile, Role};
use crate::crew::Crew;
use crate::error::{Doing, disagreement};
use crate::heads::load_heads;
use crate::lease::{load_row, save_row};
use crate::place::Place;
use crate::presence::Presence;
use crate::read_model::{ReadModel, load_quarantined, load_rows, show};
use crate::rebuild::SqliteGeneration;
use crate::store::SqliteStore;
use crate::workers::Workers;

/// Settings of a projector; [`SqliteStore::projector`] starts from the defaults.
#[must_use]
pub struct ProjectorBuilder {
    file: DatabaseFile,
    crew: Arc<Crew>,
    settings: ProjectorSettings,
    read_models: Vec<Box<dyn ReadModel>>,
}

/// Two read models of one projector, or a read model and the projector, share a name.
#[derive(Debug, thiserror::Error)]
#[error("two read models are called {name:?}")]
struct NameTaken {
    name: String,
}

impl ProjectorBuilder {
    pub(crate) fn new(file: DatabaseFile, crew: Arc<Crew>, lease_time: Duration) -> Self {
        let settings = ProjectorSettings::new(lease_time);
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

    /// Approximate upper bound on the heads kept between batches, in bytes; 32 MiB by default, enough
    /// for some 50,000 artifacts. What is forgotten is loaded again.
    pub fn memory_bytes(mut self, memory_bytes: usize) -> Self {
        self.settings.memory_bytes = memory_bytes;
        self
    }

    /// Approximate upper bound on the rows that a projector which is far behind gathers for one
    /// transaction, in bytes; 32 MiB by default, those of some 100,000 entries. Appends to the same
    /// file wait while it is written: a second or so.
    pub fn transaction_bytes(mut self, transaction_bytes: usize) -> Self {
        self.settings.transaction_bytes = transaction_bytes;
        self
    }

    /// Approximate upper bound on the rows and heads that a rebuild holds back, in bytes; 96 MiB by
    /// default, enough for some 30,000 artifacts with three targets each. A rebuild that needs more
    /// goes on at the pace of a catch-up.
    pub fn rebuild_memory_bytes(mut self, rebuild_memory_bytes: usize) -> Self {
        self.settings.rebuild_memory_bytes = rebuild_memory_bytes;
        self
    }

    /// Also applies this read model, in the same transaction.
    pub fn read_model(mut self, read_model: impl ReadModel + 'static) -> Self {
        self.read_models.push(Box::new(read_model));
        self
    }

    /// Starts the projector's thread, which owns its connection. Blocks for a moment.
    ///
    /// # Errors
    /// Permanent where two read models share a name, one has the projector's name, or the store was
    /// opened for reading; otherwise the store's own.
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
        let holder = HolderId::new();
        let projecting = Projecting {
            connection: self.file.connect(Role::Project)?,
            place: self.file.place()?,
            file: self.file.clone(),
            name: self.settings.name.clone(),
            applier: Applier::new(self.settings.clone(), holder),
            presence: Presence::beside(self.file.path(), holder),
            statements: Statements::live(),
            read_models: self.read_models,
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
    /// A projector of the Ops DB, to be configured and started.
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
/// The lease goes by this host's clock, which every process that opens the file shares.
#[derive(Clone)]
pub struct SqliteProjector {
    worker: Workers<Projecting>,
    file: DatabaseFile,
    settings: ProjectorSettings,
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
                    let row = load_row(&transaction, &name).doing(DOING)?;
                    Ok((name, row.checkpoint))
                };
                names.into_iter().map(load).collect::<Result<_, StoreError>>()
            })
            .await
    }

    async fn apply(&self, batch: Batch) -> Result<Applied, ApplyError> {
        // What a panic left is whole: heads are kept only after a commit.
        self.worker.run("projecting", move |projecting| projecting.apply(batch, false)).await
    }

    async fn gather(&self, batch: Batch) -> Result<Applied, ApplyError> {
        self.worker.run("projecting", move |projecting| projecting.apply(batch, true)).await
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
        let row = load_row(connection, name).doing("reading a checkpoint")?;
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
    name: String,
    applier: Applier,
    presence: Presence,
    statements: Statements,
    read_models: Vec<Box<dyn ReadModel>>,
}

impl Projecting {
    /// Applies a batch, or holds it back where others follow and memory is not full.
    fn apply(&mut self, batch: Batch, is_followed: bool) -> Result<Applied, ApplyError> {
        const DOING: &str = "projecting";
        let Self { connection, place, file, name, applier, presence, statements, read_models } =
            self;
        let _turn = file.gate().enter();
        let (transaction, row) = begin(connection, place, name, DOING)?;
        let stands = row.checkpoint.position;
        let turn = take_turn(applier, presence, row)?;
        let mut loading = turn.begin(batch, load_rows(&transaction, read_models)?)?;
        if let Some((keys, heads)) = loading.missing() {
            load_heads(&transaction, statements, keys, heads).doing("loading heads")?;
        }
        if let Some(positions) = loading.judged_before() {
            let rows = load_quarantined(&transaction, &positions).doing("loading verdicts")?;
            loading.know_quarantined(rows);
        }
        let gathered =
            if is_followed { loading.gather()? } else { Gathered::Folded(loading.fold()?) };
        let mut folded = match gathered {
            Gathered::Folded(folded) => folded,
            Gathered::HeldBack(held_back) => {
                save_row(&transaction, name, held_back.row()).doing(DOING)?;
                transaction.commit().doing(DOING)?;
                place.check().doing(DOING)?;
                return Ok(held_back.committed());
            }
        };
        folded.changes_mut().sort_by_artifact();
        statements
            .write(&transaction, folded.changes(), Deployments::Upserted)
            .map_err(|error| disagreement(DOING, error, stands))?;
        save_row(&transaction, name, folded.row()).doing(DOING)?;
        for (nth, model) in read_models.iter_mut().enumerate() {
            if let Some(news) = folded.news(nth) {
                show(&transaction, model.as_mut(), &news)?;
            }
        }
        transaction.commit().doing(DOING)?;
        place.check().doing(DOING)?;
        folded.committed()
    }

    fn hold_lease(&mut self) -> Result<Lease, StoreError> {
        const DOING: &str = "taking the lease";
        let Self { connection, place, file, name, applier, presence, .. } = self;
        let _turn = file.gate().enter();
        let (transaction, row) = begin(connection, place, name, DOING)?;
        let turn = match take_turn(applier, presence, row) {
            Ok(turn) => turn,
            Err(standby) => return Ok(standby.into()),
        };
        save_row(&transaction, name, turn.row()).doing(DOING)?;
        transaction.commit().doing(DOING)?;
        place.check().doing(DOING)?;
        turn.held();
        Ok(Lease::Held)
    }

    fn release_lease(&mut self) -> Result<(), StoreError> {
        const DOING: &str = "releasing the lease";
        let Self { connection, place, file, name, applier, presence, .. } = self;
        let _turn = file.gate().enter();
        let (transaction, mut row) = begin(connection, place, name, DOING)?;
        if applier.release(&mut row.lease) {
            save_row(&transaction, name, &row).doing(DOING)?;
            transaction.commit().doing(DOING)?;
        }
        presence.end();
        Ok(())
    }
}

/// Takes the lease where it is free, has lapsed, or its holder's process has ended.
fn take_turn<'a>(
    applier: &'a mut Applier,
    presence: &mut Presence,
    mut row: CheckpointRow,
) -> Result<Turn<'a>, Standby> {
    presence.free_abandoned(&mut row.lease);
    let turn = applier.take_turn(row, Timestamp::now());
    match &turn {
        Ok(_) => presence.show(),
        Err(_) => presence.end(),
    }
    turn
}

/// A transaction that nobody else writes beside, and the projector's row as it stands in it.
fn begin<'c>(
    connection: &'c mut Connection,
    place: &Place,
    name: &str,
    doing: &'static str,
) -> Result<(Transaction<'c>, CheckpointRow), StoreError> {
    place.check().doing(doing)?;
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
    let row = load_row(&transaction, name).doing(doing)?;
    Ok((transaction, row))
}
