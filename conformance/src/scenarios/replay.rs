//! Replay idempotence: the property that a projection is judged by. Whatever the batches, their
//! overlaps, their repetitions, the restarts, the rivals and the memory, the tables are those of
//! the reference model and, column by column, those of one batch from nothing.

use std::sync::Arc;

use guildhall_core::custody::Rule;
use guildhall_core::{CustodyPolicy, CustodyState, Position, Rebuild, Tables};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::harness::{Harness, ProjectorSettings};
use crate::log::Log;
use crate::reference::Reference;
use crate::tables::Compare as _;
use crate::workload::{ACTORS, Hostile, Mix, Workload};

super::scenarios! { $ __replay = replay:
    any_replay_of_a_sound_log_gives_the_same_tables,
    any_replay_of_a_hostile_log_gives_the_same_tables,
    any_rebuild_gives_the_same_tables,
    any_policy_is_judged_as_the_model_judges_it,
}

/// How many logs a property is tried on, unless `PROPTEST_CASES` says otherwise.
const CASES: u32 = 12;

/// What happens to a projection.
#[derive(Debug, Clone)]
enum Step {
    /// One of two rivals takes in a batch that reaches back so far and on so far, from what it took in last;
    /// and may hold it back, where others follow.
    Apply { rival: usize, back: u64, count: usize, is_followed: bool },
    /// The process ends and starts again.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let apply = (0..2_usize, 0..40_u64, 0..80_usize, any::<bool>()).prop_map(
        |(rival, back, count, is_followed)| Step::Apply { rival, back, count, is_followed },
    );
    prop::collection::vec(prop_oneof![9 => apply, 1 => Just(Step::Restart)], 1..16)
}

/// A log by its seed: two words say all of it.
pub(super) fn log(seed: u64, count: usize, is_hostile: bool) -> Log {
    if is_hostile {
        Log::of(Hostile::new(seed, Mix::DENSE).take(count).map(|hostile| hostile.entry))
    } else {
        Log::of(Workload::new(seed, Mix::DENSE).take(count))
    }
}

/// Tries a property. What fails is shrunk and shown: the seed of its log and what was done to it.
pub(super) fn try_cases<S, F>(strategy: S, property: impl Fn(S::Value) -> F)
where
    S: Strategy,
    F: Future<Output = Result<(), TestCaseError>>,
{
    let mut config = Config { failure_persistence: None, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
        config.max_shrink_iters = 64;
    }
    let runtime = tokio::runtime::Handle::current();
    let outcome = TestRunner::new(config)
        .run(&strategy, |input| tokio::task::block_in_place(|| runtime.block_on(property(input))));
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

fn same(found: &Tables, expected: &Tables) -> Result<(), TestCaseError> {
    found.difference(expected).map_or(Ok(()), |difference| Err(TestCaseError::fail(difference)))
}

/// The tables that one batch makes from nothing.
async fn at_once<H: Harness>(log: &Log) -> Tables {
    let harness = H::fresh().await;
    let projector = harness.projector(ProjectorSettings::default()).await;
    projector.apply(log.rest(Position::ZERO)).await.unwrap();
    harness.tables().await
}

async fn rivals<H: Harness>(harness: &H, memory_bytes: Option<usize>) -> [Arc<dyn Rebuild>; 2] {
    let settings = ProjectorSettings { memory_bytes, ..ProjectorSettings::without_lease() };
    [harness.projector(settings.clone()).await, harness.projector(settings).await]
}

async fn replay<H: Harness>(
    log: Log,
    steps: Vec<Step>,
    memory_bytes: Option<usize>,
) -> Result<(), TestCaseError> {
    let mut harness = H::fresh().await;
    let mut projectors = rivals(&harness, memory_bytes).await;
    // How far each took the log in, applied or not.
    let mut taken = [Position::ZERO; 2];
    for step in steps {
        match step {
            Step::Apply { rival, back, count, is_followed } => {
                let at = projectors[rival].checkpoint().await.unwrap().position;
                let from = taken[rival].max(at).saturating_sub(back);
                let batch = log.batch(from, count);
                let last = batch.last_position();
                let taking = if is_followed {
                    projectors[rival].gather(batch).await
                } else {
                    projectors[rival].apply(batch).await
                };
                taken[rival] = Position::ZERO;
                match taking {
                    Ok(applied) => {
                        let reached = projectors[1 - rival].checkpoint().await.unwrap().position;
                        prop_assert_eq!(reached, applied.position);
                        prop_assert_eq!(reached.get() - at.get(), applied.entries);
                        if let Some(last) = last {
                            prop_assert!(is_followed || reached == last.max(at));
                            taken[rival] = last;
                        }
                    }
                    // What it held back was forgotten, and the log goes on at the checkpoint.
                    Err(error) => prop_assert!(error.is_transient() && from > at, "{}", error),
                }
            }
            Step::Restart => {
                drop(projectors);
                harness = harness.reopened().await;
                projectors = rivals(&harness, memory_bytes).await;
                taken = [Position::ZERO; 2];
            }
        }
    }
    let at = projectors[0].checkpoint().await.unwrap().position;
    let expected = Reference::tables_of(log.origin(), &log.entries()[..index(at)]);
    if at > Position::ZERO {
        same(&harness.tables().await.without_reasons(), &expected)?;
    }
    for entries in (index(at)..log.entries().len()).step_by(50) {
        let from = Position::try_from(entries as u64).unwrap();
        projectors[0].gather(log.batch(from, 50)).await.unwrap();
    }
    projectors[0].apply(log.rest(log.head())).await.unwrap();
    projectors[1].apply(log.rest(Position::ZERO)).await.unwrap();
    let tables = harness.tables().await;
    same(&tables, &at_once::<H>(&log).await)?;
    same(&tables.without_reasons(), &Reference::tables_of(log.origin(), log.entries()))
}

fn index(position: Position) -> usize {
    usize::try_from(position.get()).unwrap()
}

fn memory() -> impl Strategy<Value = Option<usize>> {
    prop_oneof![Just(None), Just(Some(0)), Just(Some(4096))]
}

pub async fn any_replay_of_a_sound_log_gives_the_same_tables<H: Harness>(harness: H) {
    drop(harness);
    try_cases((any::<u64>(), 20..300_usize, steps(), memory()), |(seed, count, steps, memory)| {
        replay::<H>(log(seed, count, false), steps, memory)
    });
}

pub async fn any_replay_of_a_hostile_log_gives_the_same_tables<H: Harness>(harness: H) {
    drop(harness);
    try_cases((any::<u64>(), 20..300_usize, steps(), memory()), |(seed, count, steps, memory)| {
        replay::<H>(log(seed, count, true), steps, memory)
    });
}

/// The live tables stand somewhere, and the next generation is filled by any batches.
pub async fn any_rebuild_gives_the_same_tables<H: Harness>(harness: H) {
    drop(harness);
    let batches = prop::collection::vec((0..40_u64, 0..80_usize), 1..8);
    let input = (any::<u64>(), 20..300_usize, 0..300_usize, batches, memory(), any::<bool>());
    try_cases(input, |(seed, count, live, batches, memory_bytes, seals_early)| async move {
        let log = log(seed, count, true);
        let harness = H::fresh().await;
        let [projector, _] = rivals(&harness, memory_bytes).await;
        projector.apply(log.batch(Position::ZERO, live)).await.unwrap();
        let before = harness.tables().await;
        let mut generation = projector.begin_rebuild().await.unwrap();
        for (back, count) in batches {
            let at = generation.checkpoint().position;
            let from = at.saturating_sub(back);
            generation.apply(log.batch(from, count)).await.unwrap();
        }
        same(&harness.tables().await, &before)?;
        if seals_early {
            generation.seal().await.unwrap();
        }
        generation.apply(log.rest(generation.checkpoint().position)).await.unwrap();
        generation.seal().await.unwrap();
        prop_assert!(generation.swap(None).await.unwrap());
        let tables = harness.tables().await;
        same(&tables, &at_once::<H>(&log).await)?;
        same(&tables.without_reasons(), &Reference::tables_of(log.origin(), log.entries()))
    });
}

/// Most of the standard moves, some others, and rules that the workload's actors break now and then.
fn policy() -> impl Strategy<Value = CustodyPolicy> {
    let state = || prop::sample::select(CustodyState::ALL);
    let actors = prop::sample::subsequence(ACTORS.to_vec(), 1..=ACTORS.len());
    let reserved = (state(), actors).prop_map(|(to, actors)| {
        let actors = actors.into_iter().map(str::to_owned).collect();
        Rule::Reserved { to, actors }
    });
    let rule = prop_oneof![
        Just(Rule::FourEyes { to: CustodyState::Ratified }),
        state().prop_map(|to| Rule::FourEyes { to }),
        state().prop_map(|to| Rule::Evidence { to }),
        reserved,
    ];
    let gone = prop::collection::vec((state(), state()), 0..4);
    let more = prop::collection::vec((state(), state()), 0..6);
    (gone, more, prop::collection::vec(rule, 0..3)).prop_map(|(gone, more, rules)| {
        let standard = CustodyPolicy::standard();
        let all = CustodyState::ALL.iter();
        let standard = all.flat_map(|&from| standard.successors(from).map(move |to| (from, to)));
        let moves: Vec<_> = standard.filter(|it| !gone.contains(it)).collect();
        let policy = CustodyPolicy::from_moves(moves.into_iter().chain(more));
        rules.into_iter().fold(policy, CustodyPolicy::with_rule)
    })
}

/// Whatever a projector keeps of a head between batches, or loads of it: who opened the ceremony, too.
pub async fn any_policy_is_judged_as_the_model_judges_it<H: Harness>(harness: H) {
    drop(harness);
    let batches = prop::collection::vec(1..80_usize, 1..12);
    let input = (any::<u64>(), 20..300_usize, policy(), batches, memory());
    try_cases(input, |(seed, count, policy, batches, memory_bytes)| async move {
        let log = log(seed, count, true);
        let harness = H::fresh().await;
        let settings = ProjectorSettings { policy, memory_bytes, ..ProjectorSettings::default() };
        let projector = harness.projector(settings.clone()).await;
        for count in batches {
            let at = projector.checkpoint().await.unwrap().position;
            projector.apply(log.batch(at, count)).await.unwrap();
        }
        let at = projector.checkpoint().await.unwrap().position;
        projector.apply(log.rest(at)).await.unwrap();
        let expected = Reference::tables_under(&settings.policy, log.origin(), log.entries());
        same(&harness.tables().await.without_reasons(), &expected)
    });
}
