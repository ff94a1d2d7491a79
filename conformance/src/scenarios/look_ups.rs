//! What is looked up in the Ops DB by a value of its own: accords, artifacts, ceremonies, verdicts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use guildhall_core::command::{Act, Command, Recorder};
use guildhall_core::{
    AccordBinding, AccordBound, AccordQuery, ArtifactQuery, ArtifactRegistered, Batch, Ceremony,
    CeremonyId, Cid, CustodyPolicy, CustodyState, GovernedArtifact, Json, NewEntry, Outcome,
    Position, ReadLimit, Tier, Timestamp, VerificationQuery, VerificationRecorded,
};

use crate::answers::{accord, artifacts, assert_same, expected, filled, log, pages, standing};
use crate::harness::{Harness, ProjectorSettings};
use crate::reference::Reference;

super::scenarios! { $ __look_ups = look_ups:
    accords_are_found_by_id_and_all_that_bear_a_name_by_it,
    artifacts_are_found_by_name_and_by_the_cid_of_what_they_say_now,
    a_ceremony_is_found_by_its_id_open_or_closed,
    a_ceremony_over_several_artifacts_is_found_whole,
    verifications_are_filtered_by_whom_of_what_and_when,
}

pub async fn accords_are_found_by_id_and_all_that_bear_a_name_by_it<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let mut names = BTreeMap::<&str, Vec<AccordBinding>>::new();
    for row in &tables.accord_bindings {
        assert_eq!(ops_db.accord(row.id).await.unwrap().as_ref(), Some(row));
        names.entry(&row.name).or_default().push(row.clone());
    }
    for (name, expected) in &names {
        for limit in [1, 500] {
            let rows = pages(limit, |after| async {
                let names = vec![(*name).to_owned()];
                ops_db
                    .accords(&AccordQuery::default().names(names).after(after).limit(limit))
                    .await
                    .unwrap()
            });
            assert_same(&rows.await, expected, name);
        }
        // A part of a name is not one, nor the name in other letters.
        for other in [&name[..name.len() - 1], &name.to_uppercase()] {
            let query = AccordQuery::default().names([other.to_owned()]);
            let is_name = names.contains_key(other);
            assert_eq!(!ops_db.accords(&query).await.unwrap().rows.is_empty(), is_name, "{other}");
        }
    }
}

pub async fn artifacts_are_found_by_name_and_by_the_cid_of_what_they_say_now<H: Harness>(
    harness: H,
) {
    let (ops_db, tables) = filled(&harness).await;
    let rows = &tables.governed_artifacts;
    let revised = rows.iter().find(|row| row.revised_at.is_some()).unwrap();
    let (one, other) = (&rows[0], &rows[rows.len() / 2]);
    for (names, cids, is_found) in [
        (vec![one.name.clone()], vec![], true),
        (vec![one.name.clone(), other.name.clone(), "nobody".to_owned()], vec![], true),
        (vec![one.name.to_uppercase()], vec![], false),
        (vec![], vec![revised.cid], true),
        (vec![], vec![one.cid, other.cid, Cid::from_digest([7; 32])], true),
        (vec![], vec![Cid::from_digest([7; 32])], false),
        (vec![one.name.clone()], vec![one.cid], true),
    ] {
        for limit in [1, 500] {
            let query =
                ArtifactQuery::default().names(names.clone()).cids(cids.clone()).limit(limit);
            let found = artifacts(&*ops_db, &query).await;
            assert_same(&found, &expected(&tables, &query), &query);
            assert_eq!(!found.is_empty(), is_found, "{query:?}");
        }
    }
}

pub async fn a_ceremony_is_found_by_its_id_open_or_closed<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let links = &tables.custody_transitions;
    let mut ceremonies = BTreeMap::<_, Vec<Ceremony>>::new();
    for (at, opened) in links.iter().enumerate() {
        if opened.to_state != CustodyState::CeremonyOpen {
            continue;
        }
        let of = |row: &&GovernedArtifact| row.id == opened.artifact_id;
        let artifact = tables.governed_artifacts.iter().find(of).unwrap();
        let closed = links.get(at + 1).filter(|next| next.artifact_id == opened.artifact_id);
        ceremonies.entry(opened.ceremony_id.unwrap()).or_default().push(Ceremony {
            ceremony_id: opened.ceremony_id,
            name: artifact.name.clone(),
            artifact_type: artifact.artifact_type.clone(),
            tier: artifact.tier,
            accord: accord(&tables, artifact.accord_binding_id).name.clone(),
            opened: opened.clone(),
            closed: closed.cloned(),
        });
    }
    let all = || ceremonies.values().flatten();
    assert!(all().any(|row| row.closed.is_none()) && all().any(|row| row.closed.is_some()));
    for (id, expected) in &mut ceremonies {
        expected.sort_by_key(|row| row.opened.position);
        for limit in [1, 500] {
            let rows =
                pages(limit, |after| async { ops_db.ceremony(*id, after, limit).await.unwrap() });
            assert_same(&rows.await, expected, id);
        }
    }
}

/// Nothing keeps a substrate from deciding about several artifacts under one id, or again.
pub async fn a_ceremony_over_several_artifacts_is_found_whole<H: Harness>(harness: H) {
    use CustodyState::{CeremonyOpen, Drafted, Rejected};
    let chronicle = harness.chronicle();
    let recorder = Recorder::new(Arc::clone(&chronicle), CustodyPolicy::standard());
    let at = |second: i64| Timestamp::from_micros(second * 1_000_000).unwrap();
    let terms = Json::parse("{}").unwrap();
    let accord = AccordBound::new("DNS", "board", terms.clone(), at(0));
    let zone = |name: &str| {
        let (accord, tier) = (accord.accord_id, Tier::ZERO);
        ArtifactRegistered::new(accord, "dns_zone", name, tier, terms.clone(), "zone.json")
    };
    let (one, two) = (zone("one"), zone("two"));
    let (first, second) = (one.artifact_id, two.artifact_id);
    let mut commands = vec![Command::from(accord.clone()), one.into(), two.into()];
    let id = CeremonyId::new();
    for (second, (artifact, to_state)) in (1..).zip([
        (first, Drafted),
        (second, Drafted),
        (first, CeremonyOpen),
        (second, CeremonyOpen),
        (first, Rejected),
        (first, Drafted),
        (first, CeremonyOpen),
        (second, Rejected),
    ]) {
        let act = Act::new("council", "due", at(second));
        commands.push(match to_state {
            CeremonyOpen => Command::open_ceremony(artifact, id, act),
            _ => Command::transition(artifact, to_state, act),
        });
    }
    for command in commands {
        recorder.record(command).await.unwrap();
    }
    let entries = chronicle.read(Position::ZERO, ReadLimit::entries(100)).await.unwrap();
    let batch = Batch::decode(chronicle.origin().await.unwrap().unwrap(), entries).unwrap();
    let projector = harness.projector(ProjectorSettings::default()).await;
    projector.apply(batch).await.unwrap();
    let ops_db = harness.ops_db();
    let rows = pages(2, |after| async { ops_db.ceremony(id, after, 2).await.unwrap() }).await;
    let outcome = |row: &Ceremony| row.closed.as_ref().map(|link| link.to_state);
    let found: Vec<_> = rows.iter().map(|row| (row.opened.artifact_id, outcome(row))).collect();
    assert_eq!(found, [(first, Some(Rejected)), (second, Some(Rejected)), (first, None)]);
}

pub async fn verifications_are_filtered_by_whom_of_what_and_when<H: Harness>(harness: H) {
    let mut log = log();
    // The workload has one verifier. Others judge the same again, some at the same time.
    let judged = Reference::tables_of(log.origin(), log.entries()).verification_results;
    for (nth, row) in judged.into_iter().enumerate().filter(|(nth, _)| nth % 2 == 0) {
        let again = VerificationRecorded {
            artifact_id: row.artifact_id,
            evidence: row.evidence,
            outcome: Outcome::ALL[nth % 3],
            target: row.target,
            verified_at: row.verified_at,
            verifier: ["nightly", "Nightly", "x".repeat(3000).as_str()][nth % 3].to_owned(),
        };
        log.push(NewEntry::new(&again.into()));
    }
    let projector = harness.projector(ProjectorSettings::default()).await;
    projector.apply(log.rest(Position::ZERO)).await.unwrap();
    let (ops_db, tables) = (harness.ops_db(), harness.tables().await);
    let verdicts = &tables.verification_results;
    let some = verdicts.iter().find(|row| row.target.is_some()).unwrap();
    let other = verdicts.iter().find(|row| row.verifier != some.verifier).unwrap();
    let (targets, verifiers) = (vec![some.target.clone().unwrap()], vec![some.verifier.clone()]);
    let mut times: Vec<_> = verdicts.iter().map(|row| row.verified_at).collect();
    times.sort();
    let (early, late) = (times[times.len() / 4], times[3 * times.len() / 4]);
    let any = VerificationQuery::default().limit(3);
    let of_target = any.clone().targets(targets.clone());
    let by_verifier = any.clone().verifiers(verifiers.clone());
    let nobody = vec!["nobody".to_owned()];
    for (query, is_found) in [
        (of_target.clone(), true),
        (by_verifier.clone(), true),
        (any.clone().verifiers([some.verifier.clone(), other.verifier.clone()]), true),
        (by_verifier.clone().targets(targets.clone()), true),
        (any.clone().artifact_id(some.artifact_id).targets(targets).verifiers(verifiers), true),
        (by_verifier.outcomes([some.outcome]).is_standing(true), true),
        (any.clone().verified_since(early), true),
        (any.clone().verified_before(late), true),
        (of_target.verified_since(early).verified_before(late), true),
        (any.clone().verified_since(late).verified_before(early), false),
        (any.clone().verifiers(["x".repeat(3000)]), true),
        (any.clone().verifiers(["x".repeat(2999)]), false),
        (any.clone().targets(nobody.clone()), false),
        (any.verifiers(nobody), false),
    ] {
        let stands: BTreeSet<_> = standing(&tables).map(|row| row.id).collect();
        let mut expected: Vec<_> = verdicts
            .iter()
            .filter(|row| query.artifact_id.is_none_or(|id| row.artifact_id == id))
            .filter(|row| {
                let target = row.target.as_ref();
                query.targets.is_empty() || target.is_some_and(|it| query.targets.contains(it))
            })
            .filter(|row| query.verifiers.is_empty() || query.verifiers.contains(&row.verifier))
            .filter(|row| query.outcomes.is_empty() || query.outcomes.contains(&row.outcome))
            .filter(|row| query.verified_since.is_none_or(|since| row.verified_at >= since))
            .filter(|row| query.verified_before.is_none_or(|before| row.verified_at < before))
            .filter(|row| !query.is_standing || stands.contains(&row.id))
            .cloned()
            .collect();
        expected.sort_by_key(|row| std::cmp::Reverse((row.verified_at, row.position)));
        let rows = pages(query.limit, |after| async {
            ops_db.verifications(&query.clone().after(after)).await.unwrap()
        });
        assert_same(&rows.await, &expected, &query);
        assert_eq!(!expected.is_empty(), is_found, "{query:?}");
    }
}
