//! The queries on the tables in memory: what [matches](super::matching), in the order that is asked for.

use std::cmp::Ordering;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::database::Database;
use super::history;
use super::lock;
use super::matching::{
    accords, artifacts, ceremonies, closed_ceremonies, deployments, drift, open_ceremonies,
    overview, verifications,
};
use super::scan::MemoryScan;
use super::tables::Rows;
use crate::checkpoint::Checkpoint;
use crate::error::StoreError;
use crate::ids::{AccordId, ArtifactId, CeremonyId, Position};
use crate::ops::{
    AccordBinding, AccordQuery, ArtifactDetail, ArtifactKey, ArtifactQuery, ArtifactRevision,
    ArtifactSummary, AsOf, AsOfError, Ceremony, Change, ChangeQuery, ClosedCeremony, Counted,
    Cursor, CustodyTransition, Decided, DeploymentKey, DeploymentQuery, DeploymentSort,
    DeploymentState, DriftSpan, HealthTimes, OpenCeremony, OpsDb, Overview, Page, Paging,
    PeriodQuery, PostureDay, PostureQuery, ProjectorCheckpoint, QuarantinedEntry, Recovery, Scan,
    Tables, TargetChange, TimelineEntry, TimelineQuery, Total, VerificationQuery,
    VerificationResult,
};
use crate::projector::OPS_DB;

/// An Ops DB in memory (see [`OpsDb`] for what it can be asked). Clones are cheap and share everything.
#[derive(Debug, Clone, Default)]
pub struct MemoryOpsDb {
    pub(super) database: Arc<Mutex<Database>>,
    /// Which moment questions are about; now where there is none.
    as_of: Option<AsOf>,
}

impl MemoryOpsDb {
    /// Empty tables.
    pub fn new() -> Self {
        Self::default()
    }

    /// All rows as they are now.
    pub fn tables(&self) -> Tables {
        let database = lock(&self.database);
        database.rows.to_tables(database.projector.as_ref().map(|row| &row.checkpoint))
    }

    /// These rows, which no projector has made.
    pub fn of(tables: Tables) -> Self {
        let rows = Arc::new(Rows::of(tables));
        let database = Database { rows, ..Database::default() };
        Self { database: Arc::new(Mutex::new(database)), as_of: None }
    }

    fn read<T>(&self, read: impl FnOnce(&Rows) -> T) -> T {
        let rows = Arc::clone(&lock(&self.database).rows);
        match self.as_of {
            None => read(&rows),
            Some(moment) => read(&rows.as_of(moment)),
        }
    }
}

#[async_trait]
impl OpsDb for MemoryOpsDb {
    async fn snapshot(&self) -> Result<Box<dyn OpsDb>, StoreError> {
        let database = lock(&self.database);
        let (rows, projector) = (Arc::clone(&database.rows), database.projector.clone());
        let of_now = Database { rows, projector, rebuilds: database.rebuilds };
        Ok(Box::new(Self { database: Arc::new(Mutex::new(of_now)), as_of: self.as_of }))
    }

    async fn as_of(&self, moment: AsOf) -> Result<Box<dyn OpsDb>, AsOfError> {
        let row = lock(&self.database).row();
        moment.check(row.checkpoint.position, row.history_from)?;
        Ok(Box::new(Self { as_of: Some(moment), ..self.clone() }))
    }

    async fn scan(&self) -> Result<Box<dyn Scan>, StoreError> {
        let database = lock(&self.database);
        let checkpoint = database.projector.as_ref().map(|row| row.checkpoint.clone());
        let history_from = database.row().history_from;
        Ok(Box::new(MemoryScan::of(&database.rows, checkpoint, history_from)))
    }

    async fn overview(&self) -> Result<Overview, StoreError> {
        Ok(self.read(overview))
    }

    async fn artifacts(&self, query: &ArtifactQuery) -> Result<Page<ArtifactSummary>, StoreError> {
        let key = |row: &ArtifactSummary| ArtifactKey::of(row, query);
        Ok(self
            .read(|rows| page(artifacts(rows, query), key, query.is_descending, &query.paging())))
    }

    async fn artifact(&self, id: ArtifactId) -> Result<Option<ArtifactDetail>, StoreError> {
        Ok(self.read(|rows| {
            let artifact = rows.governed_artifacts.get(&id)?;
            let accord = rows.accord_bindings.get(&artifact.accord_binding_id)?;
            let (drift, drift_since) = drift(rows, id);
            let (artifact, accord) = (artifact.clone(), accord.clone());
            Some(ArtifactDetail { artifact, accord, drift, drift_since })
        }))
    }

    async fn chain(
        &self,
        id: ArtifactId,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<CustodyTransition>, StoreError> {
        let key = |link: &CustodyTransition| (link.seq,);
        let paging = Paging::of(after.as_ref(), limit);
        Ok(self.read(|rows| page(rows.chain(id).cloned(), key, false, &paging)))
    }

    async fn accord(&self, id: AccordId) -> Result<Option<AccordBinding>, StoreError> {
        Ok(self.read(|rows| rows.accord_bindings.get(&id).cloned()))
    }

    async fn accords(&self, query: &AccordQuery) -> Result<Page<AccordBinding>, StoreError> {
        Ok(self.read(|rows| {
            let matching = accords(rows, query).cloned();
            page(matching, |row| query.key_of(row), query.is_descending, &query.paging())
        }))
    }

    async fn ceremony(
        &self,
        id: CeremonyId,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<Ceremony>, StoreError> {
        let key = |row: &Ceremony| (row.opened.position,);
        let paging = Paging::of(after.as_ref(), limit);
        Ok(self.read(|rows| {
            let of_it = ceremonies(rows).filter(|it| it.ceremony_id == Some(id));
            page(of_it, key, false, &paging)
        }))
    }

    async fn open_ceremonies(
        &self,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<OpenCeremony>, StoreError> {
        let key = |row: &OpenCeremony| (row.opened.occurred_at, row.opened.position);
        let paging = Paging::of(after.as_ref(), limit);
        Ok(self.read(|rows| page(open_ceremonies(rows), key, false, &paging)))
    }

    async fn closed_ceremonies(
        &self,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<ClosedCeremony>, StoreError> {
        let key = |row: &ClosedCeremony| (row.closed.occurred_at, row.closed.position);
        let paging = Paging::of(after.as_ref(), limit);
        Ok(self.read(|rows| page(closed_ceremonies(rows), key, true, &paging)))
    }

    async fn deployments(
        &self,
        query: &DeploymentQuery,
    ) -> Result<Page<DeploymentState>, StoreError> {
        Ok(self.read(|rows| {
            let matching = deployments(rows, query).cloned();
            let (key, paging) = (|row: &_| query.key_of(row), query.paging());
            let order = |one: &DeploymentKey, other: &DeploymentKey| match query.sort {
                DeploymentSort::Target => (&one.3, one.2).cmp(&(&other.3, other.2)),
                _ => one.cmp(other),
            };
            page_by(matching, key, order, query.is_descending, &paging)
        }))
    }

    async fn verifications(
        &self,
        query: &VerificationQuery,
    ) -> Result<Page<VerificationResult>, StoreError> {
        let key = |row: &VerificationResult| (row.verified_at, row.position);
        let paging = Paging::of(query.after.as_ref(), query.limit);
        Ok(self.read(|rows| {
            page(verifications(rows, query).cloned(), key, !query.is_ascending, &paging)
        }))
    }

    async fn revisions(
        &self,
        id: ArtifactId,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<ArtifactRevision>, StoreError> {
        Ok(self.read(|rows| history::revisions(rows, id, after.as_ref(), limit)))
    }

    async fn changes(&self, query: &ChangeQuery) -> Result<Page<Change>, StoreError> {
        Ok(self.read(|rows| history::changes(rows, query)))
    }

    async fn target_changes(&self, query: &ChangeQuery) -> Result<Page<TargetChange>, StoreError> {
        Ok(self.read(|rows| history::target_changes(rows, query)))
    }

    async fn timeline(&self, query: &TimelineQuery) -> Result<Page<TimelineEntry>, StoreError> {
        Ok(self.read(|rows| history::timeline(rows, query)))
    }

    async fn ceremonies_of(
        &self,
        actor: &str,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<Ceremony>, StoreError> {
        let key = |row: &Ceremony| (row.opened.position,);
        let paging = Paging::of(after.as_ref(), limit);
        Ok(self.read(|rows| {
            let found = history::ceremonies_of(ceremonies(rows), actor);
            page(found, key, false, &paging)
        }))
    }

    async fn health_times(&self, query: &PeriodQuery) -> Result<Page<HealthTimes>, StoreError> {
        Ok(self.read(|rows| history::health_times(rows, query)))
    }

    async fn drifts(&self, query: &PeriodQuery) -> Result<Page<DriftSpan>, StoreError> {
        Ok(self.read(|rows| history::drifts(rows, query)))
    }

    async fn recovery(&self, query: &PeriodQuery) -> Result<Recovery, StoreError> {
        Ok(self.read(|rows| history::recovery(rows, query)))
    }

    async fn posture(&self, query: &PostureQuery) -> Result<Vec<PostureDay>, StoreError> {
        Ok(self.read(|rows| history::posture(rows, query)))
    }

    async fn decided(&self, id: ArtifactId, target: &str) -> Result<Option<Decided>, StoreError> {
        Ok(self.read(|rows| history::decided(rows, id, target)))
    }

    async fn quarantined(
        &self,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<QuarantinedEntry>, StoreError> {
        let key = |row: &QuarantinedEntry| (row.position,);
        let paging = Paging::of(after.as_ref(), limit);
        Ok(self.read(|rows| page(rows.quarantined_entries.values().cloned(), key, true, &paging)))
    }

    async fn quarantined_at(
        &self,
        position: Position,
    ) -> Result<Option<QuarantinedEntry>, StoreError> {
        Ok(self.read(|rows| rows.quarantined_entries.get(&position).cloned()))
    }

    async fn count(&self, counted: &Counted, bound: u32) -> Result<Total, StoreError> {
        let found = self.read(|rows| match counted {
            Counted::Artifacts(query) => artifacts(rows, query).count(),
            Counted::Accords(query) => accords(rows, query).count(),
            Counted::Deployments(query) => deployments(rows, query).count(),
            Counted::Verifications(query) => verifications(rows, query).count(),
            Counted::OpenCeremonies => open_ceremonies(rows).count(),
            Counted::ClosedCeremonies => closed_ceremonies(rows).count(),
            Counted::Quarantined => rows.quarantined_entries.len(),
        });
        Ok(Total::of(found as u64, bound))
    }

    async fn checkpoint(&self, projector: &str) -> Result<Option<Checkpoint>, StoreError> {
        let database = lock(&self.database);
        let row = database.projector.as_ref().filter(|_| projector == OPS_DB);
        Ok(row.map(|row| row.checkpoint.clone()))
    }

    async fn checkpoints(&self) -> Result<Vec<ProjectorCheckpoint>, StoreError> {
        let row = lock(&self.database).projector.clone();
        Ok(row.map(|row| row.into_listed(OPS_DB)).into_iter().collect())
    }
}

/// The page of rows that is asked for, in the order of `key` or turned round.
pub(super) fn page<T, K>(
    matching: impl Iterator<Item = T>,
    key: impl Fn(&T) -> K,
    is_descending: bool,
    paging: &Paging<K>,
) -> Page<T>
where
    K: Ord + Serialize + DeserializeOwned,
{
    page_by(matching, key, K::cmp, is_descending, paging)
}

/// The same, where keys have an order of their own.
fn page_by<T, K>(
    matching: impl Iterator<Item = T>,
    key: impl Fn(&T) -> K,
    order: impl Fn(&K, &K) -> Ordering,
    is_descending: bool,
    paging: &Paging<K>,
) -> Page<T>
where
    K: Serialize + DeserializeOwned,
{
    let is_descending = is_descending != paging.is_turned;
    let directed = |ordering: Ordering| if is_descending { ordering.reverse() } else { ordering };
    let is_beyond =
        |row: &T| paging.key.as_ref().is_none_or(|after| directed(order(&key(row), after)).is_gt());
    let mut beyond: Vec<T> = matching.filter(is_beyond).collect();
    beyond.sort_by(|one, other| directed(order(&key(one), &key(other))));
    beyond.truncate(usize::try_from(paging.wanted()).unwrap_or(usize::MAX));
    paging.page(beyond, key)
}
