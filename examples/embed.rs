//! Record, project, ask: Guildhall inside a program of one's own.
//!
//! `cargo run --example embed`

use std::sync::Arc;

use anyhow::Context as _;
use guildhall_core::command::{Act, Command, Recorder};
use guildhall_core::*;
use guildhall_store_sqlite::SqliteStore;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let store = SqliteStore::open(folder.path().join("guildhall.db")).await?;
    let recorder = Recorder::new(Arc::new(store.chronicle()), CustodyPolicy::standard());
    let (accord_id, artifact_id) = (AccordId::new(), ArtifactId::new());
    let at: Timestamp = "2026-11-23T10:05:00.000000Z".parse()?;

    let accord_terms = Json::parse(r#"{"approvals": 2}"#)?;
    let (name, bound_by) = ("change control".into(), "board".into());
    recorder
        .record(AccordBound { accord_id, accord_terms, bound_by, effective_at: at, name })
        .await?;
    let content = Json::parse(r#"{"origin": "example.com.", "ttl": 300}"#)?;
    let zone = ArtifactRegistered {
        accord_id,
        artifact_id,
        artifact_type: event::artifact_type::DNS_ZONE.into(),
        cid: Cid::of(&content),
        content,
        content_schema: "https://example.com/zone.json".into(),
        name: "example.com".into(),
        tier: Tier::ALL[0],
    };
    recorder.record(zone).await?;
    let act = |reason: &str| Act::new("ada", reason, at);
    let draft = Command::transition(artifact_id, CustodyState::Drafted, act("first draft"));
    recorder.record(draft).await?;
    let open = Command::open_ceremony(artifact_id, CeremonyId::new(), act("please decide"));
    recorder.record(open).await?;

    let entries = store.chronicle().read(Position::ZERO, ReadLimit::entries(100)).await?;
    let origin = store.chronicle().origin().await?.context("a Chronicle with entries")?;
    store.projector().start()?.apply(Batch::decode(origin, entries)?).await?;

    let waiting = store.ops_db().open_ceremonies(None, 10).await?;
    assert_eq!(waiting.rows.len(), 1);
    assert_eq!(waiting.rows[0].name, "example.com");
    Ok(())
}
