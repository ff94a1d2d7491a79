//! The queries on the tables in memory: every row is looked at, in the order that is asked for.

use std::cmp::Ordering;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::database::Database;
use super::history;
use super::lock;
use super::scan::MemoryScan;
use super::tables::Rows;
use crate::checkpoint::Checkpoint;
use crate::custody::CustodyState;
use crate::error::StoreError;
use crate::ids::{AccordId, ArtifactId, CeremonyId, Position};
use crate::ops::{
    AccordBinding, AccordQuery, ArtifactDetail, ArtifactKey, ArtifactQuery, ArtifactRevision,
    ArtifactSummary, AsOf, AsOfError, Ceremony, Change, ChangeQuery, ClosedCeremony, Counted,
    Cursor, CustodyTransition, Decided, DeploymentKey, DeploymentQuery, DeploymentSort,
    DeploymentState, Drift, DriftSpan, GovernedArtifact, Health, HealthTimes, OpenCeremony, OpsDb,
    Overview, Page, Paging, PeriodQuery, PostureDay, PostureQuery, ProjectorCheckpoint,
    QuarantinedEntry, Recovery, Scan, Tables, TargetChange, Total, VerificationQuery,
    VerificationResult,
};
use crate::projector::OPS_DB;
use crate::time::Timestamp;

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

fn accords<'r>(rows: &'r Rows, query: &AccordQuery) -> impl Iterator<Item = &'r AccordBinding> {
    rows.accord_bindings.values().filter(|row| {
        is_any(&query.names, &row.name) && begins_with_any(&query.name_begins, &row.name)
    })
}

fn deployments<'r>(
    rows: &'r Rows,
    query: &DeploymentQuery,
) -> impl Iterator<Item = &'r DeploymentState> {
    rows.deployment_states.values().filter(|row| {
        query.artifact_id.is_none_or(|id| row.artifact_id == id)
            && is_any(&query.targets, &row.target)
            && query.target_begins.as_ref().is_none_or(|text| row.target.starts_with(text.as_str()))
            && is_any(&query.healths, &row.health)
    })
}

fn verifications<'r>(
    rows: &'r Rows,
    query: &VerificationQuery,
) -> impl Iterator<Item = &'r VerificationResult> {
    rows.verification_results.values().filter(|row| {
        query.artifact_id.is_none_or(|id| row.artifact_id == id)
            && (query.targets.is_empty()
                || row.target.as_ref().is_some_and(|it| query.targets.contains(it)))
            && is_any(&query.verifiers, &row.verifier)
            && is_any(&query.outcomes, &row.outcome)
            && query.verified_since.is_none_or(|since| row.verified_at >= since)
            && query.verified_before.is_none_or(|before| row.verified_at < before)
            && (!query.is_standing || stands(rows, row))
    })
}

/// Whether a value passes a filter; an empty one lets all through.
fn is_any<T: PartialEq>(wanted: &[T], found: &T) -> bool {
    wanted.is_empty() || wanted.contains(found)
}

fn begins_with_any(beginnings: &[String], found: &str) -> bool {
    beginnings.is_empty() || beginnings.iter().any(|text| found.starts_with(text.as_str()))
}

fn overview(rows: &Rows) -> Overview {
    let mut overview = Overview {
        accords: rows.accord_bindings.len() as u64,
        custody_transitions: rows.custody_transitions.len() as u64,
        verifications: rows.verification_results.len() as u64,
        quarantined: rows.quarantined_entries.len() as u64,
        ..Overview::default()
    };
    for artifact in rows.governed_artifacts.values() {
        overview.artifacts_by_tier[usize::from(artifact.tier.get())] += 1;
    }
    for target in rows.deployment_states.values() {
        *match target.health {
            Health::Healthy => &mut overview.healthy_deployments,
            Health::Drifted => &mut overview.drifted_deployments,
            Health::Unknown => &mut overview.unknown_deployments,
        } += 1;
    }
    for ceremony in open_ceremonies(rows) {
        overview.open_ceremonies += 1;
        let opened_at = ceremony.opened.occurred_at;
        let oldest = overview.oldest_ceremony_opened_at.get_or_insert(opened_at);
        *oldest = opened_at.min(*oldest);
    }
    overview
}

fn open_ceremonies(rows: &Rows) -> impl Iterator<Item = OpenCeremony> {
    rows.governed_artifacts.values().filter_map(|artifact| {
        let opened = rows.newest_link(artifact)?;
        let accord = rows.accord_bindings.get(&artifact.accord_binding_id)?;
        (opened.to_state == CustodyState::CeremonyOpen).then(|| OpenCeremony {
            ceremony_id: opened.ceremony_id,
            name: artifact.name.clone(),
            artifact_type: artifact.artifact_type.clone(),
            tier: artifact.tier,
            accord: accord.name.clone(),
            opened: opened.clone(),
        })
    })
}

/// The ceremonies of every id.
fn ceremonies(rows: &Rows) -> impl Iterator<Item = Ceremony> {
    let opening = rows
        .custody_transitions
        .values()
        .filter(|link| link.ceremony_id.is_some() && link.to_state == CustodyState::CeremonyOpen);
    opening.filter_map(|opened| {
        let artifact = rows.governed_artifacts.get(&opened.artifact_id)?;
        let accord = rows.accord_bindings.get(&artifact.accord_binding_id)?;
        let next = opened.seq.next().map(|seq| (opened.artifact_id, seq));
        Some(Ceremony {
            ceremony_id: opened.ceremony_id,
            name: artifact.name.clone(),
            artifact_type: artifact.artifact_type.clone(),
            tier: artifact.tier,
            accord: accord.name.clone(),
            opened: opened.clone(),
            closed: next.and_then(|key| rows.custody_transitions.get(&key)).cloned(),
        })
    })
}

fn closed_ceremonies(rows: &Rows) -> impl Iterator<Item = ClosedCeremony> {
    let closing = rows.custody_transitions.values();
    let closing = closing.filter(|link| link.from_state == Some(CustodyState::CeremonyOpen));
    closing.filter_map(|closed| {
        let opened = rows.custody_transitions.get(&(closed.artifact_id, closed.seq.previous()))?;
        let artifact = rows.governed_artifacts.get(&closed.artifact_id)?;
        let accord = rows.accord_bindings.get(&artifact.accord_binding_id)?;
        Some(ClosedCeremony {
            ceremony_id: closed.ceremony_id,
            name: artifact.name.clone(),
            artifact_type: artifact.artifact_type.clone(),
            tier: artifact.tier,
            accord: accord.name.clone(),
            opened_by: opened.actor.clone(),
            opened_at: opened.occurred_at,
            closed: closed.clone(),
        })
    })
}

/// When the latest verdict on an artifact was reached.
fn last_verified_at(rows: &Rows, id: ArtifactId) -> Option<Timestamp> {
    let of_it = rows.verification_results.values().filter(|row| row.artifact_id == id);
    of_it.map(|row| row.verified_at).max()
}

/// Whether the same verifier has not judged the same again.
fn stands(rows: &Rows, verdict: &VerificationResult) -> bool {
    let at = |row: &VerificationResult| (row.verified_at, row.position);
    !rows.verification_results.values().any(|row| {
        row.artifact_id == verdict.artifact_id
            && row.target == verdict.target
            && row.verifier == verdict.verifier
            && at(row) > at(verdict)
    })
}

/// An artifact's health over all its targets, and since when.
fn drift(rows: &Rows, id: ArtifactId) -> (Drift, Option<Timestamp>) {
    Drift::of(rows.targets(id).map(|target| (target.health, target.health_since)))
}

fn artifacts(rows: &Rows, query: &ArtifactQuery) -> impl Iterator<Item = ArtifactSummary> {
    let name_contains = query.name_contains.as_ref().map(|text| text.to_ascii_lowercase());
    let matches = move |artifact: &&GovernedArtifact| {
        is_any(&query.artifact_types, &artifact.artifact_type)
            && is_any(&query.tiers, &artifact.tier)
            && (query.custody_states.is_empty()
                || artifact
                    .custody_state
                    .is_some_and(|state| query.custody_states.contains(&state)))
            && is_any(&query.accords, &artifact.accord_binding_id)
            && is_any(&query.ids, &artifact.id)
            && is_any(&query.names, &artifact.name)
            && is_any(&query.cids, &artifact.cid)
            && begins_with_any(&query.name_begins, &artifact.name)
            && query
                .cid_begins
                .as_ref()
                .is_none_or(|text| artifact.cid.to_string().starts_with(text.as_str()))
            && name_contains
                .as_ref()
                .is_none_or(|text| artifact.name.to_ascii_lowercase().contains(text))
            && query.content_contains.as_ref().is_none_or(|part| artifact.content.contains(part))
            && query.terms_contain.as_ref().is_none_or(|part| {
                let accord = rows.accord_bindings.get(&artifact.accord_binding_id);
                accord.is_some_and(|accord| accord.accord_terms.contains(part))
            })
            && query.verified_before.is_none_or(|before| {
                last_verified_at(rows, artifact.id).is_none_or(|at| at < before)
            })
            && (query.verdicts.is_empty()
                || rows.verification_results.values().any(|row| {
                    row.artifact_id == artifact.id
                        && query.verdicts.contains(&row.outcome)
                        && stands(rows, row)
                }))
    };
    let summaries = rows.governed_artifacts.values().filter(matches).map(|artifact| {
        let (drift, drift_since) = drift(rows, artifact.id);
        ArtifactSummary {
            id: artifact.id,
            accord_binding_id: artifact.accord_binding_id,
            name: artifact.name.clone(),
            artifact_type: artifact.artifact_type.clone(),
            tier: artifact.tier,
            cid: artifact.cid,
            custody_state: artifact.custody_state,
            drift,
            drift_since,
            position: artifact.position,
        }
    });
    summaries.filter(|row| is_any(&query.drifts, &row.drift))
}
