//! A database from before counts were kept: the migration counts what is there, to the row.
#![allow(clippy::unwrap_used, reason = "tests")]

mod ops_support;
mod read_tables;

use guildhall_conformance::Compare as _;
use guildhall_conformance::reference::Reference;
use guildhall_conformance::workload::{Hostile, Mix};
use guildhall_core::{Append, Chronicle, CountedRows, NewEntry, Position, ReadLimit};
use guildhall_store_sqlite::SqliteStore;
use ops_support::{catch_up, raw, raw_at};
use read_tables::read_tables;

/// Takes out what the migration to counts, and those after it, put in.
const BEFORE: &str = "DROP TABLE row_counts; \
    DELETE FROM guildhall_migrations WHERE family = 'ops' AND number >= 17";

async fn append_and_project(store: &SqliteStore, entries: &[NewEntry]) {
    if entries.is_empty() {
        return;
    }
    for entries in entries.chunks(100) {
        store.chronicle().append(Append::of(entries.iter().cloned())).await.unwrap();
    }
    let projector = store.projector().start().unwrap();
    catch_up(store, &projector, 70).await;
    guildhall_core::Projector::release_lease(&projector).await.unwrap();
}

#[tokio::test]
async fn a_database_from_before_is_counted_when_it_is_migrated() {
    let hostile = Hostile::new(29, Mix::DENSE).take(900);
    let log: Vec<NewEntry> = hostile.map(|hostile| hostile.entry).collect();
    // Where nothing is there yet, too.
    for at in [0, 3, 600] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("guildhall.db");
        let store = SqliteStore::open(&path).await.unwrap();
        append_and_project(&store, &log[..at]).await;
        let before = read_tables(&raw(&store));
        drop(store);
        raw_at(&path).execute_batch(BEFORE).unwrap();

        let store = SqliteStore::open(&path).await.unwrap();
        read_tables(&raw(&store)).assert_are(&before);
        assert!(at < 600 || before.row_counts.len() == CountedRows::ALL.len());
        append_and_project(&store, &log[at..]).await;
        let chronicle = store.chronicle();
        let (all, origin) = (ReadLimit::entries(usize::MAX), chronicle.origin().await.unwrap());
        let entries = chronicle.read(Position::ZERO, all).await.unwrap();
        let expected = Reference::tables_of(&origin.unwrap(), &entries);
        read_tables(&raw(&store)).without_reasons().assert_are(&expected);
    }
}
