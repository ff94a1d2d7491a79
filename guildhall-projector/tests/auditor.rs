//! The auditor: what it finds beside what runs, round after round.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use guildhall_conformance::workload::{Mix, Workload};
use guildhall_core::{Append, Chronicle, CustodyPolicy};
use guildhall_projector::proof::{Auditor, AuditorSettings, AuditorStatus, Sealer};
use guildhall_projector::{Settings, catch_up};
use guildhall_proof::verify::{Known, Verdict};
use guildhall_proof::{KeyType, LogKeys, Signer as _, SigningKey};
use guildhall_store_sqlite::SqliteStore;
use guildhall_store_sqlite::rusqlite::Connection;
use tokio::sync::watch;

const ORIGIN: &str = "guildhall/test";

async fn until(
    status: &mut watch::Receiver<AuditorStatus>,
    holds: impl FnMut(&AuditorStatus) -> bool,
) -> AuditorStatus {
    let found = tokio::time::timeout(Duration::from_secs(60), status.wait_for(holds));
    found.await.expect("it takes too long").unwrap().clone()
}

fn verdict(status: &AuditorStatus) -> Option<Verdict> {
    Some(status.verified.as_ref()?.outcome.as_ref().unwrap().verdict)
}

fn tables_hold(status: &AuditorStatus) -> Option<bool> {
    Some(status.audited.as_ref()?.outcome.as_ref().unwrap().holds)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_finds_what_was_changed_in_the_next_round() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guildhall.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let (log, ops_db) = (Arc::new(store.chronicle()), Arc::new(store.ops_db()));
    log.fix_origin(ORIGIN.parse().unwrap()).await.unwrap();
    let entries = Workload::new(17, Mix::DENSE).take(300);
    log.append(Append::of(entries)).await.unwrap();
    let projector = Arc::new(store.projector().start().unwrap());
    catch_up(log.clone(), projector, &Settings::default(), |_| {}).await.unwrap();
    let key = SigningKey::from_seed(ORIGIN.parse().unwrap(), KeyType::Ed25519, &[1; 32]).unwrap();
    let keys = LogKeys::single(ORIGIN.parse().unwrap(), key.key().clone()).unwrap();
    Sealer::builder(log.clone(), Arc::new(key)).seal().await.unwrap();

    let known = Known { keys: Some(keys), witnesses: None };
    let settings = AuditorSettings::default().every(Duration::from_millis(5));
    let auditor = Auditor::start(log, ops_db, CustodyPolicy::standard(), known, settings);
    let mut status = auditor.watch_status();
    let first = until(&mut status, |it| it.audited.is_some()).await;
    assert_eq!((verdict(&first), tables_hold(&first)), (Some(Verdict::Holds), Some(true)));
    let round = first.verified.unwrap();
    assert!(round.began_at <= round.ended_at);

    let owner = Connection::open(&path).unwrap();
    owner.busy_timeout(Duration::from_secs(60)).unwrap();
    owner.execute_batch("UPDATE governed_artifacts SET name = 'another'").unwrap();
    let changed = until(&mut status, |it| tables_hold(it) == Some(false)).await;
    assert_eq!(verdict(&changed), Some(Verdict::Holds));
    let triggers = "SELECT group_concat('DROP TRIGGER ' || name, ';') FROM sqlite_schema
                    WHERE type = 'trigger' AND tbl_name = 'chronicle_entries'";
    let drop: String = owner.query_row(triggers, [], |row| row.get(0)).unwrap();
    owner.execute_batch(&drop).unwrap();
    let edit = "UPDATE chronicle_entries SET recorded_at = '2026-01-01T00:00:00.000000Z'
                WHERE position = 7";
    owner.execute_batch(edit).unwrap();
    let edited = until(&mut status, |it| verdict(it) == Some(Verdict::DoesNotHold)).await;
    let report = edited.verified.unwrap().outcome.unwrap();
    assert!(report.findings[0].to_string().contains("position 7"), "{:?}", report.findings);
}

#[tokio::test]
async fn it_says_why_nothing_could_be_said_and_ends_with_its_last_handle() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("guildhall.db")).await.unwrap();
    let (log, ops_db) = (Arc::new(store.chronicle()), Arc::new(store.ops_db()));
    let (policy, settings) = (CustodyPolicy::standard(), AuditorSettings::default());
    let auditor = Auditor::start(log, ops_db, policy, Known::default(), settings);
    let (other, mut status) = (auditor.clone(), auditor.watch_status());
    drop(auditor);
    // It rests for a day after this.
    let first = until(&mut status, |it| it.audited.is_some()).await;
    assert!(first.under_way_since.is_none());
    let nothing = first.verified.unwrap().outcome.unwrap_err();
    assert!(nothing.contains("no entry"), "{nothing}");
    drop(other);
    let ended = tokio::time::timeout(Duration::from_secs(60), status.changed());
    assert!(ended.await.expect("it goes on").is_err(), "nothing else is found");
}
