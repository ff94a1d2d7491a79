//! The projector of the Ops DB: an [`Applier`] in a transaction of PostgreSQL's.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use guildhall_core::store::{Applier, Deployments, ProjectorSettings};
use guildhall_core::{
    Applied, ApplyError, Batch, Checkpoint, CustodyPolicy, Disagreement, Generation, HolderId,
    Lease, OnViolation, Position, Projector, Rebuild, StoreError,
};
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use crate::at_once::Left;
use crate::changes::{OpsTables, TABLES};
use crate::database::Database;
use crate::error::{Doing, NoAnswer, ReadOnly, Silent, fault, has_sqlstate};
use crate::heads::load_heads;
use crate::lease::{LeaseRow, Locking, furthest_behind, load_checkpoints, long_silence, save_row};
use crate::partitions::{MonthsAhead, Partitions};
use crate::read_model::{ReadModel, load_quarantined, lock_rows, plan_as_usual, show};
use crate::rebuild::PostgresGeneration;
use crate::settings::Settings;
use crate::store::PostgresStore;
use crate::watch::notify;

/// Settings of a projector; [`PostgresStore::projector`] starts from the defaults.
#[must_use]
pub struct ProjectorBuilder {
    database: Database,
    settings: Settings,
    read_models: Vec<Box<dyn ReadModel>>,
}

/// Two read models of one projector, or a read model and the projector, share a name.
#[derive(Debug, thiserror::Error)]
#[error("two read models are called {name:?}")]
struct NameTaken {
    name: String,
}

impl ProjectorBuilder {
    pub(crate) fn new(database: Database, lease_time: Duration) -> Self {
        let projector = ProjectorSettings::new(lease_time);
        let settings = Settings { projector, partitions: Partitions::AsLive };
        Self { database, settings, read_models: Vec::new() }
    }

    /// The policy that moves of custody are judged by; the standard one by default.
    pub fn policy(mut self, policy: CustodyPolicy) -> Self {
        self.settings.projector.policy = policy;
        self
    }

    /// What to do with an entry that breaks an invariant; quarantine by default.
    pub fn on_violation(mut self, on_violation: OnViolation) -> Self {
        self.settings.projector.on_violation = on_violation;
        self
    }

    /// How long the lease holds without being renewed; the [store's](crate::PostgresOptions::lease_time)
    /// by default. The server ends a transaction in which the projector is silent for so long (a
    /// second at least), and one of a rebuild in which it is silent for twenty times as long.
    pub fn lease_time(mut self, lease_time: Duration) -> Self {
        self.settings.projector.lease_time = lease_time;
        self
    }

    /// Approximate upper bound on the heads kept between batches, in bytes; 32 MiB by default, enough
    /// for some 50,000 artifacts. What is forgotten is loaded again.
    pub fn memory_bytes(mut self, memory_bytes: usize) -> Self {
        self.settings.projector.memory_bytes = memory_bytes;
        self
    }

    /// Approximate upper bound on the rows and heads that a rebuild holds back, in bytes; 96 MiB by
    /// default, enough for some 30,000 artifacts with three targets each. A rebuild that needs more
    /// goes on at the pace of a catch-up.
    pub fn rebuild_memory_bytes(mut self, rebuild_memory_bytes: usize) -> Self {
        self.settings.projector.rebuild_memory_bytes = rebuild_memory_bytes;
        self
    }

    /// Whether a rebuild divides `verification_results`, `deployment_changes` and `custody_transitions` into
    /// partitions; as the live tables are by default.
    pub fn partitions(mut self, partitions: Partitions) -> Self {
        self.settings.partitions = partitions;
        self
    }

    /// Also applies this read model, in the same transaction.
    pub fn read_model(mut self, read_model: impl ReadModel + 'static) -> Self {
        self.read_models.push(Box::new(read_model));
        self
    }

    /// Makes the projector. The database is not contacted yet.
    ///
    /// # Errors
    /// Permanent where two read models share a name, one has the projector's name, or the store was
    /// opened for reading.
    pub fn start(self) -> Result<PostgresProjector, StoreError> {
        if self.database.is_read_only() {
            return Err(StoreError::permanent("starting the projector", ReadOnly));
        }
        let mut names = vec![self.settings.projector.name.clone()];
        for model in &self.read_models {
            let name = model.name().to_owned();
            if names.contains(&name) {
                return Err(StoreError::permanent("starting the projector", NameTaken { name }));
            }
            names.push(name);
        }
        let ProjectorSettings { name, lease_time, .. } = self.settings.projector.clone();
        let projecting = Projecting {
            tables: OpsTables::live(self.database.schema()),
            own: LeaseRow { database: self.database.clone(), projector: name, lease_time },
            applier: Applier::new(self.settings.projector.clone(), HolderId::new()),
            read_models: self.read_models,
            months_ahead: MonthsAhead::default(),
            teller: Teller::default(),
            left: None,
            connection: None,
        };
        Ok(PostgresProjector {
            database: self.database,
            settings: self.settings,
            names,
            projecting: Arc::new(Mutex::new(projecting)),
        })
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

impl PostgresStore {
    /// A projector of the Ops DB, to be configured and started.
    ///
    /// ```no_run
    /// # async fn project() -> Result<(), Box<dyn std::error::Error>> {
    /// use guildhall_core::{Batch, Chronicle, Projector, ReadLimit};
    /// use guildhall_store_postgres::PostgresStore;
    ///
    /// let store = PostgresStore::open("postgres://guildhall@db.example/ops").await?;
    /// let projector = store.projector().start()?;
    /// let at = projector.checkpoint().await?.position;
    /// let entries = store.chronicle().read(at, ReadLimit::entries(10_000)).await?;
    /// if let Some(origin) = store.chronicle().origin().await? {
    ///     projector.apply(Batch::decode(origin, entries)?).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn projector(&self) -> ProjectorBuilder {
        ProjectorBuilder::new(self.database().clone(), self.options().lease_time)
    }
}

/// Projects into the Ops DB (see [`Projector`] for what it promises). Clones are one projector.
///
/// The lease goes by the database's clock. A projector that freezes in a transaction is ended by the
/// server once it has been silent for as long as a lease holds; one that freezes in the middle of a
/// COPY, where the server does not time it out, by a rival. For that, both must log in as one role, or
/// the rival's must be a member of `pg_signal_backend` and `pg_read_all_stats`.
///
/// Its transactions do not wait for the disk (`synchronous_commit = off`): after a crash of the
/// server the Ops DB may be some hundred milliseconds behind, but consistent, and goes on from there.
#[derive(Clone)]
pub struct PostgresProjector {
    database: Database,
    settings: Settings,
    /// Whose checkpoints it keeps.
    names: Vec<String>,
    projecting: Arc<Mutex<Projecting>>,
}

impl fmt::Debug for PostgresProjector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PostgresProjector")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Projector for PostgresProjector {
    async fn checkpoint(&self) -> Result<Checkpoint, StoreError> {
        const DOING: &str = "reading a checkpoint";
        let (database, names) = (&self.database, &self.names);
        let asking =
            database.ask(async |connection| furthest_behind(connection, database, names).await);
        asking.await.doing(DOING)
    }

    async fn checkpoints(&self) -> Result<Vec<(String, Checkpoint)>, StoreError> {
        const DOING: &str = "reading a checkpoint";
        let (database, names) = (&self.database, &self.names);
        let asking =
            database.ask(async |connection| load_checkpoints(connection, database, names).await);
        let mut found: HashMap<_, _> = asking.await.doing(DOING)?.into_iter().collect();
        let stands = |name: &String| found.remove(name).unwrap_or(Checkpoint::ZERO);
        let stands = self.names.iter().map(stands).collect::<Vec<_>>();
        Ok(self.names.iter().cloned().zip(stands).collect())
    }

    async fn apply(&self, batch: Batch) -> Result<Applied, ApplyError> {
        const DOING: &str = "projecting";
        let projecting = Arc::clone(&self.projecting);
        // A task of its own: a caller that goes away leaves no half of a transaction.
        let mut applying = tokio::spawn(async move { projecting.lock().await.apply(batch).await });
        let patience = long_silence(self.settings.projector.lease_time);
        let Ok(applied) = timeout(patience, &mut applying).await else {
            applying.abort();
            return Err(StoreError::transient(DOING, Silent(patience)).into());
        };
        applied.map_err(|error| {
            if error.is_panic() {
                // What panicked, here or in a read model, would panic again.
                StoreError::permanent(DOING, error)
            } else {
                StoreError::transient(DOING, NoAnswer)
            }
        })?
    }

    async fn hold_lease(&self) -> Result<Lease, StoreError> {
        let patience = long_silence(self.settings.projector.lease_time);
        let holding = async { self.projecting.lock().await.hold_lease().await };
        timeout(patience, holding)
            .await
            .unwrap_or_else(|_| Err(StoreError::transient("taking the lease", Silent(patience))))
    }

    async fn release_lease(&self) -> Result<(), StoreError> {
        // A shutdown does not wait for a silent server: the lease lapses by itself.
        let patience = self.database.answer_timeout();
        let releasing = async { self.projecting.lock().await.release_lease().await };
        timeout(patience, releasing)
            .await
            .unwrap_or_else(|_| Err(StoreError::transient("releasing the lease", Silent(patience))))
    }

    fn lease_time(&self) -> Duration {
        self.settings.projector.lease_time
    }
}

#[async_trait]
impl Rebuild for PostgresProjector {
    /// Rebuilds the Ops DB's tables; an embedder's read models stay as they are. The role must own
    /// the tables, or be a member of the role that does.
    async fn begin_rebuild(&self) -> Result<Box<dyn Generation>, StoreError> {
        let (database, settings) = (self.database.clone(), self.settings.clone());
        Ok(Box::new(PostgresGeneration::begin(database, settings).await?))
    }
}

/// What the projector keeps between batches.
struct Projecting {
    tables: OpsTables,
    own: LeaseRow,
    applier: Applier,
    read_models: Vec<Box<dyn ReadModel>>,
    months_ahead: MonthsAhead,
    teller: Teller,
    /// How its row was left.
    left: Option<Left>,
    /// Kept while there is work, unless others may be waiting for one; and when it was last of use.
    connection: Option<(PoolConnection<Postgres>, Instant)>,
}

const DOING: &str = "projecting";

impl Projecting {
    /// How many entries are applied in one statement at most. What it costs the server grows with each
    /// kind of row that it has not met before; more of them are copied faster.
    const AT_ONCE: usize = 32;

    async fn apply(&mut self, batch: Batch) -> Result<Applied, ApplyError> {
        match self.apply_at_once(&batch).await? {
            Some(applied) => Ok(applied),
            None => self.apply_in_turn(batch).await,
        }
    }

    /// Applies a small batch in one statement, on the strength of what is known, which the statement
    /// verifies. None, and nothing is done, where it has to be applied in turn.
    async fn apply_at_once(&mut self, batch: &Batch) -> Result<Option<Applied>, ApplyError> {
        let Self { tables, own, applier, read_models, months_ahead, teller, left, connection } =
            self;
        let is_small = batch.entries().len() <= Self::AT_ONCE && read_models.is_empty();
        let Some(left) = left.take() else { return Ok(None) };
        if !is_small || months_ahead.is_due() || !applier.has_heads_of(batch) {
            return Ok(None);
        }
        let (now, at) = (left.now(), Instant::now());
        let turn = applier.take_turn(left.row().clone(), now)?;
        // What is wrong with the batch, if anything is, shows in the row as it stands.
        let Ok(mut loading) = turn.begin(batch.clone(), Vec::new()) else { return Ok(None) };
        // The heads are of an earlier generation.
        if loading.missing().is_some() {
            return Ok(None);
        }
        let folded = loading.fold()?;
        let database = &own.database;
        let kept = match connection.take() {
            Some((connection, since)) => database.still_alive(connection, since).await,
            None => None,
        };
        let mut over = match kept {
            Some(connection) => connection,
            None => database.acquire().await.doing(DOING)?,
        };
        let stands = left.row().checkpoint.position;
        let statement = OpsTables::write_at_once(folded.changes());
        let written =
            statement.execute(&mut over, tables, &own.projector, left.row(), folded.row()).await;
        match written {
            Ok(is_written) => {
                if database.has_room() {
                    *connection = Some((over, Instant::now()));
                }
                if !is_written {
                    return Ok(None);
                }
            }
            Err(error) => {
                // What became of it shows in the row.
                over.close_on_drop();
                return Err(of_write(error, stands));
            }
        }
        self.left = Some(Left::new(folded.row().clone(), now, at));
        if let Some(position) = folded.reaches() {
            teller.tell(database, position);
        }
        folded.committed().map(Some)
    }

    async fn apply_in_turn(&mut self, batch: Batch) -> Result<Applied, ApplyError> {
        let Self { tables, own, applier, read_models, months_ahead, teller, left, connection } =
            self;
        // Whoever has one asks for no other.
        (*left, *connection) = (None, None);
        let database = &own.database;
        months_ahead.see_to(database).await.doing("making partitions")?;
        let (mut transaction, row, now) = match own.begin(applier, DOING).await? {
            Locking::Locked(transaction, row, now) => (transaction, row, now),
            Locking::Standby(standby) => return Err(standby.into()),
        };
        let at = Instant::now();
        let stands = row.checkpoint.position;
        let turn = applier.take_turn(row, now)?;
        let names: Vec<_> = read_models.iter().map(|model| model.name().to_owned()).collect();
        let models = lock_rows(&mut transaction, own, &names).await?;
        let mut loading = turn.begin(batch, models)?;
        if let Some((keys, heads)) = loading.missing() {
            load_heads(&mut transaction, tables, keys, heads).await.doing("loading heads")?;
        }
        if let Some(positions) = loading.judged_before() {
            let rows = load_quarantined(&mut transaction, database, &positions).await;
            loading.know_quarantined(rows.doing("loading verdicts")?);
        }
        let folded = loading.fold()?;
        tables
            .write(&mut transaction, folded.changes(), Deployments::Upserted)
            .await
            .map_err(|error| of_write(error, stands))?;
        save_row(&mut transaction, database, &own.projector, folded.row()).await.doing(DOING)?;
        if !read_models.is_empty() {
            plan_as_usual(&mut transaction).await?;
        }
        for (nth, model) in read_models.iter_mut().enumerate() {
            if let Some(news) = folded.news(nth) {
                show(&mut transaction, database, model.as_mut(), &news).await?;
            }
        }
        transaction.commit().await.doing(DOING)?;
        *left = Some(Left::new(folded.row().clone(), now, at));
        if let Some(position) = folded.reaches() {
            teller.tell(database, position);
        }
        folded.committed()
    }

    async fn hold_lease(&mut self) -> Result<Lease, StoreError> {
        const DOING: &str = "taking the lease";
        let Self { own, applier, left, connection, .. } = self;
        (*left, *connection) = (None, None);
        let (mut transaction, row, now) = match own.begin(applier, DOING).await? {
            Locking::Locked(transaction, row, now) => (transaction, row, now),
            Locking::Standby(standby) => return Ok(standby.into()),
        };
        let at = Instant::now();
        let turn = match applier.take_turn(row, now) {
            Ok(turn) => turn,
            Err(standby) => return Ok(standby.into()),
        };
        save_row(&mut transaction, &own.database, &own.projector, turn.row()).await.doing(DOING)?;
        transaction.commit().await.doing(DOING)?;
        *left = Some(Left::new(turn.row().clone(), now, at));
        turn.held();
        Ok(Lease::Held)
    }

    async fn release_lease(&mut self) -> Result<(), StoreError> {
        (self.left, self.connection) = (None, None);
        self.own.release(&self.applier).await
    }
}

/// Why rows were not written to tables that stand at `checkpoint`.
fn of_write(error: sqlx::Error, checkpoint: Position) -> ApplyError {
    match &error {
        sqlx::Error::Database(found)
            if found.constraint().is_some_and(constrains_rows)
                && ["23503", "23505"].iter().any(|it| has_sqlstate(&error, it)) =>
        {
            let names = [found.table(), found.constraint()];
            let constraint = names.into_iter().flatten().collect::<Vec<_>>().join(", ");
            let found = if has_sqlstate(&error, "23505") {
                Disagreement::RowExists { constraint }
            } else {
                Disagreement::RowMissing { constraint }
            };
            ApplyError::Disagrees { checkpoint, found }
        }
        // Only artifacts are changed that were there.
        sqlx::Error::RowNotFound => {
            let constraint = "governed_artifacts".to_owned();
            ApplyError::Disagrees { checkpoint, found: Disagreement::RowMissing { constraint } }
        }
        _ => {
            let fault = fault(&error);
            StoreError { doing: "projecting", fault, source: error.into() }.into()
        }
    }
}

/// Whether the key, or the foreign key, is one that the migrations make. Others are an embedder's own.
fn constrains_rows(name: &str) -> bool {
    const FOREIGN_KEYS: [&str; 6] = [
        "governed_artifacts_accord",
        "artifact_revisions_artifact",
        "custody_transitions_artifact",
        "deployment_states_artifact",
        "deployment_changes_artifact",
        "verification_results_artifact",
    ];
    FOREIGN_KEYS.contains(&name)
        || TABLES.iter().any(|table| {
            let Some(rest) = name.strip_prefix(table) else { return false };
            // Of a part, it has the name that a rebuild gave it, or that PostgreSQL gave it.
            let is_part = |it: &str| it.bytes().all(|it| it.is_ascii_digit() || it == b'_');
            rest.strip_prefix("_key")
                .is_some_and(|part| is_part(part) || part == "_earlier" || part == "_later")
                || rest.strip_suffix("_pkey").is_some_and(is_part)
        })
}

/// Announces how far the Ops DB reaches, in the background: the next batch does not wait for it. It is
/// not in the transaction either, since transactions that NOTIFY commit one after the other (see
/// PostgreSQL's documentation), and the projector would wait for the sync of every append.
#[derive(Debug, Default)]
struct Teller {
    committed: Option<watch::Sender<Position>>,
}

impl Teller {
    /// Announces it soon; only the newest is announced.
    fn tell(&mut self, database: &Database, position: Position) {
        match &self.committed {
            Some(committed) if !committed.is_closed() => {
                committed.send_replace(position);
            }
            _ => {
                let (committed, mut news) = watch::channel(position);
                news.mark_changed();
                tokio::spawn(tell_all(database.clone(), news));
                self.committed = Some(committed);
            }
        }
    }
}

/// Tells what is committed, until nobody commits any more.
async fn tell_all(database: Database, mut news: watch::Receiver<Position>) {
    while news.changed().await.is_ok() {
        let position = *news.borrow_and_update();
        let told = async { notify(&mut *database.acquire().await?, &database, position).await };
        if let Err(error) = told.await {
            // Waiters look for themselves, a little later.
            tracing::debug!(%error, "a commit was not told");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_an_embedder_is_none_of_ours() {
        for name in [
            "accord_bindings_key",
            "custody_transitions_key_7",
            "verification_results_key_2026_11",
            "verification_results_key_earlier",
            "verification_results_2026_11_pkey",
            "verification_results_artifact",
        ] {
            assert!(constrains_rows(name), "{name}");
        }
        for name in ["governed_artifacts_by_my_name", "accord_bindings_key_of_mine", "my_key", ""] {
            assert!(!constrains_rows(name), "{name}");
        }
    }
}
