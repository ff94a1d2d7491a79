//! Guildhall on PostgreSQL: the Chronicle and the Ops DB, in a schema of the embedder's database.
//!
//! Open a store, append what happened, project it, query the tables:
//!
//! ```no_run
//! use std::sync::Arc;
//! use guildhall_core::{AccordBound, Append, Chronicle, Json, NewEntry, OpsDb};
//! use guildhall_projector::{Runtime, Settings};
//! use guildhall_store_postgres::PostgresStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = PostgresStore::open("postgres://guildhall@db.example/ops").await?;
//! let chronicle = Arc::new(store.chronicle());
//! let projector = Arc::new(store.projector().start()?);
//! let runtime = Runtime::spawn(chronicle.clone(), projector, Settings::default());
//!
//! let effective_at = "2026-11-23T10:05:00Z".parse()?;
//! let terms = Json::parse(r#"{"review_days": 90}"#)?;
//! let bound = AccordBound::new("Workplace devices", "council", terms, effective_at);
//! // Returned means durable: it survives a power cut.
//! let appended = chronicle.append(Append::of([NewEntry::new(&bound.into())])).await?;
//!
//! runtime.wait_until(appended[0].position).await?;
//! assert_eq!(store.ops_db().overview().await?.accords, 1);
//! # Ok(())
//! # }
//! ```
//!
//! It needs PostgreSQL 14 or newer. Everything is in one schema, `guildhall` unless [`PostgresOptions`]
//! say otherwise, so several Guildhalls and other programs can share a database. Any number of
//! processes may append: each commits its callers in [groups](PostgresChronicle), and they take
//! turns on the row that holds the head of the log. Any number may project: one has the lease, the
//! others stand by. `DBA.md`, beside this crate's manifest, is for the database administrator: roles,
//! connections, partitions, what a rebuild does to the server.
//!
//! Nothing here decides what a log means: heads are loaded, `guildhall-core` decides, and what it
//! returns is written.
#![deny(missing_docs)]

mod append;
mod arrays;
mod at_once;
mod changes;
mod chronicle;
mod copy;
mod database;
mod division;
mod entries;
mod error;
mod facts;
mod family;
mod heads;
mod holder;
mod hosts;
mod lease;
mod log;
mod migrate;
mod ops_rows;
mod options;
mod partitions;
mod projector;
mod query;
mod read_model;
mod rebuild;
mod scan;
mod schema;
mod seals;
mod servers;
mod settings;
mod snapshot;
mod standbys;
mod store;
mod watch;

pub use chronicle::PostgresChronicle;
pub use error::OpenError;
pub use facts::ServerFacts;
pub use guildhall_core::store::Family;
pub use holder::{LockHolder, LockedByOther};
pub use options::{DEFAULT_SCHEMA, PostgresOptions};
pub use partitions::Partitions;
pub use projector::{PostgresProjector, ProjectorBuilder};
pub use query::PostgresOpsDb;
pub use read_model::ReadModel;
pub use schema::SchemaFault;
pub use store::PostgresStore;

/// The driver whose pools an embedder can hand in.
pub use sqlx;
