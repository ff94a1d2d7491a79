//! Writing the fold's changes, by statements that are prepared once a connection.

use std::borrow::Cow;

use guildhall_core::fold::{ArtifactUpdate, Changes};
use guildhall_core::store::Deployments;
use guildhall_core::{
    AccordBinding, CustodyTransition, DeploymentState, GovernedArtifact, QuarantinedEntry,
    VerificationResult,
};
use rusqlite::{Connection, Params, Statement, params};

use crate::rows::{CidText, TimeText};

/// The tables that a rebuild makes anew, referenced ones first.
pub(crate) const TABLES: [&str; 6] = [
    "accord_bindings",
    "governed_artifacts",
    "custody_transitions",
    "deployment_states",
    "verification_results",
    "quarantined_entries",
];

/// What the name of a table ends with while a rebuild fills it.
pub(crate) const NEXT: &str = "_next";

/// Puts rows in the order of their artifacts, so that a batch touches each page of an index by
/// artifact once: a tenth of the time of a catch-up at two million entries.
pub(crate) fn sort_by_artifact(changes: &mut Changes) {
    changes.deployments.sort_by(|one, other| {
        (one.artifact_id, &one.target).cmp(&(other.artifact_id, &other.target))
    });
    changes.verifications.sort_by_key(|row| (row.artifact_id, row.verified_at));
}

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
    pub(crate) load_accord_position: Cow<'static, str>,
    pub(crate) load_artifact_head: Cow<'static, str>,
    pub(crate) load_ratified: Cow<'static, str>,
    pub(crate) load_target_head: Cow<'static, str>,
    insert_accord: Cow<'static, str>,
    insert_artifact: Cow<'static, str>,
    update_custody: Cow<'static, str>,
    update_content: Cow<'static, str>,
    insert_transition: Cow<'static, str>,
    insert_deployment: Cow<'static, str>,
    upsert_deployment: Cow<'static, str>,
    insert_verification: Cow<'static, str>,
    insert_quarantined: Cow<'static, str>,
}

impl Statements {
    /// On the live tables.
    pub(crate) fn live() -> Self {
        Self::named(Cow::Borrowed)
    }

    /// On the tables of the next generation.
    pub(crate) fn next_generation() -> Self {
        Self::named(|sql| {
            let renamed = TABLES
                .iter()
                .fold(sql.to_owned(), |sql, table| sql.replace(table, &format!("{table}{NEXT}")));
            Cow::Owned(renamed)
        })
    }

    fn named(name: impl Fn(&'static str) -> Cow<'static, str>) -> Self {
        Self {
            load_accord_position: name("SELECT position FROM accord_bindings WHERE id = ?1"),
            load_artifact_head: name(include_str!("sql/load_artifact_head.sql")),
            load_ratified: name(
                "SELECT DISTINCT cid FROM custody_transitions \
                 WHERE artifact_id = ?1 AND to_state = 'ratified'",
            ),
            load_target_head: name(
                "SELECT health, health_since, observed_at, position FROM deployment_states \
                 WHERE artifact_id = ?1 AND target = ?2",
            ),
            insert_accord: name(
                "INSERT INTO accord_bindings \
                 (id, name, accord_terms, bound_by, effective_at, position) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            ),
            insert_artifact: name(include_str!("sql/insert_artifact.sql")),
            update_custody: name(
                "UPDATE governed_artifacts SET custody_state = ?2, custody_seq = ?3, position = ?4 \
                 WHERE id = ?1",
            ),
            update_content: name(
                "UPDATE governed_artifacts SET cid = ?2, content = ?3, content_schema = ?4, \
                 revised_at = ?5, position = ?6 WHERE id = ?1",
            ),
            insert_transition: name(include_str!("sql/insert_transition.sql")),
            insert_deployment: name(include_str!("sql/insert_deployment.sql")),
            upsert_deployment: name(include_str!("sql/upsert_deployment.sql")),
            insert_verification: name(include_str!("sql/insert_verification.sql")),
            insert_quarantined: name(
                "INSERT INTO quarantined_entries \
                 (position, event_id, stream_id, event_type, code, reason) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            ),
        }
    }

    /// Writes all of it, in an order in which foreign keys hold at every step.
    pub(crate) fn write(
        &self,
        connection: &Connection,
        changes: &Changes,
        deployments: Deployments,
    ) -> rusqlite::Result<()> {
        self.write_accords(connection, &changes.accords)?;
        self.write_artifacts(connection, &changes.artifacts)?;
        self.update_artifacts(connection, &changes.artifact_updates)?;
        self.write_transitions(connection, &changes.transitions)?;
        self.write_deployments(connection, &changes.deployments, deployments)?;
        self.write_verifications(connection, &changes.verifications)?;
        self.write_quarantined(connection, &changes.quarantined)
    }

    fn write_accords(
        &self,
        connection: &Connection,
        rows: &[AccordBinding],
    ) -> rusqlite::Result<()> {
        let mut insert = connection.prepare_cached(&self.insert_accord)?;
        for row in rows {
            insert.execute(params![
                row.id.as_uuid().as_bytes(),
                row.name,
                row.accord_terms.as_str(),
                row.bound_by,
                TimeText::from(row.effective_at),
                row.position.as_i64(),
            ])?;
        }
        Ok(())
    }

    pub(crate) fn write_artifacts(
        &self,
        connection: &Connection,
        rows: &[GovernedArtifact],
    ) -> rusqlite::Result<()> {
        let mut insert = connection.prepare_cached(&self.insert_artifact)?;
        for row in rows {
            insert.execute(params![
                row.id.as_uuid().as_bytes(),
                row.accord_binding_id.as_uuid().as_bytes(),
                row.name,
                row.artifact_type,
                row.tier.get(),
                CidText::from(row.cid),
                row.content.as_str(),
                row.content_schema,
                row.custody_state.map(|state| state.as_str()),
                row.custody_seq.map(|seq| seq.as_i64()),
                TimeText::from(row.registered_at),
                row.revised_at.map(TimeText::from),
                row.position.as_i64(),
            ])?;
        }
        Ok(())
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

    fn write_transitions(
        &self,
        connection: &Connection,
        rows: &[CustodyTransition],
    ) -> rusqlite::Result<()> {
        let mut insert = connection.prepare_cached(&self.insert_transition)?;
        for row in rows {
            insert.execute(params![
                row.artifact_id.as_uuid().as_bytes(),
                row.seq.as_i64(),
                row.from_state.map(|state| state.as_str()),
                row.to_state.as_str(),
                CidText::from(row.cid),
                row.actor,
                row.reason,
                row.ceremony_id.as_ref().map(|id| id.as_uuid().as_bytes()),
                row.evidence.as_str(),
                TimeText::from(row.occurred_at),
                row.prev_hash.as_ref().map(|hash| hash.as_bytes()),
                row.hash.as_bytes(),
                row.position.as_i64(),
            ])?;
        }
        Ok(())
    }

    pub(crate) fn write_deployments(
        &self,
        connection: &Connection,
        rows: &[DeploymentState],
        deployments: Deployments,
    ) -> rusqlite::Result<()> {
        let mut write = connection.prepare_cached(match deployments {
            Deployments::New => &self.insert_deployment,
            Deployments::Upserted => &self.upsert_deployment,
        })?;
        for row in rows {
            write.execute(params![
                row.artifact_id.as_uuid().as_bytes(),
                row.target,
                CidText::from(row.desired_cid),
                row.observed_cid.map(CidText::from),
                row.health.as_str(),
                TimeText::from(row.health_since),
                row.detail.as_str(),
                TimeText::from(row.observed_at),
                row.position.as_i64(),
            ])?;
        }
        Ok(())
    }

    fn write_verifications(
        &self,
        connection: &Connection,
        rows: &[VerificationResult],
    ) -> rusqlite::Result<()> {
        let mut insert = connection.prepare_cached(&self.insert_verification)?;
        for row in rows {
            insert.execute(params![
                row.id.as_uuid().as_bytes(),
                row.artifact_id.as_uuid().as_bytes(),
                row.target,
                row.verifier,
                row.outcome.as_str(),
                row.evidence.as_str(),
                TimeText::from(row.verified_at),
                row.position.as_i64(),
            ])?;
        }
        Ok(())
    }

    fn write_quarantined(
        &self,
        connection: &Connection,
        rows: &[QuarantinedEntry],
    ) -> rusqlite::Result<()> {
        let mut insert = connection.prepare_cached(&self.insert_quarantined)?;
        for row in rows {
            insert.execute(params![
                row.position.as_i64(),
                row.event_id.as_uuid().as_bytes(),
                row.stream_id.as_uuid().as_bytes(),
                row.event_type.as_str(),
                row.code.as_str(),
                row.reason,
            ])?;
        }
        Ok(())
    }
}
