//! The parts that a store gives a guild, whichever store it is.

use std::sync::Arc;

use guildhall_core::memory::{MemoryChronicle, MemoryOpsDb};
use guildhall_core::{OpsDb, Rebuild, Seals, Wakeup};
#[cfg(feature = "postgres")]
use guildhall_store_postgres::PostgresStore;
#[cfg(feature = "sqlite")]
use guildhall_store_sqlite::SqliteStore;

use crate::error::GuildError;
use crate::set_up::Projecting;
use crate::source::{Place, Source};

pub(crate) struct Parts {
    /// What it is, for `Debug`.
    pub(crate) kind: &'static str,
    pub(crate) chronicle: Arc<dyn Seals>,
    pub(crate) ops_db: Arc<dyn OpsDb>,
    pub(crate) projector: Arc<dyn Rebuild>,
    /// What announces the commits of any process, where the database does.
    pub(crate) wakeup: Option<Arc<dyn Wakeup>>,
    /// What has to be closed.
    #[cfg(feature = "sqlite")]
    file: Option<SqliteStore>,
}

impl Parts {
    pub(crate) async fn open(source: Source, projecting: Projecting) -> Result<Self, GuildError> {
        let place = match &source {
            Source::Memory => return Ok(Self::in_memory(projecting)),
            #[cfg(feature = "sqlite")]
            Source::Sqlite(store) => return Self::on_sqlite(store.clone(), projecting),
            #[cfg(feature = "postgres")]
            Source::Postgres(store) => return Self::on_postgres(store.clone(), projecting),
            Source::File(path) => Place::File(path),
            Source::Url(url) => Place::of(url).map_err(|reason| GuildError::BadUrl { reason })?,
        };
        match place {
            #[cfg(feature = "sqlite")]
            Place::File(path) => Self::on_sqlite(SqliteStore::open(path).await?, projecting),
            #[cfg(not(feature = "sqlite"))]
            Place::File(_) => Err(GuildError::NotBuilt { database: "SQLite", feature: "sqlite" }),
            #[cfg(feature = "postgres")]
            Place::Postgres(url) => Self::on_postgres(PostgresStore::open(url).await?, projecting),
            #[cfg(not(feature = "postgres"))]
            Place::Postgres(_) => {
                Err(GuildError::NotBuilt { database: "PostgreSQL", feature: "postgres" })
            }
        }
    }

    pub(crate) fn in_memory(projecting: Projecting) -> Self {
        let ops_db = MemoryOpsDb::new();
        let mut projector = ops_db.projector();
        if let Some(lease_time) = projecting.lease_time {
            projector = projector.with_lease_time(lease_time);
        }
        projector =
            projector.with_policy(projecting.policy).with_on_violation(projecting.on_violation);
        Self {
            kind: "memory",
            chronicle: Arc::new(MemoryChronicle::new()),
            ops_db: Arc::new(ops_db),
            projector: Arc::new(projector),
            wakeup: None,
            #[cfg(feature = "sqlite")]
            file: None,
        }
    }

    /// What the embedder's own hook sets up is set up first, so that it cannot have another policy
    /// than the rest.
    #[cfg(feature = "sqlite")]
    fn on_sqlite(store: SqliteStore, projecting: Projecting) -> Result<Self, GuildError> {
        let mut projector = (projecting.on_sqlite)(store.projector());
        if let Some(lease_time) = projecting.lease_time {
            projector = projector.lease_time(lease_time);
        }
        projector = projector.policy(projecting.policy).on_violation(projecting.on_violation);
        Ok(Self {
            kind: "sqlite",
            chronicle: Arc::new(store.chronicle()),
            ops_db: Arc::new(store.ops_db()),
            projector: Arc::new(projector.start()?),
            wakeup: None,
            file: Some(store),
        })
    }

    #[cfg(feature = "postgres")]
    fn on_postgres(store: PostgresStore, projecting: Projecting) -> Result<Self, GuildError> {
        let mut projector = (projecting.on_postgres)(store.projector());
        if let Some(lease_time) = projecting.lease_time {
            projector = projector.lease_time(lease_time);
        }
        projector = projector.policy(projecting.policy).on_violation(projecting.on_violation);
        let ops_db = Arc::new(store.ops_db());
        Ok(Self {
            kind: "postgres",
            chronicle: Arc::new(store.chronicle()),
            ops_db: ops_db.clone(),
            projector: Arc::new(projector.start()?),
            wakeup: Some(ops_db),
            #[cfg(feature = "sqlite")]
            file: None,
        })
    }

    /// On PostgreSQL, what was answered is on the server, and connections close with the last handle.
    pub(crate) async fn close(&self) -> Result<(), GuildError> {
        #[cfg(feature = "sqlite")]
        if let Some(store) = &self.file {
            store.close().await?;
        }
        Ok(())
    }
}
