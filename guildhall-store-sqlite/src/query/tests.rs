//! That each query is served by an index.
#![allow(clippy::unwrap_used, reason = "tests")]

use guildhall_core::ops::ArtifactKey;
use guildhall_core::{
    ArtifactSort, CustodyState, DeploymentSort, Drift, Health, Outcome, Seq, Table, Tier, Timestamp,
};
use rusqlite::params_from_iter;
use rusqlite::types::Value;

use super::*;
use crate::family::migrations;

mod past;

fn empty() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    for step in migrations(guildhall_core::store::Family::Ops) {
        connection.execute_batch(step.sql).unwrap();
    }
    connection
}

/// The steps of SQLite's plan.
fn plan(sql: &str, values: &[Value]) -> Vec<String> {
    let connection = empty();
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let rows = statement.query_map(params_from_iter(values), |row| row.get(3)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn plan_of(select: &Select) -> Vec<String> {
    plan(&select.sql, &select.values)
}

fn verifications(query: &VerificationQuery) -> Select {
    let paging = Paging::of(query.after.as_ref(), 10);
    posture::select_verifications(query, &paging)
}

/// No table is read whole, and nothing is sorted.
fn assert_indexed(plan: &[String]) {
    for step in plan {
        let is_scan =
            step.starts_with("SCAN") && !step.contains("INDEX") && step != "SCAN CONSTANT ROW";
        assert!(!is_scan && !step.contains("TEMP B-TREE"), "{plan:#?}");
    }
}

#[test]
fn every_order_of_artifacts_is_that_of_an_index_and_a_page_begins_inside_it() {
    for (&sort, is_descending) in
        ArtifactSort::ALL.iter().flat_map(|sort| [(sort, false), (sort, true)])
    {
        let mut query = ArtifactQuery::default().sort(sort).is_descending(is_descending);
        for part in query.parts().iter().filter(|_| sort != ArtifactSort::Drift) {
            assert_indexed(&plan_of(&artifacts::select_page(part, None)));
        }
        let row = ArtifactSummary {
            id: ArtifactId::new(),
            accord_binding_id: AccordId::new(),
            name: "zone".to_owned(),
            artifact_type: "dns_zone".to_owned(),
            tier: Tier::ALL[1],
            cid: guildhall_core::Cid::from_digest([1; 32]),
            custody_state: None,
            drift: Drift::Undeployed,
            drift_since: None,
            position: Position::FIRST,
        };
        let next = Cursor::from_key(&ArtifactKey::of(&row, &query));
        for after in [next.clone(), next.turned()] {
            query.after = Some(after);
            for part in query.parts() {
                let plan = plan_of(&artifacts::select_page(&part, None));
                // The few of a drift that is rare are found by it, and put in order.
                if sort != ArtifactSort::Drift {
                    assert_indexed(&plan);
                    assert!(plan[0].starts_with("SEARCH"), "{sort:?}: {plan:#?}");
                }
                let is_scan = |step: &String| step.starts_with("SCAN") && !step.contains("INDEX");
                assert!(!plan.iter().any(is_scan), "{sort:?}: {plan:#?}");
            }
        }
    }
}

#[test]
fn filters_of_artifacts_use_indexes() {
    let by_state = ArtifactQuery::default()
        .custody_states([CustodyState::Retired])
        .sort(ArtifactSort::CustodyState);
    let plan = plan_of(&artifacts::select_page(&by_state, None));
    assert!(
        plan[0].contains("SEARCH") && plan[0].contains("governed_artifacts_by_state"),
        "{plan:#?}"
    );
    for (drift, index) in [
        (Drift::Drifted, "deployment_states_drifted"),
        (Drift::Unknown, "deployment_states_unknown"),
        (Drift::Healthy, "deployment_states_drifted"),
        (Drift::Undeployed, "deployment_states"),
    ] {
        let query = ArtifactQuery::default().drifts([drift]);
        let plan = plan_of(&artifacts::select_page(&query, None));
        assert!(plan.iter().any(|step| step.contains(index)), "{drift}: {plan:#?}");
        let has_scan = plan.iter().any(|step| step.starts_with("SCAN") && !step.contains("INDEX"));
        assert!(!has_scan, "{drift}: {plan:#?}");
    }
    let query = ArtifactQuery::default().accords([AccordId::new()]);
    let plan = plan_of(&artifacts::select_page(&query, None));
    assert!(plan[0].contains("INDEX"), "{plan:#?}");
}

#[test]
fn deployments_and_verifications_come_from_their_indexes() {
    let drifted = DeploymentQuery::default().healths([Health::Drifted]);
    let of_one = DeploymentQuery::default().artifact_id(ArtifactId::new());
    let by = |sort| DeploymentQuery::default().sort(sort);
    let beyond = |sort, at: Option<Timestamp>| {
        by(sort).after(Cursor::from_key(&(sort, at, ArtifactId::new(), "eu")))
    };
    for (query, index) in [
        (drifted, "deployment_states_drifted"),
        (of_one, "deployment_states_key"),
        (beyond(DeploymentSort::Artifact, None), "deployment_states_key"),
        (by(DeploymentSort::Target), "deployment_states_by_target"),
        (beyond(DeploymentSort::Target, None), "deployment_states_by_target"),
        (by(DeploymentSort::HealthSince), "deployment_states_by_since"),
        (beyond(DeploymentSort::HealthSince, Some(Timestamp::MIN)), "deployment_states_by_since"),
        (DeploymentQuery::default().targets(["eu".to_owned()]), "deployment_states_by_target"),
    ] {
        let plan = plan_of(&posture::select_deployments(&query, None));
        assert_indexed(&plan);
        assert!(plan[0].contains(index), "{plan:#?}");
    }
    let failed = VerificationQuery::default().outcomes([Outcome::Failed]);
    let of_one = VerificationQuery::default().artifact_id(ArtifactId::new());
    let next =
        VerificationQuery::default().after(Cursor::from_key(&(Timestamp::MAX, Position::MAX)));
    for (query, index) in [
        (failed, "verification_results_failed"),
        (of_one, "verification_results_by_artifact"),
        (next, "verification_results_by_time"),
    ] {
        for is_ascending in [false, true] {
            let plan = plan_of(&verifications(&query.clone().is_ascending(is_ascending)));
            assert_indexed(&plan);
            assert!(plan[0].contains(index), "{plan:#?}");
        }
    }
}

#[test]
fn open_ceremonies_are_found_among_the_open_ones_alone() {
    let ordered = Select::from(include_str!("../sql/select_open_ceremonies.sql"))
        .ordered("link.occurred_at, link.position", 10);
    for sql in [ordered.sql.as_str(), include_str!("../sql/oldest_ceremony.sql")] {
        let limit = sql.contains("LIMIT ?").then(|| Value::from(10));
        let plan = plan(sql, limit.as_slice());
        assert!(plan[0].contains("governed_artifacts_by_state"), "{plan:#?}");
        assert!(plan[..2].iter().all(|step| step.starts_with("SEARCH")), "{plan:#?}");
    }
}

#[test]
fn closed_ceremonies_and_the_age_of_verdicts_come_from_their_indexes() {
    let next = Cursor::from_key(&(Timestamp::MAX, Position::MAX));
    for after in [None, Some(&next)] {
        let plan = plan_of(&ceremonies::select_closed(&Paging::of(after, 10)));
        assert_indexed(&plan);
        assert!(plan[0].contains("custody_transitions_closing"), "{plan:#?}");
    }
    let stale = ArtifactQuery::default().verified_before(Timestamp::MAX);
    let plan = plan_of(&artifacts::select_page(&stale, None));
    assert_indexed(&plan);
    let is_searched = |step: &String| step.contains("verification_results_by_artifact");
    assert!(plan.iter().any(is_searched), "{plan:#?}");
    let failed = ArtifactQuery::default().verdicts([Outcome::Failed]);
    let standing = VerificationQuery::default().outcomes([Outcome::Failed]).is_standing(true);
    for select in [artifacts::select_page(&failed, None), verifications(&standing)] {
        let plan = plan_of(&select);
        // The later ones of its series, and of no other.
        let is_searched = |step: &String| {
            step.contains(
                "verification_results_by_series (artifact_id=? AND verifier=? AND target=?)",
            )
        };
        assert!(plan.iter().any(is_searched), "{plan:#?}");
        let is_partial = |step: &String| step.contains("verification_results_failed");
        assert!(plan.iter().any(is_partial), "{plan:#?}");
    }
}

#[test]
fn heads_chains_and_the_overview_use_indexes() {
    for sql in [
        include_str!("../sql/load_artifact_head.sql"),
        &Table::expand(artifacts::LOAD_ARTIFACT),
        include_str!("../sql/load_checkpoint.sql"),
    ] {
        let plan = plan(sql, &[Value::Null]);
        let is_searched = |step: &String| {
            step.starts_with("SEARCH") || step.starts_with("CORRELATED SCALAR SUBQUERY")
        };
        assert!(plan.iter().all(is_searched), "{plan:#?}");
    }
    for after in [None, Some(&Cursor::after_link(Seq::FIRST))] {
        let plan = plan_of(&select_chain(ArtifactId::new(), &Paging::of(after, 10)));
        assert_indexed(&plan);
        assert!(plan[0].contains("custody_transitions_key"), "{plan:#?}");
    }
    // An overview reads what is counted, and counts nothing.
    assert_eq!(plan(&Table::expand(overview::COUNTS), &[]), ["SCAN row_counts"]);
    let count = plan(overview::COUNT, &[Value::Null]);
    assert!(count[0].contains("USING INDEX row_counts_key (counted=?)"), "{count:#?}");
}

#[test]
fn look_ups_search_the_index_of_what_they_look_for() {
    let one = |text: &str| vec![text.to_owned()];
    let by_name = ArtifactQuery::default().names(one("zone"));
    let by_cid = ArtifactQuery::default().cids([guildhall_core::Cid::from_digest([1; 32])]);
    let accord = AccordQuery::default().names(one("Devices"));
    let by_target = VerificationQuery::default().targets(one("eu"));
    let by_verifier = VerificationQuery::default().verifiers(one("nightly"));
    let by_both = by_verifier.clone().targets(one("eu"));
    let of_artifact = by_both.clone().artifact_id(ArtifactId::new());
    let lately =
        VerificationQuery::default().verified_since(Timestamp::MIN).verified_before(Timestamp::MAX);
    let (first, next) =
        (Paging::of(None, 10), Paging::of(Some(&Cursor::before(Position::MAX)), 10));
    let effective = AccordQuery::default()
        .sort(AccordSort::EffectiveAt)
        .after(Cursor::from_key(&(Timestamp::MIN, "a", AccordId::new())));
    for (select, index) in [
        (artifacts::select_page(&by_name, None), "governed_artifacts_by_name"),
        (artifacts::select_page(&by_cid, None), "governed_artifacts_by_cid"),
        (select_accords(&accord), "accord_bindings_by_name"),
        (
            artifacts::select_page(&ArtifactQuery::default().name_begins(one("zo")), None),
            "governed_artifacts_by_name",
        ),
        (
            artifacts::select_page(
                &ArtifactQuery::default().cid_begins("bafkrei".to_owned()).sort(ArtifactSort::Cid),
                None,
            ),
            "governed_artifacts_by_cid",
        ),
        (
            posture::select_deployments(
                &DeploymentQuery::default()
                    .target_begins("e".to_owned())
                    .sort(DeploymentSort::Target),
                None,
            ),
            "deployment_states_by_target",
        ),
        (select_accords(&AccordQuery::default().name_begins(one("De"))), "accord_bindings_by_name"),
        (select_accords(&effective), "accord_bindings_by_effect"),
        (ceremonies::select(CeremonyId::new(), &first), "custody_transitions_opening"),
        (ceremonies::select(CeremonyId::new(), &next), "custody_transitions_opening"),
        (verifications(&by_target), "verification_results_by_target"),
        (verifications(&by_verifier), "verification_results_by_verifier"),
        (verifications(&by_both), "verification_results_by_target"),
        (verifications(&of_artifact), "verification_results_by_artifact"),
        (verifications(&lately), "verification_results_by_time"),
    ] {
        let plan = plan_of(&select);
        assert_indexed(&plan);
        assert!(plan[0].starts_with("SEARCH") && plan[0].contains(index), "{index}: {plan:#?}");
    }
}
