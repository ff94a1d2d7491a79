//! The projector: what it applies, what it refuses, what its checkpoint says (DESIGN section 7).

use std::sync::Arc;

use guildhall_core::{
    AccordBound, AccordId, Append, Applied, ApplyError, ArtifactRegistered, Batch, Checkpoint, Cid,
    Code, ContinuityError, DeploymentObserved, Event, Health, Json, LeafHash, NewEntry, OPS_DB,
    OnViolation, Origin, Position, ReadLimit, Rebuild, Tier, Timestamp,
};

use crate::harness::{Harness, ProjectorSettings};
use crate::log::Log;
use crate::random::Random;
use crate::reference::{Reference, cid_of, link_hash};
use crate::tables::Compare as _;
use crate::workload::{Flaw, Hostile, Mix, Workload};

super::scenarios! { $ __projector = projector:
    what_never_ran_has_no_checkpoint,
    a_chronicle_becomes_the_tables_of_the_reference_model,
    two_projections_of_one_chronicle_are_the_same,
    an_empty_batch_changes_nothing,
    an_overlapping_batch_changes_nothing_twice,
    a_gap_is_refused,
    another_origin_is_refused,
    a_rewritten_entry_is_refused,
    what_was_applied_is_reported,
    a_halting_projector_stops_before_the_entry,
    reopening_goes_on_from_the_checkpoint,
    hashes_and_cids_are_those_of_the_columns,
    health_follows_the_latest_observation,
    the_longest_and_the_strangest_values_are_kept,
}

fn sound(seed: u64, count: usize) -> Log {
    Log::of(Workload::new(seed, Mix::DENSE).take(count))
}

fn hostile(seed: u64, count: usize) -> Log {
    Log::of(Hostile::new(seed, Mix::DENSE).take(count).map(|hostile| hostile.entry))
}

async fn start<H: Harness>(harness: &H) -> Arc<dyn Rebuild> {
    harness.projector(ProjectorSettings::default()).await
}

fn reference(log: &Log, count: usize) -> guildhall_core::Tables {
    Reference::tables_of(log.origin(), &log.entries()[..count])
}

pub async fn what_never_ran_has_no_checkpoint<H: Harness>(harness: H) {
    assert_eq!(harness.ops_db().checkpoint(OPS_DB).await.unwrap(), None);
    let projector = start(&harness).await;
    assert_eq!(projector.checkpoint().await.unwrap(), Checkpoint::ZERO);
    projector.apply(sound(1, 5).rest(Position::ZERO)).await.unwrap();
    assert_eq!(harness.ops_db().checkpoint("another").await.unwrap(), None);
}

/// The whole way: appended to the store's own Chronicle, read from it, projected.
pub async fn a_chronicle_becomes_the_tables_of_the_reference_model<H: Harness>(harness: H) {
    let (chronicle, projector) = (harness.chronicle(), start(&harness).await);
    let workload: Vec<_> =
        Hostile::new(31, Mix::DENSE).take(600).map(|hostile| hostile.entry).collect();
    for entries in workload.chunks(50) {
        chronicle.append(Append::of(entries.to_vec())).await.unwrap();
    }
    let origin = chronicle.origin().await.unwrap().unwrap();
    loop {
        let at = projector.checkpoint().await.unwrap().position;
        let entries = chronicle.read(at, ReadLimit::entries(130)).await.unwrap();
        if entries.is_empty() {
            break;
        }
        projector.apply(Batch::decode(origin.clone(), entries).unwrap()).await.unwrap();
    }
    let entries = chronicle.read(Position::ZERO, ReadLimit::entries(usize::MAX)).await.unwrap();
    let expected = Reference::tables_of(&origin, &entries);
    harness.tables().await.without_reasons().assert_are(&expected);
    let checkpoint = projector.checkpoint().await.unwrap();
    assert_eq!(checkpoint.leaf_hash, chronicle.head().await.unwrap().leaf_hash);
    assert_eq!(harness.ops_db().checkpoint(OPS_DB).await.unwrap(), Some(checkpoint));
}

pub async fn two_projections_of_one_chronicle_are_the_same<H: Harness>(harness: H) {
    let (log, other) = (hostile(32, 300), H::fresh().await);
    start(&harness).await.apply(log.rest(Position::ZERO)).await.unwrap();
    let projector = start(&other).await;
    for _ in log.entries() {
        let at = projector.checkpoint().await.unwrap().position;
        projector.apply(log.batch(at, 1)).await.unwrap();
    }
    other.tables().await.assert_are(&harness.tables().await);
}

pub async fn an_empty_batch_changes_nothing<H: Harness>(harness: H) {
    let (log, projector) = (sound(2, 20), start(&harness).await);
    projector.apply(log.rest(Position::ZERO)).await.unwrap();
    let before = harness.tables().await;
    let applied = projector.apply(log.rest(log.head())).await.unwrap();
    assert_eq!((applied.position, applied.entries), (log.head(), 0));
    harness.tables().await.assert_are(&before);
}

pub async fn an_overlapping_batch_changes_nothing_twice<H: Harness>(harness: H) {
    let (log, projector) = (hostile(3, 200), start(&harness).await);
    projector.apply(log.batch(Position::ZERO, 120)).await.unwrap();
    let before = harness.tables().await;
    for (after, count) in [(0, 120), (0, 1), (60, 60), (119, 1)] {
        let applied = projector.apply(log.batch(Position::new(after), count)).await.unwrap();
        assert_eq!((applied.position.get(), applied.entries, applied.quarantined), (120, 0, 0));
        harness.tables().await.assert_are(&before);
    }
    let applied = projector.apply(log.batch(Position::new(100), 50)).await.unwrap();
    assert_eq!((applied.position.get(), applied.entries), (150, 30));
    harness.tables().await.without_reasons().assert_are(&reference(&log, 150));
}

pub async fn a_gap_is_refused<H: Harness>(harness: H) {
    let (log, projector) = (sound(4, 50), start(&harness).await);
    for checkpoint in [0, 10] {
        projector.apply(log.batch(Position::ZERO, checkpoint)).await.unwrap();
        let before = harness.tables().await;
        let batch = log.batch(Position::try_from(checkpoint as u64 + 1).unwrap(), 5);
        match projector.apply(batch).await {
            Err(ApplyError::Continuity(ContinuityError::Gap { found, checkpoint: at })) => {
                assert_eq!(at.get(), checkpoint as u64);
                assert_eq!(found.get(), checkpoint as u64 + 2);
            }
            other => panic!("{other:?}"),
        }
        harness.tables().await.assert_are(&before);
    }
}

pub async fn another_origin_is_refused<H: Harness>(harness: H) {
    let (log, projector) = (sound(5, 50), start(&harness).await);
    projector.apply(log.batch(Position::ZERO, 20)).await.unwrap();
    let before = harness.tables().await;
    let other: Origin = "guildhall/another".parse().unwrap();
    for after in [0, 20] {
        let entries = log.entries()[after..].to_vec();
        match projector.apply(Batch::decode(other.clone(), entries).unwrap()).await {
            Err(ApplyError::Continuity(ContinuityError::OtherOrigin { found, expected })) => {
                assert_eq!((&found, &expected), (&other, log.origin()));
            }
            other => panic!("{other:?}"),
        }
        harness.tables().await.assert_are(&before);
    }
    projector.apply(log.rest(Position::new(20))).await.unwrap();
}

/// The Chronicle was restored from a copy and written on: the same positions, other entries.
pub async fn a_rewritten_entry_is_refused<H: Harness>(harness: H) {
    let (log, projector) = (sound(6, 50), start(&harness).await);
    projector.apply(log.batch(Position::ZERO, 20)).await.unwrap();
    let before = harness.tables().await;
    let mut entries = log.entries()[15..30].to_vec();
    entries[4].leaf_hash = LeafHash::from_bytes([3; 32]);
    let batch = Batch::decode(log.origin().clone(), entries.clone()).unwrap();
    match projector.apply(batch).await {
        Err(ApplyError::Continuity(ContinuityError::Rewritten { position, found, expected })) => {
            assert_eq!((position, found), (Position::new(20), entries[4].leaf_hash));
            assert_eq!(expected, log.entries()[19].leaf_hash);
        }
        other => panic!("{other:?}"),
    }
    harness.tables().await.assert_are(&before);
}

pub async fn what_was_applied_is_reported<H: Harness>(harness: H) {
    let projector = start(&harness).await;
    let workload: Vec<_> = Hostile::new(7, Mix::DENSE).take(300).collect();
    let log = Log::of(workload.iter().map(|hostile| hostile.entry.clone()));
    let is_unknown = |at: usize| workload[at].entry.event_type.kind().is_none();
    let (mut after, mut all) = (Position::ZERO, Applied::default());
    for count in [1, 7, 92, 200] {
        let applied = projector.apply(log.batch(after, count)).await.unwrap();
        after = after.checked_add(count as u64).unwrap();
        assert_eq!((applied.position, applied.entries), (after, count as u64));
        all.quarantined += applied.quarantined;
        all.skipped += applied.skipped;
    }
    let skipped = (0..workload.len()).filter(|at| is_unknown(*at)).count();
    assert!(skipped > 0);
    assert_eq!(all.skipped, skipped as u64);
    let quarantined = harness.tables().await.quarantined_entries;
    assert_eq!(all.quarantined, quarantined.len() as u64);
}

pub async fn a_halting_projector_stops_before_the_entry<H: Harness>(harness: H) {
    let mut workload = Hostile::new(8, Mix::DENSE);
    let mut log = Log::of((0..30).filter_map(|_| workload.sound()));
    let flawed = loop {
        if let Some(entry) = workload.flawed(Flaw::HashWrong) {
            break entry;
        }
    };
    log.push(flawed);
    (0..30).filter_map(|_| workload.sound()).for_each(|entry| log.push(entry));

    let halting =
        ProjectorSettings { on_violation: OnViolation::Halt, ..ProjectorSettings::without_lease() };
    let projector = harness.projector(halting).await;
    // In the middle of a batch, at its start, and again.
    for after in [0, 30, 20] {
        match projector.apply(log.rest(Position::new(after))).await {
            Err(ApplyError::Halted { position, violation }) => {
                assert_eq!((position.get(), violation.code()), (31, Flaw::HashWrong.code()));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(projector.checkpoint().await.unwrap().position, Position::new(30));
        harness.tables().await.assert_are(&reference(&log, 30));
    }
    // Somebody decided that it may be set aside.
    let projector = harness.projector(ProjectorSettings::without_lease()).await;
    projector.apply(log.rest(Position::new(30))).await.unwrap();
    harness.tables().await.without_reasons().assert_are(&reference(&log, 61));
}

pub async fn reopening_goes_on_from_the_checkpoint<H: Harness>(harness: H) {
    let log = hostile(9, 200);
    let projector = harness.projector(ProjectorSettings::without_lease()).await;
    projector.apply(log.batch(Position::ZERO, 90)).await.unwrap();
    let before = harness.tables().await;
    drop(projector);
    let harness = harness.reopened().await;
    harness.tables().await.assert_are(&before);
    let projector = harness.projector(ProjectorSettings::without_lease()).await;
    let checkpoint = projector.checkpoint().await.unwrap();
    assert_eq!(checkpoint.position, Position::new(90));
    assert_eq!(checkpoint.leaf_hash, Some(log.entries()[89].leaf_hash));
    projector.apply(log.rest(checkpoint.position)).await.unwrap();
    harness.tables().await.without_reasons().assert_are(&reference(&log, 200));
}

/// An auditor has the tables alone.
pub async fn hashes_and_cids_are_those_of_the_columns<H: Harness>(harness: H) {
    start(&harness).await.apply(sound(10, 500).rest(Position::ZERO)).await.unwrap();
    let tables = harness.tables().await;
    assert!(tables.custody_transitions.len() > 100 && tables.governed_artifacts.len() > 10);
    for link in &tables.custody_transitions {
        assert_eq!(link.hash, link_hash(link), "{} {}", link.artifact_id, link.seq);
    }
    for pair in tables.custody_transitions.windows(2) {
        let follows = pair[1].artifact_id == pair[0].artifact_id;
        assert_eq!(pair[1].prev_hash, follows.then_some(pair[0].hash));
    }
    for artifact in &tables.governed_artifacts {
        assert_eq!(artifact.cid, cid_of(&artifact.content.to_value()), "{}", artifact.id);
    }
}

pub async fn health_follows_the_latest_observation<H: Harness>(harness: H) {
    let mut log = sound(13, 60);
    catch_up(&harness, &log).await;
    let artifact = harness.tables().await.governed_artifacts[0].clone();
    let at = |seconds: i64| Timestamp::from_micros(4_000_000_000_000_000 + seconds).unwrap();
    let drifted = Some(Cid::from_digest([9; 32]));
    // When, what was seen; and then the row: health, since when, observed when, by which of them.
    let story = [
        (at(10), Some(artifact.cid), Health::Healthy, at(10), at(10), 1),
        // It comes late.
        (at(5), drifted, Health::Healthy, at(10), at(10), 1),
        // At the same moment, the later position holds.
        (at(10), drifted, Health::Drifted, at(10), at(10), 3),
        (at(20), drifted, Health::Drifted, at(10), at(20), 4),
        (at(30), None, Health::Unknown, at(30), at(30), 5),
        (at(25), Some(artifact.cid), Health::Unknown, at(30), at(30), 5),
        (at(31), Some(artifact.cid), Health::Healthy, at(31), at(31), 7),
    ];
    let start = log.head().get();
    for (observed_at, observed_cid, health, since, observed, by) in story {
        let event = DeploymentObserved {
            artifact_id: artifact.id,
            desired_cid: artifact.cid,
            detail: Json::null(),
            observed_at,
            observed_cid,
            target: "elsewhere".to_owned(),
        };
        log.push(NewEntry::new(&event.into()));
        catch_up(&harness, &log).await;
        let rows = harness.tables().await.deployment_states;
        let row = rows.iter().find(|row| row.target == "elsewhere").unwrap();
        assert_eq!((row.health, row.health_since, row.observed_at), (health, since, observed));
        assert_eq!(row.position.get(), start + by);
    }
    // In one batch they come to the same.
    let other = H::fresh().await;
    catch_up(&other, &log).await;
    other.tables().await.assert_are(&harness.tables().await);
}

/// What is a key fits into every index, what is not is as long as a payload lets it be, and JSON
/// comes back as it was.
pub async fn the_longest_and_the_strangest_values_are_kept<H: Harness>(harness: H) {
    let mut random = Random::seeded(99);
    // Nothing that a database could compress.
    let mut text = |bytes: usize| -> String {
        (0..bytes).map(|_| char::from(b'!' + u8::try_from(random.below(94)).unwrap())).collect()
    };
    let json = Json::parse(
        r#"{"":[1e21,-1e-7,5e-324,1.7976931348623157e308,100000000000000000000,9007199254740991],
            "\ud83d\ude00":"\u0001\u001f\u007f\u2028\\\"/","a":{"b":[[[{}]]],"B":null},"\u00e9":-0.5}"#,
    )
    .unwrap();
    let mut terms = AccordBound::new(text(1024), text(8000), json.clone(), Timestamp::MIN);
    let [tier, ..] = Tier::ALL;
    let register = |accord: &AccordBound, name: String, artifact_type: String| {
        let schema = "https://example.com/schema.json";
        ArtifactRegistered::new(accord.accord_id, artifact_type, name, tier, json.clone(), schema)
    };
    let artifact = register(&terms, text(1024), text(1024));
    let observe = |target: String| DeploymentObserved {
        artifact_id: artifact.artifact_id,
        desired_cid: artifact.cid,
        detail: json.clone(),
        observed_at: Timestamp::MAX,
        observed_cid: None,
        target,
    };
    let sound: Vec<Event> = vec![
        terms.clone().into(),
        artifact.clone().into(),
        observe(text(1024)).into(),
        observe(String::new()).into(),
    ];
    let accord = terms.clone();
    terms.accord_id = AccordId::new();
    terms.name = text(1025);
    let too_long: Vec<Event> = vec![
        terms.into(),
        register(&accord, text(1025), "dns_zone".to_owned()).into(),
        register(&accord, "zone".to_owned(), text(1025)).into(),
        observe(text(1025)).into(),
    ];
    let log = Log::of(sound.iter().chain(&too_long).map(NewEntry::new));
    catch_up(&harness, &log).await;
    let tables = harness.tables().await;
    tables.clone().without_reasons().assert_are(&reference(&log, log.entries().len()));
    assert_eq!(tables.deployment_states.len(), 2);
    let codes: Vec<_> = tables.quarantined_entries.iter().map(|row| row.code).collect();
    assert_eq!(codes, [Code::CC00; 4]);
    let found = harness.ops_db().artifact(artifact.artifact_id).await.unwrap().unwrap();
    assert_eq!((found.artifact.content, found.accord.accord_terms), (json.clone(), json));
}

/// Projects what is left of the log.
async fn catch_up<H: Harness>(harness: &H, log: &Log) {
    let projector = harness.projector(ProjectorSettings::without_lease()).await;
    let at = projector.checkpoint().await.unwrap().position;
    projector.apply(log.rest(at)).await.unwrap();
}
