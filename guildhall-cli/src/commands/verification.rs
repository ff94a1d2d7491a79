use anyhow::Result;
use clap::{Args, Subcommand};
use guildhall_core::ops::MomentKey;
use guildhall_core::{Outcome, Timestamp, VerificationQuery, VerificationResult};

use super::Context;
use crate::args::ListForm;
use crate::asking::{self, Moment, Paging};
use crate::error::Verdict;
use crate::output::{Row, print_rows};

/// What verifiers found
#[derive(Debug, Args)]
pub struct Verification {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
}

/// List verifications, the latest first
#[derive(Debug, Args)]
struct List {
    /// Of this artifact
    #[arg(long, value_name = "ID|NAME|CID")]
    artifact: Option<String>,
    /// On this target
    #[arg(long)]
    target: Vec<String>,
    /// By this verifier
    #[arg(long)]
    verifier: Vec<String>,
    /// passed, failed or inconclusive
    #[arg(long)]
    outcome: Vec<Outcome>,
    /// At this time or later
    #[arg(long, value_name = "TIME")]
    verified_since: Option<Timestamp>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    verified_before: Option<Timestamp>,
    /// Only those that stand: until the same verifier judges the same target again
    #[arg(long)]
    standing: bool,
    /// The earliest first
    #[arg(long)]
    ascending: bool,
    #[command(flatten)]
    moment: Moment,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    form: ListForm,
}

impl Verification {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        let Command::List(list) = self.command;
        let mut query = VerificationQuery::default()
            .targets(list.target)
            .verifiers(list.verifier)
            .outcomes(list.outcome)
            .verified_since(list.verified_since)
            .verified_before(list.verified_before)
            .is_standing(list.standing)
            .is_ascending(list.ascending)
            .after(list.paging.after::<MomentKey>()?)
            .limit(list.paging.limit);
        let asked = context.reading(async |database| {
            let ops_db = list.moment.of(&database.ops_db).await?;
            query.artifact_id = asking::artifact_id(&*ops_db, list.artifact.as_deref()).await?;
            Ok(ops_db.verifications(&query).await?)
        });
        let page = asked.await?;
        print_rows(list.form.listing(&context.global), &page.rows, page.next.as_ref())?;
        Ok(Verdict::Holds)
    }
}

impl Row for VerificationResult {
    const COLUMNS: &'static [&'static str] =
        &["VERIFIED AT", "OUTCOME", "VERIFIER", "TARGET", "ARTIFACT", "POSITION"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.verified_at.to_string(),
            self.outcome.to_string(),
            self.verifier.clone(),
            self.target.clone().unwrap_or_default(),
            self.artifact_id.to_string(),
            self.position.to_string(),
        ]
    }

    fn name(&self) -> String {
        self.id.to_string()
    }
}
