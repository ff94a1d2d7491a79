//! The handle of an open store.

use std::sync::Arc;

use guildhall_core::StoreError;
use guildhall_core::store::Family;

use crate::chronicle::PostgresChronicle;
use crate::database::Database;
use crate::error::{Doing, OpenError};
use crate::facts::ServerFacts;
use crate::migrate::prepare;
use crate::options::PostgresOptions;
use crate::standbys::Standbys;
use crate::watch::Signal;

/// An open store: its Chronicle and its Ops DB, in a schema of a database. Clones are cheap and
/// share everything; if the store made its own pool, its connections close once the last clone is
/// dropped.
///
/// It belongs to the Tokio runtime that it was opened on. It needs three connections: one that
/// reads, one that writes and one that listens. A pool of three is enough for everything it does; a
/// larger one, up to [`PostgresOptions::max_connections`], does more at the same time.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: PostgresOptions,
    database: Database,
    signal: Arc<Signal>,
    chronicle: PostgresChronicle,
}

impl PostgresStore {
    /// Opens the store in the schema `guildhall` of the database at this URL, with the default
    /// [`PostgresOptions`], and creates what is missing.
    ///
    /// # Errors
    /// [`OpenError`]; the database is unchanged.
    pub async fn open(url: impl Into<String>) -> Result<Self, OpenError> {
        Self::open_with(PostgresOptions::at(url)).await
    }

    /// Opens the store as `options` say, and creates what is missing. A role without the right to create
    /// anything can open a schema that is complete.
    ///
    /// # Errors
    /// [`OpenError`]; the database is unchanged.
    pub async fn open_with(options: PostgresOptions) -> Result<Self, OpenError> {
        Self::open_as(options, false).await
    }

    /// Opens the store for reading, in the schema `guildhall` of the database at this URL: for pages,
    /// reports and auditors, also on a hot standby, and with a role that may only SELECT.
    ///
    /// Nothing is ever written: tables are not made or changed, appends and projectors are refused.
    /// A standby sends no notifications, so a waiter there polls every
    /// [`poll_interval`](PostgresOptions::poll_interval).
    ///
    /// # Errors
    /// [`OpenError`]; [`OpenError::OlderSchema`] where tables would have to be made first.
    pub async fn open_read_only(url: impl Into<String>) -> Result<Self, OpenError> {
        Self::open_read_only_with(PostgresOptions::at(url)).await
    }

    /// Opens the store for reading as `options` say; see [`open_read_only`](Self::open_read_only).
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open_read_only_with(options: PostgresOptions) -> Result<Self, OpenError> {
        Self::open_as(options, true).await
    }

    async fn open_as(options: PostgresOptions, is_read_only: bool) -> Result<Self, OpenError> {
        options.check()?;
        let database = Database::new(&options, is_read_only)?;
        database.look_around().await;
        prepare(&database, &[Family::Chronicle, Family::Ops]).await?;
        if !is_read_only {
            match database.ask(Standbys::load).await {
                Ok(standbys) => standbys.warn(),
                Err(error) => tracing::debug!(%error, "the server does not say who follows it"),
            }
        }
        let signal = Arc::new(Signal::default());
        let chronicle = PostgresChronicle::start(&database, &signal, &options);
        Ok(Self { shared: Arc::new(Shared { options, database, signal, chronicle }) })
    }

    /// The Chronicle.
    pub fn chronicle(&self) -> PostgresChronicle {
        self.shared.chronicle.clone()
    }

    /// What the server is, and how this store stands on it: for its administrators.
    ///
    /// # Errors
    /// The store's own.
    pub async fn facts(&self) -> Result<ServerFacts, StoreError> {
        ServerFacts::load(&self.shared.database).await.doing("asking the server about itself")
    }

    /// What the store was opened with.
    pub fn options(&self) -> &PostgresOptions {
        &self.shared.options
    }

    pub(crate) fn signal(&self) -> &Arc<Signal> {
        &self.shared.signal
    }

    pub(crate) fn database(&self) -> &Database {
        &self.shared.database
    }
}
