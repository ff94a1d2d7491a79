//! What the benchmarks fill stores with.

use std::sync::Arc;

use guildhall_core::{Append, Chronicle, NewEntry, Projector};
use guildhall_projector::{Settings, catch_up};
use guildhall_workload::{Mix, Workload};

/// Records so many entries of *custody-mix*, the same ones in every benchmark.
///
/// # Errors
/// The store's.
pub async fn record(chronicle: &dyn Chronicle, entries: usize) -> anyhow::Result<()> {
    let mut workload = Workload::new(7, Mix::CUSTODY).take(entries);
    loop {
        let chunk: Vec<NewEntry> = workload.by_ref().take(4096).collect();
        if chunk.is_empty() {
            return Ok(());
        }
        chronicle.append(Append::of(chunk)).await?;
    }
}

/// Records so many entries and projects them.
///
/// # Errors
/// The stores'.
pub async fn fill(
    chronicle: Arc<dyn Chronicle>,
    projector: Arc<dyn Projector>,
    entries: usize,
) -> anyhow::Result<()> {
    record(&*chronicle, entries).await?;
    catch_up(chronicle, projector, &Settings::default(), |_| {}).await?;
    Ok(())
}
