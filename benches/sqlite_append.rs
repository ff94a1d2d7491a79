//! What does group commit bring to durable appends on SQLite?
//!
//! `cargo bench --bench sqlite_append`
#![allow(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

use std::path::Path;

use guildhall_benches::machine;
use guildhall_benches::report::{aim, rate, table};
use guildhall_benches::rounds::{Asked, Rounds, answer, asked, number};
use guildhall_benches::sqlite_append::Way;
use guildhall_benches::tasks::{Appending, TASKS};

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    match asked() {
        Asked::Nothing => Ok(()),
        Asked::Turn { name, place } => {
            answer(&Appending::named(&name, &Way::ALL)?.turn(Path::new(&place)).await?)
        }
        Asked::Measure => measure(),
    }
}

fn measure() -> anyhow::Result<()> {
    println!("{}\n", machine::describe());
    let all: Vec<_> = Appending::all(&Way::ALL).iter().map(ToString::to_string).collect();
    let names: Vec<_> = all.iter().map(String::as_str).collect();
    let folder = tempfile::tempdir()?;
    let rounds = Rounds::play(&names, number("GUILDHALL_BENCH_ROUNDS", 7)?, folder.path())?;
    let found = |way, tasks| rounds.rate(&Appending { way, tasks }.to_string());
    let rows = Way::ALL.map(|way| {
        let rates = TASKS.map(|tasks| rate(found(way, tasks)));
        [vec![way.to_string()], rates.to_vec()].concat()
    });
    println!("Appends/s, one event each, durable; by tasks that append at the same time:\n");
    println!("{}", table(&["way", "1", "8", "32"], &rows));
    let ratio = |floor| found(Way::GroupCommit, 32) / found(floor, 32);
    let aims = [
        aim("÷ one transaction an append", ratio(Way::OneEach), 10.0),
        aim("÷ bare inserts", ratio(Way::BareInserts), 10.0),
    ];
    println!("{}", table(&["group commit at 32 tasks", "found", "wanted", ""], &aims));
    Ok(())
}
