//! SQLite keeps every promise that a store makes.
#![allow(clippy::unwrap_used, reason = "tests")]

mod read_tables;

use std::sync::Arc;

use async_trait::async_trait;
use guildhall_conformance::{Harness, ProjectorSettings};
use guildhall_core::{Chronicle, OpsDb, Rebuild, Seals, Tables};
use guildhall_store_sqlite::{SqliteOptions, SqliteStore};
use read_tables::read_tables;
use rusqlite::{Connection, OpenFlags};

const PAYLOAD_LIMIT_BYTES: usize = 64 << 10;

struct SqliteHarness {
    folder: tempfile::TempDir,
    store: SqliteStore,
}

impl SqliteHarness {
    async fn open(folder: &tempfile::TempDir) -> SqliteStore {
        let mut options = SqliteOptions::at(folder.path().join("guildhall.db"));
        options.payload_limit_bytes = PAYLOAD_LIMIT_BYTES;
        SqliteStore::open_with(options).await.unwrap()
    }
}

#[async_trait]
impl Harness for SqliteHarness {
    async fn fresh() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Self::open(&folder).await;
        Self { folder, store }
    }

    fn payload_limit_bytes(&self) -> usize {
        PAYLOAD_LIMIT_BYTES
    }

    fn chronicle(&self) -> Arc<dyn Chronicle> {
        Arc::new(self.store.chronicle())
    }

    async fn other_chronicle(&self) -> Arc<dyn Chronicle> {
        Arc::new(Self::open(&self.folder).await.chronicle())
    }

    fn seals(&self) -> Arc<dyn Seals> {
        Arc::new(self.store.chronicle())
    }

    async fn other_seals(&self) -> Arc<dyn Seals> {
        Arc::new(Self::open(&self.folder).await.chronicle())
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
        let path = self.folder.path().join("guildhall.db");
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
        read_tables(&connection.unwrap())
    }

    async fn reopened(self) -> Self {
        let Self { folder, store } = self;
        drop(store);
        let store = Self::open(&folder).await;
        Self { folder, store }
    }
}

guildhall_conformance::suite!(SqliteHarness);
