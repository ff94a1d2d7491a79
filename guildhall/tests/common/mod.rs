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

/// Two handles on one database, as much like two processes as can be, of which `there` projects
/// nothing: it waits for what `here` does, and is told where nobody will do it.
pub(crate) async fn waits_for_what_another_projects(here: Guild, there: Guild) {
    let (id, drafted) = draft_zone(&here).await;
    let at_once = there.read_models().grace(Duration::ZERO);
    let nobody = soon(at_once.wait_until(drafted)).await;
    assert!(matches!(nobody, Err(WaitError::NoReadModel { .. })), "{nobody:?}");

    // Whoever is patient waits for the projector to be started.
    let patient = there.read_models().grace(PATIENCE);
    let waiting = tokio::spawn({
        let patient = patient.clone();
        async move { patient.wait_until(drafted).await }
    });
    let runtime = here.run();
    soon(waiting).await.unwrap().unwrap();
    assert_eq!(state(&there, id).await, Some(CustodyState::Drafted));

    // What nobody has recorded yet may still be.
    let next = drafted.next().unwrap();
    let waiting = tokio::spawn({
        let at_once = at_once.clone();
        async move { at_once.wait_until(next).await }
    });
    let open = Command::open_ceremony(id, CeremonyId::new(), act());
    here.recorder().record(open).await.unwrap();
    soon(waiting).await.unwrap().unwrap();
    assert_eq!(state(&there, id).await, Some(CustodyState::CeremonyOpen));
    let unknown = soon(at_once.wait_until_in("unheard_of", next)).await;
    assert!(matches!(unknown, Err(WaitError::NoReadModel { .. })), "{unknown:?}");

    soon(runtime.shutdown()).await.unwrap();
    soon(at_once.wait_until(next)).await.unwrap();
    let over = soon(at_once.wait_until(next.next().unwrap())).await;
    let Err(WaitError::NobodyProjects { found, .. }) = over else { panic!("{over:?}") };
    assert_eq!(found, next);
    soon(here.close()).await.unwrap();
    soon(there.close()).await.unwrap();
}
