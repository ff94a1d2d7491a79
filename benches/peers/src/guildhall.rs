//! Guildhall: one append a call, and the projector.

use std::sync::Arc;
use std::time::{Duration, Instant};

use guildhall_core::{Append, Chronicle, NewEntry};
use guildhall_projector::{Settings, catch_up};
use guildhall_store_postgres::{DEFAULT_SCHEMA, PostgresChronicle, PostgresStore};

use crate::library::Library;

/// As it comes: its pool of three connections serves any number of tasks.
#[derive(Clone)]
pub(crate) struct Guildhall {
    store: PostgresStore,
    chronicle: PostgresChronicle,
}

impl Library for Guildhall {
    const OPS_SCHEMA: &'static str = DEFAULT_SCHEMA;

    type Event = NewEntry;

    async fn create(url: &str) -> anyhow::Result<()> {
        PostgresStore::open(url).await?;
        Ok(())
    }

    async fn open(url: &str, _tasks: u32) -> anyhow::Result<Self> {
        let store = PostgresStore::open(url).await?;
        Ok(Self { chronicle: store.chronicle(), store })
    }

    fn event(entry: NewEntry) -> anyhow::Result<NewEntry> {
        Ok(entry)
    }

    async fn append(&self, entry: NewEntry) -> anyhow::Result<()> {
        self.chronicle.append(Append::of([entry])).await?;
        Ok(())
    }

    async fn record(&self, mut log: impl Iterator<Item = NewEntry>) -> anyhow::Result<()> {
        loop {
            let chunk: Vec<_> = log.by_ref().take(4096).collect();
            if chunk.is_empty() {
                return Ok(());
            }
            self.chronicle.append(Append::of(chunk)).await?;
        }
    }

    async fn catch_up(&self, _entries: usize) -> anyhow::Result<Duration> {
        let chronicle = Arc::new(self.chronicle.clone());
        let projector = Arc::new(self.store.projector().start()?);
        let began = Instant::now();
        catch_up(chronicle, projector, &Settings::default(), |_| {}).await?;
        Ok(began.elapsed())
    }
}
