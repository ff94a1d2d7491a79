//! Artifacts: filters, orders, drift.

use guildhall_core::ops::SortValue;
use guildhall_core::{
    AccordId, ArtifactDetail, ArtifactId, ArtifactQuery, ArtifactSort, ArtifactSummary, Cid,
    CustodyState, Drift, Health, Timestamp,
};

use super::select::{STANDS, Select, ordered};
use crate::ops_rows::Columns;

/// The columns that an order goes by; each list is that of an index.
fn order_columns(sort: ArtifactSort) -> &'static [&'static str] {
    match sort {
        // By drift, it is by name in each of its parts.
        ArtifactSort::Name | ArtifactSort::Drift => &["name", "id"],
        ArtifactSort::ArtifactType => &["artifact_type", "name", "id"],
        ArtifactSort::Tier => &["tier", "name", "id"],
        ArtifactSort::CustodyState => &["coalesce(custody_state, '')", "name", "id"],
        ArtifactSort::Cid => &["cid", "name", "id"],
        // No two artifacts have one position.
        ArtifactSort::Position => &["position"],
    }
}

/// Where the statement of a page begins.
pub(super) const PAGE: &str = "SELECT artifact.id, artifact.accord_binding_id, artifact.name, \
    artifact.artifact_type, artifact.tier, artifact.cid, artifact.custody_state, \
    artifact.position, since.* \
    FROM (SELECT * FROM {schema}.governed_artifacts AS artifact";

/// Where the statement begins that counts.
pub(super) const COUNT: &str = "SELECT pg_catalog.count(*) FROM \
    (SELECT 1 FROM {schema}.governed_artifacts AS artifact";

/// Lets only those through that match.
pub(super) fn filter<'d>(mut select: Select<'d>, query: &ArtifactQuery) -> Select<'d> {
    select.and_any("id", &query.ids, |id| *id.as_uuid());
    select.and_any("cid", &query.cids, Cid::to_string);
    select.and_any("name", &query.names, String::clone);
    select.and_begins("name", &query.name_begins);
    select.and_begins("cid", query.cid_begins.as_slice());
    select.and_any("artifact_type", &query.artifact_types, String::clone);
    select.and_any("tier", &query.tiers, |tier| i16::from(tier.get()));
    select.and_any("coalesce(custody_state, '')", &query.custody_states, |state| {
        state.as_str().to_owned()
    });
    if !query.custody_states.is_empty() {
        select.left_or_in_state("artifact.id", &query.custody_states);
    }
    select.and_any("accord_binding_id", &query.accords, |id| *id.as_uuid());
    if let Some(text) = &query.name_contains {
        // In the collation "C", `lower` knows ASCII alone, as wanted.
        select
            .and("pg_catalog.strpos(pg_catalog.lower(name), pg_catalog.lower(")
            .value(text.clone())
            .text(" COLLATE \"C\")) > 0");
    }
    if let Some(fragment) = &query.content_contains {
        select.and("content @> ").value(fragment.as_str().to_owned()).text("::jsonb");
    }
    if let Some(fragment) = &query.terms_contain {
        select.and(
            "accord_binding_id IN (SELECT id FROM {schema}.accord_bindings WHERE accord_terms @> ",
        );
        select.value(fragment.as_str().to_owned()).text("::jsonb)");
    }
    if let Some((first, others)) = query.drifts.split_first() {
        select.and("(").among_few(drift_condition(*first));
        for drift in others {
            select.text(" OR ").among_few(drift_condition(*drift));
        }
        select.text(")");
    }
    if let Some(before) = query.verified_before {
        let before = chrono::DateTime::<chrono::Utc>::from(before);
        select.and(
            "coalesce((SELECT max(verified_at) FROM {schema}.verification_results AS verdict \
             WHERE verdict.artifact_id = artifact.id), '-infinity') < ",
        );
        select.value(before);
    }
    if !query.verdicts.is_empty() {
        select.and_any(
            "id IN (SELECT verdict.artifact_id FROM {schema}.verification_results AS verdict \
             WHERE outcome",
            &query.verdicts,
            |outcome| outcome.as_str().to_owned(),
        );
        select.and(STANDS).text(")");
    }
    select
}

/// The statement of a page: the rows first, then the drift of each.
pub(super) fn select_page<'d>(select: Select<'d>, query: &ArtifactQuery) -> Select<'d> {
    let (mut select, paging) = (filter(select, query), query.paging());
    let columns = order_columns(query.sort);
    select.page(columns, query.is_descending, &paging, |select, key| {
        match &key.value {
            SortValue::Number(number) => select.value(*number),
            SortValue::Text(text) => select.value(text.clone()),
            SortValue::None => select,
        };
        if query.sort == ArtifactSort::Position {
            return;
        }
        if key.value != SortValue::None {
            select.text(", ");
        }
        select.value(key.name.clone()).text(", ").value(*key.id.as_uuid());
    });
    let order = ordered(columns, query.is_descending != paging.is_turned);
    select.text(") AS artifact ").text(include_str!("../sql/drift.sql"));
    select.text(" ORDER BY ").text(&order);
    select
}

/// Sets of the few artifacts that are not healthy, from partial indexes.
fn drift_condition(drift: Drift) -> &'static str {
    match drift {
        Drift::Undeployed => {
            "NOT EXISTS (SELECT 1 FROM {schema}.deployment_states AS target \
              WHERE target.artifact_id = artifact.id)"
        }
        Drift::Drifted => {
            "id IN (SELECT artifact_id FROM {schema}.deployment_states WHERE health = 'drifted')"
        }
        Drift::Unknown => {
            "(id IN (SELECT artifact_id FROM {schema}.deployment_states WHERE health = 'unknown') \
              AND NOT EXISTS (SELECT 1 FROM {schema}.deployment_states AS target \
              WHERE target.artifact_id = artifact.id AND health = 'drifted'))"
        }
        Drift::Healthy => {
            "(EXISTS (SELECT 1 FROM {schema}.deployment_states AS target \
              WHERE target.artifact_id = artifact.id) \
              AND NOT EXISTS (SELECT 1 FROM {schema}.deployment_states AS target \
              WHERE target.artifact_id = artifact.id AND health = 'drifted') \
              AND NOT EXISTS (SELECT 1 FROM {schema}.deployment_states AS target \
              WHERE target.artifact_id = artifact.id AND health = 'unknown'))"
        }
    }
}

pub(super) fn summary(columns: &mut Columns<'_>) -> Result<ArtifactSummary, sqlx::Error> {
    let id = columns.value::<ArtifactId>()?;
    let accord_binding_id = columns.value::<AccordId>()?;
    let (name, artifact_type) = (columns.value()?, columns.value()?);
    let (tier, cid) = (columns.value()?, columns.value::<Cid>()?);
    let custody_state = columns.value::<Option<CustodyState>>()?;
    let position = columns.value()?;
    let (drift, drift_since) = drift(columns)?;
    Ok(ArtifactSummary {
        id,
        accord_binding_id,
        name,
        artifact_type,
        tier,
        cid,
        custody_state,
        drift,
        drift_since,
        position,
    })
}

/// Where the statement of one artifact begins.
pub(super) const DETAIL: &str = "SELECT {artifact: governed_artifacts.*}, \
    {accord: accord_bindings.*}, since.* \
    FROM {schema}.governed_artifacts AS artifact \
    JOIN {schema}.accord_bindings AS accord ON accord.id = artifact.accord_binding_id ";

pub(super) fn select_detail(mut select: Select<'_>, id: ArtifactId) -> Select<'_> {
    select.text(" ").text(include_str!("../sql/drift.sql"));
    select.and("artifact.id = ").value(*id.as_uuid());
    select
}

pub(super) fn detail(columns: &mut Columns<'_>) -> Result<ArtifactDetail, sqlx::Error> {
    let (artifact, accord) = (columns.row()?, columns.row()?);
    let (drift, drift_since) = drift(columns)?;
    Ok(ArtifactDetail { artifact, accord, drift, drift_since })
}

/// The columns of `drift.sql`.
fn drift(columns: &mut Columns<'_>) -> Result<(Drift, Option<Timestamp>), sqlx::Error> {
    let mut targets = Vec::with_capacity(6);
    for health in [Health::Drifted, Health::Unknown, Health::Healthy] {
        for _ in ["first", "last"] {
            targets.extend(columns.value::<Option<Timestamp>>()?.map(|since| (health, since)));
        }
    }
    Ok(Drift::of(targets))
}
