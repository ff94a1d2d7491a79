//! The Ops DB's queries: each result is compared with one that is computed, row by row, from the
//! tables (DESIGN section 6).

use std::collections::{BTreeSet, HashSet};

use guildhall_core::{
    AccordId, AccordQuery, ArtifactDetail, ArtifactId, ArtifactQuery, CeremonyId, ClosedCeremony,
    Cursor, CustodyState, DeploymentQuery, Drift, Health, MAX_PAGE_ROWS, OPS_DB, Outcome, Overview,
    Page, Position, Tier, VerificationQuery,
};

use crate::answers::{
    LENGTH, accord, assert_same, drift, filled, open_ceremonies, pages, standing,
};
use crate::harness::{Harness, ProjectorSettings};
use crate::log::Log;
use crate::workload::Mix;

super::scenarios! { $ __ops = ops:
    empty_tables_have_empty_answers,
    the_overview_counts_every_table,
    every_artifact_is_shown_whole,
    a_chain_is_read_link_by_link,
    accords_are_listed_by_name,
    open_ceremonies_are_listed_oldest_first,
    closed_ceremonies_are_listed_latest_first,
    a_verdict_stands_until_its_verifier_judges_the_same_again,
    deployments_are_listed_by_artifact_and_target,
    verifications_are_listed_latest_first,
    quarantine_is_listed_latest_first,
    a_page_has_no_more_rows_than_the_limit,
    the_checkpoint_is_that_of_the_tables,
}

pub async fn empty_tables_have_empty_answers<H: Harness>(harness: H) {
    let ops_db = harness.ops_db();
    assert_eq!(ops_db.overview().await.unwrap(), Overview::default());
    assert!(ops_db.artifacts(&ArtifactQuery::default()).await.unwrap().rows.is_empty());
    let nobody = ArtifactId::new();
    assert_eq!(ops_db.artifact(nobody).await.unwrap(), None);
    assert_eq!(ops_db.chain(nobody, None, 10).await.unwrap(), Page::EMPTY);
    assert_eq!(ops_db.accords(&AccordQuery::default()).await.unwrap(), Page::EMPTY);
    assert_eq!(ops_db.accord(AccordId::new()).await.unwrap(), None);
    assert_eq!(ops_db.ceremony(CeremonyId::new(), None, 10).await.unwrap(), Page::EMPTY);
    assert_eq!(ops_db.quarantined_at(Position::FIRST).await.unwrap(), None);
    let moment = ops_db.snapshot().await.unwrap();
    assert_eq!(moment.overview().await.unwrap(), Overview::default());
    assert!(ops_db.open_ceremonies(None, 10).await.unwrap().rows.is_empty());
    assert!(ops_db.closed_ceremonies(None, 10).await.unwrap().rows.is_empty());
    assert!(ops_db.deployments(&DeploymentQuery::default()).await.unwrap().rows.is_empty());
    assert!(ops_db.verifications(&VerificationQuery::default()).await.unwrap().rows.is_empty());
    assert!(ops_db.quarantined(None, 10).await.unwrap().rows.is_empty());
}

pub async fn the_overview_counts_every_table<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let health =
        |health| tables.deployment_states.iter().filter(|row| row.health == health).count() as u64;
    let tier =
        |tier: Tier| tables.governed_artifacts.iter().filter(|row| row.tier == tier).count() as u64;
    let open = open_ceremonies(&tables);
    let mut expected = Overview::default();
    expected.accords = tables.accord_bindings.len() as u64;
    expected.artifacts_by_tier = Tier::ALL.map(tier);
    expected.healthy_deployments = health(Health::Healthy);
    expected.drifted_deployments = health(Health::Drifted);
    expected.unknown_deployments = health(Health::Unknown);
    expected.custody_transitions = tables.custody_transitions.len() as u64;
    expected.verifications = tables.verification_results.len() as u64;
    expected.open_ceremonies = open.len() as u64;
    expected.oldest_ceremony_opened_at = open.iter().map(|row| row.opened.occurred_at).min();
    expected.quarantined = tables.quarantined_entries.len() as u64;
    assert_eq!(ops_db.overview().await.unwrap(), expected);
    // The log has some of everything, or the comparison says little.
    assert!(expected.open_ceremonies > 1 && expected.unknown_deployments > 0);
    assert!(expected.drifted_deployments > 0 && expected.quarantined > 0);
}

pub async fn every_artifact_is_shown_whole<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let mut drifts = HashSet::new();
    for artifact in &tables.governed_artifacts {
        let (drift, drift_since) = drift(&tables, artifact.id);
        drifts.insert(drift);
        let expected = ArtifactDetail {
            artifact: artifact.clone(),
            accord: accord(&tables, artifact.accord_binding_id).clone(),
            drift,
            drift_since,
        };
        assert_eq!(ops_db.artifact(artifact.id).await.unwrap(), Some(expected));
    }
    assert_eq!(drifts.len(), Drift::ALL.len(), "the log has artifacts of every drift");
    assert_eq!(ops_db.artifact(ArtifactId::new()).await.unwrap(), None);
}

pub async fn a_chain_is_read_link_by_link<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    for artifact in &tables.governed_artifacts {
        let chain: Vec<_> = tables
            .custody_transitions
            .iter()
            .filter(|link| link.artifact_id == artifact.id)
            .cloned()
            .collect();
        for limit in [1, 2, 500] {
            let read = pages(limit, |after| async {
                ops_db.chain(artifact.id, after, limit).await.unwrap()
            });
            assert_same(&read.await, &chain, &limit);
        }
        for link in &chain {
            let after = Some(Cursor::after_link(link.seq));
            let beyond: Vec<_> = chain.iter().filter(|it| it.seq > link.seq).cloned().collect();
            let rows = ops_db.chain(artifact.id, after, 500).await.unwrap().rows;
            assert_same(&rows, &beyond, &link.seq);
        }
    }
}

pub async fn accords_are_listed_by_name<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let mut expected = tables.accord_bindings.clone();
    expected.sort_by(|one, other| (&one.name, one.id).cmp(&(&other.name, other.id)));
    assert!(expected.windows(2).any(|pair| pair[0].name == pair[1].name), "some share a name");
    for limit in [1, 2, 3, 500] {
        let rows = pages(limit, |after| async {
            let query = AccordQuery::default().after(after).limit(limit);
            ops_db.accords(&query).await.unwrap()
        });
        assert_same(&rows.await, &expected, &limit);
    }
}

pub async fn open_ceremonies_are_listed_oldest_first<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let expected = open_ceremonies(&tables);
    for limit in [1, 2, 500] {
        let rows =
            pages(limit, |after| async { ops_db.open_ceremonies(after, limit).await.unwrap() });
        assert_same(&rows.await, &expected, &limit);
    }
}

pub async fn closed_ceremonies_are_listed_latest_first<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let links = tables.custody_transitions.windows(2).filter(|pair| {
        pair[1].artifact_id == pair[0].artifact_id
            && pair[1].from_state == Some(CustodyState::CeremonyOpen)
    });
    let mut expected: Vec<ClosedCeremony> = links
        .map(|pair| {
            let (opened, closed) = (&pair[0], &pair[1]);
            let artifact =
                tables.governed_artifacts.iter().find(|row| row.id == closed.artifact_id).unwrap();
            ClosedCeremony {
                ceremony_id: opened.ceremony_id,
                name: artifact.name.clone(),
                artifact_type: artifact.artifact_type.clone(),
                tier: artifact.tier,
                accord: accord(&tables, artifact.accord_binding_id).name.clone(),
                opened_by: opened.actor.clone(),
                opened_at: opened.occurred_at,
                closed: closed.clone(),
            }
        })
        .collect();
    expected.sort_by_key(|row| std::cmp::Reverse((row.closed.occurred_at, row.closed.position)));
    assert!(expected.len() > 2, "the log closes ceremonies");
    for limit in [1, 2, 500] {
        let rows =
            pages(limit, |after| async { ops_db.closed_ceremonies(after, limit).await.unwrap() });
        assert_same(&rows.await, &expected, &limit);
    }
}

pub async fn a_verdict_stands_until_its_verifier_judges_the_same_again<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    for outcomes in [vec![Outcome::Failed], vec![Outcome::Inconclusive, Outcome::Passed]] {
        let mut expected: Vec<_> =
            standing(&tables).filter(|row| outcomes.contains(&row.outcome)).cloned().collect();
        expected.sort_by_key(|row| std::cmp::Reverse((row.verified_at, row.position)));
        let of_these = tables.verification_results.iter();
        let of_these = of_these.filter(|row| outcomes.contains(&row.outcome)).count();
        assert!(!expected.is_empty() && expected.len() < of_these, "some stand, some do not");
        let query =
            VerificationQuery::default().outcomes(outcomes.clone()).is_standing(true).limit(4);
        let rows = pages(query.limit, |after| async {
            ops_db.verifications(&query.clone().after(after)).await.unwrap()
        });
        assert_same(&rows.await, &expected, &query);
        let query = ArtifactQuery::default().verdicts(outcomes).limit(MAX_PAGE_ROWS);
        let ids: BTreeSet<_> = expected.iter().map(|row| row.artifact_id).collect();
        let rows = ops_db.artifacts(&query).await.unwrap().rows;
        assert_eq!(rows.iter().map(|row| row.id).collect::<BTreeSet<_>>(), ids, "{query:?}");
    }
}

pub async fn deployments_are_listed_by_artifact_and_target<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let some = tables.deployment_states[3].artifact_id;
    for artifact_id in [None, Some(some), Some(ArtifactId::new())] {
        for healths in [
            vec![],
            vec![Health::Drifted],
            vec![Health::Unknown],
            vec![Health::Healthy],
            vec![Health::Unknown, Health::Drifted],
            Health::ALL.to_vec(),
        ] {
            let expected: Vec<_> = tables
                .deployment_states
                .iter()
                .filter(|row| artifact_id.is_none_or(|id| row.artifact_id == id))
                .filter(|row| healths.is_empty() || healths.contains(&row.health))
                .cloned()
                .collect();
            for limit in [1, 5, 500] {
                let query = DeploymentQuery::default()
                    .artifact_id(artifact_id)
                    .healths(healths.clone())
                    .limit(limit);
                let rows = pages(limit, |after| async {
                    let query = query.clone().after(after);
                    ops_db.deployments(&query).await.unwrap()
                });
                assert_same(&rows.await, &expected, &query);
            }
        }
    }
}

pub async fn verifications_are_listed_latest_first<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let some = tables.verification_results[3].artifact_id;
    for artifact_id in [None, Some(some), Some(ArtifactId::new())] {
        for outcomes in [
            vec![],
            vec![Outcome::Failed],
            vec![Outcome::Inconclusive],
            vec![Outcome::Passed],
            vec![Outcome::Passed, Outcome::Failed],
            Outcome::ALL.to_vec(),
        ] {
            let mut expected: Vec<_> = tables
                .verification_results
                .iter()
                .filter(|row| artifact_id.is_none_or(|id| row.artifact_id == id))
                .filter(|row| outcomes.is_empty() || outcomes.contains(&row.outcome))
                .cloned()
                .collect();
            expected.sort_by_key(|row| std::cmp::Reverse((row.verified_at, row.position)));
            for limit in [3, 500] {
                let query = VerificationQuery::default()
                    .artifact_id(artifact_id)
                    .outcomes(outcomes.clone())
                    .limit(limit);
                let rows = pages(limit, |after| async {
                    let query = query.clone().after(after);
                    ops_db.verifications(&query).await.unwrap()
                });
                assert_same(&rows.await, &expected, &query);
            }
        }
    }
}

pub async fn quarantine_is_listed_latest_first<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let expected: Vec<_> = tables.quarantined_entries.iter().rev().cloned().collect();
    for limit in [1, 7, 500] {
        let rows = pages(limit, |after| async { ops_db.quarantined(after, limit).await.unwrap() });
        assert_same(&rows.await, &expected, &limit);
    }
    for row in &expected {
        assert_eq!(ops_db.quarantined_at(row.position).await.unwrap().as_ref(), Some(row));
    }
    let sound = (1..).map(Position::new).find(|at| expected.iter().all(|row| row.position != *at));
    assert_eq!(ops_db.quarantined_at(sound.unwrap()).await.unwrap(), None);
    let middle = expected[expected.len() / 2].position;
    for position in [middle, middle.next().unwrap(), Position::FIRST] {
        let before: Vec<_> =
            expected.iter().filter(|row| row.position < position).cloned().collect();
        let rows = ops_db.quarantined(Some(Cursor::before(position)), MAX_PAGE_ROWS).await;
        assert_same(&rows.unwrap().rows, &before, &position);
    }
}

pub async fn a_page_has_no_more_rows_than_the_limit<H: Harness>(harness: H) {
    let projector = harness.projector(ProjectorSettings::default()).await;
    let mix =
        Mix { registrations: 450, observations: 400, transitions: 0, revisions: 0, accords: 0 };
    let log = Log::of(crate::workload::Workload::new(73, mix).take(2 * LENGTH));
    projector.apply(log.rest(Position::ZERO)).await.unwrap();
    let ops_db = harness.ops_db();
    let most = MAX_PAGE_ROWS as usize;
    assert!(harness.tables().await.governed_artifacts.len() > most);
    for (limit, rows) in [(0, 1), (1, 1), (MAX_PAGE_ROWS, most), (u32::MAX, most)] {
        let artifacts = ArtifactQuery::default().limit(limit);
        let page = ops_db.artifacts(&artifacts).await.unwrap();
        assert_eq!(page.rows.len(), rows, "limit {limit}");
        assert!(page.next.is_some());
        let deployments = DeploymentQuery::default().limit(limit);
        assert_eq!(ops_db.deployments(&deployments).await.unwrap().rows.len(), rows);
    }
}

pub async fn the_checkpoint_is_that_of_the_tables<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let checkpoint = ops_db.checkpoint(OPS_DB).await.unwrap();
    assert_eq!(checkpoint.as_ref(), tables.projector_checkpoints.get(OPS_DB));
    assert_eq!(checkpoint.map(|at| at.position), Some(Position::try_from(LENGTH as u64).unwrap()));
}
