//! A log that fails: what passes is survived, and what does not ends it.

use std::sync::Arc;

use guildhall_conformance::faults::{Faulty, Mishap};
use guildhall_core::Position;
use guildhall_core::memory::MemoryChronicle;
use guildhall_projector::State;
use guildhall_projector::ceremony::{CeremonyOrchestrator, Topic};

use crate::support::settings;
use crate::{Guild, notice, seen, until, within};

#[tokio::test]
async fn a_failure_that_passes_is_survived_and_one_that_does_not_ends_it() {
    let chronicle = Arc::new(MemoryChronicle::new());
    let guild = Guild::on(Arc::clone(&chronicle));
    let id = guild.draft().await;
    within(guild.runtime.wait_until(Position::new(3))).await.unwrap();
    let mishaps = [Mishap::Transient, Mishap::AnswerLost, Mishap::None, Mishap::Permanent];
    let chronicle = Arc::new(Faulty::new(MemoryChronicle::clone(&chronicle), mishaps));
    let ops_db = Arc::clone(&guild.ops_db);
    let orchestrator = CeremonyOrchestrator::new(chronicle, ops_db).settings(settings()).start();
    let mut postures = within(orchestrator.subscribe([Topic::AllPostures])).await.unwrap();
    guild.record(seen(id, 1)).await;
    assert_eq!(notice(&mut postures).await.position, Position::new(4));
    assert_eq!(orchestrator.status().restarts, 2);
    guild.record(seen(id, 2)).await;
    assert_eq!(within(postures.next()).await, None, "the subscription ends");
    until(&orchestrator, |it| it.status().state == State::Failed).await;
    assert!(!orchestrator.status().is_healthy());
    assert!(within(orchestrator.subscribe([Topic::AllPostures])).await.is_err());
}

#[tokio::test]
async fn a_panic_ends_it_as_a_failure_that_does_not_pass_does() {
    let chronicle = Arc::new(MemoryChronicle::new());
    let guild = Guild::on(Arc::clone(&chronicle));
    let id = guild.draft().await;
    within(guild.runtime.wait_until(Position::new(3))).await.unwrap();
    let chronicle = Arc::new(Faulty::new(MemoryChronicle::clone(&chronicle), [Mishap::Panic]));
    let ops_db = Arc::clone(&guild.ops_db);
    let orchestrator = CeremonyOrchestrator::new(chronicle, ops_db).settings(settings()).start();
    let mut postures = within(orchestrator.subscribe([Topic::AllPostures])).await.unwrap();
    guild.record(seen(id, 1)).await;
    assert_eq!(within(postures.next()).await, None, "the subscription ends");
    until(&orchestrator, |it| it.status().state == State::Failed).await;
    let error = orchestrator.status().last_error.unwrap().message;
    assert!(error.starts_with("a task panicked") && error.contains("on purpose"), "{error}");
    assert!(within(orchestrator.moved_from(Position::new(3))).await.is_err());
    within(orchestrator.shutdown()).await;
}
