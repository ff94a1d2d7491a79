//! A lease lapses with the process that holds it, and in its time where that is frozen; and an idle
//! projector writes its lease and nothing else.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod common;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{append_one, batch_of_all, new_folder};
use guildhall_core::{Chronicle, Lease, Position, Projector, ReadLimit};
use guildhall_store_sqlite::SqliteStore;
use rusqlite::Connection;

const FOR_CHILD: &str = "GUILDHALL_TEST_HOLD_LEASE_OF";

/// So long that no test waits for it.
const LEASE: Duration = Duration::from_secs(3600);

async fn hold_lease(path: &Path) -> Lease {
    let store = SqliteStore::open(path).await.unwrap();
    let projector = store.projector().lease_time(LEASE).start().unwrap();
    let lease = projector.hold_lease().await.unwrap();
    projector.release_lease().await.unwrap();
    lease
}

/// Not a test of its own: what the child processes of the others run. It takes the lease, says so, and
/// goes on until it is killed.
#[tokio::test]
async fn child_holds_the_lease_until_it_is_killed() {
    let Some(path) = std::env::var_os(FOR_CHILD).map(PathBuf::from) else { return };
    let store = SqliteStore::open(path).await.unwrap();
    let projector = store.projector().lease_time(LEASE).start().unwrap();
    assert_eq!(projector.hold_lease().await.unwrap(), Lease::Held);
    println!("held");
    std::future::pending::<()>().await;
}

/// A process that holds the lease; killed when dropped.
struct Holder(Child);

impl Holder {
    fn of(path: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_holds_the_lease_until_it_is_killed", "--nocapture"])
            .env(FOR_CHILD, path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().ends_with("held")), "the child ended");
        Self(child)
    }

    fn end(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_lease_of_a_killed_process_is_free_at_once() {
    let folder = new_folder();
    let path = folder.path().join("g.db");
    for _ in 0..3 {
        let mut holder = Holder::of(&path);
        assert!(matches!(hold_lease(&path).await, Lease::Standby { .. }), "it lives");
        holder.end();
        assert_eq!(hold_lease(&path).await, Lease::Held);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_frozen_process_keeps_its_lease() {
    let folder = new_folder();
    let path = folder.path().join("g.db");
    let holder = Holder::of(&path);
    let pid = holder.0.id().to_string();
    assert!(Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());
    assert!(matches!(hold_lease(&path).await, Lease::Standby { .. }));
}

#[tokio::test]
async fn whoever_takes_over_from_a_killed_process_shows_itself_too() {
    let folder = new_folder();
    let path = folder.path().join("g.db");
    Holder::of(&path).end();
    // The second finds the first's file, and the third the second's.
    let mut second = Holder::of(&path);
    assert!(matches!(hold_lease(&path).await, Lease::Standby { .. }));
    second.end();
    assert_eq!(hold_lease(&path).await, Lease::Held);
}

#[tokio::test]
async fn an_idle_projector_writes_its_lease_and_nothing_else() {
    /// How often the runtime renews a lease in a minute, at a third of its 15 s.
    const RENEWALS: u64 = 12;
    let folder = new_folder();
    let path = folder.path().join("g.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let (chronicle, projector) = (store.chronicle(), store.projector().start().unwrap());
    append_one(&chronicle, 1).await;
    projector.apply(batch_of_all(&chronicle).await).await.unwrap();
    let log = path.with_extension("db-wal");
    let connection = Connection::open(&path).unwrap();
    let truncate = "PRAGMA wal_checkpoint(TRUNCATE)";
    let is_busy: i64 = connection.query_row(truncate, [], |row| row.get(0)).unwrap();
    assert_eq!((is_busy, log.metadata().unwrap().len()), (0, 0));

    // What the runtime does meanwhile: it renews the lease, and looks.
    for _ in 0..RENEWALS {
        assert_eq!(projector.hold_lease().await.unwrap(), Lease::Held);
        projector.checkpoint().await.unwrap();
        let head = chronicle.head().await.unwrap().position;
        chronicle.read_decoded(Position::ZERO, ReadLimit::entries(10)).await.unwrap();
        chronicle.wait_beyond(head, Duration::ZERO).await.unwrap();
    }
    // The header of the write-ahead log, and each time one page with a header of its own.
    let page: u32 = connection.query_row("PRAGMA page_size", [], |row| row.get(0)).unwrap();
    assert_eq!(log.metadata().unwrap().len(), 32 + RENEWALS * (24 + u64::from(page)));
}
