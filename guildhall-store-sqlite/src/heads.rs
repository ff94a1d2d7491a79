//! Loading the heads that a batch touches.

use guildhall_core::fold::{Heads, Keys};
use guildhall_core::invariant::ArtifactHead;
use guildhall_core::store::{read_artifact_head, read_target_head};
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
                read_target_head(&mut Columns::of_table(row, "deployment_states"))
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
        read_artifact_head(&mut Columns::of_table(row, "governed_artifacts"))
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

#[cfg(test)]
mod tests {
    use guildhall_core::store::{CHAIN_HEAD, TARGET_HEAD};

    use super::*;

    #[test]
    fn statements_select_the_columns_of_heads_in_their_order() {
        let of = |alias: &str, columns: &[&str]| {
            columns.iter().map(|column| format!("{alias}{column}, ")).collect::<String>()
        };
        let statements = Statements::live();
        let words = |sql: &str| sql.split_whitespace().collect::<Vec<_>>().join(" ");
        let chain = of("link.", &CHAIN_HEAD);
        let opener = "CASE WHEN link.to_state = 'ceremony_open' THEN ( SELECT opening.actor FROM";
        let found = words(&statements.load_artifact_head);
        assert!(found.contains(&format!(" artifact.cid, {chain}{opener}")), "{found}");
        let target = of("", &TARGET_HEAD);
        let target = target.trim_end_matches(", ");
        let found = words(&statements.load_target_head);
        assert!(found.starts_with(&format!("SELECT {target} FROM deployment_states")), "{found}");
    }
}
