//! What the Chronicle promises, on a file: order, durability, what a stored row may hold.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::{append_one, event, new_folder, stream};
use guildhall_core::store::BadRow;
use guildhall_core::{
    Append, AppendError, Chronicle, EventId, Expected, NewEntry, Origin, Position, ReadLimit,
    Version,
};
use guildhall_store_sqlite::{SqliteOptions, SqliteStore};

const ALL: ReadLimit = ReadLimit::entries(usize::MAX);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_is_dense_under_sixteen_writers_on_two_handles() {
    let folder = new_folder();
    let path = folder.path().join("guildhall.db");
    let first = SqliteStore::open(&path).await.unwrap().chronicle();
    let second = SqliteStore::open(&path).await.unwrap().chronicle();
    let reader = {
        let chronicle = first.clone();
        tokio::spawn(async move {
            let (mut at, mut seen) = (Position::ZERO, Vec::new());
            while at.get() < 16 * 25 {
                chronicle.wait_beyond(at, std::time::Duration::from_secs(30)).await.unwrap();
                let entries = chronicle.read(at, ReadLimit::entries(7)).await.unwrap();
                at = entries.last().map_or(at, |entry| entry.position);
                seen.extend(entries.into_iter().map(|entry| (entry.position, entry.event_id)));
            }
            seen
        })
    };
    let writers = (0..16u128).map(|writer| {
        let chronicle = if writer % 2 == 0 { first.clone() } else { second.clone() };
        tokio::spawn(async move {
            let mut placed = Vec::new();
            for _ in 0..25 {
                let entry = NewEntry::new(&event(writer % 4));
                let event_id = entry.event_id;
                let answer = chronicle.append(Append::of([entry])).await.unwrap();
                placed.push((answer[0].position, event_id));
            }
            placed
        })
    });
    let mut placed = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        placed.extend(writer.await.unwrap());
    }
    placed.sort_unstable();
    assert_eq!(reader.await.unwrap(), placed);
    let positions: Vec<u64> = placed.iter().map(|(position, _)| position.get()).collect();
    assert_eq!(positions, (1..=400).collect::<Vec<_>>());
    for nth in 0..4 {
        let entries = first.read_stream(stream(nth), Version::ZERO, ALL).await.unwrap();
        let versions: Vec<u64> = entries.iter().map(|entry| entry.version.get()).collect();
        assert_eq!(versions, (1..=100).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn one_expected_version_is_met_once_by_rivals() {
    let folder = new_folder();
    let path = folder.path().join("guildhall.db");
    let handles = [
        SqliteStore::open(&path).await.unwrap().chronicle(),
        SqliteStore::open(&path).await.unwrap().chronicle(),
    ];
    let rivals = (0..16).map(|nth| {
        let chronicle = handles[nth % 2].clone();
        let append =
            Append::of([NewEntry::new(&event(1))]).expecting(stream(1), Expected::NoStream);
        tokio::spawn(async move { chronicle.append(append).await })
    });
    let mut winners = 0;
    for rival in rivals.collect::<Vec<_>>() {
        match rival.await.unwrap() {
            Ok(_) => winners += 1,
            Err(AppendError::Conflict { found, .. }) => assert_eq!(found, Version::FIRST),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(winners, 1);
    assert_eq!(handles[0].head().await.unwrap().position, Position::FIRST);
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_reopening() {
    let folder = new_folder();
    let path = folder.path().join("guildhall.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let answer = append_one(&store.chronicle(), 1).await;
    let before = store.chronicle().read(Position::ZERO, ALL).await.unwrap();
    let origin = store.chronicle().origin().await.unwrap().unwrap();
    drop(store);

    let chronicle = SqliteStore::open(&path).await.unwrap().chronicle();
    assert_eq!(chronicle.read(Position::ZERO, ALL).await.unwrap(), before);
    assert_eq!(chronicle.origin().await.unwrap(), Some(origin.clone()));
    let head = chronicle.head().await.unwrap();
    assert_eq!((head.position, head.leaf_hash), (answer.position, Some(before[0].leaf_hash)));
    assert_eq!(before[0].leaf_hash, before[0].compute_leaf_hash(&origin));
    assert_eq!(append_one(&chronicle, 1).await.version.get(), 2);
}

#[tokio::test]
async fn a_known_event_is_answered_and_not_recorded_again() {
    let folder = new_folder();
    let chronicle = SqliteStore::open(folder.path().join("g.db")).await.unwrap().chronicle();
    let entry = NewEntry::new(&event(1));
    let twice = chronicle.append(Append::of([entry.clone(), entry.clone()])).await.unwrap();
    assert_eq!([twice[0].was_recorded, twice[1].was_recorded], [false, true]);
    assert_eq!(twice[0].position, twice[1].position);

    // Also when it no longer looks as expected.
    let again = Append::of([entry.clone()]).expecting(stream(1), Expected::NoStream);
    let again = chronicle.append(again).await.unwrap();
    assert!(again[0].was_recorded);
    assert_eq!(again[0].position, Position::FIRST);

    let other = NewEntry::with_id(entry.event_id, &event(2));
    match chronicle.append(Append::of([NewEntry::new(&event(3)), other])).await {
        Err(AppendError::IdReused { event_id, position, .. }) => {
            assert_eq!((event_id, position), (entry.event_id, Position::FIRST));
        }
        outcome => panic!("{outcome:?}"),
    }
    assert_eq!(chronicle.head().await.unwrap().position, Position::FIRST);
}

#[tokio::test]
async fn a_refused_append_leaves_nothing_and_hurts_no_other() {
    let folder = new_folder();
    let mut options = SqliteOptions::at(folder.path().join("g.db"));
    options.payload_limit_bytes = 300;
    let chronicle = SqliteStore::open_with(options).await.unwrap().chronicle();
    let mut long = NewEntry::new(&event(1));
    long.payload = guildhall_core::Json::parse(&format!("\"{}\"", "x".repeat(300))).unwrap();
    let refused = Append::of([NewEntry::new(&event(9)), long.clone()]);
    assert!(matches!(
        chronicle.append(refused.clone()).await,
        Err(AppendError::PayloadTooLong { found_bytes: 302, limit_bytes: 300, .. })
    ));
    assert_eq!(chronicle.origin().await.unwrap(), None, "a refusal fixes no origin");

    let appends = (0..32u128).map(|nth| {
        let (chronicle, refused) = (chronicle.clone(), refused.clone());
        let append = if nth % 4 == 0 { refused } else { Append::of([NewEntry::new(&event(nth))]) };
        tokio::spawn(async move { chronicle.append(append).await.is_ok() })
    });
    let mut accepted = 0;
    for append in appends.collect::<Vec<_>>() {
        accepted += usize::from(append.await.unwrap());
    }
    assert_eq!(accepted, 24);
    let entries = chronicle.read(Position::ZERO, ALL).await.unwrap();
    assert_eq!(entries.len(), 24);
    assert!(
        entries.iter().all(|entry| entry.stream_id != stream(9) || entry.version == Version::FIRST)
    );
}

#[tokio::test]
async fn the_first_origin_holds() {
    let folder = new_folder();
    let chronicle = SqliteStore::open(folder.path().join("g.db")).await.unwrap().chronicle();
    assert_eq!(chronicle.origin().await.unwrap(), None);
    let (first, second): (Origin, Origin) = ("first".parse().unwrap(), "second".parse().unwrap());
    assert_eq!(chronicle.fix_origin(first.clone()).await.unwrap(), first);
    assert_eq!(chronicle.fix_origin(second).await.unwrap(), first);
    append_one(&chronicle, 1).await;
    assert_eq!(chronicle.origin().await.unwrap(), Some(first.clone()));
    let entries = chronicle.read(Position::ZERO, ALL).await.unwrap();
    assert_eq!(entries[0].leaf_hash, entries[0].compute_leaf_hash(&first));
}

#[tokio::test]
async fn a_read_stops_at_its_limits_and_answers_one_however_long() {
    let folder = new_folder();
    let chronicle = SqliteStore::open(folder.path().join("g.db")).await.unwrap().chronicle();
    for _ in 0..5 {
        append_one(&chronicle, 1).await;
    }
    let length = chronicle.read(Position::ZERO, ALL).await.unwrap()[0].payload.len();
    for (limit, expected) in [
        (ReadLimit::entries(2), 2),
        (ReadLimit::entries(0), 1),
        (ReadLimit { entries: 9, bytes: 3 * length }, 3),
        (ReadLimit { entries: 9, bytes: 0 }, 1),
    ] {
        assert_eq!(
            chronicle.read(Position::ZERO, limit).await.unwrap().len(),
            expected,
            "{limit:?}"
        );
        let read = chronicle.read_stream(stream(1), Version::ZERO, limit).await.unwrap();
        assert_eq!(read.len(), expected, "{limit:?}");
    }
    assert_eq!(chronicle.read(Position::new(5), ALL).await.unwrap(), []);
    assert_eq!(chronicle.read(Position::MAX, ALL).await.unwrap(), []);
}

#[tokio::test]
async fn a_row_that_is_no_entry_is_a_permanent_error_that_names_it() {
    for (column, value) in [
        ("metadata", "'[1]'"),
        ("recorded_at", "'2026-13-23T10:05:00.000000Z'"),
        // The moment that its leaf hash commits to, written in another way.
        ("recorded_at", "lower(recorded_at)"),
        ("payload", "CAST(x'FF' AS TEXT)"),
    ] {
        let folder = new_folder();
        let path = folder.path().join("g.db");
        let chronicle = SqliteStore::open(&path).await.unwrap().chronicle();
        append_one(&chronicle, 1).await;
        let stranger = rusqlite::Connection::open(&path).unwrap();
        let columns = "position, event_id, stream_id, version, event_type, payload, metadata, recorded_at, leaf_hash";
        let values = "2, randomblob(16), randomblob(16), 1, event_type, payload, metadata, recorded_at, leaf_hash"
            .replace(column, value);
        stranger
            .execute(&format!("INSERT INTO chronicle_entries ({columns}) SELECT {values} FROM chronicle_entries"), [])
            .unwrap();
        assert_eq!(chronicle.read(Position::ZERO, ReadLimit::entries(1)).await.unwrap().len(), 1);
        let error = chronicle.read(Position::ZERO, ALL).await.unwrap_err();
        assert!(!error.is_transient());
        match error.source.downcast_ref::<BadRow>() {
            Some(BadRow::Column { position: 2, column: found }) => assert_eq!(*found, column),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_lock_held_by_another_process_is_a_transient_error() {
    let folder = new_folder();
    let mut options = SqliteOptions::at(folder.path().join("g.db"));
    options.busy_timeout = std::time::Duration::from_millis(50);
    let chronicle = SqliteStore::open_with(options).await.unwrap().chronicle();
    let stranger = rusqlite::Connection::open(folder.path().join("g.db")).unwrap();
    stranger.execute_batch("BEGIN IMMEDIATE").unwrap();
    let entry = NewEntry::with_id(EventId::new(), &event(1));
    match chronicle.append(Append::of([entry.clone()])).await {
        Err(AppendError::Store(error)) => assert!(error.is_transient()),
        outcome => panic!("{outcome:?}"),
    }
    stranger.execute_batch("COMMIT").unwrap();
    assert!(!chronicle.append(Append::of([entry])).await.unwrap()[0].was_recorded);
}

#[tokio::test]
async fn dropping_the_store_ends_nothing_that_was_acknowledged_and_hangs_nowhere() {
    let folder = new_folder();
    let path = folder.path().join("g.db");
    let chronicle = SqliteStore::open(&path).await.unwrap().chronicle();
    let pending: Vec<_> = (0..64u128)
        .map(|nth| {
            let chronicle = chronicle.clone();
            tokio::spawn(async move { append_one(&chronicle, nth).await })
        })
        .collect();
    drop(chronicle);
    for append in pending {
        append.await.unwrap();
    }
    let chronicle = SqliteStore::open(&path).await.unwrap().chronicle();
    assert_eq!(chronicle.head().await.unwrap().position, Position::new(64));
}
