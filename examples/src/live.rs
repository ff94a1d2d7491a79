//! A believable day at work, without end: targets are looked at and drift, verdicts are reached,
//! ceremonies open and close.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use guildhall_core::command::{Act, Command, Recorder};
use guildhall_core::{
    ArtifactQuery, ArtifactSummary, CeremonyId, Chronicle, Cid, Cursor, CustodyPolicy,
    CustodyState, DeploymentObserved, DeploymentQuery, Json, OpsDb, Outcome, Seq, Timestamp,
    VerificationRecorded,
};
use guildhall_workload::random::Random;

const PEOPLE: [&str; 5] = ["amara.osei", "jonas.weber", "mei.tanaka", "priya.nair", "tomas.silva"];
const TARGETS: [&str; 4] = ["eu-central", "eu-west", "us-east", "ap-south"];
const VERIFIERS: [&str; 3] = ["conftest", "drift-scan", "policy-bot"];

/// Appends what might happen next, on what the Ops DB holds.
pub struct Live {
    ops_db: Arc<dyn OpsDb>,
    recorder: Recorder,
    random: Random,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Live").finish_non_exhaustive()
    }
}

impl Live {
    /// On this Chronicle and the Ops DB that is projected from it.
    pub fn new(chronicle: Arc<dyn Chronicle>, ops_db: Arc<dyn OpsDb>) -> Self {
        let recorder = Recorder::new(chronicle, CustodyPolicy::standard());
        let seed = Timestamp::now().as_micros().cast_unsigned();
        Self { ops_db, recorder, random: Random::seeded(seed) }
    }

    /// Goes on for ever, with a pause between any two events. What fails is left out.
    pub async fn go_on(mut self, every: Duration) {
        loop {
            if let Err(error) = self.step().await {
                guildhall_cli::progress::say(&format!("not recorded: {error:#}"));
            }
            tokio::time::sleep(every).await;
        }
    }

    /// Something happens to some artifact.
    async fn step(&mut self) -> Result<()> {
        let page = self.ops_db.artifacts(&ArtifactQuery::default()).await?;
        if page.rows.is_empty() {
            return Ok(());
        }
        let artifact = self.random.pick(&page.rows);
        let command = match self.random.below(10) {
            0..5 => self.look(&artifact).await?,
            5..8 => Some(self.judge(&artifact)),
            _ => self.decide(&artifact).await?,
        };
        if let Some(command) = command {
            self.recorder.record(command).await?;
        }
        Ok(())
    }

    /// A target of something deployed is looked at.
    async fn look(&mut self, artifact: &ArtifactSummary) -> Result<Option<Command>> {
        if artifact.custody_state != Some(CustodyState::Deployed) {
            return Ok(None);
        }
        let query = DeploymentQuery::default().artifact_id(artifact.id);
        let known = self.ops_db.deployments(&query).await?.rows;
        let target = if known.is_empty() || self.random.once_in(8) {
            self.random.pick(&TARGETS).to_owned()
        } else {
            self.random.pick(&known).target
        };
        let (observed_cid, detail) = match self.random.below(8) {
            0 => (
                Some(Cid::of(&Json::parse(r#"{"changed":"by hand"}"#)?)),
                r#"{"changed":"by hand"}"#,
            ),
            1 => (None, r#"{"error":"timed out"}"#),
            _ => (Some(artifact.cid), "null"),
        };
        let seen = DeploymentObserved {
            artifact_id: artifact.id,
            desired_cid: artifact.cid,
            detail: Json::parse(detail)?,
            observed_at: Timestamp::now(),
            observed_cid,
            target,
        };
        Ok(Some(seen.into()))
    }

    /// A verdict is reached.
    fn judge(&mut self, artifact: &ArtifactSummary) -> Command {
        let outcome = match self.random.below(8) {
            0 => Outcome::Failed,
            1 => Outcome::Inconclusive,
            _ => Outcome::Passed,
        };
        let verdict = VerificationRecorded {
            artifact_id: artifact.id,
            evidence: Json::null(),
            outcome,
            target: self.random.once_in(2).then(|| self.random.pick(&TARGETS).to_owned()),
            verified_at: Timestamp::now(),
            verifier: self.random.pick(&VERIFIERS).to_owned(),
        };
        verdict.into()
    }

    /// Custody moves on.
    async fn decide(&mut self, artifact: &ArtifactSummary) -> Result<Option<Command>> {
        use CustodyState::{
            CeremonyOpen, Deployed, Drafted, Ratified, Rejected, Retired, Suspended,
        };
        let detail = self.ops_db.artifact(artifact.id).await?;
        let Some(seq) = detail.and_then(|detail| detail.artifact.custody_seq) else {
            return Ok(None);
        };
        let before = Some(Cursor::after_link(seq.previous()));
        let head = self.ops_db.chain(artifact.id, before, 1).await?.rows;
        let Some(head) = head.first().filter(|head| head.seq > Seq::ZERO) else { return Ok(None) };
        let who = self.random.pick(&PEOPLE);
        let at = Timestamp::now().max(head.occurred_at);
        let act = |why: &str| Act::new(who, why, at);
        let to = |state, why: &str| Command::transition(artifact.id, state, act(why));
        Ok(match head.to_state {
            Drafted | Deployed | Suspended => Some(Command::open_ceremony(
                artifact.id,
                CeremonyId::new(),
                act("please decide about this change"),
            )),
            CeremonyOpen => Some(match self.random.below(5) {
                0 => to(Rejected, "the rollback plan is missing"),
                1 => to(Drafted, "withdrawn: superseded by a newer draft"),
                _ => to(Ratified, "two approvals, no objection"),
            }),
            Ratified => Some(to(Deployed, "rolled out in the change window")),
            Rejected => Some(to(Drafted, "reworked after review")),
            Retired => None,
        })
    }
}
