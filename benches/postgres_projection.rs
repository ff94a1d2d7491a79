//! How fast does the Ops DB fill on PostgreSQL, beside what PostgreSQL itself can do?
//!
//! `cargo bench --bench postgres_projection`
#![allow(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

use guildhall_benches::cluster::Cluster;
use guildhall_benches::machine;
use guildhall_benches::postgres::{
    CATCH_UP, Databases, FINISHED_ROWS, KEYS_AFTERWARDS, Place, REBUILD, SET_BASED, WAYS,
};
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
        let databases = Databases::make(&cluster, entries).await?;
        let place = serde_json::to_string(&databases.place())?;
        let rounds = Rounds::play(&WAYS, rounds, place)?;
        show(entries, &rounds);
        played.push((entries, rounds));
    }
    if let [(small, at_small), .., (large, at_large)] = &played[..] {
        println!("Events/s at {large} entries ÷ at {small}:\n");
        let hold = |way| aim(way, at_large.rate(way) / at_small.rate(way), 0.85);
        println!("{}", table(&["way", "found", "wanted", ""], &[hold(CATCH_UP), hold(REBUILD)]));
    }
    Ok(())
}

fn show(entries: usize, rounds: &Rounds) {
    println!("{entries} entries, custody-mix:\n");
    let ratio = |way, floor| rounds.rate(way) / rounds.rate(floor);
    let rows = WAYS.map(|way| {
        let (slowest, fastest) = rounds.range(way);
        let memory = rounds.peak_bytes(way).map_or("?".to_owned(), |peak| (peak >> 20).to_string());
        vec![
            way.to_owned(),
            rate(rounds.rate(way)),
            format!("{}–{}", rate(slowest), rate(fastest)),
            format!("{:.2}", ratio(way, FINISHED_ROWS)),
            format!("{:.2}", ratio(way, SET_BASED)),
            format!("{:.2}", ratio(way, KEYS_AFTERWARDS)),
            memory,
        ]
    });
    let header =
        ["way", "events/s", "range", "× rows (a)", "× SQL (b)", "× keys after (c)", "peak MiB"];
    println!("{}", table(&header, &rows));
    let aims = [
        aim("rebuild ÷ (a)", ratio(REBUILD, FINISHED_ROWS), 1.4),
        aim("rebuild ÷ (b)", ratio(REBUILD, SET_BASED), 1.8),
        aim("rebuild ÷ (c)", ratio(REBUILD, KEYS_AFTERWARDS), 1.0),
        aim("catch-up ÷ (b)", ratio(CATCH_UP, SET_BASED), 0.75),
    ];
    println!("{}", table(&["aim", "found", "wanted", ""], &aims));
}
