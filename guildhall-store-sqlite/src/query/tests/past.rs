//! That the questions to what was are served by indexes.

use guildhall_core::ops::Paging;
use guildhall_core::{
    ArtifactId, AsOf, ChangeQuery, PeriodQuery, Position, PostureBy, TimelineKind, TimelineQuery,
    Timestamp,
};
use rusqlite::types::Value;

use super::{assert_indexed, plan, plan_of};
use crate::query::history;
use crate::query::select::{expanded, left_or_in_state, left_or_of_health};

/// Whether some step of the plan searches this index.
fn searches(plan: &[String], index: &str) -> bool {
    plan.iter().any(|step| step.starts_with("SEARCH") && step.contains(index))
}

#[test]
fn what_changed_is_found_by_position_or_by_the_artifacts_key() {
    let all = ChangeQuery::between(Position::new(7), Position::new(9));
    let of_one = all.clone().artifact_id(ArtifactId::new());
    for (select, by_position, of_artifact) in [
        (
            history::select_contents as fn(&ChangeQuery) -> _,
            "artifact_revisions_by_position (position>? AND position<?)",
            "artifact_revisions_key (artifact_id=?",
        ),
        (
            history::select_links,
            "custody_transitions_by_position (position>? AND position<?)",
            "custody_transitions_key (artifact_id=?",
        ),
        (
            history::select_healths,
            "deployment_changes_by_position (position>? AND position<?)",
            "deployment_changes_key (artifact_id=?",
        ),
        (
            history::select_target_changes,
            "deployment_changes_by_position (position>? AND position<?)",
            "deployment_changes_key (artifact_id=?",
        ),
    ] {
        let plan = plan_of(&select(&all));
        assert_indexed(&plan);
        assert!(plan[0].contains(by_position), "{plan:#?}");
        let plan = plan_of(&select(&of_one));
        assert!(searches(&plan[..1], of_artifact), "{plan:#?}");
    }
    // The one before is the key's last entry before it, found again by its position.
    let plan = plan_of(&history::select_target_changes(&all));
    assert!(searches(&plan, "deployment_changes_by_position (position=?)"), "{plan:#?}");
    let before = "deployment_changes_key (artifact_id=? AND target=? AND observed_at<?)";
    assert!(searches(&plan, before), "{plan:#?}");
}

#[test]
fn a_timeline_finds_the_rows_of_its_artifact_by_an_index() {
    let range = TimelineQuery::of(ArtifactId::new()).range_of(TimelineKind::Target);
    for (select, index) in [
        (history::select_contents(&range), "artifact_revisions_key (artifact_id=?)"),
        (history::select_links(&range), "custody_transitions_key (artifact_id=?)"),
        (history::select_target_changes(&range), "deployment_changes_key (artifact_id=?)"),
        (history::select_verdicts(&range), "verification_results_by_"),
    ] {
        let plan = plan_of(&select);
        assert!(searches(&plan[..1], index) && plan[0].contains("(artifact_id=?)"), "{plan:#?}");
    }
}

#[test]
fn an_artifacts_contents_and_an_actors_ceremonies_come_in_the_order_of_an_index() {
    let plan = plan_of(&history::select_revisions(ArtifactId::new(), &Paging::of(None, 10)));
    assert_indexed(&plan);
    assert!(searches(&plan, "artifact_revisions_key (artifact_id=?)"), "{plan:#?}");
    let plan = plan_of(&history::select_ceremonies_of("ada", &Paging::of(None, 10)));
    assert!(searches(&plan, "custody_transitions_by_actor (actor=?"), "{plan:#?}");
    assert!(!plan.iter().any(|step| step.starts_with("SCAN")), "{plan:#?}");
}

#[test]
fn drifts_begin_in_the_index_of_beginnings_and_end_by_the_key() {
    let [since, before] = ["2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"];
    let period = PeriodQuery::between(since.parse().unwrap(), before.parse().unwrap());
    let newest =
        history::select_drifts(&period).ordered("began.observed_at DESC, began.position DESC", 10);
    for select in [newest, history::select_drifts(&period)] {
        let plan = plan_of(&select);
        assert_indexed(&plan);
        let begins = "deployment_changes_drifting (observed_at>? AND observed_at<?)";
        assert!(plan[0].contains(begins), "{plan:#?}");
        let ends = "deployment_changes_key (artifact_id=? AND target=? AND observed_at>?)";
        assert_eq!(plan.iter().filter(|step| step.contains(ends)).count(), 3, "{plan:#?}");
    }
    let plan = plan_of(&history::select_health_times(&period));
    assert!(
        !plan.iter().any(|step| step.starts_with("SCAN")
            && !step.contains("INDEX")
            && step != "SCAN asked"),
        "{plan:#?}"
    );
    let of_target = "deployment_changes_key (artifact_id=? AND target=? AND observed_at";
    assert!(plan.iter().filter(|step| step.contains(of_target)).count() >= 3, "{plan:#?}");
}

#[test]
fn the_days_of_a_posture_are_taken_back_by_the_index_of_times() {
    for by in PostureBy::ALL {
        let [_, moves] = history::posture_statements(*by, None);
        let plan = plan(&moves, &[Timestamp::MIN.to_string().into()]);
        assert!(searches(&plan[..1], "deployment_changes_by_time (observed_at>?)"), "{plan:#?}");
        assert!(!plan.iter().any(|step| step.starts_with("SCAN")), "{plan:#?}");
    }
}

#[test]
fn what_came_since_a_moment_is_taken_back_from_an_index_alone() {
    for (moment, value, beyond) in [
        (AsOf::Position(Position::new(7)), Value::from(7), "by_position (position>?)"),
        (AsOf::Time(Timestamp::MIN), Timestamp::MIN.to_string().into(), "by_time (TIME>?)"),
    ] {
        let covering = |table: &str, time: &str| {
            format!("COVERING INDEX {table}_{}", beyond.replace("TIME", time))
        };
        let changes = covering("deployment_changes", "observed_at");
        let links = covering("custody_transitions", "occurred_at");
        let drifted = left_or_of_health("drifted", moment);
        let suspended = left_or_in_state("'suspended'", moment);
        for (sql, index) in [
            (expanded(include_str!("../../sql/overview_as_of.sql"), moment), &changes),
            (format!("SELECT 1 FROM deployment_states WHERE {drifted}"), &changes),
            (format!("SELECT 1 FROM governed_artifacts WHERE {suspended}"), &links),
        ] {
            let plan = plan(&sql, std::slice::from_ref(&value));
            assert!(searches(&plan, index), "{index}: {plan:#?}");
        }
        let ceremonies = expanded(include_str!("../../sql/count_ceremonies_as_of.sql"), moment);
        let plan = plan(&ceremonies, &[value]);
        assert!(searches(&plan, "governed_artifacts_by_state"), "{plan:#?}");
        let scans: Vec<_> = plan.iter().filter(|step| step.starts_with("SCAN")).collect();
        assert_eq!(scans, ["SCAN opened"], "{plan:#?}");
    }
}
