//! Opening: what is refused is left as it was, byte for byte, with nothing beside it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use common::{append_one, new_folder};
use guildhall_core::{Chronicle, Position};
use guildhall_store_sqlite::{
    APPLICATION_ID, Family, OpenError, SchemaFault, SqliteOptions, SqliteStore,
};
use rusqlite::Connection;

/// Every file of a folder with its bytes.
fn snapshot(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|file| {
        let file = file.unwrap();
        (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())
    });
    files.collect()
}

/// The error of opening a file that must be left as it is.
async fn refuse(path: &Path) -> OpenError {
    let folder = path.parent().unwrap();
    let before = snapshot(folder);
    let error = SqliteStore::open(path).await.unwrap_err();
    assert!(snapshot(folder) == before, "opening changed something: {error}");
    assert!(!error.is_transient(), "{error}");
    error
}

/// A Guildhall file with one entry, closed, its log folded in.
async fn closed_store(path: &Path) {
    let chronicle = SqliteStore::open(path).await.unwrap().chronicle();
    append_one(&chronicle, 1).await;
    drop(chronicle);
    fold_log_in(path);
}

/// Leaves the main file alone, whoever still closes theirs.
fn fold_log_in(path: &Path) {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    // Leaving WAL takes the file for itself, so it succeeds once every other has closed.
    while connection.query_row("PRAGMA journal_mode = delete", [], |row| row.get(0)).ok()
        != Some("delete".to_owned())
    {
        assert!(std::time::Instant::now() < deadline, "somebody keeps the file open");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    for content in [&b"# Notes\n"[..], &[0; 4096], &[b'x'; 5000], b"SQLite format 3\0"] {
        let folder = new_folder();
        let path = folder.path().join("notes.md");
        fs::write(&path, content).unwrap();
        let error = refuse(&path).await;
        assert!(matches!(error, OpenError::NotSqlite { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_database_of_another_program_is_refused() {
    for (sql, expected) in [
        ("CREATE TABLE songs (title TEXT)", 0),
        ("PRAGMA application_id = 252006673; CREATE TABLE songs (title TEXT)", 252_006_673),
        ("PRAGMA journal_mode = wal; CREATE TABLE songs (title TEXT)", 0),
    ] {
        let folder = new_folder();
        let path = folder.path().join("music.db");
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        match refuse(&path).await {
            OpenError::OtherProgram { application_id, .. } => assert_eq!(application_id, expected),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_live_database_of_another_program_is_refused() {
    let folder = new_folder();
    let path = folder.path().join("music.db");
    let stranger = Connection::open(&path).unwrap();
    stranger.execute_batch("PRAGMA journal_mode = wal; CREATE TABLE songs (title TEXT)").unwrap();
    assert!(matches!(refuse(&path).await, OpenError::OtherProgram { .. }));
    stranger.execute_batch("INSERT INTO songs VALUES ('still mine')").unwrap();
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    for family in [Family::Chronicle, Family::Ops] {
        let folder = new_folder();
        let path = folder.path().join("guildhall.db");
        closed_store(&path).await;
        Connection::open(&path)
            .unwrap()
            .execute(
                "INSERT INTO guildhall_migrations VALUES (?1, 999, 'later', '')",
                [family.as_str()],
            )
            .unwrap();
        match refuse(&path).await {
            OpenError::NewerSchema { family: found_family, found: 999, known, .. } => {
                assert_eq!(found_family, family);
                assert!(known < 999);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_newer_schema_that_is_still_in_the_log_is_refused() {
    let folder = new_folder();
    let path = folder.path().join("guildhall.db");
    closed_store(&path).await;
    let newer = Connection::open(&path).unwrap();
    newer
        .execute_batch(
            "PRAGMA journal_mode = wal;
             INSERT INTO guildhall_migrations VALUES ('chronicle', 999, 'later', '')",
        )
        .unwrap();
    let bytes = || (fs::read(&path).unwrap(), fs::read(path.with_extension("db-wal")).unwrap());
    let before = bytes();
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert!(matches!(error, OpenError::NewerSchema { found: 999, .. }), "{error:?}");
    assert!(bytes() == before);
}

#[tokio::test]
async fn a_corrupt_file_is_refused() {
    // Cut off; the schema scribbled over; the list of migrations and its index.
    let damage: [fn(&mut Vec<u8>); 3] = [
        |bytes| bytes.truncate(bytes.len() / 2 + 100),
        |bytes| bytes[100..300].fill(0xff),
        |bytes| bytes[4096..12288].fill(0xff),
    ];
    for (nth, damage) in damage.into_iter().enumerate() {
        let folder = new_folder();
        let path = folder.path().join("guildhall.db");
        closed_store(&path).await;
        let mut bytes = fs::read(&path).unwrap();
        damage(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let error = refuse(&path).await;
        assert!(matches!(error, OpenError::Corrupt { .. }), "damage {nth}: {error:?}");
    }
}

#[tokio::test]
async fn a_missing_folder_and_a_folder_are_refused() {
    let folder = new_folder();
    refuse_without_change(folder.path(), &folder.path().join("nowhere/guildhall.db")).await;
    fs::create_dir(folder.path().join("guildhall.db")).unwrap();
    let error = SqliteStore::open(folder.path().join("guildhall.db")).await.unwrap_err();
    assert!(matches!(error, OpenError::NotSqlite { .. }), "{error:?}");
}

async fn refuse_without_change(folder: &Path, path: &Path) {
    let before = snapshot(folder);
    assert!(!SqliteStore::open(path).await.unwrap_err().is_transient());
    assert!(snapshot(folder) == before);
}

#[tokio::test]
async fn an_empty_file_becomes_a_store() {
    let folder = new_folder();
    let path = folder.path().join("spaces & 100%? #1.db");
    fs::write(&path, []).unwrap();
    closed_store(&path).await;
    let chronicle = SqliteStore::open(&path).await.unwrap().chronicle();
    assert_eq!(chronicle.head().await.unwrap().position, Position::FIRST);
    let connection = Connection::open(&path).unwrap();
    let application_id: u32 =
        connection.query_row("PRAGMA application_id", [], |row| row.get(0)).unwrap();
    assert_eq!(application_id, APPLICATION_ID);
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_new_file_can_be_opened_by_many_at_once() {
    let folder = new_folder();
    let path = folder.path().join("guildhall.db");
    let opens = (0..8u128).map(|nth| {
        let path = path.clone();
        tokio::spawn(async move {
            let chronicle = SqliteStore::open(path).await.unwrap().chronicle();
            append_one(&chronicle, nth).await;
        })
    });
    for open in opens.collect::<Vec<_>>() {
        open.await.unwrap();
    }
    let chronicle = SqliteStore::open(&path).await.unwrap().chronicle();
    assert_eq!(chronicle.head().await.unwrap().position, Position::new(8));
}

#[tokio::test]
async fn two_files_hold_one_family_each() {
    let folder = new_folder();
    let mut options = SqliteOptions::at(folder.path().join("chronicle.db"));
    options.ops_path = Some(folder.path().join("ops.db"));
    let store = SqliteStore::open_with(options).await.unwrap();
    append_one(&store.chronicle(), 1).await;
    let has_log = |name: &str| -> bool {
        Connection::open(folder.path().join(name))
            .unwrap()
            .query_row(
                "SELECT count(*) FROM sqlite_schema WHERE name = 'chronicle_entries'",
                [],
                |row| row.get(0),
            )
            .unwrap()
    };
    assert!(has_log("chronicle.db"));
    assert!(!has_log("ops.db"));
}

/// The newest committed image of page 1 in a write-ahead log (format: sqlite.org/fileformat2.html,
/// section 4).
fn first_page_of(log: &[u8]) -> Vec<u8> {
    let number = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().unwrap());
    let page_bytes = usize::try_from(number(8)).unwrap();
    let frames = (32..).step_by(24 + page_bytes).take_while(|at| at + 24 + page_bytes <= log.len());
    let first = frames.filter(|&at| number(at) == 1).last().unwrap();
    log[first + 24..first + 24 + page_bytes].to_vec()
}

/// A process was killed while it folded its log in: page 1 of the main file already counts pages
/// that only the log has.
#[tokio::test]
async fn a_file_that_was_cut_off_in_a_checkpoint_is_opened() {
    let (whole, torn) = (new_folder(), new_folder());
    let chronicle = SqliteStore::open(whole.path().join("g.db")).await.unwrap().chronicle();
    for nth in 1..=200 {
        append_one(&chronicle, nth).await;
    }
    let log = fs::read(whole.path().join("g.db-wal")).unwrap();
    let mut main = fs::read(whole.path().join("g.db")).unwrap();
    let page = first_page_of(&log);
    main[..page.len()].copy_from_slice(&page);
    fs::write(torn.path().join("g.db"), main).unwrap();
    fs::write(torn.path().join("g.db-wal"), log).unwrap();

    let reopened = SqliteStore::open(torn.path().join("g.db")).await.unwrap().chronicle();
    assert_eq!(reopened.head().await.unwrap(), chronicle.head().await.unwrap());
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_file_is_its_owners_alone_and_one_that_is_there_keeps_its_mode() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = new_folder();
    let path = folder.path().join("g.db");
    let store = SqliteStore::open(&path).await.unwrap();
    append_one(&store.chronicle(), 1).await;
    for suffix in ["", "-wal", "-shm"] {
        assert_eq!(mode(&folder.path().join(format!("g.db{suffix}"))), 0o600, "{suffix}");
    }
    store.close().await.unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    append_one(&store.chronicle(), 1).await;
    assert_eq!([mode(&path), mode(&folder.path().join("g.db-wal"))], [0o640; 2]);
}

#[tokio::test]
async fn what_is_no_path_of_a_file_is_refused_and_leaves_nothing() {
    for path in ["", ":memory:", "file:stray.db", "file::memory:", "sqlite:stray.db"] {
        for error in [
            SqliteStore::open(path).await.unwrap_err(),
            SqliteStore::open_read_only(path).await.unwrap_err(),
        ] {
            assert!(matches!(error, OpenError::NotAPath { .. }), "{error:?}");
        }
    }
    assert!(!Path::new("stray.db").exists() && !Path::new("file:stray.db").exists());
    // As the name of a file in a folder they are names like any other.
    let folder = new_folder();
    closed_store(&folder.path().join("file:g.db")).await;
    assert!(folder.path().join("file:g.db").exists());
}

/// SQL that makes the database again, as `sqlite3 g.db .dump` writes it.
fn dump(path: &Path) -> String {
    let connection = Connection::open(path).unwrap();
    let texts = |sql: &str| -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let mut script = String::new();
    for table in texts("SELECT name FROM sqlite_schema WHERE type = 'table'") {
        script += &texts(&format!("SELECT sql FROM sqlite_schema WHERE name = '{table}'"))[0];
        script += ";\n";
        let columns =
            texts(&format!("SELECT 'quote(' || name || ')' FROM pragma_table_info('{table}')"));
        let values = columns.join(" || ',' || ");
        for row in texts(&format!("SELECT {values} FROM {table}")) {
            script += &format!("INSERT INTO {table} VALUES ({row});\n");
        }
    }
    for sql in texts("SELECT sql FROM sqlite_schema WHERE type <> 'table' AND sql IS NOT NULL") {
        script += &format!("{sql};\n");
    }
    script
}

#[tokio::test]
async fn a_database_made_from_a_dump_is_ours_again() {
    let folder = new_folder();
    let (path, restored) = (folder.path().join("g.db"), folder.path().join("restored.db"));
    closed_store(&path).await;
    Connection::open(&restored).unwrap().execute_batch(&dump(&path)).unwrap();
    let reader = SqliteStore::open_read_only(&restored).await.unwrap();
    assert_eq!(reader.chronicle().head().await.unwrap().position, Position::FIRST);
    drop(reader);
    let store = SqliteStore::open(&restored).await.unwrap();
    append_one(&store.chronicle(), 1).await;
    store.close().await.unwrap();
    let application_id: u32 = Connection::open(&restored)
        .unwrap()
        .query_row("PRAGMA application_id", [], |row| row.get(0))
        .unwrap();
    assert_eq!(application_id, APPLICATION_ID);
}

#[tokio::test]
async fn what_is_missing_altered_or_foreign_in_the_schema_is_named() {
    let missing = |kind: &str, name: &str| SchemaFault::Missing {
        kind: kind.to_owned(),
        name: name.to_owned(),
    };
    let altered = |kind: &str, name: &str| SchemaFault::Altered {
        kind: kind.to_owned(),
        name: name.to_owned(),
    };
    let trigger = "chronicle_entries_refuse_update";
    let changes = [
        (format!("DROP TRIGGER {trigger}"), vec![missing("trigger", trigger)]),
        (
            format!("DROP TRIGGER {trigger}; CREATE TRIGGER {trigger} BEFORE UPDATE ON chronicle_entries BEGIN SELECT 1; END"),
            vec![altered("trigger", trigger)],
        ),
        (
            "CREATE TRIGGER forge AFTER INSERT ON chronicle_entries BEGIN DELETE FROM chronicle_origin; END".to_owned(),
            vec![SchemaFault::Foreign { name: "forge".to_owned(), table: "chronicle_entries".to_owned() }],
        ),
        (
            "CREATE TRIGGER forge AFTER INSERT ON guildhall_migrations BEGIN SELECT 1; END".to_owned(),
            vec![SchemaFault::Foreign { name: "forge".to_owned(), table: "guildhall_migrations".to_owned() }],
        ),
        (
            "DROP INDEX governed_artifacts_key; DROP TRIGGER custody_transitions_refuse_delete".to_owned(),
            vec![missing("index", "governed_artifacts_key"), missing("trigger", "custody_transitions_refuse_delete")],
        ),
        (
            "DROP INDEX governed_artifacts_key; CREATE INDEX governed_artifacts_key ON governed_artifacts (id)".to_owned(),
            vec![altered("index", "governed_artifacts_key")],
        ),
        (
            "ALTER TABLE chronicle_origin ADD COLUMN note TEXT".to_owned(),
            vec![altered("table", "chronicle_origin")],
        ),
        ("DROP TABLE quarantined_entries".to_owned(), vec![missing("table", "quarantined_entries")]),
    ];
    for (sql, expected) in changes {
        let folder = new_folder();
        let path = folder.path().join("guildhall.db");
        closed_store(&path).await;
        Connection::open(&path).unwrap().execute_batch(&sql).unwrap();
        fold_log_in(&path);
        match refuse(&path).await {
            OpenError::AlteredSchema { faults, .. } => assert_eq!(faults, expected, "{sql}"),
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_embedders_own_tables_views_indexes_and_triggers_are_welcome() {
    let folder = new_folder();
    let path = folder.path().join("guildhall.db");
    closed_store(&path).await;
    let sql = "CREATE TABLE mine (name TEXT); CREATE INDEX mine_too ON governed_artifacts (cid);
               CREATE VIEW ours AS SELECT name FROM governed_artifacts;
               CREATE TRIGGER audit AFTER INSERT ON mine BEGIN SELECT 1; END;
               CREATE TRIGGER outbox AFTER INSERT ON custody_transitions
               BEGIN INSERT INTO mine VALUES (NEW.actor); END";
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    SqliteStore::open(&path).await.unwrap();
}
