//! The tables as they were: made of the two that keep history, and of those whose rows never change.

use super::tables::Rows;
use crate::ids::ArtifactId;
use crate::json::Json;
use crate::ops::{AsOf, DeploymentState, GovernedArtifact};
use crate::time::Timestamp;

impl Rows {
    /// The tables as of a moment.
    pub(super) fn as_of(&self, moment: AsOf) -> Self {
        let artifacts = self.governed_artifacts.values();
        let artifacts = artifacts.filter_map(|row| self.artifact_as_of(row, moment));
        let mut then = Self {
            governed_artifacts: artifacts.map(|row| (row.id, row)).collect(),
            ..self.clone()
        };
        // Neither of the two tells of a time: at one, all of them are there.
        then.accord_bindings.retain(|_, row| moment.shows(row.position, Timestamp::MIN));
        then.quarantined_entries.retain(|at, _| moment.shows(*at, Timestamp::MIN));
        then.artifact_revisions.retain(|_, row| moment.shows(row.position, row.recorded_at));
        then.custody_transitions.retain(|_, row| moment.shows(row.position, row.occurred_at));
        then.deployment_changes.retain(|_, row| moment.shows(row.position, row.observed_at));
        then.verification_results.retain(|_, row| moment.shows(row.position, row.verified_at));
        // In the order of the key, so that the last change of each target stays.
        let states = then.deployment_changes.values().map(|last| DeploymentState {
            artifact_id: last.artifact_id,
            target: last.target.clone(),
            desired_cid: last.desired_cid,
            observed_cid: last.observed_cid,
            health: last.health,
            health_since: last.health_since,
            detail: Json::null(),
            observed_at: last.observed_at,
            position: last.position,
        });
        let key = |row: &DeploymentState| -> (ArtifactId, String) {
            (row.artifact_id, row.target.clone())
        };
        then.deployment_states = states.map(|row| (key(&row), row)).collect();
        then
    }

    /// An artifact as of a moment; nothing where it was not registered.
    fn artifact_as_of(&self, now: &GovernedArtifact, moment: AsOf) -> Option<GovernedArtifact> {
        let mut contents = self.revisions(now.id);
        let first = contents.next()?;
        if !moment.shows(first.position, now.registered_at) {
            return None;
        }
        let mut contents = self.revisions(now.id).rev();
        let content = contents.find(|row| moment.shows(row.position, row.recorded_at))?;
        let links = self.chain(now.id);
        let link = links.filter(|link| moment.shows(link.position, link.occurred_at)).last();
        let is_revised = content.revision > crate::ids::Revision::FIRST;
        Some(GovernedArtifact {
            cid: content.cid,
            content: content.content.clone(),
            content_schema: content.content_schema.clone(),
            custody_state: link.map(|link| link.to_state),
            custody_seq: link.map(|link| link.seq),
            revised_at: is_revised.then_some(content.recorded_at),
            position: content.position.max(link.map_or(content.position, |link| link.position)),
            ..now.clone()
        })
    }
}
