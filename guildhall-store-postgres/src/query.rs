//! The typed queries on the Ops DB, each one statement, which sees one state.
//!
//! Every order and filter is served by an index except one: a text inside a name, which is searched
//! for row by row.

mod artifacts;
mod ceremonies;
mod count;
mod history;
mod overview;
mod posture;
mod select;

use std::sync::Arc;

use async_trait::async_trait;
use guildhall_core::ops::{ArtifactKey, MomentKey, Paging, PositionKey, RevisionKey, SeqKey};
use guildhall_core::store::{links_of_timeline, read_drift_span, read_posture, read_posture_moves};
use guildhall_core::{
    AccordBinding, AccordId, AccordQuery, AccordSort, ArtifactDetail, ArtifactId, ArtifactQuery,
    ArtifactRevision, ArtifactSummary, AsOf, AsOfError, Ceremony, CeremonyId, Change, ChangeQuery,
    Checkpoint, ClosedCeremony, Counted, Cursor, CustodyState, CustodyTransition, Decided,
    DeploymentChange, DeploymentQuery, DeploymentState, DriftSpan, HealthTimes, OPS_DB,
    OpenCeremony, OpsDb, Overview, Page, PeriodQuery, Position, PostureDay, PostureQuery,
    ProjectorCheckpoint, QuarantinedEntry, Recovery, Scan, StoreError, TargetChange, TimelineEntry,
    TimelineKind, TimelineQuery, Timestamp, Total, VerificationQuery, VerificationResult, Wakeup,
};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use self::select::Select;
use crate::database::Database;
use crate::error::Doing;
use crate::lease::{list_checkpoints, load_checkpoints, load_row};
use crate::ops_rows::Columns;
use crate::scan::PostgresScan;
use crate::snapshot::Moment;
use crate::store::PostgresStore;
use crate::watch::Signal;

const DOING: &str = "reading the Ops DB";

/// The Ops DB in a schema (see [`OpsDb`] for its queries). Clones are cheap.
#[derive(Debug, Clone)]
pub struct PostgresOpsDb {
    database: Database,
    signal: Arc<Signal>,
    /// The moment that it keeps to; none if each question is asked as of now.
    moment: Option<Moment>,
    /// Which moment questions are about; now where there is none.
    as_of: Option<AsOf>,
}

impl PostgresStore {
    /// The Ops DB's queries.
    pub fn ops_db(&self) -> PostgresOpsDb {
        let (database, signal) = (self.database().clone(), Arc::clone(self.signal()));
        PostgresOpsDb { database, signal, moment: None, as_of: None }
    }
}

impl PostgresOpsDb {
    fn select(&self, sql: &'static str) -> Select<'_> {
        Select::from(self.database.schema(), self.as_of, sql)
    }

    /// The same tables at one moment.
    async fn snapshot_of_own(&self) -> Result<Self, StoreError> {
        let moment = match &self.moment {
            Some(moment) => moment.clone(),
            None => Moment::take("taking a snapshot of the Ops DB", &self.database).await?,
        };
        Ok(Self { moment: Some(moment), ..self.clone() })
    }

    /// A statement that ends with its WHERE.
    fn select_where(&self, sql: &'static str) -> Select<'_> {
        Select { has_where: true, ..self.select(sql) }
    }

    async fn ask<T>(
        &self,
        conversation: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        match &self.moment {
            None => self.database.ask(conversation).await.doing(DOING),
            Some(moment) => moment.ask(DOING, conversation).await,
        }
    }

    async fn load<T>(
        &self,
        mut select: Select<'_>,
        read: impl Fn(&mut Columns<'_>) -> Result<T, sqlx::Error>,
    ) -> Result<Vec<T>, StoreError> {
        // Not kept: the values decide about the best plan.
        let query = select.parts.build().persistent(false);
        let rows: Vec<PgRow> =
            self.ask(async |connection| query.fetch_all(connection).await).await?;
        let read = |row| read(&mut Columns::of(row));
        rows.iter().map(read).collect::<Result<_, _>>().doing(DOING)
    }
}

#[async_trait]
impl OpsDb for PostgresOpsDb {
    async fn snapshot(&self) -> Result<Box<dyn OpsDb>, StoreError> {
        Ok(Box::new(self.snapshot_of_own().await?))
    }

    async fn as_of(&self, moment: AsOf) -> Result<Box<dyn OpsDb>, AsOfError> {
        let database = &self.database;
        let row = self.ask(async |connection| load_row(connection, database, OPS_DB).await).await?;
        moment.check(row.checkpoint.position, row.history_from)?;
        Ok(Box::new(Self { as_of: Some(moment), ..self.clone() }))
    }

    async fn scan(&self) -> Result<Box<dyn Scan>, StoreError> {
        Ok(Box::new(PostgresScan::begin(&self.database).await?))
    }

    async fn overview(&self) -> Result<Overview, StoreError> {
        overview::load(self).await
    }

    async fn artifacts(&self, query: &ArtifactQuery) -> Result<Page<ArtifactSummary>, StoreError> {
        // PostgreSQL takes no U+0000, not even to compare with.
        let Some(query) = query.without_nul() else { return Ok(Page::EMPTY) };
        let (paging, parts) = (query.paging(), query.parts());
        if parts.len() > 1 && self.moment.is_none() {
            // Several statements see one state only in a transaction.
            return self.snapshot().await?.artifacts(&query).await;
        }
        let wanted = usize::try_from(paging.wanted()).unwrap_or(usize::MAX);
        let mut rows = Vec::new();
        for part in &parts {
            let select = artifacts::select_page(self.select(artifacts::PAGE), part);
            rows.extend(self.load(select, artifacts::summary).await?);
            if rows.len() >= wanted {
                break;
            }
        }
        rows.truncate(wanted);
        Ok(paging.page(rows, |row| ArtifactKey::of(row, &query)))
    }

    async fn artifact(&self, id: ArtifactId) -> Result<Option<ArtifactDetail>, StoreError> {
        let found = self
            .load(artifacts::select_detail(self.select(artifacts::DETAIL), id), artifacts::detail)
            .await?;
        Ok(found.into_iter().next())
    }

    async fn chain(
        &self,
        id: ArtifactId,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<CustodyTransition>, StoreError> {
        let paging = Paging::<SeqKey>::of(after.as_ref(), limit);
        let mut select =
            self.select("SELECT {custody_transitions.*} FROM {schema}.custody_transitions");
        select.and("artifact_id = ").value(*id.as_uuid());
        select.page(&["seq"], false, &paging, |select, (seq,)| {
            select.value(seq.as_i64());
        });
        let rows = self.load(select, |columns| columns.row::<CustodyTransition>()).await?;
        Ok(paging.page(rows, |link| (link.seq,)))
    }

    async fn accord(&self, id: AccordId) -> Result<Option<AccordBinding>, StoreError> {
        let mut select = self.select(ACCORDS);
        select.and("id = ").value(*id.as_uuid());
        let found = self.load(select, |columns| columns.row::<AccordBinding>()).await?;
        Ok(found.into_iter().next())
    }

    async fn accords(&self, query: &AccordQuery) -> Result<Page<AccordBinding>, StoreError> {
        let Some(query) = query.without_nul() else { return Ok(Page::EMPTY) };
        let paging = query.paging();
        let mut select = self.select(ACCORDS);
        filter_accords(&mut select, &query);
        let columns: &[_] = match query.sort {
            AccordSort::Name => &["name", "id"],
            AccordSort::EffectiveAt => &["effective_at", "name", "id"],
        };
        select.page(columns, query.is_descending, &paging, |select, (at, name, id)| {
            if let Some(at) = at {
                select.time(*at).text(", ");
            }
            select.value(name.clone()).text(", ").value(*id.as_uuid());
        });
        let rows = self.load(select, |columns| columns.row::<AccordBinding>()).await?;
        Ok(paging.page(rows, |row| query.key_of(row)))
    }

    async fn ceremony(
        &self,
        id: CeremonyId,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<Ceremony>, StoreError> {
        let paging = Paging::<PositionKey>::of(after.as_ref(), limit);
        let mut select = self.select_where(include_str!("sql/select_ceremonies.sql"));
        select.and("link.ceremony_id = ").value(*id.as_uuid());
        select.page(&["link.position"], false, &paging, |select, (position,)| {
            select.value(position.as_i64());
        });
        let rows = self.load(select, ceremonies::whole).await?;
        Ok(paging.page(rows, |row| (row.opened.position,)))
    }

    async fn open_ceremonies(
        &self,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<OpenCeremony>, StoreError> {
        let paging = Paging::<MomentKey>::of(after.as_ref(), limit);
        let mut select = self.select_where(include_str!("sql/select_open_ceremonies.sql"));
        select.left_or_in_state("artifact.id", &[CustodyState::CeremonyOpen]);
        select.page(&["link.occurred_at", "link.position"], false, &paging, Select::moment);
        let rows = self.load(select, ceremonies::open).await?;
        Ok(paging.page(rows, |row| (row.opened.occurred_at, row.opened.position)))
    }

    async fn closed_ceremonies(
        &self,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<ClosedCeremony>, StoreError> {
        let paging = Paging::<MomentKey>::of(after.as_ref(), limit);
        let mut select = self.select_where(include_str!("sql/select_closed_ceremonies.sql"));
        select.page(&["link.occurred_at", "link.position"], true, &paging, Select::moment);
        let rows = self.load(select, ceremonies::closed).await?;
        Ok(paging.page(rows, |row| (row.closed.occurred_at, row.closed.position)))
    }

    async fn deployments(
        &self,
        query: &DeploymentQuery,
    ) -> Result<Page<DeploymentState>, StoreError> {
        let Some(query) = query.without_nul() else { return Ok(Page::EMPTY) };
        let paging = query.paging();
        let select = posture::select_deployments(self.select(posture::DEPLOYMENTS), &query);
        let rows = self.load(select, |columns| columns.row::<DeploymentState>()).await?;
        Ok(paging.page(rows, |row| query.key_of(row)))
    }

    async fn verifications(
        &self,
        query: &VerificationQuery,
    ) -> Result<Page<VerificationResult>, StoreError> {
        let Some(query) = query.without_nul() else { return Ok(Page::EMPTY) };
        let paging = Paging::<MomentKey>::of(query.after.as_ref(), query.limit);
        let select = self.select(posture::VERIFICATIONS);
        let select = posture::select_verifications(select, &query, &paging);
        let rows = self.load(select, |columns| columns.row::<VerificationResult>()).await?;
        Ok(paging.page(rows, |row| (row.verified_at, row.position)))
    }

    async fn revisions(
        &self,
        id: ArtifactId,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<ArtifactRevision>, StoreError> {
        let paging = Paging::<RevisionKey>::of(after.as_ref(), limit);
        let mut select =
            self.select("SELECT {artifact_revisions.*} FROM {schema}.artifact_revisions");
        select.and("artifact_id = ").value(*id.as_uuid());
        select.page(&["revision"], true, &paging, |select, (revision,)| {
            select.value(revision.as_i64());
        });
        let rows = self.load(select, |columns| columns.row::<ArtifactRevision>()).await?;
        Ok(paging.page(rows, |row| (row.revision,)))
    }

    /// Of a range of positions that is applied, so its statements need not see one moment.
    async fn changes(&self, query: &ChangeQuery) -> Result<Page<Change>, StoreError> {
        let select = |sql| history::in_range(self.select(sql), query);
        let parts = [
            self.load(select(history::CONTENTS), history::content).await?,
            self.load(select(history::LINKS), history::link).await?,
            self.load(select(history::HEALTHS), history::health).await?,
        ];
        Ok(query.page(parts))
    }

    async fn target_changes(&self, query: &ChangeQuery) -> Result<Page<TargetChange>, StoreError> {
        let select = history::in_range(self.select(history::TARGETS), query);
        let rows = self.load(select, history::target_change).await?;
        Ok(query.paging().page(rows, |row| (row.change.position,)))
    }

    async fn timeline(&self, query: &TimelineQuery) -> Result<Page<TimelineEntry>, StoreError> {
        // Several statements, which have to see one moment.
        let then = self.snapshot_of_own().await?;
        let mut rows = Vec::new();
        if query.wants(TimelineKind::Revision) {
            let range = query.range_of(TimelineKind::Revision);
            let contents = history::in_range(then.select(history::CONTENTS), &range);
            let contents = then.load(contents, history::content).await?;
            rows.extend(contents.into_iter().map(Into::into));
        }
        if let Some(condition) = links_of_timeline(query) {
            let mut links = then.select(history::LINKS);
            links.and(condition);
            let links = history::in_range(links, &query.range_of(TimelineKind::Transition));
            let links = then.load(links, history::link).await?;
            rows.extend(links.into_iter().map(Into::into));
        }
        if query.wants(TimelineKind::Target) {
            let range = query.range_of(TimelineKind::Target);
            let changes = history::in_range(then.select(history::TARGETS), &range);
            let changes = then.load(changes, history::target_change).await?;
            rows.extend(changes.into_iter().map(Into::into));
        }
        if query.wants(TimelineKind::Verification) {
            let read = |columns: &mut Columns<'_>| columns.row::<VerificationResult>();
            let range = query.range_of(TimelineKind::Verification);
            let verdicts = history::in_range(then.select(history::VERDICTS), &range);
            let verdicts = then.load(verdicts, read).await?;
            rows.extend(verdicts.into_iter().map(Into::into));
        }
        Ok(query.page(rows))
    }

    async fn ceremonies_of(
        &self,
        actor: &str,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<Ceremony>, StoreError> {
        if actor.contains('\0') {
            return Ok(Page::EMPTY);
        }
        let paging = Paging::<PositionKey>::of(after.as_ref(), limit);
        let mut select = self.select_where(include_str!("sql/select_ceremonies.sql"));
        history::of_actor(&mut select, actor);
        select.page(&["link.position"], false, &paging, |select, (position,)| {
            select.value(position.as_i64());
        });
        let rows = self.load(select, ceremonies::whole).await?;
        Ok(paging.page(rows, |row| (row.opened.position,)))
    }

    async fn health_times(&self, query: &PeriodQuery) -> Result<Page<HealthTimes>, StoreError> {
        if query.target.as_ref().is_some_and(|target| target.contains('\0')) {
            return Ok(Page::EMPTY);
        }
        let select = history::health_times(self.select(history::HEALTH_TIMES), query);
        let changes = self.load(select, |columns| columns.row::<DeploymentChange>()).await?;
        Ok(query.page_of_targets(changes))
    }

    async fn drifts(&self, query: &PeriodQuery) -> Result<Page<DriftSpan>, StoreError> {
        if query.target.as_ref().is_some_and(|target| target.contains('\0')) {
            return Ok(Page::EMPTY);
        }
        let select = self.select(include_str!("sql/select_drifts.sql"));
        let select = history::page_of_drifts(select, query);
        let rows = self.load(select, |it| read_drift_span(it)).await?;
        Ok(query.paging().page(rows, |row| (row.drifted_at, row.position)))
    }

    async fn recovery(&self, query: &PeriodQuery) -> Result<Recovery, StoreError> {
        let mut recovery = Recovery::default();
        if query.target.as_ref().is_some_and(|target| target.contains('\0')) {
            return Ok(recovery);
        }
        let mut select = self.select(include_str!("sql/select_drifts.sql"));
        history::began_in(&mut select, query);
        for span in self.load(select, |it| read_drift_span(it)).await? {
            recovery.count(span.drifted_at, span.healthy_at);
        }
        Ok(recovery)
    }

    async fn posture(&self, query: &PostureQuery) -> Result<Vec<PostureDay>, StoreError> {
        // Of one moment: what is counted now is taken back by what happened up to now.
        let moment = self.snapshot_of_own().await?;
        let [now, moves] = history::posture_statements(query.by);
        let now = moment.load(moment.select(now), |it| read_posture(query.by, it)).await?;
        let first = query.days().first().copied().unwrap_or(Timestamp::MAX);
        let moves = history::moves_since(moment.select(moves), first);
        let moves = moment.load(moves, |it| read_posture_moves(query.by, it)).await?;
        Ok(query.answer(now, moves))
    }

    async fn decided(&self, id: ArtifactId, target: &str) -> Result<Option<Decided>, StoreError> {
        if target.contains('\0') {
            return Ok(None);
        }
        let select = self.select(include_str!("sql/select_decided.sql"));
        let found = self.load(history::of_target(select, id, target), history::decided).await?;
        Ok(found.into_iter().next())
    }

    async fn quarantined(
        &self,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<QuarantinedEntry>, StoreError> {
        let paging = Paging::<PositionKey>::of(after.as_ref(), limit);
        let mut select = self.select(QUARANTINED);
        select.page(&["position"], true, &paging, |select, (position,)| {
            select.value(position.as_i64());
        });
        let rows = self.load(select, |columns| columns.row::<QuarantinedEntry>()).await?;
        Ok(paging.page(rows, |row| (row.position,)))
    }

    async fn quarantined_at(
        &self,
        position: Position,
    ) -> Result<Option<QuarantinedEntry>, StoreError> {
        let mut select = self.select(QUARANTINED);
        select.and("position = ").value(position.as_i64());
        let found = self.load(select, |columns| columns.row::<QuarantinedEntry>()).await?;
        Ok(found.into_iter().next())
    }

    async fn count(&self, counted: &Counted, bound: u32) -> Result<Total, StoreError> {
        if let Some(kept) = counted.kept().filter(|_| self.as_of.is_none()) {
            return Ok(Total::of(overview::load_count(self, kept).await?, bound));
        }
        let Some(mut select) = count::select(self, counted) else { return Ok(Total::of(0, bound)) };
        select.count_to(bound);
        let found = self.load(select, |columns| columns.count()).await?;
        Ok(Total::of(found.into_iter().next().unwrap_or(0), bound))
    }

    async fn checkpoint(&self, projector: &str) -> Result<Option<Checkpoint>, StoreError> {
        if projector.contains('\0') {
            return Ok(None);
        }
        let (database, names) = (&self.database, [projector.to_owned()]);
        let found = self
            .ask(async |connection| load_checkpoints(connection, database, &names).await)
            .await?;
        Ok(found.into_iter().next().map(|(_, checkpoint)| checkpoint))
    }

    async fn checkpoints(&self) -> Result<Vec<ProjectorCheckpoint>, StoreError> {
        let database = &self.database;
        self.ask(async |connection| list_checkpoints(connection, database).await).await
    }
}

#[async_trait]
impl Wakeup for PostgresOpsDb {
    /// Woken by every commit of a projector, of whichever process.
    async fn moved_beyond(&self, position: Position) {
        self.signal.listen(&self.database);
        self.signal.projected_beyond(position).await;
    }
}

fn filter_accords(select: &mut Select<'_>, query: &AccordQuery) {
    select.and_any("name", &query.names, String::clone);
    select.and_begins("name", &query.name_begins);
}

const ACCORDS: &str = "SELECT {accord_bindings.*} \
    FROM {schema}.accord_bindings";

const QUARANTINED: &str = "SELECT {quarantined_entries.*} \
    FROM {schema}.quarantined_entries";
