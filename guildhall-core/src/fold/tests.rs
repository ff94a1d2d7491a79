//! What entries change, and what they leave alone.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod counts;

use super::*;
use crate::CustodyState::{CeremonyOpen, Deployed, Drafted, Ratified};
use crate::cid::{Cid, LeafHash, TreeHash};
use crate::event::{ChronicleIndexed, EventType, Outcome};
use crate::fixtures::{
    ACCORD, ARTIFACT, at, bound, chain, entries, entry, json, link, observed, registered, revised,
    verified,
};
use crate::ids::Seq;
use crate::invariant::Code;

fn quarantining() -> Fold {
    Fold::over_empty_tables(CustodyPolicy::standard(), OnViolation::Quarantine)
}

/// A fold that has met the accord and the artifact, with nothing left to write.
fn after_registration() -> Fold {
    let mut fold = quarantining();
    fold.apply(entries([bound().into(), registered().into()])).unwrap();
    fold.take_changes();
    fold
}

fn unknown(position: u32) -> DecodedEntry {
    DecodedEntry {
        event_type: EventType::new("com.example.note.v1"),
        decoded: Ok(Decoded::Unknown),
        ..entry(position, bound())
    }
}

#[test]
fn the_index_of_the_log_is_skipped_and_not_counted_as_unknown() {
    let mut fold = quarantining();
    let index = ChronicleIndexed {
        index_root: TreeHash::from_bytes([1; 32]),
        streams: 1,
        tree_size: Position::new(1),
    };
    let event_type = EventType::new(ChronicleIndexed::TYPE);
    let entry = DecodedEntry { event_type, decoded: Ok(Decoded::Indexed(index)), ..unknown(2) };
    assert!(fold.missing(std::slice::from_ref(&entry)).is_empty());
    assert_eq!(fold.apply([entry]), Ok(None));
    assert_eq!(fold.take_changes(), Changes::default());
}

#[test]
fn each_event_becomes_the_row_of_its_table() {
    let mut fold = quarantining();
    let genesis = link(None, Drafted);
    let events = [
        bound().into(),
        registered().into(),
        genesis.clone().into(),
        observed("eu", false, 7).into(),
        verified(Outcome::Failed, 8).into(),
    ];
    let entries = entries(events);
    let ids: Vec<_> = entries.iter().map(|entry| entry.event_id).collect();
    assert_eq!(fold.apply(entries), Ok(None));
    let changes = fold.take_changes();
    let (accord, artifact) = (bound(), registered());
    assert_eq!(
        changes.accords,
        [AccordBinding {
            id: ACCORD,
            name: accord.name,
            accord_terms: accord.accord_terms,
            bound_by: accord.bound_by,
            effective_at: at(0),
            position: Position::new(1),
        }]
    );
    assert_eq!(
        changes.artifacts,
        [GovernedArtifact {
            id: ARTIFACT,
            accord_binding_id: ACCORD,
            name: artifact.name,
            artifact_type: artifact.artifact_type,
            tier: artifact.tier,
            cid: artifact.cid,
            content: artifact.content,
            content_schema: artifact.content_schema,
            custody_state: Some(Drafted),
            custody_seq: Some(Seq::FIRST),
            registered_at: at(2),
            revised_at: None,
            // Neither a deployment nor a verification writes here.
            position: Position::new(3),
        }]
    );
    let transition = &changes.transitions[0];
    assert_eq!((transition.hash, transition.position), (genesis.hash, Position::new(3)));
    let deployment = &changes.deployments[0];
    assert_eq!((deployment.health, deployment.health_since), (Health::Drifted, at(7)));
    let verification = &changes.verifications[0];
    assert_eq!((verification.id, verification.verified_at), (ids[4], at(8)));
    assert!(changes.artifact_updates.is_empty() && changes.quarantined.is_empty());
}

#[test]
fn a_late_observation_changes_nothing() {
    let mut fold = after_registration();
    fold.apply([entry(3, observed("eu", true, 10))]).unwrap();
    let written = fold.take_changes();
    fold.apply([entry(4, observed("eu", false, 9))]).unwrap();
    assert!(fold.take_changes().is_empty());
    // Nor before the first was written.
    let mut fold = after_registration();
    fold.apply([entry(3, observed("eu", true, 10)), entry(4, observed("eu", false, 9))]).unwrap();
    assert_eq!(fold.take_changes(), written);
}

#[test]
fn an_observation_of_the_same_time_replaces() {
    let mut fold = after_registration();
    fold.apply([entry(3, observed("eu", true, 10)), entry(4, observed("eu", false, 10))]).unwrap();
    let [row] = &fold.take_changes().deployments[..] else { panic!("one row") };
    assert_eq!((row.health, row.position), (Health::Drifted, Position::new(4)));
}

#[test]
fn health_since_is_when_the_health_last_changed() {
    let mut fold = after_registration();
    let nothing = DeploymentObserved { observed_cid: None, ..observed("eu", true, 40) };
    for (position, (event, health, since)) in (3..).zip([
        (observed("eu", true, 10), Health::Healthy, 10),
        (observed("eu", true, 20), Health::Healthy, 10),
        (observed("eu", false, 30), Health::Drifted, 30),
        (observed("eu", false, 35), Health::Drifted, 30),
        (nothing, Health::Unknown, 40),
        (observed("eu", true, 50), Health::Healthy, 50),
    ]) {
        fold.apply([entry(position, event)]).unwrap();
        let row = fold.take_changes().deployments.remove(0);
        assert_eq!((row.health, row.health_since), (health, at(since)), "{position}");
    }
}

#[test]
fn many_changes_of_one_row_are_one() {
    let mut fold = quarantining();
    let mut story = vec![bound().into(), registered().into()];
    story.extend(chain(&[Drafted, CeremonyOpen]).into_iter().map(Event::from));
    story.extend((0..50).map(|second| observed("eu", true, second).into()));
    story.push(observed("us", true, 1).into());
    fold.apply(entries(story)).unwrap();
    let changes = fold.take_changes();
    assert_eq!((changes.artifacts.len(), changes.artifact_updates.len()), (1, 0));
    assert_eq!(changes.artifacts[0].custody_state, Some(CeremonyOpen));
    let targets = changes.deployments.iter().map(|row| (row.target.as_str(), row.observed_at));
    assert_eq!(targets.collect::<Vec<_>>(), [("eu", at(49)), ("us", at(1))]);
    assert_eq!(changes.transitions.len(), 2);
}

#[test]
fn a_row_that_was_written_before_is_updated_once_and_with_what_changed() {
    let mut fold = after_registration();
    let links = chain(&[Drafted, CeremonyOpen]);
    fold.apply([entry(3, links[0].clone()), entry(4, links[1].clone())]).unwrap();
    let custody = Some(CustodyUpdate { state: CeremonyOpen, seq: Seq::new(2) });
    let position = Position::new(4);
    let update = ArtifactUpdate { id: ARTIFACT, custody, content: None, position };
    assert_eq!(fold.take_changes().artifact_updates, [update]);

    let mut fold = after_registration();
    let first = revised("[1]", registered().cid);
    let second = revised("[2]", first.cid);
    fold.apply([entry(3, first), entry(4, second.clone())]).unwrap();
    let content = Some(ContentUpdate {
        cid: second.cid,
        content: second.content,
        content_schema: second.content_schema,
        revised_at: at(4),
    });
    let update = ArtifactUpdate { id: ARTIFACT, custody: None, content, position };
    assert_eq!(fold.take_changes().artifact_updates, [update]);
}

#[test]
fn a_deployment_is_judged_against_what_was_ratified_before_a_revision() {
    let mut fold = after_registration();
    let links = chain(&[Drafted, CeremonyOpen, Ratified]);
    fold.apply((3..).zip(links.clone()).map(|(position, link)| entry(position, link))).unwrap();
    let revision = revised("[1]", registered().cid);
    let cid = revision.cid;
    let mut deployed = link(links.last(), Deployed);
    deployed.cid = cid;
    deployed.hash = crate::custody::link_hash(&deployed);
    fold.apply([entry(6, revision), entry(7, deployed)]).unwrap();
    let changes = fold.take_changes();
    assert_eq!(changes.quarantined[0].code, Code::CC10);
    assert_eq!(fold.artifact(ARTIFACT).unwrap().ratified, [registered().cid]);
}

#[test]
fn rows_that_nothing_can_change_are_taken_and_the_others_go_on_coalescing() {
    let mut fold = quarantining();
    let links = chain(&[Drafted, CeremonyOpen]);
    let story = [
        bound().into(),
        registered().into(),
        links[0].clone().into(),
        observed("eu", true, 1).into(),
        verified(Outcome::Passed, 1).into(),
        registered().into(),
    ];
    fold.apply(entries(story).into_iter().chain([unknown(7)])).unwrap();
    let taken = fold.take_final_rows();
    assert_eq!((taken.accords.len(), taken.transitions.len()), (1, 1));
    assert_eq!((taken.verifications.len(), taken.quarantined.len(), taken.skipped), (1, 1, 1));
    assert!(taken.artifacts.is_empty() && taken.deployments.is_empty());

    fold.apply([entry(8, links[1].clone()), entry(9, observed("eu", false, 2))]).unwrap();
    let rest = fold.take_changes();
    assert_eq!((rest.accords.len(), rest.transitions.len(), rest.skipped), (0, 1, 0));
    assert_eq!((rest.artifacts.len(), rest.artifact_updates.len()), (1, 0));
    assert_eq!(rest.artifacts[0].custody_state, Some(CeremonyOpen));
    assert_eq!((rest.deployments.len(), rest.deployments[0].health), (1, Health::Drifted));
}

#[test]
fn what_is_missing_is_named_once_and_not_when_it_is_known() {
    let mut fold = Fold::new(CustodyPolicy::standard(), OnViolation::Quarantine);
    let batch = entries([
        registered().into(),
        link(None, Drafted).into(),
        observed("eu", true, 1).into(),
        observed("eu", true, 2).into(),
        observed("us", true, 1).into(),
    ]);
    let keys = Keys {
        accords: vec![ACCORD],
        artifacts: vec![ARTIFACT],
        targets: vec![(ARTIFACT, "eu".into()), (ARTIFACT, "us".into())],
    };
    assert_eq!(fold.missing(&batch), keys);
    assert!(quarantining().missing(&batch).is_empty());
    assert!(fold.missing(&[unknown(1)]).is_empty());
    fold.heads_mut().know_accord(ACCORD, Some(Position::ZERO));
    fold.heads_mut().know_artifact(ARTIFACT, None);
    // An artifact that does not exist has no targets either.
    assert!(fold.missing(&batch).is_empty());
    fold.apply(batch).unwrap();
    // Nor has one that the fold has seen registered any that it does not know.
    assert!(fold.missing(&[entry(6, observed("asia", true, 1))]).is_empty());
}

#[test]
fn a_head_that_was_not_loaded_is_an_error_and_not_a_violation() {
    let position = Position::new(1);
    for event in [bound().into(), registered().into(), link(None, Drafted).into()] {
        let mut fold = Fold::new(CustodyPolicy::standard(), OnViolation::Quarantine);
        let applied = fold.apply([entry(1, Event::clone(&event))]);
        assert_eq!(applied, Err(FoldError::HeadNotLoaded { position }), "{event:?}");
    }
    let mut fold = Fold::new(CustodyPolicy::standard(), OnViolation::Quarantine);
    let head = ArtifactHead { cid: registered().cid, chain: None, ratified: Vec::new() };
    fold.heads_mut().know_artifact(ARTIFACT, Some((Position::ZERO, Revision::FIRST, head)));
    let observation = entry(1, observed("eu", true, 1));
    assert_eq!(fold.apply([observation.clone()]), Err(FoldError::HeadNotLoaded { position }));
    fold.heads_mut().know_target(ARTIFACT, "eu".into(), None);
    assert_eq!(fold.apply([observation]), Ok(None));
}

#[test]
fn forgotten_heads_are_missing_again_and_the_memory_is_free() {
    let mut fold = after_registration();
    fold.apply([entry(3, observed("eu", true, 1))]).unwrap();
    fold.take_changes();
    let next = [entry(4, observed("eu", true, 2))];
    assert!(fold.missing(&next).is_empty());
    assert!(fold.weight_bytes() > 0);
    fold.forget_heads();
    assert_eq!(fold.weight_bytes(), 0);
    let keys = fold.missing(&next);
    assert_eq!((keys.artifacts.len(), keys.targets.len()), (1, 1));
}

#[test]
fn loaded_heads_are_compared_with() {
    let mut fold = Fold::new(CustodyPolicy::standard(), OnViolation::Quarantine);
    let head = ArtifactHead { cid: registered().cid, chain: None, ratified: Vec::new() };
    fold.heads_mut().know_artifact(ARTIFACT, Some((Position::ZERO, Revision::FIRST, head)));
    let (health, observed_at) = (Health::Healthy, at(20));
    let desired_cid = registered().cid;
    let target = TargetHead {
        desired_cid,
        observed_cid: Some(desired_cid),
        health,
        health_since: at(10),
        observed_at,
    };
    fold.heads_mut().know_target(ARTIFACT, "eu".into(), Some((Position::new(7), target)));
    fold.apply([entry(8, observed("eu", false, 19))]).unwrap();
    assert!(fold.take_changes().is_empty());
    fold.apply([entry(9, observed("eu", true, 21))]).unwrap();
    assert_eq!(fold.take_changes().deployments[0].health_since, at(10));
}

#[test]
fn a_bad_entry_touches_quarantine_alone_and_the_log_goes_on() {
    let mut fold = after_registration();
    let links = chain(&[Drafted, CeremonyOpen]);
    let forged = CustodyTransitioned { actor: "eve".to_owned(), ..links[1].clone() };
    let violation = Violation::Undecodable { reason: "missing field".to_owned() };
    let undecodable = DecodedEntry { decoded: Err(violation.clone()), ..entry(5, bound()) };
    let story = [
        entry(3, links[0].clone()),
        entry(4, forged.clone()),
        undecodable,
        entry(6, links[1].clone()),
    ];
    assert_eq!(fold.apply(story), Ok(None));
    let changes = fold.take_changes();
    let codes: Vec<_> =
        changes.quarantined.iter().map(|row| (row.position.get(), row.code)).collect();
    assert_eq!(codes, [(4, Code::CC06), (5, Code::CC00)]);
    assert_eq!(changes.quarantined[0].stream_id, ARTIFACT.into());
    assert_eq!(
        changes.quarantined[0].event_type.as_str(),
        crate::EventKind::CustodyTransitioned.as_str()
    );
    assert_eq!(changes.quarantined[1].reason, violation.to_string());
    let seqs: Vec<_> = changes.transitions.iter().map(|row| row.seq.get()).collect();
    assert_eq!(seqs, [1, 2]);
}

#[test]
fn a_refused_registration_leaves_no_trace_that_a_later_one_would_meet() {
    let mut fold = quarantining();
    let wrong = ArtifactRegistered { cid: Cid::of(&json("0")), ..registered() };
    fold.apply(entries([bound().into(), wrong.into(), registered().into()])).unwrap();
    let changes = fold.take_changes();
    assert_eq!(changes.quarantined[0].code, Code::CC08);
    assert_eq!((changes.quarantined.len(), changes.artifacts.len()), (1, 1));
}

#[test]
fn a_halting_fold_stops_before_the_entry_and_keeps_what_came_before() {
    let mut fold = Fold::over_empty_tables(CustodyPolicy::standard(), OnViolation::Halt);
    let story = entries([bound().into(), bound().into(), registered().into()]);
    let halt = fold.apply(story).unwrap().unwrap();
    assert_eq!((halt.position, halt.violation.code()), (Position::new(2), Code::CC11));
    let changes = fold.take_changes();
    assert_eq!((changes.accords.len(), changes.artifacts.len()), (1, 0));
    assert!(changes.quarantined.is_empty());
}

#[test]
fn an_unknown_type_is_skipped_and_counted() {
    let mut fold = Fold::over_empty_tables(CustodyPolicy::standard(), OnViolation::Halt);
    assert_eq!(fold.apply([unknown(1), unknown(2), entry(3, bound())]), Ok(None));
    let changes = fold.take_changes();
    assert_eq!((changes.skipped, changes.accords.len()), (2, 1));
    assert_eq!(fold.take_changes(), Changes::default());
}

#[test]
fn judging_changes_nothing() {
    let fold = after_registration();
    assert_eq!(fold.judge(&link(None, Drafted).into()), Ok(()));
    assert_eq!(fold.judge(&link(None, Drafted).into()), Ok(()));
    assert_eq!(fold.judge(&registered().into()).unwrap_err().code(), Code::CC11);
    assert!(fold.artifact(ARTIFACT).unwrap().chain.is_none());
}

#[test]
fn positions_and_leaf_hashes_do_not_decide() {
    // The fold is pure: the same events, recorded elsewhere, make the same rows but for positions.
    let fold = |offset: u32| {
        let mut fold = quarantining();
        let events = [Event::from(bound()), registered().into(), observed("eu", true, 3).into()];
        let batch = (1..).zip(events).map(|(position, event)| DecodedEntry {
            position: Position::new(position + offset),
            leaf_hash: LeafHash::from_bytes([u8::try_from(offset).unwrap(); 32]),
            ..entry(position, event)
        });
        fold.apply(batch.collect::<Vec<_>>()).unwrap();
        let mut changes = fold.take_changes();
        changes.accords[0].position = Position::ZERO;
        changes.artifacts[0].position = Position::ZERO;
        changes.deployments[0].position = Position::ZERO;
        changes.revisions[0].position = Position::ZERO;
        changes.deployment_changes[0].position = Position::ZERO;
        changes.counts.iter_mut().for_each(|count| count.position = Position::ZERO);
        changes
    };
    assert_eq!(fold(0), fold(100));
}

#[test]
fn a_row_that_a_later_entry_wrote_is_not_folded_into() {
    let mut fold = Fold::new(CustodyPolicy::standard(), OnViolation::Quarantine);
    let head = ArtifactHead { cid: registered().cid, chain: None, ratified: Vec::new() };
    fold.heads_mut().know_artifact(ARTIFACT, Some((Position::new(9), Revision::FIRST, head)));
    let (written, position) = (Position::new(9), Position::new(9));
    let refused = fold.apply([entry(9, link(None, Drafted))]);
    assert_eq!(refused, Err(FoldError::RowAhead { written, position }));
    assert!(fold.take_changes().is_empty());
}

#[test]
fn each_change_of_a_target_is_a_row_and_what_changes_nothing_or_comes_late_is_none() {
    let other = Cid::of(&json("[]"));
    let elsewhere = DeploymentObserved { observed_cid: Some(other), ..observed("eu", false, 30) };
    let nothing = DeploymentObserved { observed_cid: None, ..observed("eu", true, 40) };
    let both = DeploymentObserved {
        desired_cid: other,
        observed_cid: Some(other),
        ..observed("eu", true, 50)
    };
    let story = [
        observed("eu", true, 10),
        observed("eu", true, 15),
        observed("eu", false, 20),
        observed("eu", true, 19),
        elsewhere,
        nothing,
        observed("eu", true, 45),
        both,
    ];
    let observations = |first| (first..).zip(story.clone()).map(|(at, it)| entry(at, it));
    let mut at_once = after_registration();
    at_once.apply(observations(3)).unwrap();
    let changes = at_once.take_changes();
    assert_eq!(changes.deployments.len(), 1);
    let seen: Vec<_> = changes
        .deployment_changes
        .iter()
        .map(|row| (row.position.get(), row.previous_health, row.health, row.health_since))
        .collect();
    let (healthy, drifted, unknown) = (Health::Healthy, Health::Drifted, Health::Unknown);
    let expected = [
        (3, None, healthy, at(10)),
        (5, Some(healthy), drifted, at(20)),
        (7, Some(drifted), drifted, at(20)),
        (8, Some(drifted), unknown, at(40)),
        (9, Some(unknown), healthy, at(45)),
        (10, Some(healthy), healthy, at(45)),
    ];
    assert_eq!(seen, expected);
    // Batch by batch they are the same, in a rebuild that holds states back too.
    let mut one_by_one = after_registration();
    let mut rows = Vec::new();
    for observation in observations(3) {
        one_by_one.apply([observation]).unwrap();
        rows.extend(one_by_one.take_final_rows().deployment_changes);
    }
    assert_eq!(rows, changes.deployment_changes);
}

#[test]
fn every_content_is_a_revision_and_loaded_numbers_go_on() {
    let mut fold = after_registration();
    let second = revised("[2]", registered().cid);
    let third = revised("[3]", Cid::of(&json("[2]")));
    fold.apply([entry(3, second.clone()), entry(4, third)]).unwrap();
    let changes = fold.take_changes();
    let numbers: Vec<_> =
        changes.revisions.iter().map(|row| (row.revision.get(), row.content.as_str())).collect();
    assert_eq!(numbers, [(2, "[2]"), (3, "[3]")]);
    // Two revisions of one row are one update of it.
    assert_eq!(changes.artifact_updates.len(), 1);

    let mut fold = Fold::new(CustodyPolicy::standard(), OnViolation::Quarantine);
    let head = ArtifactHead { cid: registered().cid, chain: None, ratified: Vec::new() };
    let row = (Position::new(7), Revision::new(41), head);
    fold.heads_mut().know_artifact(ARTIFACT, Some(row));
    fold.apply([entry(8, second)]).unwrap();
    assert_eq!(fold.take_changes().revisions[0].revision, Revision::new(42));
}
