//! What a store has to supply to be tested.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use guildhall_core::{Chronicle, CustodyPolicy, OnViolation, OpsDb, Rebuild, Seals};

use guildhall_core::Tables;

/// What a scenario wants of a projector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectorSettings {
    /// What it judges moves of custody by.
    pub policy: CustodyPolicy,
    /// What to do with an entry that breaks an invariant.
    pub on_violation: OnViolation,
    /// How long the lease holds. A lease of no time is lapsed at once, so that rivals take turns.
    pub lease_time: Duration,
    /// How many bytes it may hold in memory, if the store has such a setting; 0 makes it forget
    /// everything between batches. None is the store's default.
    pub memory_bytes: Option<usize>,
}

impl Default for ProjectorSettings {
    fn default() -> Self {
        Self {
            policy: CustodyPolicy::standard(),
            on_violation: OnViolation::Quarantine,
            lease_time: Duration::from_secs(3600),
            memory_bytes: None,
        }
    }
}

impl ProjectorSettings {
    /// The defaults with a lease of no time.
    pub fn without_lease() -> Self {
        Self { lease_time: Duration::ZERO, ..Self::default() }
    }
}

/// A store under test: a Chronicle and an Ops DB that nobody else uses. Where it fails it panics;
/// a scenario fails with it.
#[async_trait]
pub trait Harness: Send + Sync + Sized + 'static {
    /// A fresh, empty store. Dropping it removes what it took.
    async fn fresh() -> Self;

    /// The longest payload that its Chronicle is to accept. A harness that can choose a limit
    /// chooses a small one.
    fn payload_limit_bytes(&self) -> usize;

    /// The Chronicle.
    fn chronicle(&self) -> Arc<dyn Chronicle>;

    /// A second handle on the same Chronicle, as much like another process's as can be.
    async fn other_chronicle(&self) -> Arc<dyn Chronicle>;

    /// The Chronicle with what it keeps for its proof.
    fn seals(&self) -> Arc<dyn Seals>;

    /// A second handle on that, as much like another process's as can be.
    async fn other_seals(&self) -> Arc<dyn Seals>;

    /// The Ops DB's queries.
    fn ops_db(&self) -> Arc<dyn OpsDb>;

    /// A new projector of the Ops DB: each call's has a claim of its own to the lease.
    async fn projector(&self, settings: ProjectorSettings) -> Arc<dyn Rebuild>;

    /// Every row, read from the tables as they are and not through [`OpsDb`], and put in the order
    /// of the keys.
    async fn tables(&self) -> Tables;

    /// The same store, closed and opened again. No other handle is in use.
    async fn reopened(self) -> Self;
}
