//! What is recorded, what is refused, and what happens when others write meanwhile.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::recorder::MAX_ATTEMPTS;
use super::*;
use crate::chronicle::{
    Append, AppendError, Appended, Chronicle, DecodedEntry, Entry, Head, NewEntry, Origin,
    ReadLimit,
};
use crate::custody::CustodyPolicy;
use crate::error::StoreError;
use crate::event::{Decoded, DeploymentObserved, Outcome};
use crate::fixtures::{ARTIFACT, CEREMONY, at, bound, json, link, observed, registered, verified};
use crate::fold::{Fold, OnViolation};
use crate::ids::{AccordId, Position, Version};
use crate::invariant::Code;
use crate::memory::MemoryChronicle;
use CustodyState::{CeremonyOpen, Deployed, Drafted, Ratified};

fn act(second: i64) -> Act {
    Act::new("ada", "because", at(second))
}

/// By this clock, it is so late.
fn clock(second: i64) -> Clock {
    Clock::from_fn(move || at(second))
}

/// A recorder of a thousand seconds later, its Chronicle, and in that an accord and an artifact.
async fn recorder() -> (Recorder, MemoryChronicle) {
    let chronicle = MemoryChronicle::new();
    let recorder = Recorder::new(Arc::new(chronicle.clone()), CustodyPolicy::standard());
    let recorder = recorder.by_clock(clock(1000));
    recorder.record(bound()).await.unwrap();
    recorder.record(registered()).await.unwrap();
    (recorder, chronicle)
}

async fn entries(chronicle: &dyn Chronicle) -> Vec<Entry> {
    chronicle.read(crate::Position::ZERO, ReadLimit::entries(1000)).await.unwrap()
}

fn refused(outcome: Result<Appended, RecordError>) -> Code {
    match outcome {
        Err(RecordError::Refused { violation }) => violation.code(),
        other => panic!("{other:?}"),
    }
}

/// A Chronicle in which rivals write just before an append.
struct Contended {
    chronicle: MemoryChronicle,
    rivals: Mutex<VecDeque<Append>>,
}

#[async_trait]
impl Chronicle for Contended {
    async fn origin(&self) -> Result<Option<Origin>, StoreError> {
        self.chronicle.origin().await
    }

    async fn fix_origin(&self, origin: Origin) -> Result<Origin, StoreError> {
        self.chronicle.fix_origin(origin).await
    }

    async fn append(&self, append: Append) -> Result<Vec<Appended>, AppendError> {
        let rival = self.rivals.lock().unwrap().pop_front();
        if let Some(rival) = rival {
            self.chronicle.append(rival).await?;
        }
        self.chronicle.append(append).await
    }

    async fn read(&self, after: Position, limit: ReadLimit) -> Result<Vec<Entry>, StoreError> {
        self.chronicle.read(after, limit).await
    }

    async fn read_stream(
        &self,
        stream: StreamId,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Vec<Entry>, StoreError> {
        self.chronicle.read_stream(stream, after, limit).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.chronicle.head().await
    }

    async fn wait_beyond(
        &self,
        position: Position,
        patience: Duration,
    ) -> Result<Position, StoreError> {
        self.chronicle.wait_beyond(position, patience).await
    }
}

async fn contended(rivals: impl IntoIterator<Item = Event>) -> (Recorder, MemoryChronicle) {
    let (_, chronicle) = recorder().await;
    let rivals = rivals.into_iter().map(|event| Append::of([NewEntry::new(&event)])).collect();
    let contended = Contended { chronicle: chronicle.clone(), rivals: Mutex::new(rivals) };
    (Recorder::new(Arc::new(contended), CustodyPolicy::standard()), chronicle)
}

#[tokio::test]
async fn a_chain_is_completed_from_genesis_to_release() {
    let (recorder, chronicle) = recorder().await;
    let evidence = json(r#"{"votes":3}"#);
    for command in [
        Command::transition(ARTIFACT, Drafted, act(1)),
        Command::open_ceremony(ARTIFACT, CEREMONY, act(2)),
        Command::transition(ARTIFACT, Ratified, act(3).with_evidence(evidence.clone())),
        Command::transition(ARTIFACT, Deployed, act(4)),
    ] {
        recorder.record(command).await.unwrap();
    }
    let links = entries(&chronicle).await.into_iter().filter_map(|entry| match entry.decode() {
        Ok(Decoded::Event(Event::CustodyTransitioned(link))) => Some(link),
        _ => None,
    });
    let links: Vec<_> = links.collect();
    let states: Vec<_> = links.iter().map(|link| (link.seq.get(), link.to_state)).collect();
    assert_eq!(states, [(1, Drafted), (2, CeremonyOpen), (3, Ratified), (4, Deployed)]);
    let ceremonies: Vec<_> = links.iter().map(|link| link.ceremony_id).collect();
    assert_eq!(ceremonies, [None, Some(CEREMONY), Some(CEREMONY), None]);
    assert!(links.windows(2).all(|pair| pair[1].prev_hash == Some(pair[0].hash)));
    assert_eq!(links[2].evidence, evidence);
}

#[tokio::test]
async fn a_revision_is_completed_with_what_it_replaces() {
    let (recorder, chronicle) = recorder().await;
    for content in ["[1]", "[2]"] {
        recorder.record(Command::revise(ARTIFACT, json(content), "urn:schema")).await.unwrap();
    }
    let Ok(Decoded::Event(Event::ArtifactRevised(last))) = entries(&chronicle).await[3].decode()
    else {
        panic!("a revision")
    };
    assert_eq!((last.previous_cid, last.cid), (Cid::of(&json("[1]")), Cid::of(&json("[2]"))));
}

#[tokio::test]
async fn a_refused_command_writes_nothing() {
    let (recorder, chronicle) = recorder().await;
    let nobody = ArtifactId::new();
    let wrong = Cid::of(&json("0"));
    let homeless = crate::ArtifactRegistered {
        artifact_id: nobody,
        accord_id: AccordId::new(),
        ..registered()
    };
    let adrift = DeploymentObserved { artifact_id: nobody, ..observed("eu", true, 1) };
    for (command, code) in [
        (Command::from(bound()), Code::CC11),
        (registered().into(), Code::CC11),
        (homeless.into(), Code::CC11),
        (adrift.into(), Code::CC11),
        (Command::revise(nobody, json("1"), ""), Code::CC11),
        (Command::transition(nobody, Drafted, act(1)), Code::CC11),
        (Command::transition(ARTIFACT, Deployed, act(1)), Code::CC01),
        (
            crate::ArtifactRegistered { artifact_id: nobody, cid: wrong, ..registered() }.into(),
            Code::CC08,
        ),
    ] {
        assert_eq!(refused(recorder.record(command).await), code);
    }
    assert_eq!(entries(&chronicle).await.len(), 2);

    recorder.record(Command::transition(ARTIFACT, Drafted, act(5))).await.unwrap();
    for (command, code) in [
        (Command::transition(ARTIFACT, Deployed, act(6)), Code::CC04),
        (Command::transition(ARTIFACT, CeremonyOpen, act(6)), Code::CC09),
        (Command::open_ceremony(ARTIFACT, CEREMONY, act(4)), Code::CC07),
        (link(None, Drafted).into(), Code::CC02),
    ] {
        assert_eq!(refused(recorder.record(command).await), code);
    }
    assert_eq!(entries(&chronicle).await.len(), 3);
}

#[tokio::test]
async fn a_judgement_says_what_recording_does_and_writes_nothing() {
    let (recorder, chronicle) = recorder().await;
    let before = entries(&chronicle).await;
    let draft = Command::transition(ARTIFACT, Drafted, act(1));
    let judged = recorder.judge(draft.clone()).await.unwrap();
    let refused_as =
        refused(recorder.record(Command::transition(ARTIFACT, Deployed, act(1))).await);
    let judged_as = recorder.judge(Command::transition(ARTIFACT, Deployed, act(1))).await;
    assert_eq!(judged_as.unwrap_err().code(), Some(refused_as));
    assert_eq!(entries(&chronicle).await, before, "nothing is written");

    let appended = recorder.record(draft.clone()).await.unwrap();
    let recorded = entries(&chronicle).await.pop().unwrap();
    let Judgement::Sound { entry, version } = judged else { panic!("{judged:?}") };
    assert_eq!(entry.payload.as_str(), &*recorded.payload);
    assert_eq!((entry.event_id, version), (recorded.event_id, recorded.version.previous()));
    let Judgement::Recorded(again) = recorder.judge(draft).await.unwrap() else {
        panic!("it is recorded")
    };
    assert_eq!((again.position, again.was_recorded), (appended.position, true));
}

#[tokio::test]
async fn the_policy_is_the_embedders() {
    let chronicle = MemoryChronicle::new();
    let policy = CustodyPolicy::from_moves([(Drafted, CustodyState::Retired)]);
    let recorder = Recorder::new(Arc::new(chronicle), policy);
    recorder.record(bound()).await.unwrap();
    recorder.record(registered()).await.unwrap();
    recorder.record(Command::transition(ARTIFACT, Drafted, act(1))).await.unwrap();
    let open = Command::open_ceremony(ARTIFACT, CEREMONY, act(2));
    assert_eq!(refused(recorder.record(open).await), Code::CC04);
    recorder.record(Command::transition(ARTIFACT, CustodyState::Retired, act(2))).await.unwrap();
}

#[tokio::test]
async fn a_command_recorded_twice_is_recorded_once() {
    let (recorder, chronicle) = recorder().await;
    let id = EventId::new();
    let genesis = Command::transition(ARTIFACT, Drafted, act(1)).with_id(id);
    let first = recorder.record(genesis.clone()).await.unwrap();
    assert!(!first.was_recorded);
    let again = Appended { was_recorded: true, ..first };
    // By this recorder, and by another after a restart, and after the chain went on.
    assert_eq!(recorder.record(genesis.clone()).await.unwrap(), again);
    recorder.record(Command::open_ceremony(ARTIFACT, CEREMONY, act(2))).await.unwrap();
    let restarted = Recorder::new(Arc::new(chronicle.clone()), CustodyPolicy::standard());
    assert_eq!(restarted.record(genesis.clone()).await.unwrap(), again);
    assert_eq!(recorder.record(genesis).await.unwrap(), again);
    assert_eq!(entries(&chronicle).await.len(), 4);

    let seen = Command::from(observed("eu", true, 1)).with_id(EventId::new());
    let first = recorder.record(seen.clone()).await.unwrap();
    assert_eq!(restarted.record(seen).await.unwrap(), Appended { was_recorded: true, ..first });
    let open = link(Some(&link(None, Drafted)), CeremonyOpen);
    assert_eq!(refused(recorder.record(open).await), Code::CC02);
}

#[tokio::test]
async fn an_event_id_that_another_event_has_is_refused() {
    let (recorder, chronicle) = recorder().await;
    let id = entries(&chronicle).await[1].event_id;
    for command in [
        Command::from(observed("eu", true, 1)).with_id(id),
        Command::from(crate::AccordBound { accord_id: AccordId::new(), ..bound() }).with_id(id),
    ] {
        let error = recorder.record(command).await.unwrap_err();
        let RecordError::Append(AppendError::IdReused { event_id, position, .. }) = error else {
            panic!("{error}")
        };
        assert_eq!((event_id, position.get()), (id, 2));
    }
}

#[tokio::test]
async fn a_command_that_a_rival_overtook_is_judged_again() {
    // Observations change the version and nothing else: the command goes in after them.
    let rivals = (0..3).map(|second| observed("eu", true, second).into());
    let (recorder, chronicle) = contended(rivals).await;
    let appended = recorder.record(Command::transition(ARTIFACT, Drafted, act(9))).await.unwrap();
    assert_eq!((appended.position.get(), appended.version.get()), (6, 5));
    let open = Command::open_ceremony(ARTIFACT, CEREMONY, act(10));
    assert_eq!(recorder.record(open).await.unwrap().version.get(), 6);
    assert_eq!(entries(&chronicle).await.len(), 7);
}

#[tokio::test]
async fn a_command_that_a_rival_made_wrong_is_refused() {
    let (recorder, chronicle) = contended([link(None, Drafted).into()]).await;
    let genesis = link(None, Drafted);
    assert_eq!(refused(recorder.record(genesis).await), Code::CC02);
    assert_eq!(entries(&chronicle).await.len(), 3);
}

#[tokio::test]
async fn rivals_that_never_stop_end_in_a_conflict() {
    let rivals = (0..100).map(|second| observed("eu", true, second).into());
    let (recorder, chronicle) = contended(rivals).await;
    let command = Command::transition(ARTIFACT, Drafted, act(1));
    let error = recorder.record(command).await.unwrap_err();
    assert!(matches!(error, RecordError::Append(AppendError::Conflict { .. })), "{error}");
    assert_eq!(entries(&chronicle).await.len(), 2 + MAX_ATTEMPTS);
}

#[tokio::test]
async fn recorders_of_one_chronicle_make_one_sound_chain() {
    let (one, chronicle) = recorder().await;
    let other = Recorder::new(Arc::new(chronicle.clone()), CustodyPolicy::standard());
    one.record(Command::transition(ARTIFACT, Drafted, act(1))).await.unwrap();
    other.record(Command::open_ceremony(ARTIFACT, CEREMONY, act(2))).await.unwrap();
    one.record(Command::transition(ARTIFACT, Drafted, act(3))).await.unwrap();
    other.record(Command::revise(ARTIFACT, json("[1]"), "urn:schema")).await.unwrap();
    one.record(Command::open_ceremony(ARTIFACT, CEREMONY, act(4))).await.unwrap();
    let mut fold = Fold::over_empty_tables(CustodyPolicy::standard(), OnViolation::Halt);
    let decoded = entries(&chronicle).await.into_iter().map(DecodedEntry::from);
    assert_eq!(fold.apply(decoded), Ok(None));
}

#[tokio::test]
async fn time_and_metadata_are_the_commands() {
    let (recorder, chronicle) = recorder().await;
    let metadata = Metadata { correlation_id: Some("req-7".to_owned()), ..Metadata::default() };
    let command = Command::from(observed("eu", true, 1));
    let command = command.with_metadata(metadata.clone()).recorded_at(at(77));
    recorder.record(command).await.unwrap();
    let entry = entries(&chronicle).await.remove(2);
    assert_eq!((entry.metadata, entry.recorded_at), (metadata, at(77)));
}

#[tokio::test]
async fn a_ceremony_is_closed_by_its_own_name_and_on_the_content_that_it_is_about() {
    let (recorder, _) = recorder().await;
    recorder.record(Command::transition(ARTIFACT, Drafted, act(0))).await.unwrap();
    let other = Cid::from_digest([7; 32]);
    let open = Command::open_ceremony(ARTIFACT, CEREMONY, act(1));
    assert_eq!(refused(recorder.record(open.clone().of_content(other)).await), Code::CC08);
    recorder.record(open).await.unwrap();
    let close = |ceremony| Command::close_ceremony(ARTIFACT, ceremony, Ratified, act(2));
    assert_eq!(refused(recorder.record(close(CeremonyId::new())).await), Code::CC09);
    recorder.record(close(CEREMONY)).await.unwrap();
}

#[tokio::test]
async fn an_act_by_a_clock_of_seconds_is_not_refused_for_what_that_leaves_out() {
    let (recorder, chronicle) = recorder().await;
    let half_past = Timestamp::from_micros(at(5).as_micros() + 500_000).unwrap();
    let draft = Act::new("ada", "because", half_past);
    recorder.record(Command::transition(ARTIFACT, Drafted, draft)).await.unwrap();
    let open = |act| Command::open_ceremony(ARTIFACT, CEREMONY, act);
    let unit = Duration::from_secs(1);
    assert_eq!(refused(recorder.record(open(act(5))).await), Code::CC07);
    assert_eq!(refused(recorder.record(open(act(4).clock_resolution(unit))).await), Code::CC07);
    recorder.record(open(act(5).clock_resolution(unit))).await.unwrap();
    // Where the head is earlier, the clock is believed.
    let ratify =
        Command::close_ceremony(ARTIFACT, CEREMONY, Ratified, act(6).clock_resolution(unit));
    recorder.record(ratify).await.unwrap();
    let times: Vec<_> = entries(&chronicle).await[2..]
        .iter()
        .map(|entry| match DecodedEntry::from(entry.clone()).decoded {
            Ok(Decoded::Event(Event::CustodyTransitioned(link))) => link.occurred_at,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(times, [half_past, half_past, at(6)]);
}

fn in_future(outcome: Result<Appended, RecordError>) -> InFuture {
    match outcome {
        Err(RecordError::InFuture(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn no_event_is_recorded_that_says_that_it_happens_later_than_now_and_a_tolerance() {
    let (recorder, chronicle) = recorder().await;
    let late = |second: i64| {
        [
            (Command::transition(ARTIFACT, Drafted, act(second)), "occurred_at"),
            (observed("eu", true, second).into(), "observed_at"),
            (verified(Outcome::Passed, second).into(), "verified_at"),
            (Command::from(observed("eu", true, 1)).recorded_at(at(second)), "time"),
        ]
    };
    for (command, field) in late(1301) {
        let event_id = EventId::new();
        let error = in_future(recorder.record(command.with_id(event_id)).await);
        assert_eq!((error.field, error.found, error.limit), (field, at(1301), at(1300)));
        assert_eq!((error.event_id, error.stream), (event_id, ARTIFACT.into()));
        let said = error.to_string();
        for part in [field, error.kind.as_str(), &at(1301).to_string(), &at(1300).to_string()] {
            assert!(said.contains(part), "{said}");
        }
    }
    assert_eq!(entries(&chronicle).await.len(), 2, "nothing is written");
    for (command, _) in late(1300) {
        recorder.record(command).await.unwrap();
    }
    let strict = Recorder::new(Arc::new(chronicle.clone()), CustodyPolicy::standard());
    let strict = strict.by_clock(clock(1000).tolerating(Duration::ZERO));
    assert_eq!(in_future(strict.record(observed("eu", true, 1001)).await).limit, at(1000));
    strict.record(observed("eu", true, 1000)).await.unwrap();
}

#[tokio::test]
async fn an_accord_may_be_bound_before_it_is_in_effect() {
    let (recorder, _) = recorder().await;
    let accord =
        crate::AccordBound { accord_id: AccordId::new(), effective_at: at(9_000_000), ..bound() };
    recorder.record(accord).await.unwrap();
}

#[tokio::test]
async fn a_time_that_others_wrote_into_the_log_is_answered_and_refuses_what_came_before_it() {
    let (recorder, chronicle) = recorder().await;
    let id = EventId::new();
    let draft = Command::transition(ARTIFACT, Drafted, act(9_000_000)).with_id(id);
    // Somebody whose clock was wrong.
    let other = Recorder::new(Arc::new(chronicle.clone()), CustodyPolicy::standard());
    let first = other.by_clock(clock(9_000_000)).record(draft.clone()).await.unwrap();
    assert_eq!(recorder.artifact(ARTIFACT).await.unwrap().unwrap().chain.unwrap().state, Drafted);
    let again = Appended { was_recorded: true, ..first };
    assert_eq!(recorder.record(draft).await.unwrap(), again, "it is there, and stays so");
    // Nothing is dated by it, however little is known of when it happened.
    let open = |act: Act| Command::open_ceremony(ARTIFACT, CEREMONY, act);
    assert_eq!(refused(recorder.record(open(act(1))).await), Code::CC07);
    assert_eq!(refused(recorder.record(open(act(1).at_the_latest(at(999)))).await), Code::CC07);
    let unknown = open(act(1).clock_resolution(Duration::MAX));
    assert_eq!(in_future(recorder.record(unknown).await).found, at(9_000_000));
    let by_then = open(act(1).at_the_latest(Timestamp::MAX));
    assert_eq!(in_future(recorder.record(by_then).await).found, Timestamp::MAX);
    assert_eq!(entries(&chronicle).await.len(), 3);
}

#[tokio::test]
async fn an_act_of_which_only_bounds_are_known_is_dated_by_them_and_never_by_the_head() {
    let half = |second| Timestamp::from_micros(at(second).as_micros() + 500_000).unwrap();
    let unit = Duration::from_secs(1);
    for (opened, dated) in [
        (act(60).at_the_latest(at(90)), Some(at(60))),
        (act(10).at_the_latest(at(90)), Some(at(90))),
        (act(10).at_the_latest(at(40)), None),
        (act(10).at_the_latest(at(50)), None),
        // The clock leaves out the half second, and no more is lent to it.
        (act(10).at_the_latest(at(50)).clock_resolution(unit), Some(half(50))),
        (act(10).at_the_latest(at(49)).clock_resolution(unit), None),
        (act(50).at_the_latest(at(90)).clock_resolution(unit), Some(half(50))),
    ] {
        let (recorder, _) = recorder().await;
        let draft = Act::new("ada", "because", half(50));
        recorder.record(Command::transition(ARTIFACT, Drafted, draft)).await.unwrap();
        let open = Command::open_ceremony(ARTIFACT, CEREMONY, opened.clone());
        match (recorder.record(open).await, dated) {
            (Ok(_), Some(dated)) => {
                let artifact = recorder.artifact(ARTIFACT).await.unwrap().unwrap();
                assert_eq!(artifact.chain.unwrap().occurred_at, dated, "{opened:?}");
            }
            (outcome, None) => assert_eq!(refused(outcome), Code::CC07, "{opened:?}"),
            (outcome, Some(_)) => panic!("{opened:?}: {outcome:?}"),
        }
    }
}
