#![allow(clippy::unwrap_used, reason = "tests")]
use std::sync::LazyLock;

use super::*;
use crate::cid::{Cid, LinkHash};
use crate::custody::{ChainHead, Move, link, link_hash};
use crate::event::Tier;
use crate::ids::{AccordId, ArtifactId, CeremonyId, Position};
use crate::json::Json;
use crate::time::Timestamp;
use CustodyState::{CeremonyOpen, Deployed, Drafted, Ratified};

/// What somebody does to a row.
type Change = fn(&mut CustodyTransition);

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000).unwrap()
}

fn row(link: CustodyTransitioned) -> CustodyTransition {
    CustodyTransition {
        artifact_id: link.artifact_id,
        seq: link.seq,
        from_state: link.from_state,
        to_state: link.to_state,
        cid: link.cid,
        actor: link.actor,
        reason: link.reason,
        ceremony_id: link.ceremony_id,
        evidence: link.evidence,
        occurred_at: link.occurred_at,
        prev_hash: link.prev_hash,
        hash: link.hash,
        position: Position::FIRST,
    }
}

/// An artifact from its draft to its deployment.
fn links() -> Vec<CustodyTransition> {
    let (id, cid, ceremony) = (ArtifactId::new(), Cid::from_digest([7; 32]), CeremonyId::new());
    let mut head: Option<ChainHead> = None;
    let mut links = Vec::new();
    for (second, to_state) in (1..).zip([Drafted, CeremonyOpen, Ratified, Deployed]) {
        let wanted = Move {
            to_state,
            actor: "ada".to_owned(),
            reason: "due".to_owned(),
            ceremony_id: (to_state == CeremonyOpen).then_some(ceremony),
            evidence: Json::null(),
            occurred_at: at(second),
        };
        let next = link(id, cid, head.as_ref(), wanted);
        head = Some(ChainHead::from(&next));
        links.push(row(next));
    }
    links
}

/// The judge after these links, and how many of them broke something.
fn judged(links: impl IntoIterator<Item = CustodyTransition>) -> (Judge<'static>, usize) {
    static POLICY: LazyLock<CustodyPolicy> = LazyLock::new(CustodyPolicy::standard);
    let mut judge = Judge::new(&POLICY);
    let broken = links.into_iter().filter(|link| judge.judge(link).is_some()).count();
    (judge, broken)
}

/// The link that is broken first, and its code.
fn broken(links: impl IntoIterator<Item = CustodyTransition>) -> Option<(u64, Code)> {
    match judged(links).0.check_links() {
        Ok(()) => None,
        Err(BrokenChain::Link { seq, violation }) => Some((seq.get(), violation.code())),
        Err(other) => unreachable!("{other}"),
    }
}

/// The hash of a row whose other fields somebody changed.
fn rehashed(mut link: CustodyTransition) -> CustodyTransition {
    link.hash = link_hash(&event_of(&link));
    link
}

fn artifact(seq: Option<u32>, state: Option<CustodyState>) -> GovernedArtifact {
    GovernedArtifact {
        id: ArtifactId::new(),
        accord_binding_id: AccordId::new(),
        name: "zone".to_owned(),
        artifact_type: "dns_zone".to_owned(),
        tier: Tier::ALL[0],
        cid: Cid::from_digest([7; 32]),
        content: Json::null(),
        content_schema: "https://example.com/zone.json".to_owned(),
        custody_state: state,
        custody_seq: seq.map(Seq::new),
        registered_at: at(0),
        revised_at: None,
        position: Position::FIRST,
    }
}

#[test]
fn a_sound_chain_holds_and_so_does_none() {
    let (chain, broken) = judged(links());
    assert_eq!((chain.check_links(), chain.links(), broken), (Ok(()), 4, 0));
    assert_eq!(chain.check_end(&artifact(Some(4), Some(Deployed))), Ok(()));
    let (none, _) = judged([]);
    assert_eq!(none.check_links().and(none.check_end(&artifact(None, None))), Ok(()));
}

#[test]
fn whatever_is_changed_in_a_row_breaks_its_hash() {
    let changes: [Change; 10] = [
        |link| link.actor.push('x'),
        |link| link.reason.clear(),
        |link| link.cid = Cid::from_digest([8; 32]),
        |link| link.evidence = Json::parse("{}").unwrap(),
        |link| link.occurred_at = at(99),
        |link| link.artifact_id = ArtifactId::new(),
        |link| link.ceremony_id = Some(CeremonyId::new()),
        |link| link.to_state = CustodyState::Rejected,
        |link| link.prev_hash = None,
        |link| link.hash = LinkHash::from_bytes([1; 32]),
    ];
    for (nth, change) in changes.into_iter().enumerate() {
        let mut links = links();
        change(&mut links[2]);
        assert_eq!(broken(links), Some((3, Code::CC06)), "change {nth}");
    }
}

#[test]
fn a_forger_who_hashes_anew_breaks_what_holds_the_links_together() {
    let changes: [(Change, Code); 5] = [
        (|link| link.prev_hash = None, Code::CC05),
        (|link| link.from_state = Some(Drafted), Code::CC03),
        (|link| link.occurred_at = at(0), Code::CC07),
        (|link| link.to_state = Deployed, Code::CC04),
        (|link| link.ceremony_id = None, Code::CC09),
    ];
    for (change, code) in changes {
        let mut links = links();
        change(&mut links[2]);
        links[2] = rehashed(links[2].clone());
        assert_eq!(broken(links), Some((3, code)));
    }
    let mut renumbered = links();
    renumbered[2].seq = Seq::new(9);
    renumbered[2] = rehashed(renumbered[2].clone());
    assert_eq!(broken(renumbered), Some((9, Code::CC02)));
    // Who rewrites one link well is caught by the next.
    let mut rewritten = links();
    rewritten[1].actor = "mallory".to_owned();
    rewritten[1] = rehashed(rewritten[1].clone());
    assert_eq!(broken(rewritten), Some((3, Code::CC05)));
    let mut not_ratified = links();
    not_ratified[3].cid = Cid::from_digest([8; 32]);
    not_ratified[3] = rehashed(not_ratified[3].clone());
    assert_eq!(broken(not_ratified), Some((4, Code::CC10)));
}

#[test]
fn a_link_that_is_missing_or_comes_twice_is_told_where_it_is_missed() {
    let all = links();
    assert_eq!(broken(all[1..].to_vec()), Some((2, Code::CC01)));
    assert_eq!(broken([all[0].clone(), all[2].clone()]), Some((3, Code::CC02)));
    assert_eq!(broken([all[0].clone(), all[0].clone()]), Some((1, Code::CC02)));
    // The fault is that link's alone: the one after it follows it.
    let (chain, broken) = judged([all[0].clone(), all[2].clone(), all[3].clone()]);
    assert_eq!(broken, 1);
    assert_eq!(chain.check_links().unwrap_err().code(), Some(Code::CC02));
}

#[test]
fn the_end_is_where_the_row_says() {
    let (chain, _) = judged(links());
    for (row, holds) in [
        (artifact(Some(4), Some(Deployed)), true),
        (artifact(Some(2), Some(CeremonyOpen)), false),
        (artifact(None, None), false),
        (artifact(Some(4), Some(Drafted)), false),
        (artifact(Some(5), Some(Deployed)), false),
    ] {
        let found = chain.check_end(&row);
        assert_eq!(found.is_ok(), holds, "{found:?}");
        let code = found.err().and_then(|broken| broken.code());
        assert_eq!(code, None);
    }
    let end = artifact(Some(4), Some(Deployed));
    let lost = judged(links().into_iter().take(1)).0.check_end(&end).unwrap_err();
    assert_eq!(
        lost.to_string(),
        "the artifact's row says link 4 (deployed), its chain ends with link 1 (drafted)"
    );
}
