//! Writing the fold's changes: new rows by COPY, changed ones a column at a time.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use guildhall_core::fold::{ArtifactUpdate, Changes, ContentUpdate, CustodyUpdate};
use guildhall_core::store::{Deployments, Kind, Row};
use guildhall_core::{DeploymentState, GovernedArtifact, RowCount, Table};
use sqlx::{PgConnection, SqlStr};

use crate::arrays::{Array, Arrays, insert_from, upsert};
use crate::at_once::AtOnce;
use crate::copy::copy_rows;
use crate::database::Schema;
use crate::division::division;

/// The tables that a rebuild makes again, referenced ones first.
pub(crate) const TABLES: [&str; 9] = Table::NAMES;

/// What adds to how many rows there are of a kind, where they are counted already.
const ADD_TO_COUNT: &str = " ON CONFLICT (counted) DO UPDATE \
    SET rows = row_counts{next}.rows + excluded.rows, position = excluded.position";

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
        self.copy(c, &changes.accords).await?;
        self.write_artifacts(c, &changes.artifacts).await?;
        self.update_artifacts(c, &changes.artifact_updates).await?;
        self.copy(c, &changes.revisions).await?;
        self.copy(c, &changes.transitions).await?;
        self.write_deployments(c, &changes.deployments, deployments).await?;
        self.copy(c, &changes.deployment_changes).await?;
        self.copy(c, &changes.verifications).await?;
        self.copy(c, &changes.quarantined).await?;
        self.write_counts(c, &changes.counts, deployments).await
    }

    /// The statement that writes all of it to the live tables at once.
    pub(crate) fn write_at_once(changes: &Changes) -> AtOnce<'_> {
        let mut all = AtOnce::default();
        all.insert(&changes.accords);
        all.insert(&changes.artifacts);
        update_at_once(&mut all, &changes.artifact_updates);
        all.insert(&changes.revisions);
        all.insert(&changes.transitions);
        all.upsert(&changes.deployments);
        all.insert(&changes.deployment_changes);
        all.insert(&changes.verifications);
        all.insert(&changes.quarantined);
        all.insert_or(&changes.counts, ADD_TO_COUNT);
        all
    }

    async fn copy<R: Row>(
        &self,
        connection: &mut PgConnection,
        rows: &[R],
    ) -> Result<(), sqlx::Error> {
        let Table { name, .. } = R::TABLE;
        let is_divided = self.is_divided && division(name).is_some();
        let freeze = if self.freezes && !is_divided { ", FREEZE" } else { "" };
        let columns = R::TABLE.list();
        let copy = format!(
            "COPY {{schema}}.{name}{{next}} ({columns}) FROM STDIN (FORMAT binary{freeze})"
        );
        copy_rows(connection, self.sql(&copy), rows).await
    }

    pub(crate) async fn write_artifacts(
        &self,
        connection: &mut PgConnection,
        rows: &[GovernedArtifact],
    ) -> Result<(), sqlx::Error> {
        self.copy(connection, rows).await
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
            return self.copy(connection, rows).await;
        }
        let upsert = self.sql(&upsert(&DeploymentState::TABLE));
        Arrays::of(rows).bind(sqlx::query(upsert)).execute(connection).await.map(drop)
    }

    pub(crate) async fn write_counts(
        &self,
        connection: &mut PgConnection,
        rows: &[RowCount],
        deployments: Deployments,
    ) -> Result<(), sqlx::Error> {
        if rows.is_empty() {
            return Ok(());
        }
        if deployments == Deployments::New {
            return self.copy(connection, rows).await;
        }
        let add = self.sql(&(insert_from(&RowCount::TABLE, 1, "") + ADD_TO_COUNT));
        Arrays::of(rows).bind(sqlx::query(add)).execute(connection).await.map(drop)
    }
}

/// A statement can change a row only once: those whose custody moved and whose content was revised are
/// changed in both by one part.
fn update_at_once<'r>(all: &mut AtOnce<'r>, updates: &'r [ArtifactUpdate]) {
    for (is_moved, is_revised) in [(true, false), (false, true), (true, true)] {
        let is_one = |it: &&ArtifactUpdate| {
            (it.custody.is_some(), it.content.is_some()) == (is_moved, is_revised)
        };
        let rows: Vec<&'r ArtifactUpdate> = updates.iter().filter(is_one).collect();
        let content = |of: fn(&'r ContentUpdate) -> Cow<'r, str>| {
            column(&rows, |it| it.content.as_ref().map(of))
        };
        let ids = column(&rows, |it| Some(*it.id.as_uuid()));
        let mut columns = vec![("id", Kind::Uuid, Array::Uuid(ids))];
        if is_moved {
            let states = column(&rows, |it| it.custody.as_ref().map(|it| it.state.as_str().into()));
            columns.push(("custody_state", Kind::Text, Array::Text(states)));
            let seqs = column(&rows, |it| it.custody.as_ref().map(|it| it.seq.as_i64()));
            columns.push(("custody_seq", Kind::Integer, Array::Integer(seqs)));
        }
        if is_revised {
            let cids = content(|it| it.cid.to_string().into());
            columns.push(("cid", Kind::Text, Array::Text(cids)));
            let contents = content(|it| it.content.as_str().into());
            columns.push(("content", Kind::Json, Array::Text(contents)));
            let schemas = content(|it| it.content_schema.as_str().into());
            columns.push(("content_schema", Kind::Text, Array::Text(schemas)));
            let times = column(&rows, |it| it.content.as_ref().map(|it| it.revised_at.into()));
            columns.push(("revised_at", Kind::Time, Array::Time(times)));
        }
        let positions = column(&rows, |it| Some(it.position.as_i64()));
        columns.push(("position", Kind::Integer, Array::Integer(positions)));
        all.update("governed_artifacts", columns);
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
