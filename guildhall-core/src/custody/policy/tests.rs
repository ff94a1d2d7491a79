#![allow(clippy::unwrap_used, reason = "tests")]
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::chronicle::{Append, Chronicle, NewEntry, ReadLimit};
use crate::command::{Act, Command, RecordError, Recorder};
use crate::custody::CustodyState::{CeremonyOpen, Drafted, Ratified, Rejected, Retired};
use crate::custody::chain::Judge;
use crate::custody::{self, Move};
use crate::event::Event;
use crate::fixtures::{ARTIFACT, CEREMONY, at, bound, json, registered};
use crate::ids::Position;
use crate::invariant::Code;
use crate::json::Json;
use crate::memory::{MemoryChronicle, MemoryOpsDb};
use crate::projector::{Batch, Projector};
use crate::testing::Scenario;

const ACTORS: [&str; 3] = ["ada", "grace", "substrate"];

fn four_eyes() -> CustodyPolicy {
    CustodyPolicy::standard().with_rule(Rule::FourEyes { to: Ratified })
}

fn drafted(policy: CustodyPolicy) -> Scenario {
    let draft = Command::transition(ARTIFACT, Drafted, Act::new("ada", "new", at(1)));
    Scenario::under(policy).given(bound()).given(registered()).given(draft)
}

fn open(actor: &str) -> Command {
    Command::open_ceremony(ARTIFACT, CEREMONY, Act::new(actor, "please", at(2)))
}

fn close(to: CustodyState, actor: &str) -> Command {
    Command::close_ceremony(ARTIFACT, CEREMONY, to, Act::new(actor, "decided", at(2)))
}

#[test]
fn who_opened_a_ceremony_does_not_ratify_it() {
    let opened = drafted(four_eyes()).given(open("ada"));
    let reason = "the policy says that the actor who opened a ceremony may not close it as ratified; the \
                  actor is ada";
    opened.when(close(Ratified, "ada")).then_refused(Code::CC04, reason);
    opened.when(close(Ratified, "grace")).then_tables(|_| {});
    // Whatever else becomes of it is for whoever opened it, too.
    opened.when(close(Rejected, "ada")).then_tables(|_| {});
    // The next ceremony is another one's.
    let again = opened.given(close(Drafted, "ada")).given(open("grace"));
    again.when(close(Ratified, "grace")).then_refused(Code::CC04, "the actor is grace");
    again.when(close(Ratified, "ada")).then_tables(|_| {});
}

#[test]
fn a_ceremony_that_goes_on_as_a_ceremony_has_one_opener() {
    let moves = [(Drafted, CeremonyOpen), (CeremonyOpen, CeremonyOpen), (CeremonyOpen, Ratified)];
    let policy = CustodyPolicy::from_moves(moves).with_rule(Rule::FourEyes { to: Ratified });
    let opened = drafted(policy).given(open("ada")).given(close(CeremonyOpen, "grace"));
    opened.when(close(Ratified, "ada")).then_refused(Code::CC04, "the actor is ada");
    opened.when(close(Ratified, "grace")).then_tables(|_| {});
}

#[test]
fn moves_are_reserved_and_have_to_put_evidence_forward() {
    let policy = CustodyPolicy::standard()
        .with_rule(Rule::Reserved { to: Retired, actors: vec!["board".to_owned()] })
        .with_rule(Rule::Evidence { to: Retired });
    let drafted = drafted(policy);
    let retire = |act| Command::transition(ARTIFACT, Retired, act);
    // The rules are judged in order.
    let refused = drafted.when(retire(Act::new("ada", "old", at(2))));
    refused
        .then_refused(Code::CC04, "only board may move an artifact to retired; the actor is ada");
    let refused = drafted.when(retire(Act::new("board", "old", at(2))));
    refused.then_refused(Code::CC04, "a move to retired needs evidence");
    let vote = Act::new("board", "old", at(2)).with_evidence(json(r#"{"vote":7}"#));
    drafted.when(retire(vote)).then_tables(|_| {});
}

#[test]
fn a_policy_is_stored_and_read_back() {
    let policy = CustodyPolicy::from_moves([(Drafted, Retired)])
        .with_rule(Rule::FourEyes { to: Ratified })
        .with_rule(Rule::Reserved { to: Retired, actors: vec!["board".to_owned()] });
    let text = r#"{"moves":[["drafted","retired"]],"rules":[{"rule":"four_eyes","to":"ratified"},{"rule":"reserved","to":"retired","actors":["board"]}]}"#;
    assert_eq!(serde_json::to_string(&policy).unwrap(), text);
    assert_eq!(serde_json::from_str::<CustodyPolicy>(text).unwrap(), policy);
    let four_eyes = CustodyPolicy::standard().with_rule(Rule::FourEyes { to: Ratified });
    let text_without_moves = r#"{"rules":[{"rule":"four_eyes","to":"ratified"}]}"#;
    assert_eq!(serde_json::from_str::<CustodyPolicy>(text_without_moves).unwrap(), four_eyes);
    // Half a policy is none.
    for (known, unknown) in
        [("four_eyes", "six_eyes"), ("\"to\":\"ratified\"", "\"to\":\"ratified\",\"if\":1")]
    {
        assert!(serde_json::from_str::<CustodyPolicy>(&text.replace(known, unknown)).is_err());
    }
}

fn policies() -> impl Strategy<Value = CustodyPolicy> {
    let state = || prop::sample::select(CustodyState::ALL);
    let actors = prop::sample::subsequence(ACTORS.to_vec(), 0..=ACTORS.len());
    let rule = prop_oneof![
        state().prop_map(|to| Rule::FourEyes { to }),
        state().prop_map(|to| Rule::Evidence { to }),
        (state(), actors).prop_map(|(to, actors)| Rule::Reserved {
            to,
            actors: actors.into_iter().map(str::to_owned).collect(),
        }),
    ];
    // Half of all moves: enough that chains go on, and that ceremonies follow ceremonies.
    let moves = prop::collection::vec((state(), state()), 10..40);
    (moves, prop::collection::vec(rule, 0..4)).prop_map(|(moves, rules)| {
        rules.into_iter().fold(CustodyPolicy::from_moves(moves), CustodyPolicy::with_rule)
    })
}

fn wishes() -> impl Strategy<Value = Vec<(CustodyState, &'static str, bool)>> {
    let state = prop_oneof![
        3 => prop::sample::select(CustodyState::ALL),
        2 => Just(CeremonyOpen),
        1 => Just(Ratified),
    ];
    let wish = (state, prop::sample::select(&ACTORS[..]), any::<bool>());
    prop::collection::vec(wish, 1..40)
}

/// Records what the recorder takes, and all of it in a log that takes everything: the projector has
/// to set aside what the recorder refused, for the same reason, and nothing else.
async fn judged_in_both_places(
    policy: CustodyPolicy,
    wishes: Vec<(CustodyState, &'static str, bool)>,
    batch: usize,
) {
    let (checked, unchecked) = (MemoryChronicle::new(), MemoryChronicle::new());
    let recorder = Recorder::new(Arc::new(checked.clone()), policy.clone());
    let mut refused = Vec::new();
    let mut wanted: Vec<Event> = vec![bound().into(), registered().into()];
    for event in &wanted {
        recorder.record(event.clone()).await.unwrap();
    }
    wishes_into_links(&recorder, wishes, &mut wanted, &mut refused).await;
    let entries = wanted.iter().map(NewEntry::new);
    unchecked.append(Append::of(entries.collect::<Vec<_>>())).await.unwrap();

    let tables = projected(&unchecked, &policy, batch).await;
    let set_aside = tables.quarantined_entries.iter();
    let set_aside: Vec<_> = set_aside.map(|row| (row.code, row.reason.clone())).collect();
    assert_eq!(set_aside, refused);
    let recorded = projected(&checked, &policy, usize::MAX).await;
    assert_eq!(recorded.quarantined_entries, []);
    let hashes = |tables: &crate::ops::Tables| -> Vec<_> {
        tables.custody_transitions.iter().map(|link| link.hash).collect()
    };
    assert_eq!(hashes(&tables), hashes(&recorded));
    let mut judge = Judge::new(&policy);
    tables.custody_transitions.iter().for_each(|link| drop(judge.judge(link)));
    judge.check_links().unwrap();
}

async fn wishes_into_links(
    recorder: &Recorder,
    wishes: Vec<(CustodyState, &'static str, bool)>,
    wanted: &mut Vec<Event>,
    refused: &mut Vec<(Code, String)>,
) {
    for (nth, (to_state, actor, has_evidence)) in (3..).zip(wishes) {
        let head = recorder.artifact(ARTIFACT).await.unwrap().unwrap();
        let is_open = head.chain.as_ref().is_some_and(|chain| chain.state == CeremonyOpen);
        let wish = Move {
            to_state,
            actor: actor.to_owned(),
            reason: "because".to_owned(),
            ceremony_id: (to_state == CeremonyOpen && !is_open).then_some(CEREMONY),
            evidence: if has_evidence { json("[1]") } else { Json::null() },
            occurred_at: at(nth),
        };
        let link = custody::link(ARTIFACT, head.cid, head.chain.as_ref(), wish);
        wanted.push(link.clone().into());
        match recorder.record(link).await {
            Ok(_) => {}
            Err(RecordError::Refused { violation }) => {
                refused.push((violation.code(), violation.to_string()));
            }
            Err(other) => unreachable!("{other}"),
        }
    }
}

async fn projected(
    chronicle: &MemoryChronicle,
    policy: &CustodyPolicy,
    batch: usize,
) -> crate::ops::Tables {
    let ops_db = MemoryOpsDb::new();
    let projector = ops_db.projector().with_policy(policy.clone());
    let origin = chronicle.origin().await.unwrap().unwrap();
    let mut at = Position::ZERO;
    loop {
        let entries = chronicle.read(at, ReadLimit::entries(batch)).await.unwrap();
        if entries.is_empty() {
            return ops_db.tables();
        }
        let batch = Batch::decode(origin.clone(), entries).unwrap();
        at = projector.apply(batch).await.unwrap().position;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_recorder_and_the_fold_agree_under_any_policy(
        policy in policies(),
        wishes in wishes(),
        batch in 1..9_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(judged_in_both_places(policy, wishes, batch));
    }
}
