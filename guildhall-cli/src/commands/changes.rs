use anyhow::Result;
use clap::Args;
use guildhall_core::ops::PositionKey;
use guildhall_core::{AsOf, Change, ChangeQuery, OPS_DB, OpsDb, Position, What};

use super::Context;
use crate::args::ListForm;
use crate::asking::{self, Paging};
use crate::error::Verdict;
use crate::output::{Row, print_rows};

/// List what changed between two positions: what was registered, revised and moved, ceremonies, and
/// targets whose health became another
#[derive(Debug, Args)]
#[command(after_help = "\
A time means the last entry that was recorded by then.

Examples:
  guildhall changes --from 1042                     what came after the entry at position 1042
  guildhall changes --from 2026-11-09T00:00:00Z --to 2026-11-16T00:00:00Z
  guildhall changes --from 0 --artifact quay-core   all that changed about it; `history quay-core` has the verifications too")]
pub struct Changes {
    /// After the entry at this position, or the last one recorded by this time
    #[arg(long, value_name = "POSITION|TIME")]
    from: AsOf,
    /// Up to the entry at this position, and with it; as far as the tables go unless told otherwise
    #[arg(long, value_name = "POSITION|TIME")]
    to: Option<AsOf>,
    /// Of this artifact
    #[arg(long, value_name = "ID|NAME|CID")]
    artifact: Option<String>,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    form: ListForm,
}

impl Changes {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        let after = self.paging.after::<PositionKey>()?;
        let asked = context.reading(async |database| {
            let from = asking::position(database, self.from).await?;
            let to = match self.to {
                Some(to) => asking::position(database, to).await?,
                None => stands(&*database.ops_db).await?,
            };
            let mut query = ChangeQuery::between(from, to).after(after);
            query.artifact_id =
                asking::artifact_id(&*database.ops_db, self.artifact.as_deref()).await?;
            Ok(database.ops_db.changes(&query.limit(self.paging.limit)).await?)
        });
        let page = asked.await?;
        print_rows(self.form.listing(&context.global), &page.rows, page.next.as_ref())?;
        Ok(Verdict::Holds)
    }
}

/// How far the tables go.
async fn stands(ops_db: &dyn OpsDb) -> Result<Position> {
    let checkpoint = ops_db.checkpoint(OPS_DB).await?;
    Ok(checkpoint.map_or(Position::ZERO, |checkpoint| checkpoint.position))
}

impl Row for Change {
    const COLUMNS: &'static [&'static str] =
        &["POSITION", "WHEN", "KIND", "ARTIFACT", "WHAT", "ARTIFACT ID"];

    fn cells(&self) -> Vec<String> {
        let (at, kind, what) = match &self.what {
            What::Registered { cid, recorded_at } => (recorded_at, "registered", cid.to_string()),
            What::Revised { revision, cid, recorded_at } => {
                (recorded_at, "revised", format!("{revision}: {cid}"))
            }
            What::CeremonyOpened { transition: link } => (
                &link.occurred_at,
                "ceremony opened",
                format!("by {}: {}", link.actor, link.reason),
            ),
            What::CeremonyClosed { transition: link } => {
                let what = format!("{} by {}: {}", link.to_state, link.actor, link.reason);
                (&link.occurred_at, "ceremony closed", what)
            }
            What::Moved { transition: link } => {
                let what = format!("{} by {}: {}", link.to_state, link.actor, link.reason);
                (&link.occurred_at, "moved", what)
            }
            What::Health { change } => {
                let before = change.previous_health.map_or("first seen", |health| health.as_str());
                let what = format!("{}: {before} -> {}", change.target, change.health);
                (&change.observed_at, "health", what)
            }
        };
        vec![
            self.position.to_string(),
            at.to_string(),
            kind.to_owned(),
            self.artifact.name.clone(),
            what,
            self.artifact_id.to_string(),
        ]
    }

    fn name(&self) -> String {
        self.position.to_string()
    }
}
