//! Export and import between two Chronicles (DESIGN sections 3 and 5).

use guildhall_core::jsonl::{self, ImportOptions};
use guildhall_core::{Append, Chronicle, Entry, Position, ReadLimit};

use crate::harness::Harness;
use crate::workload::{Hostile, Mix};

super::scenarios! { $ __jsonl = jsonl:
    export_then_import_gives_the_same_chronicle_leaf_by_leaf,
    a_second_import_appends_what_is_missing,
}

/// Sound entries, strange ones and such as a projector refuses; all of them decode.
async fn fill(chronicle: &dyn Chronicle) {
    let hostile = Hostile::new(21, Mix::DENSE).take(400).map(|hostile| hostile.entry);
    let decodes = |entry: &guildhall_core::NewEntry| {
        let payload = entry.payload.as_str();
        guildhall_core::event::decode(&entry.event_type, entry.stream_id, payload).is_ok()
    };
    chronicle.append(Append::of(hostile.filter(decodes))).await.unwrap();
}

async fn all(chronicle: &dyn Chronicle) -> Vec<Entry> {
    chronicle.read(Position::ZERO, ReadLimit::entries(usize::MAX)).await.unwrap()
}

async fn export(chronicle: &dyn Chronicle) -> Vec<u8> {
    let mut lines = Vec::new();
    jsonl::export(chronicle, &mut lines, |_| {}).await.unwrap();
    lines
}

pub async fn export_then_import_gives_the_same_chronicle_leaf_by_leaf<H: Harness>(harness: H) {
    let (source, copy) = (harness.chronicle(), H::fresh().await);
    fill(&*source).await;
    let lines = export(&*source).await;
    let options = ImportOptions { batch_entries: 37, ..ImportOptions::default() };
    let imported = jsonl::import(&*copy.chronicle(), &*lines, &options, |_| {}).await.unwrap();
    let entries = all(&*source).await;
    assert_eq!(imported.appended, entries.len() as u64);
    assert_eq!(copy.chronicle().origin().await.unwrap(), source.origin().await.unwrap());
    assert_eq!(all(&*copy.chronicle()).await, entries);
    assert_eq!(export(&*copy.chronicle()).await, lines);
}

pub async fn a_second_import_appends_what_is_missing<H: Harness>(harness: H) {
    let (source, copy) = (harness.chronicle(), H::fresh().await);
    fill(&*source).await;
    let lines = export(&*source).await;
    let half = lines.iter().take(lines.len() / 2).rposition(|byte| *byte == b'\n').unwrap() + 1;
    let (options, chronicle) = (ImportOptions::default(), copy.chronicle());
    let first = jsonl::import(&*chronicle, &lines[..half], &options, |_| {}).await.unwrap();
    let second = jsonl::import(&*chronicle, &*lines, &options, |_| {}).await.unwrap();
    assert_eq!(second.recorded_before, first.appended);
    assert_eq!(all(&*chronicle).await, all(&*source).await);
    let third = jsonl::import(&*chronicle, &*lines, &options, |_| {}).await.unwrap();
    assert_eq!(third.appended, 0);
    assert_eq!(all(&*chronicle).await, all(&*source).await);
}
