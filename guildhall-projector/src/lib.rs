//! Guildhall's runtime: it catches a read model up with the Chronicle, follows the log live,
//! recovers from what passes, stops at what does not, and says how it is doing.
//!
//! It knows only core's traits, so it drives any store:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use guildhall_core::command::Recorder;
//! use guildhall_core::memory::{MemoryChronicle, MemoryOpsDb};
//! use guildhall_core::{AccordBound, CustodyPolicy, Json, OpsDb};
//! use guildhall_projector::{Runtime, Settings};
//!
//! let (chronicle, ops_db) = (Arc::new(MemoryChronicle::new()), MemoryOpsDb::new());
//! let projector = Arc::new(ops_db.projector());
//! let runtime = Runtime::spawn(chronicle.clone(), projector, Settings::default());
//!
//! let recorder = Recorder::new(chronicle, CustodyPolicy::standard());
//! let at = "2026-11-23T10:05:00Z".parse()?;
//! let accord = AccordBound::new("change control", "board", Json::parse("{}")?, at);
//! let recorded = recorder.record(accord).await?;
//!
//! runtime.wait_until(recorded.position).await?; // reads from here on see it
//! assert_eq!(ops_db.overview().await?.accords, 1);
//! assert!(runtime.status().is_healthy());
//! runtime.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Runtime`] supervises for as long as it is wanted, [`catch_up`] works up to the present end of
//! the log and returns, [`rebuild`] fills a new generation and swaps it in. What they measure is
//! listed in [`telemetry`]. A process that projects nothing waits for what others project with
//! [`ReadModels`]. Whoever wants to know at once what changed subscribes to the
//! [`ceremony`] orchestrator.
#![deny(missing_docs)]

mod backoff;
pub mod ceremony;
mod continuity;
mod error;
mod pipeline;
#[cfg(feature = "proof")]
pub mod proof;
mod rebuild;
mod runtime;
mod settings;
mod status;
pub mod telemetry;
mod waiting;

pub use error::RuntimeError;
pub use rebuild::rebuild;
pub use runtime::{Runtime, catch_up};
pub use settings::Settings;
pub use status::{LastError, ReadModelStatus, State, Status};
pub use waiting::{GRACE, ReadModels, WaitError};
