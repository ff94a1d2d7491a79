//! What a store writes: rows to insert, rows to put in place of others, entries to set aside.

use super::heads::{Place, SlotMut};
use crate::cid::Cid;
use crate::custody::CustodyState;
use crate::ids::{ArtifactId, Position, Seq};
use crate::json::Json;
use crate::ops::{
    AccordBinding, ArtifactRevision, CountedRows, CustodyTransition, DeploymentChange,
    DeploymentState, GovernedArtifact, QuarantinedEntry, RowCount, VerificationResult,
};
use crate::store::Row;
use crate::time::Timestamp;

/// The changes of some entries, coalesced: each row at most once. Written in the order of the
/// fields, foreign keys hold at every step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// To insert.
    pub accords: Vec<AccordBinding>,
    /// To insert.
    pub artifacts: Vec<GovernedArtifact>,
    /// To update: rows that stood in the table before.
    pub artifact_updates: Vec<ArtifactUpdate>,
    /// To insert.
    pub revisions: Vec<ArtifactRevision>,
    /// To insert.
    pub transitions: Vec<CustodyTransition>,
    /// To insert, or to put in place of the row with the same artifact and target.
    pub deployments: Vec<DeploymentState>,
    /// To insert.
    pub deployment_changes: Vec<DeploymentChange>,
    /// To insert.
    pub verifications: Vec<VerificationResult>,
    /// To insert.
    pub quarantined: Vec<QuarantinedEntry>,
    /// To insert, or to add to the `rows` of the row that counts the same, which gets their `position`. They
    /// go on coalescing, so that a batch writes few.
    pub counts: Vec<RowCount>,
    /// How many entries have a type that this version does not know.
    pub skipped: u64,
    /// About how many bytes the rows hold that go on coalescing, and those that no later entry changes.
    pub(super) held_bytes: usize,
    pub(super) final_bytes: usize,
}

/// Is shown rows of whichever table ([`Changes::visit`]).
pub trait RowVisitor {
    /// A row.
    fn row<R: Row>(&mut self, row: &R);
}

/// What changes in a row of `governed_artifacts` that stood there before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactUpdate {
    /// The artifact.
    pub id: ArtifactId,
    /// Its custody, if that moved.
    pub custody: Option<CustodyUpdate>,
    /// Its content, if that was revised.
    pub content: Option<ContentUpdate>,
    /// The entry that wrote last.
    pub position: Position,
}

/// New values of `custody_state` and `custody_seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CustodyUpdate {
    /// The state.
    pub state: CustodyState,
    /// The newest link.
    pub seq: Seq,
}

/// New values of the content columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentUpdate {
    /// The CID of the content.
    pub cid: Cid,
    /// The content.
    pub content: Json,
    /// The URI of the schema that it follows.
    pub content_schema: String,
    /// The time of the entry.
    pub revised_at: Timestamp,
}

/// What can be changed in an artifact, whether its row is new or not.
pub(super) trait Changing {
    fn set_custody(&mut self, custody: CustodyUpdate);
    fn set_content(&mut self, content: ContentUpdate);
}

impl Changing for GovernedArtifact {
    fn set_custody(&mut self, custody: CustodyUpdate) {
        self.custody_state = Some(custody.state);
        self.custody_seq = Some(custody.seq);
    }

    fn set_content(&mut self, content: ContentUpdate) {
        self.cid = content.cid;
        self.content = content.content;
        self.content_schema = content.content_schema;
        self.revised_at = Some(content.revised_at);
    }
}

impl Changing for ArtifactUpdate {
    fn set_custody(&mut self, custody: CustodyUpdate) {
        self.custody = Some(custody);
    }

    fn set_content(&mut self, content: ContentUpdate) {
        self.content = Some(content);
    }
}

/// What a held row takes in memory beside its JSON, about.
const ROW_BYTES: usize = 400;

impl Changes {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.accords.is_empty()
            && self.artifacts.is_empty()
            && self.artifact_updates.is_empty()
            && self.revisions.is_empty()
            && self.transitions.is_empty()
            && self.deployments.is_empty()
            && self.deployment_changes.is_empty()
            && self.verifications.is_empty()
            && self.quarantined.is_empty()
            && self.counts.is_empty()
    }

    /// Shows every row that is here as a whole: all but `artifact_updates`; `counts` are, where the fold began
    /// with empty tables.
    pub fn visit(&self, visitor: &mut impl RowVisitor) {
        let Self {
            accords,
            artifacts,
            artifact_updates: _,
            revisions,
            transitions,
            deployments,
            deployment_changes,
            verifications,
            quarantined,
            counts,
            skipped: _,
            held_bytes: _,
            final_bytes: _,
        } = self;
        accords.iter().for_each(|row| visitor.row(row));
        artifacts.iter().for_each(|row| visitor.row(row));
        revisions.iter().for_each(|row| visitor.row(row));
        transitions.iter().for_each(|row| visitor.row(row));
        deployments.iter().for_each(|row| visitor.row(row));
        deployment_changes.iter().for_each(|row| visitor.row(row));
        verifications.iter().for_each(|row| visitor.row(row));
        quarantined.iter().for_each(|row| visitor.row(row));
        counts.iter().for_each(|row| visitor.row(row));
    }

    /// Puts the rows of each table in the order of its key, or of the artifacts that they are about, so
    /// that those who write them touch each page of an index by artifact once.
    pub fn sort_by_artifact(&mut self) {
        self.artifacts.sort_unstable_by_key(|row| row.id);
        self.artifact_updates.sort_unstable_by_key(|row| row.id);
        self.revisions.sort_unstable_by_key(|row| (row.artifact_id, row.revision));
        self.transitions.sort_unstable_by_key(|row| (row.artifact_id, row.seq));
        self.deployments.sort_unstable_by(|one, other| {
            (one.artifact_id, &one.target).cmp(&(other.artifact_id, &other.target))
        });
        self.deployment_changes.sort_unstable_by(|one, other| {
            let moment = |row: &DeploymentChange| (row.observed_at, row.position);
            (one.artifact_id, &one.target)
                .cmp(&(other.artifact_id, &other.target))
                .then_with(|| moment(one).cmp(&moment(other)))
        });
        self.verifications
            .sort_unstable_by_key(|row| (row.artifact_id, row.verified_at, row.position));
    }

    /// Counts a row that no later entry changes, and what its JSON takes.
    pub(super) fn count_final(&mut self, json_bytes: usize) {
        self.final_bytes += ROW_BYTES + json_bytes;
    }

    /// Counts rows that came with an entry, or that went where there are fewer.
    pub(super) fn count(&mut self, counted: CountedRows, rows: i64, position: Position) {
        match self.counts.iter_mut().find(|count| count.counted == counted) {
            Some(count) => {
                count.rows += rows;
                count.position = position;
            }
            None => self.counts.push(RowCount { counted, rows, position }),
        }
    }

    pub(super) fn push_artifact(&mut self, row: &GovernedArtifact) {
        self.held_bytes += ROW_BYTES + row.content.as_str().len();
        self.artifacts.push(settled(row));
    }

    pub(super) fn update_artifact(
        &mut self,
        id: ArtifactId,
        mut slot: SlotMut<'_>,
        position: Position,
        change: impl FnOnce(&mut dyn Changing),
    ) {
        match slot.get() {
            Place::Inserted(place) => {
                let row = &mut self.artifacts[place];
                self.held_bytes -= row.content.as_str().len();
                change(row);
                self.held_bytes += row.content.as_str().len();
                row.position = position;
            }
            Place::Updated(place) => {
                let update = &mut self.artifact_updates[place];
                self.held_bytes -= content_bytes(update);
                change(update);
                self.held_bytes += content_bytes(update);
                update.position = position;
            }
            Place::Nowhere => {
                slot.set(Place::Updated(self.artifact_updates.len()));
                let mut update = ArtifactUpdate { id, custody: None, content: None, position };
                change(&mut update);
                self.held_bytes += ROW_BYTES + content_bytes(&update);
                self.artifact_updates.push(update);
            }
        }
    }

    pub(super) fn put_deployment(&mut self, mut slot: SlotMut<'_>, mut row: DeploymentState) {
        let bytes = row.detail.as_str().len();
        if let Place::Updated(place) = slot.get() {
            let held = &mut self.deployments[place];
            self.held_bytes = self.held_bytes + bytes - held.detail.as_str().len();
            std::mem::swap(&mut row.target, &mut held.target);
            if row.detail == held.detail {
                std::mem::swap(&mut row.detail, &mut held.detail);
            } else {
                row.detail = settled(&row.detail);
            }
            *held = row;
        } else {
            slot.set(Place::Updated(self.deployments.len()));
            self.held_bytes += ROW_BYTES + bytes;
            row.target = settled(&row.target);
            row.detail = settled(&row.detail);
            self.deployments.push(row);
        }
    }
}

/// A copy, for what a rebuild may hold for long: the original would pin the memory of the batch
/// that it came with, most of which is free by then.
fn settled<T: Clone>(value: &T) -> T {
    value.clone()
}

fn content_bytes(update: &ArtifactUpdate) -> usize {
    update.content.as_ref().map_or(0, |content| content.content.as_str().len())
}
