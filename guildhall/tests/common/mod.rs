//! What is true of a guild wherever it keeps what it knows.
#![allow(dead_code, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use guildhall::Builder;
use guildhall::core::Violation;
use guildhall::prelude::*;

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The outcome of this, if it comes in time.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap()
}

pub(crate) fn act() -> Act {
    Act::new("ada", "why", "2026-11-23T10:05:00.000000Z".parse().unwrap())
}

/// A zone of no governance yet, and the accord that is to govern it.
pub(crate) fn zone() -> (AccordBound, ArtifactRegistered) {
    let accord =
        AccordBound::new("changes", "board", Json::parse("{}").unwrap(), act().occurred_at);
    let (content, schema) = (Json::parse(r#"{"ttl": 300}"#).unwrap(), "https://example.com/zone");
    let (kind, name) = (artifact_type::DNS_ZONE, "example.com");
    let zone = ArtifactRegistered::new(accord.accord_id, kind, name, Tier::ALL[0], content, schema);
    (accord, zone)
}

/// Registers a zone and drafts it; answers where it stands in the log.
pub(crate) async fn draft_zone(guild: &Guild) -> (ArtifactId, Position) {
    let (accord, zone) = zone();
    let (id, recorder) = (zone.artifact_id, guild.recorder());
    recorder.record(accord).await.unwrap();
    recorder.record(zone).await.unwrap();
    let draft = Command::transition(id, CustodyState::Drafted, act());
    (id, recorder.record(draft).await.unwrap().position)
}

/// Where the Ops DB says that an artifact stands.
pub(crate) async fn state(guild: &Guild, id: ArtifactId) -> Option<CustodyState> {
    guild.ops_db().artifact(id).await.unwrap().and_then(|found| found.artifact.custody_state)
}

/// Nothing was refused by whoever projected.
pub(crate) async fn assert_nothing_is_quarantined(guild: &Guild) {
    let quarantined = guild.ops_db().quarantined(None, 10).await.unwrap();
    assert_eq!(quarantined.rows, []);
}

/// Records, waits, reads and closes; answers the artifact, which is drafted.
pub(crate) async fn work_through_a_day(guild: &Guild) -> ArtifactId {
    let runtime = guild.run();
    let mut changes = guild.orchestrator().subscribe([Topic::AllCeremonies]).await.unwrap();
    let (id, drafted) = draft_zone(guild).await;
    soon(runtime.wait_until(drafted)).await.unwrap();
    assert_eq!(state(guild, id).await, Some(CustodyState::Drafted));
    let (ceremony, recorder) = (CeremonyId::new(), guild.recorder());
    recorder.record(Command::open_ceremony(id, ceremony, act())).await.unwrap();
    let Some(Delivery::Notice(notice)) = soon(changes.next()).await else { panic!("no notice") };
    assert!(matches!(notice.change, Change::CeremonyOpened { .. }), "{notice:?}");
    assert_eq!(guild.ops_db().open_ceremonies(None, 10).await.unwrap().rows.len(), 1);
    let withdraw = Command::close_ceremony(id, ceremony, CustodyState::Drafted, act());
    let withdrawn = recorder.record(withdraw).await.unwrap().position;
    // Where it runs, that is what a catch-up waits for.
    assert!(soon(guild.catch_up()).await.unwrap().position >= withdrawn);
    assert_eq!(state(guild, id).await, Some(CustodyState::Drafted));
    let orchestrator = guild.orchestrator();
    soon(guild.close()).await.unwrap();
    assert!(runtime.status().state.is_final() && orchestrator.status().state.is_final());
    id
}

/// A policy that permits one move, which the standard one does not.
pub(crate) fn suspend_drafts() -> CustodyPolicy {
    CustodyPolicy::from_moves([(CustodyState::Drafted, CustodyState::Suspended)])
}

/// What the builder's guild accepts under another policy is what it projects and rebuilds, and what
/// the standard policy permits is refused.
pub(crate) async fn honours_its_policy(builder: Builder) {
    let lease_time = Duration::from_millis(1234);
    let guild = builder.policy(suspend_drafts()).lease_time(lease_time).open().await.unwrap();
    assert_eq!(guild.projector().lease_time(), lease_time);
    let (id, _) = draft_zone(&guild).await;
    let suspend = Command::transition(id, CustodyState::Suspended, act());
    let suspended = guild.recorder().record(suspend).await.unwrap().position;
    let open = Command::open_ceremony(id, CeremonyId::new(), act());
    let refused = guild.recorder().record(open).await;
    let Err(RecordError::Refused { violation: Violation::NotPermitted { .. } }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(soon(guild.catch_up()).await.unwrap().position, suspended);
    assert_eq!(state(&guild, id).await, Some(CustodyState::Suspended));
    assert_nothing_is_quarantined(&guild).await;
    assert_eq!(soon(guild.rebuild()).await.unwrap().position, suspended);
    assert_eq!(state(&guild, id).await, Some(CustodyState::Suspended));
    assert_nothing_is_quarantined(&guild).await;
    soon(guild.close()).await.unwrap();
}
