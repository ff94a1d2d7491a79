//! The commands, one file each.
//!
//! To add one:
//!
//! 1. `commands/weigh.rs` with `#[derive(Debug, clap::Args)] pub struct Weigh { … }`, whose doc comment
//!    is the help, and `pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict>`. Names
//!    beneath it, as in `artifact list`, are a `clap::Subcommand` in the same file.
//! 2. `mod weigh;`, a variant of [`Command`] and its line in `Command::run`; where it asks whether
//!    something holds, one in `Command::is_check` too, so that it exits with 3 where it cannot tell.
//! 3. What it prints for programs, in `JSON.md`; a test in `tests/` that runs the program.
//!
//! Queries run in `Context::reading`, which opens for reading and creates nothing; what writes runs in
//! `Context::writing`. Check every argument first. Rows implement [`Row`](crate::output::Row), take
//! [`ListForm`](crate::args::ListForm) among their arguments and go through
//! [`print_rows`](crate::output::print_rows); everything else goes through
//! [`print_document`](crate::output::print_document). The program's own errors are
//! [`Problem`](crate::error::Problem)s, with what to do about them.

mod accord;
mod artifact;
#[cfg(feature = "proof")]
mod audit;
mod ceremony;
mod changes;
#[cfg(feature = "proof")]
mod check;
mod completions;
mod deployment;
mod diff;
#[cfg(feature = "proof")]
mod digest;
mod doctor;
#[cfg(feature = "proof")]
mod evidence;
mod export;
mod history;
mod import;
#[cfg(feature = "proof")]
mod key;
#[cfg(feature = "kube")]
mod kube;
mod log;
mod man;
mod migrate;
mod posture;
mod project;
mod quarantine;
mod rebuild;
mod record;
#[cfg(feature = "proof")]
mod seal;
#[cfg(feature = "console")]
mod serve;
mod status;
mod verification;
#[cfg(feature = "proof")]
mod verify;
mod watch;
mod why;
#[cfg(feature = "witness")]
mod witness;

use anyhow::{Context as _, Result};
use clap::Subcommand;
use guildhall::{Builder, Guild};
use guildhall_core::CustodyPolicy;

use crate::args::Global;
use crate::database::{self, Location, Reading};
use crate::ending::Ending;
use crate::error::Verdict;
use crate::logs::LogFormat;
use crate::progress::Progress;

/// What to do.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum Command {
    #[allow(missing_docs, reason = "the help of each is that of its arguments")]
    Migrate(migrate::Migrate),
    #[allow(missing_docs, reason = "as above")]
    Import(import::Import),
    #[allow(missing_docs, reason = "as above")]
    Export(export::Export),
    #[allow(missing_docs, reason = "as above")]
    Project(project::Project),
    #[allow(missing_docs, reason = "as above")]
    Rebuild(rebuild::Rebuild),
    #[allow(missing_docs, reason = "as above")]
    Status(status::Status),
    #[allow(missing_docs, reason = "as above")]
    Doctor(doctor::Doctor),
    #[allow(missing_docs, reason = "as above")]
    #[cfg(feature = "console")]
    Serve(serve::Serve),
    #[allow(missing_docs, reason = "as above")]
    Watch(watch::Watch),
    #[allow(missing_docs, reason = "as above")]
    Artifact(artifact::Artifact),
    #[allow(missing_docs, reason = "as above")]
    Ceremony(ceremony::Ceremony),
    #[allow(missing_docs, reason = "as above")]
    Accord(accord::Accord),
    #[allow(missing_docs, reason = "as above")]
    Deployment(deployment::Deployment),
    #[allow(missing_docs, reason = "as above")]
    Verification(verification::Verification),
    #[allow(missing_docs, reason = "as above")]
    Quarantine(quarantine::Quarantine),
    #[allow(missing_docs, reason = "as above")]
    History(history::History),
    #[allow(missing_docs, reason = "as above")]
    Changes(changes::Changes),
    #[allow(missing_docs, reason = "as above")]
    Posture(posture::Posture),
    #[allow(missing_docs, reason = "as above")]
    Why(why::Why),
    #[allow(missing_docs, reason = "as above")]
    Diff(diff::Diff),
    #[allow(missing_docs, reason = "as above")]
    Log(log::Log),
    #[allow(missing_docs, reason = "as above")]
    Record(record::Record),
    #[allow(missing_docs, reason = "as above")]
    #[cfg(feature = "proof")]
    Key(key::Key),
    #[allow(missing_docs, reason = "as above")]
    #[cfg(feature = "proof")]
    Seal(seal::Seal),
    #[allow(missing_docs, reason = "as above")]
    #[cfg(feature = "witness")]
    Witness(witness::Witness),
    #[allow(missing_docs, reason = "as above")]
    #[cfg(feature = "kube")]
    Kube(kube::Kube),
    #[allow(missing_docs, reason = "as above")]
    #[cfg(feature = "proof")]
    Audit(audit::Audit),
    #[allow(missing_docs, reason = "as above")]
    #[cfg(feature = "proof")]
    Digest(digest::Digest),
    #[allow(missing_docs, reason = "as above")]
    #[cfg(feature = "proof")]
    Verify(verify::Verify),
    #[allow(missing_docs, reason = "as above")]
    #[cfg(feature = "proof")]
    Evidence(evidence::Evidence),
    #[allow(missing_docs, reason = "as above")]
    #[cfg(feature = "proof")]
    Check(check::Check),
    #[allow(missing_docs, reason = "as above")]
    Completions(completions::Completions),
    #[allow(missing_docs, reason = "as above")]
    #[command(hide = true)]
    Man(man::Man),
}

impl Command {
    /// Whether it asks if something holds: it then exits with 3 where it cannot tell.
    pub(crate) const fn is_check(&self) -> bool {
        match self {
            Self::Status(_) | Self::Doctor(_) | Self::Why(_) => true,
            #[cfg(feature = "proof")]
            Self::Audit(_) | Self::Verify(_) | Self::Check(_) => true,
            _ => false,
        }
    }

    /// How what goes on is written, of a command that stays until it is ended.
    pub(crate) fn logs(&self) -> Option<LogFormat> {
        match self {
            Self::Project(command) => command.logs(),
            #[cfg(feature = "proof")]
            Self::Seal(command) => command.logs(),
            #[cfg(feature = "console")]
            Self::Serve(command) => Some(command.log_format),
            #[cfg(feature = "witness")]
            Self::Witness(command) => Some(command.log_format),
            #[cfg(feature = "kube")]
            Self::Kube(command) => Some(command.log_format),
            _ => None,
        }
    }

    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        match self {
            Self::Migrate(command) => command.run(context).await,
            Self::Import(command) => command.run(context).await,
            Self::Export(command) => command.run(context).await,
            Self::Project(command) => command.run(context).await,
            Self::Rebuild(command) => command.run(context).await,
            Self::Status(command) => command.run(context).await,
            Self::Doctor(command) => command.run(context).await,
            #[cfg(feature = "console")]
            Self::Serve(command) => command.run(context).await,
            Self::Watch(command) => command.run(context).await,
            Self::Artifact(command) => command.run(context).await,
            Self::Ceremony(command) => command.run(context).await,
            Self::Accord(command) => command.run(context).await,
            Self::Deployment(command) => command.run(context).await,
            Self::Verification(command) => command.run(context).await,
            Self::Quarantine(command) => command.run(context).await,
            Self::History(command) => command.run(context).await,
            Self::Changes(command) => command.run(context).await,
            Self::Posture(command) => command.run(context).await,
            Self::Why(command) => command.run(context).await,
            Self::Diff(command) => command.run(context).await,
            Self::Log(command) => command.run(context).await,
            Self::Record(command) => command.run(context).await,
            #[cfg(feature = "proof")]
            Self::Key(command) => command.run(context),
            #[cfg(feature = "proof")]
            Self::Seal(command) => command.run(context).await,
            #[cfg(feature = "witness")]
            Self::Witness(command) => command.run(context).await,
            #[cfg(feature = "kube")]
            Self::Kube(command) => Box::pin(command.run(context)).await,
            #[cfg(feature = "proof")]
            Self::Audit(command) => command.run(context).await,
            #[cfg(feature = "proof")]
            Self::Digest(command) => command.run(context).await,
            #[cfg(feature = "proof")]
            Self::Verify(command) => command.run(context).await,
            #[cfg(feature = "proof")]
            Self::Evidence(command) => command.run(context).await,
            #[cfg(feature = "proof")]
            Self::Check(command) => command.run(context),
            Self::Completions(command) => command.run(context),
            Self::Man(command) => command.run(context),
        }
    }
}

/// What every command is given.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) location: Location,
    /// What moves of custody are judged by, whoever judges.
    pub(crate) policy: CustodyPolicy,
    /// The whole program's arguments, for what is made of them.
    pub(crate) program: fn() -> clap::Command,
    pub(crate) ending: Ending,
}

impl Context {
    /// Asks the database something. It is opened for reading: nothing is made or changed, and a file
    /// or server that takes no writes will do.
    pub(crate) async fn reading<T>(
        &mut self,
        ask: impl AsyncFnOnce(&Reading) -> Result<T>,
    ) -> Result<T> {
        let asked =
            async |database: &Reading, ending: &mut Ending| ending.or_ends(ask(database)).await;
        self.looking(asked).await
    }

    /// As [`reading`](Self::reading), for what ends well where it is asked to.
    pub(crate) async fn looking<T>(
        &mut self,
        look: impl AsyncFnOnce(&Reading, &mut Ending) -> Result<T>,
    ) -> Result<T> {
        self.check_is_there()?;
        let opening = async { Ok(Reading::open(&self.location).await?) };
        let database = self.ending.or_ends(opening).await?;
        let outcome = look(&database, &mut self.ending).await;
        self.ending.closed(database.close(), outcome).await
    }

    /// Works on the database, which is there.
    pub(crate) async fn writing<T>(
        &mut self,
        set_up: impl FnOnce(Builder) -> Builder,
        work: impl AsyncFnOnce(&Guild, &mut Ending) -> Result<T>,
    ) -> Result<T> {
        self.check_is_there()?;
        self.creating(set_up, work).await
    }

    /// Works on the database, and makes it where it is missing.
    pub(crate) async fn creating<T>(
        &mut self,
        set_up: impl FnOnce(Builder) -> Builder,
        work: impl AsyncFnOnce(&Guild, &mut Ending) -> Result<T>,
    ) -> Result<T> {
        let policy = self.policy.clone();
        let set_up = |guild: Builder| set_up(guild.policy(policy));
        let opening = async { Ok(database::open(&self.location, set_up).await?) };
        let guild = self.ending.or_ends(opening).await?;
        let outcome = work(&guild, &mut self.ending).await;
        self.ending.closed(database::close(&guild), outcome).await
    }

    /// A mistyped path makes no file.
    pub(crate) fn check_is_there(&self) -> Result<()> {
        match &self.location {
            #[cfg(feature = "sqlite")]
            Location::Sqlite(path) if !path.exists() => {
                let what = format!("there is no database {}", path.display());
                let next = "check --database; `guildhall migrate` makes a new one, and \
                     `guildhall import FILE` fills it too";
                Err(crate::error::Problem::failed(what, next).into())
            }
            _ => Ok(()),
        }
    }

    /// A step that says how far it has got, unless nothing is to be said.
    pub(crate) fn progress(&self, doing: &'static str, total: Option<u64>) -> Progress {
        progress(self.global.quiet, doing, total)
    }
}

fn progress(is_quiet: bool, doing: &'static str, total: Option<u64>) -> Progress {
    if is_quiet { Progress::silent() } else { Progress::start(doing, total) }
}

/// Where the log of this guild ends.
async fn head(guild: &Guild) -> Result<u64> {
    let head = guild.chronicle().head().await.context("reading where the log ends")?;
    Ok(head.position.get())
}
