//! The projector, killed again and again at random moments of import, projection and rebuild, ends
//! up with the Chronicle and the tables of a run that nobody disturbed, which are those of the
//! reference model.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod common;
#[path = "../../guildhall-store-sqlite/tests/read_tables/mod.rs"]
mod read_tables;

use std::io::Read as _;
use std::process::Child;
use std::time::{Duration, Instant};

use common::Folder;
use guildhall_conformance::Compare as _;
use guildhall_conformance::reference::Reference;
use guildhall_core::{Chronicle as _, Position, ReadLimit, Tables};
use guildhall_store_sqlite::SqliteStore;
use guildhall_store_sqlite::rusqlite::types::Value;
use guildhall_store_sqlite::rusqlite::{Connection, OpenFlags};
use guildhall_workload::random::Random;
use read_tables::read_tables;

/// How many entries the log has.
const ENTRIES: u64 = 6000;
/// How often the projector is killed at least.
const KILLS: u32 = 100;

/// Whether the child ended of itself, and well, within `patience`; it is killed otherwise.
fn ends_within(child: &mut Child, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            assert!(status.success(), "{status}: {said}");
            return true;
        }
        std::thread::sleep(Duration::from_micros(500).min(patience));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    false
}

/// Starts the projector until it comes to its end; returns how often it was killed before.
fn run_until_done(
    folder: &Folder,
    arguments: &[&str],
    whole: Duration,
    random: &mut Random,
) -> u32 {
    for kills in 0..1000 {
        let mut child = folder.projector(arguments).spawn().unwrap();
        if ends_within(&mut child, below(whole, random)) {
            return kills;
        }
    }
    panic!("killed 1,000 times and no end");
}

fn below(limit: Duration, random: &mut Random) -> Duration {
    Duration::from_micros(random.below(limit.as_micros().try_into().unwrap()))
}

fn seed() -> u64 {
    let given = std::env::var("CRASH_SEED").ok().map(|seed| seed.parse().unwrap());
    given.unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos().into())
}

/// What a table must hold, whatever happened on the way: of the checkpoint, not its clock, its
/// lease and how often it was rebuilt.
const TABLES: [(&str, &str); 9] = [
    ("chronicle_entries", "*"),
    ("accord_bindings", "*"),
    ("governed_artifacts", "*"),
    ("custody_transitions", "*"),
    ("deployment_states", "*"),
    ("verification_results", "*"),
    ("quarantined_entries", "*"),
    ("row_counts", "*"),
    ("projector_checkpoints", "projector, position, leaf_hash, origin"),
];

/// The rows of every table, sorted: each a row's columns by name, with their values.
fn tables(folder: &Folder) -> Vec<(&'static str, Vec<String>)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = Connection::open_with_flags(folder.path("guildhall.db"), flags).unwrap();
    let verdict = connection.query_row("PRAGMA integrity_check", (), |row| row.get::<_, String>(0));
    assert_eq!(verdict.unwrap(), "ok");
    TABLES.map(|(table, columns)| (table, rows(&connection, table, columns))).to_vec()
}

fn rows(connection: &Connection, table: &str, columns: &str) -> Vec<String> {
    let mut select = connection.prepare(&format!("SELECT {columns} FROM {table}")).unwrap();
    let names: Vec<_> = select.column_names().into_iter().map(str::to_owned).collect();
    let texts = select.query_map((), |row| {
        let cell = |(at, name)| row.get::<_, Value>(at).map(|value| format!("{name}={value:?}"));
        names.iter().enumerate().map(cell).collect::<Result<Vec<_>, _>>().map(|row| row.join(" "))
    });
    let mut rows: Vec<_> = texts.unwrap().map(Result::unwrap).collect();
    rows.sort_unstable();
    rows
}

fn assert_same(found: &[(&str, Vec<String>)], expected: &[(&str, Vec<String>)], seed: u64) {
    for ((table, found), (_, expected)) in found.iter().zip(expected) {
        assert_eq!(found.len(), expected.len(), "rows of {table}, CRASH_SEED={seed}");
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found, expected, "{table}, CRASH_SEED={seed}");
        }
    }
}

/// The rows of the Ops DB, as the reference model has them.
fn rows_of(folder: &Folder) -> Tables {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = Connection::open_with_flags(folder.path("guildhall.db"), flags).unwrap();
    read_tables(&connection).without_reasons()
}

/// What the Chronicle means to the reference model.
#[tokio::main(flavor = "current_thread")]
async fn reference(folder: &Folder) -> Tables {
    let store = SqliteStore::open(folder.path("guildhall.db")).await.unwrap();
    let chronicle = store.chronicle();
    let origin = chronicle.origin().await.unwrap().unwrap();
    let limit = ReadLimit { entries: usize::MAX, bytes: usize::MAX };
    let entries = chronicle.read(Position::ZERO, limit).await.unwrap();
    Reference::tables_of(&origin, &entries)
}

#[test]
fn killed_at_any_moment_it_goes_on_to_the_same_tables() {
    let seed = seed();
    println!("CRASH_SEED={seed}");
    let mut random = Random::seeded(seed);

    let undisturbed = Folder::new();
    let log = undisturbed.path("log.jsonl");
    undisturbed.succeed(&["--generate", &ENTRIES.to_string(), "--export", "log.jsonl", "--json"]);
    let expected = tables(&undisturbed);
    assert_eq!(expected[0].1.len() as u64, ENTRIES);
    rows_of(&undisturbed).assert_are(&reference(&undisturbed));
    let import = ["--chronicle", log.to_str().unwrap(), "--json"];
    // One run of each kind says how long it takes: moments are drawn from a little more.
    let whole = |arguments: &[&str], folder: &Folder| {
        let begun = Instant::now();
        folder.succeed(arguments);
        begun.elapsed().mul_f64(1.25)
    };
    let timed = Folder::new();
    let import_time = whole(&import, &timed);
    let rebuild_time = whole(&["--rebuild", "--json"], &timed);

    let mut kills = (0, 0);
    // A busy machine may kill every rebuild and no import for a while.
    while kills.0 + kills.1 < KILLS || kills.0.min(kills.1) == 0 {
        let folder = Folder::new();
        kills.0 += run_until_done(&folder, &import, import_time, &mut random);
        assert_same(&tables(&folder), &expected, seed);
        for _ in 0..3 {
            kills.1 += run_until_done(&folder, &["--rebuild", "--json"], rebuild_time, &mut random);
            assert_same(&tables(&folder), &expected, seed);
        }
    }
    println!(
        "killed {} times while importing and projecting, {} while rebuilding",
        kills.0, kills.1
    );
    assert!(kills.0 > 0 && kills.1 > 0, "both were disturbed");
}
