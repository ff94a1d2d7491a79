use anyhow::Result;
use clap::{Args, Subcommand};
use guildhall_core::ops::{MomentKey, PositionKey};
use guildhall_core::{
    ArtifactId, Ceremony as Found, CeremonyId, ClosedCeremony, CustodyState, OpenCeremony, Tier,
    Timestamp,
};
use serde::Serialize;

use super::Context;
use crate::args::ListForm;
use crate::asking::{Moment, Paging};
use crate::error::{Problem, Verdict};
use crate::output::{Row, field, print_rows};
use crate::target::print;

/// Ceremonies: list those that are open or closed, show one
#[derive(Debug, Args)]
pub struct Ceremony {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Show(Show),
}

/// List open ceremonies, the oldest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  guildhall ceremony list --actor hanna.lund   what she opened or closed
  guildhall ceremony list --closed -o csv      what was decided, for a spreadsheet")]
struct List {
    /// List closed ones instead, the latest first
    #[arg(long)]
    closed: bool,
    /// List those that somebody of exactly this name opened or closed instead, in the order of the log
    #[arg(long, value_name = "NAME", conflicts_with = "closed")]
    actor: Option<String>,
    #[command(flatten)]
    moment: Moment,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    form: ListForm,
}

/// Show one ceremony: over what, opened and closed by whom, why, with what evidence, and its outcome
#[derive(Debug, Args)]
struct Show {
    /// Its id
    #[arg(value_name = "ID")]
    ceremony: CeremonyId,
    #[command(flatten)]
    moment: Moment,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    form: ListForm,
}

impl Ceremony {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        match self.command {
            Command::List(list) => list.run(context).await?,
            Command::Show(show) => show.run(context).await?,
        }
        Ok(Verdict::Holds)
    }
}

impl List {
    async fn run(self, context: &mut Context) -> Result<()> {
        let limit = self.paging.limit;
        let after = match &self.actor {
            Some(_) => self.paging.after::<PositionKey>()?,
            None => self.paging.after::<MomentKey>()?,
        };
        let asked = context.reading(async |database| {
            let ops_db = self.moment.of(&database.ops_db).await?;
            if let Some(actor) = &self.actor {
                let page = ops_db.ceremonies_of(actor, after, limit).await?;
                return Ok((page.rows.iter().map(Line::from).collect::<Vec<_>>(), page.next));
            }
            if self.closed {
                let page = ops_db.closed_ceremonies(after, limit).await?;
                return Ok((page.rows.iter().map(Line::from).collect(), page.next));
            }
            let page = ops_db.open_ceremonies(after, limit).await?;
            Ok((page.rows.iter().map(Line::from).collect(), page.next))
        });
        let (rows, next) = asked.await?;
        print_rows(self.form.listing(&context.global), &rows, next.as_ref())
    }
}

/// A ceremony in a list, open or closed.
#[derive(Serialize)]
struct Line {
    ceremony_id: Option<CeremonyId>,
    artifact_id: ArtifactId,
    name: String,
    artifact_type: String,
    tier: Tier,
    accord: String,
    opened_by: String,
    opened_at: Timestamp,
    closed_by: Option<String>,
    closed_at: Option<Timestamp>,
    outcome: Option<CustodyState>,
}

impl From<&OpenCeremony> for Line {
    fn from(row: &OpenCeremony) -> Self {
        Self {
            ceremony_id: row.ceremony_id,
            artifact_id: row.opened.artifact_id,
            name: row.name.clone(),
            artifact_type: row.artifact_type.clone(),
            tier: row.tier,
            accord: row.accord.clone(),
            opened_by: row.opened.actor.clone(),
            opened_at: row.opened.occurred_at,
            closed_by: None,
            closed_at: None,
            outcome: None,
        }
    }
}

impl From<&ClosedCeremony> for Line {
    fn from(row: &ClosedCeremony) -> Self {
        Self {
            ceremony_id: row.ceremony_id,
            artifact_id: row.closed.artifact_id,
            name: row.name.clone(),
            artifact_type: row.artifact_type.clone(),
            tier: row.tier,
            accord: row.accord.clone(),
            opened_by: row.opened_by.clone(),
            opened_at: row.opened_at,
            closed_by: Some(row.closed.actor.clone()),
            closed_at: Some(row.closed.occurred_at),
            outcome: Some(row.closed.to_state),
        }
    }
}

impl From<&Found> for Line {
    fn from(row: &Found) -> Self {
        let closed = row.closed.as_ref();
        Self {
            ceremony_id: row.ceremony_id,
            artifact_id: row.opened.artifact_id,
            name: row.name.clone(),
            artifact_type: row.artifact_type.clone(),
            tier: row.tier,
            accord: row.accord.clone(),
            opened_by: row.opened.actor.clone(),
            opened_at: row.opened.occurred_at,
            closed_by: closed.map(|link| link.actor.clone()),
            closed_at: closed.map(|link| link.occurred_at),
            outcome: closed.map(|link| link.to_state),
        }
    }
}

impl Row for Line {
    const COLUMNS: &'static [&'static str] =
        &["ARTIFACT", "OPENED BY", "OPENED AT", "CLOSED BY", "CLOSED AT", "OUTCOME", "CEREMONY"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.opened_by.clone(),
            self.opened_at.to_string(),
            self.closed_by.clone().unwrap_or_default(),
            self.closed_at.as_ref().map_or_else(String::new, Timestamp::to_string),
            self.outcome.map_or("", outcome).to_owned(),
            self.name(),
        ]
    }

    fn name(&self) -> String {
        self.ceremony_id.as_ref().map_or_else(String::new, CeremonyId::to_string)
    }
}

/// How a ceremony ended, by the state that it left its artifact in.
const fn outcome(state: CustodyState) -> &'static str {
    match state {
        CustodyState::Drafted => "withdrawn",
        other => other.as_str(),
    }
}

impl Row for Found {
    const COLUMNS: &'static [&'static str] =
        &["ARTIFACT", "OPENED BY", "OPENED AT", "CLOSED BY", "CLOSED AT", "OUTCOME", "POSITION"];

    fn cells(&self) -> Vec<String> {
        let closed = self.closed.as_ref();
        vec![
            self.name.clone(),
            self.opened.actor.clone(),
            self.opened.occurred_at.to_string(),
            closed.map_or_else(String::new, |link| link.actor.clone()),
            closed.map_or_else(String::new, |link| link.occurred_at.to_string()),
            closed.map_or("", |link| outcome(link.to_state)).to_owned(),
            self.opened.position.to_string(),
        ]
    }

    fn name(&self) -> String {
        self.opened.artifact_id.to_string()
    }
}

impl Show {
    async fn run(self, context: &mut Context) -> Result<()> {
        let after = self.paging.after::<PositionKey>()?;
        let is_first = after.is_none();
        let asked = context.reading(async |database| {
            let ops_db = self.moment.of(&database.ops_db).await?;
            Ok(ops_db.ceremony(self.ceremony, after, self.paging.limit).await?)
        });
        let page = asked.await?;
        if page.rows.is_empty() && is_first {
            let what = format!("there is no ceremony {}", self.ceremony);
            let next = "`guildhall ceremony list` shows the open ones, with --closed the others";
            return Err(Problem::failed(what, next).into());
        }
        if self.form.output.is_none() && !context.global.json && page.next.is_none() {
            return Ok(print(&page.rows.iter().map(text_of).collect::<Vec<_>>().join("\n"))?);
        }
        print_rows(self.form.listing(&context.global), &page.rows, page.next.as_ref())
    }
}

fn text_of(row: &Found) -> String {
    let mut text = String::new();
    field(&mut text, "artifact", &format!("{} ({})", row.name, row.opened.artifact_id));
    field(&mut text, "accord", &row.accord);
    field(&mut text, "cid", &row.opened.cid.to_string());
    for (what, link) in [("opened", Some(&row.opened)), ("closed", row.closed.as_ref())] {
        let Some(link) = link else {
            field(&mut text, "outcome", "none: it is open");
            continue;
        };
        if what == "closed" {
            field(&mut text, "outcome", outcome(link.to_state));
        }
        let (at, by) = (link.occurred_at, &link.actor);
        field(&mut text, what, &format!("{at} by {by}, position {}", link.position));
        field(&mut text, "  reason", &link.reason);
        field(&mut text, "  evidence", link.evidence.as_str());
    }
    text
}
