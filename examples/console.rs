//! The console on the bundled story, or on a database of one's own.
//!
//! `cargo run --features console --example console -- --live`

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use clap::Parser;
use guildhall::Guild;
use guildhall_cli::address::Address;
use guildhall_cli::database;
use guildhall_cli::ending::{Ending, conclude};
use guildhall_cli::progress::say;
use guildhall_console::{Access, serve};
use guildhall_core::Chronicle;
use guildhall_core::jsonl::{self, ImportOptions};
use guildhall_examples::live::Live;
use guildhall_examples::story;

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

    /// Where to listen, such as :7177; elsewhere than on loopback, GUILDHALL_TOKEN has to hold a token
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7177")]
    listen: Address,

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

impl Args {
    /// Who may look: whoever is on this machine, or whoever has the token.
    fn access(&self) -> Result<Access> {
        let Ok(token) = std::env::var("GUILDHALL_TOKEN") else {
            ensure!(
                self.listen.is_loopback(),
                "{} can be reached from elsewhere: it needs a token, in GUILDHALL_TOKEN",
                self.listen
            );
            return Ok(Access::Loopback);
        };
        ensure!(!token.is_empty(), "GUILDHALL_TOKEN is empty");
        let listens = self.listen.socket().ip().to_string();
        let hosts = self.host.iter().cloned().chain([listens, "localhost".to_owned()]);
        Ok(Access::Token { token, hosts: hosts.collect() })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    conclude(run(&Args::parse()).await)
}

async fn run(args: &Args) -> Result<()> {
    // It may hold a password, so it is not for clap to show.
    let location = args.database.parse().map_err(|reason| anyhow!("--database: {reason}"))?;
    let access = args.access()?;
    args.listen.check_is_free()?;
    let mut ending = Ending::listen()?;
    let opening = async { Ok(database::open(&location, |guild| guild).await?) };
    let guild = ending.or_ends(opening).await?;
    let outcome = show(args, access, &guild, &mut ending).await;
    ending.closed(database::close(&guild), outcome).await
}

async fn show(args: &Args, access: Access, guild: &Guild, ending: &mut Ending) -> Result<()> {
    let chronicle = guild.chronicle();
    ending.or_ends(prepare(args, &*chronicle)).await?;
    let ops_db = guild.ops_db();
    // Before the console, which shows how the projector is doing.
    guild.run();
    let console = guild.console().access(access);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async {
        // Dropped says the same.
        let _ = stopped.await;
    };
    let served = serve(console, args.listen.socket(), stopped).await;
    let served = served.context("serving the console")?;
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
    ending.asked().await;
    if let Some(live) = live {
        live.abort();
    }
    drop(stop);
    served.finished().await;
    // What runs ends as the guild is closed.
    Ok(())
}

/// The bundled story, where there is nothing yet.
async fn prepare(args: &Args, chronicle: &dyn Chronicle) -> Result<()> {
    let origin = chronicle.origin().await?.filter(|origin| origin.as_str() != story::ORIGIN);
    if let Some(origin) = origin.filter(|_| args.live) {
        bail!(
            "--live makes events up, and the Chronicle {origin} is not the story's: leave it out"
        );
    }
    if chronicle.head().await?.leaf_hash.is_none() {
        let options = ImportOptions::default();
        jsonl::import(chronicle, story::JSONL.as_bytes(), &options, |_| {}).await?;
    }
    Ok(())
}
