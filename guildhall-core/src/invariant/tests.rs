//! Every invariant, broken alone and together with others.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::custody;
use crate::event::{ArtifactRegistered, ArtifactRevised, Decoded, decode};
use crate::fixtures::{ARTIFACT, CEREMONY, at, bound, chain, json, link, registered, revised};
use crate::json::Json;
use CustodyState::{CeremonyOpen, Deployed, Drafted, Ratified, Rejected, Retired, Suspended};

/// What there is before the event that is judged.
struct World {
    policy: CustodyPolicy,
    accord_exists: bool,
    artifact: Option<ArtifactHead>,
}

impl World {
    /// The accord, and nothing else.
    fn with_accord() -> Self {
        Self { policy: CustodyPolicy::standard(), accord_exists: true, artifact: None }
    }

    /// The artifact too, whose chain went through these states.
    fn standing_at(states: &[CustodyState]) -> (Self, Option<CustodyTransitioned>) {
        let links = chain(states);
        let ratified = links.iter().filter(|link| link.to_state == Ratified).map(|link| link.cid);
        let head = ArtifactHead {
            cid: registered().cid,
            chain: links.last().map(ChainHead::from),
            ratified: ratified.take(1).collect(),
        };
        (Self { artifact: Some(head), ..Self::with_accord() }, links.last().cloned())
    }

    fn check(&self, event: impl Into<Event>) -> Result<(), Violation> {
        let artifact = self.artifact.as_ref();
        let (policy, accord_exists) = (&self.policy, self.accord_exists);
        super::check(&event.into(), Context { policy, accord_exists, artifact })
    }

    fn head(&mut self) -> &mut ArtifactHead {
        self.artifact.as_mut().unwrap()
    }
}

/// The link with a change, and the hash that goes with it.
fn changed(
    mut link: CustodyTransitioned,
    change: impl FnOnce(&mut CustodyTransitioned),
) -> CustodyTransitioned {
    change(&mut link);
    link.hash = custody::link_hash(&link);
    link
}

fn other_hash() -> LinkHash {
    LinkHash::from_bytes([7; 32])
}

fn other_cid() -> Cid {
    Cid::of(&json(r#"{"ttl":60}"#))
}

const TO_RATIFIED: &[CustodyState] = &[Drafted, CeremonyOpen, Ratified];

/// A sound release, and where it happens.
fn release() -> (World, CustodyTransitioned) {
    let (world, head) = World::standing_at(TO_RATIFIED);
    let link = link(head.as_ref(), Deployed);
    assert_eq!(world.check(link.clone()), Ok(()));
    (world, link)
}

#[test]
fn cc00_data_that_does_not_decode_is_refused() {
    let event = Event::from(registered());
    let payload = event.to_payload();
    let decoded = |payload: &str| decode(&event.kind().into(), event.stream(), payload);
    assert_eq!(decoded(payload.as_str()), Ok(Decoded::Event(event.clone())));
    for (broken, why) in [
        (payload.as_str().replace(r#","tier":1"#, ""), "missing field"),
        (payload.as_str().replace(r#""tier":1"#, r#""tier":4"#), "tier 4"),
        (payload.as_str().replace(r#""tier":1"#, r#""tier":"1""#), "invalid type"),
        (payload.as_str().replace("bafkrei", "bafkreI"), "not a CIDv1"),
        (payload.as_str().replace(r#""name":"#, r#""name": "#), "not canonical"),
        ("[]".to_owned(), "expected"),
        (String::new(), "not canonical"),
    ] {
        let violation = decoded(&broken).unwrap_err();
        assert_eq!(violation.code(), Code::CC00);
        assert!(violation.to_string().contains(why), "{broken}: {violation}");
    }
}

#[test]
fn cc00_terms_that_are_no_object_are_refused() {
    let accord = Event::from(bound());
    for terms in ["[]", "null", "1", r#""{}""#] {
        let payload = accord.to_payload().into_string().replace(r#"{"approvals":2}"#, terms);
        let violation = decode(&accord.kind().into(), accord.stream(), &payload).unwrap_err();
        assert!(matches!(violation, Violation::Undecodable { .. }), "{terms}: {violation}");
    }
}

#[test]
fn cc00_a_stream_that_the_fields_do_not_name_is_refused() {
    let (event, found) = (Event::from(registered()), StreamId::from(bound().accord_id));
    let violation = decode(&event.kind().into(), found, event.to_payload().as_str()).unwrap_err();
    assert_eq!(violation, Violation::WrongStream { found, expected: ARTIFACT.into() });
    assert_eq!(violation.code(), Code::CC00);
}

#[test]
fn cc01_a_chain_that_does_not_begin_with_a_genesis_is_refused() {
    let (world, _) = World::standing_at(&[]);
    let genesis = link(None, Drafted);
    assert_eq!(world.check(genesis.clone()), Ok(()));
    for (broken, found) in [
        (changed(genesis.clone(), |link| link.seq = Seq::new(2)), "seq 2".to_owned()),
        (changed(genesis.clone(), |link| link.seq = Seq::ZERO), "seq 0".to_owned()),
        (
            changed(genesis.clone(), |link| link.from_state = Some(Retired)),
            "from_state retired".to_owned(),
        ),
        (
            changed(genesis.clone(), |link| link.prev_hash = Some(other_hash())),
            format!("prev_hash {}", other_hash()),
        ),
        (changed(genesis, |link| link.to_state = Ratified), "to_state ratified".to_owned()),
    ] {
        let violation = world.check(broken).unwrap_err();
        assert_eq!(violation, Violation::NotGenesis { found });
        assert_eq!(violation.code(), Code::CC01);
    }
}

#[test]
fn cc02_a_link_that_skips_or_repeats_a_number_is_refused() {
    let (world, release) = release();
    for found in [0, 1, 3, 5].map(Seq::new) {
        let violation = world.check(changed(release.clone(), |link| link.seq = found)).unwrap_err();
        assert_eq!(violation, Violation::WrongSeq { found, expected: Seq::new(4) });
        assert_eq!(violation.code(), Code::CC02);
    }
}

#[test]
fn cc02_no_link_follows_the_last_number_there_is() {
    let (mut world, release) = release();
    world.head().chain.as_mut().unwrap().seq = Seq::MAX;
    for seq in [release.seq, Seq::MAX] {
        let link = changed(release.clone(), |link| link.seq = seq);
        assert_eq!(world.check(link).unwrap_err().code(), Code::CC02);
    }
}

#[test]
fn cc03_a_link_from_another_state_is_refused() {
    let (world, release) = release();
    for found in [None, Some(Drafted), Some(Deployed), Some(Suspended)] {
        let broken = changed(release.clone(), |link| link.from_state = found);
        let violation = world.check(broken).unwrap_err();
        assert_eq!(violation, Violation::WrongFromState { found, expected: Ratified });
        assert_eq!(violation.code(), Code::CC03);
    }
}

#[test]
fn cc04_exactly_the_moves_of_the_policy_are_permitted() {
    let ways: [&[CustodyState]; 7] = [
        &[Drafted],
        &[Drafted, CeremonyOpen],
        TO_RATIFIED,
        &[Drafted, CeremonyOpen, Rejected],
        &[Drafted, CeremonyOpen, Ratified, Deployed],
        &[Drafted, CeremonyOpen, Ratified, Suspended],
        &[Drafted, CeremonyOpen, Ratified, Retired],
    ];
    let policy = CustodyPolicy::standard();
    let mut permitted = 0;
    for way in ways {
        let (mut world, head) = World::standing_at(way);
        world.head().ratified = vec![registered().cid];
        let from = *way.last().unwrap();
        for &to in CustodyState::ALL {
            let judged = world.check(link(head.as_ref(), to));
            if policy.permits(from, to) {
                permitted += 1;
                assert_eq!(judged, Ok(()), "{from} to {to}");
            } else {
                assert_eq!(judged, Err(Violation::NotPermitted { from, to }));
                assert_eq!(judged.unwrap_err().code(), Code::CC04);
            }
        }
    }
    assert_eq!(permitted, 16, "DESIGN's table has 16 moves");
}

#[test]
fn cc05_wrong_prev_hash_is_refused() {
    let (world, release) = release();
    let expected = release.prev_hash.unwrap();
    for found in [None, Some(other_hash()), Some(release.hash)] {
        let broken = changed(release.clone(), |link| link.prev_hash = found);
        let violation = world.check(broken).unwrap_err();
        assert_eq!(violation, Violation::WrongPrevHash { found, expected });
        assert_eq!(violation.code(), Code::CC05);
    }
}

#[test]
fn cc06_a_link_whose_fields_were_changed_is_refused() {
    let (world, release) = release();
    let changes: [fn(&mut CustodyTransitioned); 11] = [
        |link| link.actor.push('x'),
        |link| link.ceremony_id = Some(CEREMONY),
        |link| link.cid = other_cid(),
        |link| link.evidence = Json::parse("{}").unwrap(),
        |link| link.from_state = None,
        |link| link.occurred_at = at(1_000),
        |link| link.prev_hash = None,
        |link| link.reason.clear(),
        |link| link.seq = Seq::new(9),
        |link| link.to_state = Retired,
        |link| link.hash = other_hash(),
    ];
    for change in changes {
        let mut broken = release.clone();
        change(&mut broken);
        let violation = world.check(broken.clone()).unwrap_err();
        assert_eq!(violation.code(), Code::CC06);
        let expected = custody::link_hash(&broken);
        assert_eq!(violation, Violation::WrongHash { found: broken.hash, expected });
    }
    // The artifact is the eleventh field that is hashed.
    let elsewhere = CustodyTransitioned { artifact_id: ArtifactId::new(), ..release };
    assert_eq!(world.check(elsewhere).unwrap_err().code(), Code::CC06);
}

#[test]
fn cc07_a_link_before_its_predecessor_in_time_is_refused() {
    let (world, release) = release();
    let head = at(2);
    let same = changed(release.clone(), |link| link.occurred_at = head);
    assert_eq!(world.check(same), Ok(()));
    let found = Timestamp::from_micros(head.as_micros() - 1).unwrap();
    let violation = world.check(changed(release, |link| link.occurred_at = found)).unwrap_err();
    assert_eq!(violation, Violation::BackInTime { found, head });
    assert_eq!(violation.code(), Code::CC07);
}

#[test]
fn cc08_a_cid_of_another_content_is_refused() {
    let wrong = other_cid();
    let artifact = registered();
    let expected = artifact.cid;
    let registration = ArtifactRegistered { cid: wrong, ..artifact };
    let violation = World::with_accord().check(registration).unwrap_err();
    assert_eq!(violation, Violation::WrongCid { found: wrong, expected });
    assert_eq!(violation.code(), Code::CC08);

    let (world, _) = World::standing_at(&[Drafted]);
    let revision = revised("[1]", expected);
    assert_eq!(world.check(revision.clone()), Ok(()));
    let violation = world.check(ArtifactRevised { cid: wrong, ..revision.clone() }).unwrap_err();
    assert_eq!(violation, Violation::WrongCid { found: wrong, expected: revision.cid });
    let violation = world.check(ArtifactRevised { previous_cid: wrong, ..revision }).unwrap_err();
    assert_eq!(violation, Violation::NotCurrentCid { found: wrong, expected });
    assert_eq!(violation.code(), Code::CC08);

    let (world, release) = release();
    let violation = world.check(changed(release, |link| link.cid = wrong)).unwrap_err();
    assert_eq!(violation, Violation::NotCurrentCid { found: wrong, expected });
}

#[test]
fn cc09_a_ceremony_is_named_on_entering_and_leaving_and_nowhere_else() {
    let other = CeremonyId::new();
    let none: &[Option<CeremonyId>] = &[None];
    let any = &[Some(CEREMONY), Some(other)];
    for (states, to_state, named, expected) in [
        (&[][..], Drafted, none, ExpectedCeremony::None),
        (&[Drafted], CeremonyOpen, any, ExpectedCeremony::Any),
        (&[Drafted], Retired, none, ExpectedCeremony::None),
        (&[Drafted, CeremonyOpen], Ratified, &any[..1], ExpectedCeremony::Leaving(Some(CEREMONY))),
        (&[Drafted, CeremonyOpen], Rejected, &any[..1], ExpectedCeremony::Leaving(Some(CEREMONY))),
        (&[Drafted, CeremonyOpen], Drafted, &any[..1], ExpectedCeremony::Leaving(Some(CEREMONY))),
        (TO_RATIFIED, Deployed, none, ExpectedCeremony::None),
    ] {
        let (world, head) = World::standing_at(states);
        for found in [None, Some(CEREMONY), Some(other)] {
            let link = changed(link(head.as_ref(), to_state), |link| link.ceremony_id = found);
            let judged = world.check(link);
            if named.contains(&found) {
                assert_eq!(judged, Ok(()), "{states:?} to {to_state}");
            } else {
                assert_eq!(judged, Err(Violation::WrongCeremony { found, expected }));
                assert_eq!(judged.unwrap_err().code(), Code::CC09);
            }
        }
    }
}

#[test]
fn cc10_content_that_was_not_ratified_is_not_deployed() {
    let (mut world, release) = release();
    world.head().ratified = vec![other_cid()];
    let violation = world.check(release.clone()).unwrap_err();
    assert_eq!(violation, Violation::NotRatified { cid: release.cid });
    assert_eq!(violation.code(), Code::CC10);
    // An earlier ratification of the same content will do.
    world.head().ratified.push(release.cid);
    assert_eq!(world.check(release), Ok(()));
}

#[test]
fn cc11_what_an_event_refers_to_must_exist() {
    let nothing = World { accord_exists: false, ..World::with_accord() };
    let (accord_id, artifact_id) = (bound().accord_id, ARTIFACT);
    assert_eq!(nothing.check(registered()), Err(Violation::NoAccord { accord_id }));
    let no_artifact = Violation::NoArtifact { artifact_id };
    for event in [
        Event::from(revised("[1]", registered().cid)),
        link(None, Drafted).into(),
        crate::fixtures::observed("eu", true, 0).into(),
        crate::fixtures::verified(crate::Outcome::Passed, 0).into(),
    ] {
        assert_eq!(World::with_accord().check(event.clone()), Err(no_artifact.clone()));
        assert_eq!(World::standing_at(&[]).0.check(event), Ok(()));
    }
    assert_eq!(no_artifact.code(), Code::CC11);
}

#[test]
fn cc11_what_exists_is_not_created_again() {
    let stream_id = StreamId::from(bound().accord_id);
    let violation = World::with_accord().check(bound()).unwrap_err();
    assert_eq!(violation, Violation::ExistsAlready { stream_id });
    assert_eq!(violation.code(), Code::CC11);
    let violation = World::standing_at(&[]).0.check(registered()).unwrap_err();
    assert_eq!(violation, Violation::ExistsAlready { stream_id: ARTIFACT.into() });
}

#[test]
fn cc12_content_is_frozen_during_a_ceremony_and_after_retirement() {
    for (states, state) in [
        (&[Drafted, CeremonyOpen][..], Some(CeremonyOpen)),
        (&[Drafted, Retired], Some(Retired)),
        (&[], None),
        (&[Drafted], None),
        (TO_RATIFIED, None),
        (&[Drafted, CeremonyOpen, Rejected], None),
        (&[Drafted, CeremonyOpen, Ratified, Deployed], None),
        (&[Drafted, CeremonyOpen, Ratified, Suspended], None),
    ] {
        let judged = World::standing_at(states).0.check(revised("[1]", registered().cid));
        assert_eq!(judged, state.map_or(Ok(()), |state| Err(Violation::Frozen { state })));
        assert!(judged.is_ok() || judged.unwrap_err().code() == Code::CC12);
    }
}

/// Something that breaks one invariant, in the world or in the event.
type Defect<E> = (Code, fn(&mut World, &mut E));

/// Applies every selection of the defects, which are in DESIGN's order: the first of them is what
/// is reported.
fn the_first_is_reported<E: Clone + Into<Event>>(
    sound: impl Fn() -> (World, E),
    defects: &[Defect<E>],
    finish: impl Fn(&mut E, bool),
) {
    for selection in 0..1u32 << defects.len() {
        let selected = || {
            let numbered = defects.iter().enumerate();
            numbered.filter(|(bit, _)| selection >> bit & 1 == 1).map(|(_, defect)| *defect)
        };
        let (mut world, mut event) = sound();
        selected().for_each(|(_, apply)| apply(&mut world, &mut event));
        finish(&mut event, selected().any(|(code, _)| code == Code::CC06));
        let found = world.check(event).map_err(|violation| violation.code());
        let expected = selected().next().map_or(Ok(()), |(code, _)| Err(code));
        assert_eq!(found, expected, "{:?}", selected().map(|(code, _)| code).collect::<Vec<_>>());
    }
}

/// Puts the right hash on a link, or a wrong one.
fn rehash(link: &mut CustodyTransitioned, is_wrong: bool) {
    link.hash = if is_wrong { other_hash() } else { custody::link_hash(link) };
}

#[test]
fn of_several_faults_of_a_link_the_first_in_order_is_reported() {
    let defects: [Defect<CustodyTransitioned>; 10] = [
        (Code::CC11, |world, _| world.artifact = None),
        (Code::CC06, |_, _| {}),
        (Code::CC02, |_, link| link.seq = Seq::new(9)),
        (Code::CC05, |_, link| link.prev_hash = None),
        (Code::CC03, |_, link| link.from_state = None),
        (Code::CC07, |_, link| link.occurred_at = at(-1)),
        (Code::CC04, |world, _| world.policy = CustodyPolicy::from_moves([])),
        (Code::CC08, |_, link| link.cid = other_cid()),
        (Code::CC09, |_, link| link.ceremony_id = Some(CEREMONY)),
        (Code::CC10, |world, _| {
            if let Some(head) = &mut world.artifact {
                head.ratified.clear();
            }
        }),
    ];
    // CC08 makes the content one that was not ratified either; CC10 comes later all the same.
    the_first_is_reported(release, &defects, rehash);
}

#[test]
fn of_several_faults_of_a_genesis_the_first_in_order_is_reported() {
    let sound = || (World::standing_at(&[]).0, link(None, Drafted));
    let defects: [Defect<CustodyTransitioned>; 5] = [
        (Code::CC11, |world, _| world.artifact = None),
        (Code::CC06, |_, _| {}),
        (Code::CC01, |_, link| link.from_state = Some(Retired)),
        (Code::CC08, |_, link| link.cid = other_cid()),
        (Code::CC09, |_, link| link.ceremony_id = Some(CEREMONY)),
    ];
    the_first_is_reported(sound, &defects, rehash);
}

#[test]
fn of_several_faults_of_a_revision_the_first_in_order_is_reported() {
    let sound = || (World::standing_at(&[Drafted]).0, revised("[1]", registered().cid));
    let defects: [Defect<ArtifactRevised>; 4] = [
        (Code::CC11, |world, _| world.artifact = None),
        (Code::CC12, |world, _| {
            if let Some(chain) = world.artifact.as_mut().and_then(|head| head.chain.as_mut()) {
                chain.state = CeremonyOpen;
            }
        }),
        (Code::CC08, |_, revision| revision.cid = other_cid()),
        (Code::CC08, |_, revision| revision.previous_cid = other_cid()),
    ];
    the_first_is_reported(sound, &defects, |_, _| {});
}

#[test]
fn of_several_faults_of_a_registration_the_missing_accord_is_reported() {
    let (mut world, _) = World::standing_at(&[]);
    world.accord_exists = false;
    let wrong = ArtifactRegistered { cid: other_cid(), ..registered() };
    let accord_id = wrong.accord_id;
    assert_eq!(world.check(wrong.clone()), Err(Violation::NoAccord { accord_id }));
    world.accord_exists = true;
    assert_eq!(world.check(wrong).unwrap_err().code(), Code::CC11);
}
