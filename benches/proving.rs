//! What does it cost to prove: verifying a log, and auditing its tables, beside what cannot be had for
//! less?
//!
//! `cargo bench --features proof --bench proving`
#![allow(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

use guildhall_benches::cluster::Cluster;
use guildhall_benches::machine;
use guildhall_benches::proving::{AUDIT, FLOOR, OnServer, Place, REBUILD, VERIFY, WAYS};
use guildhall_benches::report::{aim, at_most, rate, table};
use guildhall_benches::rounds::{Asked, Rounds, answer, asked, number, sizes};

/// How much memory each may take, in MiB.
const MOST_MEMORY_MIB: f64 = 200.0;

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    match asked() {
        Asked::Nothing => Ok(()),
        Asked::Turn { name, place } => {
            let place: Place = serde_json::from_str(&place)?;
            answer(&place.turn(&name).await?)
        }
        Asked::Measure => measure().await,
    }
}

async fn measure() -> anyhow::Result<()> {
    let cluster = Cluster::start();
    println!("{}, {}\n", machine::describe(), cluster.version().await?);
    for entries in sizes()? {
        let rounds = number("GUILDHALL_BENCH_ROUNDS", if entries > 500_000 { 3 } else { 7 })?;
        eprintln!("{entries} entries, {rounds} rounds");
        let folder = tempfile::tempdir()?;
        let file = Place::in_file(&folder.path().join("guildhall.db"), entries).await?;
        show("SQLite", entries, &Rounds::play(&WAYS, rounds, serde_json::to_string(&file)?)?);
        let server = OnServer::make(cluster.url(), entries).await?;
        let place = serde_json::to_string(&server.place())?;
        show("PostgreSQL", entries, &Rounds::play(&WAYS, rounds, place)?);
    }
    Ok(())
}

fn show(store: &str, entries: usize, rounds: &Rounds) {
    println!("{entries} entries on {store}, custody-mix:\n");
    let peak = |way| rounds.peak_bytes(way).map(|peak| peak >> 20);
    let rows = WAYS.map(|way| {
        let (slowest, fastest) = rounds.range(way);
        let range = format!("{}–{}", rate(slowest), rate(fastest));
        let memory = peak(way).map_or("?".to_owned(), |peak| peak.to_string());
        vec![way.to_owned(), rate(rounds.rate(way)), range, memory]
    });
    println!("{}", table(&["way", "entries/s", "range", "peak MiB"], &rows));
    let ratio = |way, floor| rounds.rate(way) / rounds.rate(floor);
    #[expect(clippy::cast_precision_loss, reason = "memory is less than 2^53 MiB")]
    let memory = |way| peak(way).unwrap_or_default() as f64;
    let aims = [
        aim("verify ÷ floor", ratio(VERIFY, FLOOR), 0.5),
        aim("audit ÷ rebuild", ratio(AUDIT, REBUILD), 0.7),
        at_most("verify, MiB", memory(VERIFY), MOST_MEMORY_MIB),
        at_most("audit, MiB", memory(AUDIT), MOST_MEMORY_MIB),
    ];
    println!("{}", table(&["aim", "found", "wanted", ""], &aims));
}
