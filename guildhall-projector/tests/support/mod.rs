//! A log to project, and settings to project it with.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::sync::Arc;
use std::time::Duration;

use guildhall_core::memory::{MemoryChronicle, MemoryOpsDb};
use guildhall_core::{AccordBound, Append, Chronicle, Json, NewEntry, Timestamp};
use guildhall_projector::Settings;

/// Appends so many accords, each in an entry of its own.
pub(crate) async fn append(chronicle: &dyn Chronicle, entries: usize) {
    for nth in 0..entries {
        let terms = Json::parse(r#"{"approvals":2}"#).unwrap();
        let accord = AccordBound::new(format!("accord {nth}"), "board", terms, Timestamp::MIN);
        chronicle.append(Append::of([NewEntry::new(&accord.into())])).await.unwrap();
    }
}

/// A Chronicle of so many entries and an empty Ops DB.
pub(crate) async fn stores(entries: usize) -> (Arc<MemoryChronicle>, MemoryOpsDb) {
    let chronicle = Arc::new(MemoryChronicle::new());
    append(&*chronicle, entries).await;
    (chronicle, MemoryOpsDb::new())
}

/// Small batches, short pauses.
pub(crate) fn settings() -> Settings {
    Settings::default()
        .read_entries(7)
        .patience(Duration::from_secs(60))
        .backoff_first(Duration::from_millis(1))
        .backoff_most(Duration::from_millis(5))
}
