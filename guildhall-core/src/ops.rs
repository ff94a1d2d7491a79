//! The Ops DB: its typed rows and what can be asked of it (DESIGN section 6).

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Serialize;

use crate::checkpoint::Checkpoint;
use crate::cid::{Cid, LinkHash};
use crate::custody::CustodyState;
use crate::error::StoreError;
use crate::event::{EventType, Outcome, Tier};
use crate::ids::{
    AccordId, ArtifactId, CeremonyId, EventId, HolderId, Position, Revision, Seq, StreamId,
};
use crate::invariant::Code;
use crate::json::Json;
use crate::time::Timestamp;
use crate::words::words;

mod answer;
mod artifact_key;
mod as_of;
mod cursor;
mod history;
mod overdue;
mod page;
mod query;
mod scan;
mod table;

pub use answer::*;
pub use artifact_key::*;
pub use as_of::*;
pub use cursor::*;
pub use history::*;
pub use overdue::{Overdue, OverdueArtifact};
pub use page::*;
pub use query::*;
pub use scan::{Cell, SCANNED_ROWS, Scan, TableRow};
pub use table::{Column, Difference, DifferenceKind, Kind, Table};

words!(
    /// Whether what runs on one target is what should.
    Health, "health" {
        /// Nothing was seen there.
        Unknown = "unknown",
        /// It is.
        Healthy = "healthy",
        /// It is not.
        Drifted = "drifted",
    }
);

impl Health {
    /// What an observation says: `unknown` where nothing was seen, `healthy` where it is the
    /// desired content, else `drifted`.
    pub fn of(desired: Cid, observed: Option<Cid>) -> Self {
        match observed {
            None => Self::Unknown,
            Some(observed) if observed == desired => Self::Healthy,
            Some(_) => Self::Drifted,
        }
    }
}

words!(
    /// An artifact's health over all its targets: the worst that is known.
    Drift, "drift" {
        /// No target at all.
        Undeployed = "undeployed",
        /// Some target is drifted.
        Drifted = "drifted",
        /// None is drifted, and some target is unknown.
        Unknown = "unknown",
        /// Every target is healthy.
        Healthy = "healthy",
    }
);

impl Drift {
    /// Every value, the worst first: the order of [`ArtifactSort::Drift`].
    pub const WORST_FIRST: [Self; 4] =
        [Self::Drifted, Self::Unknown, Self::Healthy, Self::Undeployed];

    /// Its place in [`WORST_FIRST`](Self::WORST_FIRST).
    pub(crate) const fn rank(self) -> i64 {
        3 - self.severity() as i64
    }

    /// The drift over targets of these healths, and since when; none where there is no target.
    ///
    /// It is drifted, or unknown, since the earliest of the targets that make it so, and healthy
    /// since the latest: before that, some target was not. So each health's earliest and latest
    /// target say as much as all of them do.
    pub fn of(targets: impl IntoIterator<Item = (Health, Timestamp)>) -> (Self, Option<Timestamp>) {
        let (mut worst, mut since) = (Self::Undeployed, None);
        for (health, at) in targets {
            let drift = match health {
                Health::Drifted => Self::Drifted,
                Health::Unknown => Self::Unknown,
                Health::Healthy => Self::Healthy,
            };
            if drift.severity() > worst.severity() {
                (worst, since) = (drift, Some(at));
            } else if drift == worst {
                since = since.map(|since: Timestamp| match health {
                    Health::Drifted | Health::Unknown => since.min(at),
                    Health::Healthy => since.max(at),
                });
            }
        }
        (worst, since)
    }

    /// The higher one decides what an artifact is.
    const fn severity(self) -> u8 {
        match self {
            Self::Undeployed => 0,
            Self::Healthy => 1,
            Self::Unknown => 2,
            Self::Drifted => 3,
        }
    }
}

/// A row of `accord_bindings`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccordBinding {
    /// The accord.
    pub id: AccordId,
    /// What people call it.
    pub name: String,
    /// Its terms: a JSON object.
    pub accord_terms: Json,
    /// Who bound it.
    pub bound_by: String,
    /// From when its terms hold.
    pub effective_at: Timestamp,
    /// The entry that wrote the row.
    pub position: Position,
}

/// A row of `governed_artifacts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GovernedArtifact {
    /// The artifact.
    pub id: ArtifactId,
    /// The accord that governs it.
    pub accord_binding_id: AccordId,
    /// What people call it.
    pub name: String,
    /// What kind of thing it is.
    pub artifact_type: String,
    /// How critical it is.
    pub tier: Tier,
    /// The CID of its current content.
    pub cid: Cid,
    /// Its current content.
    pub content: Json,
    /// The URI of the schema that the content follows.
    pub content_schema: String,
    /// Where it stands; none before genesis.
    pub custody_state: Option<CustodyState>,
    /// The newest link of its chain; none before genesis.
    pub custody_seq: Option<Seq>,
    /// The time of the entry that registered it.
    pub registered_at: Timestamp,
    /// The time of the entry that last revised it.
    pub revised_at: Option<Timestamp>,
    /// The entry that last wrote the row: a registration, a revision or a transition.
    pub position: Position,
}

/// A row of `artifact_revisions`: one content that an artifact had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArtifactRevision {
    /// The artifact.
    pub artifact_id: ArtifactId,
    /// Which of its contents.
    pub revision: Revision,
    /// The CID of the content.
    pub cid: Cid,
    /// The content.
    pub content: Json,
    /// The URI of the schema that the content follows.
    pub content_schema: String,
    /// The time of the entry.
    pub recorded_at: Timestamp,
    /// The entry that wrote the row: the registration, or a revision.
    pub position: Position,
}

/// A row of `custody_transitions`: one link of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CustodyTransition {
    /// The artifact.
    pub artifact_id: ArtifactId,
    /// Where the link stands in its chain.
    pub seq: Seq,
    /// The state before; none at genesis.
    pub from_state: Option<CustodyState>,
    /// The state after.
    pub to_state: CustodyState,
    /// The content that moved.
    pub cid: Cid,
    /// Who moved it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// The ceremony entered or left; none outside one.
    pub ceremony_id: Option<CeremonyId>,
    /// What the actor put forward.
    pub evidence: Json,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The hash of the link before; none at genesis.
    pub prev_hash: Option<LinkHash>,
    /// The hash of the link.
    pub hash: LinkHash,
    /// The entry that wrote the row.
    pub position: Position,
}

/// A row of `deployment_states`: the latest observation of one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeploymentState {
    /// The artifact.
    pub artifact_id: ArtifactId,
    /// Where.
    pub target: String,
    /// What should run there.
    pub desired_cid: Cid,
    /// What does; none where nothing was seen.
    pub observed_cid: Option<Cid>,
    /// What the two say.
    pub health: Health,
    /// The `observed_at` of the observation that last changed `health`.
    pub health_since: Timestamp,
    /// What the observer saw besides.
    pub detail: Json,
    /// When it was seen.
    pub observed_at: Timestamp,
    /// The entry that last wrote the row.
    pub position: Position,
}

/// A row of `deployment_changes`: an observation that found another health, or another CID, than the
/// one before it on this target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeploymentChange {
    /// The artifact.
    pub artifact_id: ArtifactId,
    /// Where.
    pub target: String,
    /// When it was seen.
    pub observed_at: Timestamp,
    /// What should run there from then on.
    pub desired_cid: Cid,
    /// What does; none where nothing was seen.
    pub observed_cid: Option<Cid>,
    /// The health until then; none for the first observation.
    pub previous_health: Option<Health>,
    /// The health from then on.
    pub health: Health,
    /// The `observed_at` of the observation that last changed `health`: this one's, or an earlier one's.
    pub health_since: Timestamp,
    /// The entry that wrote the row.
    pub position: Position,
}

/// A row of `verification_results`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerificationResult {
    /// The event id of its entry.
    pub id: EventId,
    /// The artifact.
    pub artifact_id: ArtifactId,
    /// Where; none when it is about the artifact itself.
    pub target: Option<String>,
    /// Who judged.
    pub verifier: String,
    /// What it found.
    pub outcome: Outcome,
    /// What the outcome rests on.
    pub evidence: Json,
    /// When it was judged.
    pub verified_at: Timestamp,
    /// The entry that wrote the row.
    pub position: Position,
}

/// A row of `quarantined_entries`: an entry that broke an invariant and touched nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuarantinedEntry {
    /// The entry.
    pub position: Position,
    /// Its event id.
    pub event_id: EventId,
    /// Its stream.
    pub stream_id: StreamId,
    /// Its type, the full name.
    #[serde(serialize_with = "as_str")]
    pub event_type: EventType,
    /// The invariant that it breaks.
    pub code: Code,
    /// What was found and what was expected.
    pub reason: String,
}

fn as_str<S: serde::Serializer>(event_type: &EventType, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(event_type.as_str())
}

/// A row of `projector_checkpoints`: how far a read model is, and who projects it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ProjectorCheckpoint {
    /// The projector's name; [`OPS_DB`](crate::OPS_DB) for the Ops DB itself.
    pub projector: String,
    /// How far the read model is.
    #[serde(flatten)]
    pub checkpoint: Checkpoint,
    /// When it last moved, or the lease was last renewed, by the database's clock.
    pub updated_at: Option<Timestamp>,
    /// From which position on it has the history of what it shows; none where it has all of it. A
    /// rebuild brings in what came before.
    pub history_from: Option<Position>,
    /// Who holds the lease; none where nobody does.
    pub lease: Option<HeldLease>,
}

/// A lease that somebody holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HeldLease {
    /// Who.
    pub holder: HolderId,
    /// Until when unless it is renewed, by the database's clock. It may have lapsed.
    pub until: Timestamp,
}

impl ProjectorCheckpoint {
    /// The row of this projector, as a store keeps it.
    pub fn new(
        projector: impl Into<String>,
        checkpoint: Checkpoint,
        updated_at: Option<Timestamp>,
        history_from: Position,
        lease: Option<(HolderId, Timestamp)>,
    ) -> Self {
        let history_from = (history_from > Position::ZERO).then_some(history_from);
        let lease = lease.map(|(holder, until)| HeldLease { holder, until });
        Self { projector: projector.into(), checkpoint, updated_at, history_from, lease }
    }
}

/// Every row of the nine tables, each table in the order of its key: what tells whether two stores
/// hold the same. Of a checkpoint, it has neither the clock nor the lease.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tables {
    /// `accord_bindings`, by id.
    pub accord_bindings: Vec<AccordBinding>,
    /// `governed_artifacts`, by id.
    pub governed_artifacts: Vec<GovernedArtifact>,
    /// `artifact_revisions`, by artifact and revision.
    pub artifact_revisions: Vec<ArtifactRevision>,
    /// `custody_transitions`, by artifact and seq.
    pub custody_transitions: Vec<CustodyTransition>,
    /// `deployment_states`, by artifact and target.
    pub deployment_states: Vec<DeploymentState>,
    /// `deployment_changes`, by artifact, target, time and position.
    pub deployment_changes: Vec<DeploymentChange>,
    /// `verification_results`, by id.
    pub verification_results: Vec<VerificationResult>,
    /// `quarantined_entries`, by position.
    pub quarantined_entries: Vec<QuarantinedEntry>,
    /// `projector_checkpoints`, by projector.
    pub projector_checkpoints: BTreeMap<String, Checkpoint>,
}

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
    /// that moment, whatever is projected meanwhile. It is no [`snapshot`](Self::snapshot), and one can
    /// be taken of it.
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_artifact_is_healthy_since_its_last_target_recovered_and_worse_since_the_first_one_was() {
        use Health::{Drifted, Healthy, Unknown};
        let at = |second: i64| Timestamp::from_micros(second).unwrap();
        for (targets, drift, since) in [
            (&[][..], Drift::Undeployed, None),
            (&[(Healthy, 1), (Healthy, 9), (Healthy, 5)], Drift::Healthy, Some(9)),
            (&[(Unknown, 7), (Healthy, 9), (Unknown, 3), (Healthy, 1)], Drift::Unknown, Some(3)),
            (&[(Drifted, 7), (Unknown, 1), (Drifted, 5), (Healthy, 9)], Drift::Drifted, Some(5)),
        ] {
            let mut targets: Vec<_> =
                targets.iter().map(|(health, second)| (*health, at(*second))).collect();
            let expected = (drift, since.map(at));
            assert_eq!(Drift::of(targets.clone()), expected, "{targets:?}");
            targets.reverse();
            assert_eq!(Drift::of(targets.clone()), expected, "{targets:?} in any order");
            // What a store may hand over instead: the first and the last of each health.
            let ends = Health::ALL.iter().flat_map(|health| {
                let of_it = targets.iter().filter(|(found, _)| found == health);
                let of_it: Vec<_> = of_it.map(|(_, at)| *at).collect();
                [of_it.iter().min().copied(), of_it.iter().max().copied()]
                    .into_iter()
                    .flatten()
                    .map(|at| (*health, at))
                    .collect::<Vec<_>>()
            });
            assert_eq!(Drift::of(ends), expected, "{targets:?} by their ends");
        }
    }
}
