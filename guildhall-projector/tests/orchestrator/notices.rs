//! What subscribers receive: each change once, and where they stand.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use guildhall_conformance::faults::Faulty;
use guildhall_core::command::Command;
use guildhall_core::memory::MemoryChronicle;
use guildhall_core::{
    Append, ArtifactId, CeremonyId, Cid, CustodyState, DeploymentObserved, Event, Health, Json,
    NewEntry, OpsDb, Outcome, Position, VerificationRecorded,
};
use guildhall_projector::ceremony::{
    CeremonyOrchestrator, CeremonyOutcome, Change, Delivery, Missed, Notice, Topic,
};
use guildhall_projector::{Runtime, Settings};
use guildhall_store_sqlite::SqliteStore;

use crate::support::settings;
use crate::{Guild, act, at, looked, notice, seen, within};

#[tokio::test]
async fn each_change_is_told_once_under_its_topics_and_can_be_queried() {
    let guild = Guild::in_memory();
    let (id, other) = (guild.draft().await, guild.draft().await);
    within(guild.runtime.wait_until(Position::new(6))).await.unwrap();
    let orchestrator = guild.orchestrator().start();
    let mut ceremonies = within(orchestrator.subscribe([Topic::CeremoniesOf(id)])).await.unwrap();
    let mut custody = within(orchestrator.subscribe([Topic::CustodyOf(id)])).await.unwrap();
    let mut posture = within(orchestrator.subscribe([Topic::PostureOf(id)])).await.unwrap();
    let mut all = within(orchestrator.subscribe(Topic::EVERYTHING)).await.unwrap();
    let after = all.position();
    let ceremony = CeremonyId::new();
    guild.record(Command::open_ceremony(other, CeremonyId::new(), act(1))).await;
    let opened = guild.record(Command::open_ceremony(id, ceremony, act(1))).await;
    let told = notice(&mut ceremonies).await;
    let (actor, reason) = ("ada".to_owned(), "because".to_owned());
    assert_eq!(told.position, opened);
    assert_eq!(
        told.change,
        Change::CeremonyOpened {
            ceremony_id: Some(ceremony),
            actor: actor.clone(),
            reason: reason.clone()
        }
    );
    let open = guild.ops_db.open_ceremonies(None, 10).await.unwrap().rows;
    assert!(open.iter().any(|row| row.opened.position == opened), "the notice can be queried");
    guild.record(Command::close_ceremony(id, ceremony, CustodyState::Ratified, act(2))).await;
    let outcome = CeremonyOutcome::Ratified;
    let closed = notice(&mut ceremonies).await;
    assert_eq!(
        closed.change,
        Change::CeremonyClosed { ceremony_id: Some(ceremony), outcome, actor, reason }
    );
    let rows = guild.ops_db.closed_ceremonies(None, 10).await.unwrap().rows;
    assert_eq!(rows[0].closed.position, closed.position);

    guild.record(Command::transition(id, CustodyState::Deployed, act(3))).await;
    guild.record(seen(id, 4)).await;
    let verdict = VerificationRecorded {
        artifact_id: id,
        evidence: Json::null(),
        outcome: Outcome::Passed,
        target: None,
        verified_at: at(5),
        verifier: "scanner".to_owned(),
    };
    let last = guild.record(verdict).await;
    let moved = notice(&mut custody).await;
    assert!(matches!(moved.change, Change::CustodyMoved { to_state: CustodyState::Deployed, .. }));
    // A posture's topic carries posture alone.
    assert!(matches!(
        notice(&mut posture).await.change,
        Change::DeploymentChanged { from: None, to, .. } if to.health == Health::Healthy
    ));
    assert!(matches!(
        notice(&mut posture).await.change,
        Change::VerificationRecorded { outcome: Outcome::Passed, target: None, .. }
    ));
    // Whoever hears of everything hears of each once, in order; the past tells the same.
    let mut heard = Vec::new();
    while heard.last().is_none_or(|notice: &Notice| notice.position < last) {
        heard.push(Notice::clone(&*notice(&mut all).await));
    }
    assert_eq!(heard.len(), 6);
    assert!(heard.windows(2).all(|pair| pair[0].position < pair[1].position));
    let past = orchestrator.catch_up(&Topic::EVERYTHING, after, Position::MAX).await.unwrap();
    assert!(past.is_done && past.position == last);
    assert_eq!(past.notices, heard);
    let rest = (ceremonies.try_next(), custody.try_next(), posture.try_next());
    assert_eq!(rest, (None, None, None));
    assert!(orchestrator.status().is_healthy());
    assert_eq!(orchestrator.status().notices, 6);
}

#[tokio::test]
async fn an_observation_is_told_where_it_changes_something_and_as_from_what_to_what() {
    let guild = Guild::in_memory();
    let id = guild.draft().await;
    within(guild.runtime.wait_until(Position::new(3))).await.unwrap();
    let orchestrator = guild.orchestrator().start();
    let mut posture = within(orchestrator.subscribe([Topic::AllPostures])).await.unwrap();
    let ratified = Cid::of(&Json::parse("{}").unwrap());
    let [stray, other] = ["1", "2"].map(|json| Cid::of(&Json::parse(json).unwrap()));
    // When it was looked, and what was found; and whether that is told.
    let looks = [
        (10, Some(ratified), true),
        (20, Some(ratified), false),
        (30, Some(stray), true),
        (40, Some(stray), false),
        // Late, whatever it found.
        (35, Some(ratified), false),
        (5, None, false),
        // As drifted as before, by another content.
        (50, Some(other), true),
        (50, None, true),
        (60, Some(ratified), true),
    ];
    let mut expected = Vec::new();
    let mut before = None;
    for (second, found, is_told) in looks {
        let desired_cid = ratified;
        let look = DeploymentObserved { desired_cid, ..looked(id, second, found) };
        let position = guild.record(look).await;
        if is_told {
            expected.push((position, second, before.replace(found), found));
        }
    }
    for (position, second, before, found) in expected {
        let told = notice(&mut posture).await;
        assert_eq!(told.position, position);
        let Change::DeploymentChanged { target, from, to, observed_at } = &told.change else {
            panic!("{told:?}")
        };
        assert_eq!((target.as_str(), *observed_at), ("eu", at(second)));
        for (seen, found) in [(from.as_ref(), before), (Some(to), Some(found))] {
            assert_eq!(seen.map(|seen| seen.observed_cid), found, "{told:?}");
            assert_eq!(
                seen.map(|seen| seen.health),
                found.map(|found| Health::of(ratified, found))
            );
        }
    }
    assert_eq!(posture.try_next(), None);
    // What was told live is what the past tells.
    let past = orchestrator.catch_up(&[Topic::AllPostures], Position::new(3), Position::MAX).await;
    assert_eq!(past.unwrap().notices.len(), 5);
}

#[tokio::test]
async fn what_goes_to_quarantine_is_not_told() {
    let guild = Guild::in_memory();
    let id = guild.draft().await;
    within(guild.runtime.wait_until(Position::new(3))).await.unwrap();
    let orchestrator = guild.orchestrator().start();
    let mut all = within(orchestrator.subscribe(Topic::EVERYTHING)).await.unwrap();
    let broken = NewEntry::new(&Event::from(seen(ArtifactId::new(), 1)));
    let sound = NewEntry::new(&Event::from(seen(id, 1)));
    let appended = guild.chronicle.append(Append::of([broken.clone(), sound, broken])).await;
    assert!(appended.is_ok());
    assert_eq!(notice(&mut all).await.position, Position::new(5));
    assert_eq!(guild.ops_db.overview().await.unwrap().quarantined, 1);
    assert_eq!(all.try_next(), None);
}

#[tokio::test]
async fn a_slow_subscriber_holds_nobody_up_and_reads_what_it_missed_by_position() {
    let guild = Guild::in_memory();
    let id = guild.draft().await;
    within(guild.runtime.wait_until(Position::new(3))).await.unwrap();
    let orchestrator = guild.orchestrator().queued_notices(3).start();
    let mut slow = within(orchestrator.subscribe([Topic::AllPostures])).await.unwrap();
    let mut last = Position::ZERO;
    for second in 0..1500 {
        let entries = [NewEntry::new(&Event::from(seen(id, second)))];
        last = guild.chronicle.append(Append::of(entries)).await.unwrap()[0].position;
    }
    // It has read nothing yet, and everything went on.
    let mut position = Position::ZERO;
    while position < last {
        position = within(orchestrator.moved_from(position)).await.unwrap();
    }
    let mut heard = Vec::new();
    let missed = loop {
        match within(slow.next()).await.unwrap() {
            Delivery::Notice(notice) => heard.push(Notice::clone(&notice)),
            Delivery::Missed(missed) => break missed,
        }
    };
    assert_eq!((heard.len(), missed.count), (3, 1497));
    let Missed { mut after, through, .. } = missed;
    let topics = [Topic::PostureOf(id)];
    loop {
        let past = orchestrator.catch_up(&topics, after, through).await.unwrap();
        heard.extend(past.notices);
        after = past.position;
        if past.is_done {
            break;
        }
    }
    let positions: Vec<u64> = heard.iter().map(|notice| notice.position.get()).collect();
    assert_eq!(positions, (4..=1503).collect::<Vec<_>>());
    assert_eq!(orchestrator.status().missed, 1497);
}

#[tokio::test]
async fn who_subscribes_to_nothing_has_nothing_read_and_hears_where_things_stand() {
    let chronicle = Arc::new(MemoryChronicle::new());
    let guild = Guild::on(Arc::clone(&chronicle));
    let id = guild.draft().await;
    within(guild.runtime.wait_until(Position::new(3))).await.unwrap();
    let chronicle = Arc::new(Faulty::new(MemoryChronicle::clone(&chronicle), []));
    let ops_db = Arc::clone(&guild.ops_db);
    let options = CeremonyOrchestrator::new(chronicle.clone(), ops_db).settings(settings());
    let orchestrator = options.start();
    let mut nothing = within(orchestrator.subscribe([])).await.unwrap();
    let last = guild.record(seen(id, 1)).await;
    assert_eq!(within(orchestrator.moved_from(Position::new(3))).await.unwrap(), last);
    assert_eq!(chronicle.calls.load(Ordering::Relaxed), 0, "the log is not read");
    assert_eq!(nothing.try_next(), None);
}

#[tokio::test]
async fn a_dropped_orchestrator_ends_its_subscriptions() {
    let guild = Guild::in_memory();
    let orchestrator = guild.orchestrator().start();
    let mut subscription = within(orchestrator.subscribe([Topic::AllCeremonies])).await.unwrap();
    drop(orchestrator);
    assert_eq!(within(subscription.next()).await, None);
}

/// Two handles on one file, as two processes have: one projects, the other one is told.
#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite_what_another_process_projects_is_told_and_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guildhall.db");
    let (here, there) =
        (SqliteStore::open(&path).await.unwrap(), SqliteStore::open(&path).await.unwrap());
    let projector = Arc::new(there.projector().start().unwrap());
    let runtime = Runtime::spawn(Arc::new(there.chronicle()), projector, Settings::default());
    let guild = Guild::of(Arc::new(there.chronicle()), Arc::new(there.ops_db()), runtime);
    let id = guild.draft().await;
    within(guild.runtime.wait_until(Position::new(3))).await.unwrap();

    let ops_db = here.ops_db();
    let orchestrator =
        CeremonyOrchestrator::new(Arc::new(here.chronicle()), Arc::new(ops_db.clone())).start();
    let mut ceremonies = within(orchestrator.subscribe([Topic::AllCeremonies])).await.unwrap();
    for round in 1..=20 {
        let ceremony = CeremonyId::new();
        let opened = guild.record(Command::open_ceremony(id, ceremony, act(2 * round))).await;
        assert_eq!(notice(&mut ceremonies).await.position, opened);
        let open = ops_db.open_ceremonies(None, 10).await.unwrap().rows;
        assert_eq!(open.first().and_then(|row| row.ceremony_id), Some(ceremony));
        let withdrawn = CustodyState::Drafted;
        let close = Command::close_ceremony(id, ceremony, withdrawn, act(2 * round + 1));
        guild.record(close).await;
        let closed = notice(&mut ceremonies).await;
        let is_withdrawn = CeremonyOutcome::Withdrawn;
        assert!(
            matches!(closed.change, Change::CeremonyClosed { outcome, .. } if outcome == is_withdrawn)
        );
        assert_eq!(ops_db.overview().await.unwrap().open_ceremonies, 0);
    }
    within(orchestrator.shutdown()).await;
    within(guild.runtime.shutdown()).await.unwrap();
}
