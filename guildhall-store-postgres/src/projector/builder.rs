//! How a projector is set up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use guildhall_core::store::{Applier, ProjectorSettings};
use guildhall_core::{CustodyPolicy, HolderId, OnViolation, StoreError};
use tokio::sync::Mutex;

use super::teller::Teller;
use super::{PostgresProjector, Projecting};
use crate::changes::OpsTables;
use crate::database::Database;
use crate::error::ReadOnly;
use crate::lease::LeaseRow;
use crate::partitions::{MonthsAhead, Partitions};
use crate::read_model::ReadModel;
use crate::settings::Settings;

/// Settings of a projector; [`PostgresStore::projector`](crate::PostgresStore::projector) starts from the defaults.
#[must_use]
pub struct ProjectorBuilder {
    database: Database,
    settings: Settings,
    read_models: Vec<Box<dyn ReadModel>>,
}

/// Two read models of one projector, or a read model and the projector, share a name.
#[derive(Debug, thiserror::Error)]
#[error("two read models are called {name:?}")]
struct NameTaken {
    name: String,
}

impl ProjectorBuilder {
    pub(crate) fn new(database: Database, lease_time: Duration) -> Self {
        let projector = ProjectorSettings::new(lease_time);
        let settings = Settings { projector, partitions: Partitions::AsLive };
        Self { database, settings, read_models: Vec::new() }
    }

    /// The policy that moves of custody are judged by; the standard one by default.
    pub fn policy(mut self, policy: CustodyPolicy) -> Self {
        self.settings.projector.policy = policy;
        self
    }

    /// What to do with an entry that breaks an invariant; quarantine by default.
    pub fn on_violation(mut self, on_violation: OnViolation) -> Self {
        self.settings.projector.on_violation = on_violation;
        self
    }

    /// How long the lease holds without being renewed; the [store's](crate::PostgresOptions::lease_time)
    /// by default. The server ends a transaction in which the projector is silent for so long (a
    /// second at least), and one of a rebuild in which it is silent for twenty times as long.
    pub fn lease_time(mut self, lease_time: Duration) -> Self {
        self.settings.projector.lease_time = lease_time;
        self
    }

    /// Approximate upper bound on the heads kept between batches, in bytes; 32 MiB by default, enough
    /// for some 50,000 artifacts. What is forgotten is loaded again.
    pub fn memory_bytes(mut self, memory_bytes: usize) -> Self {
        self.settings.projector.memory_bytes = memory_bytes;
        self
    }

    /// Approximate upper bound on the rows that a projector which is far behind gathers for one
    /// transaction, in bytes; 32 MiB by default, those of some 100,000 entries.
    pub fn transaction_bytes(mut self, transaction_bytes: usize) -> Self {
        self.settings.projector.transaction_bytes = transaction_bytes;
        self
    }

    /// Approximate upper bound on the rows and heads that a rebuild holds back, in bytes; 96 MiB by
    /// default, enough for some 30,000 artifacts with three targets each. A rebuild that needs more
    /// goes on at the pace of a catch-up.
    pub fn rebuild_memory_bytes(mut self, rebuild_memory_bytes: usize) -> Self {
        self.settings.projector.rebuild_memory_bytes = rebuild_memory_bytes;
        self
    }

    /// Whether a rebuild divides `verification_results`, `deployment_changes` and `custody_transitions` into
    /// partitions; as the live tables are by default.
    pub fn partitions(mut self, partitions: Partitions) -> Self {
        self.settings.partitions = partitions;
        self
    }

    /// Also applies this read model, in the same transaction.
    pub fn read_model(mut self, read_model: impl ReadModel + 'static) -> Self {
        self.read_models.push(Box::new(read_model));
        self
    }

    /// Makes the projector. The database is not contacted yet.
    ///
    /// # Errors
    /// Permanent where two read models share a name, one has the projector's name, or the store was
    /// opened for reading.
    pub fn start(self) -> Result<PostgresProjector, StoreError> {
        if self.database.is_read_only() {
            return Err(StoreError::permanent("starting the projector", ReadOnly));
        }
        let mut names = vec![self.settings.projector.name.clone()];
        for model in &self.read_models {
            let name = model.name().to_owned();
            if names.contains(&name) {
                return Err(StoreError::permanent("starting the projector", NameTaken { name }));
            }
            names.push(name);
        }
        let ProjectorSettings { name, lease_time, .. } = self.settings.projector.clone();
        let projecting = Projecting {
            tables: OpsTables::live(self.database.schema()),
            own: LeaseRow { database: self.database.clone(), projector: name, lease_time },
            applier: Applier::new(self.settings.projector.clone(), HolderId::new()),
            read_models: self.read_models,
            months_ahead: MonthsAhead::default(),
            teller: Teller::default(),
            left: None,
            connection: None,
        };
        Ok(PostgresProjector {
            database: self.database,
            settings: self.settings,
            names,
            projecting: Arc::new(Mutex::new(projecting)),
        })
    }
}

impl fmt::Debug for ProjectorBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ProjectorBuilder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
