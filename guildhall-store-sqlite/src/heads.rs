//! Loading the heads that a batch touches.

use guildhall_core::custody::ChainHead;
use guildhall_core::fold::{Heads, Keys, TargetHead};
use guildhall_core::invariant::ArtifactHead;
use guildhall_core::{ArtifactId, Position, Revision};
use rusqlite::{Connection, OptionalExtension};

use crate::changes::Statements;
use crate::ops_rows::Columns;

/// Tells `heads` what the tables hold under `keys`: artifacts before their targets.
pub(crate) fn load_heads(
    connection: &Connection,
    statements: &Statements,
    keys: &Keys,
    heads: &mut Heads,
) -> rusqlite::Result<()> {
    let mut load_accord = connection.prepare_cached(&statements.load_accord_position)?;
    for id in &keys.accords {
        let written = load_accord
            .query_row([id.as_uuid().as_bytes()], |row| {
                Columns::of_table(row, "accord_bindings").value()
            })
            .optional()?;
        heads.know_accord(*id, written);
    }
    for id in &keys.artifacts {
        heads.know_artifact(*id, load_artifact_head(connection, statements, *id)?);
    }
    let mut load_target = connection.prepare_cached(&statements.load_target_head)?;
    for (id, target) in &keys.targets {
        let head = load_target
            .query_row((id.as_uuid().as_bytes(), target), |row| {
                let mut columns = Columns::of_table(row, "deployment_states");
                let head = TargetHead {
                    desired_cid: columns.value()?,
                    observed_cid: columns.value()?,
                    health: columns.value()?,
                    health_since: columns.value()?,
                    observed_at: columns.value()?,
                };
                Ok((columns.value()?, head))
            })
            .optional()?;
        heads.know_target(*id, target.clone(), head);
    }
    Ok(())
}

fn load_artifact_head(
    connection: &Connection,
    statements: &Statements,
    id: ArtifactId,
) -> rusqlite::Result<Option<(Position, Revision, ArtifactHead)>> {
    let mut load_head = connection.prepare_cached(&statements.load_artifact_head)?;
    let head = load_head.query_row([id.as_uuid().as_bytes()], |row| {
        let mut columns = Columns::of_table(row, "governed_artifacts");
        let (written, revision) = (columns.value()?, columns.value()?);
        let cid = columns.value()?;
        let Some(seq) = columns.value()? else {
            return Ok((
                written,
                revision,
                ArtifactHead { cid, chain: None, ratified: Vec::new() },
            ));
        };
        let chain = ChainHead {
            seq,
            state: columns.value()?,
            hash: columns.value()?,
            occurred_at: columns.value()?,
            ceremony_id: columns.value()?,
            opened_by: columns.value::<Option<String>>()?.map(Into::into),
        };
        Ok((written, revision, ArtifactHead { cid, chain: Some(chain), ratified: Vec::new() }))
    });
    let Some((written, revision, mut head)) = head.optional()? else { return Ok(None) };
    if head.chain.is_some() {
        let mut load_ratified = connection.prepare_cached(&statements.load_ratified)?;
        let ratified = load_ratified.query_map([id.as_uuid().as_bytes()], |row| {
            Columns::of_table(row, "custody_transitions").value()
        })?;
        head.ratified = ratified.collect::<rusqlite::Result<_>>()?;
    }
    Ok(Some((written, revision, head)))
}
