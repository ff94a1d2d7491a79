//! Guildhall's console: the state of governance as pages that stay up to date, and as JSON.
//!
//! [`Console`] makes an axum router that an embedder mounts; [`serve`] serves it alone, on a
//! loopback address or, elsewhere, behind a token. It only reads. Pages are rendered here, work
//! without JavaScript, and load nothing from elsewhere; with it, they follow the
//! [orchestrator](guildhall_projector::ceremony) by server-sent events.
//!
//! | path | what it returns |
//! | --- | --- |
//! | `/` | how everything stands, and what needs attention |
//! | `/changes` | what changed since yesterday, since the last visit, between two moments; `/changes.atom` and `/changes.json` for feed readers |
//! | `/ceremonies` | what waits for a decision, and what was decided |
//! | `/artifacts`, `/artifacts/{id}` | what is governed; one artifact, its chain recomputed |
//! | `/deployments`, `/verifications`, `/accords` | what runs where; what verifiers found; under which terms |
//! | `/ceremonies/{id}` | who opened and who decided it, what it would change, what the terms ask beside it |
//! | `/accords/{id}` | its terms in words, its artifacts |
//! | `/proof` | the seals of the log, who cosigned them, and what the last verification and audit found |
//! | `/artifacts/{id}/evidence.json`, `/log/{position}/entry.tlog-proof` | what proves an artifact's whole history, or one entry, offline |
//! | `/search` | what begins with a text, by kind |
//! | `/quarantine`, `/quarantine/{position}` | what was refused, and why |
//! | `/log/{position}` | an entry as it was recorded, and what became of it |
//! | `/api/v1/…` | the same as JSON (`/api/v1/openapi.json`), lists also as CSV; as of a moment, and what was between two |
//! | `/events` | what changes, as it changes (server-sent events) |
//! | `/healthz`, `/readyz`, `/metrics` | whether it works, for machines |
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use guildhall_console::{Console, serve};
//! use guildhall_core::memory::{MemoryChronicle, MemoryOpsDb};
//! use guildhall_projector::ceremony::CeremonyOrchestrator;
//! use guildhall_projector::{Runtime, Settings};
//!
//! let (chronicle, ops_db) = (Arc::new(MemoryChronicle::new()), Arc::new(MemoryOpsDb::new()));
//! let projector = Arc::new(ops_db.projector());
//! let runtime = Runtime::spawn(chronicle.clone(), projector, Settings::default());
//! let orchestrator = CeremonyOrchestrator::new(chronicle, ops_db.clone()).start();
//!
//! let console = Console::new(ops_db, orchestrator).projector(&runtime);
//! let served = serve(console, "127.0.0.1:0".parse()?, std::future::ready(())).await?;
//! assert!(served.address().ip().is_loopback());
//! served.finished().await;
//! # Ok(())
//! # }
//! ```
#![deny(missing_docs)]

mod access;
mod api;
mod app;
mod assets;
mod chain;
mod console;
mod contents;
mod error;
mod export;
mod feed;
mod format;
mod guard;
mod health;
mod live;
mod moment;
mod pages;
mod params;
mod progress;
#[cfg(feature = "proof")]
mod proof;
mod routes;
mod search;
mod server;
mod standing;
mod view;
mod visit;

#[cfg(not(feature = "proof"))]
#[path = "no_proof.rs"]
mod proof;

pub use access::Access;
pub use console::{Console, MAX_STREAMS};
pub use server::{MAX_CONNECTIONS, ServeError, Served, serve, serve_probes};
pub use standing::{FeedStanding, LastFailure, Standing};

/// Every path that the router serves, in the form of OpenAPI.
pub const PATHS: &[&str] = routes::PATHS;
