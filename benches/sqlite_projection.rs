//! How fast does the Ops DB fill on SQLite, beside what SQLite itself can do?
//!
//! `cargo bench --bench sqlite_projection`
#![allow(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

use std::path::Path;

use guildhall_benches::machine;
use guildhall_benches::report::{aim, rate, table};
use guildhall_benches::rounds::{Asked, Rounds, answer, asked, number, sizes};
use guildhall_benches::sqlite::{CATCH_UP, FINISHED_ROWS, Files, REBUILD, SET_BASED, WAYS};

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    match asked() {
        Asked::Nothing => Ok(()),
        Asked::Turn { name, place } => answer(&Files::within(Path::new(&place)).turn(&name).await?),
        Asked::Measure => measure().await,
    }
}

async fn measure() -> anyhow::Result<()> {
    println!("{}\n", machine::describe());
    let mut played = Vec::new();
    for entries in sizes()? {
        let rounds = number("GUILDHALL_BENCH_ROUNDS", if entries > 500_000 { 3 } else { 7 })?;
        let folder = tempfile::tempdir()?;
        eprintln!("{entries} entries, {rounds} rounds");
        Files::within(folder.path()).make(entries).await?;
        let rounds = Rounds::play(&WAYS, rounds, folder.path())?;
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
    let rows = WAYS.map(|way| {
        let (slowest, fastest) = rounds.range(way);
        let memory = rounds.peak_bytes(way).map_or("?".to_owned(), |peak| (peak >> 20).to_string());
        vec![
            way.to_owned(),
            rate(rounds.rate(way)),
            format!("{}–{}", rate(slowest), rate(fastest)),
            format!("{:.2}", rounds.rate(way) / rounds.rate(FINISHED_ROWS)),
            format!("{:.2}", rounds.rate(way) / rounds.rate(SET_BASED)),
            memory,
        ]
    });
    let header = ["way", "events/s", "range", "× rows (a)", "× SQL (b)", "peak MiB"];
    println!("{}", table(&header, &rows));
    let ratio = |way, floor| rounds.rate(way) / rounds.rate(floor);
    let aims = [
        aim("rebuild ÷ (a)", ratio(REBUILD, FINISHED_ROWS), 0.85),
        aim("rebuild ÷ (b)", ratio(REBUILD, SET_BASED), 1.65),
        aim("catch-up ÷ (b)", ratio(CATCH_UP, SET_BASED), 0.95),
    ];
    println!("{}", table(&["aim", "found", "wanted", ""], &aims));
}
