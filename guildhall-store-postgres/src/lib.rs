//! Guildhall on PostgreSQL: the Chronicle and the Ops DB in a schema of the embedder's database.
//!
//! PostgreSQL 14 or newer. Everything is in one schema, `guildhall` unless [`Options`] say
//! otherwise, so several Guildhalls and other programs can share a database.
#![deny(missing_docs)]

mod append;
mod chronicle;
mod database;
mod error;
mod log;
mod migrate;
mod options;
mod row;
mod store;
mod watch;

pub use chronicle::PostgresChronicle;
pub use error::OpenError;
pub use migrate::Family;
pub use options::{DEFAULT_SCHEMA, Options};
pub use row::BadRow;
pub use store::PostgresStore;

/// The driver whose pools an embedder can hand in.
pub use sqlx;
