use anyhow::Result;
use clap::Args;

use super::Context;
use crate::asking::Moment;
use crate::error::Verdict;
use crate::output::print_document;
use crate::standing::Standing;

/// Show the state of the database; exit code 1 if something is wrong
///
/// How far the tables are behind the log, what they hold, what is in quarantine, how much space it
/// takes. It is unhealthy if the log does not go on from the tables' checkpoint, or the tables are
/// further behind than --max-lag. Entries in quarantine are shown but are not a failure: a log is never
/// edited, so they stay.
#[derive(Debug, Args)]
pub struct Status {
    /// How many entries the tables may be behind the log
    #[arg(long, value_name = "ENTRIES", default_value_t = 10_000)]
    max_lag: u64,
    #[command(flatten)]
    moment: Moment,
}

impl Status {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        let is_json = context.global.json;
        let asked = context.reading(async |database| {
            Standing::load(database, self.max_lag, self.moment.as_of).await
        });
        let standing = asked.await?;
        print_document(is_json, &standing, |style| standing.to_text(style))?;
        Ok(if standing.is_healthy { Verdict::Holds } else { Verdict::DoesNotHold })
    }
}
