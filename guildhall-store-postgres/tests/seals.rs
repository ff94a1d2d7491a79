//! Attacks on what proves the log, by raw SQL from its owner; and a log that went back under who seals
//! it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::large_futures, reason = "tests")]

mod common;
mod server;

use common::append_one;
use guildhall_core::seals::TILE_BYTES;
use guildhall_core::{
    HolderId, LeafHash, LogFault, NewSeal, Position, SaveSealError, Seals, StoredCosignature,
    StoredSeal, StoredStream, StoredTile, StreamId, Timestamp, TreeHash, Version,
};
use guildhall_store_postgres::{PostgresChronicle, PostgresStore};
use server::{Database, execute};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

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

async fn sealed(log: &PostgresChronicle) {
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

#[tokio::test]
async fn nothing_that_was_sealed_can_be_changed_or_removed() {
    const STAYS: &str = "what is recorded stays as it is";
    const LARGER: &str = "chronicle_seals takes only a larger size";
    const KNOWN: &str = "duplicate key value violates unique constraint";
    let insert = |size: &str| {
        format!(
            "INSERT INTO guildhall.chronicle_seals (size, root, note, sealed_at)
             VALUES ({size}, sha256(''), 'mine', now())"
        )
    };
    let mut attacks: Vec<(String, &str)> = Vec::new();
    for (table, column) in [("seals", "note"), ("cosignatures", "line"), ("tiles", "hashes")] {
        let table = format!("guildhall.chronicle_{table}");
        attacks.extend([
            (format!("UPDATE {table} SET {column} = {column}"), STAYS),
            (format!("DELETE FROM {table}"), STAYS),
            (format!("TRUNCATE {table} CASCADE"), STAYS),
            (format!("WITH gone AS (DELETE FROM {table} RETURNING *) SELECT * FROM gone"), STAYS),
        ]);
    }
    attacks.extend([
        (insert("1"), LARGER),
        (insert("2"), LARGER),
        (insert("3"), LARGER),
        (insert("0"), LARGER),
        (insert("3") + " ON CONFLICT (size) DO UPDATE SET note = 'mine'", LARGER),
        (insert("6"), "chronicle_seals takes no size that the log does not have"),
    ]);
    let by_hand = [
        ("INSERT INTO guildhall.chronicle_cosignatures VALUES (3, 'w', 'mine')", KNOWN),
        (
            "INSERT INTO guildhall.chronicle_cosignatures VALUES (3, 'w', 'mine')
             ON CONFLICT (size, key_name) DO UPDATE SET line = 'mine'",
            STAYS,
        ),
        ("INSERT INTO guildhall.chronicle_tiles SELECT * FROM guildhall.chronicle_tiles", KNOWN),
        (
            "INSERT INTO guildhall.chronicle_tiles VALUES (1, 9, sha256(''))",
            "violates check constraint",
        ),
    ];
    attacks.extend(by_hand.map(|(attack, refusal)| (attack.to_owned(), refusal)));

    let database = Database::create();
    let log = PostgresStore::open(database.url()).await.unwrap().chronicle();
    sealed(&log).await;
    let before = log.seals(Position::ZERO, 9).await.unwrap();
    let tiles = log.tiles(1, 0, 9).await.unwrap();
    let mut stranger = PgConnection::connect(database.url()).await.unwrap();
    for role in ["origin", "replica", "local"] {
        let role = format!("SET session_replication_role = {role}");
        sqlx::raw_sql(AssertSqlSafe(role.clone())).execute(&mut stranger).await.unwrap();
        for (attack, refusal) in &attacks {
            let sql = AssertSqlSafe(attack.clone());
            let refused = sqlx::raw_sql(sql).execute(&mut stranger).await.err();
            let refused = refused.map(|error| error.to_string()).unwrap_or_default();
            assert!(refused.contains(refusal), "{role}: {attack}: {refused}");
        }
        assert_eq!(log.seals(Position::ZERO, 9).await.unwrap(), before);
        assert_eq!(log.tiles(1, 0, 9).await.unwrap(), tiles);
        assert_eq!(log.cosignatures(Position::new(3)).await.unwrap().len(), 1);
    }
    // The attacks failed for what they changed: the row that they vary is welcome.
    sqlx::raw_sql(AssertSqlSafe(insert("5"))).execute(&mut stranger).await.unwrap();
}

#[tokio::test]
async fn a_log_that_went_back_is_noticed_by_who_seals_it() {
    let database = Database::create();
    let log = PostgresStore::open(database.url()).await.unwrap().chronicle();
    sealed(&log).await;
    execute(
        database.url(),
        "ALTER TABLE guildhall.chronicle_entries DISABLE TRIGGER USER;
         ALTER TABLE guildhall.chronicle_head DISABLE TRIGGER USER;
         DELETE FROM guildhall.chronicle_entries WHERE position > 4;
         UPDATE guildhall.chronicle_head SET position = 4",
    );
    let saved = log.save_seal(new_seal(HolderId::new(), Some(3), 4)).await;
    let Err(SaveSealError::Store(saved)) = saved else { panic!("{saved:?}") };
    let errors = [
        saved,
        log.last_seal().await.unwrap_err(),
        log.tiles(1, 0, 1).await.unwrap_err(),
        log.leaf_hashes(Position::ZERO, 1).await.unwrap_err(),
        log.streams(None, 1).await.unwrap_err(),
    ];
    let expected = LogFault::WentBack { seen: Position::new(5), head: Position::new(4) };
    for error in errors {
        assert_eq!(error.log_fault(), Some(&expected), "{error:?}");
    }
}

#[tokio::test]
async fn a_store_that_only_reads_saves_nothing() {
    let database = Database::create();
    sealed(&PostgresStore::open(database.url()).await.unwrap().chronicle()).await;
    let log = PostgresStore::open_read_only(database.url()).await.unwrap().chronicle();
    assert_eq!(log.last_seal().await.unwrap().unwrap().size, Position::new(3));
    let refused = log.save_seal(new_seal(HolderId::new(), Some(3), 4)).await;
    assert!(matches!(refused, Err(SaveSealError::Store(error)) if !error.is_transient()));
}
