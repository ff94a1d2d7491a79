//! Questions as of yesterday beside the same ones now.
//!
//! Unlike what the other benchmarks compare, these take turns within one process: what is compared is the
//! same question, of the same tables, in the same caches.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use guildhall_core::{
    ArtifactId, ArtifactQuery, AsOf, ChangeQuery, CustodyState, DeploymentQuery, Drift, Health,
    OPS_DB, OpsDb, Outcome, PeriodQuery, Position, PostureBy, PostureQuery, Timestamp,
    VerificationQuery,
};
use guildhall_store_postgres::PostgresStore;
use sqlx::{Connection as _, PgConnection};

use crate::cluster::{Cluster, Database};
use crate::recorded::fill;
use crate::report::median;

/// How much dearer a question may be as of yesterday (DESIGN section 10).
pub const MOST: f64 = 3.0;

/// How often each is asked, unless set otherwise.
pub const SAMPLES: usize = 21;

const DAY: i64 = 86_400_000_000;

/// A database that is filled, for as long as this is kept.
#[derive(Debug)]
pub struct Postgres {
    store: PostgresStore,
    /// Dropped with its server.
    _database: Database,
}

impl Postgres {
    /// Fills one, as a database is that has been there for long: vacuumed, with statistics.
    ///
    /// # Errors
    /// The store's.
    pub async fn filled(cluster: &Cluster, entries: usize) -> anyhow::Result<Self> {
        let database = Database::create_on(cluster.url());
        let store = PostgresStore::open(database.url()).await?;
        fill(Arc::new(store.chronicle()), Arc::new(store.projector().start()?), entries).await?;
        let mut connection = PgConnection::connect(database.url()).await?;
        sqlx::raw_sql("VACUUM ANALYZE").execute(&mut connection).await?;
        connection.close().await?;
        Ok(Self { store, _database: database })
    }

    /// Its store.
    pub const fn store(&self) -> &PostgresStore {
        &self.store
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// The counts.
    Overview,
    /// A page of artifacts by name.
    Artifacts,
    /// A page of artifacts that are drifted.
    Drifted,
    /// A page of artifacts in a state.
    InState,
    /// One artifact.
    Artifact,
    /// A chain.
    Chain,
    /// A page of accords.
    Accords,
    /// Open ceremonies.
    Open,
    /// Closed ceremonies.
    Closed,
    /// A page of targets.
    Deployments,
    /// A page of targets that are drifted.
    DriftedDeployments,
    /// A page of verifications.
    Verifications,
    /// A page of those that failed.
    Failed,
    /// A page of those that failed and stand.
    Standing,
    /// An artifact's contents.
    Revisions,
    /// What the last thousand entries changed.
    Changes,
    /// What they changed about targets.
    TargetChanges,
    /// An actor's ceremonies.
    CeremoniesOf,
    /// How long a page of targets was in each health over a day.
    HealthTimes,
    /// A page of the drifts of a day.
    Drifts,
    /// How they recovered.
    Recovery,
    /// Thirty days by tier.
    Posture,
    /// Who decided what runs.
    Decided,
    /// What was refused.
    Quarantined,
}

impl Question {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 24] = [
        Self::Overview,
        Self::Artifacts,
        Self::Drifted,
        Self::InState,
        Self::Artifact,
        Self::Chain,
        Self::Accords,
        Self::Open,
        Self::Closed,
        Self::Deployments,
        Self::DriftedDeployments,
        Self::Verifications,
        Self::Failed,
        Self::Standing,
        Self::Revisions,
        Self::Changes,
        Self::TargetChanges,
        Self::CeremoniesOf,
        Self::HealthTimes,
        Self::Drifts,
        Self::Recovery,
        Self::Posture,
        Self::Decided,
        Self::Quarantined,
    ];

    /// What people call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Artifacts => "artifacts by name",
            Self::Drifted => "artifacts drifted",
            Self::InState => "artifacts suspended",
            Self::Artifact => "one artifact",
            Self::Chain => "its chain",
            Self::Accords => "accords",
            Self::Open => "open ceremonies",
            Self::Closed => "closed ceremonies",
            Self::Deployments => "deployments",
            Self::DriftedDeployments => "deployments drifted",
            Self::Verifications => "verifications",
            Self::Failed => "verifications failed",
            Self::Standing => "verdicts that stand",
            Self::Revisions => "revisions",
            Self::Changes => "changes",
            Self::TargetChanges => "changes of targets",
            Self::CeremoniesOf => "ceremonies of an actor",
            Self::HealthTimes => "times in each health",
            Self::Drifts => "drifts",
            Self::Recovery => "recovery",
            Self::Posture => "posture",
            Self::Decided => "who decided",
            Self::Quarantined => "quarantine",
        }
    }

    /// Asks it; returns how many rows there were.
    async fn ask(self, ops_db: &dyn OpsDb, about: &About) -> anyhow::Result<usize> {
        let period = PeriodQuery::between(about.earlier(), about.at).limit(100);
        let changes = ChangeQuery::between(about.position.saturating_sub(1000), about.position);
        let artifacts = |query: ArtifactQuery| async move {
            Ok::<_, anyhow::Error>(ops_db.artifacts(&query.limit(100)).await?.rows.len())
        };
        let any = ArtifactQuery::default();
        let verifications = VerificationQuery::default().limit(100);
        Ok(match self {
            Self::Overview => ops_db.overview().await.map(|_| 1)?,
            Self::Artifacts => artifacts(any).await?,
            Self::Drifted => artifacts(any.drifts([Drift::Drifted])).await?,
            Self::InState => artifacts(any.custody_states([CustodyState::Suspended])).await?,
            Self::Artifact => usize::from(ops_db.artifact(about.id).await?.is_some()),
            Self::Chain => ops_db.chain(about.id, None, 100).await?.rows.len(),
            Self::Accords => ops_db.accords(&Default::default()).await?.rows.len(),
            Self::Open => ops_db.open_ceremonies(None, 100).await?.rows.len(),
            Self::Closed => ops_db.closed_ceremonies(None, 100).await?.rows.len(),
            Self::Deployments => {
                ops_db.deployments(&DeploymentQuery::default().limit(100)).await?.rows.len()
            }
            Self::DriftedDeployments => {
                let query = DeploymentQuery::default().healths([Health::Drifted]).limit(100);
                ops_db.deployments(&query).await?.rows.len()
            }
            Self::Verifications => ops_db.verifications(&verifications).await?.rows.len(),
            Self::Failed => {
                let failed = verifications.outcomes([Outcome::Failed]);
                ops_db.verifications(&failed).await?.rows.len()
            }
            Self::Standing => {
                let standing = verifications.outcomes([Outcome::Failed]).is_standing(true);
                ops_db.verifications(&standing).await?.rows.len()
            }
            Self::Revisions => ops_db.revisions(about.id, None, 100).await?.rows.len(),
            Self::Changes => ops_db.changes(&changes).await?.rows.len(),
            Self::TargetChanges => ops_db.target_changes(&changes).await?.rows.len(),
            Self::CeremoniesOf => ops_db.ceremonies_of(&about.actor, None, 100).await?.rows.len(),
            Self::HealthTimes => ops_db.health_times(&period).await?.rows.len(),
            Self::Drifts => ops_db.drifts(&period).await?.rows.len(),
            Self::Recovery => ops_db.recovery(&period).await.map(|_| 1)?,
            Self::Posture => {
                let query = PostureQuery::last_days(30, about.at).by(PostureBy::Tier);
                ops_db.posture(&query).await?.len()
            }
            Self::Decided => usize::from(ops_db.decided(about.id, &about.target).await?.is_some()),
            Self::Quarantined => ops_db.quarantined(None, 100).await?.rows.len(),
        })
    }
}

/// What the questions are about.
struct About {
    id: ArtifactId,
    target: String,
    actor: String,
    /// What is the present to whom asks.
    position: Position,
    at: Timestamp,
}

impl About {
    /// A day before.
    fn earlier(&self) -> Timestamp {
        Timestamp::from_micros(self.at.as_micros() - DAY).unwrap_or(Timestamp::MIN)
    }
}

/// How long a question took, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// Now.
    pub now: f64,
    /// As of the position a day before the last entry.
    pub at_position: f64,
    /// As of that time.
    pub at_time: f64,
}

/// Asks it so often, now and as of a day before the last observation.
///
/// # Errors
/// The store's.
pub async fn measure(
    ops_db: &dyn OpsDb,
    question: Question,
    samples: usize,
) -> anyhow::Result<Found> {
    let head = ops_db.checkpoint(OPS_DB).await?.context("the Ops DB is not filled")?.position;
    let latest = ops_db.verifications(&VerificationQuery::default().limit(1)).await?;
    let latest = latest.rows.first().context("nothing was verified")?.verified_at;
    let state = ops_db.deployments(&DeploymentQuery::default().limit(1)).await?;
    let state = state.rows.into_iter().next().context("nothing is deployed")?;
    let closed = ops_db.closed_ceremonies(None, 1).await?;
    let actor = closed.rows.first().context("no ceremony has closed")?.closed.actor.clone();
    let now =
        About { id: state.artifact_id, target: state.target, actor, position: head, at: latest };
    let yesterday = now.earlier();
    let query = VerificationQuery::default().verified_before(yesterday).limit(1);
    let then = ops_db.verifications(&query).await?;
    let position = then.rows.first().context("the log is not a day long")?.position;
    let then = About {
        position,
        at: yesterday,
        target: now.target.clone(),
        actor: now.actor.clone(),
        ..now
    };
    let at_position = ops_db.as_of(AsOf::Position(position)).await?;
    let at_time = ops_db.as_of(AsOf::Time(yesterday)).await?;
    let asked: [(&dyn OpsDb, &About); 3] =
        [(ops_db, &now), (&*at_position, &then), (&*at_time, &then)];
    let mut millis = [const { Vec::new() }; 3];
    for sample in 0..=samples {
        for ((ops_db, about), millis) in asked.iter().zip(&mut millis) {
            let began = Instant::now();
            std::hint::black_box(question.ask(*ops_db, about).await?);
            let took: Duration = began.elapsed();
            // The first fills caches.
            if sample > 0 {
                millis.push(took.as_secs_f64() * 1e3);
            }
        }
    }
    let [now, at_position, at_time] = millis.map(median);
    Ok(Found { now, at_position, at_time })
}
