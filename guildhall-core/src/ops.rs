//! The Ops DB: what can be asked of it, and what is returned (DESIGN section 6).

use async_trait::async_trait;

use crate::checkpoint::Checkpoint;
use crate::error::StoreError;
use crate::ids::{AccordId, ArtifactId, CeremonyId, Position};

mod answer;
mod artifact_key;
mod artifact_query;
mod as_of;
mod counts;
mod cursor;
mod health;
mod history;
mod overdue;
mod page;
mod period;
mod posture;
mod query;
mod rows;
mod scan;
mod table;
mod timeline;

pub use answer::*;
pub use artifact_key::*;
pub use artifact_query::*;
pub use as_of::*;
pub use counts::{CountedRows, RowCount};
pub use cursor::*;
pub use health::*;
pub use history::*;
pub use overdue::{Overdue, OverdueArtifact};
pub use page::*;
pub use period::*;
pub use posture::*;
pub use query::*;
pub use rows::*;
pub use scan::{Cell, SCANNED_ROWS, Scan, TableRow};
pub use table::{Column, Difference, DifferenceKind, Kind, Table};
pub use timeline::*;

/// What can be asked of the Ops DB. Both backends give the same answers, in the same order; texts
/// are ordered by their bytes.
///
/// No row holds U+0000: a filter or a name that does finds nothing, and a cursor that does starts anew.
///
/// Every method reads one consistent state. A page holds at most [`MAX_PAGE_ROWS`] rows, whatever
/// is asked.
///
/// # Errors
/// Every method fails only with the store's own [`StoreError`].
///
/// # Cancel safety
/// Dropping a future changes nothing.
#[async_trait]
pub trait OpsDb: Send + Sync {
    /// The tables as they are now, for several questions: whatever a projector does meanwhile, each
    /// is answered as of this moment. Dropping it ends it.
    ///
    /// A database that keeps an old moment cannot fold in or clean up what is newer, so a store that lasts
    /// ends it by itself after a few seconds, of which its options say how many; questions then fail
    /// with [`SnapshotEnded`], which is transient. It may hold a connection of a pool: while you have it,
    /// ask it and nobody else. A snapshot's snapshot is of the same moment.
    async fn snapshot(&self) -> Result<Box<dyn OpsDb>, StoreError>;

    /// Every row of every table as they are now, for digests and audits: unlike a
    /// [snapshot](Self::snapshot) it lasts until it is dropped, however long that takes.
    async fn scan(&self) -> Result<Box<dyn Scan>, StoreError>;

    /// The tables as they were at a moment: every question that is asked of what this returns is about
    /// that moment, whatever is projected meanwhile. It is not a [`snapshot`](Self::snapshot), but one
    /// can be taken of it.
    ///
    /// The rows are those that tables made of the log up to that position would hold, but for the last
    /// look at a target that changed nothing, of which no history is kept: the `observed_at` and the
    /// `position` of a [`DeploymentState`] are those of its last change, and its `detail` is null. Which
    /// rows were there at a time is said in DESIGN section 10. Checkpoints are those of now.
    ///
    /// # Errors
    /// [`AsOfError`]: the moment is not known, or the store's own.
    async fn as_of(&self, moment: AsOf) -> Result<Box<dyn OpsDb>, AsOfError>;

    /// The counts that a dashboard opens with.
    async fn overview(&self) -> Result<Overview, StoreError>;

    /// The artifacts that match, a page at a time, in the query's order.
    async fn artifacts(&self, query: &ArtifactQuery) -> Result<Page<ArtifactSummary>, StoreError>;

    /// One artifact with its accord and its drift; nothing where it does not exist.
    async fn artifact(&self, id: ArtifactId) -> Result<Option<ArtifactDetail>, StoreError>;

    /// The links of one artifact's chain, in order.
    ///
    /// Judge them as they come ([`Judge`](crate::custody::chain::Judge)), at one moment
    /// ([`snapshot`](Self::snapshot)).
    async fn chain(
        &self,
        id: ArtifactId,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<CustodyTransition>, StoreError>;

    /// One accord; nothing where it does not exist.
    async fn accord(&self, id: AccordId) -> Result<Option<AccordBinding>, StoreError>;

    /// The accords that match, a page at a time, in the query's order.
    async fn accords(&self, query: &AccordQuery) -> Result<Page<AccordBinding>, StoreError>;

    /// The ceremony of this id, open or closed, in the order of the log: most often one row. A substrate
    /// may decide about several artifacts in one ceremony, and nothing keeps it from using an id again.
    async fn ceremony(
        &self,
        id: CeremonyId,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<Ceremony>, StoreError>;

    /// The ceremonies that are open, the one opened first first.
    async fn open_ceremonies(
        &self,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<OpenCeremony>, StoreError>;

    /// The ceremonies that have closed, the one closed last first.
    async fn closed_ceremonies(
        &self,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<ClosedCeremony>, StoreError>;

    /// The latest observations that match, a page at a time, in the query's order.
    async fn deployments(
        &self,
        query: &DeploymentQuery,
    ) -> Result<Page<DeploymentState>, StoreError>;

    /// The verifications that match, the latest `verified_at` first unless the query says otherwise.
    async fn verifications(
        &self,
        query: &VerificationQuery,
    ) -> Result<Page<VerificationResult>, StoreError>;

    /// The contents that an artifact had, the latest first.
    async fn revisions(
        &self,
        id: ArtifactId,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<ArtifactRevision>, StoreError>;

    /// What changed by the entries between two positions, in the order of the log: registrations,
    /// revisions, moves, ceremonies opened and closed, targets whose health became another.
    async fn changes(&self, query: &ChangeQuery) -> Result<Page<Change>, StoreError>;

    /// The targets whose health or CIDs became others by the entries between two positions, in the order
    /// of the log; an observation that changed neither, or came late, is none.
    async fn target_changes(&self, query: &ChangeQuery) -> Result<Page<TargetChange>, StoreError>;

    /// Everything that became of an artifact, the latest entry of the log first: its contents, the links of
    /// its chain, the changes of its targets, its verifications.
    async fn timeline(&self, query: &TimelineQuery) -> Result<Page<TimelineEntry>, StoreError>;

    /// The ceremonies that somebody of this name opened or closed, in the order of the log.
    async fn ceremonies_of(
        &self,
        actor: &str,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<Ceremony>, StoreError>;

    /// How long each target was in each health over a period, by artifact and target; those that were
    /// observed before it ended.
    async fn health_times(&self, query: &PeriodQuery) -> Result<Page<HealthTimes>, StoreError>;

    /// The drifts that began in a period, the one that began last first.
    async fn drifts(&self, query: &PeriodQuery) -> Result<Page<DriftSpan>, StoreError>;

    /// How long it took from drift to healthy, over all drifts that began in a period, whatever page.
    async fn recovery(&self, query: &PeriodQuery) -> Result<Recovery, StoreError>;

    /// How many targets had which health at the end of each day, by group, by the times at which they
    /// were observed. A group that had no target on a day has no row there.
    async fn posture(&self, query: &PostureQuery) -> Result<Vec<PostureDay>, StoreError>;

    /// Who decided what runs on a target; nothing where it was never observed.
    async fn decided(&self, id: ArtifactId, target: &str) -> Result<Option<Decided>, StoreError>;

    /// What was refused, the latest position first.
    async fn quarantined(
        &self,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<QuarantinedEntry>, StoreError>;

    /// What was refused at this position; nothing where the entry there was not, or is not applied.
    async fn quarantined_at(
        &self,
        position: Position,
    ) -> Result<Option<QuarantinedEntry>, StoreError>;

    /// How many rows match, counted no further than to `bound`: what it costs does not grow with
    /// what matches. It grows with what has to be looked at, where a filter has no index.
    async fn count(&self, counted: &Counted, bound: u32) -> Result<Total, StoreError>;

    /// How far the projector of this name has got; nothing where none of that name ever ran.
    async fn checkpoint(&self, projector: &str) -> Result<Option<Checkpoint>, StoreError>;

    /// How far every read model is that was ever projected here, by name, and who holds its lease.
    async fn checkpoints(&self) -> Result<Vec<ProjectorCheckpoint>, StoreError>;
}

/// The time of a [snapshot](OpsDb::snapshot) is up: take another, and ask anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the snapshot has ended: its time is up, or its file was exchanged; take another")]
pub struct SnapshotEnded;

/// Says that the Ops DB may have moved, sooner than looking at its checkpoint would.
///
/// A runtime reports the projector of its own process, a store whose database announces commits also
/// of those of other processes.
#[async_trait]
pub trait Wakeup: Send + Sync {
    /// Waits until the Ops DB may stand beyond `position`. A wake-up too many or too few does no
    /// harm: it costs a look, or the wait for one.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    async fn moved_beyond(&self, position: Position);
}
