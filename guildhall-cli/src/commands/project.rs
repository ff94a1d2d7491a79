use anyhow::{Context as _, Result};
use clap::Args;
use guildhall_core::OnViolation;
use guildhall_projector::{Settings, Status};
use serde::Serialize;

use super::{Context, head};
use crate::database::BRIEF_LEASE;
use crate::error::Verdict;
use crate::following;
use crate::logs::LogFormat;
use crate::output::print_document;
use crate::steps;

/// How often to wait once more when somebody waits at a terminal.
pub(crate) const RETRIES: u32 = 8;

/// Bring the tables up to date with the Chronicle
///
/// It goes on where it was, whatever stopped it. If another process projects into the same tables, it
/// waits for it.
#[derive(Debug, Args)]
pub struct Project {
    /// Stop before the first entry that breaks an invariant, rather than quarantine it
    #[arg(long)]
    halt_on_violation: bool,

    /// Stay, and project entries as they are recorded, until Ctrl-C or SIGTERM
    ///
    /// It waits for a database that goes away and comes back, stands by while another process projects,
    /// and notifies a service manager that it is ready and alive (sd_notify). With --json it prints a
    /// line for each batch.
    #[arg(long)]
    follow: bool,

    /// The form of logs
    #[arg(long, value_name = "FORMAT", default_value = "text", requires = "follow")]
    log_format: LogFormat,
}

/// What was projected.
#[derive(Serialize)]
pub(crate) struct Projected {
    position: u64,
    entries: u64,
    quarantined: u64,
    skipped: u64,
    differences: Vec<String>,
}

impl From<&Status> for Projected {
    fn from(status: &Status) -> Self {
        Self {
            position: status.position.get(),
            entries: status.entries,
            quarantined: status.quarantined,
            skipped: status.skipped,
            differences: status.differences.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Project {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        if self.follow {
            return self.follow(context).await;
        }
        let on_violation = self.on_violation();
        let set_up =
            |guild: guildhall::Builder| guild.on_violation(on_violation).lease_time(BRIEF_LEASE);
        let settings = Settings::default().retries(RETRIES);
        let (is_json, quiet) = (context.global.json, context.global.quiet);
        let projected = context.writing(set_up, async |guild, ending| {
            let projecting = async {
                let progress = super::progress(quiet, "projecting", Some(head(guild).await?));
                let projector = guild.projector();
                let projected = steps::catch_up(guild.chronicle(), projector, &settings, progress);
                projected.await.context("projecting")
            };
            ending.or_ends(projecting).await
        });
        let projected = Projected::from(&projected.await?);
        if is_json {
            print_document(true, &projected, |_| String::new())?;
        }
        Ok(Verdict::Holds)
    }

    fn on_violation(&self) -> OnViolation {
        if self.halt_on_violation { OnViolation::Halt } else { OnViolation::Quarantine }
    }

    async fn follow(self, context: &mut Context) -> Result<Verdict> {
        let (is_json, on_violation) = (context.global.json, self.on_violation());
        let followed = context.writing(
            |guild| guild.on_violation(on_violation),
            async |guild, ending| following::follow(&guild.run(), ending, is_json).await,
        );
        followed.await?;
        Ok(Verdict::Holds)
    }

    /// How what goes on is written, of one that stays.
    pub(crate) fn logs(&self) -> Option<LogFormat> {
        self.follow.then_some(self.log_format)
    }
}
