//! What a guild is set up with, once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use guildhall_core::command::Clock;
use guildhall_core::{CustodyPolicy, OnViolation};
use guildhall_projector::Settings;
use guildhall_projector::ceremony::{CeremonyFeed, QUEUED_NOTICES};
#[cfg(feature = "postgres")]
use guildhall_store_postgres::ProjectorBuilder as PostgresProjector;
#[cfg(feature = "sqlite")]
use guildhall_store_sqlite::ProjectorBuilder as SqliteProjector;

use crate::error::GuildError;
use crate::guild::Guild;
use crate::set_up::{Projecting, SetUp};
use crate::source::Source;
use crate::store::Parts;

/// Sets up a guild; made by [`Guild::builder`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use guildhall::prelude::*;
/// use guildhall::Source;
///
/// // A guild without ceremonies: whoever drafts may retire, and that is all.
/// let policy = CustodyPolicy::from_moves([(CustodyState::Drafted, CustodyState::Retired)]);
/// let guild = Guild::builder(Source::Memory)
///     .policy(policy.clone())
///     .on_violation(OnViolation::Halt)
///     .open()
///     .await?;
/// assert_eq!(guild.policy(), &policy);
/// # Ok(())
/// # }
/// ```
#[must_use = "a guild is opened by `open`"]
pub struct Builder {
    source: Source,
    pub(crate) set_up: SetUp,
    pub(crate) projecting: Projecting,
}

impl fmt::Debug for Builder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let feeds: Vec<_> = self.set_up.feeds.iter().map(|feed| feed.name()).collect();
        formatter
            .debug_struct("Builder")
            .field("source", &self.source)
            .field("policy", &self.set_up.policy)
            .field("on_violation", &self.projecting.on_violation)
            .field("feeds", &feeds)
            .finish_non_exhaustive()
    }
}

impl Builder {
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source,
            set_up: SetUp {
                policy: CustodyPolicy::standard(),
                clock: Clock::system(),
                settings: Settings::default(),
                queued_notices: QUEUED_NOTICES,
                feeds: Vec::new(),
            },
            projecting: Projecting {
                policy: CustodyPolicy::standard(),
                on_violation: OnViolation::Quarantine,
                lease_time: None,
                #[cfg(feature = "sqlite")]
                on_sqlite: Box::new(|builder| builder),
                #[cfg(feature = "postgres")]
                on_postgres: Box::new(|builder| builder),
            },
        }
    }

    /// Which moves of custody are permitted; [`CustodyPolicy::standard`] by default. The recorder,
    /// the feeds, the projector, a rebuild and the console all judge by it. Every process that
    /// records into or projects one Chronicle has to have the same.
    pub fn policy(mut self, policy: CustodyPolicy) -> Self {
        self.set_up.policy.clone_from(&policy);
        self.projecting.policy = policy;
        self
    }

    /// What the projector does with an entry that breaks an invariant; quarantine by default.
    pub fn on_violation(mut self, on_violation: OnViolation) -> Self {
        self.projecting.on_violation = on_violation;
        self
    }

    /// How long the projector's lease holds without being renewed; the store's own by default, 15 s.
    pub fn lease_time(mut self, lease_time: Duration) -> Self {
        self.projecting.lease_time = Some(lease_time);
        self
    }

    /// The clock that the recorder and the feeds go by, and how much later than it an event may be;
    /// the host's and five minutes by default.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.set_up.clock = clock;
        self
    }

    /// How the runtime and the orchestrator go about it.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.set_up.settings = settings;
        self
    }

    /// A source of ceremonies' steps, such as the watcher of a Kubernetes cluster. It is listened to
    /// once the guild [runs](Guild::run) or its orchestrator [is asked for](Guild::orchestrator).
    pub fn feed(mut self, feed: Arc<dyn CeremonyFeed>) -> Self {
        self.set_up.feeds.push(feed);
        self
    }

    /// How many notices wait for a subscriber at most; [`QUEUED_NOTICES`] by default.
    pub fn queued_notices(mut self, queued_notices: usize) -> Self {
        self.set_up.queued_notices = queued_notices;
        self
    }

    /// Sets up what only a projector on SQLite has, such as read models of one's own; elsewhere it
    /// is not called. Policy, violations and a lease time that is given here are the guild's all the
    /// same.
    #[cfg(feature = "sqlite")]
    pub fn on_sqlite(
        mut self,
        set_up: impl FnOnce(SqliteProjector) -> SqliteProjector + Send + 'static,
    ) -> Self {
        self.projecting.on_sqlite = Box::new(set_up);
        self
    }

    /// Sets up what only a projector on PostgreSQL has, such as partitions and read models of one's
    /// own; elsewhere it is not called. Policy, violations and a lease time that is given here are
    /// the guild's all the same.
    #[cfg(feature = "postgres")]
    pub fn on_postgres(
        mut self,
        set_up: impl FnOnce(PostgresProjector) -> PostgresProjector + Send + 'static,
    ) -> Self {
        self.projecting.on_postgres = Box::new(set_up);
        self
    }

    /// Opens the guild, and creates what is missing. Nothing is projected yet.
    ///
    /// # Errors
    /// [`GuildError`]; the database is as it was.
    pub async fn open(self) -> Result<Guild, GuildError> {
        Ok(Guild::new(Parts::open(self.source, self.projecting).await?, self.set_up))
    }
}

impl Guild {
    /// Opens a guild with the standard policy, and creates what is missing: `sqlite:PATH`, a path, or
    /// `postgres://USER@HOST/DATABASE`, there in the schema `guildhall`. Nothing is projected yet.
    ///
    /// # Errors
    /// [`GuildError`]; the database is as it was.
    pub async fn open(source: impl Into<Source>) -> Result<Self, GuildError> {
        Self::builder(source).open().await
    }

    /// A guild of which nothing is left when the last handle is dropped, with the standard policy.
    /// [`Source::Memory`] is the same for a [builder](Self::builder).
    pub fn in_memory() -> Self {
        let Builder { set_up, projecting, .. } = Builder::new(Source::Memory);
        Self::new(Parts::in_memory(projecting), set_up)
    }

    /// A guild over a store that is open already, with the standard policy; a
    /// [builder](Self::builder) takes the store too.
    ///
    /// # Errors
    /// [`GuildError::Store`], such as where the store was opened for reading only.
    #[cfg(feature = "sqlite")]
    pub async fn from_sqlite(
        store: guildhall_store_sqlite::SqliteStore,
    ) -> Result<Self, GuildError> {
        Self::open(store).await
    }

    /// A guild over a store that is open already, with the standard policy; a
    /// [builder](Self::builder) takes the store too.
    ///
    /// # Errors
    /// [`GuildError::Store`], such as where the store was opened for reading only.
    #[cfg(feature = "postgres")]
    pub async fn from_postgres(
        store: guildhall_store_postgres::PostgresStore,
    ) -> Result<Self, GuildError> {
        Self::open(store).await
    }

    /// Sets up a guild, above all its policy, before it is [opened](Builder::open).
    pub fn builder(source: impl Into<Source>) -> Builder {
        Builder::new(source.into())
    }
}
