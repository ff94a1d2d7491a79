use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};
use guildhall_core::ops::{DeploymentKey, MomentKey, TargetKey};
use guildhall_core::{
    Cid, CustodyTransition, Decided, DeploymentQuery, DeploymentSort, DeploymentState, DriftSpan,
    Health, HealthTimes, OpsDb, PeriodQuery, Recovery, StoreError, Timestamp,
};

use super::Context;
use crate::args::ListForm;
use crate::asking::{self, Moment, Paging};
use crate::error::{Problem, Verdict};
use crate::output::{Row, field, print_document, print_rows};

/// What runs on targets: list it, show who decided it; how healthy they were, and when they drifted
#[derive(Debug, Args)]
pub struct Deployment {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Show(Show),
    Health(Times),
    Drifts(Drifts),
    Recovery(Recovered),
}

/// List what runs on targets, by the latest observation of each
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  guildhall deployment list --health drifted --sort health_since
  guildhall deployment list --artifact quay-core -o csv")]
struct List {
    /// Of this artifact
    #[arg(long, value_name = "ID|NAME|CID")]
    artifact: Option<String>,
    /// On this target
    #[arg(long)]
    target: Vec<String>,
    /// On targets that begin with this text
    #[arg(long, value_name = "TEXT")]
    target_begins: Option<String>,
    /// unknown, healthy or drifted
    #[arg(long)]
    health: Vec<Health>,
    /// artifact, target or health_since
    #[arg(long, default_value_t = DeploymentSort::Artifact)]
    sort: DeploymentSort,
    /// Turn the order round
    #[arg(long)]
    descending: bool,
    #[command(flatten)]
    moment: Moment,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    form: ListForm,
}

/// Show what runs on a target, and who decided it: the content, its ratification, and the ceremony
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  guildhall deployment show quay-core quay-core-1
  guildhall deployment show calder.example ns1.calder.example --as-of 2026-11-03T12:00:00Z

`guildhall why ARTIFACT` goes on to the log, and compares the tables with it.")]
struct Show {
    /// The artifact: its id, its name, or the CID of its content
    #[arg(value_name = "ID|NAME|CID")]
    artifact: String,
    /// The target, as observations name it
    target: String,
    #[command(flatten)]
    moment: Moment,
}

/// List how long each target was in each health over a period
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  guildhall deployment health                        every target, the last thirty days
  guildhall deployment health --artifact quay-core --since 2026-11-01T00:00:00Z -o csv")]
struct Times {
    #[command(flatten)]
    period: Period,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    form: ListForm,
}

/// List the drifts that began in a period, with how long they lasted, the latest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  guildhall deployment drifts                        of every target, the last thirty days
  guildhall deployment drifts --artifact quay-core --target quay-core-2 --since 2026-01-01T00:00:00Z")]
struct Drifts {
    #[command(flatten)]
    period: Period,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    form: ListForm,
}

/// Show how long it took from drift to healthy, over the drifts that began in a period
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  guildhall deployment recovery                      over every target, the last thirty days
  guildhall deployment recovery --artifact quay-core --since 2026-01-01T00:00:00Z --json")]
struct Recovered {
    #[command(flatten)]
    period: Period,
}

/// Which targets, and which time.
#[derive(Debug, Args)]
struct Period {
    /// Of this artifact
    #[arg(long, value_name = "ID|NAME|CID")]
    artifact: Option<String>,
    /// On this target
    #[arg(long)]
    target: Option<String>,
    /// From this time on; thirty days before the end of the period unless told otherwise
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Before this time; now unless told otherwise
    #[arg(long, value_name = "TIME")]
    before: Option<Timestamp>,
    #[command(flatten)]
    moment: Moment,
}

impl Period {
    /// The period that ends then.
    fn ending(&self, before: Timestamp) -> Result<PeriodQuery> {
        let since = self.since.unwrap_or(PeriodQuery::beginning(before));
        if since >= before {
            let what = format!("--since {since} is not before the end of the period, {before}");
            return Err(Problem::usage(what, "give an earlier --since, or a later --before").into());
        }
        Ok(PeriodQuery::between(since, before).target(self.target.clone()))
    }

    /// Asks about a page of it, of the artifact that is named.
    async fn ask<T>(
        &self,
        context: &mut Context,
        page: impl FnOnce(PeriodQuery) -> PeriodQuery,
        ask: impl AsyncFnOnce(&dyn OpsDb, &PeriodQuery) -> Result<T, StoreError>,
    ) -> Result<T> {
        // What can be checked before anything is opened is.
        let named = self.before.map(|before| self.ending(before)).transpose()?;
        let asked = context.reading(async |database| {
            let query = match named {
                Some(query) => query,
                None => self.ending(asking::time(database, self.moment.as_of).await?)?,
            };
            let mut query = page(query);
            let ops_db = self.moment.of(&database.ops_db).await?;
            query.artifact_id = asking::artifact_id(&*ops_db, self.artifact.as_deref()).await?;
            Ok(ask(&*ops_db, &query).await?)
        });
        asked.await
    }
}

impl Deployment {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        match self.command {
            Command::List(list) => list.run(context).await?,
            Command::Show(show) => show.run(context).await?,
            Command::Health(Times { period, paging, form }) => {
                let after = paging.after::<TargetKey>()?;
                let page = |query: PeriodQuery| query.after(after).limit(paging.limit);
                let asked = period
                    .ask(context, page, async |ops_db, query| ops_db.health_times(query).await);
                let page = asked.await?;
                print_rows(form.listing(&context.global), &page.rows, page.next.as_ref())?;
            }
            Command::Drifts(Drifts { period, paging, form }) => {
                let after = paging.after::<MomentKey>()?;
                let page = |query: PeriodQuery| query.after(after).limit(paging.limit);
                let asked =
                    period.ask(context, page, async |ops_db, query| ops_db.drifts(query).await);
                let page = asked.await?;
                print_rows(form.listing(&context.global), &page.rows, page.next.as_ref())?;
            }
            Command::Recovery(Recovered { period }) => {
                let whole = |query| query;
                let asked =
                    period.ask(context, whole, async |ops_db, query| ops_db.recovery(query).await);
                let recovery = asked.await?;
                print_document(context.global.json, &recovery, |_| recovery_text(&recovery))?;
            }
        }
        Ok(Verdict::Holds)
    }
}

impl List {
    async fn run(self, context: &mut Context) -> Result<()> {
        let mut query = DeploymentQuery::default()
            .targets(self.target)
            .target_begins(self.target_begins)
            .healths(self.health)
            .sort(self.sort)
            .is_descending(self.descending)
            .after(self.paging.after::<DeploymentKey>()?)
            .limit(self.paging.limit);
        if query.after.is_some() && query.paging().key.is_none() {
            return Err(asking::no_cursor());
        }
        let asked = context.reading(async |database| {
            let ops_db = self.moment.of(&database.ops_db).await?;
            query.artifact_id = asking::artifact_id(&*ops_db, self.artifact.as_deref()).await?;
            Ok(ops_db.deployments(&query).await?)
        });
        let page = asked.await?;
        print_rows(self.form.listing(&context.global), &page.rows, page.next.as_ref())
    }
}

impl Row for DeploymentState {
    const COLUMNS: &'static [&'static str] =
        &["TARGET", "HEALTH", "SINCE", "OBSERVED AT", "ARTIFACT", "POSITION"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.target.clone(),
            self.health.to_string(),
            self.health_since.to_string(),
            self.observed_at.to_string(),
            self.artifact_id.to_string(),
            self.position.to_string(),
        ]
    }

    fn name(&self) -> String {
        self.target.clone()
    }
}

impl Row for HealthTimes {
    const COLUMNS: &'static [&'static str] =
        &["TARGET", "HEALTHY", "DRIFTED", "UNKNOWN", "ARTIFACT"];

    fn cells(&self) -> Vec<String> {
        let spent = |micros| length(Duration::from_micros(micros));
        vec![
            self.target.clone(),
            spent(self.healthy_micros),
            spent(self.drifted_micros),
            spent(self.unknown_micros),
            self.artifact_id.to_string(),
        ]
    }

    fn name(&self) -> String {
        self.target.clone()
    }
}

impl Row for DriftSpan {
    const COLUMNS: &'static [&'static str] =
        &["TARGET", "DRIFTED AT", "ENDED AT", "AS", "LENGTH", "HEALTHY AT", "ARTIFACT", "POSITION"];

    fn cells(&self) -> Vec<String> {
        let time = |at: Option<Timestamp>| at.map_or_else(String::new, |at| at.to_string());
        vec![
            self.target.clone(),
            self.drifted_at.to_string(),
            time(self.ended_at),
            self.ended_as.map_or("", Health::as_str).to_owned(),
            self.length().map_or_else(String::new, length),
            time(self.healthy_at),
            self.artifact_id.to_string(),
            self.position.to_string(),
        ]
    }

    fn name(&self) -> String {
        self.position.to_string()
    }
}

/// How long something was, to the second: `12d 03:04:05`.
fn length(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    format!("{days}d {hours:02}:{minutes:02}:{:02}", seconds % 60)
}

fn recovery_text(recovery: &Recovery) -> String {
    let mut text = String::new();
    field(&mut text, "drifts", &recovery.drifts.to_string());
    field(&mut text, "recovered", &recovery.recovered.to_string());
    field(&mut text, "mean", &recovery.mean().map_or_else(|| "none yet".to_owned(), length));
    text
}

impl Show {
    async fn run(self, context: &mut Context) -> Result<()> {
        let target = &self.target;
        let asked = context.reading(async |database| {
            let ops_db = self.moment.of(&database.ops_db).await?;
            let found = asking::artifact(&*ops_db, &self.artifact).await?.artifact;
            let decided = ops_db.decided(found.id, target).await?;
            decided.map(|decided| (found.name, decided)).ok_or_else(|| {
                let what = format!("{:?} was never observed on {target:?}", self.artifact);
                let next = format!("`guildhall artifact show {}` shows its targets", found.id);
                Problem::failed(what, next).into()
            })
        });
        let (name, decided) = asked.await?;
        print_document(context.global.json, &decided, |_| decided_text(&name, &decided))
    }
}

fn decided_text(name: &str, decided: &Decided) -> String {
    let Decided { state, revision, ratified, opened } = decided;
    let mut text = String::new();
    field(&mut text, "artifact", &format!("{name} ({})", state.artifact_id));
    field(&mut text, "target", &state.target);
    field(&mut text, "health", &format!("{} since {}", state.health, state.health_since));
    field(&mut text, "desired", &state.desired_cid.to_string());
    let observed = state.observed_cid.as_ref().map_or_else(|| "nothing".to_owned(), Cid::to_string);
    field(&mut text, "observed", &observed);
    match revision {
        Some(revision) => {
            let (at, position) = (revision.recorded_at, revision.position);
            let told = format!("{} of {at}, position {position}", revision.revision);
            field(&mut text, "revision", &told);
        }
        None if state.observed_cid.is_some() => {
            field(&mut text, "revision", "none: the artifact never had this content");
        }
        None => {}
    }
    let link = |text: &mut String, name: &str, link: &CustodyTransition| {
        let (by, at) = (&link.actor, link.occurred_at);
        field(text, name, &format!("{at} by {by}, position {}", link.position));
        field(text, "  reason", &link.reason);
        field(text, "  evidence", link.evidence.as_str());
    };
    if let Some(ceremony) = ratified.as_ref().and_then(|link| link.ceremony_id) {
        field(&mut text, "ceremony", &ceremony.to_string());
    }
    if let Some(opened) = opened {
        link(&mut text, "opened", opened);
    }
    match ratified {
        Some(ratified) => link(&mut text, "ratified", ratified),
        None if state.observed_cid.is_some() => {
            field(&mut text, "ratified", "never");
        }
        None => {}
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_told_to_the_second() {
        for (seconds, expected) in [
            (0, "0d 00:00:00"),
            (59, "0d 00:00:59"),
            (93_784, "1d 02:03:04"),
            (8_640_000, "100d 00:00:00"),
        ] {
            assert_eq!(length(Duration::from_secs(seconds)), expected);
        }
    }
}
