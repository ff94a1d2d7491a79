//! Verifying and auditing again and again, beside what runs.

use std::sync::Arc;
use std::time::Duration;

use guildhall_core::{CustodyPolicy, OpsDb, Seals, Timestamp};
use guildhall_proof::audit::AuditReport;
use guildhall_proof::verify::{Known, Verdict, VerifyReport};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::audit::audit;
use super::verify::verify;
use crate::settings::Settings;
use crate::status::chain;

/// How an auditor goes about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditorSettings {
    /// How long it rests after a round. A day by default: a round reads the whole log twice and every table
    /// once.
    pub every: Duration,
    /// How the log is read.
    pub reading: Settings,
}

guildhall_core::setters!(AuditorSettings { every: Duration, reading: Settings });

impl Default for AuditorSettings {
    fn default() -> Self {
        Self { every: Duration::from_secs(86_400), reading: Settings::default() }
    }
}

/// What came of asking once.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Round<T> {
    /// When it began, by this host's clock.
    pub began_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What was found; why nothing could be said, with the causes on one line.
    pub outcome: Result<T, String>,
}

/// What an auditor has found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct AuditorStatus {
    /// When the round began that is under way; none while it rests.
    pub under_way_since: Option<Timestamp>,
    /// Whether the log is what was sealed, the last time that was asked. No seal from outside is known
    /// here, so a log that was cut off or rewritten whole by who holds its key is not found.
    pub verified: Option<Round<VerifyReport>>,
    /// Whether the tables are what the log says, the last time that was asked.
    pub audited: Option<Round<AuditReport>>,
}

/// [Verifies](verify()) a log and [audits](audit()) its tables, again and again. It writes nothing. Clones are
/// handles on the same one, which ends when the last of them is dropped.
#[derive(Debug, Clone)]
pub struct Auditor {
    status: watch::Receiver<AuditorStatus>,
    /// Aborted when it is dropped.
    _work: Arc<JoinSet<()>>,
}

impl Auditor {
    /// Starts one on the current Tokio runtime: the first round at once. Both are judged by what is given
    /// here, the tables by the policy that their projector has.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use std::sync::Arc;
    /// use guildhall_core::{CustodyPolicy, memory::{MemoryChronicle, MemoryOpsDb}};
    /// use guildhall_projector::proof::{Auditor, AuditorSettings};
    /// use guildhall_proof::verify::Known;
    ///
    /// let (log, ops_db) = (Arc::new(MemoryChronicle::new()), Arc::new(MemoryOpsDb::new()));
    /// let (policy, settings) = (CustodyPolicy::standard(), AuditorSettings::default());
    /// let auditor = Auditor::start(log, ops_db, policy, Known::default(), settings);
    /// let mut status = auditor.watch_status();
    /// let found = status.wait_for(|status| status.audited.is_some()).await?;
    /// let audited = found.audited.as_ref().map(|round| &round.outcome);
    /// assert!(audited.is_some_and(|outcome| outcome.as_ref().is_ok_and(|report| report.holds)));
    /// # drop(found);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start(
        log: Arc<dyn Seals>,
        ops_db: Arc<dyn OpsDb>,
        policy: CustodyPolicy,
        known: Known,
        settings: AuditorSettings,
    ) -> Self {
        let (sender, status) = watch::channel(AuditorStatus::default());
        let rounds = Rounds { log, ops_db, policy, known, settings, status: sender };
        let mut work = JoinSet::new();
        work.spawn(rounds.go_on());
        Self { status, _work: Arc::new(work) }
    }

    /// What it has found.
    pub fn status(&self) -> AuditorStatus {
        self.status.borrow().clone()
    }

    /// What it has found, as it finds it; a slow watcher sees the latest only.
    pub fn watch_status(&self) -> watch::Receiver<AuditorStatus> {
        self.status.clone()
    }
}

struct Rounds {
    log: Arc<dyn Seals>,
    ops_db: Arc<dyn OpsDb>,
    policy: CustodyPolicy,
    known: Known,
    settings: AuditorSettings,
    status: watch::Sender<AuditorStatus>,
}

impl Rounds {
    async fn go_on(self) {
        loop {
            self.status.send_modify(|status| status.under_way_since = Some(Timestamp::now()));
            let verified = round(self.verify()).await;
            report(&verified, "the log is not what was sealed, or could not be verified", |it| {
                it.verdict != Verdict::DoesNotHold
            });
            self.status.send_modify(|status| status.verified = Some(verified));
            let audited = round(self.audit()).await;
            report(
                &audited,
                "the tables are not what the log says, or could not be audited",
                |it| it.holds,
            );
            self.status.send_modify(|status| {
                status.audited = Some(audited);
                status.under_way_since = None;
            });
            tokio::time::sleep(self.settings.every).await;
        }
    }

    fn verify(&self) -> impl Future<Output = Result<VerifyReport, String>> + Send + 'static {
        let (log, known) = (Arc::clone(&self.log), self.known.clone());
        async move {
            let verified = verify(log, known, Vec::new(), |_| {}).await;
            verified.map_err(|error| chain(&error))
        }
    }

    fn audit(&self) -> impl Future<Output = Result<AuditReport, String>> + Send + 'static {
        let (log, ops_db) = (Arc::clone(&self.log), Arc::clone(&self.ops_db));
        let (policy, settings) = (self.policy.clone(), self.settings.reading.clone());
        async move {
            let audited = audit(log, &*ops_db, &policy, &settings, |_| {}).await;
            audited.map_err(|error| chain(&error))
        }
    }
}

/// Asks once, on a task of its own: what panics there ends the round, and not the auditor.
async fn round<T: Send + 'static>(
    asking: impl Future<Output = Result<T, String>> + Send + 'static,
) -> Round<T> {
    let began_at = Timestamp::now();
    let mut task = JoinSet::new();
    task.spawn(asking);
    let outcome = match task.join_next().await {
        Some(Ok(outcome)) => outcome,
        Some(Err(error)) => Err(format!("a task failed: {error}")),
        None => Err("nothing was asked".to_owned()),
    };
    Round { began_at, ended_at: Timestamp::now(), outcome }
}

/// Logs what an operator has to act on.
fn report<T>(round: &Round<T>, what: &'static str, holds: impl FnOnce(&T) -> bool) {
    match &round.outcome {
        Ok(found) if holds(found) => {}
        Ok(_) => tracing::error!("{what}"),
        Err(error) => tracing::error!(error, "{what}"),
    }
}
