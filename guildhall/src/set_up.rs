//! What a guild is set up with, and hands to its parts.

use std::sync::Arc;
use std::time::Duration;

use guildhall_core::command::Clock;
use guildhall_core::{CustodyPolicy, OnViolation};
use guildhall_projector::Settings;
use guildhall_projector::ceremony::CeremonyFeed;
#[cfg(feature = "postgres")]
use guildhall_store_postgres::ProjectorBuilder as PostgresProjector;
#[cfg(feature = "sqlite")]
use guildhall_store_sqlite::ProjectorBuilder as SqliteProjector;

/// What the parts agree on, and what outlives the opening.
pub(crate) struct SetUp {
    pub(crate) policy: CustodyPolicy,
    pub(crate) clock: Clock,
    pub(crate) settings: Settings,
    pub(crate) queued_notices: usize,
    pub(crate) feeds: Vec<Arc<dyn CeremonyFeed>>,
}

/// What the projector is set up with.
pub(crate) struct Projecting {
    pub(crate) policy: CustodyPolicy,
    pub(crate) on_violation: OnViolation,
    pub(crate) lease_time: Option<Duration>,
    #[cfg(feature = "sqlite")]
    pub(crate) on_sqlite: Hook<SqliteProjector>,
    #[cfg(feature = "postgres")]
    pub(crate) on_postgres: Hook<PostgresProjector>,
}

/// What an embedder does to a store's own builder.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
type Hook<B> = Box<dyn FnOnce(B) -> B + Send>;
