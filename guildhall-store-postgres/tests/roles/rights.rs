//! Each role does its work, and is refused what is not.

use std::sync::Arc;
use std::time::Duration;

use guildhall_core::seals::TILE_BYTES;
use guildhall_core::{
    Append, Chronicle, HolderId, Lease, NewEntry, NewSeal, OPS_DB, OpsDb, Position, Projector,
    ReadLimit, Seals, StoredCosignature, StoredSeal, StoredStream, StoredTile, StreamId, Timestamp,
    TreeHash, Version,
};
use guildhall_projector::{Settings as RuntimeSettings, catch_up, rebuild};
use guildhall_store_postgres::{PostgresOptions, PostgresStore};
use sqlx::{PgConnection, Row};

use crate::common::{self, append_one};
use crate::projecting::{append_all, log};
use crate::server::execute;
use crate::{Guild, LEASE, REFUSED, refusal};

/// What the writer, the projector and the sealer may do beside reading; the reader may do nothing.
const WRITES: [(&str, &str, &[&str]); 21] = [
    ("writer", "chronicle_entries", &["INSERT"]),
    ("writer", "chronicle_origin", &["INSERT"]),
    ("writer", "chronicle_head", &["UPDATE"]),
    ("projector", "accord_bindings", &["INSERT"]),
    ("projector", "governed_artifacts", &["INSERT", "UPDATE"]),
    ("projector", "artifact_revisions", &["INSERT"]),
    ("projector", "custody_transitions", &["INSERT"]),
    ("projector", "deployment_states", &["INSERT", "UPDATE"]),
    ("projector", "deployment_changes", &["INSERT"]),
    ("projector", "verification_results", &["INSERT"]),
    ("projector", "quarantined_entries", &["INSERT"]),
    ("projector", "row_counts", &["INSERT", "UPDATE"]),
    ("projector", "projector_checkpoints", &["INSERT", "UPDATE"]),
    ("sealer", "chronicle_entries", &["INSERT"]),
    ("sealer", "chronicle_origin", &["INSERT"]),
    ("sealer", "chronicle_head", &["UPDATE"]),
    ("sealer", "chronicle_seals", &["INSERT"]),
    ("sealer", "chronicle_cosignatures", &["INSERT"]),
    ("sealer", "chronicle_tiles", &["INSERT"]),
    ("sealer", "chronicle_streams", &["INSERT", "UPDATE"]),
    ("sealer", "chronicle_sealer", &["UPDATE"]),
];

const OPS_TABLES: [&str; 10] = [
    "accord_bindings",
    "governed_artifacts",
    "artifact_revisions",
    "custody_transitions",
    "deployment_states",
    "deployment_changes",
    "verification_results",
    "quarantined_entries",
    "row_counts",
    "projector_checkpoints",
];

const PROOF_TABLES: [&str; 5] = [
    "chronicle_seals",
    "chronicle_cosignatures",
    "chronicle_tiles",
    "chronicle_streams",
    "chronicle_sealer",
];

/// Of which tables the writer, the projector and the sealer may read nothing.
const UNREAD: [(&str, &[&str]); 5] = [
    ("writer", &OPS_TABLES),
    ("writer", &PROOF_TABLES),
    ("projector", &["deployment_changes", "verification_results", "quarantined_entries"]),
    ("projector", &PROOF_TABLES),
    ("sealer", &OPS_TABLES),
];

/// Every table of the schema, with its first column.
async fn tables(connection: &mut PgConnection, schema: &str) -> Vec<(String, String)> {
    let rows = sqlx::query(
        "SELECT relname::text, attname::text FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid \
         WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'p') AND attnum = 1",
    )
    .bind(schema)
    .fetch_all(connection)
    .await
    .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test]
async fn each_role_does_its_work_through_the_library() {
    let guild = Guild::start().await;
    // The first append names the log.
    let writer = guild.open("as_writer").await.unwrap().chronicle();
    append_all(&writer, &log(400)).await;
    // A second writer, so that they take turns on the head row; and an append that is repeated.
    let other = guild.open("as_writer").await.unwrap().chronicle();
    append_one(&other, 1).await;
    append_one(&writer, 1).await;
    append_one(&other, 1).await;
    let again = NewEntry::new(&common::event(2));
    let first = writer.append(Append::of([again.clone()])).await.unwrap();
    let second = other.append(Append::of([again])).await.unwrap();
    assert_eq!((first[0].position, true), (second[0].position, second[0].was_recorded));
    writer.wait_beyond(Position::ZERO, Duration::ZERO).await.unwrap();

    // The projector projects, in several batches, with what it remembers and without.
    let store = guild.open("as_projector").await.unwrap();
    let projector = Arc::new(store.projector().memory_bytes(0).start().unwrap());
    let (chronicle, settings) =
        (Arc::new(store.chronicle()), RuntimeSettings::default().read_entries(37));
    catch_up(chronicle.clone(), projector.clone(), &settings, |_| {}).await.unwrap();
    guild.assert_tables_are_as_expected().await;

    // The owner rebuilds; the others' rights are there afterwards.
    let owner = guild.open("guildhall_owner").await.unwrap();
    rebuild(Arc::new(owner.chronicle()), &owner.projector().start().unwrap(), &settings, |_| {})
        .await
        .unwrap();
    guild.assert_tables_are_as_expected().await;
    for _ in 0..3 {
        append_one(&writer, 1).await;
    }
    catch_up(chronicle, projector, &settings, |_| {}).await.unwrap();
    guild.assert_tables_are_as_expected().await;

    // The sealer indexes what there is, and keeps what proves it.
    let sealer = guild.open("as_sealer").await.unwrap().chronicle();
    let size = append_one(&sealer, 1).await.position;
    let (holder, root) = (HolderId::new(), TreeHash::from_bytes([7; 32]));
    assert_eq!(sealer.hold_seal_lease(holder, LEASE).await.unwrap(), Lease::Held);
    let note = "note".to_owned();
    let seal = StoredSeal { size, root, note: note.clone(), sealed_at: Timestamp::now() };
    let leaf_hash = sealer.head().await.unwrap().leaf_hash.unwrap();
    let (stream_id, version) = (StreamId::new(), Version::FIRST);
    let stream = StoredStream { bucket: 7, stream_id, version, leaf_hash };
    let tile = StoredTile { level: 1, tile: 0, hashes: vec![7; TILE_BYTES] };
    let (tiles, streams) = (vec![tile], vec![stream]);
    sealer.save_seal(NewSeal { holder, after: None, seal, tiles, streams }).await.unwrap();
    let cosignature = StoredCosignature { size, key_name: "witness".to_owned(), line: note };
    assert!(sealer.save_cosignature(cosignature).await.unwrap());
    sealer.release_seal_lease(holder).await.unwrap();

    // The reader reads all of it.
    let reader = guild.open("as_reader").await.unwrap();
    assert_eq!(reader.chronicle().last_seal().await.unwrap().unwrap().size, size);
    assert_eq!(reader.chronicle().streams(None, 9).await.unwrap(), [stream]);
    let head = reader.chronicle().head().await.unwrap().position.previous();
    assert_eq!(
        reader.chronicle().read(Position::ZERO, ReadLimit::entries(9)).await.unwrap().len(),
        9
    );
    reader.chronicle().wait_beyond(Position::ZERO, Duration::MAX).await.unwrap();
    let ops_db = reader.ops_db();
    assert_eq!(ops_db.checkpoint(OPS_DB).await.unwrap().unwrap().position, head);
    assert!(ops_db.overview().await.unwrap().accords > 0);
    let page = ops_db.artifacts(&Default::default()).await.unwrap();
    ops_db.artifact(page.rows[0].id).await.unwrap().unwrap();
}

#[tokio::test]
async fn each_role_is_refused_what_is_not_its_work() {
    let guild = Guild::start().await;
    append_all(&guild.open("as_writer").await.unwrap().chronicle(), &log(50)).await;
    let _admin = guild.connect("guildhall").await;
    for role in ["writer", "projector", "sealer", "reader"] {
        let mut stranger = guild.connect(&format!("as_{role}")).await;
        let tables = tables(&mut stranger, guild.schema).await;
        assert!(tables.len() >= 11, "{tables:?}");
        for (table, column) in &tables {
            let may = |verb: &str| {
                WRITES.iter().any(|(who, what, verbs)| {
                    (*who, *what) == (role, table.as_str()) && verbs.contains(&verb)
                })
            };
            let is_unread =
                UNREAD.iter().any(|(who, what)| *who == role && what.contains(&&**table));
            // The head's only column to write is not its first.
            let column = if table == "chronicle_head" { "position" } else { column.as_str() };
            let attempts = [
                (format!("SELECT FROM guildhall.{table}"), !is_unread),
                (format!("INSERT INTO guildhall.{table} DEFAULT VALUES"), may("INSERT")),
                (
                    format!("UPDATE guildhall.{table} SET {column} = {column} WHERE false"),
                    may("UPDATE"),
                ),
                (format!("DELETE FROM guildhall.{table}"), false),
                (format!("TRUNCATE guildhall.{table} CASCADE"), false),
                (format!("ALTER TABLE guildhall.{table} DISABLE TRIGGER ALL"), false),
                (format!("ALTER TABLE guildhall.{table} OWNER TO CURRENT_USER"), false),
                (format!("DROP TABLE guildhall.{table} CASCADE"), false),
                (
                    format!(
                        "CREATE TRIGGER mine BEFORE INSERT ON guildhall.{table} FOR EACH ROW
                         EXECUTE FUNCTION suppress_redundant_updates_trigger()"
                    ),
                    false,
                ),
                (format!("CREATE INDEX ON guildhall.{table} ({column})"), false),
            ];
            for (attempt, may) in attempts {
                let refusal = refusal(&mut stranger, &attempt).await;
                assert_eq!(
                    refusal.as_deref() == Some(REFUSED),
                    !may,
                    "{role}: {attempt}: {refusal:?}"
                );
            }
        }
        for attempt in [
            "UPDATE guildhall.chronicle_head SET id = id",
            "CREATE TABLE guildhall.mine (id integer)",
            "CREATE VIEW guildhall.mine AS SELECT 1",
            "CREATE FUNCTION guildhall.mine() RETURNS integer LANGUAGE sql RETURN 1",
            "CREATE OR REPLACE FUNCTION guildhall.chronicle_refuse() RETURNS trigger
             LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            "DROP FUNCTION guildhall.chronicle_refuse() CASCADE",
            "DROP TRIGGER chronicle_entries_refuse_change ON guildhall.chronicle_entries",
            "DROP SCHEMA guildhall CASCADE",
            "ALTER SCHEMA guildhall RENAME TO mine",
            "SET session_replication_role = replica",
            "SET ROLE guildhall_owner",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'guildhall'",
        ] {
            let refusal = refusal(&mut stranger, attempt).await;
            assert_eq!(refusal.as_deref(), Some(REFUSED), "{role}: {attempt}");
        }
    }
    // The owner keeps what is recorded, unless it takes the triggers away first.
    let mut owner = guild.connect("guildhall_owner").await;
    for (attempt, expected) in [
        ("DELETE FROM guildhall.chronicle_entries", "23001"),
        ("UPDATE guildhall.chronicle_entries SET payload = ''", "23001"),
        ("TRUNCATE guildhall.custody_transitions", "23001"),
        ("SET session_replication_role = replica", REFUSED),
        ("CREATE ROLE mine", REFUSED),
        ("CREATE SCHEMA mine", REFUSED),
    ] {
        assert_eq!(refusal(&mut owner, attempt).await.as_deref(), Some(expected), "{attempt}");
    }
}

#[tokio::test]
async fn the_library_says_what_a_role_was_refused() {
    let guild = Guild::start().await;
    let denied = |error: &dyn std::error::Error| {
        let causes = std::iter::successors(error.source(), |cause| cause.source());
        let said = causes.fold(error.to_string(), |said, cause| format!("{said}: {cause}"));
        assert!(said.contains("permission denied"), "{said}");
    };
    append_all(&guild.open("as_writer").await.unwrap().chronicle(), &log(50)).await;
    for user in ["as_reader", "as_projector"] {
        let chronicle = guild.open(user).await.unwrap().chronicle();
        let error = chronicle.append(Append::of([NewEntry::new(&common::event(1))])).await;
        denied(&error.unwrap_err());
    }
    for user in ["as_reader", "as_writer"] {
        let store = guild.open(user).await.unwrap();
        let projector = store.projector().start().unwrap();
        let error = projector.hold_lease().await.unwrap_err();
        assert!(!error.is_transient(), "{error:?}");
        denied(&error);
    }
    for user in ["as_reader", "as_writer", "as_projector"] {
        let store = guild.open(user).await.unwrap();
        let projector = store.projector().start().unwrap();
        let chronicle = Arc::new(store.chronicle());
        denied(
            &rebuild(chronicle, &projector, &RuntimeSettings::default(), |_| {}).await.unwrap_err(),
        );
    }
    let writer = guild.open("as_writer").await.unwrap();
    denied(&writer.ops_db().overview().await.unwrap_err());
    // Nobody but those who were granted a role gets in, and only the owner makes tables.
    execute(guild.database.url(), "CREATE ROLE nobody LOGIN");
    denied(&guild.open("nobody").await.unwrap_err());
    execute(guild.database.url(), "CREATE SCHEMA other");
    let mut options = PostgresOptions::at(guild.url("as_projector"));
    options.schema = "other".to_owned();
    denied(&PostgresStore::open_with(options).await.unwrap_err());
}
