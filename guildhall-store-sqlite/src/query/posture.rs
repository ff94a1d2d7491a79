//! Deployments and verifications.

use guildhall_core::ops::{DeploymentKey, MomentKey, Paging};
use guildhall_core::{AsOf, DeploymentQuery, DeploymentSort, Health, VerificationQuery};
use rusqlite::types::Value;

use super::select::{
    STANDS, Select, bytes, left_or_of_health, moment, outcome_condition, texts, words,
};

pub(super) fn filter_deployments(query: &DeploymentQuery, as_of: Option<AsOf>) -> Select {
    let mut select = Select::from(include_str!("../sql/select_deployments.sql"));
    if let Some(id) = query.artifact_id {
        select = select.and("artifact_id = ?", [bytes(id.as_uuid())]);
    }
    // Written out, because that is how SQLite knows a partial index to fit.
    select = match query.healths.as_slice() {
        [Health::Drifted] => select.and("health = 'drifted'", []),
        [Health::Unknown] => select.and("health = 'unknown'", []),
        healths => select.and_any("health", words(healths, Health::as_str)),
    };
    if let (Some(moment), [health @ (Health::Drifted | Health::Unknown)]) =
        (as_of, query.healths.as_slice())
    {
        select = select.and(&left_or_of_health(health.as_str(), moment), []);
    }
    select
        .and_any("target", texts(&query.targets))
        .and_begins("target", query.target_begins.as_slice())
}

pub(super) fn select_deployments(query: &DeploymentQuery, as_of: Option<AsOf>) -> Select {
    let columns: &[_] = match query.sort {
        DeploymentSort::Artifact => &["artifact_id", "target"],
        DeploymentSort::Target => &["target", "artifact_id"],
        DeploymentSort::HealthSince => &["health_since", "artifact_id", "target"],
    };
    let values = |(sort, at, id, target): &DeploymentKey| {
        let (id, target) = (bytes(id.as_uuid()), Value::from(target.clone()));
        match sort {
            DeploymentSort::Target => vec![target, id],
            _ => at.map(|at| at.to_string().into()).into_iter().chain([id, target]).collect(),
        }
    };
    filter_deployments(query, as_of).paged(columns, query.is_descending, &query.paging(), values)
}

pub(super) fn filter_verifications(query: &VerificationQuery) -> Select {
    let mut select = Select::from(include_str!("../sql/select_verifications.sql"));
    if let Some(id) = query.artifact_id {
        select = select.and("artifact_id = ?", [bytes(id.as_uuid())]);
    }
    // An artifact's verdicts are few, a target's fewer than a verifier's. The plus keeps SQLite from the
    // wider index.
    let has_artifact = query.artifact_id.is_some();
    let target = if has_artifact { "+target" } else { "target" };
    let is_narrow = has_artifact || !query.targets.is_empty();
    let verifier = if is_narrow { "+verifier" } else { "verifier" };
    select =
        select.and_any(target, texts(&query.targets)).and_any(verifier, texts(&query.verifiers));
    if !query.outcomes.is_empty() {
        let (condition, values) = outcome_condition(&query.outcomes);
        select = select.and(&condition, values);
    }
    if let Some(since) = query.verified_since {
        select = select.and("verified_at >= ?", [since.to_string().into()]);
    }
    if let Some(before) = query.verified_before {
        select = select.and("verified_at < ?", [before.to_string().into()]);
    }
    if query.is_standing {
        select = select.and(STANDS, []);
    }
    select
}

pub(super) fn select_verifications(
    query: &VerificationQuery,
    paging: &Paging<MomentKey>,
) -> Select {
    let order = ["verified_at", "position"];
    filter_verifications(query).paged(&order, !query.is_ascending, paging, moment)
}
