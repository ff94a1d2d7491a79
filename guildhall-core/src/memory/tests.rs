//! What a story becomes, row by row. That the stores in memory keep what the traits promise is for the
//! conformance suite to show.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use super::*;
use crate::chronicle::{Append, Chronicle, NewEntry, ReadLimit};
use crate::custody::CustodyState;
use crate::event::{CustodyTransitioned, Event, Outcome};
use crate::fixtures::{at, bound, chain, link, observed, registered, revised, verified};
use crate::ids::{Position, Seq};
use crate::invariant::Code;
use crate::ops::Health;
use crate::projector::{Batch, Projector};

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
    let entries = events.iter().map(NewEntry::new);
    chronicle.append(Append::of(entries.collect::<Vec<_>>())).await.unwrap();
    chronicle
}

#[tokio::test]
async fn the_story_becomes_these_rows() {
    let (chronicle, ops_db) = (story().await, MemoryOpsDb::new());
    let entries = chronicle.read(Position::ZERO, ReadLimit::entries(100)).await.unwrap();
    let origin = chronicle.origin().await.unwrap().unwrap();
    ops_db.projector().apply(Batch::decode(origin, entries).unwrap()).await.unwrap();
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
    assert_eq!(ops_db.projector().lease_time(), Duration::from_secs(15));
}

#[tokio::test]
async fn a_time_is_the_last_entry_that_was_recorded_by_then() {
    let chronicle = MemoryChronicle::new();
    let position_at = async |second| chronicle.position_at(at(second)).await.unwrap().get();
    assert_eq!(position_at(5).await, 0);
    // The clock was set back once, between the fourth and the fifth.
    let seconds = [1, 3, 3, 7, 4, 8, 9];
    let entries = seconds.iter().enumerate().map(|(nth, second)| {
        let seen = observed(&format!("target {nth}"), true, 1);
        NewEntry { recorded_at: Some(at(*second)), ..NewEntry::new(&Event::from(seen)) }
    });
    chronicle.append(Append::of(entries)).await.unwrap();
    for (second, expected) in [(0, 0), (1, 1), (2, 1), (3, 3), (7, 5), (8, 6), (9, 7), (60, 7)] {
        assert_eq!(position_at(second).await, expected, "at {second}");
    }
    // Between, it is an entry of before that is not followed by another.
    for second in [4, 5, 6] {
        assert!([3, 5].contains(&position_at(second).await), "at {second}");
    }
}
