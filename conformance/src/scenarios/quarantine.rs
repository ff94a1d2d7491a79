//! Broken invariants: each entry is set aside under its code and touches nothing else (DESIGN
//! section 4).

use std::collections::HashSet;

use guildhall_core::{
    Append, ApplyError, Batch, Code, Entry, EventId, OnViolation, Position, ReadLimit,
};

use crate::harness::{Harness, ProjectorSettings};
use crate::log::Log;
use crate::reference::{Reference, leaf_hash};
use crate::tables::Compare as _;
use crate::workload::{Flaw, Hostile, Mix, Workload};
use guildhall_core::{CountedRows, Tables};

super::scenarios! { $ __quarantine = quarantine:
    every_flaw_is_quarantined_under_its_code_and_touches_nothing_else,
    every_flaw_halts_a_projector_that_is_to_halt,
    a_flawed_log_gives_the_tables_of_the_sound_one,
    a_payload_that_is_not_canonical_is_quarantined,
    an_unknown_type_is_skipped,
}

/// A sound beginning in which artifacts stand everywhere, and after it one entry of every flaw,
/// each of which would be sound without it.
fn flawed_log() -> (Log, Vec<Flaw>) {
    let mut workload = Hostile::new(41, Mix::DENSE);
    let mut log = Log::of((0..1500).filter_map(|_| workload.sound()));
    let mut flaws = Vec::new();
    for flaw in Flaw::ALL {
        let entry = (0..1000).find_map(|_| workload.flawed(*flaw));
        log.push(entry.unwrap_or_else(|| panic!("no artifact to try {flaw:?} on")));
        flaws.push(*flaw);
    }
    (log, flaws)
}

fn without_quarantine(mut tables: Tables) -> Tables {
    tables.quarantined_entries.clear();
    tables.row_counts.retain(|row| row.counted != CountedRows::Quarantined);
    tables.without_checkpoints()
}

pub async fn every_flaw_is_quarantined_under_its_code_and_touches_nothing_else<H: Harness>(
    harness: H,
) {
    let (log, flaws) = flawed_log();
    assert_eq!(flaws.iter().map(|flaw| flaw.code()).collect::<HashSet<_>>().len(), Code::ALL.len());
    let projector = harness.projector(ProjectorSettings::default()).await;
    let sound = log.entries().len() - flaws.len();
    projector.apply(log.batch(Position::ZERO, sound)).await.unwrap();
    let before = harness.tables().await;
    assert_eq!(before.quarantined_entries, []);
    for (nth, flaw) in flaws.into_iter().enumerate() {
        let entry = &log.entries()[sound + nth];
        let applied = projector.apply(log.batch(entry.position.previous(), 1)).await.unwrap();
        assert_eq!((applied.entries, applied.quarantined), (1, 1), "{flaw:?}");
        let after = harness.tables().await;
        let row = after.quarantined_entries.last().unwrap();
        assert_eq!(row.code, flaw.code(), "{flaw:?}: {}", row.reason);
        assert_eq!(
            (row.position, row.event_id, row.stream_id, &row.event_type),
            (entry.position, entry.event_id, entry.stream_id, &entry.event_type),
        );
        assert!(!row.reason.is_empty());
        assert_eq!(after.quarantined_entries.len(), nth + 1);
        without_quarantine(after).assert_are(&without_quarantine(before.clone()));
    }
}

pub async fn every_flaw_halts_a_projector_that_is_to_halt<H: Harness>(harness: H) {
    let (log, flaws) = flawed_log();
    let settings =
        ProjectorSettings { on_violation: OnViolation::Halt, ..ProjectorSettings::without_lease() };
    let halting = harness.projector(settings).await;
    let setting_aside = harness.projector(ProjectorSettings::without_lease()).await;
    let sound = Position::try_from((log.entries().len() - flaws.len()) as u64).unwrap();
    for (nth, flaw) in flaws.into_iter().enumerate() {
        let after = if nth == 0 { Position::ZERO } else { sound.checked_add(nth as u64).unwrap() };
        match halting.apply(log.rest(after)).await {
            Err(ApplyError::Halted { position, violation }) => {
                assert_eq!(position.get(), sound.get() + nth as u64 + 1);
                assert_eq!(violation.code(), flaw.code(), "{flaw:?}: {violation}");
            }
            other => panic!("{flaw:?}: {other:?}"),
        }
        let at = halting.checkpoint().await.unwrap().position;
        setting_aside.apply(log.batch(at, 1)).await.unwrap();
    }
}

/// The same entries with and without the bad ones between them: but for positions, one table.
pub async fn a_flawed_log_gives_the_tables_of_the_sound_one<H: Harness>(harness: H) {
    let workload: Vec<_> = Hostile::new(42, Mix::DENSE).take(900).collect();
    let whole = Log::of(workload.iter().map(|hostile| hostile.entry.clone()));
    let projector = harness.projector(ProjectorSettings::default()).await;
    projector.apply(whole.rest(Position::ZERO)).await.unwrap();
    let tables = harness.tables().await;
    let bad: HashSet<_> = tables.quarantined_entries.iter().map(|row| row.event_id).collect();
    for hostile in &workload {
        if let Some(flaw) = hostile.flaw {
            let row = tables
                .quarantined_entries
                .iter()
                .find(|row| row.event_id == hostile.entry.event_id)
                .unwrap_or_else(|| panic!("{flaw:?} passed: {:?}", hostile.entry));
            assert_eq!(row.code, flaw.code(), "{flaw:?}: {}", row.reason);
        }
    }
    let is_sound = |entry: &Entry| !bad.contains(&entry.event_id);
    let sound: Vec<Entry> =
        whole.entries().iter().filter(|entry| is_sound(entry)).cloned().collect();
    assert!(sound.len() > 500 && bad.len() > 100);
    let expected = Reference::tables_of(whole.origin(), &sound);
    assert_eq!(expected.quarantined_entries, []);
    without_quarantine(tables).assert_are(&expected.without_checkpoints());
}

/// Something else wrote the log. Also a value that two readers would hash differently is refused.
pub async fn a_payload_that_is_not_canonical_is_quarantined<H: Harness>(harness: H) {
    let log = Log::of(Workload::new(43, Mix::DENSE).take(100));
    let payloads = [
        r#"{"accord_id":"01","accord_id":"02"}"#,
        r#"{ "a":1}"#,
        r#"{"b":1,"a":1}"#,
        r#"{"a":1e2}"#,
        r#"{"a":9007199254740993}"#,
        r#"{"a":"\u0041"}"#,
        "",
        "{",
        "\u{feff}{}",
        "NaN",
    ];
    let observed = log
        .entries()
        .iter()
        .find(|entry| entry.event_type.as_str().ends_with("deployment.observed.v1"))
        .unwrap()
        .clone();
    let mut entries = log.entries().to_vec();
    let spoilt: Vec<String> = payloads
        .iter()
        .map(|payload| (*payload).to_owned())
        // Sound data with a space in it, and with a field twice.
        .chain([observed.payload.replacen(':', ": ", 1)])
        .chain([observed.payload.replacen('{', "{\"artifact_id\":\"x\",", 1)])
        .collect();
    for payload in &spoilt {
        let mut entry = observed.clone();
        entry.event_id = EventId::new();
        entry.position = entries.last().unwrap().position.next().unwrap();
        entry.payload = payload.as_str().into();
        entry.leaf_hash = leaf_hash(&entry, log.origin());
        entries.push(entry);
    }
    let projector = harness.projector(ProjectorSettings::default()).await;
    projector.apply(Batch::decode(log.origin().clone(), entries.clone()).unwrap()).await.unwrap();
    let tables = harness.tables().await;
    assert_eq!(tables.quarantined_entries.len(), spoilt.len());
    let is_undecodable = tables.quarantined_entries.iter().all(|row| row.code == Code::CC00);
    assert!(is_undecodable, "{:?}", tables.quarantined_entries);
    let expected = Reference::tables_of(log.origin(), &entries);
    tables.without_reasons().assert_are(&expected);
}

pub async fn an_unknown_type_is_skipped<H: Harness>(harness: H) {
    let chronicle = harness.chronicle();
    let mut workload = Hostile::new(44, Mix::DENSE);
    let strange = std::iter::from_fn(|| workload.next())
        .filter(|hostile| hostile.flaw.is_none() && hostile.entry.event_type.kind().is_none());
    let strange: Vec<_> = strange.take(5).map(|hostile| hostile.entry).collect();
    chronicle.append(Append::of(strange)).await.unwrap();
    let origin = chronicle.origin().await.unwrap().unwrap();
    let entries = chronicle.read(Position::ZERO, ReadLimit::entries(100)).await.unwrap();
    let projector = harness.projector(ProjectorSettings::default()).await;
    let applied = projector.apply(Batch::decode(origin, entries).unwrap()).await.unwrap();
    assert_eq!((applied.entries, applied.skipped, applied.quarantined), (5, 5, 0));
    let tables = harness.tables().await;
    without_quarantine(tables.clone()).assert_are(&Tables::default());
    assert_eq!(tables.quarantined_entries, []);
    assert_eq!(projector.checkpoint().await.unwrap().position, Position::new(5));
}
