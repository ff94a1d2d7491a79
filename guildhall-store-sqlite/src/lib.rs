//! Guildhall on SQLite: the Chronicle and the Ops DB in one file, without a server.
//!
//! Open a store, append what happened, read it back:
//!
//! ```
//! use guildhall_core::{AccordBound, Append, Chronicle, Json, NewEntry, Position, ReadLimit};
//! use guildhall_store_sqlite::SqliteStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("guildhall.db");
//! let store = SqliteStore::open(path).await?;
//! let chronicle = store.chronicle();
//!
//! let bound = AccordBound {
//!     accord_id: "0193a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b".parse()?,
//!     accord_terms: Json::parse(r#"{"review_days": 90}"#)?,
//!     bound_by: "council".to_owned(),
//!     effective_at: "2026-11-23T10:05:00Z".parse()?,
//!     name: "Workplace devices".to_owned(),
//! };
//! // Returned means durable: it survives a power cut.
//! let appended = chronicle.append(Append::of([NewEntry::new(&bound.into())])).await?;
//! assert_eq!(appended[0].position, Position::FIRST);
//!
//! let entries = chronicle.read(Position::ZERO, ReadLimit::entries(100)).await?;
//! assert_eq!(entries[0].position, Position::FIRST);
//!
//! // Everything is in the one file now.
//! store.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! SQLite blocks, so the store talks to it from threads of its own and never blocks the runtime's: one
//! thread appends for everyone ([group commit](SqliteChronicle)), and several read. Several
//! handles and several processes can share a file, which must be on a local file system.
//!
//! [Close](SqliteStore::close) a store when you are done with it: until then its newest entries are
//! in a second file beside the first, and a copy of the first alone lacks them.
#![deny(missing_docs)]

mod append;
mod changes;
mod chronicle;
mod connection;
mod crew;
mod entries;
mod error;
mod family;
mod heads;
mod lease;
mod migrate;
mod open;
mod ops_rows;
mod options;
mod place;
mod presence;
mod projector;
mod query;
mod read_model;
mod reader;
mod rebuild;
mod scan;
mod schema;
mod seals;
mod store;
mod untouched;
mod watch;
mod workers;

pub use chronicle::SqliteChronicle;
pub use error::{CloseError, OpenError};
pub use guildhall_core::store::Family;
pub use migrate::APPLICATION_ID;
pub use options::SqliteOptions;
pub use projector::{ProjectorBuilder, SqliteProjector};
pub use query::SqliteOpsDb;
pub use read_model::ReadModel;
pub use schema::SchemaFault;
pub use store::SqliteStore;

/// The driver whose types a [`ReadModel`] receives.
pub use rusqlite;
