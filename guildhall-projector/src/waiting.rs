//! Read-your-writes for whoever does not project: waiting, in any process, until a read model has
//! got somewhere.

use std::sync::Arc;
use std::time::Duration;

use guildhall_core::{HolderId, OPS_DB, OpsDb, Position, StoreError, Timestamp, Wakeup};
use tokio::time::{Instant, sleep};

/// How soon the checkpoint is looked at again; each further look takes twice as long to come, up to
/// the longest.
const FIRST_LOOK: Duration = Duration::from_millis(2);
const LONGEST_LOOK: Duration = Duration::from_millis(200);

/// How long nobody may be there to project before a wait gives up: a restart takes that long, and a
/// lease of the usual length is renewed meanwhile.
pub const GRACE: Duration = Duration::from_secs(10);

/// The read models of a database, whoever projects them: this process, another, or nobody.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::{sync::Arc, time::Duration};
/// use guildhall_core::{OPS_DB, Position, memory::MemoryOpsDb};
/// use guildhall_projector::{ReadModels, WaitError};
///
/// let read_models = ReadModels::of(Arc::new(MemoryOpsDb::new())).grace(Duration::ZERO);
/// // Nobody ever projected here, and nobody does now.
/// let waited = read_models.wait_until(Position::FIRST).await;
/// assert!(matches!(waited, Err(WaitError::NoReadModel { .. })));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is waited for until it is asked"]
pub struct ReadModels {
    ops_db: Arc<dyn OpsDb>,
    wakeup: Option<Arc<dyn Wakeup>>,
    projector: String,
    grace: Duration,
}

impl std::fmt::Debug for ReadModels {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { projector, grace, .. } = self;
        formatter
            .debug_struct("ReadModels")
            .field("projector", projector)
            .field("grace", grace)
            .finish_non_exhaustive()
    }
}

/// Why a wait is over before its position was reached. Nothing was changed; whoever waits may read
/// what there is, or wait again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// There is no read model of this name: nobody has projected into it.
    #[error("there is no read model {read_model:?}: nobody has projected into it")]
    NoReadModel {
        /// The name.
        read_model: String,
    },
    /// Nobody holds the lease, so nobody will get there: start a projector.
    #[error(
        "the read model {read_model:?} stands at {found}, and nobody projects it on to {expected}: \
         start its projector"
    )]
    NobodyProjects {
        /// The read model.
        read_model: String,
        /// Where it stands.
        found: Position,
        /// What was waited for.
        expected: Position,
    },
    /// Whoever holds the lease does not project this read model: give all projectors of one name the
    /// same read models, or this one's projector a name of its own.
    #[error("the read model {read_model:?} is not projected by {holder:?}, who holds the lease")]
    NotProjected {
        /// The read model.
        read_model: String,
        /// Who holds the lease.
        holder: HolderId,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ReadModels {
    /// The read models of the projector of this Ops DB.
    pub fn of(ops_db: Arc<dyn OpsDb>) -> Self {
        Self { ops_db, wakeup: None, projector: OPS_DB.to_owned(), grace: GRACE }
    }

    /// What says sooner than a look that they may have moved: a runtime of this process, or a store
    /// whose database announces commits. Without one, they are looked at some times a second.
    pub fn woken_by(self, wakeup: Arc<dyn Wakeup>) -> Self {
        Self { wakeup: Some(wakeup), ..self }
    }

    /// The name of the projector that has them, whose lease is looked at; [`OPS_DB`] by default.
    pub fn projector(self, name: impl Into<String>) -> Self {
        Self { projector: name.into(), ..self }
    }

    /// For how long nobody may be there to project before a wait is an error; [`GRACE`] by default.
    pub fn grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// Waits until the effects of `position` can be read in the projector's own read model, the Ops DB.
    ///
    /// # Errors
    /// As [`wait_until_in`](Self::wait_until_in).
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn wait_until(&self, position: Position) -> Result<(), WaitError> {
        self.wait_until_in(&self.projector, position).await
    }

    /// Waits until the effects of `position` can be read in one read model, by name. Give it a time-out
    /// of your own: it waits for as long as somebody may get there, also for an entry that nobody
    /// has recorded yet.
    ///
    /// # Errors
    /// [`WaitError`]: nobody will get there, as far as can be seen.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn wait_until_in(
        &self,
        read_model: &str,
        position: Position,
    ) -> Result<(), WaitError> {
        let mut look = FIRST_LOOK;
        // What was seen last, and since when there has been no hope that it goes on.
        let mut last = None;
        let mut hopeless_since = Instant::now();
        loop {
            let rows = self.ops_db.checkpoints().await?;
            let row = |name: &str| rows.iter().find(|row| row.projector == name);
            let found = row(read_model).map(|row| row.checkpoint.position);
            if found.is_some_and(|found| found >= position) {
                return Ok(());
            }
            let projector = row(&self.projector);
            let lease = projector.and_then(|row| row.lease);
            // Whoever holds the lease applies to all of its read models in one transaction.
            let is_left_out = found < projector.map(|row| row.checkpoint.position);
            let is_held = lease.is_some_and(|lease| lease.until > Timestamp::now());
            let has_hope = is_held && found.is_some() && !is_left_out;
            // Clocks differ: a lease that is renewed is held, whatever this host's says.
            let seen = (found, lease.filter(|_| !is_left_out));
            if last != Some(seen) {
                look = FIRST_LOOK;
            }
            if has_hope || last != Some(seen) {
                hopeless_since = Instant::now();
            }
            if !has_hope && hopeless_since.elapsed() >= self.grace {
                let holder = lease.filter(|_| is_held).map(|lease| lease.holder);
                return Err(hopeless(read_model, found, position, holder));
            }
            last = Some(seen);
            self.wait(found.unwrap_or(Position::ZERO), look).await;
            look = (look * 2).min(LONGEST_LOOK);
        }
    }

    async fn wait(&self, beyond: Position, look: Duration) {
        match &self.wakeup {
            None => sleep(look).await,
            Some(wakeup) => tokio::select! {
                () = wakeup.moved_beyond(beyond) => {}
                () = sleep(look) => {}
            },
        }
    }
}

fn hopeless(
    read_model: &str,
    found: Option<Position>,
    expected: Position,
    holder: Option<HolderId>,
) -> WaitError {
    let read_model = read_model.to_owned();
    match (found, holder) {
        (None, _) => WaitError::NoReadModel { read_model },
        (Some(found), None) => WaitError::NobodyProjects { read_model, found, expected },
        (Some(_), Some(holder)) => WaitError::NotProjected { read_model, holder },
    }
}
