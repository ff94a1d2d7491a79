//! Queries about the past.

use chrono::{DateTime, Utc};
use guildhall_core::store::{read_change, read_content};
use guildhall_core::{
    ArtifactId, ArtifactRevision, Change, ChangeQuery, CustodyTransition, Decided, DeploymentState,
    PeriodQuery, PostureBy, TargetChange, Timestamp, What,
};

use super::select::{Select, ordered};
use crate::ops_rows::Columns;

/// Where the statements of what changed begin; `changed` is the table's alias.
pub(super) const CONTENTS: &str = "SELECT changed.position, changed.artifact_id, artifact.name, artifact.artifact_type, \
    artifact.tier, changed.revision, changed.cid, changed.recorded_at \
    FROM {schema}.artifact_revisions AS changed \
    JOIN {schema}.governed_artifacts AS artifact ON artifact.id = changed.artifact_id";

pub(super) const LINKS: &str = "SELECT changed.position, changed.artifact_id, artifact.name, artifact.artifact_type, \
    artifact.tier, {changed: custody_transitions.*} \
    FROM {schema}.custody_transitions AS changed \
    JOIN {schema}.governed_artifacts AS artifact ON artifact.id = changed.artifact_id";

pub(super) const HEALTHS: &str = "SELECT changed.position, changed.artifact_id, artifact.name, artifact.artifact_type, \
    artifact.tier, {changed: deployment_changes.*} \
    FROM {schema}.deployment_changes AS changed \
    JOIN {schema}.governed_artifacts AS artifact ON artifact.id = changed.artifact_id \
    AND changed.previous_health IS DISTINCT FROM changed.health";

pub(super) const TARGETS: &str = include_str!("../sql/select_target_changes.sql");

pub(super) const VERDICTS: &str =
    "SELECT {verification_results.*} FROM {schema}.verification_results AS changed";

/// What a table records for a range of positions.
pub(super) fn in_range<'d>(mut select: Select<'d>, query: &ChangeQuery) -> Select<'d> {
    // One artifact has few: what is computed keeps PostgreSQL from the index of all.
    let position = match query.artifact_id {
        None => "changed.position",
        Some(_) => "(changed.position + 0)",
    };
    if let Some(id) = query.artifact_id {
        select.and("changed.artifact_id = ").value(*id.as_uuid());
    }
    let ((after, up_to), paging) = (query.positions(), query.paging());
    select.and(position).text(" > ").value(after.as_i64());
    select.and(position).text(" <= ").value(up_to.as_i64());
    select.order(&ordered(&[position], paging.is_turned), paging.wanted().into());
    select
}

pub(super) fn content(columns: &mut Columns<'_>) -> Result<Change, sqlx::Error> {
    read_change(columns, read_content)
}

pub(super) fn link(columns: &mut Columns<'_>) -> Result<Change, sqlx::Error> {
    read_change(columns, |columns| Ok(What::of_link(columns.row::<CustodyTransition>()?)))
}

pub(super) fn health(columns: &mut Columns<'_>) -> Result<Change, sqlx::Error> {
    read_change(columns, |columns| Ok(What::Health { change: columns.row()? }))
}

pub(super) fn target_change(columns: &mut Columns<'_>) -> Result<TargetChange, sqlx::Error> {
    Ok(TargetChange { change: columns.row()?, before: columns.row_if_any()? })
}

/// Keeps the ceremonies that this actor opened or closed.
pub(super) fn of_actor(select: &mut Select<'_>, actor: &str) {
    const BEGINS: &str = ".actor, 128) = pg_catalog.left(";
    select.and(
        "link.position IN (SELECT opened.position FROM {schema}.custody_transitions AS opened",
    );
    select.text(" WHERE pg_catalog.left(opened").text(BEGINS).value(actor.to_owned());
    select.text(", 128) AND opened.actor = ").value(actor.to_owned());
    select.text(
        " AND opened.to_state = 'ceremony_open' UNION ALL \
         SELECT opened.position FROM {schema}.custody_transitions AS closed \
         JOIN {schema}.custody_transitions AS opened \
         ON opened.artifact_id = closed.artifact_id AND opened.seq = closed.seq - 1 \
         WHERE pg_catalog.left(closed",
    );
    select.text(BEGINS).value(actor.to_owned()).text(", 128) AND closed.actor = ");
    select.value(actor.to_owned()).text(" AND closed.from_state = 'ceremony_open')");
}

fn time(at: Timestamp) -> DateTime<Utc> {
    at.into()
}

/// Where the statement begins that loads the changes of a page of targets.
pub(super) const HEALTH_TIMES: &str = "SELECT {seen: deployment_changes.*} FROM (\
    SELECT state.artifact_id, state.target FROM {schema}.deployment_states AS state";

/// For each target of a page the last change at or before the period, and those in it.
pub(super) fn health_times<'d>(mut select: Select<'d>, query: &PeriodQuery) -> Select<'d> {
    select.and(
        "EXISTS (SELECT 1 FROM {schema}.deployment_changes AS any_change \
         WHERE any_change.artifact_id = state.artifact_id AND any_change.target = state.target \
         AND any_change.observed_at < ",
    );
    select.value(time(query.before)).text(")");
    if let Some(id) = query.artifact_id {
        select.and("state.artifact_id = ").value(*id.as_uuid());
    }
    if let Some(target) = &query.target {
        select.and("state.target = ").value(target.clone());
    }
    let columns = ["state.artifact_id", "state.target"];
    select.page(&columns, false, &query.target_paging(), |select, (id, target)| {
        select.value(*id.as_uuid()).text(", ").value(target.clone());
    });
    select.text(
        ") AS asked JOIN {schema}.deployment_changes AS seen \
         ON seen.artifact_id = asked.artifact_id AND seen.target = asked.target \
         AND seen.observed_at < ",
    );
    select.value(time(query.before)).text(
        " AND seen.observed_at >= coalesce((\
         SELECT earlier.observed_at FROM {schema}.deployment_changes AS earlier \
         WHERE earlier.artifact_id = asked.artifact_id AND earlier.target = asked.target \
         AND earlier.observed_at <= ",
    );
    select.value(time(query.since)).text(
        " ORDER BY earlier.observed_at DESC LIMIT 1), '-infinity') \
         ORDER BY seen.artifact_id, seen.target, seen.observed_at, seen.position",
    );
    select
}

/// The drifts that began in the period.
pub(super) fn began_in(select: &mut Select<'_>, query: &PeriodQuery) {
    select.and("began.health = 'drifted' AND began.previous_health IS DISTINCT FROM 'drifted'");
    select.and("began.observed_at >= ").value(time(query.since));
    select.and("began.observed_at < ").value(time(query.before));
    if let Some(id) = query.artifact_id {
        select.and("began.artifact_id = ").value(*id.as_uuid());
    }
    if let Some(target) = &query.target {
        select.and("began.target = ").value(target.clone());
    }
}

/// A page of them, the last first.
pub(super) fn page_of_drifts<'d>(mut select: Select<'d>, query: &PeriodQuery) -> Select<'d> {
    began_in(&mut select, query);
    let columns = ["began.observed_at", "began.position"];
    select.page(&columns, true, &query.paging(), Select::moment);
    select
}

/// How many targets have each health now, and how many changed theirs since; both by group.
pub(super) const fn posture_statements(by: PostureBy) -> [&'static str; 2] {
    macro_rules! statements {
        ($column:literal, $join:literal) => {
            [
                concat!(
                    "SELECT ",
                    $column,
                    ", it.health, pg_catalog.count(*) \
                     FROM {schema}.deployment_states AS it ",
                    $join,
                    " GROUP BY 1, 2"
                ),
                concat!(
                    "SELECT ",
                    $column,
                    ", pg_catalog.date_trunc('day', it.observed_at, 'UTC'), \
                     it.previous_health, it.health, pg_catalog.count(*) \
                     FROM {schema}.deployment_changes AS it ",
                    $join
                ),
            ]
        };
        ($column:literal) => {
            statements!(
                $column,
                "JOIN {schema}.governed_artifacts AS artifact ON artifact.id = it.artifact_id"
            )
        };
    }
    match by {
        PostureBy::Estate => statements!("NULL::text", ""),
        PostureBy::Tier => statements!("artifact.tier"),
        PostureBy::ArtifactType => statements!("artifact.artifact_type"),
        PostureBy::Accord => statements!("artifact.accord_binding_id"),
    }
}

/// Those since the first day.
pub(super) fn moves_since(mut select: Select<'_>, first: Timestamp) -> Select<'_> {
    select.and("it.previous_health IS DISTINCT FROM it.health");
    select.and("it.observed_at >= ").value(time(first)).text(" GROUP BY 1, 2, 3, 4");
    select
}

pub(super) fn decided(columns: &mut Columns<'_>) -> Result<Decided, sqlx::Error> {
    let state = columns.row::<DeploymentState>()?;
    let revision = columns.row_if_any::<ArtifactRevision>()?;
    let ratified = columns.row_if_any::<CustodyTransition>()?;
    let opened = columns.row_if_any::<CustodyTransition>()?;
    Ok(Decided { state, revision, ratified, opened })
}

/// That of one target.
pub(super) fn of_target<'d>(mut select: Select<'d>, id: ArtifactId, target: &str) -> Select<'d> {
    select.and("state.artifact_id = ").value(*id.as_uuid());
    select.and("state.target = ").value(target.to_owned());
    select
}
