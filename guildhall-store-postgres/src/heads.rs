//! Loading the heads that a batch touches.

use std::collections::HashMap;

use guildhall_core::custody::ChainHead;
use guildhall_core::fold::{Heads, Keys, TargetHead};
use guildhall_core::invariant::ArtifactHead;
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
    let (written, revision) = (columns.value()?, columns.value()?);
    let cid = columns.value()?;
    let Some(seq) = columns.value()? else {
        let head = ArtifactHead { cid, chain: None, ratified: Vec::new() };
        return Ok((id, (written, revision, head)));
    };
    let chain = ChainHead {
        seq,
        state: columns.value()?,
        hash: columns.value()?,
        occurred_at: columns.value()?,
        ceremony_id: columns.value()?,
        opened_by: columns.value::<Option<String>>()?.map(Into::into),
    };
    let ratified: Vec<String> = columns.decoded()?;
    let ratified = ratified.iter().map(|cid| cid.parse::<Cid>());
    let ratified = ratified.collect::<Result<_, _>>().map_err(|error| {
        sqlx::Error::ColumnDecode { index: "ratified".to_owned(), source: Box::new(error) }
    })?;
    Ok((id, (written, revision, ArtifactHead { cid, chain: Some(chain), ratified })))
}

type LoadedTarget<'r> = ((ArtifactId, &'r str), (Position, TargetHead));

fn target_head(row: &PgRow) -> Result<LoadedTarget<'_>, sqlx::Error> {
    let mut columns = Columns::of(row);
    let id = columns.value()?;
    let target = row.try_get(1)?;
    let _: &str = columns.decoded()?;
    let head = TargetHead {
        desired_cid: columns.value()?,
        observed_cid: columns.value()?,
        health: columns.value()?,
        health_since: columns.value()?,
        observed_at: columns.value()?,
    };
    Ok(((id, target), (columns.value()?, head)))
}
