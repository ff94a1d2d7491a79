//! What the tests of the Ops DB share: a seeded log of every kind of entry, and the tables as text.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::path::Path;

use guildhall_core::custody::{self, ChainHead, Move};
use guildhall_core::{
    AccordBound, AccordId, Append, ArtifactId, ArtifactRegistered, ArtifactRevised, Batch,
    CeremonyId, Chronicle, Cid, CustodyState, DeploymentObserved, Event, Json, LinkHash, NewEntry,
    Outcome, Projector, ReadLimit, Tier, Timestamp, VerificationRecorded,
};
use guildhall_store_sqlite::{SqliteProjector, SqliteStore, rusqlite};

/// The id that a number stands for.
pub(crate) fn id(kind: u128, nth: usize) -> uuid::Uuid {
    uuid::Uuid::from_u128((kind << 64) | u128::try_from(nth).unwrap())
}

pub(crate) fn artifact(nth: usize) -> ArtifactId {
    ArtifactId::from_uuid(id(2, nth))
}

pub(crate) fn accord(nth: usize) -> AccordId {
    AccordId::from_uuid(id(1, nth))
}

/// So many seconds after the start.
pub(crate) fn at(seconds: usize) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + i64::try_from(seconds).unwrap() * 1_000_000)
        .unwrap()
}

pub(crate) fn json(text: &str) -> Json {
    Json::parse(text).unwrap()
}

/// A log that touches every table: `artifacts` artifacts under three accords, `rounds` rounds of
/// moves, observations, verifications and revisions, and a bad link now and then.
pub(crate) fn log(artifacts: usize, rounds: usize) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    for nth in 0..3 {
        events.push(
            AccordBound {
                accord_id: accord(nth),
                accord_terms: json(&format!(r#"{{"approvals":{nth},"area":["a","b"]}}"#)),
                bound_by: "board".to_owned(),
                effective_at: at(0),
                name: format!("accord {nth}"),
            }
            .into(),
        );
    }
    let mut seed = 7_usize;
    let mut dice = move |sides: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % sides
    };
    let mut chains: Vec<Option<ChainHead>> = vec![None; artifacts];
    let mut contents: Vec<Json> = Vec::new();
    for nth in 0..artifacts {
        let content = json(&format!(r#"{{"nth":{nth},"ttl":300,"zone":"z{}"}}"#, nth % 5));
        contents.push(content.clone());
        events.push(
            ArtifactRegistered {
                accord_id: accord(nth % 3),
                artifact_id: artifact(nth),
                artifact_type: ["dns_zone", "helm_values"][nth % 2].to_owned(),
                cid: Cid::of(&content),
                content,
                content_schema: "https://example.com/schema".to_owned(),
                name: format!("artifact {}%_{}", nth % 7, ["Alpha", "beta"][nth % 2]),
                tier: Tier::ALL[nth % 4],
            }
            .into(),
        );
    }
    for round in 1..=rounds {
        let nth = dice(artifacts);
        let (artifact_id, cid) = (artifact(nth), Cid::of(&contents[nth]));
        let time = at(round);
        match dice(10) {
            0..=3 => {
                let to_state = match chains[nth].as_ref().map(|head| head.state) {
                    None => CustodyState::Drafted,
                    Some(CustodyState::Drafted | CustodyState::Deployed) => {
                        CustodyState::CeremonyOpen
                    }
                    Some(CustodyState::CeremonyOpen) => CustodyState::Ratified,
                    Some(_) => CustodyState::Deployed,
                };
                let ceremony = CeremonyId::from_uuid(id(3, round));
                let wanted = Move {
                    to_state,
                    actor: "ada".to_owned(),
                    reason: "because".to_owned(),
                    ceremony_id: (to_state == CustodyState::CeremonyOpen).then_some(ceremony),
                    evidence: json(r#"{"votes":3}"#),
                    occurred_at: time,
                };
                let link = custody::link(artifact_id, cid, chains[nth].as_ref(), wanted);
                // A revision since the ratification makes a release a violation, as it should.
                if dice(8) == 0 {
                    let hash = LinkHash::from_bytes([9; 32]);
                    events.push(custody_with(link, hash));
                } else {
                    if to_state != CustodyState::Deployed {
                        chains[nth] = Some(ChainHead::from(&link));
                    }
                    events.push(link.into());
                }
            }
            4 if chains[nth].as_ref().is_none_or(|head| head.state == CustodyState::Drafted) => {
                let content = json(&format!(r#"{{"nth":{nth},"round":{round}}}"#));
                let previous_cid = cid;
                contents[nth] = content.clone();
                events.push(
                    ArtifactRevised {
                        artifact_id,
                        cid: Cid::of(&content),
                        content,
                        content_schema: "https://example.com/schema".to_owned(),
                        previous_cid,
                    }
                    .into(),
                );
            }
            5 | 6 => events.push(
                VerificationRecorded {
                    artifact_id,
                    evidence: Json::null(),
                    outcome: Outcome::ALL[dice(3)],
                    target: (dice(2) == 0).then(|| "eu".to_owned()),
                    verified_at: time,
                    verifier: "nightly".to_owned(),
                }
                .into(),
            ),
            _ => {
                let observed = [Some(cid), Some(cid), None, Some(Cid::of(&Json::null()))][dice(4)];
                events.push(
                    DeploymentObserved {
                        artifact_id,
                        desired_cid: cid,
                        detail: json(&format!(r#"{{"round":{round}}}"#)),
                        observed_at: at(round.saturating_sub(dice(3))),
                        observed_cid: observed,
                        target: ["eu", "us", "ap"][dice(3)].to_owned(),
                    }
                    .into(),
                );
            }
        }
    }
    events
}

fn custody_with(link: guildhall_core::CustodyTransitioned, hash: LinkHash) -> Event {
    guildhall_core::CustodyTransitioned { hash, ..link }.into()
}

/// A store of its own with this log appended.
pub(crate) async fn store_with(events: &[Event]) -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("guildhall.db")).await.unwrap();
    append(&store, events).await;
    (folder, store)
}

pub(crate) async fn append(store: &SqliteStore, events: &[Event]) {
    for chunk in events.chunks(1000) {
        // Ids of its own for each entry, but the same ones in every run.
        let entries = chunk.iter().map(NewEntry::new);
        store.chronicle().append(Append::of(entries)).await.unwrap();
    }
}

/// The entries after `after`, at most so many.
pub(crate) async fn batch(store: &SqliteStore, after: u64, most: usize) -> Batch {
    let chronicle = store.chronicle();
    let origin = chronicle.origin().await.unwrap().unwrap();
    let entries =
        chronicle.read(after.try_into().unwrap(), ReadLimit::entries(most)).await.unwrap();
    Batch::decode(origin, entries).unwrap()
}

/// Projects to the end of the log, so many entries at a time.
pub(crate) async fn catch_up(store: &SqliteStore, projector: &SqliteProjector, most: usize) {
    loop {
        let position = projector.checkpoint().await.unwrap().position;
        let batch = batch(store, position.get(), most).await;
        if batch.entries().is_empty() {
            return;
        }
        projector.apply(batch).await.unwrap();
    }
}

pub(crate) const TABLES: [(&str, &str); 9] = [
    ("accord_bindings", "id"),
    ("governed_artifacts", "id"),
    ("artifact_revisions", "artifact_id, revision"),
    ("custody_transitions", "artifact_id, seq"),
    ("deployment_states", "artifact_id, target"),
    ("deployment_changes", "artifact_id, target, observed_at, position"),
    ("verification_results", "id"),
    ("quarantined_entries", "position"),
    ("row_counts", "counted"),
];

/// A connection of a stranger's.
pub(crate) fn raw(store: &SqliteStore) -> rusqlite::Connection {
    raw_at(store.options().ops_file())
}

pub(crate) fn raw_at(path: &Path) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    connection
}

/// Every row of every table of the Ops DB, as text.
pub(crate) fn dump(store: &SqliteStore) -> Vec<String> {
    let mut connection = raw(store);
    let transaction = connection.transaction().unwrap();
    let mut lines = Vec::new();
    for (table, key) in TABLES {
        let sql = format!("SELECT * FROM {table} ORDER BY {key}");
        let mut statement = transaction.prepare(&sql).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let values: Vec<_> = (0..columns).map(|at| format!("{:?}", row.get_ref(at))).collect();
            Ok(format!("{table}: {}", values.join(" | ")))
        });
        lines.extend(rows.unwrap().map(Result::unwrap));
    }
    lines
}

/// How many rows a table has.
pub(crate) fn count(store: &SqliteStore, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    raw(store).query_row(&sql, [], |row| row.get(0)).unwrap()
}
