//! Guildhall on SQLite: the Chronicle and the Ops DB in a file of the embedder's.
#![deny(missing_docs)]

mod append;
mod chronicle;
mod connection;
mod error;
mod migrate;
mod options;
mod row;
mod store;
mod watch;

pub use chronicle::SqliteChronicle;
pub use error::OpenError;
pub use migrate::{APPLICATION_ID, Family};
pub use options::Options;
pub use row::BadRow;
pub use store::SqliteStore;
