//! How the server finds what the questions to what was ask for, as it says it itself (auto_explain).
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod explaining;
mod server;

use explaining::{plans, start_explaining};
use guildhall_conformance::workload::{Mix, Workload};
use guildhall_core::{
    Append, Batch, ChangeQuery, Chronicle, DeploymentQuery, NewEntry, OpsDb, PeriodQuery, Position,
    PostureBy, PostureQuery, ReadLimit, Rebuild, Timestamp,
};
use guildhall_store_postgres::{Partitions, PostgresOpsDb, PostgresStore};
use server::Database;

const ENTRIES: usize = 20_000;

async fn filled(url: &str, partitions: Partitions) -> PostgresOpsDb {
    let store = PostgresStore::open(url).await.unwrap();
    let chronicle = store.chronicle();
    let entries: Vec<NewEntry> = Workload::new(11, Mix::CUSTODY).take(ENTRIES).collect();
    for entries in entries.chunks(4000) {
        chronicle.append(Append::of(entries.iter().cloned())).await.unwrap();
    }
    let entries = chronicle.read(Position::ZERO, ReadLimit::entries(ENTRIES)).await.unwrap();
    let origin = chronicle.origin().await.unwrap().unwrap();
    let projector = store.projector().partitions(partitions).start().unwrap();
    let mut generation = projector.begin_rebuild().await.unwrap();
    generation.apply(Batch::decode(origin, entries).unwrap()).await.unwrap();
    assert!(generation.swap(None).await.unwrap());
    store.ops_db()
}

/// The lines of a plan in which rows were found.
fn used(plan: &str) -> String {
    plan.lines().filter(|line| !line.contains("rows=0 loops")).collect::<Vec<_>>().join("\n")
}

/// Each of these indexes is used, no table of history is read whole, and no more than so many rows are
/// read in vain. A part of few pages may be read whole.
fn assert_found_by(plan: &str, partitions: Partitions, indexes: &[&str], in_vain: u64) {
    for index in indexes {
        assert!(plan.contains(index), "{index} is not used:\n{}", used(plan));
    }
    if partitions == Partitions::Off {
        for table in ["deployment_changes", "artifact_revisions", "custody_transitions"] {
            assert!(!plan.contains(&format!("Seq Scan on {table}")), "{}", used(plan));
        }
    }
    let in_parts = if partitions == Partitions::Off { 0 } else { 500 };
    let removed = plan.lines().filter_map(|line| line.split_once("Rows Removed by Filter: "));
    let removed: u64 = removed.map(|(_, rows)| rows.trim().parse::<u64>().unwrap()).sum();
    assert!(removed <= in_vain + in_parts, "{removed} rows were read in vain:\n{}", used(plan));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_question_to_what_was_is_answered_from_an_index() {
    let server = start_explaining();
    for partitions in [Partitions::Off, Partitions::On] {
        let database = Database::create_on(&server.url("postgres"));
        let ops_db = filled(database.url(), partitions).await;
        let states = ops_db.deployments(&DeploymentQuery::default().limit(1)).await.unwrap().rows;
        let (id, target) = (states[0].artifact_id, states[0].target.as_str());
        let closed = ops_db.closed_ceremonies(None, 1).await.unwrap().rows;
        let actor = closed[0].closed.actor.as_str();
        let head = Position::new(u32::try_from(ENTRIES).unwrap());
        let end = states[0].observed_at;
        let hour = 3_600_000_000;
        let before: Timestamp = Timestamp::from_micros(end.as_micros() - hour).unwrap();
        let period = PeriodQuery::between(before, end).limit(10);
        let range = ChangeQuery::between(head.saturating_sub(50), head);

        let (plan, page) = plans(&server, ops_db.revisions(id, None, 10)).await;
        assert!(!page.unwrap().rows.is_empty());
        assert_found_by(&plan, partitions, &["artifact_revisions_key"], 0);

        let (plan, page) = plans(&server, ops_db.changes(&range)).await;
        assert!(!page.unwrap().rows.is_empty());
        let by_position = [
            "artifact_revisions_by_position",
            "custody_transitions_by_position",
            "deployment_changes_by_position",
        ];
        // What is no change of health is looked at and passed over.
        assert_found_by(&plan, partitions, &by_position, 50);

        let (plan, page) = plans(&server, ops_db.target_changes(&range)).await;
        assert!(!page.unwrap().rows.is_empty());
        assert_found_by(
            &plan,
            partitions,
            &["deployment_changes_by_position", "deployment_changes_key"],
            0,
        );

        let (plan, page) = plans(&server, ops_db.ceremonies_of(actor, None, 5)).await;
        assert!(!page.unwrap().rows.is_empty());
        // The actor's own links, each looked at twice: as an opening and as a closing one.
        assert_found_by(&plan, partitions, &["custody_transitions_by_actor"], 1000);

        let (plan, page) = plans(&server, ops_db.drifts(&period)).await;
        page.unwrap();
        // A drift may go on under other contents before it ends.
        assert_found_by(&plan, partitions, &["deployment_changes_drifting"], 500);

        let (plan, recovery) = plans(&server, ops_db.recovery(&period)).await;
        recovery.unwrap();
        assert_found_by(&plan, partitions, &["deployment_changes_drifting"], 5000);

        let (plan, page) = plans(&server, ops_db.health_times(&period)).await;
        assert!(!page.unwrap().rows.is_empty());
        assert_found_by(&plan, partitions, &["deployment_states_key", "deployment_changes_key"], 0);

        let (plan, decided) = plans(&server, ops_db.decided(id, target)).await;
        assert!(decided.unwrap().is_some());
        // By its key, or by the index that has the same columns turned round.
        assert_found_by(&plan, partitions, &["using deployment_states_"], 50);

        // The log is half a day long: since the day after, nothing has happened.
        let after = Timestamp::from_micros(end.as_micros() + 24 * hour).unwrap();
        for by in PostureBy::ALL {
            let query = PostureQuery::last_days(1, after).by(*by);
            let (plan, days) = plans(&server, ops_db.posture(&query)).await;
            assert!(!days.unwrap().is_empty());
            assert!(plan.contains("deployment_changes_by_time"), "{by:?}: {plan}");
        }
    }
}
