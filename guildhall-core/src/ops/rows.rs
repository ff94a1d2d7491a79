//! The rows of the Ops DB (DESIGN section 6), typed.

use std::collections::BTreeMap;

use serde::Serialize;

use super::counts::RowCount;
use super::health::Health;
use crate::checkpoint::Checkpoint;
use crate::cid::{Cid, LinkHash};
use crate::custody::CustodyState;
use crate::event::{EventType, Outcome, Tier};
use crate::ids::{
    AccordId, ArtifactId, CeremonyId, EventId, HolderId, Position, Revision, Seq, StreamId,
};
use crate::invariant::Code;
use crate::json::Json;
use crate::time::Timestamp;

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

impl CustodyTransition {
    /// Whether it opened a ceremony, or closed one.
    pub fn is_of_ceremony(&self) -> bool {
        let open = CustodyState::CeremonyOpen;
        self.to_state == open || self.from_state == Some(open)
    }
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

/// Every row of the ten tables, each table in the order of its key: what tells whether two stores
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
    /// `row_counts`, by what is counted.
    pub row_counts: Vec<RowCount>,
    /// `projector_checkpoints`, by projector.
    pub projector_checkpoints: BTreeMap<String, Checkpoint>,
}
