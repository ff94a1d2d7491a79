//! Everything at once: ceremonies open and close while lines are cut, versions are forgotten, the
//! server goes and comes, and the watcher's process starts anew. In the end, the Chronicle has
//! each step once, in order.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::large_futures,
    reason = "tests"
)]

mod common;

use std::time::Duration;

use common::cluster::{Cluster, Fault};
use common::{Guild, decided, open, until, watcher, within};
use guildhall_core::ArtifactId;
use guildhall_core::CustodyState::{self, CeremonyOpen, Drafted, Ratified};
use guildhall_projector::ceremony::CeremonyOrchestrator;
use guildhall_workload::random::Random;

const ARTIFACTS: usize = 6;
const STEPS: i64 = 150;

/// The entries of before: an accord, and the artifacts, drafted.
const FIRST: u64 = 1 + 2 * ARTIFACTS as u64;

/// An artifact, and what has to be in its chain.
struct Expected {
    artifact_id: ArtifactId,
    states: Vec<CustodyState>,
    open: Option<String>,
}

fn hears(guild: &Guild, cluster: &Cluster, random: &mut Random) -> CeremonyOrchestrator {
    // One page or many, one pass or many.
    let page_size = [1, 3, 100][usize::try_from(random.below(3)).unwrap()];
    let backlog_bytes = [4000, 16_000, 1 << 20][usize::try_from(random.below(3)).unwrap()];
    let watcher = watcher(cluster).page_size(page_size).backlog_bytes(backlog_bytes);
    guild.hears(watcher.watch_for(Duration::from_secs(1 + random.below(3))))
}

/// Waits until there are so many entries.
async fn settled(guild: &Guild, entries: u64) {
    while guild.head().await.get() < entries {
        tokio::task::yield_now().await;
    }
}

async fn storm(seed: u64) {
    println!("seed {seed}");
    let mut random = Random::seeded(seed);
    let (guild, cluster) = (Guild::new().await, Cluster::start().await.unwrap());
    let mut artifacts = Vec::new();
    for _ in 0..ARTIFACTS {
        let artifact_id = guild.draft().await;
        artifacts.push(Expected { artifact_id, states: vec![Drafted], open: None });
    }
    let mut orchestrator = hears(&guild, &cluster, &mut random);
    let (mut is_there, mut steps, mut refused) = (true, 0, Vec::new());
    for second in 0..STEPS {
        match random.below(20) {
            0 => cluster.cut_next_line(),
            1 => cluster.forget(),
            2 => drop(cluster.bookmark()),
            3 => cluster.fail_watches([Fault::Status(410)]),
            4 => cluster.fail_watches([Fault::Status(503), Fault::Status(500)]),
            5 => cluster.fail_lists([Fault::None, Fault::Status(410), Fault::Status(503)]),
            6 if is_there => {
                cluster.stop().await;
                is_there = false;
            }
            7 => {
                refused.extend(common::feed(&orchestrator).refusals);
                within(orchestrator.shutdown()).await;
                orchestrator = hears(&guild, &cluster, &mut random);
            }
            _ => {
                let nth = usize::try_from(random.below(ARTIFACTS as u64)).unwrap();
                let artifact = &mut artifacts[nth];
                steps += 1;
                if let Some(name) = artifact.open.take() {
                    let (phase, state) =
                        random.pick(&[("Ratified", Ratified), ("Withdrawn", Drafted)]);
                    cluster.set_status("change", &name, decided(phase, second));
                    artifact.states.push(state);
                } else {
                    // Names tell nothing of the order.
                    let name = format!("zone-{:x}", random.below(u64::MAX));
                    cluster.put(guild.with_status(&name, artifact.artifact_id, second, open()));
                    artifact.states.push(CeremonyOpen);
                    artifact.open = Some(name);
                }
                // Often, it is heard before more happens.
                if is_there && random.once_in(4) {
                    within(settled(&guild, FIRST + steps)).await;
                }
            }
        }
        if !is_there && random.once_in(3) {
            cluster.come_back().await.unwrap();
            is_there = true;
        }
    }
    if !is_there {
        cluster.come_back().await.unwrap();
    }
    let all = FIRST + steps;
    if tokio::time::timeout(common::SOON, settled(&guild, all)).await.is_err() {
        let requests = cluster.requests();
        eprintln!(
            "{} requests, the last: {:#?}",
            requests.len(),
            &requests[requests.len().saturating_sub(8)..]
        );
        panic!("seed {seed}: {} of {all}: {:#?}", guild.head().await, common::feed(&orchestrator));
    }
    let feed = until(&orchestrator, |feed| feed.is_healthy()).await;
    refused.extend(feed.refusals);
    assert_eq!(refused, [], "seed {seed}");
    for Expected { artifact_id, states, .. } in artifacts {
        let chain = guild.chain(artifact_id).await;
        let found: Vec<_> = chain.iter().map(|link| link.to_state).collect();
        assert_eq!(found, states, "seed {seed}");
        assert!(chain.windows(2).all(|pair| pair[0].occurred_at <= pair[1].occurred_at));
    }
    assert_eq!(guild.head().await.get(), all, "seed {seed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_each_step_is_recorded_once_and_in_order() {
    let seeds: Vec<u64> = match std::env::var("STORM_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (1..=8).collect(),
    };
    for seed in seeds {
        storm(seed).await;
    }
}
