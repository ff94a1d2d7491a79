//! How soon can an append on PostgreSQL be seen in the Ops DB?
//!
//! `cargo bench --bench postgres_latency`
#![allow(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

use guildhall_benches::cluster::Cluster;
use guildhall_benches::machine;
use guildhall_benches::postgres_latency::{COMMIT_TO_VISIBLE, NOTIFY, RATE, WAYS, turn};
use guildhall_benches::report::{at_most, table};
use guildhall_benches::rounds::{Asked, Rounds, answer, asked, number};

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    match asked() {
        Asked::Nothing => Ok(()),
        Asked::Turn { name, place } => answer(&turn(&name, &place).await?),
        Asked::Measure => measure().await,
    }
}

async fn measure() -> anyhow::Result<()> {
    let cluster = Cluster::start();
    println!("{}; {}\n", machine::describe(), cluster.version().await?);
    let rounds = Rounds::play(&WAYS, number("GUILDHALL_BENCH_ROUNDS", 7)?, cluster.url())?;
    println!("Milliseconds, at {RATE} events/s:\n");
    let rows = WAYS.map(|way| {
        let latency = rounds.latency(way);
        vec![way.to_owned(), format!("{:.2}", latency.p50), format!("{:.2}", latency.p99)]
    });
    println!("{}", table(&["way", "p50", "p99"], &rows));
    let ratio = rounds.latency(COMMIT_TO_VISIBLE).p99 / rounds.latency(NOTIFY).p99;
    let aims = [at_most("p99 ÷ that of a bare NOTIFY", ratio, 10.0)];
    println!("{}", table(&["commit to visible", "found", "wanted", ""], &aims));
    Ok(())
}
