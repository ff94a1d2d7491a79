//! The tables as ordered maps, and what the fold needs of them.

use std::collections::BTreeMap;

use crate::checkpoint::Checkpoint;
use crate::custody::{ChainHead, CustodyState};
use crate::fold::{Changes, Heads, Keys, TargetHead};
use crate::ids::{AccordId, ArtifactId, EventId, Position, Revision, Seq};
use crate::invariant::ArtifactHead;
use crate::ops::{
    AccordBinding, ArtifactRevision, CountedRows, CustodyTransition, DeploymentChange,
    DeploymentState, Difference, DifferenceKind, GovernedArtifact, QuarantinedEntry, RowCount,
    Tables, VerificationResult,
};
use crate::projector::OPS_DB;
use crate::store::Row;
use crate::time::Timestamp;

/// The key of `deployment_changes`.
pub(super) type ChangeKey = (ArtifactId, String, Timestamp, Position);

/// The rows of the Ops DB, each table by its key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    pub(super) accord_bindings: BTreeMap<AccordId, AccordBinding>,
    pub(super) governed_artifacts: BTreeMap<ArtifactId, GovernedArtifact>,
    pub(super) artifact_revisions: BTreeMap<(ArtifactId, Revision), ArtifactRevision>,
    pub(super) custody_transitions: BTreeMap<(ArtifactId, Seq), CustodyTransition>,
    pub(super) deployment_states: BTreeMap<(ArtifactId, String), DeploymentState>,
    pub(super) deployment_changes: BTreeMap<ChangeKey, DeploymentChange>,
    pub(super) verification_results: BTreeMap<EventId, VerificationResult>,
    pub(super) quarantined_entries: BTreeMap<Position, QuarantinedEntry>,
    pub(super) row_counts: BTreeMap<CountedRows, RowCount>,
}

impl Rows {
    /// The links of one artifact's chain.
    pub(super) fn chain(&self, id: ArtifactId) -> impl Iterator<Item = &CustodyTransition> {
        self.custody_transitions.range((id, Seq::ZERO)..=(id, Seq::MAX)).map(|(_, link)| link)
    }

    /// The contents that one artifact had.
    pub(super) fn revisions(
        &self,
        id: ArtifactId,
    ) -> impl DoubleEndedIterator<Item = &ArtifactRevision> {
        let all = (id, Revision::ZERO)..=(id, Revision::MAX);
        self.artifact_revisions.range(all).map(|(_, revision)| revision)
    }

    /// The rows of one artifact's targets.
    pub(super) fn targets(&self, id: ArtifactId) -> impl Iterator<Item = &DeploymentState> {
        let from = self.deployment_states.range((id, String::new())..);
        from.take_while(move |((of, _), _)| *of == id).map(|(_, target)| target)
    }

    /// The newest link of an artifact's chain.
    pub(super) fn newest_link(&self, artifact: &GovernedArtifact) -> Option<&CustodyTransition> {
        self.custody_transitions.get(&(artifact.id, artifact.custody_seq?))
    }

    /// The link that opened the ceremony which is open with this one.
    fn opener(&self, newest: &CustodyTransition) -> Option<&CustodyTransition> {
        let open = Some(CustodyState::CeremonyOpen);
        if Some(newest.to_state) != open {
            return None;
        }
        let links = self.custody_transitions.range((newest.artifact_id, Seq::ZERO)..);
        let links = links
            .map(|(_, link)| link)
            .take_while(|link| (link.artifact_id, link.seq) <= (newest.artifact_id, newest.seq));
        links.filter(|link| Some(link.to_state) == open && link.from_state != open).last()
    }

    /// Tells `heads` what the tables hold under `keys`: artifacts before their targets.
    pub(crate) fn load_heads(&self, keys: &Keys, heads: &mut Heads) {
        for id in &keys.accords {
            heads.know_accord(*id, self.accord_bindings.get(id).map(|row| row.position));
        }
        for id in &keys.artifacts {
            heads.know_artifact(*id, self.artifact_head(*id));
        }
        for (id, target) in &keys.targets {
            let row = self.deployment_states.get(&(*id, target.to_string()));
            let head = row.map(|row| {
                let head = TargetHead {
                    desired_cid: row.desired_cid,
                    observed_cid: row.observed_cid,
                    health: row.health,
                    health_since: row.health_since,
                    observed_at: row.observed_at,
                };
                (row.position, head)
            });
            heads.know_target(*id, target.clone(), head);
        }
    }

    fn artifact_head(&self, id: ArtifactId) -> Option<(Position, Revision, ArtifactHead)> {
        let artifact = self.governed_artifacts.get(&id)?;
        let chain = self.newest_link(artifact).map(|link| ChainHead {
            seq: link.seq,
            state: link.to_state,
            hash: link.hash,
            occurred_at: link.occurred_at,
            ceremony_id: link.ceremony_id,
            opened_by: self.opener(link).map(|link| link.actor.as_str().into()),
        });
        let mut ratified = Vec::new();
        for link in self.chain(id).filter(|link| link.to_state == CustodyState::Ratified) {
            if !ratified.contains(&link.cid) {
                ratified.push(link.cid);
            }
        }
        let revision = self.revisions(id).next_back()?.revision;
        Some((artifact.position, revision, ArtifactHead { cid: artifact.cid, chain, ratified }))
    }

    /// Writes what the fold answered.
    pub(crate) fn write(&mut self, changes: Changes) {
        self.accord_bindings.extend(changes.accords.into_iter().map(|row| (row.id, row)));
        self.governed_artifacts.extend(changes.artifacts.into_iter().map(|row| (row.id, row)));
        for update in changes.artifact_updates {
            let Some(row) = self.governed_artifacts.get_mut(&update.id) else { continue };
            if let Some(custody) = update.custody {
                row.custody_state = Some(custody.state);
                row.custody_seq = Some(custody.seq);
            }
            if let Some(content) = update.content {
                row.cid = content.cid;
                row.content = content.content;
                row.content_schema = content.content_schema;
                row.revised_at = Some(content.revised_at);
            }
            row.position = update.position;
        }
        let revisions = changes.revisions.into_iter();
        self.artifact_revisions.extend(revisions.map(|row| ((row.artifact_id, row.revision), row)));
        let links = changes.transitions.into_iter().map(|row| ((row.artifact_id, row.seq), row));
        self.custody_transitions.extend(links);
        let targets = changes.deployments.into_iter();
        self.deployment_states
            .extend(targets.map(|row| ((row.artifact_id, row.target.clone()), row)));
        let changed = changes.deployment_changes.into_iter();
        self.deployment_changes.extend(changed.map(|row| {
            ((row.artifact_id, row.target.clone(), row.observed_at, row.position), row)
        }));
        let verifications = changes.verifications.into_iter();
        self.verification_results.extend(verifications.map(|row| (row.id, row)));
        let quarantined = changes.quarantined.into_iter();
        self.quarantined_entries.extend(quarantined.map(|row| (row.position, row)));
        for count in changes.counts {
            let row = self.row_counts.entry(count.counted);
            let row = row.or_insert(RowCount { rows: 0, ..count });
            row.rows += count.rows;
            row.position = count.position;
        }
    }

    /// The greatest position that wrote a row.
    pub(super) fn greatest_position(&self) -> Position {
        fn greatest<K, R: Row>(rows: &BTreeMap<K, R>) -> Option<Position> {
            rows.values().map(Row::position).max()
        }
        let of_each = [
            greatest(&self.accord_bindings),
            greatest(&self.governed_artifacts),
            greatest(&self.artifact_revisions),
            greatest(&self.custody_transitions),
            greatest(&self.deployment_states),
            greatest(&self.deployment_changes),
            greatest(&self.verification_results),
            greatest(&self.quarantined_entries),
            greatest(&self.row_counts),
        ];
        of_each.into_iter().flatten().max().unwrap_or(Position::ZERO)
    }

    /// How the next generation's rows differ from these, as
    /// [`Table::comparisons`](crate::Table::comparisons) compares.
    pub(super) fn differences(&self, next: &Self, upto: Position) -> Vec<Difference> {
        fn compare<K: Ord, R: Row + PartialEq>(
            live: &BTreeMap<K, R>,
            next: &BTreeMap<K, R>,
            upto: Position,
        ) -> impl Iterator<Item = Difference> {
            let is_old = |row: &&R| row.position() <= upto;
            let absent = |here: &BTreeMap<K, R>, there: &BTreeMap<K, R>| {
                let rows = here.iter().filter(|(key, _)| !there.contains_key(*key));
                rows.map(|(_, row)| row).filter(is_old).map(R::position).collect::<Vec<_>>()
            };
            let both = live.iter().filter_map(|(key, row)| Some((row, next.get(key)?)));
            let changed = both
                .filter(|(live, next)| is_old(live) && is_old(next) && live != next)
                .map(|(live, _)| live.position());
            let found = [
                (DifferenceKind::Gone, absent(live, next)),
                (DifferenceKind::Changed, changed.collect()),
                (DifferenceKind::New, absent(next, live)),
            ];
            found.into_iter().filter_map(move |(kind, positions)| {
                let first = positions.iter().min().copied()?;
                Some(Difference { table: R::TABLE.name, kind, rows: positions.len() as u64, first })
            })
        }
        // The words of a reason are not compared.
        let wordless = |rows: &BTreeMap<Position, QuarantinedEntry>| -> BTreeMap<_, _> {
            let row = |(at, row): (&Position, &QuarantinedEntry)| {
                (*at, QuarantinedEntry { reason: String::new(), ..row.clone() })
            };
            rows.iter().map(row).collect()
        };
        let quarantined = [self, next].map(|rows| wordless(&rows.quarantined_entries));
        compare(&self.accord_bindings, &next.accord_bindings, upto)
            .chain(compare(&self.governed_artifacts, &next.governed_artifacts, upto))
            .chain(compare(&self.artifact_revisions, &next.artifact_revisions, upto))
            .chain(compare(&self.custody_transitions, &next.custody_transitions, upto))
            .chain(compare(&self.deployment_states, &next.deployment_states, upto))
            .chain(compare(&self.deployment_changes, &next.deployment_changes, upto))
            .chain(compare(&self.verification_results, &next.verification_results, upto))
            .chain(compare(&quarantined[0], &quarantined[1], upto))
            .chain(compare(&self.row_counts, &next.row_counts, upto))
            .collect()
    }

    /// Those of these tables.
    pub(super) fn of(tables: Tables) -> Self {
        let mut changes = Changes::default();
        changes.accords = tables.accord_bindings;
        changes.artifacts = tables.governed_artifacts;
        changes.revisions = tables.artifact_revisions;
        changes.transitions = tables.custody_transitions;
        changes.deployments = tables.deployment_states;
        changes.deployment_changes = tables.deployment_changes;
        changes.verifications = tables.verification_results;
        changes.quarantined = tables.quarantined_entries;
        changes.counts = tables.row_counts;
        let mut rows = Self::default();
        rows.write(changes);
        rows
    }

    /// All of them, each table in the order of its key, with this checkpoint.
    pub(crate) fn to_tables(&self, checkpoint: Option<&Checkpoint>) -> Tables {
        Tables {
            accord_bindings: self.accord_bindings.values().cloned().collect(),
            governed_artifacts: self.governed_artifacts.values().cloned().collect(),
            artifact_revisions: self.artifact_revisions.values().cloned().collect(),
            custody_transitions: self.custody_transitions.values().cloned().collect(),
            deployment_states: self.deployment_states.values().cloned().collect(),
            deployment_changes: self.deployment_changes.values().cloned().collect(),
            verification_results: self.verification_results.values().cloned().collect(),
            quarantined_entries: self.quarantined_entries.values().cloned().collect(),
            row_counts: self.row_counts.values().copied().collect(),
            projector_checkpoints: checkpoint
                .map(|at| (OPS_DB.to_owned(), at.clone()))
                .into_iter()
                .collect(),
        }
    }
}
