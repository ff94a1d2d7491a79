//! Writing the fold's changes, by statements that are prepared once a connection.

use guildhall_core::fold::{ArtifactUpdate, Changes};
use guildhall_core::store::{Deployments, Row};
use guildhall_core::{
    AccordBinding, ArtifactRevision, CustodyTransition, DeploymentChange, DeploymentState,
    GovernedArtifact, QuarantinedEntry, RowCount, Table, VerificationResult,
};
use rusqlite::{Connection, Params, Statement, params};

use crate::ops_rows::{CidText, TimeText, write_row};

/// The tables that a rebuild makes again, referenced ones first.
pub(crate) const TABLES: [&str; 9] = Table::NAMES;

/// What the name of a table ends with while a rebuild fills it.
pub(crate) const NEXT: &str = "_next";

/// Changes a row, which has to be there.
fn change_one(update: &mut Statement<'_>, values: impl Params) -> rusqlite::Result<()> {
    match update.execute(values)? {
        1 => Ok(()),
        rows => Err(rusqlite::Error::StatementChangedRows(rows)),
    }
}

/// The statements of the projector, on the live tables or on those of the next generation.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) load_accord_position: String,
    pub(crate) load_artifact_head: String,
    pub(crate) load_ratified: String,
    pub(crate) load_target_head: String,
    insert_accord: String,
    insert_artifact: String,
    update_custody: String,
    update_content: String,
    insert_revision: String,
    insert_transition: String,
    insert_deployment: String,
    upsert_deployment: String,
    insert_deployment_change: String,
    insert_verification: String,
    insert_quarantined: String,
    insert_count: String,
    add_to_count: String,
}

impl Statements {
    /// On the live tables.
    pub(crate) fn live() -> Self {
        Self::on(str::to_owned)
    }

    /// On the tables of the next generation.
    pub(crate) fn next_generation() -> Self {
        Self::on(|sql| {
            let next = |sql: String, table: &&str| sql.replace(table, &format!("{table}{NEXT}"));
            TABLES.iter().fold(sql.to_owned(), next)
        })
    }

    /// On the tables that `name` puts in the place of the live ones.
    fn on(name: impl Fn(&str) -> String) -> Self {
        Self {
            load_accord_position: name("SELECT position FROM accord_bindings WHERE id = ?1"),
            load_artifact_head: name(include_str!("sql/load_artifact_head.sql")),
            load_ratified: name(
                "SELECT DISTINCT cid FROM custody_transitions \
                 WHERE artifact_id = ?1 AND to_state = 'ratified'",
            ),
            load_target_head: name(
                "SELECT desired_cid, observed_cid, health, health_since, observed_at, position \
                 FROM deployment_states \
                 WHERE artifact_id = ?1 AND target = ?2",
            ),
            insert_accord: name(&insert::<AccordBinding>()),
            insert_artifact: name(&insert::<GovernedArtifact>()),
            update_custody: name(
                "UPDATE governed_artifacts SET custody_state = ?2, custody_seq = ?3, position = ?4 \
                 WHERE id = ?1",
            ),
            update_content: name(
                "UPDATE governed_artifacts SET cid = ?2, content = ?3, content_schema = ?4, \
                 revised_at = ?5, position = ?6 WHERE id = ?1",
            ),
            insert_revision: name(&insert::<ArtifactRevision>()),
            insert_transition: name(&insert::<CustodyTransition>()),
            insert_deployment: name(&insert::<DeploymentState>()),
            upsert_deployment: name(&upsert::<DeploymentState>()),
            insert_deployment_change: name(&insert::<DeploymentChange>()),
            insert_verification: name(&insert::<VerificationResult>()),
            insert_quarantined: name(&insert::<QuarantinedEntry>()),
            insert_count: name(&insert::<RowCount>()),
            add_to_count: name(&add_to_count()),
        }
    }

    /// Writes all of it, in an order in which foreign keys hold at every step.
    pub(crate) fn write(
        &self,
        connection: &Connection,
        changes: &Changes,
        deployments: Deployments,
    ) -> rusqlite::Result<()> {
        write_rows(connection, &self.insert_accord, &changes.accords)?;
        self.write_artifacts(connection, &changes.artifacts)?;
        self.update_artifacts(connection, &changes.artifact_updates)?;
        write_rows(connection, &self.insert_revision, &changes.revisions)?;
        write_rows(connection, &self.insert_transition, &changes.transitions)?;
        self.write_deployments(connection, &changes.deployments, deployments)?;
        write_rows(connection, &self.insert_deployment_change, &changes.deployment_changes)?;
        write_rows(connection, &self.insert_verification, &changes.verifications)?;
        write_rows(connection, &self.insert_quarantined, &changes.quarantined)?;
        self.write_counts(connection, &changes.counts, deployments)
    }

    pub(crate) fn write_artifacts(
        &self,
        connection: &Connection,
        rows: &[GovernedArtifact],
    ) -> rusqlite::Result<()> {
        write_rows(connection, &self.insert_artifact, rows)
    }

    pub(crate) fn write_deployments(
        &self,
        connection: &Connection,
        rows: &[DeploymentState],
        deployments: Deployments,
    ) -> rusqlite::Result<()> {
        let write = match deployments {
            Deployments::New => &self.insert_deployment,
            Deployments::Upserted => &self.upsert_deployment,
        };
        write_rows(connection, write, rows)
    }

    pub(crate) fn write_counts(
        &self,
        connection: &Connection,
        rows: &[RowCount],
        deployments: Deployments,
    ) -> rusqlite::Result<()> {
        let write = match deployments {
            Deployments::New => &self.insert_count,
            Deployments::Upserted => &self.add_to_count,
        };
        write_rows(connection, write, rows)
    }

    fn update_artifacts(
        &self,
        connection: &Connection,
        updates: &[ArtifactUpdate],
    ) -> rusqlite::Result<()> {
        let mut update_custody = connection.prepare_cached(&self.update_custody)?;
        let mut update_content = connection.prepare_cached(&self.update_content)?;
        for update in updates {
            let (id, position) = (update.id.as_uuid().as_bytes(), update.position.as_i64());
            if let Some(custody) = &update.custody {
                let (state, seq) = (custody.state.as_str(), custody.seq.as_i64());
                change_one(&mut update_custody, params![id, state, seq, position])?;
            }
            if let Some(content) = &update.content {
                let values = params![
                    id,
                    CidText::from(content.cid),
                    content.content.as_str(),
                    content.content_schema,
                    TimeText::from(content.revised_at),
                    position,
                ];
                change_one(&mut update_content, values)?;
            }
        }
        Ok(())
    }
}

/// A statement that adds a row.
fn insert<R: Row>() -> String {
    let Table { name, columns, .. } = R::TABLE;
    let parameters: Vec<_> = (1..=columns.len()).map(|nth| format!("?{nth}")).collect();
    format!("INSERT INTO {name} ({}) VALUES ({})", R::TABLE.list(), parameters.join(", "))
}

/// The same, or puts the row in the place of the one with its key.
fn upsert<R: Row>() -> String {
    let set: Vec<_> =
        R::TABLE.beside_key().map(|column| format!("{column} = excluded.{column}")).collect();
    let (insert, key, set) = (insert::<R>(), R::TABLE.key.join(", "), set.join(", "));
    format!("{insert} ON CONFLICT ({key}) DO UPDATE SET {set}")
}

/// A statement that adds to how many rows there are of a kind, or begins to count them.
fn add_to_count() -> String {
    insert::<RowCount>()
        + " ON CONFLICT (counted) DO UPDATE \
           SET rows = row_counts.rows + excluded.rows, position = excluded.position"
}

fn write_rows<R: Row>(connection: &Connection, sql: &str, rows: &[R]) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(sql)?;
    rows.iter().try_for_each(|row| write_row(&mut statement, row))
}
