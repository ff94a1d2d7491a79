//! The questions to what was, on the tables in memory.

use std::collections::BTreeMap;

use super::ops_db::page;
use super::tables::Rows;
use crate::custody::CustodyState;
use crate::ids::ArtifactId;
use crate::ops::{
    ArtifactRevision, Ceremony, Change, ChangeQuery, Cursor, Decided, DeploymentChange, DriftSpan,
    Happened, Health, HealthTimes, Named, Page, Paging, PeriodQuery, PostureBy, PostureDay,
    PostureMoves, PostureQuery, Recovery, TargetChange, TimelineEntry, TimelineQuery, What,
};
use crate::time::Timestamp;

pub(super) fn revisions(
    rows: &Rows,
    id: ArtifactId,
    after: Option<&Cursor>,
    limit: u32,
) -> Page<ArtifactRevision> {
    let paging = Paging::of(after, limit);
    page(rows.revisions(id).cloned(), |row| (row.revision,), true, &paging)
}

pub(super) fn changes(rows: &Rows, query: &ChangeQuery) -> Page<Change> {
    let (after, up_to) = query.positions();
    let change = |position, artifact_id, what| {
        let artifact = rows.governed_artifacts.get(&artifact_id)?;
        let (name, artifact_type) = (artifact.name.clone(), artifact.artifact_type.clone());
        let artifact = Named { name, artifact_type, tier: artifact.tier };
        Some(Change { position, artifact_id, artifact, what })
            .filter(|it| it.position > after && it.position <= up_to)
            .filter(|it| query.artifact_id.is_none_or(|id| it.artifact_id == id))
    };
    let contents = rows.artifact_revisions.values().filter_map(|row| {
        let what = What::of_content(row.revision, row.cid, row.recorded_at);
        change(row.position, row.artifact_id, what)
    });
    let links = rows.custody_transitions.values();
    let links =
        links.filter_map(|row| change(row.position, row.artifact_id, What::of_link(row.clone())));
    let healths = rows.deployment_changes.values();
    let healths = healths.filter(|row| row.previous_health != Some(row.health)).filter_map(|row| {
        change(row.position, row.artifact_id, What::Health { change: row.clone() })
    });
    let parts = [contents.collect(), links.collect(), healths.collect()];
    query.page(parts)
}

/// Every change of a target with the one before it, target by target.
fn with_those_before(rows: &Rows) -> impl Iterator<Item = TargetChange> + '_ {
    let mut before: Option<&DeploymentChange> = None;
    rows.deployment_changes.values().map(move |change| {
        let is_same = |it: &&DeploymentChange| {
            (it.artifact_id, &it.target) == (change.artifact_id, &change.target)
        };
        let previous = before.replace(change).filter(is_same).cloned();
        TargetChange { change: change.clone(), before: previous }
    })
}

pub(super) fn target_changes(rows: &Rows, query: &ChangeQuery) -> Page<TargetChange> {
    let (after, up_to) = query.positions();
    let found = with_those_before(rows).filter(|TargetChange { change, .. }| {
        change.position > after
            && change.position <= up_to
            && query.artifact_id.is_none_or(|id| change.artifact_id == id)
    });
    page(found, |it| (it.change.position,), false, &query.paging())
}

pub(super) fn timeline(rows: &Rows, query: &TimelineQuery) -> Page<TimelineEntry> {
    let id = query.artifact_id;
    let contents = rows.revisions(id).map(|row| {
        let what = Happened::Revision { revision: row.revision, cid: row.cid };
        TimelineEntry { position: row.position, at: row.recorded_at, what }
    });
    let links = rows.chain(id).map(|link| {
        let (position, at, transition) = (link.position, link.occurred_at, link.clone());
        let what = if link.is_of_ceremony() {
            Happened::Ceremony { transition }
        } else {
            Happened::Transition { transition }
        };
        TimelineEntry { position, at, what }
    });
    let targets = with_those_before(rows).filter(|it| it.change.artifact_id == id);
    let verdicts = rows.verification_results.values().filter(|row| row.artifact_id == id);
    let all = contents
        .chain(links)
        .chain(targets.map(TimelineEntry::from))
        .chain(verdicts.cloned().map(TimelineEntry::from))
        .filter(|entry| query.wants(entry.what.kind()));
    page(all, TimelineEntry::key, true, &query.paging())
}

pub(super) fn ceremonies_of<'r>(
    ceremonies: impl Iterator<Item = Ceremony> + 'r,
    actor: &'r str,
) -> impl Iterator<Item = Ceremony> + 'r {
    ceremonies.filter(move |it| {
        it.opened.actor == actor || it.closed.as_ref().is_some_and(|link| link.actor == actor)
    })
}

/// The changes of the targets that a query is about, target by target.
fn by_target<'r>(
    rows: &'r Rows,
    query: &PeriodQuery,
) -> BTreeMap<(ArtifactId, &'r str), Vec<&'r DeploymentChange>> {
    let mut targets = BTreeMap::<_, Vec<_>>::new();
    for row in rows.deployment_changes.values() {
        let is_asked = query.artifact_id.is_none_or(|id| row.artifact_id == id)
            && query.target.as_ref().is_none_or(|target| row.target == *target);
        if is_asked {
            targets.entry((row.artifact_id, row.target.as_str())).or_default().push(row);
        }
    }
    targets
}

pub(super) fn health_times(rows: &Rows, query: &PeriodQuery) -> Page<HealthTimes> {
    let times = by_target(rows, query).into_values().flat_map(|changes| {
        let changes = changes.into_iter().filter(|row| row.observed_at < query.before).cloned();
        HealthTimes::of(changes, query.since, query.before)
    });
    let key = |row: &HealthTimes| (row.artifact_id, row.target.clone());
    page(times, key, false, &query.target_paging())
}

fn drift_spans(rows: &Rows, query: &PeriodQuery) -> Vec<DriftSpan> {
    let mut spans = Vec::new();
    for changes in by_target(rows, query).into_values() {
        for (nth, began) in changes.iter().enumerate() {
            let is_drift =
                began.health == Health::Drifted && began.previous_health != Some(Health::Drifted);
            if is_drift && (query.since..query.before).contains(&began.observed_at) {
                let later = &changes[nth + 1..];
                let end = later.iter().find(|row| row.health != Health::Drifted);
                let healthy = later.iter().find(|row| row.health == Health::Healthy);
                spans.push(DriftSpan {
                    artifact_id: began.artifact_id,
                    target: began.target.clone(),
                    drifted_at: began.observed_at,
                    desired_cid: began.desired_cid,
                    observed_cid: began.observed_cid,
                    ended_at: end.map(|row| row.observed_at),
                    ended_as: end.map(|row| row.health),
                    healthy_at: healthy.map(|row| row.observed_at),
                    position: began.position,
                });
            }
        }
    }
    spans
}

pub(super) fn drifts(rows: &Rows, query: &PeriodQuery) -> Page<DriftSpan> {
    let key = |row: &DriftSpan| (row.drifted_at, row.position);
    page(drift_spans(rows, query).into_iter(), key, true, &query.paging())
}

pub(super) fn recovery(rows: &Rows, query: &PeriodQuery) -> Recovery {
    let mut recovery = Recovery::default();
    for span in drift_spans(rows, query) {
        recovery.count(span.drifted_at, span.healthy_at);
    }
    recovery
}

pub(super) fn posture(rows: &Rows, query: &PostureQuery) -> Vec<PostureDay> {
    let group = |id: ArtifactId| {
        let artifact = rows.governed_artifacts.get(&id);
        let group = artifact.map(|artifact| match query.by {
            PostureBy::Estate => String::new(),
            PostureBy::Tier => artifact.tier.get().to_string(),
            PostureBy::ArtifactType => artifact.artifact_type.clone(),
            PostureBy::Accord => artifact.accord_binding_id.to_string(),
        });
        group.unwrap_or_default()
    };
    let now = rows.deployment_states.values().map(|row| (group(row.artifact_id), row.health, 1));
    let first = query.days().into_iter().next().unwrap_or(Timestamp::MAX);
    let moves = rows
        .deployment_changes
        .values()
        .filter(|row| row.observed_at >= first && row.previous_health != Some(row.health));
    let moves = moves.map(|row| PostureMoves {
        group: group(row.artifact_id),
        day: row.observed_at.start_of_day(),
        from: row.previous_health,
        to: row.health,
        targets: 1,
    });
    query.answer(now, moves)
}

pub(super) fn decided(rows: &Rows, id: ArtifactId, target: &str) -> Option<Decided> {
    let state = rows.deployment_states.get(&(id, target.to_owned()))?.clone();
    let runs = state.observed_cid;
    let revision = rows.revisions(id).rev().find(|row| Some(row.cid) == runs).cloned();
    let is_it = |link: &&_| {
        let link: &crate::ops::CustodyTransition = link;
        link.to_state == CustodyState::Ratified && Some(link.cid) == runs
    };
    let ratified = rows.chain(id).filter(is_it).last().cloned();
    let opened = ratified
        .as_ref()
        .and_then(|link| rows.custody_transitions.get(&(id, link.seq.previous())).cloned());
    Some(Decided { state, revision, ratified, opened })
}
