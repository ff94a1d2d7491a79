//! What does a seal cost, and what does a running sealer cost those who append and project?
//!
//! `cargo bench --features proof --bench sealing`
#![allow(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

use guildhall_benches::cluster::Cluster;
use guildhall_benches::machine;
use guildhall_benches::report::{aim, at_most, rate, table};
use guildhall_benches::rounds::{Asked, asked, sizes};
use guildhall_benches::sealing::{Cost, Place, measure};

/// What a process that seals may take, with its share of the log and of the database's cache.
const MOST_MIB: f64 = 200.0;

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    if asked() != Asked::Measure {
        return Ok(());
    }
    println!("{}\n", machine::describe());
    let mut costs = Vec::new();
    for entries in sizes()? {
        costs.push(measure(&Place::Folder(tempfile::tempdir()?), entries).await?);
        costs.push(measure(&Place::Server(Cluster::start()), entries).await?);
    }
    let rows: Vec<_> = costs.iter().map(row).collect();
    let header =
        ["log", "first seal s", "load ms", "seal p50 ms", "p99 ms", "appends/s", "projected/s"];
    println!("A seal after 1,000 new entries, by a sealer that runs:\n\n{}", table(&header, &rows));
    let aims: Vec<_> = costs.iter().flat_map(aims).collect();
    println!("{}", table(&["aim", "found", "wanted", ""], &aims));
    Ok(())
}

fn row(cost: &Cost) -> Vec<String> {
    vec![
        cost.name.clone(),
        format!("{:.1}", cost.first.as_secs_f64()),
        format!("{:.0}", cost.load.as_secs_f64() * 1e3),
        format!("{:.1}", cost.seal.p50),
        format!("{:.1}", cost.seal.p99),
        format!("{} of {}", rate(cost.appends.0), rate(cost.appends.1)),
        format!("{} of {}", rate(cost.projected.0), rate(cost.projected.1)),
    ]
}

fn aims(cost: &Cost) -> Vec<Vec<String>> {
    let name = |what: &str| format!("{}: {what}", cost.name);
    let mut aims = vec![
        at_most(&name("seal, ms"), cost.seal.p50, 50.0),
        aim(&name("appends beside a sealer ÷ without"), cost.appends.0 / cost.appends.1, 0.95),
        aim(&name("projection beside one ÷ without"), cost.projected.0 / cost.projected.1, 0.95),
    ];
    if let Some(peak) = cost.peak_bytes {
        #[allow(clippy::cast_precision_loss, reason = "a figure for people to read")]
        aims.push(at_most(&name("peak, MiB"), (peak >> 20) as f64, MOST_MIB));
    }
    aims
}
