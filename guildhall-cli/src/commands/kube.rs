use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use guildhall::Guild;
use guildhall::console::serve_probes;
use guildhall::kube::CeremonyWatcher;
use guildhall::kube::kube::Config;
use guildhall_core::text::escape_for_terminal;
use guildhall_projector::ceremony::{CeremonyOrchestrator, FeedState};

use super::Context;
use super::serve::ended;
use crate::address::Address;
use crate::ending::Ending;
use crate::error::{Problem, Verdict};
use crate::logs::LogFormat;
use crate::service::{Watchdog, tell_ready, tell_stopping};

/// How often the watcher is looked at, to say how it is doing.
const LOOK: Duration = Duration::from_millis(500);

/// Record the ceremonies of a Kubernetes cluster, as they are opened and decided there
///
/// The cluster is that of $KUBECONFIG, ~/.kube/config or the pod that this runs in, and has to know the
/// resource (guildhall-kube/crds). Each step is checked against the chain of custody; one that does not
/// fit is logged and not recorded. Nothing is written to the cluster. It runs until Ctrl-C or SIGTERM.
#[derive(Debug, Args)]
pub struct Kube {
    /// Only this namespace; repeat it for several
    #[arg(long, value_name = "NAME")]
    namespace: Vec<String>,

    /// The cluster's name, if one Chronicle records several clusters
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,

    /// Where /healthz, /readyz and /metrics are served, without access control: ADDRESS:PORT,
    /// localhost:PORT or :PORT, which is this machine's own; in a pod 0.0.0.0:PORT
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7178")]
    probes: Address,

    /// Also keep the tables up to date, as `guildhall project --follow` does
    #[arg(long)]
    project: bool,

    /// The form of logs
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) log_format: LogFormat,
}

impl Kube {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        self.probes.check_is_free()?;
        let watcher = context.ending.or_ends(self.watcher()).await?;
        let set_up = |guild: guildhall::Builder| guild.feed(Arc::new(watcher));
        context.writing(set_up, async |guild, ending| self.watch(guild, ending).await).await?;
        Ok(Verdict::Holds)
    }

    async fn watcher(&self) -> Result<CeremonyWatcher> {
        let config = Config::infer().await.map_err(|error| {
            let what = format!("no cluster is configured: {error}");
            let next = "name a file in $KUBECONFIG, or run it in a pod with an account";
            Problem::failed(what, next)
        })?;
        let url = config.cluster_url.to_string();
        tracing::info!("the cluster is at {}", escape_for_terminal(&url));
        let watcher = CeremonyWatcher::of(config).context("making a client of the cluster")?;
        let watcher = watcher.namespaces(self.namespace.clone());
        Ok(match &self.cluster {
            Some(cluster) => watcher.cluster(cluster),
            None => watcher,
        })
    }

    async fn watch(&self, guild: &Guild, ending: &mut Ending) -> Result<()> {
        let runtime = self.project.then(|| guild.run());
        let orchestrator = guild.orchestrator();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let stopped = async {
            // Dropped says the same.
            let _ = stopped.await;
        };
        let served = serve_probes(guild.console(), self.probes.socket(), stopped).await;
        let served = served.context("serving the probes")?;
        tracing::info!("the probes are at http://{}/", served.address());
        tell_ready(&format!("watching the cluster; probes at http://{}/", served.address()));
        let (follows, projects) = (orchestrator.clone(), runtime.clone());
        let watchdog = Watchdog::feed(move || {
            follows.status().is_healthy()
                && projects.as_ref().is_none_or(|runtime| runtime.status().is_healthy())
        });
        let outcome = tokio::select! {
            () = ending.asked() => Ok(()),
            ended = ended(runtime) => ended,
            failed = tell(&orchestrator) => failed,
        };
        tell_stopping();
        drop((watchdog, stop));
        served.finished().await;
        outcome
    }
}

/// Says how the watcher is doing: what it does, and what it has recorded. What it cannot do and what it
/// refuses, it says itself. It ends where the orchestrator does.
async fn tell(orchestrator: &CeremonyOrchestrator) -> Result<()> {
    let mut look = tokio::time::interval(LOOK);
    let (mut said, mut counted) = (None, (0, 0, 0));
    loop {
        look.tick().await;
        let status = orchestrator.status();
        if status.state.is_final() {
            let error = status.last_error.map(|error| error.message);
            anyhow::bail!("watching ended: {}", error.as_deref().unwrap_or("it was stopped"));
        }
        for feed in &status.feeds {
            if said.replace(feed.state) != Some(feed.state) {
                match feed.state {
                    FeedState::Listening => tracing::info!(feed = feed.name, "listening"),
                    FeedState::Connecting => tracing::info!(feed = feed.name, "connecting"),
                    _ => {}
                }
            }
            let counts = (feed.recorded, feed.known, feed.refused);
            if counted != counts {
                counted = counts;
                let (recorded, known, refused) = counts;
                tracing::info!(feed = feed.name, recorded, known, refused, "ceremonies");
            }
        }
    }
}
