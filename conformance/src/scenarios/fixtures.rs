//! Small logs that people can read, and the tables that each must become.

use guildhall_core::jsonl::{self, ImportOptions};
use guildhall_core::{Batch, Position, ReadLimit};
use serde_json::Value;

use crate::harness::{Harness, ProjectorSettings};
use crate::reference::Reference;
use crate::tables::Compare as _;

super::scenarios! { $ __fixtures = fixtures:
    a_small_log_becomes_the_tables_beside_it,
}

const LOG: &str = include_str!("../../fixtures/small.jsonl");
const TABLES: &str = include_str!("../../fixtures/small.tables.json");

pub async fn a_small_log_becomes_the_tables_beside_it<H: Harness>(harness: H) {
    let chronicle = harness.chronicle();
    let options = ImportOptions::default();
    jsonl::import(&*chronicle, LOG.as_bytes(), &options, |_| {}).await.unwrap();
    let origin = chronicle.origin().await.unwrap().unwrap();
    let entries = chronicle.read(Position::ZERO, ReadLimit::entries(1000)).await.unwrap();
    let expected = Reference::tables_of(&origin, &entries);
    let projector = harness.projector(ProjectorSettings::default()).await;
    projector.apply(Batch::decode(origin, entries).unwrap()).await.unwrap();
    let tables = harness.tables().await;
    tables.clone().without_reasons().assert_are(&expected);
    let found = serde_json::to_value(&tables).unwrap();
    let wanted: Value = serde_json::from_str(TABLES).unwrap();
    for (table, rows) in wanted.as_object().unwrap() {
        assert_eq!(&found[table], rows, "{table}");
    }
    assert_eq!(found, wanted);
    // What it exports are the lines that were imported.
    let mut lines = Vec::new();
    jsonl::export(&*chronicle, &mut lines, |_| {}).await.unwrap();
    assert_eq!(String::from_utf8(lines).unwrap(), LOG);
}
