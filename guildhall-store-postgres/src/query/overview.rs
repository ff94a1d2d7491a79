//! The counts that a dashboard opens with: those that are kept, or, as of a moment, those that are made.

use guildhall_core::{AsOf, CountedRows, Overview, RowCount, StoreError, Timestamp};

use super::PostgresOpsDb;
use super::select::Select;
use crate::ops_rows::Columns;

pub(super) async fn load(ops_db: &PostgresOpsDb) -> Result<Overview, StoreError> {
    match ops_db.as_of {
        None => load_kept(ops_db).await,
        Some(moment) => load_as_of(ops_db, moment).await,
    }
}

/// How many rows of a kind there are now.
pub(super) async fn load_count(
    ops_db: &PostgresOpsDb,
    counted: CountedRows,
) -> Result<u64, StoreError> {
    let mut select = ops_db.select_where("SELECT rows FROM {schema}.row_counts WHERE counted = ");
    select.parts.push_bind(counted.as_str());
    let found = ops_db.load(select, |columns| columns.count()).await?;
    Ok(found.into_iter().next().unwrap_or(0))
}

async fn load_kept(ops_db: &PostgresOpsDb) -> Result<Overview, StoreError> {
    let select = ops_db.select(include_str!("../sql/overview.sql"));
    let read = |columns: &mut Columns<'_>| {
        Ok((columns.row::<RowCount>()?, columns.value::<Option<Timestamp>>()?))
    };
    let found = ops_db.load(select, read).await?;
    let oldest = found.first().and_then(|(_, oldest)| *oldest);
    Ok(Overview::of_counts(found.into_iter().map(|(count, _)| count), oldest))
}

async fn load_as_of(ops_db: &PostgresOpsDb, moment: AsOf) -> Result<Overview, StoreError> {
    let sql = include_str!("../sql/overview_as_of.sql");
    let select = Select::of_moment(ops_db.database.schema(), moment, sql);
    let found = ops_db.load(select, read_as_of).await?;
    Ok(found.into_iter().next().unwrap_or_default())
}

fn read_as_of(columns: &mut Columns<'_>) -> Result<Overview, sqlx::Error> {
    let mut overview = Overview::default();
    for count in &mut overview.artifacts_by_tier {
        *count = columns.count()?;
    }
    overview.accords = columns.count()?;
    overview.drifted_deployments = columns.count()?;
    overview.unknown_deployments = columns.count()?;
    let others = overview.drifted_deployments + overview.unknown_deployments;
    overview.healthy_deployments = columns.count()?.saturating_sub(others);
    overview.custody_transitions = columns.count()?;
    overview.verifications = columns.count()?;
    overview.quarantined = columns.count()?;
    overview.open_ceremonies = columns.count()?;
    overview.oldest_ceremony_opened_at = columns.value()?;
    Ok(overview)
}
