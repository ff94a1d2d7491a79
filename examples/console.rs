//! The console on the bundled story, or on a database of one's own.
//!
//! `cargo run --features console --example console -- --live`

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Parser;
use guildhall_console::{Access, Console, serve};
use guildhall_core::OnViolation;
use guildhall_core::jsonl::{self, ImportOptions};
use guildhall_examples::database::Store;
use guildhall_examples::live::Live;
use guildhall_examples::progress::say;
use guildhall_examples::story;
use guildhall_projector::ceremony::CeremonyOrchestrator;
use guildhall_projector::{Runtime, Settings};

/// Shows the state of governance in a browser, and keeps it up to date.
#[derive(Parser)]
#[command(name = "console")]
struct Args {
    /// The database; created, with the bundled story, if missing: sqlite:PATH or
    /// postgres://USER@HOST/DATABASE, there in the schema guildhall
    #[arg(
        long,
        value_name = "URL",
        default_value = "sqlite:guildhall.db",
        hide_default_value = true
    )]
    database: String,

    /// Where to listen; elsewhere than on loopback, GUILDHALL_TOKEN has to hold a token
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7177")]
    listen: SocketAddr,

    /// The hosts by which it is reached, where that is not loopback
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,

    /// Keep appending believable events, so that the pages move; on the bundled story alone
    #[arg(long)]
    live: bool,

    /// How often, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1500, requires = "live")]
    every: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    // It may hold a password, so it is not for clap to show.
    let location = args.database.parse().map_err(|reason| anyhow!("--database: {reason}"))?;
    let store = Store::open(&location).await?;
    let chronicle = store.chronicle();
    let origin = chronicle.origin().await?.filter(|origin| origin.as_str() != story::ORIGIN);
    if let Some(origin) = origin.filter(|_| args.live) {
        bail!(
            "--live makes events up, and the Chronicle {origin} is not the story's: leave it out"
        );
    }
    if chronicle.head().await?.leaf_hash.is_none() {
        let options = ImportOptions::default();
        jsonl::import(&*chronicle, story::JSONL.as_bytes(), &options, |_| {}).await?;
    }
    let projector = store.projector(OnViolation::Quarantine)?;
    let runtime = Runtime::spawn(Arc::clone(&chronicle), projector, Settings::default());
    let ops_db = store.ops_db();
    let orchestrator = CeremonyOrchestrator::new(Arc::clone(&chronicle), Arc::clone(&ops_db))
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
    let console =
        Console::new(Arc::clone(&ops_db), orchestrator).projector(&runtime).access(access);
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
        let live = Live::new(chronicle, ops_db);
        tokio::spawn(live.go_on(Duration::from_millis(args.every.max(1))))
    });
    served.finished().await;
    if let Some(live) = live {
        live.abort();
    }
    Ok(runtime.shutdown().await?)
}
