//! The sealer: what it signs, what it refuses to sign, whom it tells, and that it goes on wherever it
//! is killed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod faulty;
mod folder;
mod killed;
mod rotated;
mod supervised;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use faulty::Faulty;
use guildhall_core::memory::MemoryChronicle;
use guildhall_core::{
    AccordBound, Append, Chronicle, ChronicleIndexed, Entry, Json, LogFault, NewEntry, Position,
    ReadLimit, Seals, TreeHash,
};
use guildhall_projector::proof::{
    SealSink, SealedLog, Sealer, SealerError, SealerSettings, SealerStatus, SinkError,
};
use guildhall_proof::index::{StreamIndex, StreamRecord, buckets};
use guildhall_proof::merkle::MerkleTree;
use guildhall_proof::{KeyType, LogKeys, NoteSignature, Seal, SignedSeal, Signer, SigningKey};

const ORIGIN: &str = "guildhall/test";
const ALL: ReadLimit = ReadLimit { entries: usize::MAX, bytes: usize::MAX };

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(ORIGIN.parse().unwrap(), KeyType::Ed25519, &[seed; 32]).unwrap()
}

fn accord() -> NewEntry {
    let at = "2026-11-23T10:05:00Z".parse().unwrap();
    let accord = AccordBound::new("zones", "ada", Json::parse("{}").unwrap(), at);
    NewEntry { recorded_at: Some(at), ..NewEntry::new(&accord.into()) }
}

async fn append(log: &dyn Chronicle, entries: usize) {
    log.append(Append::of((0..entries).map(|_| accord()))).await.unwrap();
}

async fn log(entries: usize) -> MemoryChronicle {
    let log = MemoryChronicle::new();
    log.fix_origin(ORIGIN.parse().unwrap()).await.unwrap();
    append(&log, entries).await;
    log
}

/// The log as it was when it had so many entries: restored from a backup, without what proved it.
async fn restored(log: &MemoryChronicle, entries: usize) -> MemoryChronicle {
    let copy = MemoryChronicle::new();
    copy.fix_origin(ORIGIN.parse().unwrap()).await.unwrap();
    let again = |entry: &Entry| NewEntry {
        event_id: entry.event_id,
        stream_id: entry.stream_id,
        event_type: entry.event_type.clone(),
        payload: Json::parse(&entry.payload).unwrap(),
        metadata: entry.metadata.clone(),
        recorded_at: Some(entry.recorded_at),
    };
    let all = log.read(Position::ZERO, ALL).await.unwrap();
    copy.append(Append::of(all[..entries].iter().map(again))).await.unwrap();
    copy
}

/// What it was told, and what it answers.
#[derive(Debug, Default)]
struct Recording {
    told: Mutex<Vec<Seal>>,
    /// Whether it fails the next time.
    fails: Mutex<bool>,
}

#[async_trait]
impl SealSink for Recording {
    fn name(&self) -> &str {
        "recording"
    }

    async fn held(&self) -> Result<Option<Seal>, SinkError> {
        Ok(self.told.lock().unwrap().last().cloned())
    }

    async fn take(&self, log: &SealedLog) -> Result<Vec<NoteSignature>, SinkError> {
        if std::mem::take(&mut *self.fails.lock().unwrap()) {
            return Err(SinkError::transient("it fails on purpose"));
        }
        self.told.lock().unwrap().push(log.seal().seal().clone());
        Ok(Vec::new())
    }
}

async fn seal_once(
    log: Arc<dyn Seals>,
    sink: &Arc<Recording>,
) -> Result<SealerStatus, SealerError> {
    let sink = Arc::clone(sink) as Arc<dyn SealSink>;
    let settings = SealerSettings::default().retries(0);
    Sealer::builder(log, Arc::new(key(1))).settings(settings).sink(sink).seal().await
}

fn tree(entries: &[Entry]) -> MerkleTree {
    MerkleTree::new(entries.iter().map(|entry| entry.leaf_hash.into()))
}

fn root_at(entries: &[Entry], size: u64) -> TreeHash {
    tree(&entries[..usize::try_from(size).unwrap()]).root()
}

/// Every seal of the log is signed by `keys`, of the root that the log had, and ends with the index of
/// the entries that it speaks of.
async fn assert_sealed(log: &dyn Seals, keys: &LogKeys) -> Vec<u64> {
    let entries = log.read(Position::ZERO, ALL).await.unwrap();
    let mut sizes = Vec::new();
    for stored in log.seals(Position::ZERO, usize::MAX).await.unwrap() {
        let signed = SignedSeal::parse(&stored.note).unwrap();
        keys.verify(&signed).unwrap();
        let size = stored.size.get();
        assert_eq!((signed.seal().size, signed.seal().root), (size, stored.root));
        assert_eq!(stored.root, root_at(&entries, size), "at {size}");
        let last = &entries[usize::try_from(size).unwrap() - 1];
        assert_eq!(last.event_type.as_str(), ChronicleIndexed::TYPE);
        let stated: ChronicleIndexed = serde_json::from_str(&last.payload).unwrap();
        assert_eq!(stated, index_at(&entries, stated.tree_size));
        sizes.push(size);
    }
    sizes
}

/// The index of the first entries, made at once.
fn index_at(entries: &[Entry], tree_size: Position) -> ChronicleIndexed {
    let mut ends = BTreeMap::new();
    for entry in &entries[..usize::try_from(tree_size.get()).unwrap()] {
        let Entry { stream_id: stream, version, leaf_hash, .. } = *entry;
        ends.insert(stream, StreamRecord { stream, version, leaf_hash });
    }
    let streams = ends.len() as u64;
    let index = StreamIndex::new(buckets(ends.into_values()).unwrap().into_values());
    ChronicleIndexed { index_root: index.root(), streams, tree_size }
}

fn keys() -> LogKeys {
    LogKeys::single(ORIGIN.parse().unwrap(), key(1).key().clone()).unwrap()
}

#[tokio::test]
async fn what_is_new_is_sealed_and_nothing_twice() {
    let (log, sink) = (Arc::new(log(10).await), Arc::new(Recording::default()));
    let status = seal_once(log.clone(), &sink).await.unwrap();
    assert_eq!((status.size, status.seals, status.unsealed()), (11, 1, 0));
    let status = seal_once(log.clone(), &sink).await.unwrap();
    assert_eq!((status.size, status.seals), (11, 0));
    append(&*log, 3).await;
    seal_once(log.clone(), &sink).await.unwrap();
    assert_eq!(assert_sealed(&*log, &keys()).await, [11, 15]);
    assert_eq!(log.head().await.unwrap().position, Position::new(15));
    let told: Vec<u64> = sink.told.lock().unwrap().iter().map(|seal| seal.size).collect();
    assert_eq!(told, [11, 11, 15]);
}

#[tokio::test]
async fn a_log_without_entries_has_no_seal() {
    let sink = Arc::new(Recording::default());
    let status = seal_once(Arc::new(MemoryChronicle::new()), &sink).await.unwrap();
    assert_eq!((status.size, status.seals), (0, 0));
    assert!(sink.told.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_long_log_is_indexed_step_by_step_and_sealed_whole_at_once() {
    let log = Arc::new(log(100).await);
    // Of streams that are there already, too.
    let streams = log.read(Position::ZERO, ALL).await.unwrap();
    let more = streams.iter().map(|entry| NewEntry { stream_id: entry.stream_id, ..accord() });
    log.append(Append::of(more)).await.unwrap();
    for read_entries in [1, 7, 1_000] {
        append(&*log, 100).await;
        let settings = SealerSettings::default().streams(30).read_entries(read_entries);
        let builder = Sealer::builder(log.clone(), Arc::new(key(1))).settings(settings);
        let status = builder.seal().await.unwrap();
        assert!(status.seals >= 3, "{status:?}");
        assert_eq!(status.unsealed(), 0);
    }
    let sizes = assert_sealed(&*log, &keys()).await;
    assert_eq!(sizes[0], 301);
    // The last one indexes all.
    let entries = log.read(Position::ZERO, ALL).await.unwrap();
    let last: ChronicleIndexed = serde_json::from_str(&entries.last().unwrap().payload).unwrap();
    assert_eq!(last.tree_size.get() + 1, *sizes.last().unwrap());
}

#[tokio::test]
async fn a_seal_is_of_what_is_new_alone() {
    let log = Arc::new(Faulty::over(log(2_000).await));
    let sink = Arc::new(Recording::default());
    let settings = SealerSettings::default().every(std::time::Duration::from_millis(1));
    let sealer = Sealer::builder(log.clone(), Arc::new(key(1))).sink(sink).settings(settings);
    let sealer = sealer.start();
    sealer.wait_until(Position::new(2_000)).await.unwrap();
    let read = log.entries_read();
    append(&*log, 10).await;
    sealer.wait_until(Position::new(2_011)).await.unwrap();
    sealer.shutdown().await.unwrap();
    // The ten, the index before them and after them, and looks at one entry each.
    assert!(log.entries_read() - read < 30, "{}", log.entries_read() - read);
}

#[tokio::test]
async fn a_log_that_was_restored_shorter_is_not_sealed() {
    let (whole, sink) = (Arc::new(log(10).await), Arc::new(Recording::default()));
    seal_once(whole.clone(), &sink).await.unwrap();
    let shorter = Arc::new(restored(&whole, 7).await);
    match seal_once(shorter.clone(), &sink).await {
        Err(error @ SealerError::SinkHoldsMore { held_size: 11, .. }) => {
            assert!(!error.is_transient());
            assert!(error.to_string().contains("the log ends at 7"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    // It goes on, otherwise than before.
    append(&*shorter, 20).await;
    match seal_once(shorter.clone(), &sink).await {
        Err(error @ SealerError::SinkHoldsOther { held_size: 11, .. }) => {
            assert!(!error.is_transient());
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(shorter.last_seal().await.unwrap(), None);
    assert_eq!(sink.told.lock().unwrap().len(), 1);
    // Restored whole, it goes on.
    let again = Arc::new(restored(&whole, 11).await);
    append(&*again, 1).await;
    seal_once(again.clone(), &sink).await.unwrap();
    assert_eq!(assert_sealed(&*again, &keys()).await, [13]);
}

#[tokio::test]
async fn a_running_sealer_stops_at_a_sink_that_holds_another_history() {
    let (whole, sink) = (Arc::new(log(10).await), Arc::new(Recording::default()));
    seal_once(whole.clone(), &sink).await.unwrap();
    let other = Arc::new(log(20).await);
    let sealer = Sealer::builder(other.clone(), Arc::new(key(1))).sink(sink).start();
    let stopped = sealer.stopped().await.unwrap_err();
    assert!(
        matches!(&stopped, SealerError::Stopped(cause)
        if matches!(&**cause, SealerError::SinkHoldsOther { .. })),
        "{stopped:?}"
    );
    assert!(!sealer.status().is_healthy());
    assert_eq!(other.last_seal().await.unwrap(), None);
}

#[tokio::test]
async fn a_sink_of_another_log_is_refused() {
    let (one, sink) = (Arc::new(log(10).await), Arc::new(Recording::default()));
    seal_once(one, &sink).await.unwrap();
    let other = MemoryChronicle::new();
    other.fix_origin("guildhall/other".parse().unwrap()).await.unwrap();
    append(&other, 20).await;
    let refused = seal_once(Arc::new(other), &sink).await;
    assert!(matches!(refused, Err(SealerError::SinkOfOther { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_log_that_fails_its_own_check_is_not_signed() {
    for nth in [1, 5, 10] {
        let log = Arc::new(Faulty::over(log(10).await));
        log.alter(Position::new(nth));
        let sink = Arc::new(Recording::default());
        match seal_once(log.clone(), &sink).await {
            Err(SealerError::Changed(LogFault::Altered { position, .. })) => {
                assert_eq!(position, Position::new(nth));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(log.last_seal().await.unwrap(), None);
        assert_eq!(log.head().await.unwrap().position, Position::new(10));
    }
    let log = Arc::new(Faulty::over(log(10).await));
    log.leave_out(Position::new(4));
    let refused = seal_once(log.clone(), &Arc::default()).await;
    assert!(matches!(refused, Err(SealerError::Changed(_))), "{refused:?}");
    // Nor one that no longer leads to what was sealed.
    let log = Arc::new(Faulty::over(self::log(10).await));
    seal_once(log.clone(), &Arc::default()).await.unwrap();
    log.alter(Position::new(4));
    let refused = seal_once(log.clone(), &Arc::default()).await;
    assert!(matches!(refused, Err(SealerError::Log(_))), "{refused:?}");
}
