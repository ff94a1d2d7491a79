//! How much dearer is a question as of yesterday than the same question now?
//!
//! `cargo bench --bench as_of`
#![allow(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

use std::sync::Arc;

use guildhall_benches::as_of::{MOST, Postgres, Question, SAMPLES, measure};
use guildhall_benches::cluster::Cluster;
use guildhall_benches::machine;
use guildhall_benches::recorded::fill;
use guildhall_benches::report::{at_most, table};
use guildhall_benches::rounds::{Asked, asked, number};
use guildhall_core::OpsDb;
use guildhall_store_sqlite::SqliteStore;

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    if !matches!(asked(), Asked::Measure) {
        return Ok(());
    }
    let cluster = Cluster::start();
    let entries = number("GUILDHALL_BENCH_ENTRIES", 200_000)?;
    println!("{}; {}\n", machine::describe(), cluster.version().await?);

    let folder = tempfile::tempdir()?;
    let sqlite = SqliteStore::open(folder.path().join("guildhall.db")).await?;
    fill(Arc::new(sqlite.chronicle()), Arc::new(sqlite.projector().start()?), entries).await?;
    let postgres = Postgres::filled(&cluster, entries).await?;

    let samples = number("GUILDHALL_BENCH_ROUNDS", SAMPLES)?;
    let stores: [(&str, Arc<dyn OpsDb>); 2] = [
        ("SQLite", Arc::new(sqlite.ops_db())),
        ("PostgreSQL", Arc::new(postgres.store().ops_db())),
    ];
    let mut aims = Vec::new();
    for (name, ops_db) in stores {
        println!("{name}, {entries} entries; milliseconds, the median of {samples}:\n");
        let mut rows = Vec::new();
        for question in Question::ALL {
            let found = measure(&*ops_db, question, samples).await?;
            let cell = |figure: f64| format!("{figure:.2}");
            rows.push(vec![
                question.as_str().to_owned(),
                cell(found.now),
                cell(found.at_position),
                cell(found.at_time),
                cell(found.at_position / found.now),
                cell(found.at_time / found.now),
            ]);
            let worst = found.at_position.max(found.at_time) / found.now;
            if worst > MOST {
                aims.push(at_most(&format!("{name}: {}", question.as_str()), worst, MOST));
            }
        }
        let header = ["question", "now", "at a position", "at a time", "÷ now", "÷ now"];
        println!("{}", table(&header, &rows));
    }
    if aims.is_empty() {
        println!("Every question as of yesterday ÷ now is at most {MOST}.");
    } else {
        println!("{}", table(&["as of yesterday ÷ now", "found", "wanted", ""], &aims));
    }
    Ok(())
}
