//! Writing the fold's changes: new rows by COPY, changed ones a column at a time.

use chrono::{DateTime, Utc};
use guildhall_core::fold::{ArtifactUpdate, Changes, ContentUpdate, CustodyUpdate};
use guildhall_core::store::Deployments;
use guildhall_core::{
    AccordBinding, CustodyTransition, DeploymentState, GovernedArtifact, QuarantinedEntry,
    VerificationResult,
};
use sqlx::{AssertSqlSafe, PgConnection, SqlSafeStr, SqlStr};

use crate::copy::{Encoder, copy_rows};
use crate::database::Schema;

/// The tables that a rebuild makes anew, referenced ones first.
pub(crate) const TABLES: [&str; 6] = [
    "accord_bindings",
    "governed_artifacts",
    "custody_transitions",
    "deployment_states",
    "verification_results",
    "quarantined_entries",
];

/// The tables of one generation: the live ones, or those of the next.
#[derive(Debug, Clone)]
pub(crate) struct OpsTables {
    schema: Schema,
    suffix: String,
    /// Whether rows can be written as old ones.
    freezes: bool,
    is_divided: bool,
}

impl OpsTables {
    /// The live ones.
    pub(crate) fn live(schema: &Schema) -> Self {
        Self { schema: schema.clone(), suffix: String::new(), freezes: false, is_divided: false }
    }

    /// Those of the next generation, whose names end so. While they have no keys, rows are written
    /// as what they will be once they are old: a later vacuum has nothing to do, and an index alone
    /// can answer at once. PostgreSQL wants them to have been made in this very transaction, and
    /// to have no partitions.
    pub(crate) fn next_generation(schema: &Schema, suffix: &str, is_divided: bool) -> Self {
        Self { schema: schema.clone(), suffix: suffix.to_owned(), freezes: true, is_divided }
    }

    /// From here on, rows are written as new ones.
    pub(crate) fn stop_freezing(&mut self) {
        self.freezes = false;
    }

    /// A statement, with the schema and the names' ending in the place of `{schema}` and `{next}`.
    pub(crate) fn sql(&self, template: &str) -> SqlStr {
        // The suffix first: a schema may be called anything.
        self.schema.sql(&template.replace("{next}", &self.suffix))
    }

    /// Writes all of it, in an order in which foreign keys hold at every step.
    pub(crate) async fn write(
        &self,
        connection: &mut PgConnection,
        changes: &Changes,
        deployments: Deployments,
    ) -> Result<(), sqlx::Error> {
        let c = connection;
        self.copy(c, COPY_ACCORDS, &changes.accords, encode_accord).await?;
        self.write_artifacts(c, &changes.artifacts).await?;
        self.update_artifacts(c, &changes.artifact_updates).await?;
        self.copy(c, COPY_TRANSITIONS, &changes.transitions, encode_transition).await?;
        self.write_deployments(c, &changes.deployments, deployments).await?;
        self.copy(c, COPY_VERIFICATIONS, &changes.verifications, encode_verification).await?;
        self.copy(c, COPY_QUARANTINED, &changes.quarantined, encode_quarantined).await
    }

    async fn copy<T>(
        &self,
        connection: &mut PgConnection,
        sql: &str,
        rows: &[T],
        encode: impl Fn(&mut Encoder, &T),
    ) -> Result<(), sqlx::Error> {
        let is_divided = self.is_divided && [COPY_TRANSITIONS, COPY_VERIFICATIONS].contains(&sql);
        let freeze = if self.freezes && !is_divided { ", FREEZE" } else { "" };
        let sql = format!("{} FROM STDIN (FORMAT binary{freeze})", self.sql(sql).as_str());
        copy_rows(connection, AssertSqlSafe(sql).into_sql_str(), rows, encode).await
    }

    pub(crate) async fn write_artifacts(
        &self,
        connection: &mut PgConnection,
        rows: &[GovernedArtifact],
    ) -> Result<(), sqlx::Error> {
        self.copy(connection, COPY_ARTIFACTS, rows, encode_artifact).await
    }

    async fn update_artifacts(
        &self,
        connection: &mut PgConnection,
        updates: &[ArtifactUpdate],
    ) -> Result<(), sqlx::Error> {
        let moved: Vec<(&ArtifactUpdate, &CustodyUpdate)> =
            updates.iter().filter_map(|it| Some((it, it.custody.as_ref()?))).collect();
        if !moved.is_empty() {
            let written = sqlx::query(self.sql(include_str!("sql/update_custody.sql")))
                .bind(column(&moved, |(it, _)| *it.id.as_uuid()))
                .bind(column(&moved, |(_, custody)| custody.state.as_str()))
                .bind(column(&moved, |(_, custody)| custody.seq.as_i64()))
                .bind(column(&moved, |(it, _)| it.position.as_i64()))
                .execute(&mut *connection)
                .await?;
            check_written(written.rows_affected(), moved.len())?;
        }
        let revised: Vec<(&ArtifactUpdate, &ContentUpdate)> =
            updates.iter().filter_map(|it| Some((it, it.content.as_ref()?))).collect();
        if !revised.is_empty() {
            let written = sqlx::query(self.sql(include_str!("sql/update_content.sql")))
                .bind(column(&revised, |(it, _)| *it.id.as_uuid()))
                .bind(column(&revised, |(_, content)| content.cid.to_string()))
                .bind(column(&revised, |(_, content)| content.content.as_str()))
                .bind(column(&revised, |(_, content)| content.content_schema.as_str()))
                .bind(column(&revised, |(_, content)| DateTime::<Utc>::from(content.revised_at)))
                .bind(column(&revised, |(it, _)| it.position.as_i64()))
                .execute(connection)
                .await?;
            check_written(written.rows_affected(), revised.len())?;
        }
        Ok(())
    }

    pub(crate) async fn write_deployments(
        &self,
        connection: &mut PgConnection,
        rows: &[DeploymentState],
        deployments: Deployments,
    ) -> Result<(), sqlx::Error> {
        if rows.is_empty() {
            return Ok(());
        }
        if deployments == Deployments::New {
            return self.copy(connection, COPY_DEPLOYMENTS, rows, encode_deployment).await;
        }
        sqlx::query(self.sql(include_str!("sql/upsert_deployments.sql")))
            .bind(column(rows, |row| *row.artifact_id.as_uuid()))
            .bind(column(rows, |row| row.target.as_str()))
            .bind(column(rows, |row| row.desired_cid.to_string()))
            .bind(column(rows, |row| row.observed_cid.map(|cid| cid.to_string())))
            .bind(column(rows, |row| row.health.as_str()))
            .bind(column(rows, |row| DateTime::<Utc>::from(row.health_since)))
            .bind(column(rows, |row| row.detail.as_str()))
            .bind(column(rows, |row| DateTime::<Utc>::from(row.observed_at)))
            .bind(column(rows, |row| row.position.as_i64()))
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// One column of rows, as an array.
fn column<'r, R, T>(rows: &'r [R], of: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

/// Fails with [`sqlx::Error::RowNotFound`] where a row that was to be changed is not there.
fn check_written(found: u64, expected: usize) -> Result<(), sqlx::Error> {
    let is_whole = usize::try_from(found).is_ok_and(|found| found == expected);
    if is_whole { Ok(()) } else { Err(sqlx::Error::RowNotFound) }
}

const COPY_ACCORDS: &str = "COPY {schema}.accord_bindings{next} \
    (id, name, accord_terms, bound_by, effective_at, position)";

fn encode_accord(to: &mut Encoder, row: &AccordBinding) {
    to.row(6)
        .uuid(row.id.as_uuid())
        .text(&row.name)
        .jsonb(&row.accord_terms)
        .text(&row.bound_by)
        .time(row.effective_at)
        .bigint(row.position.as_i64());
}

const COPY_ARTIFACTS: &str = "COPY {schema}.governed_artifacts{next} \
    (id, accord_binding_id, name, artifact_type, tier, cid, content, content_schema, \
     custody_state, custody_seq, registered_at, revised_at, position)";

fn encode_artifact(to: &mut Encoder, row: &GovernedArtifact) {
    to.row(13)
        .uuid(row.id.as_uuid())
        .uuid(row.accord_binding_id.as_uuid())
        .text(&row.name)
        .text(&row.artifact_type)
        .smallint(row.tier.get().into())
        .cid(row.cid)
        .jsonb(&row.content)
        .text(&row.content_schema)
        .nullable(row.custody_state, |to, state| to.text(state.as_str()))
        .nullable(row.custody_seq, |to, seq| to.bigint(seq.as_i64()))
        .time(row.registered_at)
        .nullable(row.revised_at, Encoder::time)
        .bigint(row.position.as_i64());
}

const COPY_TRANSITIONS: &str = "COPY {schema}.custody_transitions{next} \
    (artifact_id, seq, from_state, to_state, cid, actor, reason, ceremony_id, evidence, \
     occurred_at, prev_hash, hash, position)";

fn encode_transition(to: &mut Encoder, row: &CustodyTransition) {
    to.row(13)
        .uuid(row.artifact_id.as_uuid())
        .bigint(row.seq.as_i64())
        .nullable(row.from_state, |to, state| to.text(state.as_str()))
        .text(row.to_state.as_str())
        .cid(row.cid)
        .text(&row.actor)
        .text(&row.reason)
        .nullable(row.ceremony_id.as_ref(), |to, id| to.uuid(id.as_uuid()))
        .jsonb(&row.evidence)
        .time(row.occurred_at)
        .nullable(row.prev_hash.as_ref(), |to, hash| to.bytea(hash.as_bytes()))
        .bytea(row.hash.as_bytes())
        .bigint(row.position.as_i64());
}

const COPY_DEPLOYMENTS: &str = "COPY {schema}.deployment_states{next} \
    (artifact_id, target, desired_cid, observed_cid, health, health_since, detail, observed_at, position)";

fn encode_deployment(to: &mut Encoder, row: &DeploymentState) {
    to.row(9)
        .uuid(row.artifact_id.as_uuid())
        .text(&row.target)
        .cid(row.desired_cid)
        .nullable(row.observed_cid, Encoder::cid)
        .text(row.health.as_str())
        .time(row.health_since)
        .jsonb(&row.detail)
        .time(row.observed_at)
        .bigint(row.position.as_i64());
}

const COPY_VERIFICATIONS: &str = "COPY {schema}.verification_results{next} \
    (id, artifact_id, target, verifier, outcome, evidence, verified_at, position)";

fn encode_verification(to: &mut Encoder, row: &VerificationResult) {
    to.row(8)
        .uuid(row.id.as_uuid())
        .uuid(row.artifact_id.as_uuid())
        .nullable(row.target.as_deref(), Encoder::text)
        .text(&row.verifier)
        .text(row.outcome.as_str())
        .jsonb(&row.evidence)
        .time(row.verified_at)
        .bigint(row.position.as_i64());
}

const COPY_QUARANTINED: &str = "COPY {schema}.quarantined_entries{next} \
    (position, event_id, stream_id, event_type, code, reason)";

fn encode_quarantined(to: &mut Encoder, row: &QuarantinedEntry) {
    to.row(6)
        .bigint(row.position.as_i64())
        .uuid(row.event_id.as_uuid())
        .uuid(row.stream_id.as_uuid())
        .text(row.event_type.as_str())
        .text(row.code.as_str())
        .text(&row.reason);
}
