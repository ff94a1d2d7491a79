//! Everything at once: writers, the live projector, a rebuild beside it and readers (DESIGN
//! sections 5 to 7).

use std::sync::Arc;
use std::time::Duration;

use guildhall_core::{
    Append, Batch, Chronicle, EventKind, NewEntry, OpsDb, Overview, Position, Projector, ReadLimit,
    Rebuild,
};

use crate::harness::{Harness, ProjectorSettings};
use crate::reference::Reference;
use crate::tables::Compare as _;
use crate::workload::{Hostile, Mix};

super::scenarios! { $ __together = together:
    a_projection_follows_writers_that_do_not_wait_for_it,
    a_rebuild_beside_a_live_projector_is_never_seen_half,
}

const WRITERS: usize = 4;
const ENTRIES: usize = 1200;

/// Appends one log by several writers on two handles. Each writes whole streams, in their order:
/// only what lies between two artifacts is up to chance.
async fn write<H: Harness>(harness: &H, seed: u64) -> Vec<tokio::task::JoinHandle<()>> {
    let handles = [harness.chronicle(), harness.other_chronicle().await];
    let log = Hostile::new(seed, Mix::DENSE).take(ENTRIES).map(|hostile| hostile.entry);
    let (accords, rest): (Vec<NewEntry>, Vec<NewEntry>) =
        log.partition(|entry| entry.event_type.kind() == Some(EventKind::AccordBound));
    handles[0].append(Append::of(accords)).await.unwrap();
    let mut shares = vec![Vec::new(); WRITERS];
    for entry in rest {
        let share = entry.stream_id.as_uuid().as_u128() % WRITERS as u128;
        shares[usize::try_from(share).unwrap()].push(entry);
    }
    let writer = |(nth, share): (usize, Vec<NewEntry>)| {
        let chronicle = Arc::clone(&handles[nth % handles.len()]);
        tokio::spawn(async move {
            for entries in share.chunks(5) {
                chronicle.append(Append::of(entries.to_vec())).await.unwrap();
            }
        })
    };
    shares.into_iter().enumerate().map(writer).collect()
}

/// At most 64 entries after `after`, once there are any.
async fn next_batch(chronicle: &dyn Chronicle, after: Position) -> Batch {
    let head = chronicle.wait_beyond(after, Duration::from_secs(60)).await.unwrap();
    assert!(head > after, "nothing came for a minute after {after}");
    let origin = chronicle.origin().await.unwrap().unwrap();
    let entries = chronicle.read(after, ReadLimit::entries(64)).await.unwrap();
    Batch::decode(origin, entries).unwrap()
}

/// Projects until all that the writers write is applied.
async fn follow(chronicle: &dyn Chronicle, projector: &dyn Projector) {
    let mut at = projector.checkpoint().await.unwrap().position;
    while at < Position::try_from(ENTRIES as u64).unwrap() {
        at = projector.apply(next_batch(chronicle, at).await).await.unwrap().position;
    }
}

/// Fills a next generation and swaps it in once it has caught up with the live one.
async fn rebuild(chronicle: &dyn Chronicle, projector: &dyn Rebuild) {
    let mut generation = projector.begin_rebuild().await.unwrap();
    loop {
        let at = generation.checkpoint().position;
        if at.get() > ENTRIES as u64 / 2 && generation.swap(None).await.unwrap() {
            return;
        }
        if at < Position::try_from(ENTRIES as u64).unwrap() {
            generation.apply(next_batch(chronicle, at).await).await.unwrap();
        }
    }
}

/// How many rows there are of what only ever grows.
fn sizes(overview: &Overview) -> [u64; 6] {
    let deployments =
        overview.healthy_deployments + overview.drifted_deployments + overview.unknown_deployments;
    [
        overview.accords,
        overview.artifacts(),
        overview.custody_transitions,
        deployments,
        overview.verifications,
        overview.quarantined,
    ]
}

/// Looks until the last entry is applied; what was seen once is never gone again.
async fn watch(ops_db: &dyn OpsDb, projector: &str) {
    let (mut before, mut at) = ([0; 6], Position::ZERO);
    while at < Position::try_from(ENTRIES as u64).unwrap() {
        let checkpoint = ops_db.checkpoint(projector).await.unwrap();
        let now = checkpoint.map_or(Position::ZERO, |checkpoint| checkpoint.position);
        assert!(now >= at, "the checkpoint went back from {at} to {now}");
        at = now;
        let found = sizes(&ops_db.overview().await.unwrap());
        let has_all = found.iter().zip(before).all(|(now, before)| *now >= before);
        assert!(has_all, "rows went missing: {before:?} became {found:?}");
        before = found;
        tokio::task::yield_now().await;
    }
}

async fn check<H: Harness>(harness: &H) {
    let chronicle = harness.chronicle();
    let origin = chronicle.origin().await.unwrap().unwrap();
    let entries = chronicle.read(Position::ZERO, ReadLimit::entries(usize::MAX)).await.unwrap();
    assert_eq!(entries.len(), ENTRIES);
    let expected = Reference::tables_of(&origin, &entries);
    assert!(expected.custody_transitions.len() > 50 && expected.quarantined_entries.len() > 50);
    harness.tables().await.without_reasons().assert_are(&expected);
}

pub async fn a_projection_follows_writers_that_do_not_wait_for_it<H: Harness>(harness: H) {
    let projector = harness.projector(ProjectorSettings::default()).await;
    let chronicle = harness.other_chronicle().await;
    let writers = write(&harness, 81).await;
    follow(&*chronicle, &*projector).await;
    for writer in writers {
        writer.await.unwrap();
    }
    check(&harness).await;
}

pub async fn a_rebuild_beside_a_live_projector_is_never_seen_half<H: Harness>(harness: H) {
    let projector = harness.projector(ProjectorSettings::default()).await;
    let writers = write(&harness, 82).await;
    let (chronicle, ops_db) = (harness.chronicle(), harness.ops_db());
    let reader = tokio::spawn(async move { watch(&*ops_db, guildhall_core::OPS_DB).await });
    let (live, log) = (Arc::clone(&projector), Arc::clone(&chronicle));
    let following = tokio::spawn(async move { follow(&*log, &*live).await });
    for _ in 0..3 {
        rebuild(&*chronicle, &*projector).await;
    }
    for task in writers.into_iter().chain([reader, following]) {
        task.await.unwrap();
    }
    check(&harness).await;
}
