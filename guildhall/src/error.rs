//! Why a guild does not open, work or close.

use guildhall_core::StoreError;
use guildhall_projector::RuntimeError;

/// Why a guild does not open, work or close. It never shows a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuildError {
    /// The text names no database: mend it. It is not shown, as it may hold a password.
    #[error("the database cannot be told from its URL: {reason}")]
    BadUrl {
        /// What to write.
        reason: &'static str,
    },
    /// The program was built without what the text names.
    #[error("this program was built without {database}: turn on guildhall's feature {feature:?}")]
    NotBuilt {
        /// The kind of database.
        database: &'static str,
        /// The feature of the crate `guildhall` that brings it.
        feature: &'static str,
    },
    /// The file does not open.
    #[cfg(feature = "sqlite")]
    #[error(transparent)]
    Sqlite(#[from] guildhall_store_sqlite::OpenError),
    /// The file was not closed as it should be.
    #[cfg(feature = "sqlite")]
    #[error(transparent)]
    Close(#[from] guildhall_store_sqlite::CloseError),
    /// The database does not open.
    #[cfg(feature = "postgres")]
    #[error(transparent)]
    Postgres(#[from] guildhall_store_postgres::OpenError),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The projector stopped.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

impl GuildError {
    /// Whether trying again can help. The runtime has tried again before it gives up.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::BadUrl { .. } | Self::NotBuilt { .. } | Self::Runtime(_) => false,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(error) => error.is_transient(),
            #[cfg(feature = "sqlite")]
            Self::Close(error) => error.is_transient(),
            #[cfg(feature = "postgres")]
            Self::Postgres(error) => error.is_transient(),
            Self::Store(error) => error.is_transient(),
        }
    }
}
