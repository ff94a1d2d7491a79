//! Questions to what was: each answer is computed again from the tables, in the plainest way (DESIGN
//! section 10).

use std::collections::{BTreeMap, BTreeSet};

use guildhall_core::{
    ArtifactId, AsOf, Change, ChangeQuery, Cid, CustodyState, DeploymentChange, DeploymentObserved,
    EventKind, EventType, Health, Json, NewEntry, PeriodQuery, Position, PostureBy, PostureQuery,
    Tables, TargetChange, Timestamp, What,
};

use crate::answers::{assert_same, filled, filled_with, log, pages};
use crate::harness::Harness;
use crate::log::Log;

super::scenarios! { $ __past = past:
    the_contents_of_an_artifact_are_listed_latest_first,
    what_changed_between_two_positions_is_told_in_the_order_of_the_log,
    each_change_of_a_target_comes_with_the_one_before_it,
    the_ceremonies_of_an_actor_are_those_that_he_opened_or_closed,
    the_times_in_each_health_add_up_to_the_period,
    drifts_last_until_another_health_and_recover_with_the_next_healthy_one,
    the_posture_of_a_day_is_what_each_target_was_at_its_end,
    what_runs_is_traced_back_to_who_ratified_it,
}

pub async fn the_contents_of_an_artifact_are_listed_latest_first<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    for artifact in &tables.governed_artifacts {
        let contents = tables.artifact_revisions.iter();
        let mut expected: Vec<_> =
            contents.filter(|row| row.artifact_id == artifact.id).cloned().collect();
        expected.reverse();
        let rows =
            pages(2, |after| async { ops_db.revisions(artifact.id, after, 2).await.unwrap() });
        assert_same(&rows.await, &expected, &artifact.id);
        assert_eq!(expected[0].cid, artifact.cid);
    }
}

pub async fn what_changed_between_two_positions_is_told_in_the_order_of_the_log<H: Harness>(
    harness: H,
) {
    let (ops_db, tables) = filled(&harness).await;
    let head = tables.projector_checkpoints["ops_db"].position;
    let all = changes(&tables);
    let kinds: BTreeSet<_> = all.iter().map(|change| kind(&change.what)).collect();
    assert_eq!(kinds.len(), 6, "{kinds:?}");
    for (from, to) in [(0, u32::MAX), (100, 300), (300, 100), (500, 501), (0, 0)] {
        let (from, to) = (Position::new(from).min(head), Position::new(to).min(head));
        let is_in = |change: &&Change| change.position > from && change.position <= to;
        let expected: Vec<_> = all.iter().filter(is_in).cloned().collect();
        let some = all[all.len() / 2].artifact_id;
        for (artifact_id, limit) in [(None, 3), (None, 500), (Some(some), 4)] {
            let query = ChangeQuery::between(from, to).artifact_id(artifact_id).limit(limit);
            let of_it =
                expected.iter().filter(|it| artifact_id.is_none_or(|id| it.artifact_id == id));
            let expected: Vec<_> = of_it.cloned().collect();
            let rows = pages(limit, |after| async {
                ops_db.changes(&query.clone().after(after)).await.unwrap()
            });
            assert_same(&rows.await, &expected, &query);
        }
    }
}

fn kind(what: &What) -> &'static str {
    match what {
        What::Registered { .. } => "registered",
        What::Revised { .. } => "revised",
        What::CeremonyOpened { .. } => "ceremony_opened",
        What::CeremonyClosed { .. } => "ceremony_closed",
        What::Moved { .. } => "moved",
        What::Health { .. } => "health",
    }
}

/// Everything that ever changed.
fn changes(tables: &Tables) -> Vec<Change> {
    let change = |position, artifact_id: ArtifactId, what| {
        let mut artifacts = tables.governed_artifacts.iter();
        let artifact = artifacts.find(|row| row.id == artifact_id).unwrap();
        let (name, artifact_type) = (artifact.name.clone(), artifact.artifact_type.clone());
        let artifact = guildhall_core::Named { name, artifact_type, tier: artifact.tier };
        Change { position, artifact_id, artifact, what }
    };
    let mut all = Vec::new();
    for row in &tables.artifact_revisions {
        let (cid, recorded_at) = (row.cid, row.recorded_at);
        all.push(change(
            row.position,
            row.artifact_id,
            match row.revision.get() {
                1 => What::Registered { cid, recorded_at },
                _ => What::Revised { revision: row.revision, cid, recorded_at },
            },
        ));
    }
    for transition in tables.custody_transitions.iter().cloned() {
        let (position, id) = (transition.position, transition.artifact_id);
        let what = match (transition.from_state, transition.to_state) {
            (Some(CustodyState::CeremonyOpen), _) => What::CeremonyClosed { transition },
            (_, CustodyState::CeremonyOpen) => What::CeremonyOpened { transition },
            _ => What::Moved { transition },
        };
        all.push(change(position, id, what));
    }
    for row in &tables.deployment_changes {
        if row.health_since == row.observed_at && row.previous_health != Some(row.health) {
            all.push(change(row.position, row.artifact_id, What::Health { change: row.clone() }));
        }
    }
    all.sort_by_key(|change| change.position);
    all
}

pub async fn each_change_of_a_target_comes_with_the_one_before_it<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let head = tables.projector_checkpoints["ops_db"].position;
    let rows = &tables.deployment_changes;
    let mut all: Vec<_> = rows
        .iter()
        .map(|row| TargetChange {
            change: row.clone(),
            before: rows
                .iter()
                .filter(|it| (it.artifact_id, &it.target) == (row.artifact_id, &row.target))
                .filter(|it| it.position < row.position)
                .max_by_key(|it| it.position)
                .cloned(),
        })
        .collect();
    all.sort_by_key(|it| it.change.position);
    assert!(
        all.iter().any(|it| it.before.as_ref().is_some_and(|was| was.health == it.change.health))
    );
    let middle = Position::new(400);
    let some = all[all.len() / 2].change.artifact_id;
    for (from, to, moment) in [
        (Position::ZERO, head, head),
        (Position::new(200), middle, head),
        (Position::ZERO, head, middle),
    ] {
        let ops_db = ops_db.as_of(AsOf::Position(moment)).await.unwrap();
        for artifact_id in [None, Some(some)] {
            let query = ChangeQuery::between(from, to).artifact_id(artifact_id).limit(7);
            let is_asked = |it: &&TargetChange| {
                it.change.position > from
                    && it.change.position <= to.min(moment)
                    && artifact_id.is_none_or(|id| it.change.artifact_id == id)
            };
            let expected: Vec<_> = all.iter().filter(is_asked).cloned().collect();
            let found = pages(7, |after| async {
                ops_db.target_changes(&query.clone().after(after)).await.unwrap()
            });
            assert_same(&found.await, &expected, &query);
        }
    }
}

pub async fn the_ceremonies_of_an_actor_are_those_that_he_opened_or_closed<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let links = &tables.custody_transitions;
    let actors: BTreeSet<_> = links.iter().map(|link| link.actor.clone()).collect();
    let mut found = 0;
    for actor in actors.iter().map(String::as_str).chain(["nobody", "a\0"]) {
        let opened = links.iter().filter(|link| link.to_state == CustodyState::CeremonyOpen);
        let mut expected: Vec<_> = opened
            .filter_map(|opened| {
                let mut closing = links.iter();
                let closed = closing.find(|link| {
                    link.artifact_id == opened.artifact_id && link.seq.previous() == opened.seq
                });
                let has_part =
                    opened.actor == actor || closed.is_some_and(|closed| closed.actor == actor);
                has_part.then(|| (opened.clone(), closed.cloned()))
            })
            .collect();
        expected.sort_by_key(|(opened, _)| opened.position);
        let rows = pages(3, |after| async { ops_db.ceremonies_of(actor, after, 3).await.unwrap() });
        let rows: Vec<_> = rows.await.into_iter().map(|row| (row.opened, row.closed)).collect();
        assert_same(&rows, &expected, &actor);
        found += rows.len();
    }
    assert!(found > 20, "{found}");
}

/// The changes of each target, in order.
fn targets(tables: &Tables) -> BTreeMap<(ArtifactId, String), Vec<DeploymentChange>> {
    let mut targets = BTreeMap::<_, Vec<_>>::new();
    for row in &tables.deployment_changes {
        targets.entry((row.artifact_id, row.target.clone())).or_default().push(row.clone());
    }
    targets
}

fn health_at(changes: &[DeploymentChange], at: Timestamp) -> Option<Health> {
    changes.iter().rfind(|row| row.observed_at <= at).map(|row| row.health)
}

/// The time of the change that so large a part of them comes before, in percent.
fn quantile(tables: &Tables, percent: usize) -> Timestamp {
    let mut times: Vec<_> = tables.deployment_changes.iter().map(|row| row.observed_at).collect();
    times.sort();
    times[(times.len() - 1) * percent / 100]
}

fn periods(tables: &Tables) -> [PeriodQuery; 4] {
    let at = |percent| quantile(tables, percent);
    let some = &tables.deployment_changes[tables.deployment_changes.len() / 2];
    [
        PeriodQuery::between(Timestamp::MIN, Timestamp::MAX),
        PeriodQuery::between(at(30), at(70)),
        PeriodQuery::between(at(20), at(90)).artifact_id(some.artifact_id),
        PeriodQuery::between(at(10), at(90)).target(some.target.clone()),
    ]
}

fn is_asked(query: &PeriodQuery, (id, target): (&ArtifactId, &str)) -> bool {
    query.artifact_id.is_none_or(|asked| asked == *id)
        && query.target.as_ref().is_none_or(|asked| asked == target)
}

pub async fn the_times_in_each_health_add_up_to_the_period<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    for query in periods(&tables) {
        let mut expected = Vec::new();
        for ((id, target), changes) in targets(&tables) {
            if !is_asked(&query, (&id, &target))
                || changes.iter().all(|row| row.observed_at >= query.before)
            {
                continue;
            }
            // Between two changes nothing changes.
            let mut cuts: Vec<_> = changes.iter().map(|row| row.observed_at).collect();
            cuts.extend([query.since, query.before]);
            cuts.retain(|at| (query.since..=query.before).contains(at));
            cuts.sort();
            let mut spent = BTreeMap::new();
            for pair in cuts.windows(2) {
                let micros = pair[1].as_micros() - pair[0].as_micros();
                *spent.entry(health_at(&changes, pair[0])).or_insert(0) += micros;
            }
            let of = |health| spent.get(&Some(health)).copied().unwrap_or(0).cast_unsigned();
            let times = [Health::Healthy, Health::Drifted, Health::Unknown].map(of);
            expected.push((id, target, times));
        }
        assert!(!expected.is_empty());
        let query = query.limit(5);
        let rows = pages(5, |after| async {
            ops_db.health_times(&query.clone().after(after)).await.unwrap()
        });
        let found = rows.await.into_iter().map(|row| {
            let times = [row.healthy_micros, row.drifted_micros, row.unknown_micros];
            (row.artifact_id, row.target, times)
        });
        assert_same(&found.collect::<Vec<_>>(), &expected, &query);
    }
}

pub async fn drifts_last_until_another_health_and_recover_with_the_next_healthy_one<H: Harness>(
    harness: H,
) {
    let mut log = log();
    for event in lost_from_sight(&log) {
        log.push(NewEntry::new(&event.into()));
    }
    let (ops_db, tables) = filled_with(&harness, &log).await;
    let mut were_lost = 0;
    for query in periods(&tables) {
        let mut expected = Vec::new();
        for ((id, target), changes) in targets(&tables) {
            let mut before = None;
            for (nth, row) in changes.iter().enumerate() {
                let begins = row.health == Health::Drifted && before != Some(Health::Drifted);
                before = Some(row.health);
                let is_in = row.observed_at >= query.since && row.observed_at < query.before;
                if begins && is_in && is_asked(&query, (&id, &target)) {
                    let ended = changes[nth..].iter().find(|it| it.health != Health::Drifted);
                    let healthy = changes[nth..].iter().find(|it| it.health == Health::Healthy);
                    let ended = ended.map(|it| (it.observed_at, it.health));
                    let healthy_at = healthy.map(|it| it.observed_at);
                    were_lost += usize::from(ended.is_some_and(|(at, _)| healthy_at > Some(at)));
                    expected.push((
                        row.position,
                        target.clone(),
                        row.observed_at,
                        ended,
                        healthy_at,
                    ));
                }
            }
        }
        expected.sort_by_key(|(position, _, at, ..)| std::cmp::Reverse((*at, *position)));
        let query = query.limit(4);
        let rows =
            pages(4, |after| async { ops_db.drifts(&query.clone().after(after)).await.unwrap() });
        let found = rows.await.into_iter().map(|row| {
            let ended = row.ended_at.zip(row.ended_as);
            (row.position, row.target, row.drifted_at, ended, row.healthy_at)
        });
        assert_same(&found.collect::<Vec<_>>(), &expected, &query);

        let recovery = ops_db.recovery(&query).await.unwrap();
        let lengths: Vec<_> = expected
            .iter()
            .filter_map(|(.., at, _, healthy)| Some(healthy.as_ref()?.as_micros() - at.as_micros()))
            .collect();
        let sum: i64 = lengths.iter().sum();
        let counted = (recovery.drifts, recovery.recovered, recovery.total_micros);
        assert_eq!(counted, (expected.len() as u64, lengths.len() as u64, sum.cast_unsigned()));
        let mean = recovery.mean().map(|mean| mean.as_micros());
        assert_eq!(
            mean,
            sum.checked_div(lengths.len() as i64).map(|it| u128::try_from(it).unwrap())
        );
    }
    assert!(were_lost > 0);
}

/// Observations of a target of each artifact that was drifted, then not seen, then healthy: it recovers
/// later than its drift ends.
fn lost_from_sight(log: &Log) -> Vec<DeploymentObserved> {
    let last = log.entries().iter().map(|entry| entry.recorded_at).max().unwrap();
    let (desired, other) = (Cid::from_digest([1; 32]), Cid::from_digest([2; 32]));
    let registrations = log
        .entries()
        .iter()
        .filter(|entry| entry.event_type == EventType::from(EventKind::ArtifactRegistered));
    let observe = |id, second: i64, observed_cid| DeploymentObserved {
        artifact_id: id,
        desired_cid: desired,
        detail: Json::null(),
        observed_at: Timestamp::from_micros(last.as_micros() + second * 1_000_000).unwrap(),
        observed_cid,
        target: "lost from sight".to_owned(),
    };
    registrations
        .map(|entry| ArtifactId::from_uuid(*entry.stream_id.as_uuid()))
        .flat_map(|id| {
            [(1, Some(other)), (2, None), (3, Some(desired))]
                .map(|(second, observed)| observe(id, second, observed))
        })
        .collect()
}

pub async fn the_posture_of_a_day_is_what_each_target_was_at_its_end<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    const DAY_MICROS: i64 = 86_400_000_000;
    let artifact = |id| tables.governed_artifacts.iter().find(|row| row.id == id).unwrap();
    for by in PostureBy::ALL {
        let group = |id| match by {
            PostureBy::Estate => String::new(),
            PostureBy::Tier => artifact(id).tier.get().to_string(),
            PostureBy::ArtifactType => artifact(id).artifact_type.clone(),
            PostureBy::Accord => artifact(id).accord_binding_id.to_string(),
        };
        for (days, until) in
            [(4, quantile(&tables, 100)), (2, quantile(&tables, 50)), (1, Timestamp::MIN)]
        {
            let query = PostureQuery::last_days(days, until).by(*by);
            let mut expected = Vec::new();
            for day in query.days() {
                let end = Timestamp::from_micros(day.as_micros() + DAY_MICROS - 1).unwrap();
                let mut counts = BTreeMap::<_, [u64; 3]>::new();
                for ((id, _), changes) in targets(&tables) {
                    let nth = match health_at(&changes, end) {
                        None => continue,
                        Some(Health::Healthy) => 0,
                        Some(Health::Drifted) => 1,
                        Some(Health::Unknown) => 2,
                    };
                    counts.entry(group(id)).or_default()[nth] += 1;
                }
                expected.extend(counts.into_iter().map(|(group, counts)| (day, group, counts)));
            }
            let found = ops_db.posture(&query).await.unwrap().into_iter();
            let found =
                found.map(|row| (row.day, row.group, [row.healthy, row.drifted, row.unknown]));
            assert_same(&found.collect::<Vec<_>>(), &expected, &query);
        }
    }
}

pub async fn what_runs_is_traced_back_to_who_ratified_it<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let mut traced = 0;
    for state in &tables.deployment_states {
        let found = ops_db.decided(state.artifact_id, &state.target).await.unwrap().unwrap();
        assert_eq!(&found.state, state);
        let contents = tables.artifact_revisions.iter();
        let had = contents.rev().find(|row| {
            row.artifact_id == state.artifact_id && Some(row.cid) == state.observed_cid
        });
        assert_eq!(found.revision.as_ref(), had);
        let links = tables.custody_transitions.iter();
        let ratified = links.rev().find(|link| {
            link.artifact_id == state.artifact_id
                && link.to_state == CustodyState::Ratified
                && Some(link.cid) == state.observed_cid
        });
        assert_eq!(found.ratified.as_ref(), ratified);
        let opened = ratified.and_then(|ratified| {
            let mut links = tables.custody_transitions.iter();
            links.find(|link| {
                link.artifact_id == ratified.artifact_id && link.seq == ratified.seq.previous()
            })
        });
        assert_eq!(found.opened.as_ref(), opened);
        traced += usize::from(ratified.is_some());
    }
    assert!(traced > 0);
    let some = tables.governed_artifacts[0].id;
    for target in ["nowhere", "a\0"] {
        assert_eq!(ops_db.decided(some, target).await.unwrap(), None);
    }
}
