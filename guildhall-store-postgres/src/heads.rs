//! Loading the heads that a batch touches.

use std::collections::HashMap;

use guildhall_core::fold::{Heads, Keys, TargetHead};
use guildhall_core::invariant::ArtifactHead;
use guildhall_core::store::{read_artifact_head, read_target_head};
use guildhall_core::{AccordId, ArtifactId, Cid, Position, Revision};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use crate::changes::OpsTables;
use crate::ops_rows::Columns;

/// Tells `heads` what the tables hold under `keys`: artifacts before their targets.
pub(crate) async fn load_heads(
    connection: &mut PgConnection,
    tables: &OpsTables,
    keys: &Keys,
    heads: &mut Heads,
) -> Result<(), sqlx::Error> {
    if !keys.accords.is_empty() {
        let sql = tables.sql(
            "SELECT id, position FROM {schema}.accord_bindings{next} WHERE id = ANY ($1::uuid[])",
        );
        let ids: Vec<Uuid> = keys.accords.iter().map(|id| *id.as_uuid()).collect();
        let rows = sqlx::query(sql).bind(ids).fetch_all(&mut *connection).await?;
        let found: HashMap<_, _> =
            rows.iter().map(accord_position).collect::<Result<_, sqlx::Error>>()?;
        keys.accords.iter().for_each(|id| heads.know_accord(*id, found.get(id).copied()));
    }
    if !keys.artifacts.is_empty() {
        let sql = tables.sql(include_str!("sql/load_artifact_heads.sql"));
        let ids: Vec<Uuid> = keys.artifacts.iter().map(|id| *id.as_uuid()).collect();
        let rows = sqlx::query(sql).bind(ids).fetch_all(&mut *connection).await?;
        let mut found: HashMap<_, _> =
            rows.iter().map(artifact_head).collect::<Result<_, sqlx::Error>>()?;
        keys.artifacts.iter().for_each(|id| heads.know_artifact(*id, found.remove(id)));
    }
    if !keys.targets.is_empty() {
        let sql = tables.sql(include_str!("sql/load_target_heads.sql"));
        let ids: Vec<Uuid> = keys.targets.iter().map(|(id, _)| *id.as_uuid()).collect();
        let targets: Vec<&str> = keys.targets.iter().map(|(_, target)| &**target).collect();
        let rows = sqlx::query(sql).bind(ids).bind(targets).fetch_all(&mut *connection).await?;
        let mut found: HashMap<_, _> =
            rows.iter().map(target_head).collect::<Result<_, sqlx::Error>>()?;
        for (id, target) in &keys.targets {
            heads.know_target(*id, target.clone(), found.remove(&(*id, &**target)));
        }
    }
    Ok(())
}

fn accord_position(row: &PgRow) -> Result<(AccordId, Position), sqlx::Error> {
    let mut columns = Columns::of(row);
    Ok((columns.value()?, columns.value()?))
}

type LoadedArtifact = (ArtifactId, (Position, Revision, ArtifactHead));

fn artifact_head(row: &PgRow) -> Result<LoadedArtifact, sqlx::Error> {
    let mut columns = Columns::of(row);
    let id = columns.value()?;
    let (written, revision, mut head) = read_artifact_head(&mut columns)?;
    if head.chain.is_none() {
        return Ok((id, (written, revision, head)));
    }
    let ratified: Vec<String> = columns.decoded()?;
    let ratified = ratified.iter().map(|cid| cid.parse::<Cid>());
    head.ratified = ratified.collect::<Result<_, _>>().map_err(|error| {
        sqlx::Error::ColumnDecode { index: "ratified".to_owned(), source: Box::new(error) }
    })?;
    Ok((id, (written, revision, head)))
}

type LoadedTarget<'r> = ((ArtifactId, &'r str), (Position, TargetHead));

fn target_head(row: &PgRow) -> Result<LoadedTarget<'_>, sqlx::Error> {
    let mut columns = Columns::of(row);
    let id = columns.value()?;
    let target = row.try_get(1)?;
    let _: &str = columns.decoded()?;
    Ok(((id, target), read_target_head(&mut columns)?))
}

#[cfg(test)]
mod tests {
    use guildhall_core::store::{CHAIN_HEAD, TARGET_HEAD};

    #[test]
    fn statements_select_the_columns_of_heads_in_their_order() {
        let of = |alias: &str, columns: &[&str]| {
            columns.iter().map(|column| format!("{alias}.{column}, ")).collect::<String>()
        };
        let words = |sql: &str| sql.split_whitespace().collect::<Vec<_>>().join(" ");
        let chain = of("link", &CHAIN_HEAD);
        let opener = "CASE WHEN link.to_state = 'ceremony_open' THEN ( SELECT opening.actor FROM";
        let found = words(include_str!("sql/load_artifact_heads.sql"));
        assert!(found.contains(&format!(" artifact.cid, {chain}{opener}")), "{found}");
        let target = of("state", &TARGET_HEAD);
        let target =
            format!("SELECT state.artifact_id, state.target, {}", target.trim_end_matches(", "));
        let found = words(include_str!("sql/load_target_heads.sql"));
        assert!(found.contains(&format!("{target} FROM unnest")), "{found}");
    }
}
