//! PostgreSQL keeps every promise that a store makes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod read_tables;
mod server;

use std::sync::Arc;

use async_trait::async_trait;
use guildhall_conformance::{Harness, ProjectorSettings};
use guildhall_core::{Chronicle, OpsDb, Rebuild, Seals, Tables};
use guildhall_store_postgres::{DEFAULT_SCHEMA, Partitions, PostgresOptions, PostgresStore};
use read_tables::read_tables;
use server::Database;

const PAYLOAD_LIMIT_BYTES: usize = 64 << 10;

/// A store, whose tables may have partitions.
struct PostgresHarness<const DIVIDED: bool> {
    // Closed before the database is dropped.
    store: PostgresStore,
    database: Database,
}

impl<const DIVIDED: bool> PostgresHarness<DIVIDED> {
    async fn open(database: &Database) -> PostgresStore {
        let mut options = PostgresOptions::at(database.url());
        options.payload_limit_bytes = PAYLOAD_LIMIT_BYTES;
        PostgresStore::open_with(options).await.unwrap()
    }
}

#[async_trait]
impl<const DIVIDED: bool> Harness for PostgresHarness<DIVIDED> {
    async fn fresh() -> Self {
        let database = Database::create();
        let store = Self::open(&database).await;
        if DIVIDED {
            let projector = store.projector().partitions(Partitions::On).start().unwrap();
            assert!(projector.begin_rebuild().await.unwrap().swap(None).await.unwrap());
            // As if none of its name had ever run.
            server::execute(database.url(), "DELETE FROM guildhall.projector_checkpoints");
        }
        Self { store, database }
    }

    fn payload_limit_bytes(&self) -> usize {
        PAYLOAD_LIMIT_BYTES
    }

    fn chronicle(&self) -> Arc<dyn Chronicle> {
        Arc::new(self.store.chronicle())
    }

    async fn other_chronicle(&self) -> Arc<dyn Chronicle> {
        Arc::new(Self::open(&self.database).await.chronicle())
    }

    fn seals(&self) -> Arc<dyn Seals> {
        Arc::new(self.store.chronicle())
    }

    async fn other_seals(&self) -> Arc<dyn Seals> {
        Arc::new(Self::open(&self.database).await.chronicle())
    }

    fn ops_db(&self) -> Arc<dyn OpsDb> {
        Arc::new(self.store.ops_db())
    }

    async fn projector(&self, settings: ProjectorSettings) -> Arc<dyn Rebuild> {
        let mut projector = self
            .store
            .projector()
            .policy(settings.policy)
            .on_violation(settings.on_violation)
            .lease_time(settings.lease_time);
        if let Some(bytes) = settings.memory_bytes {
            projector = projector.memory_bytes(bytes).rebuild_memory_bytes(bytes);
        }
        Arc::new(projector.start().unwrap())
    }

    async fn tables(&self) -> Tables {
        read_tables(self.database.url(), DEFAULT_SCHEMA).await
    }

    async fn reopened(self) -> Self {
        let Self { store, database } = self;
        drop(store);
        let store = Self::open(&database).await;
        Self { store, database }
    }
}

mod plain {
    use super::PostgresHarness;

    guildhall_conformance::suite!(PostgresHarness<false>);
}

mod divided {
    use super::PostgresHarness;

    guildhall_conformance::suite!(PostgresHarness<true>);
}
