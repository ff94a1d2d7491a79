//! Queries about the past.

use guildhall_core::ops::{Paging, PositionKey, RevisionKey};
use guildhall_core::store::{
    links_of_timeline, read_change, read_content, read_drift_span, read_posture, read_posture_moves,
};
use guildhall_core::{
    ArtifactId, ArtifactRevision, AsOf, Change, ChangeQuery, CustodyTransition, Decided,
    DeploymentChange, DeploymentState, DriftSpan, HealthTimes, Page, PeriodQuery, PostureBy,
    PostureDay, PostureQuery, Recovery, TargetChange, TimelineEntry, TimelineKind, TimelineQuery,
    Timestamp, VerificationResult, What,
};
use rusqlite::Row;
use rusqlite::types::Value;

use super::select::{Asked, Select, bytes, expanded, moment, ordered};
use crate::ops_rows::Columns;

pub(super) fn select_revisions(id: ArtifactId, paging: &Paging<RevisionKey>) -> Select {
    Select::from("SELECT {artifact_revisions.*} FROM artifact_revisions")
        .and("artifact_id = ?", [bytes(id.as_uuid())])
        .paged(&["revision"], true, paging, |(revision,)| vec![revision.as_i64().into()])
}

pub(super) fn load_revisions(
    asked: &Asked<'_>,
    id: ArtifactId,
    paging: &Paging<RevisionKey>,
) -> rusqlite::Result<Page<ArtifactRevision>> {
    let rows = select_revisions(id, paging)
        .load(asked, |row| Columns::of(row).row::<ArtifactRevision>())?;
    Ok(paging.page(rows, |row| (row.revision,)))
}

/// What a table records for a range of positions; `changed` is its alias. CROSS JOIN keeps the order.
fn select_changes(select: Select, query: &ChangeQuery) -> Select {
    let ((after, up_to), paging) = (query.positions(), query.paging());
    let range = [after.as_i64().into(), up_to.as_i64().into()];
    let (is_turned, limit) = (paging.is_turned, paging.wanted().into());
    match query.artifact_id {
        None => select
            .and("changed.position > ? AND changed.position <= ?", range)
            .ordered(&ordered(&["changed.position"], is_turned), limit),
        // One artifact has few: the plus keeps SQLite from the index of all.
        Some(id) => select
            .and("changed.artifact_id = ?", [bytes(id.as_uuid())])
            .and("+changed.position > ? AND +changed.position <= ?", range)
            .ordered(&ordered(&["+changed.position"], is_turned), limit),
    }
}

pub(super) fn select_contents(query: &ChangeQuery) -> Select {
    let sql = "SELECT changed.position, changed.artifact_id, artifact.name, artifact.artifact_type, \
        artifact.tier, changed.revision, changed.cid, changed.recorded_at \
        FROM artifact_revisions AS changed \
        CROSS JOIN governed_artifacts AS artifact ON artifact.id = changed.artifact_id";
    select_changes(Select::from(sql), query)
}

pub(super) fn select_links(query: &ChangeQuery) -> Select {
    select_changes(links(), query)
}

fn links() -> Select {
    Select::from(
        "SELECT changed.position, changed.artifact_id, artifact.name, artifact.artifact_type, \
        artifact.tier, {changed: custody_transitions.*} \
        FROM custody_transitions AS changed \
        CROSS JOIN governed_artifacts AS artifact ON artifact.id = changed.artifact_id",
    )
}

pub(super) fn select_healths(query: &ChangeQuery) -> Select {
    let sql = "SELECT changed.position, changed.artifact_id, artifact.name, artifact.artifact_type, \
        artifact.tier, {changed: deployment_changes.*} \
        FROM deployment_changes AS changed \
        CROSS JOIN governed_artifacts AS artifact ON artifact.id = changed.artifact_id \
        AND changed.previous_health IS NOT changed.health";
    select_changes(Select::from(sql), query)
}

fn content(row: &Row<'_>) -> rusqlite::Result<Change> {
    read_change(&mut Columns::of(row), read_content)
}

fn link(row: &Row<'_>) -> rusqlite::Result<Change> {
    read_change(&mut Columns::of(row), |columns| {
        Ok(What::of_link(columns.row::<CustodyTransition>()?))
    })
}

fn target_change(row: &Row<'_>) -> rusqlite::Result<TargetChange> {
    let mut columns = Columns::of(row);
    Ok(TargetChange { change: columns.row()?, before: columns.row_if_any()? })
}

pub(super) fn load_changes(
    asked: &Asked<'_>,
    query: &ChangeQuery,
) -> rusqlite::Result<Page<Change>> {
    let contents = select_contents(query).load(asked, content)?;
    let links = select_links(query).load(asked, link)?;
    let healths = select_healths(query).load(asked, |row| {
        read_change(&mut Columns::of(row), |columns| {
            Ok(What::Health { change: columns.row::<DeploymentChange>()? })
        })
    })?;
    Ok(query.page([contents, links, healths]))
}

pub(super) fn select_target_changes(query: &ChangeQuery) -> Select {
    select_changes(Select::from(include_str!("../sql/select_target_changes.sql")), query)
}

pub(super) fn load_target_changes(
    asked: &Asked<'_>,
    query: &ChangeQuery,
) -> rusqlite::Result<Page<TargetChange>> {
    let rows = select_target_changes(query).load(asked, target_change)?;
    Ok(query.paging().page(rows, |row| (row.change.position,)))
}

pub(super) fn select_verdicts(query: &ChangeQuery) -> Select {
    let sql = "SELECT {verification_results.*} FROM verification_results AS changed";
    select_changes(Select::from(sql), query)
}

pub(super) fn load_timeline(
    asked: &Asked<'_>,
    query: &TimelineQuery,
) -> rusqlite::Result<Page<TimelineEntry>> {
    let mut rows = Vec::new();
    if query.wants(TimelineKind::Revision) {
        let select = select_contents(&query.range_of(TimelineKind::Revision));
        rows.extend(select.load(asked, content)?.into_iter().map(Into::into));
    }
    if let Some(condition) = links_of_timeline(query) {
        let links = links().and(condition, []);
        let select = select_changes(links, &query.range_of(TimelineKind::Transition));
        rows.extend(select.load(asked, link)?.into_iter().map(Into::into));
    }
    if query.wants(TimelineKind::Target) {
        let select = select_target_changes(&query.range_of(TimelineKind::Target));
        rows.extend(select.load(asked, target_change)?.into_iter().map(Into::into));
    }
    if query.wants(TimelineKind::Verification) {
        let select = select_verdicts(&query.range_of(TimelineKind::Verification));
        let read = |row: &Row<'_>| Columns::of(row).row::<VerificationResult>();
        rows.extend(select.load(asked, read)?.into_iter().map(Into::into));
    }
    Ok(query.page(rows))
}

pub(super) fn select_ceremonies_of(actor: &str, paging: &Paging<PositionKey>) -> Select {
    Select::from(include_str!("../sql/select_ceremonies.sql"))
        .and("link.to_state = 'ceremony_open'", [])
        .and(
            "link.position IN (\
             SELECT opened.position FROM custody_transitions AS opened \
             WHERE opened.actor = ? AND opened.to_state = 'ceremony_open' \
             UNION ALL \
             SELECT opened.position FROM custody_transitions AS closed \
             CROSS JOIN custody_transitions AS opened \
             ON opened.artifact_id = closed.artifact_id AND opened.seq = closed.seq - 1 \
             WHERE closed.actor = ? AND closed.from_state = 'ceremony_open')",
            [actor.to_owned().into(), actor.to_owned().into()],
        )
        .paged(&["link.position"], false, paging, |(position,)| vec![position.as_i64().into()])
}

/// The changes of a page of targets: for each the last at or before the period, and those in it.
pub(super) fn select_health_times(query: &PeriodQuery) -> Select {
    let of_page = "SELECT {seen: deployment_changes.*} FROM (\
        SELECT state.artifact_id, state.target FROM deployment_states AS state WHERE EXISTS (\
        SELECT 1 FROM deployment_changes AS any_change \
        WHERE any_change.artifact_id = state.artifact_id AND any_change.target = state.target \
        AND any_change.observed_at < ?)";
    let mut select = Select { has_where: true, ..Select::from(of_page) };
    select.values.push(query.before.to_string().into());
    if let Some(id) = query.artifact_id {
        select = select.and("state.artifact_id = ?", [bytes(id.as_uuid())]);
    }
    if let Some(target) = &query.target {
        select = select.and("state.target = ?", [target.clone().into()]);
    }
    let columns = ["state.artifact_id", "state.target"];
    select = select.paged(&columns, false, &query.target_paging(), |(id, target)| {
        vec![bytes(id.as_uuid()), target.clone().into()]
    });
    select.sql.push_str(
        ") AS asked CROSS JOIN deployment_changes AS seen \
         ON seen.artifact_id = asked.artifact_id AND seen.target = asked.target \
         AND seen.observed_at < ? AND seen.observed_at >= coalesce((\
         SELECT max(earlier.observed_at) FROM deployment_changes AS earlier \
         WHERE earlier.artifact_id = asked.artifact_id AND earlier.target = asked.target \
         AND earlier.observed_at <= ?), '') \
         ORDER BY seen.artifact_id, seen.target, seen.observed_at, seen.position",
    );
    select.values.extend([query.before.to_string().into(), query.since.to_string().into()]);
    select
}

pub(super) fn load_health_times(
    asked: &Asked<'_>,
    query: &PeriodQuery,
) -> rusqlite::Result<Page<HealthTimes>> {
    let changes =
        select_health_times(query).load(asked, |row| Columns::of(row).row::<DeploymentChange>())?;
    Ok(query.page_of_targets(changes))
}

/// The drifts that began in the period.
pub(super) fn select_drifts(query: &PeriodQuery) -> Select {
    let mut select = Select::from(include_str!("../sql/select_drifts.sql"))
        .and("began.health = 'drifted' AND began.previous_health IS NOT 'drifted'", [])
        .and("began.observed_at >= ?", [query.since.to_string().into()])
        .and("began.observed_at < ?", [query.before.to_string().into()]);
    if let Some(id) = query.artifact_id {
        select = select.and("began.artifact_id = ?", [bytes(id.as_uuid())]);
    }
    if let Some(target) = &query.target {
        select = select.and("began.target = ?", [target.clone().into()]);
    }
    select
}

pub(super) fn load_drifts(
    asked: &Asked<'_>,
    query: &PeriodQuery,
) -> rusqlite::Result<Page<DriftSpan>> {
    let paging = query.paging();
    let columns = ["began.observed_at", "began.position"];
    let select = select_drifts(query).paged(&columns, true, &paging, moment);
    let rows = select.load(asked, drift_span)?;
    Ok(paging.page(rows, |row| (row.drifted_at, row.position)))
}

pub(super) fn load_recovery(asked: &Asked<'_>, query: &PeriodQuery) -> rusqlite::Result<Recovery> {
    let select = select_drifts(query);
    let mut statement = asked.prepare(&select.sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(asked.values(select.values)))?;
    let mut recovery = Recovery::default();
    while let Some(row) = rows.next()? {
        let span = drift_span(row)?;
        recovery.count(span.drifted_at, span.healthy_at);
    }
    Ok(recovery)
}

fn drift_span(row: &Row<'_>) -> rusqlite::Result<DriftSpan> {
    read_drift_span(&mut Columns::of_table(row, "deployment_changes"))
}

/// How the estate is divided: the column of the artifact, and the join that it takes. What divides artifacts
/// never changes, so that it is read from the table as it is.
fn division(by: PostureBy, as_of: Option<AsOf>) -> (&'static str, String) {
    let join = |column| {
        let join = "CROSS JOIN main.governed_artifacts AS artifact ON artifact.id = it.artifact_id";
        let was_there =
            as_of.map(|moment| expanded(" AND {shown artifact: governed_artifacts}", moment));
        (column, join.to_owned() + &was_there.unwrap_or_default())
    };
    match by {
        PostureBy::Estate => ("NULL", String::new()),
        PostureBy::Tier => join("artifact.tier"),
        PostureBy::ArtifactType => join("artifact.artifact_type"),
        PostureBy::Accord => join("artifact.accord_binding_id"),
    }
}

/// How many targets have each health, and how many changed theirs since; both by group.
pub(super) fn posture_statements(by: PostureBy, as_of: Option<AsOf>) -> [String; 2] {
    let (column, join) = division(by, as_of);
    [
        format!(
            "SELECT {column}, it.health, count(*) FROM deployment_states AS it {join} GROUP BY 1, 2"
        ),
        format!(
            "SELECT {column}, substr(it.observed_at, 1, 10) || 'T00:00:00.000000Z', \
             it.previous_health, it.health, count(*) FROM deployment_changes AS it {join} \
             WHERE it.observed_at >= ? AND it.previous_health IS NOT it.health GROUP BY 1, 2, 3, 4"
        ),
    ]
}

pub(super) fn load_posture(
    asked: &Asked<'_>,
    query: &PostureQuery,
) -> rusqlite::Result<Vec<PostureDay>> {
    let load = |sql: String, values: Vec<Value>| Select { sql, values, has_where: true };
    let [now, moves] = posture_statements(query.by, asked.as_of);
    let now =
        load(now, Vec::new()).load(asked, |row| read_posture(query.by, &mut Columns::of(row)))?;
    let first = query.days().first().copied().unwrap_or(Timestamp::MAX);
    let moves = load(moves, vec![first.to_string().into()])
        .load(asked, |row| read_posture_moves(query.by, &mut Columns::of(row)))?;
    Ok(query.answer(now, moves))
}

pub(super) fn load_decided(
    asked: &Asked<'_>,
    id: ArtifactId,
    target: &str,
) -> rusqlite::Result<Option<Decided>> {
    let of_it = || [bytes(id.as_uuid())];
    let select = Select::from(include_str!("../sql/select_deployments.sql"))
        .and("artifact_id = ?", of_it())
        .and("target = ?", [target.to_owned().into()]);
    let found = select.load(asked, |row| Columns::of(row).row::<DeploymentState>())?;
    let Some(state) = found.into_iter().next() else { return Ok(None) };
    let Some(cid) = state.observed_cid else {
        return Ok(Some(Decided { state, revision: None, ratified: None, opened: None }));
    };
    let revision = Select::from("SELECT {artifact_revisions.*} FROM artifact_revisions")
        .and("artifact_id = ?", of_it())
        .and("cid = ?", [cid.to_string().into()])
        .ordered("revision DESC", 1)
        .load(asked, |row| Columns::of(row).row::<ArtifactRevision>())?;
    let links = || {
        Select::from(include_str!("../sql/select_transitions.sql")).and("artifact_id = ?", of_it())
    };
    let link = |row: &Row<'_>| Columns::of(row).row::<CustodyTransition>();
    let ratified = links()
        .and("to_state = 'ratified'", [])
        .and("cid = ?", [cid.to_string().into()])
        .ordered("seq DESC", 1)
        .load(asked, link)?;
    let ratified = ratified.into_iter().next();
    let opened = match &ratified {
        None => None,
        Some(ratified) => {
            let before = ratified.seq.previous().as_i64();
            links().and("seq = ?", [before.into()]).load(asked, link)?.into_iter().next()
        }
    };
    Ok(Some(Decided { state, revision: revision.into_iter().next(), ratified, opened }))
}
