use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use clap::Args;
use guildhall_core::custody::chain::Judge;
use guildhall_core::{
    ArtifactDetail, ArtifactId, CeremonyId, Checkpoint, Chronicle, Cid, Code, CustodyPolicy,
    CustodyState, CustodyTransition, Decoded, DeploymentQuery, DeploymentState, Drift, Entry,
    Event, EventId, GovernedArtifact, Health, Json, MAX_PAGE_ROWS, OPS_DB, OpsDb, Position,
    ReadLimit, Seq, StoreError, Timestamp, Version,
};
use serde::Serialize;

use super::Context;
use crate::asking;
use crate::error::Verdict;
use crate::output::{Style, field, print_document};

/// How many entries of a stream are read at a time.
const READ_ENTRIES: usize = 1_000;

/// Say why an artifact is in its state, from its posture back to the votes
///
/// For each target, the observation that its health comes from; for each content that runs or should,
/// the registration or revision that brought it, the ratification, and the ceremony with its evidence;
/// and the accord. Each has its position in the log, which is read again and compared with the tables.
/// Exit code 1 if the chain of custody does not hold or the log disagrees with the tables.
#[derive(Debug, Args)]
pub struct Why {
    /// Its id, its name, or the CID of its content
    #[arg(value_name = "ID|NAME|CID")]
    artifact: String,
}

/// Whether a chain of custody holds.
#[derive(Debug, Serialize)]
pub(crate) struct ChainVerdict {
    /// How many links were judged.
    links: u64,
    /// Whether they hold, and end where the artifact's row says.
    holds: bool,
    /// The invariant that the first broken link breaks.
    code: Option<Code>,
    /// What is wrong.
    reason: Option<String>,
}

impl ChainVerdict {
    /// Judges the chain page by page, and shows each link with whether it holds.
    pub(crate) async fn load(
        moment: &dyn OpsDb,
        policy: &CustodyPolicy,
        artifact: &GovernedArtifact,
        mut see: impl FnMut(&CustodyTransition, bool),
    ) -> Result<Self, StoreError> {
        let (mut judge, mut after) = (Judge::new(policy), None);
        loop {
            let page = moment.chain(artifact.id, after, MAX_PAGE_ROWS).await?;
            for link in &page.rows {
                let holds = judge.judge(link).is_none();
                see(link, holds);
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let broken = judge.check_links().and_then(|()| judge.check_end(artifact)).err();
        Ok(Self {
            links: judge.links(),
            holds: broken.is_none(),
            code: broken.as_ref().and_then(|broken| broken.code()),
            reason: broken.as_ref().map(ToString::to_string),
        })
    }

    /// The same as a line of text.
    pub(crate) fn to_line(&self, style: Style) -> String {
        let mut line = String::new();
        match &self.reason {
            None => field(&mut line, "chain", &format!("{} links", self.links)),
            Some(reason) => field(&mut line, "chain", reason),
        }
        let verdict = if self.holds { style.good("holds") } else { style.bad("does not hold") };
        format!("{}, {verdict}\n", line.trim_end())
    }
}

/// An entry of the log.
#[derive(Debug, Clone, Serialize)]
struct Cited {
    position: Position,
    event_id: EventId,
    event_type: String,
    recorded_at: Timestamp,
}

impl From<&Entry> for Cited {
    fn from(entry: &Entry) -> Self {
        Self {
            position: entry.position,
            event_id: entry.event_id,
            event_type: entry.event_type.as_str().to_owned(),
            recorded_at: entry.recorded_at,
        }
    }
}

/// A link of the chain, and what the log says of it.
#[derive(Debug, Serialize)]
struct Step {
    seq: Seq,
    to_state: CustodyState,
    holds: bool,
    actor: String,
    reason: String,
    evidence: Json,
    occurred_at: Timestamp,
    position: Position,
    entry: Option<Cited>,
}

impl Step {
    fn of(link: &CustodyTransition, holds: bool) -> Self {
        let link = link.clone();
        Self {
            seq: link.seq,
            to_state: link.to_state,
            holds,
            actor: link.actor,
            reason: link.reason,
            evidence: link.evidence,
            occurred_at: link.occurred_at,
            position: link.position,
            entry: None,
        }
    }
}

/// Where a content comes from.
#[derive(Debug, Serialize)]
struct Content {
    cid: Cid,
    /// The registration or revision that last brought it.
    brought_by: Option<Cited>,
    ceremony_id: Option<CeremonyId>,
    /// How the ceremony that ratified it last was opened.
    opened: Option<Step>,
    ratified: Option<Step>,
}

/// What runs on a target, and the observation that says so.
#[derive(Debug, Serialize)]
struct Target {
    target: String,
    health: Health,
    health_since: Timestamp,
    desired_cid: Cid,
    observed_cid: Option<Cid>,
    observed_at: Timestamp,
    position: Position,
    entry: Option<Cited>,
}

#[derive(Debug, Serialize)]
struct Bound {
    id: String,
    name: String,
    bound_by: String,
    position: Position,
}

#[derive(Debug, Serialize)]
struct Answer {
    artifact_id: ArtifactId,
    name: String,
    custody_state: Option<CustodyState>,
    drift: Drift,
    drift_since: Option<Timestamp>,
    /// How far the tables were.
    checkpoint: Position,
    holds: bool,
    chain: ChainVerdict,
    targets: Vec<Target>,
    contents: Vec<Content>,
    accord: Bound,
    /// Where the log says otherwise than the tables.
    problems: Vec<String>,
}

impl Why {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        let policy = context.policy.clone();
        let asked = context.reading(async |database| {
            let found = Found::load(&*database.ops_db, &policy, &self.artifact).await?;
            found.hold_against(&*database.chronicle, &*database.ops_db).await
        });
        let answer = asked.await?;
        print_document(context.global.json, &answer, |style| answer.to_text(style))?;
        Ok(if answer.holds { Verdict::Holds } else { Verdict::DoesNotHold })
    }
}

/// What the tables say, at one moment.
struct Found {
    detail: ArtifactDetail,
    checkpoint: Position,
    chain: ChainVerdict,
    /// Of each content, the link that ratified it last, with the one before, which opened the ceremony.
    ratified: BTreeMap<Cid, (Option<Kept>, Kept)>,
    deployments: Vec<DeploymentState>,
}

type Kept = (CustodyTransition, bool);

impl Found {
    async fn load(ops_db: &dyn OpsDb, policy: &CustodyPolicy, text: &str) -> Result<Self> {
        let moment = ops_db.snapshot().await?;
        let checkpoint = moment.checkpoint(OPS_DB).await?.unwrap_or(Checkpoint::ZERO).position;
        let detail = asking::artifact(&*moment, text).await?;
        let (mut ratified, mut before) = (BTreeMap::new(), None);
        let chain = ChainVerdict::load(&*moment, policy, &detail.artifact, |link, holds| {
            let kept = (link.clone(), holds);
            if link.to_state == CustodyState::Ratified {
                ratified.insert(link.cid, (before.take(), kept.clone()));
            }
            before = Some(kept);
        });
        let chain = chain.await?;
        let mut query =
            DeploymentQuery::default().artifact_id(detail.artifact.id).limit(MAX_PAGE_ROWS);
        let mut deployments = Vec::new();
        loop {
            let page = moment.deployments(&query).await?;
            deployments.extend(page.rows);
            query.after = page.next;
            if query.after.is_none() {
                return Ok(Self { detail, checkpoint, chain, ratified, deployments });
            }
        }
    }

    /// Reads the artifact's stream again, for the entries that all this comes from.
    async fn hold_against(
        mut self,
        chronicle: &dyn Chronicle,
        ops_db: &dyn OpsDb,
    ) -> Result<Answer> {
        let artifact = &self.detail.artifact;
        let mut cids = BTreeSet::from([artifact.cid]);
        for row in &self.deployments {
            cids.insert(row.desired_cid);
            cids.extend(row.observed_cid);
        }
        self.ratified.retain(|cid, _| cids.contains(cid));
        let mut log = Log::default();
        for (opened, ratified) in self.ratified.values() {
            let links = opened.iter().chain([ratified]);
            log.links.extend(links.map(|(link, _)| (link.position, link.hash.to_string())));
        }
        let rows = self.deployments.iter();
        log.observations.extend(rows.map(|row| (row.position, row.clone())));
        log.read(chronicle, ops_db, artifact.id, self.checkpoint).await?;

        let mut step = |(link, holds): Kept| {
            let mut step = Step::of(&link, holds);
            step.entry = log.cited.get(&link.position).cloned();
            step
        };
        let contents = cids.into_iter().map(|cid| {
            let (opened, ratified) = match self.ratified.remove(&cid) {
                Some((opened, ratified)) => (opened, Some(ratified)),
                None => (None, None),
            };
            Content {
                cid,
                brought_by: log.brought.get(&cid).cloned(),
                ceremony_id: ratified.as_ref().and_then(|(link, _)| link.ceremony_id),
                opened: opened.map(&mut step),
                ratified: ratified.map(&mut step),
            }
        });
        let contents: Vec<Content> = contents.collect();
        let targets = self.deployments.into_iter().map(|row| Target {
            entry: log.cited.get(&row.position).cloned(),
            target: row.target,
            health: row.health,
            health_since: row.health_since,
            desired_cid: row.desired_cid,
            observed_cid: row.observed_cid,
            observed_at: row.observed_at,
            position: row.position,
        });
        let targets = targets.collect();
        let problems = log.problems();
        let ArtifactDetail { artifact, accord, drift, drift_since, .. } = self.detail;
        Ok(Answer {
            artifact_id: artifact.id,
            name: artifact.name,
            custody_state: artifact.custody_state,
            drift,
            drift_since,
            checkpoint: self.checkpoint,
            holds: self.chain.holds && problems.is_empty(),
            chain: self.chain,
            targets,
            contents,
            accord: Bound {
                id: accord.id.to_string(),
                name: accord.name,
                bound_by: accord.bound_by,
                position: accord.position,
            },
            problems,
        })
    }
}

/// What is looked for in an artifact's stream, and what is found there.
#[derive(Default)]
struct Log {
    /// The hashes of links, by the position that their rows name.
    links: BTreeMap<Position, String>,
    observations: BTreeMap<Position, DeploymentState>,
    /// The entries that say what their rows do.
    cited: BTreeMap<Position, Cited>,
    /// The entry that last brought a content.
    brought: BTreeMap<Cid, Cited>,
}

impl Log {
    async fn read(
        &mut self,
        chronicle: &dyn Chronicle,
        ops_db: &dyn OpsDb,
        id: ArtifactId,
        checkpoint: Position,
    ) -> Result<()> {
        let mut after = Version::ZERO;
        loop {
            let limit = ReadLimit::entries(READ_ENTRIES);
            let entries = chronicle.read_stream(id.into(), after, limit).await?;
            let Some(last) = entries.last() else { return Ok(()) };
            after = last.version;
            for entry in entries.iter().filter(|entry| entry.position <= checkpoint) {
                self.take(entry, ops_db).await?;
            }
        }
    }

    async fn take(&mut self, entry: &Entry, ops_db: &dyn OpsDb) -> Result<()> {
        let Ok(Decoded::Event(event)) = entry.decode() else { return Ok(()) };
        let cid = match &event {
            Event::ArtifactRegistered(event) => event.cid,
            Event::ArtifactRevised(event) => event.cid,
            Event::CustodyTransitioned(event) => {
                let hash = self.links.get(&entry.position);
                if hash.is_some_and(|hash| *hash == event.hash.to_string()) {
                    self.cited.insert(entry.position, entry.into());
                }
                return Ok(());
            }
            Event::DeploymentObserved(event) => {
                let is_that = self.observations.get(&entry.position).is_some_and(|row| {
                    (&row.target, row.desired_cid, row.observed_cid)
                        == (&event.target, event.desired_cid, event.observed_cid)
                });
                if is_that {
                    self.cited.insert(entry.position, entry.into());
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        // One that was refused brought nothing.
        if ops_db.quarantined_at(entry.position).await?.is_none() {
            self.brought.insert(cid, entry.into());
        }
        Ok(())
    }

    /// Which rows the log does not bear out.
    fn problems(&self) -> Vec<String> {
        let rows = self.links.keys().map(|at| (at, "a link of the chain"));
        let rows = rows.chain(self.observations.keys().map(|at| (at, "an observation")));
        let missing = rows.filter(|(at, _)| !self.cited.contains_key(at));
        let say =
            |(at, what)| format!("the tables have {what} from position {at}, the log does not");
        missing.map(say).collect()
    }
}

impl Answer {
    fn to_text(&self, style: Style) -> String {
        let mut text = String::new();
        let since = self.drift_since.map_or_else(String::new, |at| format!(" since {at}"));
        field(&mut text, "artifact", &format!("{} ({})", self.name, self.artifact_id));
        let state = self.custody_state.map_or("none yet", CustodyState::as_str);
        field(&mut text, "posture", &format!("{}{since}; custody {state}", self.drift));
        text += &self.chain.to_line(style);
        for problem in &self.problems {
            field(&mut text, "problem", problem);
        }
        for target in &self.targets {
            let Target { health, health_since, observed_at, position, .. } = target;
            text.push('\n');
            field(
                &mut text,
                "target",
                &format!("{}: {health} since {health_since}", target.target),
            );
            field(&mut text, "  observed", &format!("{observed_at}, position {position}"));
            field(&mut text, "  should run", &target.desired_cid.to_string());
            let observed =
                target.observed_cid.map_or("nothing seen".to_owned(), |it| it.to_string());
            field(&mut text, "  runs", &observed);
        }
        for content in &self.contents {
            text.push('\n');
            content.write(&mut text);
        }
        text.push('\n');
        let Bound { id, name, bound_by, position } = &self.accord;
        field(&mut text, "accord", &format!("{name} ({id})"));
        field(&mut text, "  bound by", &format!("{bound_by}, position {position}"));
        text
    }
}

impl Content {
    fn write(&self, text: &mut String) {
        field(text, "content", &self.cid.to_string());
        match &self.brought_by {
            Some(entry) => {
                let kind = entry.event_type.rsplit('.').nth(1).unwrap_or_default();
                field(text, &format!("  {kind}"), &format!("position {}", entry.position));
            }
            None => field(text, "  unknown", "nothing in the log brought it"),
        }
        let Some(ratified) = &self.ratified else {
            return field(text, "  ratified", "never");
        };
        if let Some(ceremony) = &self.ceremony_id {
            field(text, "  ceremony", &ceremony.to_string());
        }
        for (what, step) in [("  opened", self.opened.as_ref()), ("  ratified", Some(ratified))] {
            let Some(Step { actor, occurred_at, position, seq, holds, reason, evidence, .. }) =
                step
            else {
                continue;
            };
            let holds = if *holds { "holds" } else { "does not hold" };
            let said = format!("{occurred_at} by {actor}, position {position}, link {seq} {holds}");
            field(text, what, &said);
            field(text, "    reason", reason);
            field(text, "    evidence", evidence.as_str());
        }
    }
}
