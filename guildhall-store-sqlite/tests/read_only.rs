//! Opening for reading: also where nothing can be written, and nothing stays behind.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{append_one, batch_of_all, event, new_folder};
use guildhall_core::{Append, Chronicle, NewEntry, OPS_DB, OpsDb, Position, Projector, ReadLimit};
use guildhall_store_sqlite::{Family, OpenError, SqliteStore};
use rusqlite::Connection;

fn names(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A closed store with one entry, projected.
async fn closed_store(path: &Path) {
    let store = SqliteStore::open(path).await.unwrap();
    append_one(&store.chronicle(), 1).await;
    let projector = store.projector().start().unwrap();
    projector.apply(batch_of_all(&store.chronicle()).await).await.unwrap();
    projector.release_lease().await.unwrap();
    store.close().await.unwrap();
}

async fn count(store: &SqliteStore) -> usize {
    let entries = store.chronicle().read(Position::ZERO, ReadLimit::entries(99)).await.unwrap();
    let checkpoint = store.ops_db().checkpoint(OPS_DB).await.unwrap();
    assert_eq!(checkpoint.map(|checkpoint| checkpoint.position), Some(Position::FIRST));
    entries.len()
}

#[tokio::test]
async fn the_log_of_a_killed_writer_is_read_and_left_as_it_was() {
    let folder = new_folder();
    let path = folder.path().join("g.db");
    closed_store(&path).await;
    let writer = SqliteStore::open(&path).await.unwrap();
    append_one(&writer.chronicle(), 1).await;
    let killed = folder.path().join("killed.db");
    let beside = |path: &Path| PathBuf::from(format!("{}-wal", path.display()));
    fs::copy(&path, &killed).unwrap();
    fs::copy(beside(&path), beside(&killed)).unwrap();
    let bytes = || (fs::read(&killed).unwrap(), fs::read(beside(&killed)).unwrap());
    let before = bytes();
    assert!(!before.1.is_empty());
    for is_closed in [true, false] {
        let reader = SqliteStore::open_read_only(&killed).await.unwrap();
        assert_eq!(count(&reader).await, 2);
        if is_closed {
            reader.close().await.unwrap();
        }
        drop(reader);
        assert!(bytes() == before);
    }
}

#[tokio::test]
async fn it_reads_follows_and_leaves_nothing_behind() {
    let folder = new_folder();
    let path = folder.path().join("g.db");
    closed_store(&path).await;
    let before = fs::read(&path).unwrap();
    let reader = SqliteStore::open_read_only(&path).await.unwrap();
    assert_eq!(count(&reader).await, 1);
    drop(reader);
    assert_eq!(names(folder.path()), ["g.db"]);
    assert!(fs::read(&path).unwrap() == before);

    let reader = SqliteStore::open_read_only(&path).await.unwrap();
    let writer = SqliteStore::open(&path).await.unwrap();
    append_one(&writer.chronicle(), 1).await;
    assert_eq!(count(&reader).await, 2);
    writer.close().await.unwrap();
    reader.close().await.unwrap();
    assert_eq!(names(folder.path()), ["g.db"]);
}

#[tokio::test]
async fn it_refuses_to_write() {
    let folder = new_folder();
    let path = folder.path().join("g.db");
    closed_store(&path).await;
    let reader = SqliteStore::open_read_only(&path).await.unwrap();
    let append = Append::of([NewEntry::new(&event(1))]);
    let append = reader.chronicle().append(append).await.unwrap_err();
    let error: &dyn std::error::Error = &append;
    assert!(format!("{:?}", error).contains("ReadOnly"), "{error:?}");
    for refused in [
        reader.chronicle().fix_origin("other".parse().unwrap()).await.unwrap_err(),
        reader.projector().start().unwrap_err(),
    ] {
        assert!(!refused.is_transient());
        assert_eq!(refused.source.to_string(), "the store was opened for reading only");
    }
}

#[tokio::test]
async fn nothing_is_created_or_migrated() {
    let folder = new_folder();
    let path = folder.path().join("g.db");
    assert!(matches!(SqliteStore::open_read_only(&path).await, Err(OpenError::Io { .. })));
    assert_eq!(names(folder.path()), Vec::<String>::new());
    closed_store(&path).await;
    let sql = "DROP TABLE row_counts;
               DELETE FROM guildhall_migrations WHERE family = 'ops' AND number = 17";
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    match SqliteStore::open_read_only(&path).await.unwrap_err() {
        OpenError::OlderSchema { family: Family::Ops, found: 15, known: 17, .. } => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(names(folder.path()), ["g.db"]);
    closed_store(&path).await;
    SqliteStore::open_read_only(&path).await.unwrap();
}

const FOR_CHILD: &str = "GUILDHALL_TEST_READ";

/// Not a test of its own: what the child process of the next ones runs, as somebody who may read
/// the file and write nothing.
#[tokio::test]
async fn child_reads_without_a_right_to_write() {
    let Some(path) = std::env::var_os(FOR_CHILD).map(PathBuf::from) else { return };
    match SqliteStore::open_read_only(&path).await {
        Ok(store) => {
            println!("read {}", count(&store).await);
            if let Ok(go) = std::env::var("GUILDHALL_TEST_GO") {
                println!("ready");
                // Whoever started it writes meanwhile, and says so.
                while !Path::new(&go).exists() {
                    std::thread::yield_now();
                }
                println!("then {}", count(&store).await);
            }
        }
        Err(error) => println!("refused {error:?}"),
    }
}

/// What the child prints, run as a user who is not root where this process is root.
fn read_as_somebody_else(path: &Path, go: Option<&Path>) -> std::process::Child {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "child_reads_without_a_right_to_write", "--nocapture"])
        .env(FOR_CHILD, path)
        .stdout(std::process::Stdio::piped());
    if let Some(go) = go {
        command.env("GUILDHALL_TEST_GO", go);
    }
    if is_root() {
        command.uid(65_534).gid(65_534);
    }
    command.spawn().unwrap()
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

fn output(child: std::process::Child) -> String {
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_file_in_a_folder_that_cannot_be_written_is_read_and_its_next_writer_seen() {
    let folder = new_folder();
    let path = folder.path().join("g.db");
    closed_store(&path).await;
    set_mode(&path, 0o444);
    set_mode(folder.path(), 0o555);
    assert!(output(read_as_somebody_else(&path, None)).contains("read 1"));
    assert_eq!(names(folder.path()), ["g.db"]);

    // As above, with somebody who can write coming between two questions.
    if is_root() {
        let elsewhere = new_folder();
        set_mode(elsewhere.path(), 0o755);
        let go = elsewhere.path().join("go");
        let mut child = read_as_somebody_else(&path, Some(&go));
        let mut lines =
            std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        lines.by_ref().map_while(Result::ok).find(|line| line.contains("ready")).unwrap();
        let writer = SqliteStore::open(&path).await.unwrap();
        append_one(&writer.chronicle(), 1).await;
        writer.close().await.unwrap();
        fs::write(&go, "").unwrap();
        let printed: Vec<String> = lines.map_while(Result::ok).collect();
        assert!(printed.iter().any(|line| line.contains("then 2")), "{printed:?}");
        child.wait().unwrap();
    }
    set_mode(folder.path(), 0o755);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_in_a_folder_that_can_gets_nothing_beside_it() {
    let folder = new_folder();
    let path = folder.path().join("g.db");
    closed_store(&path).await;
    set_mode(&path, 0o444);
    set_mode(folder.path(), 0o777);
    assert!(output(read_as_somebody_else(&path, None)).contains("read 1"));
    assert_eq!(names(folder.path()), ["g.db"]);
}

#[tokio::test]
async fn a_log_that_a_writer_has_open_is_read_and_one_that_cannot_be_is_said() {
    let folder = new_folder();
    let path = folder.path().join("g.db");
    closed_store(&path).await;
    let writer = SqliteStore::open(&path).await.unwrap();
    append_one(&writer.chronicle(), 1).await;
    for name in names(folder.path()) {
        set_mode(&folder.path().join(name), 0o444);
    }
    set_mode(folder.path(), 0o555);
    let printed = output(read_as_somebody_else(&path, None));
    assert!(printed.contains("read 2"), "{printed}");

    // As a process that was killed leaves it, copied without the index of the log.
    let copy = new_folder();
    for name in ["g.db", "g.db-wal"] {
        fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
    }
    set_mode(copy.path(), 0o777);
    let printed = output(read_as_somebody_else(&copy.path().join("g.db"), None));
    assert!(printed.contains("refused LogUnreadable"), "{printed}");
    assert_eq!(names(copy.path()), ["g.db", "g.db-wal"]);
    set_mode(folder.path(), 0o755);
}
