use anyhow::{Context as _, Result};
use clap::Args;
use guildhall_projector::Settings;

use super::project::{Projected, RETRIES};
use super::{Context, head};
use crate::database::BRIEF_LEASE;
use crate::error::Verdict;
use crate::output::print_document;
use crate::steps;

/// Rebuild the tables from the Chronicle, and swap them in
///
/// Readers see the old tables or the new ones, never half. New tables that differ from the old ones are
/// refused: otherwise somebody could edit the log, rebuild, and hide it.
#[derive(Debug, Args)]
pub struct Rebuild {
    /// Swap the new tables in even if they differ: the log was edited or restored, and that is intended
    #[arg(long)]
    accept_rewritten: bool,
}

impl Rebuild {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        let accept_rewritten = self.accept_rewritten;
        let settings = Settings::default().retries(RETRIES).accept_rewritten(accept_rewritten);
        let (is_json, quiet) = (context.global.json, context.global.quiet);
        let lease = |guild: guildhall::Builder| guild.lease_time(BRIEF_LEASE);
        let rebuilt = context.writing(lease, async |guild, ending| {
            let rebuilding = async {
                let progress = super::progress(quiet, "rebuilding", Some(head(guild).await?));
                let projector = guild.projector();
                let rebuilt = steps::rebuild(guild.chronicle(), &*projector, &settings, progress);
                rebuilt.await.context("rebuilding")
            };
            ending.or_ends(rebuilding).await
        });
        let rebuilt = Projected::from(&rebuilt.await?);
        if is_json {
            print_document(true, &rebuilt, |_| String::new())?;
        }
        Ok(Verdict::Holds)
    }
}
