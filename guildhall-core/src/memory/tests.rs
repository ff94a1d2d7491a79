//! The stores in memory keep what the traits promise.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::checkpoint::{Checkpoint, ContinuityError};
use crate::chronicle::{
    Append, AppendError, Chronicle, Entry, Expected, NewEntry, Origin, ReadLimit,
};
use crate::cid::{Cid, LeafHash};
use crate::custody::CustodyState;
use crate::event::{
    AccordBound, ArtifactRegistered, CustodyTransitioned, DeploymentObserved, Event, Outcome, Tier,
    VerificationRecorded, artifact_type,
};
use crate::fixtures::{
    ARTIFACT, CEREMONY, at, bound, chain, json, link, observed, registered, revised, verified,
};
use crate::fold::OnViolation;
use crate::ids::{AccordId, ArtifactId, EventId, Position, Seq, StreamId, Version};
use crate::invariant::Code;
use crate::ops::*;
use crate::projector::{ApplyError, Batch, Lease, OPS_DB, Projector, Rebuild};

const ALL: ReadLimit = ReadLimit::entries(10_000);

fn append(events: impl IntoIterator<Item = Event>) -> Append {
    Append::of(events.into_iter().map(|event| NewEntry::new(&event)))
}

/// A Chronicle in which everything happens that a fold distinguishes, also what it refuses.
async fn story() -> MemoryChronicle {
    use CustodyState::{CeremonyOpen, Deployed, Drafted, Ratified};
    let chronicle = MemoryChronicle::new();
    let links = chain(&[Drafted, CeremonyOpen, Ratified, Deployed, CeremonyOpen]);
    let forged = CustodyTransitioned { actor: "eve".to_owned(), ..links[1].clone() };
    let revision = revised("[1]", registered().cid);
    let mut withdrawn = link(links.last(), Drafted);
    withdrawn.cid = revision.cid;
    let mut events: Vec<Event> = vec![bound().into(), registered().into(), registered().into()];
    events.extend([observed("eu", true, 1).into(), links[0].clone().into(), forged.into()]);
    events.extend(links[1..3].iter().cloned().map(Event::from));
    events.extend([observed("eu", false, 9).into(), observed("eu", true, 5).into()]);
    events.extend([verified(Outcome::Failed, 4).into(), links[3].clone().into()]);
    events.extend([observed("us", true, 2).into(), links[4].clone().into(), revision.into()]);
    events.extend([withdrawn.into(), link(links.last(), Drafted).into()]);
    events.push(revised("[2]", registered().cid).into());
    chronicle.append(append(events)).await.unwrap();
    chronicle
}

async fn batch(chronicle: &MemoryChronicle, after: u64, entries: usize) -> Batch {
    let limit = ReadLimit::entries(entries);
    let entries = chronicle.read(after.try_into().unwrap(), limit).await.unwrap();
    Batch::decode(chronicle.origin().await.unwrap().unwrap(), entries).unwrap()
}

async fn projected(chronicle: &MemoryChronicle) -> MemoryOpsDb {
    let ops_db = MemoryOpsDb::new();
    ops_db.projector().apply(batch(chronicle, 0, 10_000).await).await.unwrap();
    ops_db
}

#[tokio::test]
async fn order_is_dense_and_streams_count_for_themselves() {
    let chronicle = story().await;
    let entries = chronicle.read(Position::ZERO, ALL).await.unwrap();
    let positions: Vec<_> = entries.iter().map(|entry| entry.position.get()).collect();
    assert_eq!(positions, (1..=18).collect::<Vec<_>>());
    let origin = chronicle.origin().await.unwrap().unwrap();
    assert!(entries.iter().all(|entry| entry.leaf_hash == entry.compute_leaf_hash(&origin)));
    let of_artifact = |after: u32, limit: usize| {
        chronicle.read_stream(ARTIFACT.into(), Version::new(after), ReadLimit::entries(limit))
    };
    let versions = of_artifact(0, 100).await.unwrap();
    let versions: Vec<_> = versions.iter().map(|entry| entry.version.get()).collect();
    assert_eq!(versions, (1..=17).collect::<Vec<_>>());
    assert_eq!(of_artifact(15, 1).await.unwrap()[0].position, Position::new(17));
    assert!(of_artifact(17, 1).await.unwrap().is_empty());
    let head = chronicle.head().await.unwrap();
    assert_eq!((head.position.get(), head.leaf_hash), (18, Some(entries[17].leaf_hash)));
}

#[tokio::test]
async fn a_read_is_bounded_and_answers_at_least_one_entry() {
    let chronicle = story().await;
    let bytes = chronicle.read(Position::ZERO, ALL).await.unwrap()[0].payload.len();
    for (limit, expected) in [
        (ReadLimit { entries: 0, bytes: 0 }, 1),
        (ReadLimit { entries: 5, bytes: 1 << 20 }, 5),
        (ReadLimit { entries: 5, bytes }, 1),
    ] {
        assert_eq!(chronicle.read(Position::ZERO, limit).await.unwrap().len(), expected);
    }
    assert!(chronicle.read(Position::new(18), ALL).await.unwrap().is_empty());
    assert!(chronicle.read(Position::MAX, ALL).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_append_is_all_or_nothing_and_idempotent() {
    let chronicle = MemoryChronicle::with_payload_limit(400);
    let [accord, artifact] =
        [bound().into(), registered().into()].map(|event| NewEntry::new(&event));
    let long = "x".repeat(400);
    let too_long = NewEntry {
        event_id: EventId::new(),
        payload: json(&format!("{long:?}")),
        ..accord.clone()
    };
    let refused = chronicle.append(Append::of([accord.clone(), too_long])).await;
    assert!(matches!(refused, Err(AppendError::PayloadTooLong { found_bytes: 402, .. })));
    assert_eq!(chronicle.append(Append::default()).await.unwrap(), []);
    // Neither a refused append nor an empty one leaves anything, the origin included.
    assert_eq!(chronicle.origin().await.unwrap(), None);
    assert_eq!(chronicle.head().await.unwrap().position, Position::ZERO);

    let both = Append::of([accord.clone(), accord.clone(), artifact.clone()]);
    let answers = chronicle.append(both.clone()).await.unwrap();
    let of = |answers: &[crate::Appended]| -> Vec<_> {
        answers.iter().map(|answer| (answer.position.get(), answer.was_recorded)).collect()
    };
    assert_eq!(of(&answers), [(1, false), (1, true), (2, false)]);
    // Every event was seen before, so what is expected is not checked.
    let again = both.expecting(ARTIFACT, Expected::NoStream);
    let answers = chronicle.append(again).await.unwrap();
    assert_eq!(of(&answers), [(1, true), (1, true), (2, true)]);

    let other = NewEntry { payload: json("{}"), ..artifact };
    let refused = chronicle.append(Append::of([other])).await;
    assert!(matches!(refused, Err(AppendError::IdReused { differs: "data", .. })));
    let stale = append([verified(Outcome::Passed, 1).into()]);
    let refused = chronicle.append(stale.expecting(ARTIFACT, Expected::NoStream)).await;
    let Err(AppendError::Conflict { stream, found, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!((stream, found), (StreamId::from(ARTIFACT), Version::FIRST));
    assert_eq!(chronicle.head().await.unwrap().position, Position::new(2));
}

#[tokio::test]
async fn an_origin_is_fixed_once() {
    let chronicle = MemoryChronicle::new();
    assert_eq!(chronicle.origin().await.unwrap(), None);
    let [first, second] =
        ["guildhall/a", "guildhall/b"].map(|name| name.parse::<Origin>().unwrap());
    assert_eq!(chronicle.fix_origin(first.clone()).await.unwrap(), first);
    assert_eq!(chronicle.fix_origin(second.clone()).await.unwrap(), first);
    chronicle.append(append([bound().into()])).await.unwrap();
    assert_eq!(chronicle.origin().await.unwrap(), Some(first));

    // The first entry fixes one too.
    let chronicle = MemoryChronicle::new();
    chronicle.append(append([bound().into()])).await.unwrap();
    let unique = chronicle.origin().await.unwrap().unwrap();
    assert!(unique.as_str().starts_with("guildhall/"));
    assert_eq!(chronicle.fix_origin(second).await.unwrap(), unique);
}

#[tokio::test]
async fn a_waiter_is_woken_by_an_append_and_patience_ends() {
    let chronicle = MemoryChronicle::new();
    let patience = Duration::from_secs(60);
    let waiter = tokio::spawn({
        let chronicle = chronicle.clone();
        async move { chronicle.wait_beyond(Position::FIRST, patience).await }
    });
    // One entry is not beyond the first.
    chronicle.append(append([bound().into()])).await.unwrap();
    tokio::task::yield_now().await;
    assert!(!waiter.is_finished());
    chronicle.append(append([registered().into()])).await.unwrap();
    let reached = tokio::time::timeout(patience, waiter).await.unwrap().unwrap().unwrap();
    assert_eq!(reached, Position::new(2));
    // What is there already is not waited for, and what never comes only so long.
    assert_eq!(chronicle.wait_beyond(Position::ZERO, patience).await.unwrap(), Position::new(2));
    let short = Duration::from_millis(1);
    assert_eq!(chronicle.wait_beyond(Position::new(2), short).await.unwrap(), Position::new(2));
}

#[tokio::test]
async fn appends_from_many_tasks_leave_no_gap() {
    let chronicle = MemoryChronicle::new();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let chronicle = chronicle.clone();
            tokio::spawn(async move {
                for second in 0..20 {
                    chronicle.append(append([observed("eu", true, second).into()])).await.unwrap();
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let entries = chronicle.read(Position::ZERO, ALL).await.unwrap();
    let places: Vec<_> = entries.iter().map(|e| (e.position.get(), e.version.get())).collect();
    assert_eq!(places, (1..=160).map(|n| (n, n)).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_story_becomes_these_rows() {
    let ops_db = projected(&story().await).await;
    let tables = ops_db.tables();
    let codes: Vec<_> =
        tables.quarantined_entries.iter().map(|q| (q.position.get(), q.code)).collect();
    let expected = [(3, Code::CC11), (6, Code::CC06), (15, Code::CC12), (16, Code::CC06)];
    assert_eq!(codes, expected);
    let [artifact] = &tables.governed_artifacts[..] else { panic!("one artifact") };
    assert_eq!(
        (artifact.custody_state, artifact.custody_seq),
        (Some(CustodyState::Drafted), Some(Seq::new(6)))
    );
    assert_eq!((artifact.content.as_str(), artifact.position.get()), ("[2]", 18));
    let targets: Vec<_> = tables
        .deployment_states
        .iter()
        .map(|row| (row.target.as_str(), row.health, row.health_since))
        .collect();
    assert_eq!(targets, [("eu", Health::Drifted, at(9)), ("us", Health::Healthy, at(2))]);
    assert_eq!((tables.custody_transitions.len(), tables.verification_results.len()), (6, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn batches_and_restarts_do_not_change_the_tables(
        steps in prop::collection::vec((1usize..6, 0u64..4, any::<bool>()), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let chronicle = story().await;
            let whole = projected(&chronicle).await;
            let ops_db = MemoryOpsDb::new();
            let mut projector = ops_db.projector();
            let mut steps = steps.into_iter().cycle();
            loop {
                let checkpoint = projector.checkpoint().await.unwrap().position.get();
                if checkpoint == 18 {
                    break;
                }
                // Batches overlap by some entries, which changes nothing.
                let (fresh, overlap, restarts) = steps.next().unwrap();
                let after = checkpoint.saturating_sub(overlap);
                let seen = usize::try_from(checkpoint - after).unwrap();
                let applied = projector.apply(batch(&chronicle, after, seen + fresh).await).await.unwrap();
                assert_eq!(applied.entries, applied.position.get() - checkpoint);
                if restarts {
                    projector.release_lease().await.unwrap();
                    projector = ops_db.projector();
                }
            }
            assert_eq!(ops_db.tables(), whole.tables());
            assert_eq!(ops_db.checkpoint(OPS_DB).await.unwrap(), whole.checkpoint(OPS_DB).await.unwrap());
        });
    }
}

#[tokio::test]
async fn a_batch_that_does_not_go_on_is_refused_and_changes_nothing() {
    let chronicle = story().await;
    let ops_db = MemoryOpsDb::new();
    let projector = ops_db.projector();
    projector.apply(batch(&chronicle, 0, 5).await).await.unwrap();
    let before = (ops_db.tables(), ops_db.checkpoint(OPS_DB).await.unwrap());
    let refusal = async |batch| match projector.apply(batch).await {
        Err(ApplyError::Continuity(error)) => error,
        other => panic!("{other:?}"),
    };
    let gap = refusal(batch(&chronicle, 6, 1).await).await;
    assert!(matches!(gap, ContinuityError::Gap { .. }), "{gap}");
    let elsewhere = refusal(batch(&story().await, 5, 1).await).await;
    assert!(matches!(elsewhere, ContinuityError::OtherOrigin { .. }), "{elsewhere}");
    let mut entries = chronicle.read(Position::new(4), ALL).await.unwrap();
    entries[0].leaf_hash = LeafHash::from_bytes([9; 32]);
    let origin = chronicle.origin().await.unwrap().unwrap();
    let rewritten = refusal(Batch::decode(origin, entries).unwrap()).await;
    assert!(matches!(rewritten, ContinuityError::Rewritten { .. }), "{rewritten}");
    assert_eq!((ops_db.tables(), ops_db.checkpoint(OPS_DB).await.unwrap()), before);
}

#[tokio::test]
async fn of_two_projectors_one_stands_by_until_the_lease_is_free() {
    let chronicle = story().await;
    let ops_db = MemoryOpsDb::new();
    assert_eq!(ops_db.checkpoint(OPS_DB).await.unwrap(), None);
    let (one, other) = (ops_db.projector(), ops_db.projector().with_lease_time(Duration::ZERO));
    assert_eq!(one.hold_lease().await.unwrap(), Lease::Held);
    assert_eq!(one.clone().hold_lease().await.unwrap(), Lease::Held);
    assert!(matches!(other.hold_lease().await.unwrap(), Lease::Standby { .. }));
    let refused = other.apply(batch(&chronicle, 0, 3).await).await;
    assert!(matches!(refused, Err(ApplyError::Standby { .. })), "{refused:?}");
    let checkpoint = [(OPS_DB.to_owned(), Checkpoint::ZERO)].into();
    let nothing = Tables { projector_checkpoints: checkpoint, ..Tables::default() };
    assert_eq!(ops_db.tables(), nothing);

    // Given up, it is free; who does not hold it gives nothing up.
    other.release_lease().await.unwrap();
    assert!(matches!(other.hold_lease().await.unwrap(), Lease::Standby { .. }));
    one.release_lease().await.unwrap();
    assert_eq!(other.apply(batch(&chronicle, 0, 3).await).await.unwrap().entries, 3);
    // The other's lease lapsed at once. Deposed, it cannot write.
    assert_eq!(one.apply(batch(&chronicle, 3, 3).await).await.unwrap().entries, 3);
    let deposed = other.apply(batch(&chronicle, 6, 3).await).await;
    assert!(matches!(deposed, Err(ApplyError::Standby { .. })), "{deposed:?}");
    assert_eq!(one.checkpoint().await.unwrap().position.get(), 6);
}

#[tokio::test]
async fn a_halting_projector_applies_what_comes_before() {
    let chronicle = story().await;
    let ops_db = MemoryOpsDb::new();
    let projector = ops_db.projector().with_on_violation(OnViolation::Halt);
    for _ in 0..2 {
        let halted = projector.apply(batch(&chronicle, 0, 100).await).await;
        let Err(ApplyError::Halted { position, violation }) = halted else { panic!("{halted:?}") };
        assert_eq!((position.get(), violation.code()), (3, Code::CC11));
        assert_eq!(projector.checkpoint().await.unwrap().position.get(), 2);
    }
    assert_eq!(ops_db.tables().governed_artifacts.len(), 1);
    projector.release_lease().await.unwrap();
    ops_db.projector().apply(batch(&chronicle, 2, 100).await).await.unwrap();
    assert_eq!(ops_db.tables(), projected(&chronicle).await.tables());
}

#[tokio::test]
async fn a_rebuild_is_seen_when_it_is_swapped_in() {
    let chronicle = story().await;
    let ops_db = MemoryOpsDb::new();
    let projector = ops_db.projector();
    projector.apply(batch(&chronicle, 0, 10).await).await.unwrap();
    let live = ops_db.tables();
    let mut thrown_away = projector.begin_rebuild().await.unwrap();
    let mut next = projector.begin_rebuild().await.unwrap();
    assert!(thrown_away.apply(batch(&chronicle, 0, 9).await).await.is_err());
    assert!(thrown_away.swap(None).await.is_err());

    next.apply(batch(&chronicle, 0, 9).await).await.unwrap();
    assert_eq!(next.checkpoint().position.get(), 9);
    // The live one has gone further.
    assert!(!next.swap(None).await.unwrap());
    next.seal().await.unwrap();
    next.apply(batch(&chronicle, 9, 100).await).await.unwrap();
    assert_eq!(ops_db.tables(), live);
    assert!(next.swap(None).await.unwrap());
    assert_eq!(ops_db.tables(), projected(&chronicle).await.tables());
    assert_eq!(projector.checkpoint().await.unwrap().position.get(), 18);
    assert!(next.apply(batch(&chronicle, 18, 1).await).await.is_err());
    // The projector goes on from there.
    chronicle.append(append([observed("eu", true, 99).into()])).await.unwrap();
    assert_eq!(projector.apply(batch(&chronicle, 18, 1).await).await.unwrap().entries, 1);
}

fn accord_id(n: u128) -> AccordId {
    AccordId::from_uuid(Uuid::from_u128(0x1000 + n))
}

fn artifact_id(n: u128) -> ArtifactId {
    ArtifactId::from_uuid(Uuid::from_u128(0x2000 + n))
}

/// Two accords and five artifacts, which every filter and order tells apart.
async fn catalogue() -> MemoryOpsDb {
    let accord = |n: u128, name: &str, terms: &str| AccordBound {
        accord_id: accord_id(n),
        accord_terms: json(terms),
        name: name.to_owned(),
        ..bound()
    };
    let artifact = |n: u128, accord: u128, name: &str, kind: &str, tier: usize| {
        let content = json(&format!(r#"{{"n":[{n}],"kind":"{kind}"}}"#));
        ArtifactRegistered {
            accord_id: accord_id(accord),
            artifact_id: artifact_id(n),
            artifact_type: kind.to_owned(),
            cid: Cid::of(&content),
            content,
            name: name.to_owned(),
            tier: Tier::ALL[tier],
            ..registered()
        }
    };
    let moved = |n: u128, kind: &str, states: &[CustodyState]| {
        let cid = Cid::of(&json(&format!(r#"{{"n":[{n}],"kind":"{kind}"}}"#)));
        let mut links: Vec<CustodyTransitioned> = Vec::new();
        for &to_state in states {
            let is_entering = to_state == CustodyState::CeremonyOpen;
            let head = links.last().map(crate::custody::ChainHead::from);
            let wanted = crate::custody::Move {
                to_state,
                actor: "ada".to_owned(),
                reason: String::new(),
                ceremony_id: is_entering.then_some(CEREMONY),
                evidence: crate::Json::null(),
                // The later artifact's ceremony opens first.
                occurred_at: at(100 - i64::try_from(n).unwrap()),
            };
            links.push(crate::custody::link(artifact_id(n), cid, head.as_ref(), wanted));
        }
        links.into_iter().map(Event::from).collect::<Vec<_>>()
    };
    let seen = |n: u128, target: &str, is_healthy: Option<bool>, second: i64| {
        let DeploymentObserved { desired_cid, observed_cid, .. } =
            observed(target, is_healthy.unwrap_or(true), second);
        let observed_cid = observed_cid.filter(|_| is_healthy.is_some());
        let artifact_id = artifact_id(n);
        Event::from(DeploymentObserved {
            artifact_id,
            desired_cid,
            observed_cid,
            ..observed(target, true, second)
        })
    };
    let judged = |n: u128, outcome, second| VerificationRecorded {
        artifact_id: artifact_id(n),
        ..verified(outcome, second)
    };
    use CustodyState::{CeremonyOpen, Drafted, Retired};
    let (dns, helm) = (artifact_type::DNS_ZONE, artifact_type::HELM_VALUES);
    let mut events: Vec<Event> = vec![
        accord(1, "Zürich", r#"{"approvals":2,"teams":["a","b"]}"#).into(),
        accord(2, "Basel", r#"{"approvals":1}"#).into(),
        artifact(1, 1, "beta_1", dns, 2).into(),
        artifact(2, 1, "Alpha", helm, 0).into(),
        artifact(3, 2, "alpha", dns, 2).into(),
        artifact(4, 2, "100%", helm, 3).into(),
        artifact(5, 2, "éclair", dns, 0).into(),
    ];
    events.extend(moved(2, helm, &[Drafted, CeremonyOpen]));
    events.extend(moved(3, dns, &[Drafted, CeremonyOpen]));
    events.extend(moved(4, helm, &[Drafted, Retired]));
    events.extend([
        seen(1, "eu", Some(true), 1),
        seen(2, "eu", Some(true), 1),
        seen(2, "us", Some(false), 5),
        seen(2, "asia", Some(false), 3),
        seen(2, "mars", None, 1),
        seen(3, "eu", Some(true), 4),
        seen(3, "us", None, 7),
    ]);
    events.extend([
        judged(1, Outcome::Passed, 5).into(),
        judged(1, Outcome::Failed, 9).into(),
        judged(2, Outcome::Failed, 5).into(),
        judged(3, Outcome::Inconclusive, 7).into(),
    ]);
    events.extend([bound().into(), bound().into(), accord(2, "again", "{}").into()]);
    let chronicle = MemoryChronicle::new();
    chronicle.append(append(events)).await.unwrap();
    projected(&chronicle).await
}

fn number(id: ArtifactId) -> u128 {
    id.as_uuid().as_u128() - 0x2000
}

async fn numbers(ops_db: &MemoryOpsDb, query: ArtifactQuery) -> Vec<u128> {
    let page = ops_db.artifacts(&query).await.unwrap();
    page.rows.iter().map(|row| number(row.id)).collect()
}

#[tokio::test]
async fn artifacts_are_filtered() {
    let ops_db = catalogue().await;
    let all = ArtifactQuery::default();
    let dns = vec![artifact_type::DNS_ZONE.to_owned()];
    let contains = |text: &str| Some(text.to_owned());
    for (query, expected) in [
        (ArtifactQuery { artifact_types: dns.clone(), ..all.clone() }, &[3, 1, 5][..]),
        (ArtifactQuery { tiers: vec![Tier::ALL[0], Tier::ALL[3]], ..all.clone() }, &[4, 2, 5]),
        (
            ArtifactQuery { custody_states: vec![CustodyState::CeremonyOpen], ..all.clone() },
            &[2, 3],
        ),
        (ArtifactQuery { drifts: vec![Drift::Undeployed], ..all.clone() }, &[4, 5]),
        (ArtifactQuery { drifts: vec![Drift::Drifted, Drift::Healthy], ..all.clone() }, &[2, 1]),
        (ArtifactQuery { drifts: vec![Drift::Unknown], ..all.clone() }, &[3]),
        (ArtifactQuery { accords: vec![accord_id(1)], ..all.clone() }, &[2, 1]),
        (ArtifactQuery { name_contains: contains("ALPHA"), ..all.clone() }, &[2, 3]),
        (ArtifactQuery { name_contains: contains("%"), ..all.clone() }, &[4]),
        (ArtifactQuery { name_contains: contains("_"), ..all.clone() }, &[1]),
        // Letters beyond ASCII are compared as they are.
        (ArtifactQuery { name_contains: contains("É"), ..all.clone() }, &[]),
        (ArtifactQuery { name_contains: contains("éC"), ..all.clone() }, &[5]),
        (ArtifactQuery { content_contains: Some(json(r#"{"n":[4]}"#)), ..all.clone() }, &[4]),
        (ArtifactQuery { terms_contain: Some(json(r#"{"teams":["b"]}"#)), ..all.clone() }, &[2, 1]),
        (
            ArtifactQuery {
                artifact_types: dns,
                tiers: vec![Tier::ALL[2]],
                accords: vec![accord_id(2)],
                ..all.clone()
            },
            &[3],
        ),
        (all, &[4, 2, 3, 1, 5]),
    ] {
        assert_eq!(numbers(&ops_db, query.clone()).await, expected, "{query:?}");
    }
}

#[tokio::test]
async fn every_order_is_total_and_pages_are_its_pieces() {
    let ops_db = catalogue().await;
    for (sort, expected) in [
        (ArtifactSort::Name, [4, 2, 3, 1, 5]),
        (ArtifactSort::ArtifactType, [3, 1, 5, 4, 2]),
        (ArtifactSort::Tier, [2, 5, 3, 1, 4]),
        // Before genesis comes first.
        (ArtifactSort::CustodyState, [1, 5, 2, 3, 4]),
        (ArtifactSort::Position, [1, 5, 2, 3, 4]),
    ] {
        for is_descending in [false, true] {
            let mut expected = expected.to_vec();
            if is_descending {
                expected.reverse();
            }
            for limit in [1, 2, 5, 100] {
                let mut query =
                    ArtifactQuery { sort, is_descending, limit, ..ArtifactQuery::default() };
                let mut found = Vec::new();
                loop {
                    let page = ops_db.artifacts(&query).await.unwrap();
                    assert!(page.rows.len() <= usize::try_from(limit).unwrap());
                    found.extend(page.rows.iter().map(|row| number(row.id)));
                    query.after = page.next;
                    if query.after.is_none() {
                        break;
                    }
                }
                assert_eq!(found, expected, "{sort} {is_descending} {limit}");
            }
        }
    }
}

#[tokio::test]
async fn a_cursor_of_another_order_starts_anew() {
    let ops_db = catalogue().await;
    let query = ArtifactQuery { limit: 2, ..ArtifactQuery::default() };
    let after = ops_db.artifacts(&query).await.unwrap().next;
    let others = [
        ArtifactQuery { sort: ArtifactSort::Tier, after: after.clone(), ..query.clone() },
        ArtifactQuery {
            sort: ArtifactSort::Tier,
            after: Some(Cursor::from_text("nonsense")),
            ..query.clone()
        },
    ];
    for other in others {
        assert_eq!(numbers(&ops_db, other).await, [2, 5]);
    }
    let turned = ArtifactQuery { is_descending: true, after, ..query };
    assert_eq!(numbers(&ops_db, turned).await, [5, 1]);
}

#[tokio::test]
async fn drift_is_the_worst_of_the_targets_since_they_make_it_so() {
    let ops_db = catalogue().await;
    for (n, drift, since) in [
        (1, Drift::Healthy, Some(1)),
        (2, Drift::Drifted, Some(3)),
        (3, Drift::Unknown, Some(7)),
        (4, Drift::Undeployed, None),
    ] {
        let detail = ops_db.artifact(artifact_id(n)).await.unwrap().unwrap();
        assert_eq!((detail.drift, detail.drift_since), (drift, since.map(at)), "{n}");
        let rows = ops_db.artifacts(&ArtifactQuery::default()).await.unwrap().rows;
        let row = rows.iter().find(|row| row.id == artifact_id(n)).unwrap();
        assert_eq!((row.drift, row.drift_since), (detail.drift, detail.drift_since));
        assert_eq!(detail.accord.id, detail.artifact.accord_binding_id);
    }
    assert_eq!(ops_db.artifact(ArtifactId::new()).await.unwrap(), None);
}

#[tokio::test]
async fn an_overview_counts_everything() {
    let overview = catalogue().await.overview().await.unwrap();
    let expected = Overview {
        accords: 3,
        artifacts_by_tier: [2, 0, 2, 1],
        healthy_deployments: 3,
        drifted_deployments: 2,
        unknown_deployments: 2,
        custody_transitions: 6,
        verifications: 4,
        open_ceremonies: 2,
        oldest_ceremony_opened_at: Some(at(97)),
        quarantined: 2,
    };
    assert_eq!(overview, expected);
    assert_eq!(overview.artifacts(), 5);
    assert_eq!(MemoryOpsDb::new().overview().await.unwrap(), Overview::default());
}

#[tokio::test]
async fn lists_come_in_their_order_a_page_at_a_time() {
    let ops_db = catalogue().await;
    let two = AccordQuery { limit: 2, ..AccordQuery::default() };
    let accords = ops_db.accords(&two).await.unwrap();
    let names: Vec<_> = accords.rows.iter().map(|row| row.name.as_str()).collect();
    // By bytes: the small letters and "ü" come after the capitals.
    assert_eq!(names, ["Basel", "Zürich"]);
    let rest = ops_db.accords(&AccordQuery { after: accords.next, ..two }).await.unwrap();
    assert_eq!((rest.rows[0].name.as_str(), rest.next), ("change control", None));

    let open = ops_db.open_ceremonies(None, 1).await.unwrap();
    assert_eq!(
        (number(open.rows[0].opened.artifact_id), open.rows[0].ceremony_id),
        (3, Some(CEREMONY))
    );
    assert_eq!(open.rows[0].accord, "Basel");
    let rest = ops_db.open_ceremonies(open.next, 1).await.unwrap();
    assert_eq!((number(rest.rows[0].opened.artifact_id), rest.next), (2, None));

    let quarantined = ops_db.quarantined(None, 1).await.unwrap();
    assert_eq!(quarantined.rows[0].stream_id, accord_id(2).into());
    let rest = ops_db.quarantined(quarantined.next, 1).await.unwrap();
    assert_eq!((rest.rows[0].stream_id, rest.next), (bound().accord_id.into(), None));

    let after = Some(Cursor::after_link(Seq::FIRST));
    let links = ops_db.chain(artifact_id(2), after, 0).await.unwrap();
    assert_eq!(links.rows.iter().map(|link| link.seq.get()).collect::<Vec<_>>(), [2]);
    assert!(ops_db.chain(artifact_id(5), None, 10).await.unwrap().rows.is_empty());
}

#[tokio::test]
async fn deployments_are_filtered_and_paged_by_artifact_and_target() {
    let ops_db = catalogue().await;
    let mut query = DeploymentQuery { limit: 3, ..DeploymentQuery::default() };
    let mut found = Vec::new();
    loop {
        let page = ops_db.deployments(&query).await.unwrap();
        found.extend(page.rows.into_iter().map(|row| (number(row.artifact_id), row.target)));
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    let found: Vec<_> = found.iter().map(|(n, target)| (*n, target.as_str())).collect();
    let expected =
        [(1, "eu"), (2, "asia"), (2, "eu"), (2, "mars"), (2, "us"), (3, "eu"), (3, "us")];
    assert_eq!(found, expected);
    let healths = vec![Health::Drifted, Health::Unknown];
    let query = DeploymentQuery {
        artifact_id: Some(artifact_id(2)),
        healths,
        ..DeploymentQuery::default()
    };
    let page = ops_db.deployments(&query).await.unwrap();
    let targets: Vec<_> = page.rows.iter().map(|row| row.target.as_str()).collect();
    assert_eq!(targets, ["asia", "mars", "us"]);
}

#[tokio::test]
async fn verifications_come_latest_first_and_later_positions_before_earlier_ones() {
    let ops_db = catalogue().await;
    let mut query = VerificationQuery { limit: 1, ..VerificationQuery::default() };
    let mut found = Vec::new();
    loop {
        let page = ops_db.verifications(&query).await.unwrap();
        found.extend(page.rows.into_iter().map(|row| (number(row.artifact_id), row.verified_at)));
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(found, [(1, at(9)), (3, at(7)), (2, at(5)), (1, at(5))]);
    let outcomes = vec![Outcome::Failed];
    let query = VerificationQuery {
        artifact_id: Some(artifact_id(1)),
        outcomes,
        ..VerificationQuery::default()
    };
    let page = ops_db.verifications(&query).await.unwrap();
    assert_eq!(page.rows.iter().map(|row| row.verified_at).collect::<Vec<_>>(), [at(9)]);
}

#[tokio::test]
async fn a_log_that_something_else_wrote_is_projected_all_the_same() {
    let chronicle = story().await;
    let mut entries = chronicle.read(Position::ZERO, ALL).await.unwrap();
    let broken = Entry { payload: "{ not json".into(), ..entries[1].clone() };
    entries[1] = broken;
    let origin = chronicle.origin().await.unwrap().unwrap();
    let ops_db = MemoryOpsDb::new();
    let applied = ops_db.projector().apply(Batch::decode(origin, entries).unwrap()).await.unwrap();
    assert_eq!((applied.entries, applied.skipped), (18, 0));
    let first = &ops_db.tables().quarantined_entries[0];
    assert_eq!((first.position.get(), first.code), (2, Code::CC00));
}

#[tokio::test]
async fn moves_are_judged_by_the_policy_of_the_embedder() {
    let chronicle = MemoryChronicle::new();
    let links = chain(&[CustodyState::Drafted, CustodyState::CeremonyOpen]);
    let links = links.into_iter().map(Event::from);
    let events = [Event::from(bound()), registered().into()].into_iter().chain(links);
    chronicle.append(append(events)).await.unwrap();
    let ops_db = MemoryOpsDb::new();
    let strict = crate::CustodyPolicy::from_moves([]);
    let projector = ops_db.projector().with_policy(strict);
    let applied = projector.apply(batch(&chronicle, 0, 100).await).await.unwrap();
    assert_eq!((applied.entries, applied.quarantined), (4, 1));
    assert_eq!(ops_db.tables().quarantined_entries[0].code, Code::CC04);
    assert_eq!(projector.lease_time(), Duration::from_secs(15));
}
