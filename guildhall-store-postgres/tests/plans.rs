//! How the server answers what the library asks, as it says it itself (auto_explain).
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod explaining;
mod server;

use chrono::{DateTime, Datelike as _, Months, Utc};
use explaining::{plans, start_explaining};
use guildhall_core::{
    AccordBound, Append, ArtifactId, ArtifactQuery, ArtifactRegistered, Batch, Chronicle, Event,
    Json, NewEntry, OpsDb, Outcome, Page, Position, ReadLimit, Rebuild, Tier, Timestamp,
    VerificationQuery, VerificationRecorded,
};
use guildhall_store_postgres::{Partitions, PostgresOptions, PostgresStore};
use server::Database;

const ACCORDS: usize = 2000;
const ARTIFACTS: usize = 3000;
const MONTHS: u32 = 36;
const VERDICTS_A_MONTH: usize = 60;

/// The month that lies so many before the present one.
fn month_ago(months: u32) -> DateTime<Utc> {
    let first = DateTime::<Utc>::from(Timestamp::now()).date_naive().with_day(1).unwrap();
    let first = first.checked_sub_months(Months::new(months)).unwrap();
    first.and_hms_opt(12, 0, 0).unwrap().and_utc()
}

fn artifact(nth: usize) -> ArtifactId {
    ArtifactId::from_uuid(uuid::Uuid::from_u128(1 + nth as u128))
}

/// Two thousand accords with terms of their own, three thousand artifacts of one of them with contents
/// of their own, and three years of verdicts on two of these.
fn events() -> Vec<Event> {
    let at: Timestamp = "2020-01-01T00:00:00.000000Z".parse().unwrap();
    let terms = Json::parse(r#"{"review_days": 90}"#).unwrap();
    let accord = AccordBound::new("change control", "board", terms, at);
    let others = (1..ACCORDS).map(|nth| {
        let terms = Json::parse(&format!(r#"{{"review_days": {}}}"#, 1000 + nth)).unwrap();
        Event::from(AccordBound::new(format!("accord {nth}"), "board", terms, at))
    });
    let others: Vec<_> = others.collect();
    let registrations = (0..ARTIFACTS).map(|nth| {
        let content = Json::parse(&format!(r#"{{"zone": {{"serial": {nth}}}}}"#)).unwrap();
        let (name, schema) = (format!("zone-{nth:04}"), "https://example.com/zone.json");
        let [tier, ..] = Tier::ALL;
        let mut registered =
            ArtifactRegistered::new(accord.accord_id, "dns_zone", name, tier, content, schema);
        registered.artifact_id = artifact(nth);
        Event::from(registered)
    });
    let verdicts = (0..MONTHS).rev().flat_map(|months| {
        (0..VERDICTS_A_MONTH).map(move |nth| {
            let at = month_ago(months) + chrono::TimeDelta::minutes(nth.try_into().unwrap());
            Event::from(VerificationRecorded {
                artifact_id: artifact(nth % 2),
                target: None,
                verifier: "nightly".to_owned(),
                outcome: if nth % 2 == 0 { Outcome::Passed } else { Outcome::Failed },
                evidence: Json::null(),
                verified_at: at.try_into().unwrap(),
            })
        })
    });
    let registrations: Vec<_> = registrations.collect();
    let accords = std::iter::once(Event::from(accord)).chain(others);
    accords.chain(registrations).chain(verdicts).collect()
}

async fn filled(url: &str, partitions: Partitions) -> PostgresStore {
    let store = PostgresStore::open_with(PostgresOptions::at(url)).await.unwrap();
    let chronicle = store.chronicle();
    chronicle.append(Append::of(events().iter().map(NewEntry::new))).await.unwrap();
    let entries = chronicle.read(Position::ZERO, ReadLimit::entries(100_000)).await.unwrap();
    let origin = chronicle.origin().await.unwrap().unwrap();
    let projector = store.projector().partitions(partitions).start().unwrap();
    let mut generation = projector.begin_rebuild().await.unwrap();
    generation.apply(Batch::decode(origin, entries).unwrap()).await.unwrap();
    assert!(generation.swap(None).await.unwrap());
    store
}

#[tokio::test(flavor = "multi_thread")]
async fn json_fragments_are_found_by_their_index() {
    let server = start_explaining();
    let database = Database::create_on(&server.url("postgres"));
    let ops_db = filled(database.url(), Partitions::Off).await.ops_db();
    let fragment = Json::parse(r#"{"zone": {"serial": 1234}}"#).unwrap();
    let query = ArtifactQuery::default().content_contains(fragment);
    let (plan, page) = plans(&server, ops_db.artifacts(&query)).await;
    assert_eq!(page.unwrap().rows[0].id, artifact(1234));
    assert!(plan.contains("Bitmap Index Scan on governed_artifacts_content"), "{plan}");
    assert!(!plan.contains("Seq Scan on governed_artifacts"), "{plan}");

    let fragment = Json::parse(r#"{"review_days": 90}"#).unwrap();
    let query = ArtifactQuery::default().terms_contain(fragment);
    let (plan, page) = plans(&server, ops_db.artifacts(&query)).await;
    assert_eq!(page.unwrap().rows.len(), 100);
    assert!(plan.contains("Bitmap Index Scan on accord_bindings_terms"), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_artifacts_follow_an_index_in_every_order() {
    use guildhall_core::ArtifactSort::{ArtifactType, Cid, CustodyState, Name, Position, Tier};
    let server = start_explaining();
    let database = Database::create_on(&server.url("postgres"));
    let ops_db = filled(database.url(), Partitions::Off).await.ops_db();
    for (sort, index) in [
        (Name, "governed_artifacts_by_name"),
        (ArtifactType, "governed_artifacts_by_type"),
        (Tier, "governed_artifacts_by_tier"),
        (CustodyState, "governed_artifacts_by_state"),
        (Position, "governed_artifacts_by_position"),
        (Cid, "governed_artifacts_by_cid"),
    ] {
        for is_descending in [false, true] {
            let first = ArtifactQuery::default().sort(sort).is_descending(is_descending).limit(20);
            let (plan, page) = plans(&server, ops_db.artifacts(&first)).await;
            let page = page.unwrap();
            assert!(plan.contains(index), "{sort:?} {is_descending}: {plan}");
            let second = first.after(page.next);
            let (plan, page) = plans(&server, ops_db.artifacts(&second)).await;
            assert!(plan.contains(index), "{sort:?} {is_descending}: {plan}");
            assert_eq!(page.unwrap().rows.len(), 20);
        }
    }
}

/// How many months a plan names, and how many of them it did not look into.
fn months(plan: &str) -> (usize, usize) {
    let scans: Vec<_> =
        plan.lines().filter(|line| line.contains(" on verification_results_20")).collect();
    (scans.len(), scans.iter().filter(|line| line.contains("(never executed)")).count())
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_verifications_look_into_the_months_that_they_show() {
    let server = start_explaining();
    let database = Database::create_on(&server.url("postgres"));
    let ops_db = filled(database.url(), Partitions::On).await.ops_db();
    let all = VerificationQuery::default().limit(20);
    let of_artifact = all.clone().artifact_id(artifact(0));
    let failed = all.clone().outcomes([Outcome::Failed]);
    for query in [all, of_artifact, failed] {
        // The months of three years, and three to come.
        let (plan, page) = plans(&server, ops_db.verifications(&query)).await;
        let (named, skipped) = months(&plan);
        assert!(named >= 36 && skipped >= 35, "{query:?}: {named}, {skipped}\n{plan}");
        let mut next = page.unwrap().next;
        // Twelve months back, later months are not even named.
        for _ in 0..12 * VERDICTS_A_MONTH / 20 {
            let query = query.clone().after(next);
            next = ops_db.verifications(&query).await.unwrap().next;
        }
        let query = query.after(next);
        let (plan, page) = plans(&server, ops_db.verifications(&query)).await;
        assert_eq!(page.unwrap().rows.len(), 20);
        let (named, skipped) = months(&plan);
        assert!(named <= 25 && skipped >= named - 2, "{query:?}: {named}, {skipped}\n{plan}");
    }
    // The latest verdict on each artifact is looked for from the present month backwards.
    let before: Timestamp = "2021-01-01T00:00:00.000000Z".parse().unwrap();
    let query =
        ArtifactQuery::default().verified_before(before).name_contains("zone-0000".to_owned());
    let (plan, page) = plans(&server, ops_db.artifacts(&query)).await;
    assert_eq!(page.unwrap().rows, []);
    let (named, skipped) = months(&plan);
    assert!(named >= 36 && skipped >= 35, "{named}, {skipped}\n{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_is_read_from_one_partition() {
    let server = start_explaining();
    let database = Database::create_on(&server.url("postgres"));
    let ops_db = filled(database.url(), Partitions::On).await.ops_db();
    let chain = ops_db.chain(artifact(7), None, 10);
    let (plan, chain) = plans(&server, chain).await;
    assert_eq!(chain.unwrap(), Page::EMPTY);
    let parts = plan.lines().filter(|line| line.contains(" on custody_transitions_")).count();
    assert_eq!(parts, 1, "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn look_ups_go_by_the_index_of_what_they_look_for() {
    let server = start_explaining();
    let database = Database::create_on(&server.url("postgres"));
    let ops_db = filled(database.url(), Partitions::Off).await.ops_db();
    let cid = ops_db.artifact(artifact(1234)).await.unwrap().unwrap().artifact.cid;
    let by_cid = ArtifactQuery::default().cids([cid]);
    let (plan, page) = plans(&server, ops_db.artifacts(&by_cid)).await;
    assert!(page.unwrap().rows.iter().any(|row| row.id == artifact(1234)));
    assert!(plan.contains("governed_artifacts_by_cid"), "{plan}");
    let nobody = vec!["nobody".to_owned()];
    let any = VerificationQuery::default().limit(20);
    for (query, index) in [
        (any.clone().verifiers(nobody.clone()), "verification_results_by_verifier"),
        (any.targets(nobody), "verification_results_by_target"),
    ] {
        let (plan, page) = plans(&server, ops_db.verifications(&query)).await;
        assert_eq!(page.unwrap(), Page::EMPTY);
        assert!(plan.contains(index), "{query:?}: {plan}");
        assert!(!plan.contains("Seq Scan on verification_results"), "{query:?}: {plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standing_verdict_is_found_among_those_of_its_series_alone() {
    let server = start_explaining();
    let database = Database::create_on(&server.url("postgres"));
    let ops_db = filled(database.url(), Partitions::Off).await.ops_db();
    let failed = VerificationQuery::default().outcomes([Outcome::Failed]).is_standing(true);
    let (plan, page) = plans(&server, ops_db.verifications(&failed)).await;
    assert_eq!(page.unwrap().rows.len(), 1);
    assert!(plan.contains("using verification_results_by_series on"), "{plan}");
    let of_artifacts = ArtifactQuery::default().verdicts([Outcome::Failed]);
    let (plan, page) = plans(&server, ops_db.artifacts(&of_artifacts)).await;
    assert_eq!(page.unwrap().rows.len(), 1);
    assert!(plan.contains("using verification_results_by_series on"), "{plan}");
}
