//! How it was: each answer as of a position is that of an Ops DB that was rebuilt from the log cut
//! there, each answer as of a time that of the model (DESIGN section 10).

use guildhall_core::memory::MemoryOpsDb;
use guildhall_core::{
    AccordQuery, ArtifactQuery, ArtifactSort, AsOf, AsOfError, CustodyState, DeploymentQuery,
    DeploymentState, Drift, GovernedArtifact, Health, Json, OpsDb, Outcome, Position,
    Projector as _, Tables, Timestamp, VerificationQuery,
};
use proptest::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use super::replay::{log, try_cases};
use crate::answers::pages;
use crate::harness::{Harness, ProjectorSettings};
use crate::log::Log;
use crate::reference::Reference;

super::scenarios! { $ __history = history:
    as_of_any_position_it_is_as_rebuilt_from_the_log_cut_there,
    as_of_any_time_it_is_as_the_model_has_it,
    a_moment_that_is_not_known_yet_is_refused,
}

/// How many rows a page has, so that there are several.
const PAGE: u32 = 7;

/// What is asked and what is answered, all pages together. Ids are those of `known`.
async fn answers(ops_db: &dyn OpsDb, known: &Tables) -> Vec<(String, Value)> {
    let mut answers = vec![("overview".to_owned(), shown(&ops_db.overview().await.unwrap()))];
    for query in artifact_queries(known) {
        let found = pages(PAGE, |after| async {
            ops_db.artifacts(&query.clone().after(after).limit(PAGE)).await.unwrap()
        });
        answers.push((format!("{query:?}"), shown(&found.await)));
    }
    for artifact in &known.governed_artifacts {
        let id = artifact.id;
        let detail = ops_db
            .artifact(id)
            .await
            .unwrap()
            .map(|it| json!([it.artifact, it.accord, it.drift, it.drift_since]));
        answers.push((format!("artifact {id}"), shown(&detail)));
        let chain = pages(PAGE, |after| async { ops_db.chain(id, after, PAGE).await.unwrap() });
        answers.push((format!("chain of {id}"), shown(&chain.await)));
        let query = DeploymentQuery::default().artifact_id(id);
        answers.push((format!("{query:?}"), shown(&ops_db.deployments(&query).await.unwrap())));
    }
    let accords = AccordQuery::default();
    answers.push(("accords".to_owned(), shown(&ops_db.accords(&accords).await.unwrap())));
    let open = pages(PAGE, |after| async { ops_db.open_ceremonies(after, PAGE).await.unwrap() });
    answers.push(("open ceremonies".to_owned(), shown(&open.await)));
    let closed =
        pages(PAGE, |after| async { ops_db.closed_ceremonies(after, PAGE).await.unwrap() });
    answers.push(("closed ceremonies".to_owned(), shown(&closed.await)));
    for id in known.custody_transitions.iter().filter_map(|link| link.ceremony_id) {
        let found = ops_db.ceremony(id, None, PAGE).await.unwrap();
        answers.push((format!("ceremony {id}"), shown(&found)));
    }
    let health = Health::ALL.iter().map(|health| vec![*health]);
    for healths in health.chain([vec![]]) {
        let query = DeploymentQuery::default().healths(healths).limit(PAGE);
        let found = pages(PAGE, |after| async {
            ops_db.deployments(&query.clone().after(after)).await.unwrap()
        });
        answers.push((format!("{query:?}"), shown(&found.await)));
    }
    let any = VerificationQuery::default().limit(PAGE);
    for query in [any.clone(), any.clone().is_standing(true), any.outcomes([Outcome::Failed])] {
        let found = pages(PAGE, |after| async {
            ops_db.verifications(&query.clone().after(after)).await.unwrap()
        });
        answers.push((format!("{query:?}"), shown(&found.await)));
    }
    let refused = pages(PAGE, |after| async { ops_db.quarantined(after, PAGE).await.unwrap() });
    answers.push(("quarantine".to_owned(), shown(&refused.await)));
    answers
}

fn shown(answer: &(impl Serialize + ?Sized)) -> Value {
    let mut value = serde_json::to_value(answer).unwrap();
    // How a violation is worded is not compared.
    if let Some(rows) = value.as_array_mut() {
        rows.iter_mut().filter_map(Value::as_object_mut).for_each(|row| {
            if row.contains_key("code") {
                row.remove("reason");
            }
        });
    }
    value
}

/// Every order, and filters of what changes and of what never does.
fn artifact_queries(known: &Tables) -> Vec<ArtifactQuery> {
    let any = ArtifactQuery::default;
    let mut queries: Vec<_> = ArtifactSort::ALL
        .iter()
        .flat_map(|sort| [false, true].map(|down| any().sort(*sort).is_descending(down)))
        .collect();
    let one = known.governed_artifacts.first();
    queries.extend(CustodyState::ALL.iter().map(|state| any().custody_states([*state])));
    queries.extend(Drift::ALL.iter().map(|drift| any().drifts([*drift])));
    queries.extend(Outcome::ALL.iter().map(|outcome| any().verdicts([*outcome])));
    queries.extend(one.map(|row| any().cids([row.cid])));
    queries.extend(one.map(|row| any().content_contains(row.content.clone())));
    queries.extend(one.map(|row| any().names([row.name.clone()])));
    queries.extend(one.map(|row| any().tiers([row.tier]).accords([row.accord_binding_id])));
    queries
}

fn same(found: Vec<(String, Value)>, expected: Vec<(String, Value)>) -> Result<(), TestCaseError> {
    for ((asked, found), (_, expected)) in found.into_iter().zip(expected) {
        prop_assert_eq!(found, expected, "{}", asked);
    }
    Ok(())
}

/// What is promised of a state as of a moment: its last change.
fn of_last_change(tables: &Tables, row: DeploymentState) -> DeploymentState {
    let mut changes = tables.deployment_changes.iter();
    let last = changes.rfind(|it| (it.artifact_id, &it.target) == (row.artifact_id, &row.target));
    let last = last.unwrap();
    DeploymentState {
        detail: Json::null(),
        observed_at: last.observed_at,
        position: last.position,
        ..row
    }
}

async fn filled<H: Harness>(log: &Log) -> H {
    let harness = H::fresh().await;
    let projector = harness.projector(ProjectorSettings::default()).await;
    projector.apply(log.rest(Position::ZERO)).await.unwrap();
    harness
}

pub async fn as_of_any_position_it_is_as_rebuilt_from_the_log_cut_there<H: Harness>(harness: H) {
    drop(harness);
    let input = (any::<u64>(), 20..250_usize, any::<bool>(), prop::collection::vec(0..300_u64, 3));
    try_cases(input, |(seed, count, is_hostile, positions)| async move {
        let log = log(seed, count, is_hostile);
        let harness = filled::<H>(&log).await;
        let known = harness.tables().await;
        for position in positions {
            let position = Position::try_from(position.min(log.head().get())).unwrap();
            let cut = MemoryOpsDb::new();
            let all = usize::try_from(position.get()).unwrap();
            cut.projector().apply(log.batch(Position::ZERO, all)).await.unwrap();
            let mut tables = cut.tables();
            let states = std::mem::take(&mut tables.deployment_states).into_iter();
            tables.deployment_states = states.map(|row| of_last_change(&tables, row)).collect();
            let expected = answers(&MemoryOpsDb::of(tables), &known).await;
            let then = harness.ops_db().as_of(AsOf::Position(position)).await.unwrap();
            same(answers(&*then, &known).await, expected)?;
        }
        Ok(())
    });
}

/// What was the case at a time, by the tables as they are: each row by its own time.
fn tables_at(now: &Tables, time: Timestamp) -> Tables {
    let mut then = now.clone();
    then.artifact_revisions.retain(|row| row.recorded_at <= time);
    then.custody_transitions.retain(|row| row.occurred_at <= time);
    then.deployment_changes.retain(|row| row.observed_at <= time);
    then.verification_results.retain(|row| row.verified_at <= time);
    then.governed_artifacts.retain(|row| row.registered_at <= time);
    for row in &mut then.governed_artifacts {
        *row = artifact_at(&then.artifact_revisions, &then.custody_transitions, row);
    }
    then.deployment_states.retain(|row| {
        let mut changes = then.deployment_changes.iter();
        changes.any(|it| (it.artifact_id, &it.target) == (row.artifact_id, &row.target))
    });
    let states = std::mem::take(&mut then.deployment_states).into_iter();
    then.deployment_states = states
        .map(|row| {
            let row = of_last_change(&then, row);
            let last = then.deployment_changes.iter().find(|it| it.position == row.position);
            let last = last.unwrap();
            DeploymentState {
                desired_cid: last.desired_cid,
                observed_cid: last.observed_cid,
                health: last.health,
                health_since: last.health_since,
                ..row
            }
        })
        .collect();
    then
}

fn artifact_at(
    contents: &[guildhall_core::ArtifactRevision],
    links: &[guildhall_core::CustodyTransition],
    row: &GovernedArtifact,
) -> GovernedArtifact {
    let content = contents.iter().rfind(|it| it.artifact_id == row.id).unwrap();
    let link = links.iter().rfind(|it| it.artifact_id == row.id);
    GovernedArtifact {
        cid: content.cid,
        content: content.content.clone(),
        content_schema: content.content_schema.clone(),
        custody_state: link.map(|it| it.to_state),
        custody_seq: link.map(|it| it.seq),
        revised_at: (content.revision.get() > 1).then_some(content.recorded_at),
        position: link.map_or(Position::ZERO, |it| it.position).max(content.position),
        ..row.clone()
    }
}

pub async fn as_of_any_time_it_is_as_the_model_has_it<H: Harness>(harness: H) {
    drop(harness);
    let input =
        (any::<u64>(), 20..250_usize, any::<bool>(), prop::collection::vec(0..300_usize, 3));
    try_cases(input, |(seed, count, is_hostile, moments)| async move {
        let log = log(seed, count, is_hostile);
        let harness = filled::<H>(&log).await;
        let known = Reference::tables_of(log.origin(), log.entries());
        let mut times: Vec<_> = known
            .deployment_changes
            .iter()
            .map(|row| row.observed_at)
            .chain(known.custody_transitions.iter().map(|row| row.occurred_at))
            .chain(log.entries().iter().map(|entry| entry.recorded_at))
            .collect();
        times.sort();
        for moment in moments {
            // Now and then between what happened.
            let time = times[moment % times.len()];
            let past = moment % 2 == 0;
            let micros = time.as_micros() - i64::from(past);
            let time = Timestamp::from_micros(micros).unwrap_or(time);
            let expected = answers(&MemoryOpsDb::of(tables_at(&known, time)), &known).await;
            let then = harness.ops_db().as_of(AsOf::Time(time)).await.unwrap();
            same(answers(&*then, &known).await, expected)?;
        }
        Ok(())
    });
}

pub async fn a_moment_that_is_not_known_yet_is_refused<H: Harness>(harness: H) {
    let log = log(3, 40, false);
    let refused = harness.ops_db().as_of(AsOf::Position(Position::FIRST)).await;
    assert!(matches!(refused, Err(AsOfError::NotYet { .. })));
    let projector = harness.projector(ProjectorSettings::default()).await;
    projector.apply(log.batch(Position::ZERO, 30)).await.unwrap();
    let ops_db = harness.ops_db();
    let now = ops_db.as_of(AsOf::Position(Position::new(30))).await.unwrap();
    assert_eq!(now.overview().await.unwrap(), ops_db.overview().await.unwrap());
    match ops_db.as_of(AsOf::Position(Position::new(31))).await {
        Err(AsOfError::NotYet { asked, stands }) => {
            assert_eq!((asked.get(), stands.get()), (31, 30));
        }
        other => panic!("{:?}", other.map(drop)),
    }
    // It goes on, and what was stays.
    let then = ops_db.as_of(AsOf::Position(Position::new(20))).await.unwrap();
    let before = then.overview().await.unwrap();
    projector.apply(log.rest(Position::new(30))).await.unwrap();
    assert_eq!(then.overview().await.unwrap(), before);
    let of_now = then.as_of(AsOf::Position(log.head())).await.unwrap();
    assert_eq!(of_now.overview().await.unwrap(), ops_db.overview().await.unwrap());
}
