//! Ceremonies of a Kubernetes cluster on their way into the Chronicle.
//!
//! `cargo run --example kube_watch`, or, without a cluster, `cargo run --example kube_watch -- --fake`
#![allow(clippy::print_stdout, reason = "it is what it is for")]

#[path = "../../guildhall-kube/tests/common/cluster.rs"]
mod cluster;
mod ending;
mod health;
mod story;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use cluster::Cluster;
use ending::Ending;
use guildhall_core::text::escape_for_terminal;
use guildhall_core::{Chronicle, OpsDb, Position};
use guildhall_kube::CeremonyWatcher;
use guildhall_kube::kube::Config;
use guildhall_projector::ceremony::{CeremonyOrchestrator, Change, Delivery, Notice, Topic};
use guildhall_projector::{Runtime, Settings};
use guildhall_store_sqlite::SqliteStore;
use health::Health;
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
    let mut ending = Ending::listen()?;
    let folder = args.fake.then(tempfile::tempdir).transpose()?;
    let thrown_away = folder.as_ref().map(|folder| folder.path().join("guildhall.db"));
    let database = thrown_away.as_deref().unwrap_or(&args.database);
    let opened = async { Ok(SqliteStore::open(database).await?) };
    let Some(store) = ending.or_ends(opened).await? else { return Ok(()) };
    let outcome = follow(&args, database, &store, &mut ending).await;
    ending.closed(&store, outcome).await
}

/// What happens meanwhile; what is watched ends with it.
type Story = Pin<Box<dyn Future<Output = Result<()>>>>;

/// Follows until the story is over, or it is to end.
async fn follow(
    args: &Args,
    database: &Path,
    store: &SqliteStore,
    ending: &mut Ending,
) -> Result<()> {
    let prepared = async {
        if args.fake { invented(store).await } else { of_the_cluster(args, database, store).await }
    };
    match ending.or_ends(prepared).await? {
        Some((watcher, story)) => watch(store, watcher, story, ending).await,
        None => Ok(()),
    }
}

/// A cluster of this process, and its story.
async fn invented(store: &SqliteStore) -> Result<(CeremonyWatcher, Story)> {
    let cluster = Arc::new(Cluster::start().await?);
    let artifacts = story::register(store).await?;
    story::before(&cluster, &artifacts);
    print(&format!("a cluster of this process, at {}", cluster.url()))?;
    let watcher = CeremonyWatcher::of(Config::new(cluster.url().parse()?))?;
    let story = story::tell(cluster, artifacts, store.chronicle());
    Ok((watcher, Box::pin(story)))
}

/// The cluster that this process is told of or is in.
async fn of_the_cluster(
    args: &Args,
    database: &Path,
    store: &SqliteStore,
) -> Result<(CeremonyWatcher, Story)> {
    if store.chronicle().head().await?.position == Position::ZERO {
        print(&format!(
            "{} holds no artifact yet: every ceremony will be refused",
            database.display()
        ))?;
    }
    let config = Config::infer().await.context(
        "no cluster: $KUBECONFIG names no readable file, there is no ~/.kube/config, and this is no \
         pod; `cargo run --example kube_watch -- --fake` does without",
    )?;
    print(&format!("the cluster at {}", escape_for_terminal(&config.cluster_url.to_string())))?;
    let watcher = CeremonyWatcher::of(config)?.namespaces(args.namespace.clone());
    Ok((watcher, Box::pin(std::future::pending())))
}

/// Watches until the story is over, or it is to end.
async fn watch(
    store: &SqliteStore,
    watcher: CeremonyWatcher,
    story: Story,
    ending: &mut Ending,
) -> Result<()> {
    let chronicle: Arc<dyn Chronicle> = Arc::new(store.chronicle());
    let ops_db: Arc<dyn OpsDb> = Arc::new(store.ops_db());
    let projector = Arc::new(store.projector().start()?);
    let runtime = Runtime::spawn(Arc::clone(&chronicle), projector, Settings::default());
    let orchestrator = CeremonyOrchestrator::new(Arc::clone(&chronicle), Arc::clone(&ops_db))
        .woken_by(Arc::new(runtime.clone()))
        .feed(Arc::new(watcher));
    let begun = async {
        let before = chronicle.head().await?.position;
        runtime.wait_until(before).await?;
        Ok(before)
    };
    let outcome = match ending.or_ends(begun).await {
        Ok(Some(before)) => {
            let orchestrator = orchestrator.start();
            let mut health = Health::default();
            let telling = tell(&orchestrator, &*ops_db, before, story, &mut health);
            let told = ending.or_ends(telling).await.map(|_| ());
            let summed_up = sum_up(&orchestrator, &mut health);
            orchestrator.shutdown().await;
            told.and(summed_up)
        }
        outcome => outcome.map(|_| ()),
    };
    outcome.and(runtime.shutdown().await.map_err(Into::into))
}

/// Says what is recorded after a position, and how the feed is doing, until the story is over.
async fn tell(
    orchestrator: &CeremonyOrchestrator,
    ops_db: &dyn OpsDb,
    before: Position,
    mut story: Story,
    health: &mut Health,
) -> Result<()> {
    let mut ceremonies = orchestrator.subscribe([Topic::AllCeremonies]).await?;
    let mut past = before;
    while past < ceremonies.position() {
        let told =
            orchestrator.catch_up(&[Topic::AllCeremonies], past, ceremonies.position()).await?;
        for notice in &told.notices {
            say(ops_db, notice).await?;
        }
        past = told.position;
    }
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            delivery = ceremonies.next() => match delivery {
                Some(Delivery::Notice(notice)) => say(ops_db, &notice).await?,
                Some(Delivery::Missed(missed)) => {
                    print(&format!("  missed     {} notices", missed.count))?;
                }
                None => return Ok(()),
            },
            _ = look.tick() => {
                for line in health.news(&orchestrator.status().feeds[0]) {
                    print(&line)?;
                }
            }
            outcome = &mut story => return outcome,
        }
    }
}
/// Says what the feed did.
fn sum_up(orchestrator: &CeremonyOrchestrator, health: &mut Health) -> Result<()> {
    let feed = &orchestrator.status().feeds[0];
    for line in health.news(feed) {
        print(&line)?;
    }
    print(&format!(
        "{} steps recorded, {} known, {} refused; started again {} times",
        feed.recorded, feed.known, feed.refused, feed.restarts
    ))
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
    print(&format!("  recorded   {}", escape_for_terminal(&told)))
}

/// A line on standard output; that nobody reads it any more is an error, not a panic.
fn print(line: &str) -> Result<()> {
    Ok(writeln!(io::stdout(), "{line}")?)
}
