//! Deployments and verifications.

use guildhall_core::ops::{MomentKey, Paging};
use guildhall_core::{DeploymentQuery, DeploymentSort, Health, VerificationQuery};

use super::select::{STANDS, Select};

/// Where the statement of a page of deployments begins.
pub(super) const DEPLOYMENTS: &str = "SELECT {deployment_states.*} FROM {schema}.deployment_states";

/// Where that of a page of verifications begins.
pub(super) const VERIFICATIONS: &str = "SELECT {verification_results.*} \
    FROM {schema}.verification_results AS verdict";

pub(super) fn filter_deployments(select: &mut Select<'_>, query: &DeploymentQuery) {
    if let Some(id) = query.artifact_id {
        select.and("artifact_id = ").value(*id.as_uuid());
    }
    select.and_any("target", &query.targets, String::clone);
    select.and_begins("target", query.target_begins.as_slice());
    select.and_any("health", &query.healths, |health| health.as_str().to_owned());
    if let [health @ (Health::Drifted | Health::Unknown)] = query.healths.as_slice() {
        select.left_or_of_health(*health);
    }
}

pub(super) fn select_deployments<'d>(
    mut select: Select<'d>,
    query: &DeploymentQuery,
) -> Select<'d> {
    filter_deployments(&mut select, query);
    let columns: &[_] = match query.sort {
        DeploymentSort::Artifact => &["artifact_id", "target"],
        DeploymentSort::Target => &["target", "artifact_id"],
        DeploymentSort::HealthSince => &["health_since", "artifact_id", "target"],
    };
    select.page(columns, query.is_descending, &query.paging(), |select, (sort, at, id, target)| {
        if *sort == DeploymentSort::Target {
            select.value(target.clone()).text(", ").value(*id.as_uuid());
            return;
        }
        if let Some(at) = at {
            select.time(*at).text(", ");
        }
        select.value(*id.as_uuid()).text(", ").value(target.clone());
    });
    select
}

pub(super) fn filter_verifications(select: &mut Select<'_>, query: &VerificationQuery) {
    if let Some(id) = query.artifact_id {
        select.and("artifact_id = ").value(*id.as_uuid());
    }
    select.and_any_long("target", &query.targets);
    select.and_any_long("verifier", &query.verifiers);
    select.and_any("outcome", &query.outcomes, |outcome| outcome.as_str().to_owned());
    if let Some(since) = query.verified_since {
        select.and("verified_at >= ").time(since);
    }
    if let Some(before) = query.verified_before {
        select.and("verified_at < ").time(before);
    }
    if query.is_standing {
        select.and(STANDS);
    }
}

pub(super) fn select_verifications<'d>(
    mut select: Select<'d>,
    query: &VerificationQuery,
    paging: &Paging<MomentKey>,
) -> Select<'d> {
    filter_verifications(&mut select, query);
    if let Some((at, _)) = paging.key {
        // Said twice: only of the first the planner concludes which months are beside the page.
        let is_later = query.is_ascending != paging.is_turned;
        select.and(if is_later { "verified_at >= " } else { "verified_at <= " }).time(at);
    }
    let order = ["verified_at", "position"];
    select.page(&order, !query.is_ascending, paging, Select::moment);
    select
}
