use anyhow::Result;
use clap::{Args, Subcommand};
use guildhall_core::ops::ArtifactKey;
use guildhall_core::terms::Clock;
use guildhall_core::{
    AccordId, ArtifactDetail, ArtifactId, ArtifactQuery, ArtifactSort, ArtifactSummary, Cid,
    Cursor, CustodyState, DeploymentQuery, DeploymentState, Drift, Json, MAX_PAGE_ROWS, Outcome,
    Tier, Timestamp,
};
use serde::Serialize;

use super::Context;
use super::why::ChainVerdict;
use crate::args::ListForm;
use crate::asking::{self, Moment, Paging, no_cursor};
use crate::error::Verdict;
use crate::output::{Row, Style, field, field_in, print_document, print_rows};
use crate::target::print;

/// What is governed: list it, show one, print what it says
#[derive(Debug, Args)]
pub struct Artifact {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(Box<List>),
    Show(Show),
    Content(Content),
}

/// List artifacts; several values of one filter are alternatives, several filters must all hold
#[derive(Debug, Args)]
struct List {
    /// Of this type, such as dns_zone
    #[arg(long, value_name = "TYPE")]
    artifact_type: Vec<String>,
    /// Of this tier, 0 to 3
    #[arg(long)]
    tier: Vec<Tier>,
    /// In this custody state, such as deployed
    #[arg(long, value_name = "STATE")]
    custody_state: Vec<CustodyState>,
    /// undeployed, drifted, unknown or healthy
    #[arg(long)]
    drift: Vec<Drift>,
    /// Under this accord, by its id or name
    #[arg(long, value_name = "ID|NAME")]
    accord: Vec<String>,
    /// With this id
    #[arg(long, value_name = "ID")]
    id: Vec<ArtifactId>,
    /// With exactly this name
    #[arg(long)]
    name: Vec<String>,
    /// Whose current content has this CID
    #[arg(long)]
    cid: Vec<Cid>,
    /// Whose name begins with this text, as it is written
    #[arg(long, value_name = "TEXT")]
    name_begins: Vec<String>,
    /// Whose current content has a CID that begins with this text
    #[arg(long, value_name = "TEXT")]
    cid_begins: Option<String>,
    /// Whose name contains this text, ignoring the case of ASCII letters
    #[arg(long, value_name = "TEXT")]
    name_contains: Option<String>,
    /// Whose content contains this JSON
    #[arg(long, value_name = "JSON")]
    content_contains: Option<Json>,
    /// Whose accord's terms contain this JSON
    #[arg(long, value_name = "JSON")]
    terms_contain: Option<Json>,
    /// Last verified before this time, or never verified
    #[arg(long, value_name = "TIME")]
    verified_before: Option<Timestamp>,
    /// On which a verdict of this outcome stands: passed, failed or inconclusive
    #[arg(long, value_name = "OUTCOME")]
    verdict: Vec<Outcome>,
    /// name, artifact_type, tier, custody_state, position, cid or drift
    #[arg(long, default_value_t = ArtifactSort::Name)]
    sort: ArtifactSort,
    /// Reverse the order
    #[arg(long)]
    descending: bool,
    #[command(flatten)]
    moment: Moment,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    form: ListForm,
}

/// Show one artifact: its accord, what runs where, and whether its chain of custody holds
#[derive(Debug, Args)]
struct Show {
    /// Its id, its name, or the CID of its content
    #[arg(value_name = "ID|NAME|CID")]
    artifact: String,
    #[command(flatten)]
    moment: Moment,
}

/// Print what an artifact says now, as canonical JSON
#[derive(Debug, Args)]
struct Content {
    /// Its id, its name, or the CID of its content
    #[arg(value_name = "ID|NAME|CID")]
    artifact: String,
    #[command(flatten)]
    moment: Moment,
}

impl Artifact {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        match self.command {
            Command::List(list) => list.run(context).await?,
            Command::Show(show) => show.run(context).await?,
            Command::Content(content) => content.run(context).await?,
        }
        Ok(Verdict::Holds)
    }
}

impl List {
    async fn run(self, context: &mut Context) -> Result<()> {
        let (form, moment) = (self.form, self.moment);
        let (accords, after) = (self.accord.clone(), self.paging.after::<ArtifactKey>()?);
        let mut query = self.query(after);
        if query.after.is_some() && query.key().is_none() {
            return Err(no_cursor());
        }
        let page = context.reading(async |database| {
            let ops_db = moment.of(&database.ops_db).await?;
            for accord in &accords {
                query.accords.push(asking::accord(&*ops_db, accord).await?.id);
            }
            Ok(ops_db.artifacts(&query).await?)
        });
        let page = page.await?;
        print_rows(form.listing(&context.global), &page.rows, page.next.as_ref())
    }

    /// Everything but the accords, whose names are looked up.
    fn query(self, after: Option<Cursor>) -> ArtifactQuery {
        ArtifactQuery::default()
            .artifact_types(self.artifact_type)
            .tiers(self.tier)
            .custody_states(self.custody_state)
            .drifts(self.drift)
            .accords(Vec::<AccordId>::new())
            .ids(self.id)
            .names(self.name)
            .cids(self.cid)
            .name_begins(self.name_begins)
            .cid_begins(self.cid_begins)
            .name_contains(self.name_contains)
            .content_contains(self.content_contains)
            .terms_contain(self.terms_contain)
            .verified_before(self.verified_before)
            .verdicts(self.verdict)
            .sort(self.sort)
            .is_descending(self.descending)
            .after(after)
            .limit(self.paging.limit)
    }
}

impl Row for ArtifactSummary {
    const COLUMNS: &'static [&'static str] =
        &["NAME", "TYPE", "TIER", "CUSTODY STATE", "DRIFT", "SINCE", "ID"];

    fn cells(&self) -> Vec<String> {
        let since = self.drift_since.as_ref().map_or_else(String::new, Timestamp::to_string);
        vec![
            self.name.clone(),
            self.artifact_type.clone(),
            self.tier.to_string(),
            self.custody_state.map_or("", CustodyState::as_str).to_owned(),
            self.drift.to_string(),
            since,
            self.id.to_string(),
        ]
    }

    fn name(&self) -> String {
        self.id.to_string()
    }
}

/// An artifact with what runs, and whether its chain holds.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    detail: ArtifactDetail,
    deployments: Vec<DeploymentState>,
    chain: ChainVerdict,
    /// What is due, and overdue, by the terms of its accord.
    clocks: Vec<Clock>,
}

impl Show {
    async fn run(self, context: &mut Context) -> Result<()> {
        let policy = context.policy.clone();
        let shown = context.reading(async |database| {
            let moment = self.moment.of(&database.ops_db).await?.snapshot().await?;
            let detail = asking::artifact(&*moment, &self.artifact).await?;
            let chain = ChainVerdict::load(&*moment, &policy, &detail.artifact, |_, _| {}).await?;
            let at = asking::time(database, self.moment.as_of).await?;
            let clocks = detail.clocks(&*moment, at).await?;
            let mut query = DeploymentQuery::default().artifact_id(detail.artifact.id);
            query.limit = MAX_PAGE_ROWS;
            let mut deployments = Vec::new();
            loop {
                let page = moment.deployments(&query).await?;
                deployments.extend(page.rows);
                query.after = page.next;
                if query.after.is_none() {
                    return Ok(Shown { detail, deployments, chain, clocks });
                }
            }
        });
        let shown = shown.await?;
        print_document(context.global.json, &shown, |style| shown.to_text(style))
    }
}

impl Shown {
    fn to_text(&self, style: Style) -> String {
        let ArtifactDetail { artifact, accord, drift, drift_since, .. } = &self.detail;
        let mut text = String::new();
        field(&mut text, "name", &artifact.name);
        field(&mut text, "id", &artifact.id.to_string());
        field(&mut text, "type", &artifact.artifact_type);
        field(&mut text, "tier", &artifact.tier.to_string());
        field(&mut text, "accord", &format!("{} ({})", accord.name, accord.id));
        field(&mut text, "cid", &artifact.cid.to_string());
        field(&mut text, "schema", &artifact.content_schema);
        field(&mut text, "registered", &artifact.registered_at.to_string());
        if let Some(at) = artifact.revised_at {
            field(&mut text, "revised", &at.to_string());
        }
        let state = artifact.custody_state.map_or("none yet", CustodyState::as_str);
        field(&mut text, "custody", state);
        text += &self.chain.to_line(style);
        let since = drift_since.map_or_else(String::new, |at| format!(" since {at}"));
        field(&mut text, "drift", &format!("{drift}{since}"));
        for row in &self.deployments {
            let target = format!("{}: {} since {}", row.target, row.health, row.health_since);
            field(&mut text, "target", &target);
        }
        for clock in &self.clocks {
            let overdue = if clock.is_overdue { "overdue since" } else { "due" };
            let told = format!("{} {overdue} {}", clock.duty, clock.due_at);
            field_in(&mut text, "term", &told, |told| {
                if clock.is_overdue { style.doubtful(told) } else { told.to_owned() }
            });
        }
        field(&mut text, "position", &artifact.position.to_string());
        text
    }
}

impl Content {
    async fn run(self, context: &mut Context) -> Result<()> {
        let asked = context.reading(async |database| {
            let ops_db = self.moment.of(&database.ops_db).await?;
            Ok(asking::artifact(&*ops_db, &self.artifact).await?.artifact.content)
        });
        let content = asked.await?;
        Ok(print(&format!("{}\n", content.as_str()))?)
    }
}
