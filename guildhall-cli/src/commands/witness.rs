use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Args;
use guildhall::witness::{PathPrefix, ServerSettings, Witness as Work, WitnessedLog, serve};
use guildhall_core::command::Clock;
use guildhall_projector::proof::key_file;
use guildhall_proof::KeyType;
use guildhall_proof::policy::Policy;

use super::Context;
use crate::address::Address;
use crate::error::{Problem, Verdict};
use crate::logs::LogFormat;
use crate::service::{Watchdog, tell_ready, tell_stopping};

/// Witness other logs: cosign their seals, each log's one history (C2SP tlog-witness)
///
/// A log's sealer sends each seal here, and gets it cosigned if the log only grew since the last one; a log
/// that was rewritten gets no signature, and its seal, signed as it is, is written to standard error. A
/// witness is worth as much as its independence: run it where those who can change the log cannot change
/// it. It runs until Ctrl-C or SIGTERM, and notifies a service manager that it is ready and alive
/// (sd_notify). /healthz and /metrics are for machines.
#[derive(Debug, Args)]
pub struct Witness {
    /// The witness's key, from `guildhall key new NAME --witness --out FILE`
    #[arg(long, value_name = "FILE")]
    key: PathBuf,

    /// The public key of a log to witness, if it is named after the log's origin; else ORIGIN=VKEY. Repeat it
    /// for each log, and for each key of one
    #[arg(long, value_name = "VKEY", required_unless_present = "policy")]
    log: Vec<WitnessedLog>,

    /// Witness the logs that this file names (C2SP tlog-policy); its witnesses do not matter here
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// Where to listen: ADDRESS:PORT, localhost:PORT or :PORT, which is this machine's own
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7178")]
    listen: Address,

    /// The folder that keeps what was cosigned, created if missing; by default the name of the key's file
    /// and .state. Key and state belong together: never give a key an older state, or none, again
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,

    /// What the path of each request begins with, such as /w1
    #[arg(long, value_name = "PATH", default_value_t)]
    prefix: PathPrefix,

    /// How many requests a second one address may send; 0 for no limit, behind a proxy that has one
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    rate: u32,

    /// The form of logs
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) log_format: LogFormat,
}

impl Witness {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        let logs = self.logs()?;
        self.listen.check_is_free()?;
        let key = key_file::read_of(&self.key, KeyType::Cosignature)?;
        let state = self.state.clone().unwrap_or_else(|| beside(&self.key));
        let witness = Work::start(Arc::new(key), logs, &state, Clock::system())?;
        let key = witness.key().clone();
        let settings =
            ServerSettings::default().prefix(self.prefix.clone()).requests_per_second(self.rate);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let stopped = async {
            // Dropped says the same.
            let _ = stopped.await;
        };
        let served = serve(witness, self.listen.socket(), settings, stopped).await;
        let served = served.context("serving the witness")?;
        let url = format!("http://{}{}", served.address(), self.prefix);
        tracing::info!(%key, "the witness is at {url}");
        tell_ready(&format!("witnessing at {url}"));
        let watchdog = Watchdog::feed(served.health());
        context.ending.asked().await;
        tell_stopping();
        drop((watchdog, stop));
        served.finished().await;
        Ok(Verdict::Holds)
    }

    fn logs(&self) -> Result<Vec<WitnessedLog>> {
        let mut logs = self.log.clone();
        if let Some(path) = &self.policy {
            let shown = path.display();
            let bytes = std::fs::read(path).with_context(|| format!("reading {shown}"))?;
            let policy = Policy::parse(&bytes).map_err(|error| {
                let next =
                    "write it as C2SP tlog-policy has it, with a line `log VKEY` for each log";
                Problem::usage(format!("{shown}: {error}"), next)
            })?;
            for log in policy.logs() {
                logs.push(WitnessedLog::named_after(log.key.clone())?);
            }
        }
        if logs.is_empty() {
            let next = "name a log with --log VKEY, or in the policy with a line `log VKEY`";
            return Err(Problem::usage("there is no log to witness", next).into());
        }
        Ok(logs)
    }
}

fn beside(key: &Path) -> PathBuf {
    let mut state = key.as_os_str().to_owned();
    state.push(".state");
    state.into()
}
