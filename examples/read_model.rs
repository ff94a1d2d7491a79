//! A read model of one's own: how often each actor moved custody. It is written in the transaction
//! of the Ops DB and has its own checkpoint, so it can neither miss an entry nor count one twice.
//!
//! `cargo run --example read_model`

use std::error::Error;
use std::sync::Arc;

use guildhall_core::{Chronicle as _, Event, Judged, OpsDb as _, jsonl};
use guildhall_examples::story;
use guildhall_projector::{Settings, catch_up};
use guildhall_store_sqlite::rusqlite::{Connection, Transaction};
use guildhall_store_sqlite::{ReadModel, SqliteStore};

struct MovesByActor;

impl ReadModel for MovesByActor {
    fn name(&self) -> &str {
        "moves_by_actor"
    }

    fn apply(
        &mut self,
        transaction: &Transaction<'_>,
        entries: &[Judged<'_>],
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        transaction.execute_batch(
            "CREATE TABLE IF NOT EXISTS moves_by_actor (actor TEXT PRIMARY KEY, moves INTEGER) STRICT",
        )?;
        let mut count = transaction.prepare_cached(
            "INSERT INTO moves_by_actor VALUES (?1, 1)
             ON CONFLICT (actor) DO UPDATE SET moves = moves + 1",
        )?;
        // What went to quarantine has no event here, and does not count.
        for event in entries.iter().filter_map(Judged::event) {
            if let Event::CustodyTransitioned(link) = event {
                count.execute([&link.actor])?;
            }
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("guildhall.db");
    let store = SqliteStore::open(&path).await?;
    let options = jsonl::ImportOptions::default();
    jsonl::import(&store.chronicle(), story::JSONL.as_bytes(), &options, |_| {}).await?;

    let projector = Arc::new(store.projector().read_model(MovesByActor).start()?);
    catch_up(Arc::new(store.chronicle()), projector, &Settings::default(), |_| {}).await?;

    let moves: Vec<(String, u32)> = Connection::open(&path)?
        .prepare("SELECT actor, moves FROM moves_by_actor ORDER BY moves DESC, actor")?
        .query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    assert!(moves.contains(&("substrate".to_owned(), 10)));
    // The pipeline that tried to deploy a rejected role moved nothing.
    assert!(!moves.iter().any(|(actor, _)| actor == "ci-jea-roles"));
    let (ours, head) =
        (store.ops_db().checkpoint("moves_by_actor").await?, store.chronicle().head().await?);
    assert_eq!(ours.map(|at| at.position), Some(head.position));
    Ok(store.close().await?)
}
