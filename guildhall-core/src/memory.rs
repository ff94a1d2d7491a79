//! In-memory stores, for an embedder's own tests: the same meaning, the same answers and the same
//! refusals as the stores that last, and nothing left when the last handle is dropped.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! use guildhall_core::memory::{MemoryChronicle, MemoryOpsDb};
//! use guildhall_core::{
//!     AccordBound, Append, Batch, Chronicle, Json, NewEntry, OpsDb, Position, Projector, ReadLimit,
//! };
//!
//! let chronicle = MemoryChronicle::new();
//! let bound = AccordBound {
//!     accord_id: "0193a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b".parse()?,
//!     accord_terms: Json::parse(r#"{"review_days": 90}"#)?,
//!     bound_by: "council".to_owned(),
//!     effective_at: "2026-11-23T10:05:00Z".parse()?,
//!     name: "Workplace devices".to_owned(),
//! };
//! chronicle.append(Append::of([NewEntry::new(&bound.into())])).await?;
//!
//! let ops_db = MemoryOpsDb::new();
//! if let Some(origin) = chronicle.origin().await? {
//!     let entries = chronicle.read(Position::ZERO, ReadLimit::entries(100)).await?;
//!     ops_db.projector().apply(Batch::decode(origin, entries)?).await?;
//! }
//! assert_eq!(ops_db.overview().await?.accords, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod as_of;
mod chronicle;
mod database;
mod history;
mod matching;
mod ops_db;
mod projector;
mod scan;
mod seals;
pub(crate) mod tables;

pub use chronicle::MemoryChronicle;
pub use ops_db::MemoryOpsDb;
pub use projector::MemoryProjector;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Every change under these locks is made in one go, so what a panic leaves is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
