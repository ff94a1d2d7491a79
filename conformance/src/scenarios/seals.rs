//! What a Chronicle keeps for its proof: seals, cosignatures, tiles, where streams end (DESIGN section
//! 9).

use std::time::Duration;

use guildhall_core::seals::{MAX_PROOF_ROWS, TILE_BYTES};
use guildhall_core::{
    Append, HolderId, LeafHash, Lease, NewSeal, Position, ReadLimit, SaveSealError, Seals,
    StoredCosignature, StoredSeal, StoredStream, StoredTile, StreamId, Timestamp, TreeHash,
    Version,
};
use uuid::Uuid;

use crate::harness::Harness;
use crate::workload::{Mix, Workload};

super::scenarios! { $ __seals = seals:
    a_fresh_log_has_no_proof,
    a_seal_is_saved_with_its_tiles_and_streams,
    a_seal_goes_on_from_the_last_one,
    a_seal_beyond_the_log_is_refused,
    nothing_of_a_refused_seal_is_saved,
    of_two_that_seal_at_once_one_does,
    a_cosignature_twice_is_the_same,
    streams_and_tiles_come_in_pages,
    leaf_hashes_are_those_of_the_entries,
    one_seals_and_the_other_stands_by,
    a_lapsed_lease_of_a_sealer_is_taken_over,
    what_is_sealed_is_there_after_opening_again,
}

const LEASE: Duration = Duration::from_secs(3600);

async fn append(log: &dyn Seals, entries: usize) {
    let entries = Workload::new(90, Mix::DENSE).take(entries);
    log.append(Append::of(entries)).await.unwrap();
}

fn position(position: usize) -> Position {
    Position::try_from(position as u64).unwrap()
}

fn seal(size: usize) -> StoredSeal {
    StoredSeal {
        size: position(size),
        root: TreeHash::from_bytes([u8::try_from(size % 256).unwrap(); 32]),
        note: format!("example\n{size}\n\n— a signature\n"),
        sealed_at: Timestamp::from_micros(1_700_000_000_123_456).unwrap(),
    }
}

fn new_seal(holder: HolderId, after: Option<usize>, size: usize) -> NewSeal {
    let after = after.map(position);
    NewSeal { holder, after, seal: seal(size), tiles: Vec::new(), streams: Vec::new() }
}

fn tile(level: u8, tile: u64, byte: u8) -> StoredTile {
    StoredTile { level, tile, hashes: vec![byte; TILE_BYTES] }
}

/// A stream of a bucket; ids come in their order.
fn stream(bucket: u16, id: u32, version: u32) -> StoredStream {
    StoredStream {
        bucket,
        stream_id: StreamId::from_uuid(Uuid::from_u128(u128::from(id))),
        version: Version::new(version),
        leaf_hash: LeafHash::from_bytes([7; 32]),
    }
}

pub async fn a_fresh_log_has_no_proof<H: Harness>(harness: H) {
    let log = harness.seals();
    assert_eq!(log.last_seal().await.unwrap(), None);
    assert_eq!(log.seals(Position::ZERO, 10).await.unwrap(), []);
    assert_eq!(log.seals_before(Position::MAX, 10).await.unwrap(), []);
    assert_eq!(log.cosignatures(position(1)).await.unwrap(), []);
    assert_eq!(log.tiles(1, 0, 10).await.unwrap(), []);
    assert_eq!(log.leaf_hashes(Position::ZERO, 10).await.unwrap(), []);
    assert_eq!(log.streams(None, 10).await.unwrap(), []);
    assert_eq!(log.streams_in(&[0, 65_535]).await.unwrap(), []);
    log.release_seal_lease(HolderId::new()).await.unwrap();
}

pub async fn a_seal_is_saved_with_its_tiles_and_streams<H: Harness>(harness: H) {
    let (log, other) = (harness.seals(), harness.other_seals().await);
    append(&*log, 30).await;
    let holder = HolderId::new();
    let (tiles, streams) = (
        vec![tile(1, 0, 1), tile(1, 1, 2), tile(2, 0, 3)],
        vec![stream(7, 1, 1), stream(7, 2, 3), stream(65_535, 3, 9), stream(0, 4, 1)],
    );
    let first = NewSeal { tiles: tiles.clone(), streams, ..new_seal(holder, None, 10) };
    log.save_seal(first).await.unwrap();
    // A stream has grown, another is new. A tile that is there stays as it is.
    let (grown, new) = (vec![tile(1, 1, 9), tile(1, 2, 4)], vec![stream(7, 2, 5), stream(7, 0, 1)]);
    let second = NewSeal { tiles: grown, streams: new, ..new_seal(holder, Some(10), 30) };
    log.save_seal(second).await.unwrap();

    for log in [log, other] {
        assert_eq!(log.last_seal().await.unwrap(), Some(seal(30)));
        assert_eq!(log.seals(Position::ZERO, 10).await.unwrap(), [seal(10), seal(30)]);
        assert_eq!(log.seals(Position::ZERO, 1).await.unwrap(), [seal(10)]);
        assert_eq!(log.seals(position(9), 1).await.unwrap(), [seal(10)]);
        assert_eq!(log.seals(position(10), 10).await.unwrap(), [seal(30)]);
        assert_eq!(log.seals(position(30), 10).await.unwrap(), []);
        assert_eq!(log.seals_before(Position::MAX, 10).await.unwrap(), [seal(30), seal(10)]);
        assert_eq!(log.seals_before(Position::MAX, 1).await.unwrap(), [seal(30)]);
        assert_eq!(log.seals_before(position(30), 10).await.unwrap(), [seal(10)]);
        assert_eq!(log.seals_before(position(10), 10).await.unwrap(), []);
        let level_1 = [tiles[0].clone(), tiles[1].clone(), tile(1, 2, 4)];
        assert_eq!(log.tiles(1, 0, 10).await.unwrap(), level_1);
        assert_eq!(log.tiles(2, 0, 10).await.unwrap(), tiles[2..]);
        let of_7 = [stream(7, 0, 1), stream(7, 1, 1), stream(7, 2, 5)];
        let all = [&[stream(0, 4, 1)], &of_7[..], &[stream(65_535, 3, 9)]].concat();
        assert_eq!(log.streams(None, 10).await.unwrap(), all);
        assert_eq!(log.streams_in(&[7]).await.unwrap(), of_7);
        // Their order, and whether one is named twice, means nothing.
        assert_eq!(log.streams_in(&[65_535, 0, 1, 0, 7]).await.unwrap(), all);
        assert_eq!(log.streams_in(&[]).await.unwrap(), []);
    }
}

pub async fn a_seal_goes_on_from_the_last_one<H: Harness>(harness: H) {
    let log = harness.seals();
    append(&*log, 30).await;
    let holder = HolderId::new();
    log.save_seal(new_seal(holder, None, 10)).await.unwrap();
    for (after, size) in [(None, 20), (Some(9), 20), (Some(20), 30), (Some(10), 10), (Some(10), 9)]
    {
        match log.save_seal(new_seal(holder, after, size)).await {
            Err(SaveSealError::NotTheLast { expected, found }) => {
                assert_eq!((expected, found), (after.map(position), Some(position(10))));
            }
            other => panic!("{after:?} {size}: {other:?}"),
        }
    }
    assert_eq!(log.seals(Position::ZERO, 10).await.unwrap(), [seal(10)]);
    log.save_seal(new_seal(holder, Some(10), 30)).await.unwrap();
}

pub async fn a_seal_beyond_the_log_is_refused<H: Harness>(harness: H) {
    let log = harness.seals();
    append(&*log, 10).await;
    let refused = log.save_seal(new_seal(HolderId::new(), None, 11)).await;
    let Err(SaveSealError::Store(error)) = refused else { panic!("{refused:?}") };
    assert!(!error.is_transient(), "{error}");
    assert!(error.log_fault().is_some(), "{error:?}");
    assert_eq!(log.last_seal().await.unwrap(), None);
}

pub async fn nothing_of_a_refused_seal_is_saved<H: Harness>(harness: H) {
    let log = harness.seals();
    append(&*log, 30).await;
    let (one, other) = (HolderId::new(), HolderId::new());
    log.save_seal(new_seal(one, None, 10)).await.unwrap();
    assert_eq!(log.hold_seal_lease(one, LEASE).await.unwrap(), Lease::Held);
    let with_parts = |holder, after| NewSeal {
        tiles: vec![tile(1, 0, 1)],
        streams: vec![stream(7, 1, 1)],
        ..new_seal(holder, after, 20)
    };
    let refused = log.save_seal(with_parts(one, None)).await;
    assert!(matches!(refused, Err(SaveSealError::NotTheLast { .. })), "{refused:?}");
    let refused = log.save_seal(with_parts(other, Some(10))).await;
    assert!(matches!(refused, Err(SaveSealError::Standby { .. })), "{refused:?}");
    assert_eq!(log.seals(Position::ZERO, 10).await.unwrap(), [seal(10)]);
    assert_eq!(log.tiles(1, 0, 10).await.unwrap(), []);
    assert_eq!(log.streams(None, 10).await.unwrap(), []);
    log.save_seal(with_parts(one, Some(10))).await.unwrap();
}

pub async fn of_two_that_seal_at_once_one_does<H: Harness>(harness: H) {
    let (log, other) = (harness.seals(), harness.other_seals().await);
    append(&*log, 30).await;
    let mut last = None;
    for round in 1..=10 {
        let size = |nth: usize| round * 3 - 2 + nth;
        let seal = |nth| new_seal(HolderId::new(), last, size(nth));
        let (first, second) = tokio::join!(log.save_seal(seal(0)), other.save_seal(seal(1)));
        let saved: Vec<bool> = [&first, &second].iter().map(|it| it.is_ok()).collect();
        for refused in [first, second].into_iter().filter_map(Result::err) {
            assert!(matches!(refused, SaveSealError::NotTheLast { .. }), "{refused:?}");
        }
        assert_eq!(saved.iter().filter(|is_saved| **is_saved).count(), 1, "round {round}");
        last = Some(size(usize::from(saved[1])));
        assert_eq!(log.last_seal().await.unwrap().map(|it| it.size), last.map(position));
    }
    assert_eq!(other.seals(Position::ZERO, 99).await.unwrap().len(), 10);
}

pub async fn a_cosignature_twice_is_the_same<H: Harness>(harness: H) {
    let (log, other) = (harness.seals(), harness.other_seals().await);
    append(&*log, 30).await;
    let holder = HolderId::new();
    log.save_seal(new_seal(holder, None, 10)).await.unwrap();
    log.save_seal(new_seal(holder, Some(10), 20)).await.unwrap();
    let cosignature = |size, key_name: &str, line: &str| StoredCosignature {
        size: position(size),
        key_name: key_name.to_owned(),
        line: line.to_owned(),
    };
    let first = cosignature(10, "w/é+", "— w/é+ AAAA");
    assert!(log.save_cosignature(first.clone()).await.unwrap());
    assert!(!other.save_cosignature(first.clone()).await.unwrap());
    // It signs again at another time: what it signed first stays.
    assert!(!log.save_cosignature(cosignature(10, "w/é+", "— w/é+ BBBB")).await.unwrap());
    let second = cosignature(10, "W", "— W AAAA");
    assert!(other.save_cosignature(second.clone()).await.unwrap());
    assert!(log.save_cosignature(cosignature(20, "w/é+", "— w/é+ CCCC")).await.unwrap());
    for log in [&log, &other] {
        assert_eq!(log.cosignatures(position(10)).await.unwrap(), [second.clone(), first.clone()]);
        assert_eq!(log.cosignatures(position(20)).await.unwrap().len(), 1);
    }
    let refused = log.save_cosignature(cosignature(15, "W", "— W AAAA")).await.unwrap_err();
    assert!(!refused.is_transient(), "{refused}");
}

pub async fn streams_and_tiles_come_in_pages<H: Harness>(harness: H) {
    let log = harness.seals();
    append(&*log, 10).await;
    let streams: Vec<_> = (0..400u32)
        .map(|id| stream(u16::try_from(id / 7 * 1000 % 65_536).unwrap(), id, 1 + id))
        .collect();
    let tiles: Vec<_> = (0..20).map(|nth| tile(1, nth, 1)).collect();
    let (tiles_of, streams_of) = (tiles.clone(), streams.iter().rev().copied().collect());
    let new = new_seal(HolderId::new(), None, 10);
    log.save_seal(NewSeal { tiles: tiles_of, streams: streams_of, ..new }).await.unwrap();

    let mut expected = streams;
    expected.sort_by_key(|stream| (stream.bucket, stream.stream_id));
    for limit in [1, 7, 399, 400, usize::MAX] {
        let (mut read, mut after) = (Vec::new(), None);
        loop {
            let page = log.streams(after, limit).await.unwrap();
            assert!(page.len() <= limit.min(MAX_PROOF_ROWS));
            let Some(last) = page.last() else { break };
            after = Some((last.bucket, last.stream_id));
            read.extend(page);
        }
        assert_eq!(read, expected, "{limit}");
    }
    assert_eq!(log.streams(None, 0).await.unwrap().len(), 1);
    assert_eq!(log.tiles(1, 5, 3).await.unwrap(), tiles[5..8]);
    assert_eq!(log.tiles(1, 19, usize::MAX).await.unwrap(), tiles[19..]);
    assert_eq!(log.tiles(1, 20, 9).await.unwrap(), []);
    assert_eq!(log.tiles(1, u64::MAX, 9).await.unwrap(), []);
    assert_eq!(log.tiles(2, 0, 9).await.unwrap(), []);
}

pub async fn leaf_hashes_are_those_of_the_entries<H: Harness>(harness: H) {
    let log = harness.seals();
    append(&*log, 50).await;
    let entries = log.read(Position::ZERO, ReadLimit::entries(50)).await.unwrap();
    let expected: Vec<_> = entries.iter().map(|entry| entry.leaf_hash).collect();
    assert_eq!(log.leaf_hashes(Position::ZERO, usize::MAX).await.unwrap(), expected);
    assert_eq!(log.leaf_hashes(position(7), 9).await.unwrap(), expected[7..16]);
    assert_eq!(log.leaf_hashes(position(49), 0).await.unwrap(), expected[49..]);
    assert_eq!(log.leaf_hashes(position(50), 9).await.unwrap(), []);
    assert_eq!(log.leaf_hashes(Position::MAX, 9).await.unwrap(), []);
}

pub async fn one_seals_and_the_other_stands_by<H: Harness>(harness: H) {
    let (log, other) = (harness.seals(), harness.other_seals().await);
    append(&*log, 30).await;
    let (first, second) = (HolderId::new(), HolderId::new());
    // Nobody holds it: whoever saves may.
    log.save_seal(new_seal(first, None, 10)).await.unwrap();
    for _ in 0..2 {
        assert_eq!(log.hold_seal_lease(first, LEASE).await.unwrap(), Lease::Held);
    }
    let Lease::Standby { holder, .. } = other.hold_seal_lease(second, LEASE).await.unwrap() else {
        panic!("both hold the lease");
    };
    assert_eq!(holder, first);
    match other.save_seal(new_seal(second, Some(10), 20)).await {
        Err(SaveSealError::Standby { holder, .. }) => assert_eq!(holder, first),
        other => panic!("{other:?}"),
    }
    // What it gives up is not its own.
    other.release_seal_lease(second).await.unwrap();
    log.save_seal(new_seal(first, Some(10), 20)).await.unwrap();
    log.release_seal_lease(first).await.unwrap();
    assert_eq!(other.hold_seal_lease(second, LEASE).await.unwrap(), Lease::Held);
    let refused = log.save_seal(new_seal(first, Some(20), 30)).await;
    assert!(matches!(refused, Err(SaveSealError::Standby { .. })), "{refused:?}");
}

pub async fn a_lapsed_lease_of_a_sealer_is_taken_over<H: Harness>(harness: H) {
    let (log, other) = (harness.seals(), harness.other_seals().await);
    append(&*log, 30).await;
    let (first, second) = (HolderId::new(), HolderId::new());
    log.hold_seal_lease(first, Duration::from_millis(50)).await.unwrap();
    let taken = async {
        let mut look = tokio::time::interval(Duration::from_millis(5));
        while other.hold_seal_lease(second, LEASE).await.unwrap() != Lease::Held {
            look.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), taken).await.expect("the lease lapses");
    let refused = log.save_seal(new_seal(first, None, 10)).await;
    assert!(matches!(refused, Err(SaveSealError::Standby { .. })), "{refused:?}");
    other.save_seal(new_seal(second, None, 10)).await.unwrap();
}

pub async fn what_is_sealed_is_there_after_opening_again<H: Harness>(harness: H) {
    let log = harness.seals();
    append(&*log, 30).await;
    let (tiles, streams) = (vec![tile(1, 0, 1)], vec![stream(7, 1, 1)]);
    let new = NewSeal { tiles, streams, ..new_seal(HolderId::new(), None, 10) };
    log.save_seal(new.clone()).await.unwrap();
    let (size, key_name, line) = (position(10), "w".to_owned(), "— w AAAA".to_owned());
    log.save_cosignature(StoredCosignature { size, key_name, line }).await.unwrap();
    drop(log);
    let harness = harness.reopened().await;
    let log = harness.seals();
    assert_eq!(log.last_seal().await.unwrap(), Some(new.seal));
    assert_eq!(log.tiles(1, 0, 9).await.unwrap(), new.tiles);
    assert_eq!(log.streams(None, 9).await.unwrap(), new.streams);
    assert_eq!(log.cosignatures(size).await.unwrap().len(), 1);
}
