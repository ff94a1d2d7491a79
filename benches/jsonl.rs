//! How fast is a log imported and exported as JSONL, beside what the databases and the file system can
//! do themselves?
//!
//! `cargo bench --bench jsonl`
#![allow(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

use guildhall_benches::cluster::Cluster;
use guildhall_benches::jsonl::{
    COPY_BYTES, Logs, POSTGRES_AGAIN, POSTGRES_COPY, POSTGRES_EXPORT, POSTGRES_IMPORT, Place,
    SQLITE_AGAIN, SQLITE_EXPORT, SQLITE_IMPORT, SQLITE_INSERTS, WAYS,
};
use guildhall_benches::machine;
use guildhall_benches::report::{aim, rate, table};
use guildhall_benches::rounds::{Asked, Rounds, answer, asked, number, sizes};

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
    println!("{}; {}\n", machine::describe(), cluster.version().await?);
    let mut played = Vec::new();
    for entries in sizes()? {
        let rounds = number("GUILDHALL_BENCH_ROUNDS", if entries > 500_000 { 3 } else { 7 })?;
        eprintln!("{entries} entries, {rounds} rounds");
        let folder = tempfile::tempdir()?;
        let logs = Logs::make(folder.path(), &cluster, entries).await?;
        let place = serde_json::to_string(logs.place())?;
        let rounds = Rounds::play(&WAYS, rounds, place)?;
        show(entries, &rounds);
        played.push((entries, rounds));
    }
    if let [(small, at_small), .., (large, at_large)] = &played[..] {
        println!("Entries/s at {large} entries ÷ at {small}:\n");
        let ways = [SQLITE_IMPORT, SQLITE_AGAIN, POSTGRES_IMPORT, POSTGRES_AGAIN];
        let hold = ways.map(|way| aim(way, at_large.rate(way) / at_small.rate(way), 0.85));
        println!("{}", table(&["way", "found", "wanted", ""], &hold));
    }
    Ok(())
}

fn show(entries: usize, rounds: &Rounds) {
    println!("{entries} entries, custody-mix:\n");
    let rows = WAYS.map(|way| {
        let (slowest, fastest) = rounds.range(way);
        let memory = rounds.peak_bytes(way).map_or("?".to_owned(), |peak| (peak >> 20).to_string());
        let range = format!("{}–{}", rate(slowest), rate(fastest));
        vec![way.to_owned(), rate(rounds.rate(way)), range, memory]
    });
    println!("{}", table(&["way", "entries/s", "range", "peak MiB"], &rows));
    let ratio = |way, floor| rounds.rate(way) / rounds.rate(floor);
    let aims = [
        aim("SQLite: import ÷ prepared inserts", ratio(SQLITE_IMPORT, SQLITE_INSERTS), 0.5),
        aim("SQLite: import, entries/s", rounds.rate(SQLITE_IMPORT), 100_000.0),
        aim("SQLite: import again ÷ import", ratio(SQLITE_AGAIN, SQLITE_IMPORT), 2.0),
        aim("SQLite: export, entries/s", rounds.rate(SQLITE_EXPORT), 300_000.0),
        aim("PostgreSQL: import ÷ COPY", ratio(POSTGRES_IMPORT, POSTGRES_COPY), 0.5),
        aim("PostgreSQL: import again ÷ import", ratio(POSTGRES_AGAIN, POSTGRES_IMPORT), 2.0),
    ];
    println!("{}", table(&["aim", "found", "wanted", ""], &aims));
    let shares = [SQLITE_EXPORT, POSTGRES_EXPORT]
        .map(|way| vec![way.to_owned(), format!("{:.2}", ratio(way, COPY_BYTES))]);
    println!("{}", table(&["way", "× read and write"], &shares));
}
