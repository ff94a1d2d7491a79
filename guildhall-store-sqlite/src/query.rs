//! The typed queries on the Ops DB, each in one read transaction.
//!
//! Every order and filter is served by an index except two: a text inside a name, and a JSON
//! fragment. Those are searched for row by row, in the query's order, until the page is full.

mod artifacts;
mod history;
mod select;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use guildhall_core::ops::{AccordKey, DeploymentKey, MomentKey, Paging, PositionKey, SeqKey};
use guildhall_core::{
    AccordBinding, AccordId, AccordQuery, AccordSort, ArtifactDetail, ArtifactId, ArtifactQuery,
    ArtifactRevision, ArtifactSummary, AsOf, AsOfError, Ceremony, CeremonyId, Change, ChangeQuery,
    Checkpoint, ClosedCeremony, Counted, Cursor, CustodyTransition, Decided, DeploymentQuery,
    DeploymentSort, DeploymentState, DriftSpan, Health, HealthTimes, OPS_DB, OpenCeremony, OpsDb,
    Overview, Page, PeriodQuery, Position, PostureDay, PostureQuery, ProjectorCheckpoint,
    QuarantinedEntry, Recovery, Scan, SnapshotEnded, StoreError, TargetChange, Tier, Total,
    VerificationQuery, VerificationResult,
};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use self::select::{
    Asked, STANDS, Select, bytes, left_or_in_state, left_or_of_health, moment, outcome_condition,
    texts, words,
};
use crate::connection::DatabaseFile;
use crate::error::Doing;
use crate::lease::{find_row, load_row};
use crate::ops_rows::Columns;
use crate::reader::Reader;
use crate::scan::SqliteScan;
use crate::store::SqliteStore;
use crate::workers::{Workers, run_blocking};

const DOING: &str = "reading the Ops DB";

/// The Ops DB in a SQLite file (see [`OpsDb`] for its queries). Clones are cheap.
#[derive(Debug, Clone)]
pub struct SqliteOpsDb {
    readers: Workers<Reader>,
    file: DatabaseFile,
    snapshot_time: Duration,
    /// Whether its one reader keeps to a moment.
    is_snapshot: bool,
    /// Which moment questions are about; now where there is none.
    as_of: Option<AsOf>,
}

impl SqliteStore {
    /// The Ops DB's queries.
    pub fn ops_db(&self) -> SqliteOpsDb {
        SqliteOpsDb {
            readers: self.ops_readers().clone(),
            file: self.ops_file().clone(),
            snapshot_time: self.options().snapshot_time,
            is_snapshot: false,
            as_of: None,
        }
    }
}

impl SqliteOpsDb {
    async fn load<T: Send + 'static>(
        &self,
        load: impl FnOnce(&Asked<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (is_snapshot, as_of) = (self.is_snapshot, self.as_of);
        self.readers
            .run(DOING, move |reader| {
                reader.read(DOING, |connection| {
                    if !is_snapshot {
                        let transaction = connection.transaction().doing(DOING)?;
                        let asked = Asked { connection: &transaction, as_of };
                        return load(&asked).doing(DOING);
                    }
                    // The reader had to start over, or SQLite gave the transaction up.
                    if connection.is_autocommit() {
                        return Err(StoreError::transient(DOING, SnapshotEnded));
                    }
                    load(&Asked { connection, as_of }).doing(DOING)
                })
            })
            .await
    }
}

#[async_trait]
impl OpsDb for SqliteOpsDb {
    /// Opens a connection of its own: a snapshot never blocks other queries.
    async fn snapshot(&self) -> Result<Box<dyn OpsDb>, StoreError> {
        const DOING: &str = "taking a snapshot of the Ops DB";
        if self.is_snapshot {
            return Ok(Box::new(self.clone()));
        }
        let crew = Arc::clone(self.readers.crew());
        crew.check_open(DOING)?;
        let (file, time) = (self.file.clone(), self.snapshot_time);
        let opened = run_blocking(DOING, move || {
            let mut reader = Reader::connect(&file).doing(DOING)?;
            reader.read(DOING, |connection| begin(connection).doing(DOING))?;
            let until = Instant::now() + time;
            Workers::spawn_until(&crew, "guildhall-snapshot", reader, until)
        });
        let readers = opened.await??;
        Ok(Box::new(Self { readers, is_snapshot: true, ..self.clone() }))
    }

    /// On a connection of its own, too.
    async fn scan(&self) -> Result<Box<dyn Scan>, StoreError> {
        let crew = Arc::clone(self.readers.crew());
        Ok(Box::new(SqliteScan::begin(self.file.clone(), crew).await?))
    }

    async fn as_of(&self, moment: AsOf) -> Result<Box<dyn OpsDb>, AsOfError> {
        let row = self.load(|asked| load_row(asked.connection, OPS_DB)).await?;
        moment.check(row.checkpoint.position, row.history_from)?;
        Ok(Box::new(Self { as_of: Some(moment), ..self.clone() }))
    }

    async fn overview(&self) -> Result<Overview, StoreError> {
        self.load(load_overview).await
    }

    async fn artifacts(&self, query: &ArtifactQuery) -> Result<Page<ArtifactSummary>, StoreError> {
        let query = query.clone();
        self.load(move |asked| artifacts::load_page(asked, &query)).await
    }

    async fn artifact(&self, id: ArtifactId) -> Result<Option<ArtifactDetail>, StoreError> {
        self.load(move |asked| artifacts::load_detail(asked, id)).await
    }

    async fn chain(
        &self,
        id: ArtifactId,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<CustodyTransition>, StoreError> {
        let paging = Paging::of(after.as_ref(), limit);
        self.load(move |asked| {
            let rows = select_chain(id, &paging)
                .load(asked, |row| Columns::of(row).row::<CustodyTransition>())?;
            Ok(paging.page(rows, |link| (link.seq,)))
        })
        .await
    }

    async fn accord(&self, id: AccordId) -> Result<Option<AccordBinding>, StoreError> {
        self.load(move |asked| {
            let select = Select::from(include_str!("sql/select_accords.sql"))
                .and("id = ?", [bytes(id.as_uuid())]);
            let found = select.load(asked, |row| Columns::of(row).row::<AccordBinding>())?;
            Ok(found.into_iter().next())
        })
        .await
    }

    async fn accords(&self, query: &AccordQuery) -> Result<Page<AccordBinding>, StoreError> {
        let query = query.clone();
        self.load(move |asked| {
            let rows = select_accords(&query)
                .load(asked, |row| Columns::of(row).row::<AccordBinding>())?;
            Ok(query.paging().page(rows, |row| query.key_of(row)))
        })
        .await
    }

    async fn ceremony(
        &self,
        id: CeremonyId,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<Ceremony>, StoreError> {
        let paging = Paging::of(after.as_ref(), limit);
        self.load(move |asked| {
            let rows = select_ceremony(id, &paging).load(asked, ceremony)?;
            Ok(paging.page(rows, |row| (row.opened.position,)))
        })
        .await
    }

    async fn open_ceremonies(
        &self,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<OpenCeremony>, StoreError> {
        let paging = Paging::of(after.as_ref(), limit);
        self.load(move |asked| {
            let columns = ["link.occurred_at", "link.position"];
            let select = open_ceremonies(asked.as_of).paged(&columns, false, &paging, moment);
            let rows = select.load(asked, |row| {
                let mut columns = Columns::of(row);
                let (name, artifact_type) = (columns.value()?, columns.value()?);
                let (tier, accord) = (columns.value()?, columns.value()?);
                let opened = columns.row::<CustodyTransition>()?;
                Ok(OpenCeremony {
                    ceremony_id: opened.ceremony_id,
                    name,
                    artifact_type,
                    tier,
                    accord,
                    opened,
                })
            })?;
            Ok(paging.page(rows, |row| (row.opened.occurred_at, row.opened.position)))
        })
        .await
    }

    async fn closed_ceremonies(
        &self,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<ClosedCeremony>, StoreError> {
        let paging = Paging::of(after.as_ref(), limit);
        self.load(move |asked| {
            let rows = select_closed_ceremonies(&paging).load(asked, |row| {
                let mut columns = Columns::of(row);
                let (name, artifact_type) = (columns.value()?, columns.value()?);
                let (tier, accord) = (columns.value()?, columns.value()?);
                let (opened_by, opened_at) = (columns.value()?, columns.value()?);
                let closed = columns.row::<CustodyTransition>()?;
                Ok(ClosedCeremony {
                    ceremony_id: closed.ceremony_id,
                    name,
                    artifact_type,
                    tier,
                    accord,
                    opened_by,
                    opened_at,
                    closed,
                })
            })?;
            Ok(paging.page(rows, |row| (row.closed.occurred_at, row.closed.position)))
        })
        .await
    }

    async fn deployments(
        &self,
        query: &DeploymentQuery,
    ) -> Result<Page<DeploymentState>, StoreError> {
        let query = query.clone();
        self.load(move |asked| {
            let rows = select_deployments(&query, asked.as_of)
                .load(asked, |row| Columns::of(row).row::<DeploymentState>())?;
            Ok(query.paging().page(rows, |row| query.key_of(row)))
        })
        .await
    }

    async fn verifications(
        &self,
        query: &VerificationQuery,
    ) -> Result<Page<VerificationResult>, StoreError> {
        let query = query.clone();
        self.load(move |asked| {
            let paging = Paging::of(query.after.as_ref(), query.limit);
            let rows = select_verifications(&query)
                .paged(VERDICT_ORDER, !query.is_ascending, &paging, moment)
                .load(asked, |row| Columns::of(row).row::<VerificationResult>())?;
            Ok(paging.page(rows, |row| (row.verified_at, row.position)))
        })
        .await
    }

    async fn revisions(
        &self,
        id: ArtifactId,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<ArtifactRevision>, StoreError> {
        let paging = Paging::of(after.as_ref(), limit);
        self.load(move |asked| history::load_revisions(asked, id, &paging)).await
    }

    async fn changes(&self, query: &ChangeQuery) -> Result<Page<Change>, StoreError> {
        let query = query.clone();
        self.load(move |asked| history::load_changes(asked, &query)).await
    }

    async fn target_changes(&self, query: &ChangeQuery) -> Result<Page<TargetChange>, StoreError> {
        let query = query.clone();
        self.load(move |asked| history::load_target_changes(asked, &query)).await
    }

    async fn ceremonies_of(
        &self,
        actor: &str,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<Ceremony>, StoreError> {
        let (actor, paging) = (actor.to_owned(), Paging::of(after.as_ref(), limit));
        self.load(move |asked| {
            let rows = history::select_ceremonies_of(&actor, &paging).load(asked, ceremony)?;
            Ok(paging.page(rows, |row| (row.opened.position,)))
        })
        .await
    }

    async fn health_times(&self, query: &PeriodQuery) -> Result<Page<HealthTimes>, StoreError> {
        let query = query.clone();
        self.load(move |asked| history::load_health_times(asked, &query)).await
    }

    async fn drifts(&self, query: &PeriodQuery) -> Result<Page<DriftSpan>, StoreError> {
        let query = query.clone();
        self.load(move |asked| history::load_drifts(asked, &query)).await
    }

    async fn recovery(&self, query: &PeriodQuery) -> Result<Recovery, StoreError> {
        let query = query.clone();
        self.load(move |asked| history::load_recovery(asked, &query)).await
    }

    async fn posture(&self, query: &PostureQuery) -> Result<Vec<PostureDay>, StoreError> {
        let query = query.clone();
        self.load(move |asked| history::load_posture(asked, &query)).await
    }

    async fn decided(&self, id: ArtifactId, target: &str) -> Result<Option<Decided>, StoreError> {
        let target = target.to_owned();
        self.load(move |asked| history::load_decided(asked, id, &target)).await
    }

    async fn quarantined(
        &self,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<QuarantinedEntry>, StoreError> {
        let paging = Paging::<PositionKey>::of(after.as_ref(), limit);
        self.load(move |asked| {
            let rows = Select::from(include_str!("sql/select_quarantined.sql"))
                .paged(&["position"], true, &paging, |(position,)| vec![position.as_i64().into()])
                .load(asked, |row| Columns::of(row).row::<QuarantinedEntry>())?;
            Ok(paging.page(rows, |row| (row.position,)))
        })
        .await
    }

    async fn quarantined_at(
        &self,
        position: Position,
    ) -> Result<Option<QuarantinedEntry>, StoreError> {
        self.load(move |asked| {
            let select = Select::from(include_str!("sql/select_quarantined.sql"))
                .and("position = ?", [position.as_i64().into()]);
            let found = select.load(asked, |row| Columns::of(row).row::<QuarantinedEntry>())?;
            Ok(found.into_iter().next())
        })
        .await
    }

    async fn count(&self, counted: &Counted, bound: u32) -> Result<Total, StoreError> {
        let counted = counted.clone();
        self.load(move |asked| {
            let found = match &counted {
                Counted::Artifacts(query) => artifacts::count(asked, query, bound)?,
                Counted::Accords(query) => filter_accords(query).count(asked, bound)?,
                Counted::Deployments(query) => {
                    filter_deployments(query, asked.as_of).count(asked, bound)?
                }
                Counted::Verifications(query) => select_verifications(query).count(asked, bound)?,
                Counted::OpenCeremonies => open_ceremonies(asked.as_of).count(asked, bound)?,
                Counted::ClosedCeremonies => closed_ceremonies().count(asked, bound)?,
                Counted::Quarantined => {
                    Select::from(include_str!("sql/select_quarantined.sql")).count(asked, bound)?
                }
            };
            Ok(Total::of(found, bound))
        })
        .await
    }

    async fn checkpoint(&self, projector: &str) -> Result<Option<Checkpoint>, StoreError> {
        let projector = projector.to_owned();
        self.load(
            move |asked| Ok(find_row(asked.connection, &projector)?.map(|row| row.checkpoint)),
        )
        .await
    }

    async fn checkpoints(&self) -> Result<Vec<ProjectorCheckpoint>, StoreError> {
        self.load(|asked| {
            let connection = asked.connection;
            let mut list = connection
                .prepare("SELECT projector FROM projector_checkpoints ORDER BY projector")?;
            let names =
                list.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
            let rows =
                names.into_iter().map(|name| Ok(load_row(connection, &name)?.into_listed(name)));
            rows.collect()
        })
        .await
    }
}

fn ceremony(row: &rusqlite::Row<'_>) -> rusqlite::Result<Ceremony> {
    let mut columns = Columns::of(row);
    let (name, artifact_type) = (columns.value()?, columns.value()?);
    let (tier, accord) = (columns.value()?, columns.value()?);
    let opened = columns.row::<CustodyTransition>()?;
    let closed = columns.row_if_any()?;
    let ceremony_id = opened.ceremony_id;
    Ok(Ceremony { ceremony_id, name, artifact_type, tier, accord, opened, closed })
}

/// Begins a transaction that sees this moment, which SQLite settles with the first row that it reads.
fn begin(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN")?;
    connection.query_row("SELECT count(*) FROM projector_checkpoints", [], |_| Ok(()))
}

fn select_chain(id: ArtifactId, paging: &Paging<SeqKey>) -> Select {
    Select::from(include_str!("sql/select_transitions.sql"))
        .and("artifact_id = ?", [bytes(id.as_uuid())])
        .paged(&["seq"], false, paging, |(seq,)| vec![seq.as_i64().into()])
}

fn filter_accords(query: &AccordQuery) -> Select {
    Select::from(include_str!("sql/select_accords.sql"))
        .and_any("name", texts(&query.names))
        .and_begins("name", &query.name_begins)
}

fn select_accords(query: &AccordQuery) -> Select {
    let columns: &[_] = match query.sort {
        AccordSort::Name => &["name", "id"],
        AccordSort::EffectiveAt => &["effective_at", "name", "id"],
    };
    let values = |(at, name, id): &AccordKey| {
        let at = at.map(|at| at.to_string().into());
        at.into_iter().chain([name.clone().into(), bytes(id.as_uuid())]).collect()
    };
    filter_accords(query).paged(columns, query.is_descending, &query.paging(), values)
}

fn select_ceremony(id: CeremonyId, paging: &Paging<PositionKey>) -> Select {
    Select::from(include_str!("sql/select_ceremonies.sql"))
        .and("link.to_state = 'ceremony_open'", [])
        .and("link.ceremony_id = ?", [bytes(id.as_uuid())])
        .paged(&["link.position"], false, paging, |(position,)| vec![position.as_i64().into()])
}

fn open_ceremonies(as_of: Option<AsOf>) -> Select {
    let select = Select::from(include_str!("sql/select_open_ceremonies.sql"));
    match as_of {
        None => select,
        Some(moment) => {
            let those = left_or_in_state("'ceremony_open'", moment);
            select.and(&format!("artifact.{those}"), [])
        }
    }
}

fn closed_ceremonies() -> Select {
    Select::from(include_str!("sql/select_closed_ceremonies.sql"))
        .and("link.from_state = 'ceremony_open'", [])
}

fn select_closed_ceremonies(paging: &Paging<MomentKey>) -> Select {
    closed_ceremonies().paged(&["link.occurred_at", "link.position"], true, paging, moment)
}

fn filter_deployments(query: &DeploymentQuery, as_of: Option<AsOf>) -> Select {
    let mut select = Select::from(include_str!("sql/select_deployments.sql"));
    if let Some(id) = query.artifact_id {
        select = select.and("artifact_id = ?", [bytes(id.as_uuid())]);
    }
    // Written out, because that is how SQLite knows a partial index to fit.
    select = match query.healths.as_slice() {
        [Health::Drifted] => select.and("health = 'drifted'", []),
        [Health::Unknown] => select.and("health = 'unknown'", []),
        healths => select.and_any("health", words(healths, Health::as_str)),
    };
    if let (Some(moment), [health @ (Health::Drifted | Health::Unknown)]) =
        (as_of, query.healths.as_slice())
    {
        select = select.and(&left_or_of_health(health.as_str(), moment), []);
    }
    select
        .and_any("target", texts(&query.targets))
        .and_begins("target", query.target_begins.as_slice())
}

fn select_deployments(query: &DeploymentQuery, as_of: Option<AsOf>) -> Select {
    let columns: &[_] = match query.sort {
        DeploymentSort::Artifact => &["artifact_id", "target"],
        DeploymentSort::Target => &["target", "artifact_id"],
        DeploymentSort::HealthSince => &["health_since", "artifact_id", "target"],
    };
    let values = |(sort, at, id, target): &DeploymentKey| {
        let (id, target) = (bytes(id.as_uuid()), Value::from(target.clone()));
        match sort {
            DeploymentSort::Target => vec![target, id],
            _ => at.map(|at| at.to_string().into()).into_iter().chain([id, target]).collect(),
        }
    };
    filter_deployments(query, as_of).paged(columns, query.is_descending, &query.paging(), values)
}

const VERDICT_ORDER: &[&str] = &["verified_at", "position"];

fn select_verifications(query: &VerificationQuery) -> Select {
    let mut select = Select::from(include_str!("sql/select_verifications.sql"));
    if let Some(id) = query.artifact_id {
        select = select.and("artifact_id = ?", [bytes(id.as_uuid())]);
    }
    // An artifact's verdicts are few, a target's fewer than a verifier's. The plus keeps SQLite from the
    // wider index.
    let has_artifact = query.artifact_id.is_some();
    let target = if has_artifact { "+target" } else { "target" };
    let is_narrow = has_artifact || !query.targets.is_empty();
    let verifier = if is_narrow { "+verifier" } else { "verifier" };
    select =
        select.and_any(target, texts(&query.targets)).and_any(verifier, texts(&query.verifiers));
    if !query.outcomes.is_empty() {
        let (condition, values) = outcome_condition(&query.outcomes);
        select = select.and(&condition, values);
    }
    if let Some(since) = query.verified_since {
        select = select.and("verified_at >= ?", [since.to_string().into()]);
    }
    if let Some(before) = query.verified_before {
        select = select.and("verified_at < ?", [before.to_string().into()]);
    }
    if query.is_standing {
        select = select.and(STANDS, []);
    }
    select
}

fn load_overview(asked: &Asked<'_>) -> rusqlite::Result<Overview> {
    let mut overview = Overview::default();
    let (mut by_tier, mut counts, mut ceremonies) = match asked.as_of {
        None => (
            asked.prepare("SELECT tier, count(*) FROM governed_artifacts GROUP BY tier")?,
            asked.prepare(include_str!("sql/overview.sql"))?,
            asked.prepare(include_str!("sql/count_ceremonies.sql"))?,
        ),
        Some(moment) => {
            let count = include_str!("sql/count_ceremonies.sql").trim_end();
            let those = left_or_in_state("'ceremony_open'", moment);
            (
                asked.prepare_bounded(include_str!("sql/tiers_as_of.sql"), moment)?,
                asked.prepare_bounded(include_str!("sql/overview_as_of.sql"), moment)?,
                asked.prepare(&format!("{count} AND artifact.{those}"))?,
            )
        }
    };
    let values = asked.values([]);
    let mut rows = by_tier.query(params_from_iter(&values))?;
    while let Some(row) = rows.next()? {
        let mut columns = Columns::of(row);
        let tier = usize::from(columns.value::<Tier>()?.get());
        overview.artifacts_by_tier[tier] = columns.count()?;
    }
    counts.query_row(params_from_iter(&values), |row| {
        let mut columns = Columns::of(row);
        overview.accords = columns.count()?;
        overview.drifted_deployments = columns.count()?;
        overview.unknown_deployments = columns.count()?;
        let others = overview.drifted_deployments + overview.unknown_deployments;
        overview.healthy_deployments = columns.count()?.saturating_sub(others);
        overview.custody_transitions = columns.count()?;
        overview.verifications = columns.count()?;
        overview.quarantined = columns.count()?;
        Ok(())
    })?;
    ceremonies.query_row(params_from_iter(&values), |row| {
        let mut columns = Columns::of(row);
        overview.open_ceremonies = columns.count()?;
        overview.oldest_ceremony_opened_at = columns.value()?;
        Ok(())
    })?;
    Ok(overview)
}

#[cfg(test)]
mod tests;
