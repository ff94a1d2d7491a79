use anyhow::{Context as _, Result};
use clap::Args;
use guildhall_core::OnViolation;
use guildhall_projector::{Settings, Status};
use serde::Serialize;

use super::{Context, head};
use crate::database::BRIEF_LEASE;
use crate::error::Verdict;
use crate::output::print_document;
use crate::steps;

/// How often somebody who waits at a terminal is let wait once more.
pub(crate) const RETRIES: u32 = 8;

/// Bring the tables up to date with the Chronicle
///
/// It goes on where it was, whatever stopped it. Another that projects into the same tables is waited
/// for.
#[derive(Debug, Args)]
pub struct Project {
    /// Stop before the first entry that breaks an invariant, rather than quarantine it
    #[arg(long)]
    halt_on_violation: bool,
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
        let on_violation =
            if self.halt_on_violation { OnViolation::Halt } else { OnViolation::Quarantine };
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
}
