//! The typed queries on the Ops DB, each in one read transaction.
//!
//! Every order and filter is served by an index except two: a text inside a name, and a JSON
//! fragment. Those are searched for row by row, in the query's order, until the page is full.

mod artifacts;
mod ceremonies;
mod history;
mod overview;
mod posture;
mod select;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use guildhall_core::ops::{AccordKey, Paging, PositionKey, SeqKey};
use guildhall_core::{
    AccordBinding, AccordId, AccordQuery, AccordSort, ArtifactDetail, ArtifactId, ArtifactQuery,
    ArtifactRevision, ArtifactSummary, AsOf, AsOfError, Ceremony, CeremonyId, Change, ChangeQuery,
    Checkpoint, ClosedCeremony, Counted, Cursor, CustodyTransition, Decided, DeploymentQuery,
    DeploymentState, DriftSpan, HealthTimes, OPS_DB, OpenCeremony, OpsDb, Overview, Page,
    PeriodQuery, Position, PostureDay, PostureQuery, ProjectorCheckpoint, QuarantinedEntry,
    Recovery, Scan, SnapshotEnded, StoreError, TargetChange, TimelineEntry, TimelineQuery, Total,
    VerificationQuery, VerificationResult,
};
use rusqlite::Connection;

use self::select::{Asked, Select, bytes, texts};
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
        self.load(overview::load).await
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
            let rows = ceremonies::select(id, &paging).load(asked, ceremonies::whole)?;
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
            let select = ceremonies::select_open(asked.as_of, &paging);
            let rows = select.load(asked, ceremonies::open)?;
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
            let rows = ceremonies::select_closed(&paging).load(asked, ceremonies::closed)?;
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
            let rows = posture::select_deployments(&query, asked.as_of)
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
            let rows = posture::select_verifications(&query, &paging)
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

    async fn timeline(&self, query: &TimelineQuery) -> Result<Page<TimelineEntry>, StoreError> {
        let query = query.clone();
        self.load(move |asked| history::load_timeline(asked, &query)).await
    }

    async fn ceremonies_of(
        &self,
        actor: &str,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<Ceremony>, StoreError> {
        let (actor, paging) = (actor.to_owned(), Paging::of(after.as_ref(), limit));
        self.load(move |asked| {
            let rows =
                history::select_ceremonies_of(&actor, &paging).load(asked, ceremonies::whole)?;
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
            if let Some(kept) = counted.kept().filter(|_| asked.as_of.is_none()) {
                return Ok(Total::of(overview::load_count(asked, kept)?, bound));
            }
            let found = match &counted {
                Counted::Artifacts(query) => artifacts::count(asked, query, bound)?,
                Counted::Accords(query) => filter_accords(query).count(asked, bound)?,
                Counted::Deployments(query) => {
                    posture::filter_deployments(query, asked.as_of).count(asked, bound)?
                }
                Counted::Verifications(query) => {
                    posture::filter_verifications(query).count(asked, bound)?
                }
                Counted::OpenCeremonies => {
                    ceremonies::those_open(asked.as_of).count(asked, bound)?
                }
                Counted::ClosedCeremonies => ceremonies::those_closed().count(asked, bound)?,
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

#[cfg(test)]
mod tests;
