//! A log to project, and what its tables must hold.
#![allow(dead_code, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use guildhall_conformance::Compare as _;
use guildhall_conformance::reference::Reference;
use guildhall_conformance::workload::{Hostile, Mix};
use guildhall_core::{Append, Chronicle, NewEntry, Position, ReadLimit, Tables};
use guildhall_projector::{Runtime, Settings, Status};
use guildhall_store_postgres::{DEFAULT_SCHEMA, PostgresStore};
use tokio::time::timeout;

use crate::read_tables::read_tables;

/// How long anything may take that is not to hang.
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    timeout(SOON, what).await.expect("it hangs")
}

/// Entries of every kind, bad ones too.
pub(crate) fn log(count: usize) -> Vec<NewEntry> {
    Hostile::new(17, Mix::DENSE).take(count).map(|hostile| hostile.entry).collect()
}

/// Appends entries, some at a time.
pub(crate) async fn append_all(chronicle: &dyn Chronicle, entries: &[NewEntry]) {
    for entries in entries.chunks(100) {
        chronicle.append(Append::of(entries.iter().cloned())).await.unwrap();
    }
}

/// What the tables must hold once the whole log is projected.
pub(crate) async fn expected(chronicle: &dyn Chronicle) -> Tables {
    let entries = chronicle.read(Position::ZERO, ReadLimit::entries(usize::MAX)).await.unwrap();
    Reference::tables_of(&chronicle.origin().await.unwrap().unwrap(), &entries)
}

/// Compares the tables at this URL, checkpoint and all, with what the reference model makes of the
/// whole log: nothing is lost and nothing doubled.
pub(crate) async fn assert_projected(url: &str, chronicle: &dyn Chronicle) {
    let found = read_tables(url, DEFAULT_SCHEMA).await;
    found.without_reasons().assert_are(&expected(chronicle).await);
}

/// Small batches, short pauses.
pub(crate) fn settings() -> Settings {
    Settings::default()
        .read_entries(20)
        .batch_reads(2)
        .backoff_first(Duration::from_millis(5))
        .backoff_most(Duration::from_millis(200))
}

/// Starts a projector of this store over the log of another, or of itself. Each batch has a transaction
/// of its own, so that there are many to go wrong.
pub(crate) fn project(log: &PostgresStore, store: &PostgresStore, settings: Settings) -> Runtime {
    let projector = store.projector().transaction_bytes(0).start().unwrap();
    Runtime::spawn(std::sync::Arc::new(log.chronicle()), std::sync::Arc::new(projector), settings)
}

/// Waits for a status.
pub(crate) async fn status_where(runtime: &Runtime, holds: impl FnMut(&Status) -> bool) -> Status {
    let mut watched = runtime.watch_status();
    let found = within(async { watched.wait_for(holds).await.map(|status| status.clone()) }).await;
    found.unwrap_or_else(|_| panic!("the runtime has ended: {:?}", runtime.status()))
}
