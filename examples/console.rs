//! The console on the bundled story, or on a database of one's own.
//!
//! `cargo run --example console -- --live`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use guildhall_console::{Access, Console, serve};
use guildhall_core::Chronicle as _;
use guildhall_core::jsonl::{self, ImportOptions};
use guildhall_examples::live::Live;
use guildhall_examples::progress::say;
use guildhall_examples::story;
use guildhall_projector::ceremony::CeremonyOrchestrator;
use guildhall_projector::{Runtime, Settings};
use guildhall_store_sqlite::{Options, SqliteStore};

/// Shows the state of governance in a browser, and keeps it up to date.
#[derive(Debug, Parser)]
#[command(name = "console")]
struct Args {
    /// The database; created, with the bundled story, if missing
    #[arg(long, value_name = "PATH", default_value = "guildhall.db")]
    database: PathBuf,

    /// Where to listen; elsewhere than on loopback, GUILDHALL_TOKEN has to hold a token
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7177")]
    listen: SocketAddr,

    /// The hosts by which it is reached, where that is not loopback
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,

    /// Keep appending believable events, so that the pages move
    #[arg(long)]
    live: bool,

    /// How often, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1500, requires = "live")]
    every: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let mut options = Options::at(&args.database);
    // A run that was killed keeps the next one waiting no longer.
    options.lease_time = Duration::from_millis(500);
    let store = SqliteStore::open_with(options).await?;
    let chronicle = store.chronicle();
    if chronicle.head().await?.leaf_hash.is_none() {
        let options = ImportOptions::default();
        jsonl::import(&chronicle, story::JSONL.as_bytes(), &options, |_| {}).await?;
    }
    let projector = Arc::new(store.projector().start()?);
    let runtime = Runtime::spawn(Arc::new(chronicle.clone()), projector, Settings::default());
    let ops_db = Arc::new(store.ops_db());
    let orchestrator = CeremonyOrchestrator::new(Arc::new(chronicle.clone()), ops_db.clone())
        .woken_by(Arc::new(runtime.clone()))
        .start();
    let access = match std::env::var("GUILDHALL_TOKEN") {
        Ok(token) => {
            let listens = args.listen.ip().to_string();
            let hosts = args.host.iter().cloned().chain([listens, "localhost".to_owned()]);
            Access::Token { token, hosts: hosts.collect() }
        }
        Err(_) => Access::Loopback,
    };
    let console = Console::new(ops_db.clone(), orchestrator).projector(&runtime).access(access);
    let interrupted = async {
        // Without a handler, Ctrl-C ends the process all the same.
        let _ = tokio::signal::ctrl_c().await;
    };
    let served = serve(console, args.listen, interrupted).await.context("serving the console")?;
    say(&format!("http://{}/", served.address()));
    say(if args.live {
        "events keep coming; Ctrl-C ends it"
    } else {
        "Ctrl-C ends it; --live makes it move"
    });
    let live = args.live.then(|| {
        let live = Live::new(Arc::new(chronicle), ops_db);
        tokio::spawn(live.go_on(Duration::from_millis(args.every.max(1))))
    });
    served.finished().await;
    if let Some(live) = live {
        live.abort();
    }
    Ok(runtime.shutdown().await?)
}
