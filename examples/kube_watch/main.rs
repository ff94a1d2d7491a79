//! Ceremonies of a Kubernetes cluster on their way into the Chronicle.
//!
//! `cargo run --example kube_watch`, or, without a cluster, `cargo run --example kube_watch -- --fake`
#![allow(clippy::print_stdout, reason = "it is what it is for")]

#[path = "../../guildhall-kube/tests/common/cluster.rs"]
mod cluster;
mod health;
mod story;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use cluster::Cluster;
use guildhall_core::text::escape_for_terminal;
use guildhall_core::{Chronicle, OpsDb, Position};
use guildhall_kube::CeremonyWatcher;
use guildhall_kube::kube::{Client, Config};
use guildhall_projector::ceremony::{CeremonyOrchestrator, Change, Delivery, Notice, Topic};
use guildhall_projector::{Runtime, Settings};
use guildhall_store_sqlite::SqliteStore;
use tracing_subscriber::EnvFilter;

/// How often the feed is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Follows the ceremonies of a cluster, records what happens in them and says so.
///
/// The cluster is the one of $KUBECONFIG, ~/.kube/config or the pod that this runs in. It has to
/// know the resource: kubectl apply -f guildhall-kube/crds/
#[derive(Debug, Parser)]
#[command(name = "kube_watch")]
struct Args {
    /// The database of the Chronicle; created if missing. A ceremony is about an artifact that it
    /// has
    #[arg(long, value_name = "FILE", default_value = "guildhall.db")]
    database: PathBuf,

    /// Only these namespaces
    #[arg(long, value_name = "NAME")]
    namespace: Vec<String>,

    /// Tell a story with a cluster of this process, in a database that is thrown away
    #[arg(long, conflicts_with_all = ["database", "namespace"])]
    fake: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "off".into()))
        .with_writer(std::io::stderr)
        .init();
    let args = Args::parse();
    if args.fake {
        let folder = tempfile::tempdir()?;
        let store = SqliteStore::open(folder.path().join("guildhall.db")).await?;
        let cluster = Arc::new(Cluster::start().await?);
        let artifacts = story::register(&store).await?;
        story::before(&cluster, &artifacts);
        println!("a cluster of this process, at {}", cluster.url());
        let watcher = CeremonyWatcher::new(client(Config::new(cluster.url().parse()?))?);
        let story = story::tell(cluster, artifacts, store.chronicle());
        return watch(&store, watcher, story).await;
    }
    let store = SqliteStore::open(&args.database).await?;
    if store.chronicle().head().await?.position == Position::ZERO {
        println!(
            "{} holds no artifact yet: every ceremony will be refused",
            args.database.display()
        );
    }
    let config = Config::infer().await.context(
        "no cluster: $KUBECONFIG names no readable file, there is no ~/.kube/config, and this is no \
         pod; `cargo run --example kube_watch -- --fake` does without",
    )?;
    println!("the cluster at {}", escape_for_terminal(&config.cluster_url.to_string()));
    let watcher = CeremonyWatcher::new(client(config)?).namespaces(args.namespace);
    watch(&store, watcher, std::future::pending()).await
}

/// A client that tries nothing again by itself: the feed does, and says so.
fn client(mut config: Config) -> Result<Client> {
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

/// Follows until the story is over, or Ctrl-C.
async fn watch(
    store: &SqliteStore,
    watcher: CeremonyWatcher,
    story: impl Future<Output = Result<()>>,
) -> Result<()> {
    let chronicle: Arc<dyn Chronicle> = Arc::new(store.chronicle());
    let ops_db: Arc<dyn OpsDb> = Arc::new(store.ops_db());
    let projector = Arc::new(store.projector().start()?);
    let runtime = Runtime::spawn(Arc::clone(&chronicle), projector, Settings::default());
    let before = chronicle.head().await?.position;
    runtime.wait_until(before).await?;
    let orchestrator = CeremonyOrchestrator::new(Arc::clone(&chronicle), Arc::clone(&ops_db))
        .woken_by(Arc::new(runtime.clone()))
        .feed(Arc::new(watcher))
        .start();

    let mut ceremonies = orchestrator.subscribe([Topic::Ceremonies]).await?;
    let mut past = before;
    while past < ceremonies.position() {
        let told = orchestrator.catch_up(&[Topic::Ceremonies], past, ceremonies.position()).await?;
        for notice in &told.notices {
            say(&*ops_db, notice).await?;
        }
        past = told.position;
    }
    let mut health = health::Health::default();
    let mut look = tokio::time::interval(LOOK);
    let mut story = std::pin::pin!(story);
    let outcome = loop {
        tokio::select! {
            delivery = ceremonies.next() => match delivery {
                Some(Delivery::Notice(notice)) => say(&*ops_db, &notice).await?,
                Some(Delivery::Missed(missed)) => println!("  missed     {} notices", missed.count),
                None => break Ok(()),
            },
            _ = look.tick() => print(health.news(&orchestrator.status().feeds[0])),
            outcome = &mut story => break outcome,
            _ = tokio::signal::ctrl_c() => break Ok(()),
        }
    };
    let feed = &orchestrator.status().feeds[0];
    print(health.news(feed));
    println!(
        "{} steps recorded, {} known, {} refused; started again {} times",
        feed.recorded, feed.known, feed.refused, feed.restarts
    );
    orchestrator.shutdown().await;
    runtime.shutdown().await?;
    outcome
}

/// Says what was recorded.
async fn say(ops_db: &dyn OpsDb, notice: &Notice) -> Result<()> {
    let (what, who, why) = match &notice.change {
        Change::CeremonyOpened { actor, reason, .. } => ("opened", actor, reason),
        Change::CeremonyClosed { outcome, actor, reason, .. } => (outcome.as_str(), actor, reason),
        _ => return Ok(()),
    };
    let artifact = ops_db.artifact(notice.artifact_id).await?;
    let name = artifact.map_or_else(|| "?".to_owned(), |detail| detail.artifact.name);
    let told = format!("at {:<4} {name}: {what} by {who}: {why}", notice.position);
    println!("  recorded   {}", escape_for_terminal(&told));
    Ok(())
}

fn print(lines: Vec<String>) {
    for line in lines {
        println!("{line}");
    }
}
