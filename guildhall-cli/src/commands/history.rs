use anyhow::Result;
use clap::Args;
use guildhall_core::ops::TimelineKey;
use guildhall_core::{
    CustodyState, CustodyTransition, Happened, Revision, TimelineEntry, TimelineKind, TimelineQuery,
};

use super::Context;
use crate::args::ListForm;
use crate::asking::{self, Moment, Paging};
use crate::error::Verdict;
use crate::output::{Row, print_rows};

/// List everything that became of one artifact, the latest first: its contents, ceremonies and other
/// transitions, changes of its targets, verifications
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  guildhall history quay-core --kind ceremony --kind transition
  guildhall history quay-core --as-of 2026-11-03T12:00:00Z -o csv

`guildhall diff quay-core` shows what a content changed.")]
pub struct History {
    /// Its id, its name, or the CID of its content
    #[arg(value_name = "ID|NAME|CID")]
    artifact: String,
    /// revision, ceremony, transition, target or verification
    #[arg(long)]
    kind: Vec<TimelineKind>,
    #[command(flatten)]
    moment: Moment,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    form: ListForm,
}

impl History {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        let after = self.paging.after::<TimelineKey>()?;
        let asked = context.reading(async |database| {
            let ops_db = self.moment.of(&database.ops_db).await?;
            let found = asking::artifact(&*ops_db, &self.artifact).await?;
            let query = TimelineQuery::of(found.artifact.id)
                .kinds(self.kind)
                .after(after)
                .limit(self.paging.limit);
            Ok(ops_db.timeline(&query).await?)
        });
        let page = asked.await?;
        print_rows(self.form.listing(&context.global), &page.rows, page.next.as_ref())?;
        Ok(Verdict::Holds)
    }
}

impl Row for TimelineEntry {
    const COLUMNS: &'static [&'static str] = &["POSITION", "WHEN", "KIND", "WHAT"];

    fn cells(&self) -> Vec<String> {
        let what = match &self.what {
            Happened::Revision { revision, cid } if *revision == Revision::FIRST => {
                format!("registered: {cid}")
            }
            Happened::Revision { revision, cid } => format!("content {revision}: {cid}"),
            Happened::Ceremony { transition } => ceremony(transition),
            Happened::Transition { transition } => {
                let from = transition.from_state.map_or("none", CustodyState::as_str);
                let CustodyTransition { to_state, actor, reason, .. } = transition;
                format!("{from} -> {to_state} by {actor}: {reason}")
            }
            Happened::Target { change, before } => {
                let health = match before.as_ref().map(|before| before.health) {
                    None => format!("first seen -> {}", change.health),
                    Some(before) if before == change.health => format!("still {before}"),
                    Some(before) => format!("{before} -> {}", change.health),
                };
                let observed =
                    change.observed_cid.map_or("nothing".to_owned(), |cid| cid.to_string());
                let (target, desired) = (&change.target, change.desired_cid);
                format!("{target}: {health}, desired {desired}, observed {observed}")
            }
            Happened::Verification { verification } => {
                let on = verification.target.as_ref().map(|target| format!(" on {target}"));
                let on = on.unwrap_or_default();
                format!("{} by {}{on}", verification.outcome, verification.verifier)
            }
        };
        vec![self.position.to_string(), self.at.to_string(), self.what.kind().to_string(), what]
    }

    fn name(&self) -> String {
        self.position.to_string()
    }
}

fn ceremony(link: &CustodyTransition) -> String {
    let CustodyTransition { from_state, to_state, actor, reason, .. } = link;
    if *from_state == Some(CustodyState::CeremonyOpen) {
        format!("closed as {to_state} by {actor}: {reason}")
    } else {
        format!("opened by {actor}: {reason}")
    }
}
