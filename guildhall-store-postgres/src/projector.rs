//! The projector of the Ops DB: an [`Applier`] in a transaction of PostgreSQL's.

mod builder;
mod refused;
mod teller;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use guildhall_core::store::{Applier, Deployments, Gathered};
use guildhall_core::{
    Applied, ApplyError, Batch, Checkpoint, Generation, Lease, Projector, Rebuild, StoreError,
};
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::at_once::Left;
use crate::changes::OpsTables;
use crate::database::Database;
use crate::error::{Doing, NoAnswer, Silent};
use crate::heads::load_heads;
use crate::lease::{LeaseRow, Locking, furthest_behind, load_checkpoints, long_silence, save_row};
use crate::partitions::MonthsAhead;
use crate::read_model::{ReadModel, load_quarantined, lock_rows, plan_as_usual, show};
use crate::rebuild::PostgresGeneration;
use crate::settings::Settings;
use crate::store::PostgresStore;

pub use self::builder::ProjectorBuilder;
use self::refused::of_write;
use self::teller::Teller;

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

impl PostgresProjector {
    async fn take_in(&self, batch: Batch, is_followed: bool) -> Result<Applied, ApplyError> {
        let projecting = Arc::clone(&self.projecting);
        // A task of its own: a caller that goes away leaves no half of a transaction.
        let mut applying =
            tokio::spawn(async move { projecting.lock().await.apply(batch, is_followed).await });
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
        self.take_in(batch, false).await
    }

    async fn gather(&self, batch: Batch) -> Result<Applied, ApplyError> {
        self.take_in(batch, true).await
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

    /// Applies a batch, or holds it back where others follow and memory is not full.
    async fn apply(&mut self, batch: Batch, is_followed: bool) -> Result<Applied, ApplyError> {
        match self.apply_at_once(&batch).await? {
            Some(applied) => Ok(applied),
            None => self.apply_in_turn(batch, is_followed).await,
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

    async fn apply_in_turn(
        &mut self,
        batch: Batch,
        is_followed: bool,
    ) -> Result<Applied, ApplyError> {
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
        let gathered =
            if is_followed { loading.gather()? } else { Gathered::Folded(loading.fold()?) };
        let mut folded = match gathered {
            Gathered::Folded(folded) => folded,
            Gathered::HeldBack(held_back) => {
                let row = held_back.row();
                save_row(&mut transaction, database, &own.projector, row).await.doing(DOING)?;
                transaction.commit().await.doing(DOING)?;
                return Ok(held_back.committed());
            }
        };
        folded.changes_mut().sort_by_artifact();
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
