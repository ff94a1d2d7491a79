//! Record, project, ask: Guildhall inside a program of one's own.
//!
//! `cargo run --example embed`

use std::sync::Arc;

use guildhall_core::command::{Act, Command, Recorder};
use guildhall_core::event::artifact_type::DNS_ZONE;
use guildhall_core::*;
use guildhall_projector::{Runtime, Settings};
use guildhall_store_sqlite::SqliteStore;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let store = SqliteStore::open(folder.path().join("guildhall.db")).await?;
    let chronicle = Arc::new(store.chronicle());
    let projector = Arc::new(store.projector().start()?);
    let runtime = Runtime::spawn(chronicle.clone(), projector, Settings::default());
    let recorder = Recorder::new(chronicle, CustodyPolicy::standard());

    let at = "2026-11-23T10:05:00.000000Z".parse()?;
    let accord = AccordBound::new("change control", "board", Json::parse("{}")?, at);
    let (zone, schema) = (Json::parse(r#"{"ttl": 300}"#)?, "https://example.com/zone.json");
    let [tier, ..] = Tier::ALL;
    let zone =
        ArtifactRegistered::new(accord.accord_id, DNS_ZONE, "example.com", tier, zone, schema);
    let (zone_id, act) = (zone.artifact_id, |reason| Act::new("ada", reason, at));
    recorder.record(accord).await?;
    recorder.record(zone).await?;
    let draft = Command::transition(zone_id, CustodyState::Drafted, act("first draft"));
    recorder.record(draft).await?;
    let open = Command::open_ceremony(zone_id, CeremonyId::new(), act("please decide"));
    let opened = recorder.record(open).await?;

    runtime.wait_until(opened.position).await?;
    let waiting = store.ops_db().open_ceremonies(None, 10).await?;
    assert_eq!(waiting.rows[0].name, "example.com");
    runtime.shutdown().await?;
    Ok(store.close().await?)
}
