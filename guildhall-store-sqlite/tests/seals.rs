//! Attacks on what proves the log, by raw SQL from a connection that set nothing; and a log that went
//! back under who seals it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::{append_one, new_folder};
use guildhall_core::seals::TILE_BYTES;
use guildhall_core::{
    HolderId, LeafHash, LogFault, NewSeal, Position, SaveSealError, Seals, StoredCosignature,
    StoredSeal, StoredStream, StoredTile, StreamId, Timestamp, TreeHash, Version,
};
use guildhall_store_sqlite::{SqliteChronicle, SqliteStore};
use rusqlite::Connection;

fn new_seal(holder: HolderId, after: Option<u32>, size: u32) -> NewSeal {
    let seal = StoredSeal {
        size: Position::new(size),
        root: TreeHash::from_bytes([7; 32]),
        note: "note".to_owned(),
        sealed_at: Timestamp::MIN,
    };
    let tile = StoredTile { level: 1, tile: size.into(), hashes: vec![7; TILE_BYTES] };
    let stream = StoredStream {
        bucket: 7,
        stream_id: StreamId::new(),
        version: Version::FIRST,
        leaf_hash: LeafHash::from_bytes([7; 32]),
    };
    let (tiles, streams) = (vec![tile], vec![stream]);
    NewSeal { holder, after: after.map(Position::new), seal, tiles, streams }
}

async fn sealed(log: &SqliteChronicle) {
    for _ in 0..5 {
        append_one(log, 1).await;
    }
    let holder = HolderId::new();
    log.save_seal(new_seal(holder, None, 1)).await.unwrap();
    log.save_seal(new_seal(holder, Some(1), 3)).await.unwrap();
    let (key_name, line) = ("w".to_owned(), "— w AAAA".to_owned());
    log.save_cosignature(StoredCosignature { size: Position::new(3), key_name, line })
        .await
        .unwrap();
}

const INSERT_SEAL: &str = "INTO chronicle_seals (size, root, note, sealed_at)
     VALUES ({size}, zeroblob(32), 'mine', '2026-11-23T10:05:00.000000Z')";

#[tokio::test]
async fn nothing_that_was_sealed_can_be_changed_removed_or_replaced() {
    const SEALS: &str = "chronicle_seals is append-only";
    const LARGER: &str = "chronicle_seals takes only a larger size";
    const COSIGNATURES: &str = "chronicle_cosignatures is append-only";
    const TILES: &str = "chronicle_tiles is append-only";
    let mut attacks: Vec<(String, &str)> = [
        ("UPDATE chronicle_seals SET note = 'mine'", SEALS),
        ("UPDATE OR REPLACE chronicle_seals SET size = 1 WHERE size = 3", SEALS),
        ("UPDATE OR IGNORE chronicle_seals SET root = zeroblob(32)", SEALS),
        ("DELETE FROM chronicle_seals WHERE size = 3", SEALS),
        ("REPLACE INTO chronicle_seals SELECT * FROM chronicle_seals", LARGER),
        ("UPDATE chronicle_cosignatures SET line = 'mine'", COSIGNATURES),
        ("DELETE FROM chronicle_cosignatures", COSIGNATURES),
        (
            "REPLACE INTO chronicle_cosignatures VALUES (3, 'w', 'mine')",
            "chronicle_cosignatures has this one already",
        ),
        (
            "INSERT INTO chronicle_cosignatures VALUES (2, 'w', 'mine')",
            "chronicle_cosignatures takes only those of a seal",
        ),
        ("UPDATE chronicle_tiles SET hashes = zeroblob(8192)", TILES),
        ("DELETE FROM chronicle_tiles", TILES),
        (
            "REPLACE INTO chronicle_tiles VALUES (1, 3, zeroblob(8192))",
            "chronicle_tiles has this one already",
        ),
        (
            "INSERT INTO chronicle_tiles VALUES (1, 9, zeroblob(8191))",
            "CHECK constraint failed: length(hashes) = 8192",
        ),
        (
            "INSERT INTO chronicle_tiles VALUES (0, 9, zeroblob(8192))",
            "CHECK constraint failed: level",
        ),
    ]
    .map(|(attack, refusal)| (attack.to_owned(), refusal))
    .into();
    for verb in ["INSERT", "INSERT OR REPLACE", "REPLACE", "INSERT OR FAIL"] {
        let seal = |size| format!("{verb} {}", INSERT_SEAL.replace("{size}", size));
        for size in ["1", "2", "3", "0", "-1"] {
            attacks.push((seal(size), LARGER));
        }
        attacks.push((seal("6"), "chronicle_seals takes no size that the log does not have"));
    }

    let folder = new_folder();
    let path = folder.path().join("guildhall.db");
    let log = SqliteStore::open(&path).await.unwrap().chronicle();
    sealed(&log).await;
    let before = log.seals(Position::ZERO, 9).await.unwrap();
    let tiles = log.tiles(1, 0, 9).await.unwrap();
    for recursive_triggers in ["off", "on"] {
        let stranger = Connection::open(&path).unwrap();
        stranger
            .execute_batch(&format!("PRAGMA recursive_triggers = {recursive_triggers}"))
            .unwrap();
        for (attack, refusal) in &attacks {
            let refused = stranger.execute(attack, []).expect_err(attack).to_string();
            assert!(refused.contains(refusal), "{attack}: {refused}");
        }
        assert_eq!(log.seals(Position::ZERO, 9).await.unwrap(), before);
        assert_eq!(log.tiles(1, 0, 9).await.unwrap(), tiles);
        assert_eq!(log.cosignatures(Position::new(3)).await.unwrap().len(), 1);
    }
    // The attacks failed for what they changed: the row that they vary is welcome.
    let welcome = format!("INSERT {}", INSERT_SEAL.replace("{size}", "5"));
    Connection::open(&path).unwrap().execute(&welcome, []).unwrap();
}

#[tokio::test]
async fn a_row_that_somebody_spoilt_is_named() {
    let folder = new_folder();
    let path = folder.path().join("guildhall.db");
    let log = SqliteStore::open(&path).await.unwrap().chronicle();
    sealed(&log).await;
    let owner = Connection::open(&path).unwrap();
    owner
        .execute_batch(
            "DROP TRIGGER chronicle_seals_refuse_update; PRAGMA ignore_check_constraints = on;
             UPDATE chronicle_seals SET root = x'00' WHERE size = 3;
             UPDATE chronicle_streams SET version = -1;",
        )
        .unwrap();
    for (error, said) in [
        (log.last_seal().await.unwrap_err(), "a row of chronicle_seals holds no root"),
        (log.streams_in(&[7]).await.unwrap_err(), "a row of chronicle_streams holds no version"),
    ] {
        assert!(!error.is_transient(), "{error}");
        assert_eq!(error.source.to_string(), said);
    }
}

#[tokio::test]
async fn a_log_that_went_back_is_noticed_by_who_seals_it() {
    let folder = new_folder();
    let path = folder.path().join("guildhall.db");
    let log = SqliteStore::open(&path).await.unwrap().chronicle();
    sealed(&log).await;
    Connection::open(&path)
        .unwrap()
        .execute_batch(
            "DROP TRIGGER chronicle_entries_refuse_delete;
             DELETE FROM chronicle_entries WHERE position > 4;",
        )
        .unwrap();
    let saved = log.save_seal(new_seal(HolderId::new(), Some(3), 4)).await;
    let Err(SaveSealError::Store(saved)) = saved else { panic!("{saved:?}") };
    let errors = [
        saved,
        log.last_seal().await.unwrap_err(),
        log.tiles(1, 0, 1).await.unwrap_err(),
        log.leaf_hashes(Position::ZERO, 1).await.unwrap_err(),
        log.streams(None, 1).await.unwrap_err(),
        log.hold_seal_lease(HolderId::new(), Default::default()).await.unwrap_err(),
    ];
    let expected = LogFault::WentBack { seen: Position::new(5), head: Position::new(4) };
    for error in errors {
        assert_eq!(error.log_fault(), Some(&expected), "{error:?}");
    }
}

#[tokio::test]
async fn a_store_that_only_reads_saves_nothing() {
    let folder = new_folder();
    let path = folder.path().join("guildhall.db");
    let store = SqliteStore::open(&path).await.unwrap();
    sealed(&store.chronicle()).await;
    store.close().await.unwrap();
    let log = SqliteStore::open_read_only(&path).await.unwrap().chronicle();
    assert_eq!(log.last_seal().await.unwrap().unwrap().size, Position::new(3));
    assert_eq!(log.seals(Position::ZERO, 9).await.unwrap().len(), 2);
    let refused = log.save_seal(new_seal(HolderId::new(), Some(3), 4)).await;
    assert!(matches!(refused, Err(SaveSealError::Store(error)) if !error.is_transient()));
}
