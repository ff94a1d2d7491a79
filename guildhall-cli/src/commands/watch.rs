use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use guildhall_core::text::escape_for_terminal;
use guildhall_core::{ArtifactId, ArtifactQuery, MAX_PAGE_ROWS, OpsDb, Position};
use guildhall_projector::ceremony::{CeremonyOrchestrator, Change, Delivery, Notice, Topic};

use super::Context;
use crate::args::position;
use crate::database::Reading;
use crate::error::Verdict;
use crate::target::print;

/// How many artifacts' names are kept.
const KEPT_NAMES: usize = 10_000;

/// Print changes as they happen, one line each, until Ctrl-C
///
/// A line is printed once the tables hold the change, whichever process projects it; so `guildhall
/// project --follow` has to run somewhere. Nothing is left out: changes that come too fast are read
/// again.
#[derive(Debug, Args)]
pub struct Watch {
    /// Topics: ceremony:*, custody:*, posture:*, or ceremony:ID, custody:ID, posture:ID of one
    /// artifact; everything by default
    #[arg(value_name = "TOPIC")]
    topics: Vec<Topic>,

    /// Begin after this position, rather than now
    #[arg(long, value_name = "POSITION", value_parser = position)]
    after: Option<Position>,
}

impl Watch {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        let is_json = context.global.json;
        let watched = context.looking(async |database, ending| {
            let orchestrator = database.orchestrator();
            let lines = Lines::new(database, is_json);
            let watched = tokio::select! {
                () = ending.asked() => Ok(()),
                watched = self.watch(&orchestrator, lines) => watched,
            };
            orchestrator.shutdown().await;
            watched
        });
        watched.await?;
        Ok(Verdict::Holds)
    }

    async fn watch(&self, orchestrator: &CeremonyOrchestrator, mut lines: Lines) -> Result<()> {
        let topics = match self.topics.as_slice() {
            [] => Topic::EVERYTHING.to_vec(),
            topics => topics.to_vec(),
        };
        let mut subscription = orchestrator.subscribe(topics.clone()).await?;
        if let Some(after) = self.after {
            lines.catch_up(orchestrator, &topics, after, subscription.position()).await?;
        }
        while let Some(delivery) = subscription.next().await {
            match delivery {
                Delivery::Notice(notice) => lines.print_all(std::slice::from_ref(&*notice)).await?,
                Delivery::Missed(missed) => {
                    let (after, through) = (missed.after, missed.through);
                    lines.catch_up(orchestrator, &topics, after, through).await?;
                }
            }
        }
        // It stops by itself only where something failed for good.
        let error = orchestrator.status().last_error.map(|error| error.message);
        anyhow::bail!("watching ended: {}", error.as_deref().unwrap_or("the orchestrator stopped"))
    }
}

/// Prints notices.
struct Lines {
    ops_db: Arc<dyn OpsDb>,
    names: HashMap<ArtifactId, String>,
    is_json: bool,
}

impl Lines {
    fn new(database: &Reading, is_json: bool) -> Self {
        Self { ops_db: Arc::clone(&database.ops_db), names: HashMap::new(), is_json }
    }

    async fn catch_up(
        &mut self,
        orchestrator: &CeremonyOrchestrator,
        topics: &[Topic],
        mut after: Position,
        through: Position,
    ) -> Result<()> {
        while after < through {
            let caught_up = orchestrator.catch_up(topics, after, through).await?;
            self.print_all(&caught_up.notices).await?;
            if caught_up.is_done {
                break;
            }
            after = caught_up.position;
        }
        Ok(())
    }

    async fn print_all(&mut self, notices: &[Notice]) -> Result<()> {
        for notices in notices.chunks(MAX_PAGE_ROWS as usize) {
            if !self.is_json {
                self.load_names(notices).await?;
            }
            for notice in notices {
                let line = if self.is_json {
                    serde_json::to_string(notice)?
                } else {
                    let id = notice.artifact_id;
                    let name = self.names.get(&id).map_or_else(|| id.to_string(), String::clone);
                    escape_for_terminal(&to_text(notice, &name)).into_owned()
                };
                print(&(line + "\n"))?;
            }
        }
        Ok(())
    }

    /// The names that are not known yet, by one question.
    async fn load_names(&mut self, notices: &[Notice]) -> Result<()> {
        if self.names.len() + notices.len() > KEPT_NAMES {
            self.names.clear();
        }
        let ids: BTreeSet<_> = notices.iter().map(|notice| notice.artifact_id).collect();
        let ids: Vec<_> = ids.into_iter().filter(|id| !self.names.contains_key(id)).collect();
        if !ids.is_empty() {
            let query = ArtifactQuery::default().ids(ids).limit(MAX_PAGE_ROWS);
            let found = self.ops_db.artifacts(&query).await?.rows;
            self.names.extend(found.into_iter().map(|row| (row.id, row.name)));
        }
        Ok(())
    }
}

fn to_text(notice: &Notice, name: &str) -> String {
    let mut text = format!("{} {} {name}: ", notice.position, notice.recorded_at);
    let at = |target: &Option<String>| {
        target.as_ref().map_or_else(String::new, |target| format!(" on {target}"))
    };
    // Writing into a text cannot fail.
    let _ = match &notice.change {
        Change::CeremonyOpened { actor, reason, .. } => {
            write!(text, "ceremony opened by {actor}: {reason}")
        }
        Change::CeremonyClosed { outcome, actor, reason, .. } => {
            write!(text, "{outcome} by {actor}: {reason}")
        }
        Change::CustodyMoved { to_state, actor, reason, .. } => {
            write!(text, "{to_state} by {actor}: {reason}")
        }
        Change::DeploymentChanged { target, from, to, .. } => match from {
            Some(from) if from.health == to.health => {
                write!(text, "still {} on {target}, with another content", to.health)
            }
            Some(from) => write!(text, "{} on {target}, was {}", to.health, from.health),
            None => write!(text, "{} on {target}", to.health),
        },
        Change::VerificationRecorded { target, verifier, outcome } => {
            write!(text, "verification {outcome}{} by {verifier}", at(target))
        }
        _ => write!(text, "changed"),
    };
    text
}
