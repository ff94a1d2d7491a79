#[cfg(feature = "proof")]
mod proof;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Args;
use guildhall::console::{Access, Console, serve, serve_probes};
use guildhall_projector::Runtime;
use guildhall_projector::ceremony::CeremonyOrchestrator;

use self::proof::Proof;
use super::Context;
use crate::address::Address;
use crate::ending::Ending;
use crate::error::{Problem, Verdict};
use crate::logs::LogFormat;
use crate::service::{Watchdog, tell_ready, tell_stopping};

#[cfg(not(feature = "proof"))]
#[path = "serve/no_proof.rs"]
mod proof;

/// How short a token may be, in bytes.
const LEAST_TOKEN_BYTES: usize = 16;

/// Show the console: the state of governance in a browser, up to date
///
/// It only reads; --project also keeps the tables up to date. On this machine's own addresses everybody
/// on it has access; elsewhere a token is needed, from GUILDHALL_TOKEN or --token-file. It runs until
/// Ctrl-C or SIGTERM, and notifies a service manager that it is ready and alive (sd_notify). /healthz,
/// /readyz and /metrics are for machines; /changes.atom and /changes.json for feed readers, which give the
/// token as a password. /proof shows the log's seals, and hands out evidence.
#[derive(Debug, Args)]
pub struct Serve {
    /// Where to listen: ADDRESS:PORT, localhost:PORT or :PORT, which is this machine's own
    #[arg(value_name = "ADDRESS", default_value = "127.0.0.1:7177")]
    address: Address,

    /// Require the token in this file
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// A host name by which it is reached, if not an address of this machine; repeat it for several
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,

    /// Also serve /healthz, /readyz and /metrics here, without a token and under any name, for whoever can
    /// reach it: probes, say, which send neither
    #[arg(long, value_name = "ADDRESS")]
    probes: Option<Address>,

    /// Also keep the tables up to date, as `guildhall project --follow` does
    #[arg(long)]
    project: bool,

    #[command(flatten)]
    proof: Proof,

    /// The form of logs
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) log_format: LogFormat,
}

impl Serve {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        let (access, known) = (self.access()?, self.proof.load()?);
        self.address.check_is_free()?;
        if let Some(probes) = &self.probes {
            probes.check_is_free()?;
        }
        let policy = context.policy.clone();
        if self.project {
            let set_up = |guild| guild;
            let served = context.writing(set_up, async |guild, ending| {
                let runtime = guild.run();
                let orchestrator = guild.orchestrator();
                let proven = self.proof.start(known, guild.seals(), guild.ops_db(), policy);
                let console = || proven.given_to(guild.console());
                self.show(console, access, orchestrator, Some(runtime), ending).await
            });
            served.await?;
        } else {
            let served = context.looking(async |database, ending| {
                let orchestrator = database.orchestrator();
                let (log, ops_db) = (Arc::clone(&database.seals), Arc::clone(&database.ops_db));
                let proven = self.proof.start(known, log, ops_db, policy.clone());
                let console = || {
                    let ops_db = Arc::clone(&database.ops_db);
                    let console = Console::new(ops_db, orchestrator.clone()).policy(policy.clone());
                    proven.given_to(console)
                };
                let shown = self.show(console, access, orchestrator.clone(), None, ending).await;
                orchestrator.shutdown().await;
                shown
            });
            served.await?;
        }
        Ok(Verdict::Holds)
    }

    /// Who has access: everybody on this machine, or holders of the token.
    fn access(&self) -> Result<Access> {
        let Some(token) = self.token()? else {
            if self.address.is_loopback() {
                return Ok(Access::Loopback);
            }
            let what = format!("{} can be reached from elsewhere: it needs a token", self.address);
            let next = "put one into a file for --token-file or into GUILDHALL_TOKEN, \
                 such as `openssl rand -hex 32` makes, or listen on :7177";
            return Err(Problem::usage(what, next).into());
        };
        if token.len() < LEAST_TOKEN_BYTES {
            let what =
                format!("the token has {} bytes, {LEAST_TOKEN_BYTES} are the least", token.len());
            return Err(Problem::usage(what, "make one with `openssl rand -hex 32`").into());
        }
        let listens = self.address.socket().ip().to_string();
        let hosts = self.host.iter().cloned().chain([listens, "localhost".to_owned()]);
        Ok(Access::Token { token, hosts: hosts.collect() })
    }

    /// Of the file, which ends with a line feed or not, or of the environment.
    fn token(&self) -> Result<Option<String>> {
        let Some(path) = &self.token_file else { return Ok(std::env::var("GUILDHALL_TOKEN").ok()) };
        let reading = || format!("reading the token from {}", path.display());
        let text = std::fs::read_to_string(path).with_context(reading)?;
        Ok(Some(text.trim_ascii().to_owned()))
    }

    async fn show(
        &self,
        console: impl Fn() -> Console,
        access: Access,
        orchestrator: CeremonyOrchestrator,
        runtime: Option<Runtime>,
        ending: &mut Ending,
    ) -> Result<()> {
        let (stop, stopped) = tokio::sync::watch::channel(());
        let until_stopped = || {
            let mut stopped = stopped.clone();
            // Dropped says it.
            async move { while stopped.changed().await.is_ok() {} }
        };
        let probes = match &self.probes {
            Some(address) => {
                let served = serve_probes(console(), address.socket(), until_stopped()).await;
                let served = served.context("serving the probes")?;
                tracing::info!("the probes are at http://{}/", served.address());
                Some(served)
            }
            None => None,
        };
        let console = console().access(access);
        let served = serve(console, self.address.socket(), until_stopped()).await;
        let served = served.context("serving the console")?;
        tracing::info!("the console is at http://{}/", served.address());
        tell_ready(&format!("serving http://{}/", served.address()));
        let (follows, projects) = (orchestrator.clone(), runtime.clone());
        let watchdog = Watchdog::feed(move || {
            follows.status().is_healthy()
                && projects.as_ref().is_none_or(|runtime| runtime.status().is_healthy())
        });
        let outcome = tokio::select! {
            () = ending.asked() => Ok(()),
            ended = ended(runtime) => ended,
        };
        tell_stopping();
        drop((watchdog, stop));
        served.finished().await;
        if let Some(probes) = probes {
            probes.finished().await;
        }
        outcome
    }
}

/// Waits until the projector stops by itself; for ever where there is none.
pub(super) async fn ended(runtime: Option<Runtime>) -> Result<()> {
    match runtime {
        Some(runtime) => Ok(runtime.stopped().await?),
        None => std::future::pending().await,
    }
}
