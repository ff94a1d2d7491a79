//! What each library is asked to do.

use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use guildhall_core::NewEntry;

/// A library on a database.
pub(crate) trait Library: Clone + Send + Sync + Sized + 'static {
    /// The schema that [`catch_up`](Self::catch_up) fills.
    const OPS_SCHEMA: &'static str;

    /// What it appends: made of an entry before the time begins.
    type Event: Send + 'static;

    /// Makes the tables of its log.
    async fn create(url: &str) -> anyhow::Result<()>;

    /// Opens what was created, with a pool that so many tasks can use at the same time.
    async fn open(url: &str, tasks: u32) -> anyhow::Result<Self>;

    /// The entry as the library takes it.
    ///
    /// # Errors
    /// Where the payload is none of the six events.
    fn event(entry: NewEntry) -> anyhow::Result<Self::Event>;

    /// Appends one event. Returned means durable.
    fn append(&self, event: Self::Event) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Fills its log, in whatever way is fast. This is not measured.
    async fn record(&self, log: impl Iterator<Item = NewEntry>) -> anyhow::Result<()>;

    /// Fills the read model from a log that holds so many entries: how long it took, until all of it
    /// is committed. Making empty tables does not count.
    async fn catch_up(&self, entries: usize) -> anyhow::Result<Duration>;
}

/// Which library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    Guildhall,
    DisintegratePostgres,
    PostgresEs,
}

impl Name {
    /// All of them, in the order in which they are shown.
    pub(crate) const ALL: [Self; 3] =
        [Self::Guildhall, Self::DisintegratePostgres, Self::PostgresEs];

    /// All but Guildhall.
    pub(crate) const PEERS: [Self; 2] = [Self::DisintegratePostgres, Self::PostgresEs];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Guildhall => "Guildhall",
            Self::DisintegratePostgres => "disintegrate-postgres",
            Self::PostgresEs => "postgres-es",
        }
    }

    /// With the version that `Cargo.toml` pins.
    pub(crate) fn versioned(self) -> String {
        match self {
            Self::Guildhall => self.as_str().to_owned(),
            Self::DisintegratePostgres => format!("{self} 4.0.1"),
            Self::PostgresEs => format!("{self} 0.5.0"),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Name {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let name = Self::ALL.into_iter().find(|name| name.as_str() == text);
        name.with_context(|| format!("{text:?} is not a library"))
    }
}
