//! Which rows in memory match a query: every row is looked at.

use super::tables::Rows;
use crate::custody::CustodyState;
use crate::ids::ArtifactId;
use crate::ops::{
    AccordBinding, AccordQuery, ArtifactQuery, ArtifactSummary, Ceremony, ClosedCeremony,
    DeploymentQuery, DeploymentState, Drift, GovernedArtifact, Health, OpenCeremony, Overview,
    VerificationQuery, VerificationResult,
};
use crate::time::Timestamp;

pub(super) fn accords<'r>(
    rows: &'r Rows,
    query: &AccordQuery,
) -> impl Iterator<Item = &'r AccordBinding> {
    rows.accord_bindings.values().filter(|row| {
        is_any(&query.names, &row.name) && begins_with_any(&query.name_begins, &row.name)
    })
}

pub(super) fn deployments<'r>(
    rows: &'r Rows,
    query: &DeploymentQuery,
) -> impl Iterator<Item = &'r DeploymentState> {
    rows.deployment_states.values().filter(|row| {
        query.artifact_id.is_none_or(|id| row.artifact_id == id)
            && is_any(&query.targets, &row.target)
            && query.target_begins.as_ref().is_none_or(|text| row.target.starts_with(text.as_str()))
            && is_any(&query.healths, &row.health)
    })
}

pub(super) fn verifications<'r>(
    rows: &'r Rows,
    query: &VerificationQuery,
) -> impl Iterator<Item = &'r VerificationResult> {
    rows.verification_results.values().filter(|row| {
        query.artifact_id.is_none_or(|id| row.artifact_id == id)
            && (query.targets.is_empty()
                || row.target.as_ref().is_some_and(|it| query.targets.contains(it)))
            && is_any(&query.verifiers, &row.verifier)
            && is_any(&query.outcomes, &row.outcome)
            && query.verified_since.is_none_or(|since| row.verified_at >= since)
            && query.verified_before.is_none_or(|before| row.verified_at < before)
            && (!query.is_standing || stands(rows, row))
    })
}

/// Whether a value passes a filter; an empty one lets all through.
fn is_any<T: PartialEq>(wanted: &[T], found: &T) -> bool {
    wanted.is_empty() || wanted.contains(found)
}

fn begins_with_any(beginnings: &[String], found: &str) -> bool {
    beginnings.is_empty() || beginnings.iter().any(|text| found.starts_with(text.as_str()))
}

pub(super) fn overview(rows: &Rows) -> Overview {
    let mut overview = Overview {
        accords: rows.accord_bindings.len() as u64,
        custody_transitions: rows.custody_transitions.len() as u64,
        verifications: rows.verification_results.len() as u64,
        quarantined: rows.quarantined_entries.len() as u64,
        ..Overview::default()
    };
    for artifact in rows.governed_artifacts.values() {
        overview.artifacts_by_tier[usize::from(artifact.tier.get())] += 1;
    }
    for target in rows.deployment_states.values() {
        *match target.health {
            Health::Healthy => &mut overview.healthy_deployments,
            Health::Drifted => &mut overview.drifted_deployments,
            Health::Unknown => &mut overview.unknown_deployments,
        } += 1;
    }
    for ceremony in open_ceremonies(rows) {
        overview.open_ceremonies += 1;
        let opened_at = ceremony.opened.occurred_at;
        let oldest = overview.oldest_ceremony_opened_at.get_or_insert(opened_at);
        *oldest = opened_at.min(*oldest);
    }
    overview
}

pub(super) fn open_ceremonies(rows: &Rows) -> impl Iterator<Item = OpenCeremony> {
    rows.governed_artifacts.values().filter_map(|artifact| {
        let opened = rows.newest_link(artifact)?;
        let accord = rows.accord_bindings.get(&artifact.accord_binding_id)?;
        (opened.to_state == CustodyState::CeremonyOpen).then(|| OpenCeremony {
            ceremony_id: opened.ceremony_id,
            name: artifact.name.clone(),
            artifact_type: artifact.artifact_type.clone(),
            tier: artifact.tier,
            accord: accord.name.clone(),
            opened: opened.clone(),
        })
    })
}

/// The ceremonies of every id.
pub(super) fn ceremonies(rows: &Rows) -> impl Iterator<Item = Ceremony> {
    let opening = rows
        .custody_transitions
        .values()
        .filter(|link| link.ceremony_id.is_some() && link.to_state == CustodyState::CeremonyOpen);
    opening.filter_map(|opened| {
        let artifact = rows.governed_artifacts.get(&opened.artifact_id)?;
        let accord = rows.accord_bindings.get(&artifact.accord_binding_id)?;
        let next = opened.seq.next().map(|seq| (opened.artifact_id, seq));
        Some(Ceremony {
            ceremony_id: opened.ceremony_id,
            name: artifact.name.clone(),
            artifact_type: artifact.artifact_type.clone(),
            tier: artifact.tier,
            accord: accord.name.clone(),
            opened: opened.clone(),
            closed: next.and_then(|key| rows.custody_transitions.get(&key)).cloned(),
        })
    })
}

pub(super) fn closed_ceremonies(rows: &Rows) -> impl Iterator<Item = ClosedCeremony> {
    let closing = rows.custody_transitions.values();
    let closing = closing.filter(|link| link.from_state == Some(CustodyState::CeremonyOpen));
    closing.filter_map(|closed| {
        let opened = rows.custody_transitions.get(&(closed.artifact_id, closed.seq.previous()))?;
        let artifact = rows.governed_artifacts.get(&closed.artifact_id)?;
        let accord = rows.accord_bindings.get(&artifact.accord_binding_id)?;
        Some(ClosedCeremony {
            ceremony_id: closed.ceremony_id,
            name: artifact.name.clone(),
            artifact_type: artifact.artifact_type.clone(),
            tier: artifact.tier,
            accord: accord.name.clone(),
            opened_by: opened.actor.clone(),
            opened_at: opened.occurred_at,
            closed: closed.clone(),
        })
    })
}

/// When the latest verdict on an artifact was reached.
fn last_verified_at(rows: &Rows, id: ArtifactId) -> Option<Timestamp> {
    let of_it = rows.verification_results.values().filter(|row| row.artifact_id == id);
    of_it.map(|row| row.verified_at).max()
}

/// Whether the same verifier has not judged the same again.
fn stands(rows: &Rows, verdict: &VerificationResult) -> bool {
    let at = |row: &VerificationResult| (row.verified_at, row.position);
    !rows.verification_results.values().any(|row| {
        row.artifact_id == verdict.artifact_id
            && row.target == verdict.target
            && row.verifier == verdict.verifier
            && at(row) > at(verdict)
    })
}

/// An artifact's health over all its targets, and since when.
pub(super) fn drift(rows: &Rows, id: ArtifactId) -> (Drift, Option<Timestamp>) {
    Drift::of(rows.targets(id).map(|target| (target.health, target.health_since)))
}

pub(super) fn artifacts(
    rows: &Rows,
    query: &ArtifactQuery,
) -> impl Iterator<Item = ArtifactSummary> {
    let name_contains = query.name_contains.as_ref().map(|text| text.to_ascii_lowercase());
    let matches = move |artifact: &&GovernedArtifact| {
        is_any(&query.artifact_types, &artifact.artifact_type)
            && is_any(&query.tiers, &artifact.tier)
            && (query.custody_states.is_empty()
                || artifact
                    .custody_state
                    .is_some_and(|state| query.custody_states.contains(&state)))
            && is_any(&query.accords, &artifact.accord_binding_id)
            && is_any(&query.ids, &artifact.id)
            && is_any(&query.names, &artifact.name)
            && is_any(&query.cids, &artifact.cid)
            && begins_with_any(&query.name_begins, &artifact.name)
            && query
                .cid_begins
                .as_ref()
                .is_none_or(|text| artifact.cid.to_string().starts_with(text.as_str()))
            && name_contains
                .as_ref()
                .is_none_or(|text| artifact.name.to_ascii_lowercase().contains(text))
            && query.content_contains.as_ref().is_none_or(|part| artifact.content.contains(part))
            && query.terms_contain.as_ref().is_none_or(|part| {
                let accord = rows.accord_bindings.get(&artifact.accord_binding_id);
                accord.is_some_and(|accord| accord.accord_terms.contains(part))
            })
            && query.verified_before.is_none_or(|before| {
                last_verified_at(rows, artifact.id).is_none_or(|at| at < before)
            })
            && (query.verdicts.is_empty()
                || rows.verification_results.values().any(|row| {
                    row.artifact_id == artifact.id
                        && query.verdicts.contains(&row.outcome)
                        && stands(rows, row)
                }))
    };
    let summaries = rows.governed_artifacts.values().filter(matches).map(|artifact| {
        let (drift, drift_since) = drift(rows, artifact.id);
        ArtifactSummary {
            id: artifact.id,
            accord_binding_id: artifact.accord_binding_id,
            name: artifact.name.clone(),
            artifact_type: artifact.artifact_type.clone(),
            tier: artifact.tier,
            cid: artifact.cid,
            custody_state: artifact.custody_state,
            drift,
            drift_since,
            position: artifact.position,
        }
    });
    summaries.filter(|row| is_any(&query.drifts, &row.drift))
}
