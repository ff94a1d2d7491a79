//! How does Guildhall do beside other event stores on PostgreSQL?
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml`
//!
//! One server, one log, one run: each library appends the same events, and fills the same tables
//! from a log that holds them. Afterwards the tables are compared: all did the same work.
#![allow(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

mod append;
mod catch_up;
mod cqrs;
mod decisions;
mod event;
mod guildhall;
mod library;
mod read_model;

#[path = "../../src/cluster.rs"]
#[allow(dead_code, unreachable_pub, reason = "the other benchmarks use the rest")]
mod cluster;
#[path = "../../src/machine.rs"]
#[allow(unreachable_pub, reason = "a library's module elsewhere")]
mod machine;
#[path = "../../src/report.rs"]
#[allow(dead_code, unreachable_pub, reason = "the other benchmarks use the rest")]
mod report;
#[path = "../../src/rounds.rs"]
#[allow(dead_code, unreachable_pub, reason = "the other benchmarks use the rest")]
mod rounds;
#[path = "../../src/tasks.rs"]
#[allow(unreachable_pub, reason = "a library's module elsewhere")]
mod tasks;

use clap::Parser;
use rounds::{Asked, Rounds, answer, asked};

use crate::catch_up::{Logs, Place};
use crate::cluster::Cluster;
use crate::library::Name;
use crate::report::{aim, rate, table};
use crate::tasks::{Appending, TASKS};

/// Measures Guildhall beside its peers on PostgreSQL.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many entries the log holds that the catch-ups read.
    #[arg(long, default_value = "20_000", value_parser = number)]
    entries: usize,
    /// How many turns each of them has; the median is reported.
    #[arg(long, default_value = "5", value_parser = number)]
    rounds: usize,
}

fn number(text: &str) -> Result<usize, std::num::ParseIntError> {
    text.replace('_', "").parse()
}

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    match asked() {
        Asked::Turn { name, place } => {
            let turn = match Appending::named(&name, &Name::ALL) {
                Ok(appending) => append::turn(appending, &place).await?,
                Err(_) => serde_json::from_str::<Place>(&place)?.turn(name.parse()?).await?,
            };
            answer(&turn)
        }
        Asked::Measure | Asked::Nothing => measure(&Arguments::parse()).await,
    }
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let cluster = Cluster::start();
    println!("{}; {}\n", machine::describe(), cluster.version().await?);
    catch_up(arguments, &cluster).await?;
    append(arguments, &cluster)
}

async fn catch_up(arguments: &Arguments, cluster: &Cluster) -> anyhow::Result<()> {
    let Arguments { entries, rounds } = *arguments;
    eprintln!("{entries} entries, {rounds} rounds");
    let logs = Logs::make(cluster, entries).await?;
    let names = Name::ALL.map(Name::as_str);
    let rounds = Rounds::play(&names, rounds, serde_json::to_string(&logs.place())?)?;
    let best = best_peer(|name| rounds.rate(name.as_str()));
    let rows = Name::ALL.map(|name| {
        let (slowest, fastest) = rounds.range(name.as_str());
        let found = rounds.rate(name.as_str());
        vec![
            name.versioned(),
            rate(found),
            format!("{}–{}", rate(slowest), rate(fastest)),
            format!("{:.2}", found / best),
        ]
    });
    println!("Catch-up, {entries} entries, custody-mix:\n");
    println!("{}", table(&["library", "events/s", "range", "× best peer"], &rows));
    let ratio = rounds.rate(Name::Guildhall.as_str()) / best;
    let aims = [aim("catch-up ÷ best peer", ratio, 30.0)];
    println!("{}", table(&["aim", "found", "wanted", ""], &aims));
    Ok(())
}

fn append(arguments: &Arguments, cluster: &Cluster) -> anyhow::Result<()> {
    let all: Vec<_> = Appending::all(&Name::ALL).iter().map(ToString::to_string).collect();
    let names: Vec<_> = all.iter().map(String::as_str).collect();
    let rounds = Rounds::play(&names, arguments.rounds, cluster.url())?;
    let found = |name, tasks| rounds.rate(&Appending { way: name, tasks }.to_string());
    let mut rows = Vec::from(Name::ALL.map(|name| {
        let rates = TASKS.map(|tasks| rate(found(name, tasks)));
        [vec![name.versioned()], rates.to_vec()].concat()
    }));
    let ratios = TASKS.map(|tasks| {
        let best = best_peer(|name| found(name, tasks));
        format!("{:.2}", found(Name::Guildhall, tasks) / best)
    });
    rows.push([vec!["Guildhall ÷ best peer".to_owned()], ratios.to_vec()].concat());
    println!("Appends/s, one event each, durable; by tasks that append at the same time:\n");
    println!("{}", table(&["library", "1", "8", "32"], &rows));
    Ok(())
}

fn best_peer(rate: impl Fn(Name) -> f64) -> f64 {
    Name::PEERS.into_iter().map(rate).fold(0.0, f64::max)
}
