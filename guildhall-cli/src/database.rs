//! The database that an argument names: SQLite or PostgreSQL, the same from here on.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use guildhall::{Builder, Guild, GuildError, Place, Source};
use guildhall_core::command::Recorder;
use guildhall_core::{Chronicle, CustodyPolicy, OpsDb, Seals};
use guildhall_projector::ceremony::CeremonyOrchestrator;

/// A lease for work that ends: the longest that a killed run keeps the next one waiting.
pub const BRIEF_LEASE: Duration = Duration::from_millis(500);

/// Where the Chronicle and the Ops DB are, as `--database` says it.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A file.
    #[cfg(feature = "sqlite")]
    Sqlite(std::path::PathBuf),
    /// A URL, which may hold a password and is not shown.
    #[cfg(feature = "postgres")]
    Postgres(String),
}

impl Location {
    /// The file; none on a server.
    pub fn path(&self) -> Option<&Path> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path) => Some(path),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => None,
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path) => formatter.debug_tuple("Sqlite").field(path).finish(),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => formatter.write_str("Postgres(..)"),
        }
    }
}

impl std::str::FromStr for Location {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Place::of(text)? {
            // Without the scheme, a misspelt URL or command would become the name of a file.
            Place::File(path) if text.starts_with("sqlite:") => sqlite(path),
            Place::Postgres(url) => postgres(url),
            _ => Err(Place::USAGE),
        }
    }
}

#[cfg(feature = "sqlite")]
fn sqlite(path: &Path) -> Result<Location, &'static str> {
    Ok(Location::Sqlite(path.into()))
}

#[cfg(not(feature = "sqlite"))]
fn sqlite(_path: &Path) -> Result<Location, &'static str> {
    Err("this program was built without SQLite: build it with --features sqlite")
}

#[cfg(feature = "postgres")]
fn postgres(url: &str) -> Result<Location, &'static str> {
    Ok(Location::Postgres(url.to_owned()))
}

#[cfg(not(feature = "postgres"))]
fn postgres(_url: &str) -> Result<Location, &'static str> {
    Err("this program was built without PostgreSQL: build it with --features postgres")
}

/// Opens what is there, and makes what is missing.
///
/// # Errors
/// The store's own.
pub async fn open(
    location: &Location,
    set_up: impl FnOnce(Builder) -> Builder,
) -> Result<Guild, GuildError> {
    let source = match location {
        #[cfg(feature = "sqlite")]
        Location::Sqlite(path) => Source::File(path.clone()),
        #[cfg(feature = "postgres")]
        Location::Postgres(url) => Source::Url(url.clone()),
    };
    set_up(Guild::builder(source)).open().await
}

/// Closes it, so that the file is complete and can be copied. If another process has it open, it says
/// what stays beside the file.
///
/// # Errors
/// The store's own.
pub async fn close(guild: &Guild) -> Result<()> {
    match guild.close().await {
        #[cfg(feature = "sqlite")]
        Err(GuildError::Close(busy @ guildhall::sqlite::CloseError::InUse { .. })) => {
            crate::progress::say(&guildhall_core::text::escape_for_terminal(&busy.to_string()));
            Ok(())
        }
        closed => Ok(closed?),
    }
}

/// A database that is only read: nothing in it is created, migrated or projected. The file may be on a
/// read-only medium, the server a standby.
#[derive(Clone)]
pub struct Reading {
    /// The log.
    pub chronicle: Arc<dyn Chronicle>,
    /// The same, with what proves it.
    pub seals: Arc<dyn Seals>,
    /// The questions to the Ops DB.
    pub ops_db: Arc<dyn OpsDb>,
    /// What both are in.
    pub store: Store,
}

impl fmt::Debug for Reading {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Reading").field("store", &self.store).finish_non_exhaustive()
    }
}

/// An open store, for what only one kind of database has.
#[derive(Debug, Clone)]
pub enum Store {
    /// A file.
    #[cfg(feature = "sqlite")]
    Sqlite(guildhall::sqlite::SqliteStore),
    /// A schema of a server's database.
    #[cfg(feature = "postgres")]
    Postgres(guildhall::postgres::PostgresStore),
}

impl Reading {
    /// Opens what is there.
    ///
    /// # Errors
    /// The store's own.
    pub async fn open(location: &Location) -> Result<Self, GuildError> {
        match location {
            #[cfg(feature = "sqlite")]
            Location::Sqlite(path) => {
                let store = guildhall::sqlite::SqliteStore::open_read_only(path).await?;
                Ok(Self {
                    chronicle: Arc::new(store.chronicle()),
                    seals: Arc::new(store.chronicle()),
                    ops_db: Arc::new(store.ops_db()),
                    store: Store::Sqlite(store),
                })
            }
            #[cfg(feature = "postgres")]
            Location::Postgres(url) => {
                let store = guildhall::postgres::PostgresStore::open_read_only(url).await?;
                Ok(Self {
                    chronicle: Arc::new(store.chronicle()),
                    seals: Arc::new(store.chronicle()),
                    ops_db: Arc::new(store.ops_db()),
                    store: Store::Postgres(store),
                })
            }
        }
    }

    /// Reports changes while others project.
    pub fn orchestrator(&self) -> CeremonyOrchestrator {
        let (chronicle, ops_db) = (Arc::clone(&self.chronicle), Arc::clone(&self.ops_db));
        let options = CeremonyOrchestrator::new(chronicle, ops_db);
        let options = match &self.store {
            #[cfg(feature = "sqlite")]
            Store::Sqlite(_) => options,
            // The server announces every commit of a projector.
            #[cfg(feature = "postgres")]
            Store::Postgres(store) => options.woken_by(Arc::new(store.ops_db())),
        };
        options.start()
    }

    /// What judges commands as a guild's recorder does, where nothing can be written.
    pub fn recorder(&self, policy: CustodyPolicy) -> Recorder {
        Recorder::new(Arc::clone(&self.chronicle), policy)
    }

    /// Ends the threads that read.
    ///
    /// # Errors
    /// The store's own.
    pub async fn close(&self) -> Result<()> {
        match &self.store {
            #[cfg(feature = "sqlite")]
            Store::Sqlite(store) => Ok(store.close().await?),
            #[cfg(feature = "postgres")]
            Store::Postgres(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_not_shown_whether_it_is_good_or_bad() {
        let good = "postgres://app:secret@db/ops".parse::<Location>();
        let bad = "postgre://app:secret@db/ops".parse::<Location>();
        assert_eq!(good.is_ok(), cfg!(feature = "postgres"));
        assert!(bad.is_err());
        for shown in [format!("{good:?}"), format!("{bad:?}")] {
            assert!(!shown.contains("secret"), "{shown}");
        }
    }

    #[cfg(feature = "sqlite")]
    #[test]
    fn what_is_no_path_is_not_taken_for_one() {
        for text in ["", "a.db", "./a.db", "/tmp/a.db", "migrate", "sqlite:", "sqlite://a.db"] {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
        assert_eq!("sqlite:a:b.db".parse(), Ok(Location::Sqlite("a:b.db".into())));
    }
}
