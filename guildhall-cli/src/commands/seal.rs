use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use guildhall::Guild;
use guildhall_core::text::escape_for_terminal;
use guildhall_core::{Timestamp, TreeHash};
use guildhall_projector::proof::{
    FolderSink, Sealer, SealerBuilder, SealerSettings, SealerState, SealerStatus, key_file,
};
#[cfg(feature = "witness")]
use guildhall_proof::Signer as _;
use guildhall_proof::{KeyType, LogKeys};
use serde::Serialize;

use super::Context;
use crate::database::BRIEF_LEASE;
use crate::ending::Ending;
use crate::error::{Problem, Verdict};
use crate::logs::LogFormat;
use crate::output::{field, print_document};
use crate::service::{Watchdog, tell_ready, tell_stopping};
use crate::target::print;
#[cfg(feature = "witness")]
use crate::witnesses::{self, Witnesses};

/// Seal the log: sign what it holds, so that nobody can change it unnoticed
///
/// With a seal and the public half of the key, anybody can tell later whether the log is still what was
/// sealed, without trusting the database. So keep seals elsewhere too: with --folder, where others can
/// read them. If nothing is new since the last seal, nothing is sealed.
#[derive(Debug, Args)]
pub struct Seal {
    /// The log's key, made with `guildhall key new`
    #[arg(long, value_name = "FILE", env = "GUILDHALL_KEY")]
    key: PathBuf,

    /// The log's keys, with those of before a rotation and the sizes at which each holds
    /// (guildhall.keys.v1)
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,

    /// Keep the sealed log in this folder too, as files that any web server serves (C2SP tlog-tiles);
    /// may be given again
    #[arg(long = "folder", value_name = "FOLDER")]
    folders: Vec<PathBuf>,

    #[cfg(feature = "witness")]
    #[command(flatten)]
    witnesses: Witnesses,

    /// Keep running, and seal what is new every so many seconds, until Ctrl-C or SIGTERM
    ///
    /// It waits for a database that goes away and comes back, stands by while another process seals, and
    /// notifies a service manager that it is ready and alive (sd_notify). With --json it prints a
    /// line for each seal.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    every: Option<u64>,

    /// With --every: seal at once where so many entries are new
    #[arg(long, value_name = "N", requires = "every", default_value_t = 10_000)]
    entries: u64,

    /// The form of logs
    #[arg(long, value_name = "FORMAT", default_value = "text", requires = "every")]
    pub(crate) log_format: LogFormat,
}

/// What is sealed.
#[derive(Serialize)]
struct Sealed {
    size: u64,
    root: Option<TreeHash>,
    sealed_at: Option<Timestamp>,
    head: u64,
    seals: u64,
    sinks: Vec<Sink>,
}

#[derive(Serialize)]
struct Sink {
    name: String,
    size: Option<u64>,
    error: Option<String>,
}

/// How a running sealer is doing, on one line of JSON.
#[derive(Serialize)]
struct Line {
    state: &'static str,
    #[serde(flatten)]
    sealed: Sealed,
}

impl From<&SealerStatus> for Sealed {
    fn from(status: &SealerStatus) -> Self {
        let sinks = status.sinks.iter().map(|sink| Sink {
            name: sink.name.clone(),
            size: sink.size,
            error: sink.error.as_ref().map(|error| error.message.clone()),
        });
        Self {
            size: status.size,
            root: status.root,
            sealed_at: status.sealed_at,
            head: status.head.get(),
            seals: status.seals,
            sinks: sinks.collect(),
        }
    }
}

impl Sealed {
    fn text(&self) -> String {
        let (Some(root), Some(sealed_at)) = (self.root, self.sealed_at) else {
            return "the log has no entry yet, so there is nothing to seal\n".to_owned();
        };
        let mut text = String::new();
        let what = if self.seals == 0 { ", as before: nothing is new" } else { "" };
        field(&mut text, "sealed", &format!("{} entries{what}", self.size));
        field(&mut text, "root", &root.to_string());
        field(&mut text, "at", &sealed_at.to_string());
        for Sink { name, size, error } in &self.sinks {
            let name = escape_for_terminal(name);
            // Writing into a text cannot fail.
            let _ = match (size, error) {
                (_, Some(error)) => writeln!(text, "{name}: {}", escape_for_terminal(error)),
                (Some(size), None) => writeln!(text, "{name}: {size} entries"),
                (None, None) => writeln!(text, "{name}: nothing yet"),
            };
        }
        text
    }
}

impl Seal {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        let key = Arc::new(key_file::read_of(&self.key, KeyType::Ed25519)?);
        let keys = self.keys.as_deref().map(read_keys).transpose()?;
        let mut folders = Vec::new();
        for folder in &self.folders {
            folders.push(Arc::new(FolderSink::open(folder)?));
        }
        #[cfg(feature = "witness")]
        let (witnesses, public, known) =
            (self.witnesses.clients()?, key.key().clone(), keys.clone());
        let (is_json, every) = (context.global.json, self.every.map(Duration::from_secs));
        let settings = match every {
            Some(every) => SealerSettings::default().every(every).entries(self.entries),
            None => SealerSettings::default().lease_time(BRIEF_LEASE),
        };
        let set_up = move |guild: &Guild| -> SealerBuilder {
            let builder = guild.sealer(key).keys(keys).settings(settings);
            folders.into_iter().fold(builder, |builder, folder| builder.sink(folder))
        };
        let sealing = async |guild: &Guild, ending: &mut Ending| {
            let builder = set_up(guild);
            #[cfg(feature = "witness")]
            let builder = witnesses::give(builder, witnesses, guild, known, public).await?;
            if every.is_some() {
                follow(&builder.start(), ending, is_json).await?;
                return Ok(None);
            }
            let seal = Box::pin(builder.seal());
            ending.or_ends(async { Ok(seal.await?) }).await.map(Some)
        };
        let status = context.writing(|guild| guild, sealing).await.context("sealing")?;
        let Some(status) = status else { return Ok(Verdict::Holds) };
        let sealed = Sealed::from(&status);
        print_document(is_json, &sealed, |_| sealed.text())?;
        Ok(if status.is_told() { Verdict::Holds } else { Verdict::DoesNotHold })
    }

    /// The form of logs, where it keeps running.
    pub(crate) fn logs(&self) -> Option<LogFormat> {
        self.every.map(|_| self.log_format)
    }
}

fn read_keys(path: &Path) -> Result<LogKeys> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("reading the keys in {}", path.display()))?;
    let keys = text.parse::<LogKeys>().map_err(|error| {
        let what = format!("{} holds no keys of a log: {error}", path.display());
        let next = "write `guildhall.keys.v1`, `origin ORIGIN`, and a line `key VKEY FROM [UNTIL]` for \
             each key; `guildhall key show` prints a VKEY";
        Problem::usage(what, next)
    });
    Ok(keys?)
}

const fn word(state: SealerState) -> &'static str {
    match state {
        SealerState::Starting => "starting",
        SealerState::Live => "live",
        SealerState::Sealing => "sealing",
        SealerState::Telling => "telling",
        SealerState::Standby { .. } => "standby",
        SealerState::BackingOff { .. } => "backing_off",
        SealerState::Stopped => "stopped",
        SealerState::Failed => "failed",
        _ => "unknown",
    }
}

/// Goes on until it is to end or the sealer fails; says what changes, with `is_json` as a line of JSON
/// for each seal that its sinks were told.
async fn follow(sealer: &Sealer, ending: &mut Ending, is_json: bool) -> Result<()> {
    let health = sealer.watch_status();
    let _watchdog = Watchdog::feed(move || health.borrow().is_at_work());
    let mut status = sealer.watch_status();
    let (mut shown, mut is_ready) = (None, false);
    loop {
        let now = status.borrow_and_update().clone();
        let state = word(now.state);
        let is_settled = !matches!(
            now.state,
            SealerState::Starting | SealerState::Sealing | SealerState::Telling
        );
        if !is_ready && is_settled && now.is_at_work() {
            is_ready = true;
            tell_ready("sealing");
        }
        if is_settled && shown != Some((state, now.size)) {
            shown = Some((state, now.size));
            tracing::info!(state, size = now.size, head = now.head.get(), "sealer");
            if is_json {
                let line = Line { state, sealed: Sealed::from(&now) };
                print(&(serde_json::to_string(&line)? + "\n"))?;
            }
        }
        if now.state.is_final() {
            tell_stopping();
            return Ok(sealer.stopped().await?);
        }
        tokio::select! {
            () = ending.asked() => {
                tell_stopping();
                return Ok(sealer.shutdown().await?);
            }
            // Its last status stays where nobody writes another.
            _ = status.changed() => {}
        }
    }
}
